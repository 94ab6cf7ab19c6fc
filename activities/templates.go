package activities

import (
	"context"
	"errors"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// Templates keeps our copies of the templates like Meta's originals.
type Templates struct {
	Store *store.Store
	Keys  *crypt.Keys
	Meta  *meta.Client
}

// WABARef names a WABA of ours.
type WABARef struct {
	Vendor vendor.ID `json:"vendor"`
	WABA   waba.ID   `json:"waba"`
}

// SyncResult counts the templates there are now.
type SyncResult struct {
	Templates int `json:"templates"`
}

// Sync reads every template of the account from Meta and replaces our copies, and learns
// what Meta lets its numbers do. Idempotent.
// A token that Meta refuses marks the account, so that the vendor sees why nothing comes.
// Campaigns whose template Meta no longer takes halt. Those that waited for the template go
// on, and so do those that waited for the account, its token or its number, if something of
// it was heard since: that Meta answered shows that the token is good.
func (a *Templates) Sync(ctx context.Context, in WABARef) (SyncResult, error) {
	metaID, sealed, err := a.Store.WABAToken(ctx, in.Vendor, in.WABA)
	if err != nil {
		return SyncResult{}, toTemporal(err)
	}
	keys, err := a.Keys.For(ctx, in.Vendor)
	if err != nil {
		return SyncResult{}, toTemporal(err)
	}
	token, err := keys.Decrypt(crypt.WABAToken, string(in.WABA), sealed)
	if err != nil {
		return SyncResult{}, toTemporal(err)
	}
	listed, learnt, err := a.read(ctx, string(token), metaID, in.WABA)
	if err != nil {
		if e, ok := errors.AsType[*meta.Error](err); ok && e.Class == meta.Token {
			if err := a.Store.MarkWABA(ctx, in.Vendor, in.WABA, waba.TokenExpired); err != nil {
				return SyncResult{}, toTemporal(err)
			}
		}
		return SyncResult{}, toTemporal(meta.Classify(err))
	}
	if err := a.Store.LearnAccount(ctx, in.Vendor, in.WABA, learnt); err != nil {
		return SyncResult{}, toTemporal(err)
	}
	all := make([]store.SyncedTemplate, len(listed))
	for i, t := range listed {
		all[i] = store.SyncedTemplate{
			MetaID: t.ID, Name: t.Name, Language: t.Language, Category: t.Category, Status: t.Status,
			Format: t.ParameterFormat, Components: t.Components,
		}
		if all[i].Format != template.Named {
			all[i].Format = template.Positional // absent in answers of older versions
		}
		if len(t.Components) == 0 {
			all[i].Components = []byte("[]")
		}
	}
	n, err := a.Store.ReplaceTemplates(ctx, in.Vendor, in.WABA, all)
	if err != nil {
		return SyncResult{}, toTemporal(err)
	}
	if _, err := a.Store.HaltUnusable(ctx, in.Vendor, in.WABA); err != nil {
		return SyncResult{}, toTemporal(err)
	}
	_, err = a.Store.ResumeHalted(ctx, in.Vendor, in.WABA, campaign.ByTemplate, campaign.ByNumber, campaign.ByAccount, campaign.ByToken)
	return SyncResult{Templates: n}, toTemporal(err)
}

// read asks Meta for all there is to know of an account.
func (a *Templates) read(ctx context.Context, token, metaID string, of waba.ID) ([]meta.Template, store.Learnt, error) {
	account, err := a.Meta.WABA(ctx, token, metaID)
	if err != nil {
		return nil, store.Learnt{}, err
	}
	numbers, err := a.Meta.PhoneNumbers(ctx, token, metaID)
	if err != nil {
		return nil, store.Learnt{}, err
	}
	learnt := store.Learnt{Portfolio: account.Portfolio()}
	for _, n := range numbers {
		learnt.Numbers = append(learnt.Numbers, n.Sender(of))
	}
	templates, err := a.Meta.Templates(ctx, token, metaID)
	return templates, learnt, err
}

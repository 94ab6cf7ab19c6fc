package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// Inbound holds what the activity needs that takes in what persons wrote. Fields are set
// once, by cmd.
type Inbound struct {
	Store *store.Store
	Ring  *crypt.Ring // opens what the webhook sealed
	Keys  *crypt.Keys // and closes it for its vendor
	Log   *slog.Logger
}

// InboundInput names whose messages wait.
type InboundInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// TakeInbound works off what persons wrote to the vendor: each message is kept under the vendor's
// keys, opens its writer's window, and is heeded when it is a keyword alone. It tells whether more waits. Idempotent.
func (a *Inbound) TakeInbound(ctx context.Context, in InboundInput) (bool, error) {
	keys, err := a.Keys.For(ctx, in.Vendor)
	if err != nil {
		return false, toTemporal(err)
	}
	for page := range settlePages {
		n, err := a.Store.TakeInbound(ctx, in.Vendor, func(waiting []store.WaitingInbound) ([]store.Inbound, error) {
			return a.open(ctx, keys, waiting, time.Now())
		})
		if err != nil || n == 0 {
			return false, toTemporal(err)
		}
		activity.RecordHeartbeat(ctx, page)
	}
	return true, nil
}

// open turns what the platform sealed into what the vendor keeps. A message that cannot be
// read must not hold up the others: it stays in the raw body alone.
func (a *Inbound) open(ctx context.Context, keys *crypt.VendorKeys, waiting []store.WaitingInbound, now time.Time) ([]store.Inbound, error) {
	out := make([]store.Inbound, 0, len(waiting))
	for _, w := range waiting {
		var m meta.Inbound
		plain, err := a.Ring.OpenPlatform(store.InboundPurpose, w.ID, w.MessageCT)
		if err == nil {
			err = json.Unmarshal(plain, &m)
		}
		if err != nil || m.ID == "" || m.From == "" && m.FromUserID == "" {
			a.Log.WarnContext(ctx, "an inbound message cannot be read and is left out", "vendor_id", keys.Vendor(), "inbound_id", w.ID)
			continue
		}
		kept, err := seal(keys, w, m, plain)
		if err != nil {
			return nil, err
		}
		kept.OpenUntil = single.WindowEnd(m.Type, m.Timestamp.Time, now)
		if kept.WrittenAt = m.Timestamp.Time; kept.WrittenAt.IsZero() {
			kept.WrittenAt = w.ReceivedAt
		}
		kept.Wish = contact.WishOf(cmp.Or(m.Text.Body, m.Button.Payload, m.Button.Text))
		out = append(out, kept)
	}
	return out, nil
}

// seal closes one message for its vendor and makes its blind indexes.
func seal(keys *crypt.VendorKeys, w store.WaitingInbound, m meta.Inbound, plain []byte) (store.Inbound, error) {
	kept := store.Inbound{ID: w.ID, SenderNumber: w.SenderNumber, Type: m.Type, ReceivedAt: w.ReceivedAt}
	var err error
	if kept.WamidHash, err = keys.Index("wamid:" + string(m.ID)); err != nil {
		return kept, err
	}
	var names []string
	if m.From != "" {
		for _, digits := range contact.Spellings(string(m.From)) {
			names = append(names, contact.Identity(contact.WAID, digits))
		}
	}
	if m.FromUserID != "" {
		names = append(names, contact.Identity(contact.BSUID, string(m.FromUserID)))
	}
	for _, name := range names {
		index, err := keys.Index(name)
		if err != nil {
			return kept, err
		}
		kept.Identities = append(kept.Identities, index)
	}
	kept.MessageCT, err = keys.Encrypt(crypt.Inbound, w.ID, plain)
	return kept, err
}

package activities

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

func (a *Sending) newRun(ctx context.Context, v vendor.ID, job store.SendJob) (*sendRun, error) {
	keys, err := a.Keys.For(ctx, v)
	if err != nil {
		return nil, err
	}
	token, err := keys.Decrypt(crypt.WABAToken, job.WabaRef, job.TokenCT)
	if err != nil {
		return nil, err
	}
	run := &sendRun{Sending: a, vendor: v, job: job, keys: keys, token: string(token)}
	if job.Kind == store.SingleLane {
		return run, nil // each message brings its content
	}
	var components []template.Component
	if err := json.Unmarshal(job.Components, &components); err != nil {
		return nil, template.ErrMalformed.With(err)
	}
	run.spec, err = template.Parse(template.Template{
		Name: job.TemplateName, Language: job.Language, Category: template.Category(job.Category),
		Format: job.ParameterStyle, Components: components,
	})
	if err != nil {
		return nil, err
	}
	if run.params, err = campaign.ParseParameters(job.Parameters); err != nil {
		return nil, err
	}
	run.sleepers, err = a.newSleepers(ctx, run)
	return run, err
}

// request opens the frozen recipient and fills the template, or opens what a one-off
// message says, as it is posted.
func (r *sendRun) request(m store.Marked) (meta.Body, error) {
	mobile, err := r.keys.Decrypt(crypt.Mobile, m.Contact, m.MobileCT)
	if err != nil {
		return nil, err
	}
	ref := message.Ref{Month: r.job.Month, Message: m.ID, Attempt: m.Attempt}
	if r.job.Kind == store.SingleLane {
		content, err := r.keys.Decrypt(crypt.Message, strconv.FormatInt(int64(m.ID), 10), m.ContentCT)
		if err != nil {
			return nil, err
		}
		return meta.SendRequest{To: string(mobile), Content: content, Opaque: ref.String()}.Encode()
	}
	var name []byte
	if len(m.NameCT) > 0 {
		if name, err = r.keys.Decrypt(crypt.Name, m.Contact, m.NameCT); err != nil {
			return nil, err
		}
	}
	components, err := r.spec.Fill(r.params.Values(campaign.Recipient{
		Name: string(name), Mobile: string(mobile), Attributes: m.Attributes,
	}))
	if err != nil {
		return nil, err
	}
	return meta.SendRequest{
		To: string(mobile), Template: r.spec.Name, Language: r.spec.Language, Components: components, Opaque: ref.String(),
	}.Encode()
}

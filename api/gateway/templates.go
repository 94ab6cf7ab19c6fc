package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// templates reads our copies of the vendor's templates.
type templates struct{ store *store.Store }

type templateBody struct {
	ID         template.ID          `json:"id"`
	WABAID     waba.ID              `json:"waba_id" doc:"Our id of its account"`
	Name       string               `json:"name"`
	Language   string               `json:"language" example:"en_US"`
	Category   template.Category    `json:"category" doc:"MARKETING, UTILITY or AUTHENTICATION"`
	Status     string               `json:"status" doc:"As Meta has it; only APPROVED can be sent. DELETED: gone at Meta"`
	Format     string               `json:"parameter_format" enum:"POSITIONAL,NAMED"`
	Components []template.Component `json:"components" nullable:"false" doc:"The parts, as Meta prints them"`
	Variables  []string             `json:"variables" nullable:"false" doc:"Keys of the gaps, which a campaign maps: header.1, body.1, body.first_name, button.0"`
	Sendable   bool                 `json:"sendable" doc:"Whether a campaign can use it now"`
	Problem    string               `json:"problem,omitempty" doc:"Why it cannot"`
	SyncedAt   time.Time            `json:"synced_at"`
}

func newTemplateBody(t template.Template) templateBody {
	b := templateBody{
		ID: t.ID, WABAID: t.WABA, Name: t.Name, Language: t.Language, Category: t.Category, Status: t.Status, Format: t.Format,
		Components: t.Components, Variables: []string{}, Sendable: t.Status == template.Approved, SyncedAt: t.SyncedAt,
	}
	if b.Components == nil {
		b.Components = []template.Component{}
	}
	if !b.Sendable {
		b.Problem = template.ErrNotApproved.Msg
	}
	spec, err := template.Parse(t)
	if err != nil {
		b.Sendable, b.Problem = false, problemText(err)
		return b
	}
	for _, v := range spec.Variables() {
		b.Variables = append(b.Variables, v.Key())
	}
	return b
}

type listTemplatesInput struct {
	httpx.Page
	WABAID   string `query:"waba_id" doc:"Our id of an account"`
	Name     string `query:"name" maxLength:"512"`
	Language string `query:"language" maxLength:"16"`
	Status   string `query:"status" maxLength:"32" doc:"Without it: all but DELETED"`
}

func (h *templates) list(ctx context.Context, who httpx.Principal, in *listTemplatesInput) (*httpx.Reply[httpx.List[templateBody]], error) {
	after, err := httpx.DecodeCursor[template.ID](in.Cursor)
	if err != nil {
		return nil, err
	}
	if after != "" {
		if _, err := httpx.ID[template.ID](string(after)); err != nil {
			return nil, err
		}
	}
	all, err := h.store.ListTemplates(ctx, who.Vendor, store.TemplateFilter{
		WABA: waba.ID(in.WABAID), Name: in.Name, Language: in.Language, Status: in.Status, After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(all, newTemplateBody), in.Limit, func(b templateBody) template.ID { return b.ID })), nil
}

func (h *templates) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[templateBody], error) {
	t, err := httpx.ID[template.ID](in.ID)
	if err != nil {
		return nil, err
	}
	found, err := h.store.Template(ctx, who.Vendor, t)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newTemplateBody(found)), nil
}

// problemText is the part of an error that a vendor may read.
func problemText(err error) string {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Msg
	}
	return ""
}

package gateway

import (
	"context"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/store"
)

// contacts shows a vendor's address book.
type contacts struct {
	store *store.Store
	keys  *crypt.Keys
}

type contactBody struct {
	ID         contact.ID        `json:"id"`
	Phone      string            `json:"phone" doc:"E.164" example:"+919876543210"`
	Name       string            `json:"name,omitempty"`
	Country    string            `json:"country" doc:"ISO 3166-1 alpha-2 of the number"`
	Labels     []string          `json:"labels" nullable:"false"`
	Attributes map[string]string `json:"attributes"`
	OptedInAt  *time.Time        `json:"opted_in_at,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at" doc:"When its name last changed"`
}

type labelBody struct {
	ID       contact.LabelID `json:"id"`
	Name     string          `json:"name"`
	Contacts int             `json:"contacts" doc:"How many contacts have it"`
}

type listContactsInput struct {
	httpx.Page
	Label string `query:"label" maxLength:"200" doc:"Only contacts with this label, by name"`
}

func (h *contacts) list(ctx context.Context, who httpx.Principal, in *listContactsInput) (*httpx.Reply[httpx.List[contactBody]], error) {
	after, err := cursorID[contact.ID](in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := h.store.ListContacts(ctx, who.Vendor, store.ContactFilter{Label: in.Label}, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	bodies, err := h.open(ctx, who, rows)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(bodies, in.Limit, func(b contactBody) contact.ID { return b.ID })), nil
}

func (h *contacts) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[contactBody], error) {
	key, err := httpx.ID[contact.ID](in.ID)
	if err != nil {
		return nil, err
	}
	row, err := h.store.Contact(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	bodies, err := h.open(ctx, who, []store.ContactRecord{row})
	if err != nil {
		return nil, err
	}
	return httpx.OK(bodies[0]), nil
}

// open decrypts a page of contacts.
func (h *contacts) open(ctx context.Context, who httpx.Principal, rows []store.ContactRecord) ([]contactBody, error) {
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	out := make([]contactBody, len(rows))
	for i, c := range rows {
		b := contactBody{
			ID: c.ID, Country: c.Country, Attributes: c.Attributes, OptedInAt: optional(c.OptedInAt),
			CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
			Labels: mapped(c.Labels, func(l contact.Label) string { return l.Name }),
		}
		if b.Attributes == nil {
			b.Attributes = map[string]string{}
		}
		mobile, err := keys.Decrypt(crypt.Mobile, string(c.ID), c.MobileCT)
		if err != nil {
			return nil, err
		}
		b.Phone = string(mobile)
		if c.NameCT != nil {
			name, err := keys.Decrypt(crypt.Name, string(c.ID), c.NameCT)
			if err != nil {
				return nil, err
			}
			b.Name = string(name)
		}
		out[i] = b
	}
	return out, nil
}

func (h *contacts) labels(ctx context.Context, who httpx.Principal, in *httpx.Page) (*httpx.Reply[httpx.List[labelBody]], error) {
	after, err := httpx.DecodeCursor[string](in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := h.store.ListLabels(ctx, who.Vendor, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	bodies := mapped(rows, func(l store.LabelCount) labelBody { return labelBody{ID: l.ID, Name: l.Name, Contacts: l.Contacts} })
	return httpx.OK(httpx.NewList(bodies, in.Limit, func(b labelBody) string { return b.Name })), nil
}

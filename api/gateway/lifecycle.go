package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/store"
)

// quietBody is quiet hours as a vendor writes them; empty: none.
type quietBody struct {
	From string `json:"from,omitempty" maxLength:"5" example:"21:00"`
	To   string `json:"to,omitempty" maxLength:"5" doc:"May be earlier than from: then they run over midnight" example:"08:00"`
}

func newParameters(bodies map[string]parameterBody) campaign.Parameters {
	out := make(campaign.Parameters, len(bodies))
	for key, p := range bodies {
		out[key] = campaign.Parameter(p)
	}
	return out
}

// clearable is a field of a change that can be left out, set, or cleared by null.
type clearable[T any] struct {
	Sent  bool
	Value *T
}

// UnmarshalJSON implements json.Unmarshaler; it is called only for fields that were sent.
func (c *clearable[T]) UnmarshalJSON(text []byte) error {
	c.Sent = true
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	c.Value = new(T)
	return json.Unmarshal(text, c.Value)
}

// Schema implements huma.SchemaProvider.
func (c clearable[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}

type changeCampaignInput struct {
	httpx.ByID
	IfMatch string `header:"If-Match" doc:"ETag of the campaign that the change is based on; without it the last word wins"`
	Body    struct {
		Name           *string                  `json:"name,omitempty" minLength:"1" maxLength:"120"`
		TemplateID     *template.ID             `json:"template_id,omitempty" format:"uuid"`
		SenderNumberID *waba.NumberID           `json:"sender_number_id,omitempty" format:"uuid"`
		Audience       *audienceBody            `json:"audience,omitempty"`
		Parameters     map[string]parameterBody `json:"parameters,omitempty" doc:"All of them: what is not named is gone"`
		ScheduledAt    clearable[time.Time]     `json:"scheduled_at,omitzero" doc:"null: as soon as it is approved"`
		ScheduledLocal *string                  `json:"scheduled_local,omitempty" maxLength:"19" doc:"Instead of scheduled_at: what the clocks of time_zone show then" example:"2026-11-25T09:30"`
		TimeZone       *string                  `json:"time_zone,omitempty" maxLength:"64" doc:"IANA. Alone it moves no time: scheduled_at stays the moment it was"`
		Misfire        *campaign.Misfire        `json:"misfire_policy,omitempty" enum:"SEND,SKIP,ASK"`
		Tolerance      *int64                   `json:"misfire_tolerance_seconds,omitempty" minimum:"0" maximum:"604800"`
		QuietHours     *quietBody               `json:"quiet_hours,omitempty" doc:"Empty: none any more"`
		ExpiresAfter   *int64                   `json:"expires_after_hours,omitempty" minimum:"1" maximum:"720"`
	}
}

// change edits a draft; a quotation that was issued for it is void.
func (h *campaigns) change(ctx context.Context, who httpx.Principal, in *changeCampaignInput) (*httpx.Versioned[campaignBody], error) {
	c, based, err := versioned(in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	out, err := h.store.ChangeCampaign(ctx, who.Vendor, c, based, in.apply)
	if err != nil {
		return nil, orVersion(err)
	}
	return httpx.WithVersion(newCampaignBody(out), out.Version), nil
}

func (in *changeCampaignInput) apply(n *campaign.NewCampaign) error {
	b := in.Body
	replace(&n.Name, b.Name)
	replace(&n.Template, b.TemplateID)
	replace(&n.SenderNumber, b.SenderNumberID)
	replace(&n.TimeZone, b.TimeZone)
	replace(&n.Misfire, b.Misfire)
	if b.Audience != nil {
		n.Audience = campaign.NamedAudience(*b.Audience)
	}
	if b.Parameters != nil {
		n.Parameters = newParameters(b.Parameters)
	}
	if b.Tolerance != nil {
		n.Tolerance = time.Duration(*b.Tolerance) * time.Second
	}
	if b.ExpiresAfter != nil {
		n.Lifetime = time.Duration(*b.ExpiresAfter) * time.Hour
	}
	if b.ScheduledLocal != nil && *b.ScheduledLocal != "" {
		n.ScheduledAt, n.Wall = time.Time{}, *b.ScheduledLocal
	}
	if b.ScheduledAt.Sent {
		n.ScheduledAt = time.Time{}
		replace(&n.ScheduledAt, b.ScheduledAt.Value)
	}
	if b.QuietHours == nil {
		return nil
	}
	var err error
	n.Quiet, err = campaign.ParseQuietHours(b.QuietHours.From, b.QuietHours.To)
	return err
}

// replace puts the given value in place of the one there, if one is given.
func replace[T any](at, given *T) {
	if given != nil {
		*at = *given
	}
}

// versioned reads a campaign's id and the version that a change is based on.
func versioned(text, ifMatch string) (campaign.ID, int64, error) {
	c, err := httpx.ID[campaign.ID](text)
	if err != nil {
		return c, 0, err
	}
	based, err := httpx.IfMatch(ifMatch)
	return c, based, err
}

func orVersion(err error) error {
	if errors.Is(err, campaign.ErrVersion) {
		return httpx.ErrVersion()
	}
	return err
}

type deleteCampaignInput struct {
	httpx.ByID
	IfMatch string `header:"If-Match" doc:"ETag of the campaign as it was seen"`
}

func (h *campaigns) remove(ctx context.Context, who httpx.Principal, in *deleteCampaignInput) (*httpx.None, error) {
	c, based, err := versioned(in.ID, in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, orVersion(h.store.DeleteCampaign(ctx, who.Vendor, c, based))
}

type cloneInput struct {
	httpx.ByID
	httpx.Once
	Body *struct {
		Name string `json:"name,omitempty" maxLength:"120" doc:"Without it the same as the original's"`
	} `required:"false"`
}

func (h *campaigns) clone(ctx context.Context, who httpx.Principal, in *cloneInput) (*httpx.Reply[campaignBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	name := ""
	if in.Body != nil {
		name = strings.TrimSpace(in.Body.Name)
	}
	return once(ctx, in.Once, name, newCampaignBody, func(o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.CloneCampaign(ctx, who.Vendor, store.Clone{Of: c, Name: name, By: who.User}, o)
	})
}

type rescheduleInput struct {
	httpx.ByID
	httpx.Once
	Body struct {
		ScheduledAt    *time.Time `json:"scheduled_at,omitempty"`
		ScheduledLocal string     `json:"scheduled_local,omitempty" maxLength:"19" doc:"Instead of scheduled_at: what the clocks of time_zone show then" example:"2026-11-25T09:30"`
		TimeZone       string     `json:"time_zone,omitempty" maxLength:"64" doc:"IANA; without it the campaign's"`
	}
}

func (h *campaigns) reschedule(ctx context.Context, who httpx.Principal, in *rescheduleInput) (*httpx.Reply[campaignBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	var when store.StartTime
	replace(&when.At, in.Body.ScheduledAt)
	when.Wall, when.Zone = in.Body.ScheduledLocal, in.Body.TimeZone
	return once(ctx, in.Once, in.Body, newCampaignBody, func(o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.RescheduleCampaign(ctx, who.Vendor, c, when, o)
	})
}

// steerInput is a request whose repeat is harmless anyway: the key may be left out. A
// body is not needed, and not looked at.
type steerInput struct {
	httpx.ByID
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"As in other requests; these may be repeated without it too"`
}

func (h *campaigns) pause(ctx context.Context, who httpx.Principal, in *steerInput) (*httpx.Reply[campaignBody], error) {
	return h.steer(ctx, in, func(c campaign.ID, o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.SteerCampaign(ctx, who.Vendor, c, campaign.Pause, o)
	})
}

func (h *campaigns) resume(ctx context.Context, who httpx.Principal, in *steerInput) (*httpx.Reply[campaignBody], error) {
	return h.steer(ctx, in, func(c campaign.ID, o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.SteerCampaign(ctx, who.Vendor, c, campaign.Resume, o)
	})
}

func (h *campaigns) cancel(ctx context.Context, who httpx.Principal, in *steerInput) (*httpx.Reply[campaignBody], error) {
	return h.steer(ctx, in, func(c campaign.ID, o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.SteerCampaign(ctx, who.Vendor, c, campaign.Cancel, o)
	})
}

// unschedule takes an approval back while its campaign has not begun.
func (h *campaigns) unschedule(ctx context.Context, who httpx.Principal, in *steerInput) (*httpx.Reply[campaignBody], error) {
	return h.steer(ctx, in, func(c campaign.ID, o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.UnscheduleCampaign(ctx, who.Vendor, c, o)
	})
}

func (h *campaigns) steer(ctx context.Context, in *steerInput,
	do func(campaign.ID, store.Once[campaign.Campaign]) (campaign.Campaign, error),
) (*httpx.Reply[campaignBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	run := func(o store.Once[campaign.Campaign]) (campaign.Campaign, error) { return do(c, o) }
	if in.IdempotencyKey != "" {
		return once(ctx, httpx.Once{IdempotencyKey: in.IdempotencyKey}, nil, newCampaignBody, run)
	}
	out, err := run(store.Once[campaign.Campaign]{})
	if err != nil {
		return nil, err
	}
	return httpx.OK(newCampaignBody(out)), nil
}

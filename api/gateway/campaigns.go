package gateway

import (
	"context"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// campaigns is the life of a campaign as its vendor steers it.
type campaigns struct {
	store *store.Store
	keys  *crypt.Keys // previews show what a contact's data make of a message
}

type audienceBody struct {
	AnyLabels      []string `json:"any_labels,omitempty" nullable:"false" maxItems:"50" doc:"Names of labels: a contact with at least one of them"`
	AllLabels      []string `json:"all_labels,omitempty" nullable:"false" maxItems:"50" doc:"Names of labels: a contact must carry every one"`
	ExcludedLabels []string `json:"excluded_labels,omitempty" nullable:"false" maxItems:"50" doc:"Names of labels: a contact with one of them is left out"`
}

func newAudienceBody(a campaign.Audience) audienceBody {
	names := func(ids []campaign.LabelID) []string {
		return mapped(ids, func(l campaign.LabelID) string { return a.Names[l] })
	}
	return audienceBody{AnyLabels: names(a.AnyLabels), AllLabels: names(a.AllLabels), ExcludedLabels: names(a.ExcludedLabels)}
}

type parameterBody struct {
	Source   campaign.Source `json:"source" enum:"FIELD,ATTRIBUTE,TEXT" doc:"Where the text comes from"`
	Name     string          `json:"name,omitempty" maxLength:"128" doc:"FIELD: name or mobile; ATTRIBUTE: the attribute's name"`
	Text     string          `json:"text,omitempty" maxLength:"1024" doc:"TEXT: the same for everybody"`
	Fallback string          `json:"fallback,omitempty" maxLength:"1024" doc:"What to write where a contact has nothing"`
}

type campaignBody struct {
	ID             campaign.ID              `json:"id"`
	Kind           campaign.Kind            `json:"kind" enum:"CAMPAIGN,REPLAY,SINGLE"`
	ParentID       campaign.ID              `json:"parent_id,omitempty" doc:"Of a REPLAY: the campaign whose messages failed"`
	Name           string                   `json:"name"`
	Status         campaign.State           `json:"status" enum:"DRAFT,QUOTED,APPROVED,SCHEDULED,PREPARING,RUNNING,PAUSED,HALTED,COMPLETED,CANCELLED"`
	HaltReason     string                   `json:"halt_reason,omitempty" doc:"Why it is HALTED, or was CANCELLED by itself"`
	HaltRemedy     string                   `json:"halt_remedy,omitempty" doc:"What it means and what to do"`
	HaltUntil      *time.Time               `json:"halt_until,omitempty" doc:"When it goes on by itself, if no event lets it before"`
	ExpiresAt      *time.Time               `json:"expires_at,omitempty" doc:"What has not left by then does not"`
	ExpiresAfter   int64                    `json:"expires_after_hours" doc:"From its start to its end"`
	TemplateID     template.ID              `json:"template_id"`
	SenderNumberID waba.NumberID            `json:"sender_number_id"`
	Category       pricing.Category         `json:"category" doc:"What its messages are billed as"`
	Audience       audienceBody             `json:"audience"`
	Parameters     map[string]parameterBody `json:"parameters" doc:"By the template's variable keys"`
	ScheduledAt    *time.Time               `json:"scheduled_at,omitempty"`
	ScheduledLocal string                   `json:"scheduled_local,omitempty" doc:"What the clocks of time_zone show then" example:"2026-11-25T09:30:00"`
	TimeZone       string                   `json:"time_zone" example:"Asia/Kolkata"`
	Misfire        campaign.Misfire         `json:"misfire_policy" enum:"SEND,SKIP,ASK" doc:"What happens when it cannot start within the tolerance of its time: send late, cancel, or halt and ask"`
	Tolerance      int64                    `json:"misfire_tolerance_seconds"`
	QuietHours     *quietBody               `json:"quiet_hours,omitempty" doc:"When nobody is written to, by the recipient's own clock"`
	QuotationID    quotation.ID             `json:"quotation_id,omitempty" doc:"The standing or accepted quotation"`
	FurtherID      quotation.ID             `json:"further_quotation_id,omitempty" doc:"The accepted quotation of what the audience grew by"`
	CreatedBy      vendor.UserID            `json:"created_by,omitempty"`
	CreatedAt      time.Time                `json:"created_at"`
	ApprovedAt     *time.Time               `json:"approved_at,omitempty"`
	FrozenAt       *time.Time               `json:"frozen_at,omitempty" doc:"When its audience was fixed"`
	StartedAt      *time.Time               `json:"started_at,omitempty"`
	FinishedAt     *time.Time               `json:"finished_at,omitempty" doc:"When its books were closed"`
}

func newCampaignBody(c campaign.Campaign) campaignBody {
	b := campaignBody{
		ID: c.ID, Kind: c.Kind, ParentID: c.Parent, Name: c.Name, Status: c.State, HaltReason: c.HaltReason, HaltRemedy: c.HaltRemedy,
		HaltUntil: optional(c.HaltUntil), ExpiresAt: optional(c.ExpiresAt), ExpiresAfter: int64(c.Lifetime / time.Hour), TemplateID: c.Template, SenderNumberID: c.SenderNumber,
		Category: c.Category, Audience: newAudienceBody(c.Audience), Parameters: map[string]parameterBody{},
		ScheduledAt: optional(c.ScheduledAt), TimeZone: c.TimeZone, QuotationID: quotation.ID(c.Quotation), CreatedBy: c.CreatedBy,
		Misfire: c.Misfire, Tolerance: int64(c.Tolerance / time.Second), FurtherID: quotation.ID(c.Further),
		CreatedAt: c.CreatedAt, ApprovedAt: optional(c.ApprovedAt), FrozenAt: optional(c.FrozenAt),
		StartedAt: optional(c.StartedAt), FinishedAt: optional(c.FinishedAt),
	}
	for key, p := range c.Parameters {
		b.Parameters[key] = parameterBody(p)
	}
	if zone, err := time.LoadLocation(c.TimeZone); err == nil && !c.ScheduledAt.IsZero() {
		b.ScheduledLocal = c.ScheduledAt.In(zone).Format(campaign.WallClock + ":05")
	}
	if from, to := c.Quiet.Clock(); !c.Quiet.IsZero() {
		b.QuietHours = &quietBody{From: from, To: to}
	}
	return b
}

// optional leaves a time that has not come out of the answer.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type createCampaignInput struct {
	httpx.Once
	Body struct {
		Name           string                   `json:"name" minLength:"1" maxLength:"120"`
		TemplateID     template.ID              `json:"template_id" format:"uuid"`
		SenderNumberID waba.NumberID            `json:"sender_number_id" format:"uuid"`
		Audience       audienceBody             `json:"audience"`
		Parameters     map[string]parameterBody `json:"parameters,omitempty" doc:"What fills each variable of the template, by its key: body.1, header.1, body.first_name, button.0"`
		ScheduledAt    *time.Time               `json:"scheduled_at,omitempty" doc:"Without it and scheduled_local: as soon as it is approved"`
		ScheduledLocal string                   `json:"scheduled_local,omitempty" maxLength:"19" doc:"Instead of scheduled_at: what the clocks of time_zone show then. A time they skip is moved on by as much as they skip; of one they show twice the first is meant" example:"2026-11-25T09:30"`
		TimeZone       string                   `json:"time_zone,omitempty" maxLength:"64" doc:"IANA; without it the vendor's" example:"Asia/Kolkata"`
		Misfire        campaign.Misfire         `json:"misfire_policy,omitempty" enum:"SEND,SKIP,ASK" doc:"Without it SEND"`
		Tolerance      *int64                   `json:"misfire_tolerance_seconds,omitempty" minimum:"0" maximum:"604800" doc:"Without it 900"`
		QuietHours     quietBody                `json:"quiet_hours,omitzero" doc:"When nobody is written to, by the recipient's own clock"`
		ExpiresAfter   int64                    `json:"expires_after_hours,omitempty" minimum:"1" maximum:"720" doc:"From its start to its end; what has not left by then does not. Without it 72"`
	}
}

func (h *campaigns) create(ctx context.Context, who httpx.Principal, in *createCampaignInput) (*httpx.Reply[campaignBody], error) {
	t, err := httpx.ID[template.ID](string(in.Body.TemplateID))
	if err != nil {
		return nil, template.ErrNotFound
	}
	n, err := httpx.ID[waba.NumberID](string(in.Body.SenderNumberID))
	if err != nil {
		return nil, waba.ErrNumberNotFound
	}
	spec := campaign.NewCampaign{
		Name: in.Body.Name, Template: t, SenderNumber: n, Audience: campaign.NamedAudience(in.Body.Audience),
		Parameters: newParameters(in.Body.Parameters), Wall: in.Body.ScheduledLocal, TimeZone: in.Body.TimeZone,
		Misfire: in.Body.Misfire, Tolerance: campaign.DefaultTolerance, By: who.User,
		Lifetime: time.Duration(in.Body.ExpiresAfter) * time.Hour,
	}
	if in.Body.Tolerance != nil {
		spec.Tolerance = time.Duration(*in.Body.Tolerance) * time.Second
	}
	if spec.Quiet, err = campaign.ParseQuietHours(in.Body.QuietHours.From, in.Body.QuietHours.To); err != nil {
		return nil, err
	}
	if in.Body.ScheduledAt != nil {
		spec.ScheduledAt = *in.Body.ScheduledAt
	}
	return once(ctx, in.Once, in.Body, newCampaignBody, func(o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.CreateCampaign(ctx, who.Vendor, spec, time.Now(), o)
	})
}

type listCampaignsInput struct {
	httpx.Page
	Status         campaign.State `query:"status" enum:"DRAFT,QUOTED,APPROVED,SCHEDULED,PREPARING,RUNNING,PAUSED,HALTED,COMPLETED,CANCELLED"`
	Kind           campaign.Kind  `query:"kind" enum:"CAMPAIGN,REPLAY,SINGLE" default:"CAMPAIGN" doc:"Replays of dead letters are listed when asked for"`
	TemplateID     template.ID    `query:"template_id" format:"uuid"`
	SenderNumberID waba.NumberID  `query:"sender_number_id" format:"uuid"`
	CreatedFrom    time.Time      `query:"created_from" doc:"Made then or later"`
	CreatedTo      time.Time      `query:"created_to" doc:"Made before then"`
}

func (h *campaigns) list(ctx context.Context, who httpx.Principal, in *listCampaignsInput) (*httpx.Reply[httpx.List[campaignBody]], error) {
	before, err := cursorID[campaign.ID](in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := h.store.ListCampaigns(ctx, who.Vendor, store.CampaignFilter{
		State: in.Status, Kind: in.Kind, Template: in.TemplateID, SenderNumber: in.SenderNumberID, CreatedFrom: in.CreatedFrom, CreatedTo: in.CreatedTo,
	}, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(rows, newCampaignBody), in.Limit, func(b campaignBody) campaign.ID { return b.ID })), nil
}

// cursorID reads a cursor that is the id of the last row seen.
func cursorID[T ~string](cursor string) (T, error) {
	last, err := httpx.DecodeCursor[T](cursor)
	if err != nil || last == "" {
		return "", err
	}
	if _, err := httpx.ID[T](string(last)); err != nil {
		return "", httpx.NewProblem(400, "request.bad_cursor", "the cursor is not one of ours: begin with the first page")
	}
	return last, nil
}

type messageCounts struct {
	Total       int64 `json:"total"`
	Queued      int64 `json:"queued"`
	Sending     int64 `json:"sending" doc:"On the wire"`
	Unknown     int64 `json:"unknown" doc:"Left, and Meta has not answered yet"`
	Unconfirmed int64 `json:"unconfirmed" doc:"Left, and Meta never answered; not sent again"`
	Sent        int64 `json:"sent" doc:"Accepted by Meta, whatever came after"`
	Delivered   int64 `json:"delivered" doc:"Of those sent; read ones included"`
	Read        int64 `json:"read"`
	Failed      int64 `json:"failed" doc:"Rejected, and failed after acceptance"`
	Rejected    int64 `json:"rejected" doc:"Refused by Meta, never accepted"`
	Suppressed  int64 `json:"suppressed" doc:"Opted out before it was sent"`
	Cancelled   int64 `json:"cancelled"`
	Expired     int64 `json:"expired"`

	CountedAt *time.Time `json:"counted_at,omitempty" doc:"A large campaign's are counted now and then, at most a minute ago, and whenever its status changes"`
}

type campaignMoney struct {
	Currency       money.Currency `json:"currency,omitempty"`
	QuotedMicros   money.Micros   `json:"quoted_micros"`
	HeldMicros     money.Micros   `json:"held_micros" doc:"Still held"`
	CapturedMicros money.Micros   `json:"captured_micros" doc:"Charged, before refunds"`
	ReleasedMicros money.Micros   `json:"released_micros" doc:"Held and given back"`
	RefundedMicros money.Micros   `json:"refunded_micros" doc:"Charged and given back"`
}

type campaignDetail struct {
	campaignBody
	Messages messageCounts `json:"messages"`
	Money    campaignMoney `json:"money"`
}

func (h *campaigns) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Versioned[campaignDetail], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	o, err := h.store.CampaignOverview(ctx, who.Vendor, c)
	if err != nil {
		return nil, err
	}
	n := o.Counts
	return httpx.WithVersion(campaignDetail{
		campaignBody: newCampaignBody(o.Campaign),
		Messages: messageCounts{
			Total: n.Total, Queued: n.Queued, Sending: n.Sending, Unknown: n.Unknown, Unconfirmed: n.Unconfirmed, Sent: n.Sent,
			Delivered: n.Delivered, Read: n.Read, Failed: n.Failed, Rejected: n.Rejected, Suppressed: n.Suppressed,
			Cancelled: n.Cancelled, Expired: n.Expired, CountedAt: optional(o.Counted),
		},
		Money: campaignMoney{
			Currency: o.Currency, QuotedMicros: o.Quoted, HeldMicros: o.Money.Held - o.Money.Captured - o.Money.Released,
			CapturedMicros: o.Money.Captured, ReleasedMicros: o.Money.Released, RefundedMicros: o.Money.Refunded,
		},
	}, o.Campaign.Version), nil
}

type approveInput struct {
	httpx.ByID
	httpx.Once
	Body struct {
		QuotationID quotation.ID `json:"quotation_id" format:"uuid" doc:"The quotation that is accepted; its total is held in the wallet"`
	}
}

func (h *campaigns) approve(ctx context.Context, who httpx.Principal, in *approveInput) (*httpx.Reply[campaignBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	q, err := httpx.ID[quotation.ID](string(in.Body.QuotationID))
	if err != nil {
		return nil, quotation.ErrNotFound
	}
	return once(ctx, in.Once, in.Body, newCampaignBody, func(o store.Once[campaign.Campaign]) (campaign.Campaign, error) {
		return h.store.ApproveCampaign(ctx, who.Vendor, store.Approval{Campaign: c, Quotation: q, At: time.Now()}, o)
	})
}

type messageBody struct {
	ID             message.ID     `json:"id"`
	ContactID      string         `json:"contact_id"`
	Country        string         `json:"country"`
	Status         message.Status `json:"status" enum:"QUEUED,SENDING,UNKNOWN,UNCONFIRMED,SENT,FAILED,DELIVERED,READ,SUPPRESSED,CANCELLED,EXPIRED"`
	Attempts       int            `json:"attempts"`
	Wamid          string         `json:"wamid,omitempty" doc:"Meta's id"`
	PriceMicros    money.Micros   `json:"price_micros"`
	CapturedMicros money.Micros   `json:"captured_micros"`
	RefundedMicros money.Micros   `json:"refunded_micros"`
	ErrorCode      int            `json:"error_code,omitempty" doc:"Meta's"`
	ErrorTitle     string         `json:"error_title,omitempty"`
	ErrorRemedy    string         `json:"error_remedy,omitempty" doc:"What the code means and what to do"`
	CreatedAt      time.Time      `json:"created_at"`
	SentAt         *time.Time     `json:"sent_at,omitempty"`
	DeliveredAt    *time.Time     `json:"delivered_at,omitempty"`
	ReadAt         *time.Time     `json:"read_at,omitempty"`
	FailedAt       *time.Time     `json:"failed_at,omitempty"`
	RetryCount     int            `json:"retry_count" doc:"How often it was tried again"`
	NextRetryAt    *time.Time     `json:"next_retry_at,omitempty" doc:"When it is tried again, at the earliest"`
}

func newMessageBody(m store.CampaignMessage) messageBody {
	remedy := ""
	if known, ok := meta.Lookup(m.ErrorCode, 0); ok && m.ErrorCode != 0 {
		remedy = known.Remedy
	}
	return messageBody{
		ID: m.ID, ContactID: m.Contact, Country: m.Country, Status: m.Status, Attempts: m.Attempts, Wamid: m.Wamid,
		PriceMicros: m.Price, CapturedMicros: m.Captured, RefundedMicros: m.Refunded, ErrorCode: m.ErrorCode, ErrorTitle: m.ErrorTitle,
		CreatedAt: m.CreatedAt.UTC(), SentAt: m.Sent, DeliveredAt: m.Delivered, ReadAt: m.Read, FailedAt: m.Failed,
		ErrorRemedy: remedy, RetryCount: max(m.Attempts-1, 0), NextRetryAt: m.RetryAt,
	}
}

type listMessagesInput struct {
	httpx.ByID
	httpx.Page
	Status message.Status `query:"status" enum:"QUEUED,SENDING,UNKNOWN,UNCONFIRMED,SENT,FAILED,DELIVERED,READ,SUPPRESSED,CANCELLED,EXPIRED"`
}

func (h *campaigns) messages(ctx context.Context, who httpx.Principal, in *listMessagesInput) (*httpx.Reply[httpx.List[messageBody]], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	after, err := httpx.DecodeCursor[message.ID](in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := h.store.ListMessages(ctx, who.Vendor, c, store.MessagePage{Status: in.Status, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(rows, newMessageBody), in.Limit, func(b messageBody) message.ID { return b.ID })), nil
}

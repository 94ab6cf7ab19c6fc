package gateway

import (
	"context"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/store"
)

// explains says why campaigns and messages wait.
type explains struct {
	store *store.Store
	pace  *ratelimit.Limiter
}

type explainLine struct {
	Code    explain.Code     `json:"code" doc:"Permanent" example:"RATE"`
	Text    string           `json:"text" example:"12000 messages queued for a number that takes 80 a second."`
	Since   *time.Time       `json:"since,omitempty"`
	Until   *time.Time       `json:"until,omitempty" doc:"Absent where nobody can tell"`
	Numbers map[string]int64 `json:"numbers,omitempty" doc:"What the text is made of; estimated is 1 where counts come from a sample"`
}

func newExplainLines(lines []explain.Line) []explainLine {
	return mapped(lines, func(l explain.Line) explainLine {
		return explainLine{Code: l.Code, Text: l.Text, Since: optional(l.Since), Until: optional(l.Until), Numbers: l.Numbers}
	})
}

type campaignExplained struct {
	CampaignID campaign.ID    `json:"campaign_id"`
	Status     campaign.State `json:"status"`
	At         time.Time      `json:"at" doc:"As of when"`
	FinishAt   *time.Time     `json:"finish_at,omitempty" doc:"When the last message should have left: what waits and is in flight, divided by the number's rate; never before the last one that is put off. Absent where a person has to act first"`
	Waits      []explainLine  `json:"waits" nullable:"false" doc:"The most telling first"`
}

func (h *explains) campaign(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[campaignExplained], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	f, err := h.store.CampaignFacts(ctx, who.Vendor, c, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	if f.State == campaign.Running {
		// Without Redis nothing is sent either: what else is known is told.
		f.PacePerSecond, _ = h.pace.Pace(ctx, f.MetaNumber, f.RatePerSecond)
	}
	r := explain.Campaign(f, meta.Remedy)
	return httpx.OK(campaignExplained{
		CampaignID: c, Status: f.State, At: f.Now, FinishAt: optional(r.FinishAt), Waits: newExplainLines(r.Lines),
	}), nil
}

type attemptBody struct {
	Attempt     int            `json:"attempt"`
	Status      message.Status `json:"status" enum:"SENDING,UNKNOWN,UNCONFIRMED,SENT,FAILED,DELIVERED,READ"`
	SendingAt   time.Time      `json:"sending_at"`
	SentAt      *time.Time     `json:"sent_at,omitempty"`
	DeliveredAt *time.Time     `json:"delivered_at,omitempty"`
	ReadAt      *time.Time     `json:"read_at,omitempty"`
	FailedAt    *time.Time     `json:"failed_at,omitempty"`
	Code        int            `json:"code,omitempty" doc:"Meta's"`
	Title       string         `json:"title,omitempty"`
	Remedy      string         `json:"remedy,omitempty"`
	NextRetryAt *time.Time     `json:"next_retry_at,omitempty" doc:"When it is made again"`
}

type messageExplained struct {
	MessageID message.ID     `json:"message_id"`
	Status    message.Status `json:"status"`
	At        time.Time      `json:"at" doc:"As of when"`
	FinishAt  *time.Time     `json:"finish_at,omitempty" doc:"When it should leave; absent where nobody can tell"`
	Waits     []explainLine  `json:"waits" nullable:"false" doc:"Why it waits, or how it ended; the most telling first"`
	Attempts  []attemptBody  `json:"attempts" nullable:"false"`
}

func (h *explains) message(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[messageExplained], error) {
	m, err := messageID(in.ID)
	if err != nil {
		return nil, err
	}
	f, err := h.store.MessageFacts(ctx, who.Vendor, m, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	r := explain.Message(f, meta.Remedy)
	return httpx.OK(messageExplained{
		MessageID: m, Status: f.Status, At: f.Now, FinishAt: optional(r.FinishAt), Waits: newExplainLines(r.Lines),
		Attempts: mapped(f.Attempts, func(a explain.Attempt) attemptBody {
			return attemptBody{
				Attempt: a.Number, Status: a.Status, SendingAt: a.SendingAt, SentAt: optional(a.SentAt), DeliveredAt: optional(a.DeliveredAt),
				ReadAt: optional(a.ReadAt), FailedAt: optional(a.FailedAt), Code: a.Code, Title: a.Title, Remedy: meta.Remedy(a.Code),
				NextRetryAt: optional(a.Next),
			}
		}),
	}), nil
}

// messageID reads a message's id from a path. What cannot be one is not there.
func messageID(text string) (message.ID, error) {
	m, err := strconv.ParseInt(text, 10, 64)
	if err != nil || m <= 0 {
		return 0, message.ErrNotFound
	}
	return message.ID(m), nil
}

type messageDetail struct {
	messageBody
	CampaignID campaign.ID `json:"campaign_id"`
}

func (h *explains) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[messageDetail], error) {
	m, err := messageID(in.ID)
	if err != nil {
		return nil, err
	}
	out, err := h.store.Message(ctx, who.Vendor, m)
	if err != nil {
		return nil, err
	}
	return httpx.OK(messageDetail{messageBody: newMessageBody(out.CampaignMessage), CampaignID: out.Campaign}), nil
}

package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// deadLetters shows what failed for good and sends it again.
type deadLetters struct {
	store *store.Store
	keys  *crypt.Keys
}

type letterBody struct {
	ID               letter.ID     `json:"id"`
	Source           letter.Source `json:"source" enum:"MESSAGE,EVENT" doc:"MESSAGE: of a campaign; EVENT: work that could not be started"`
	CampaignID       campaign.ID   `json:"campaign_id,omitempty"`
	MessageID        message.ID    `json:"message_id,omitempty"`
	Attempt          int           `json:"attempt,omitempty"`
	EventKind        string        `json:"event_kind,omitempty"`
	SubjectID        string        `json:"subject_id,omitempty"`
	CauseClass       string        `json:"cause_class" doc:"What kind of failure it is" example:"RECIPIENT"`
	Code             int           `json:"code,omitempty" doc:"Meta's" example:"131026"`
	Title            string        `json:"title" doc:"What was said about it"`
	Remedy           string        `json:"remedy,omitempty" doc:"What to do"`
	CreatedAt        time.Time     `json:"created_at"`
	ReplayedAt       *time.Time    `json:"replayed_at,omitempty"`
	ReplayCampaignID campaign.ID   `json:"replay_campaign_id,omitempty" doc:"The campaign that sends it again"`
	FromReplay       bool          `json:"from_replay" doc:"It was a replay that failed: filters pass it over"`
}

// unconfirmedRemedy is of the one failure that has no code.
const unconfirmedRemedy = "It may have arrived. A later word of Meta's still settles it; a replay could bring it to the person twice."

func newLetterBody(l store.DeadLetter) letterBody {
	return letterBody{
		ID: l.ID, Source: l.Source, CampaignID: l.Campaign, MessageID: l.Message, Attempt: l.Attempt, EventKind: l.EventKind,
		SubjectID: l.Subject, CauseClass: l.CauseClass, Code: l.Code, Title: l.Reason, Remedy: letterRemedy(l), CreatedAt: l.CreatedAt,
		ReplayedAt: optional(l.ReplayedAt), ReplayCampaignID: l.Replay, FromReplay: l.FromReplay,
	}
}

func letterRemedy(l store.DeadLetter) string {
	if l.Code == 0 && l.CauseClass == string(message.Unconfirmed) {
		return unconfirmedRemedy
	}
	return meta.Remedy(l.Code)
}

// LetterFilter narrows dead letters down; it is exported since inputs embed it.
type LetterFilter struct {
	CampaignID campaign.ID   `json:"campaign_id,omitempty" query:"campaign_id" format:"uuid"`
	CauseClass string        `json:"cause_class,omitempty" query:"cause_class" maxLength:"64"`
	Code       int           `json:"code,omitempty" query:"code" minimum:"0" maximum:"2147483647" doc:"Meta's"`
	Source     letter.Source `json:"source,omitempty" query:"source" enum:"MESSAGE,EVENT"`
	From       time.Time     `json:"from,omitzero" query:"from" doc:"Made then or later"`
	To         time.Time     `json:"to,omitzero" query:"to" doc:"Made before then"`
}

func (f LetterFilter) filter() letter.Filter {
	return letter.Filter{Campaign: f.CampaignID, CauseClass: f.CauseClass, Code: f.Code, Source: f.Source, From: f.From, To: f.To}
}

// LetterQuery is LetterFilter for lists; it is exported since inputs embed it.
type LetterQuery struct {
	LetterFilter

	Replayed string `query:"replayed" enum:"true,false" doc:"Only those that were, or were not, sent again"`
}

func (q LetterQuery) query() store.LetterQuery {
	out := store.LetterQuery{Filter: q.filter()}
	if q.Replayed != "" {
		out.Replayed = new(q.Replayed == "true")
	}
	return out
}

type listLettersInput struct {
	httpx.Page
	LetterQuery
}

func (h *deadLetters) list(ctx context.Context, who httpx.Principal, in *listLettersInput) (*httpx.Reply[httpx.List[letterBody]], error) {
	after, err := httpx.DecodeCursor[store.LetterCursor](in.Cursor)
	if err != nil {
		return nil, err
	}
	if _, err := httpx.ID[letter.ID](string(after.ID)); err != nil && in.Cursor != "" {
		return nil, httpx.NewProblem(http.StatusBadRequest, "request.bad_cursor", "the cursor is not one of ours: begin with the first page")
	}
	rows, err := h.store.ListDeadLetters(ctx, who.Vendor, in.query(), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(rows, newLetterBody), in.Limit, func(b letterBody) store.LetterCursor {
		return store.LetterCursor{At: b.CreatedAt, ID: b.ID}
	})), nil
}

type letterCause struct {
	Source     letter.Source `json:"source" enum:"MESSAGE,EVENT"`
	CauseClass string        `json:"cause_class"`
	Code       int           `json:"code,omitempty" doc:"Meta's"`
	Title      string        `json:"title,omitempty" doc:"Our name of the code"`
	Remedy     string        `json:"remedy,omitempty"`
	Letters    int64         `json:"letters"`
	Replayed   int64         `json:"replayed" doc:"Of those, sent again"`
	FromReplay int64         `json:"from_replay" doc:"Of those, failed in a replay"`
	FirstAt    time.Time     `json:"first_at"`
	LatestAt   time.Time     `json:"latest_at"`
}

type letterSummary struct {
	Letters int64         `json:"letters"`
	Causes  []letterCause `json:"causes" nullable:"false" doc:"The most frequent first"`
}

func (h *deadLetters) summary(ctx context.Context, who httpx.Principal, in *LetterQuery) (*httpx.Reply[letterSummary], error) {
	rows, err := h.store.SummarizeDeadLetters(ctx, who.Vendor, in.query())
	if err != nil {
		return nil, err
	}
	out := letterSummary{Causes: make([]letterCause, len(rows))}
	for i, c := range rows {
		out.Letters += c.Letters
		out.Causes[i] = letterCause{
			Source: c.Source, CauseClass: c.CauseClass, Code: c.Code, Remedy: letterRemedy(store.DeadLetter{CauseClass: c.CauseClass, Code: c.Code}),
			Letters: c.Letters, Replayed: c.Replayed, FromReplay: c.FromReplay, FirstAt: c.First.UTC(), LatestAt: c.Latest.UTC(),
		}
		if known, ok := meta.Lookup(c.Code, 0); ok && c.Code != 0 {
			out.Causes[i].Title = known.Name
		}
	}
	return httpx.OK(out), nil
}

type letterMessage struct {
	ContactID   string         `json:"contact_id"`
	Phone       string         `json:"phone" doc:"Masked but for its last digits" example:"+••••••••3210"`
	Country     string         `json:"country"`
	Status      message.Status `json:"status" enum:"QUEUED,SENDING,UNKNOWN,UNCONFIRMED,SENT,FAILED,DELIVERED,READ,SUPPRESSED,CANCELLED,EXPIRED" doc:"Now: a late word of Meta's may have raised it"`
	PriceMicros money.Micros   `json:"price_micros"`
	SendingAt   *time.Time     `json:"sending_at,omitempty" doc:"When the attempt was made"`
	SentAt      *time.Time     `json:"sent_at,omitempty" doc:"When Meta accepted it, if it did"`
	FailedAt    *time.Time     `json:"failed_at,omitempty"`
	MetaTitle   string         `json:"meta_title,omitempty" doc:"Meta's own words"`
}

type letterReplay struct {
	MessageID message.ID     `json:"message_id"`
	Status    message.Status `json:"status"`
}

type letterDetail struct {
	letterBody
	Message *letterMessage `json:"message,omitempty" doc:"Absent once it is not kept any more"`
	Replay  *letterReplay  `json:"replay,omitempty" doc:"The message that replaces it, once it is made"`
}

func (h *deadLetters) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[letterDetail], error) {
	key, err := httpx.ID[letter.ID](in.ID)
	if err != nil {
		return nil, err
	}
	l, err := h.store.DeadLetter(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	out := letterDetail{letterBody: newLetterBody(l.DeadLetter)}
	if !l.Found {
		return httpx.OK(out), nil
	}
	masked, err := h.masked(ctx, who, l)
	if err != nil {
		return nil, err
	}
	out.Message = &letterMessage{
		ContactID: l.Contact, Phone: masked, Country: l.Country, Status: l.Status, PriceMicros: l.Price, SendingAt: optional(l.SendingAt),
		SentAt: optional(l.SentAt), FailedAt: optional(l.FailedAt), MetaTitle: l.ErrorTitle,
	}
	if l.ReplayMessage != 0 {
		out.Replay = &letterReplay{MessageID: l.ReplayMessage, Status: l.ReplayStatus}
	}
	return httpx.OK(out), nil
}

// masked is enough of a number for its vendor to know it, and too little for others.
func (h *deadLetters) masked(ctx context.Context, who httpx.Principal, l store.DeadLetterDetail) (string, error) {
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return "", err
	}
	number, err := keys.Decrypt(crypt.Mobile, l.Contact, l.MobileCT)
	if err != nil {
		return "", err
	}
	return phone.Mask(string(number)), nil
}

type replayInput struct {
	httpx.Once
	Body struct {
		IDs    []letter.ID   `json:"ids,omitempty" nullable:"false" maxItems:"1000" doc:"Letters by their ids"`
		Filter *LetterFilter `json:"filter,omitempty" doc:"Or all that it lets through, of those that were not sent again yet"`

		RatePerSecond      int  `json:"rate_per_second,omitempty" minimum:"1" maximum:"1000" doc:"Without it: as fast as the sender number may"`
		IncludeUnconfirmed bool `json:"include_unconfirmed,omitempty" doc:"Also what may have arrived: a person may get it twice"`
		IncludeReplayed    bool `json:"include_replayed,omitempty" doc:"With filter: also what failed in a replay before"`
		DryRun             bool `json:"dry_run,omitempty" doc:"Count and price, and change nothing"`
	}
}

func (in *replayInput) replay(who httpx.Principal) letter.Replay {
	r := letter.Replay{
		IDs: in.Body.IDs, RatePerSecond: in.Body.RatePerSecond, IncludeUnconfirmed: in.Body.IncludeUnconfirmed,
		IncludeReplayed: in.Body.IncludeReplayed, DryRun: in.Body.DryRun, By: who.User,
	}
	if in.Body.Filter != nil {
		r.Filter = in.Body.Filter.filter()
	}
	return r
}

type replayCampaignBody struct {
	CampaignID  campaign.ID  `json:"campaign_id,omitempty" doc:"Absent in a dry run"`
	ParentID    campaign.ID  `json:"parent_id" doc:"Whose messages failed"`
	Messages    int          `json:"messages"`
	PriceMicros money.Micros `json:"price_micros" doc:"What is held for it"`
}

type replayCauseBody struct {
	Source      letter.Source `json:"source" enum:"MESSAGE,EVENT"`
	CauseClass  string        `json:"cause_class"`
	Code        int           `json:"code,omitempty"`
	Letters     int           `json:"letters"`
	PriceMicros money.Micros  `json:"price_micros"`
}

type replayBody struct {
	DryRun           bool                 `json:"dry_run"`
	Messages         int                  `json:"messages"`
	Events           int                  `json:"events" doc:"Work put back, without a price"`
	Skipped          int                  `json:"skipped" doc:"Of the ids, those that may not go out again: raised since, in a replay, or unconfirmed"`
	More             bool                 `json:"more" doc:"The filter lets more through than one replay takes: ask again"`
	Currency         money.Currency       `json:"currency"`
	PriceMicros      money.Micros         `json:"price_micros"`
	BalanceMicros    money.Micros         `json:"balance_micros" doc:"Of the wallet, before"`
	WalletSufficient bool                 `json:"wallet_sufficient"`
	Campaigns        []replayCampaignBody `json:"campaigns" nullable:"false"`
	Causes           []replayCauseBody    `json:"causes" nullable:"false"`
}

func newReplayBody(r store.Replayed) replayBody {
	return replayBody{
		DryRun: r.DryRun, Messages: r.Messages, Events: r.Events, Skipped: r.Skipped, More: r.More, Currency: r.Currency,
		PriceMicros: r.Price, BalanceMicros: r.Balance, WalletSufficient: r.Sufficient(),
		Campaigns: mapped(r.Campaigns, func(c store.ReplayCampaign) replayCampaignBody {
			return replayCampaignBody{CampaignID: c.ID, ParentID: c.Parent, Messages: c.Messages, PriceMicros: c.Price}
		}),
		Causes: mapped(r.Causes, func(c store.ReplayCause) replayCauseBody {
			return replayCauseBody{Source: c.Source, CauseClass: c.CauseClass, Code: c.Code, Letters: c.Letters, PriceMicros: c.Price}
		}),
	}
}

// replayOutput answers 202 to a replay and 200 to a dry run.
type replayOutput struct {
	Status int
	Body   replayBody
}

func (h *deadLetters) replay(ctx context.Context, who httpx.Principal, in *replayInput) (*replayOutput, error) {
	ask := in.replay(who)
	for i, l := range ask.IDs {
		var err error
		if ask.IDs[i], err = httpx.ID[letter.ID](string(l)); err != nil {
			return nil, letter.ErrNotFound
		}
	}
	if ask.DryRun { // it uses no key up: the same key may do it in earnest
		out, err := h.store.ReplayDeadLetters(ctx, who.Vendor, ask, store.Once[store.Replayed]{})
		return &replayOutput{Status: http.StatusOK, Body: newReplayBody(out)}, err
	}
	reply, err := once(ctx, in.Once, in.Body, newReplayBody, func(o store.Once[store.Replayed]) (store.Replayed, error) {
		return h.store.ReplayDeadLetters(ctx, who.Vendor, ask, o)
	})
	if err != nil {
		return nil, err
	}
	return &replayOutput{Status: http.StatusAccepted, Body: reply.Body}, nil
}

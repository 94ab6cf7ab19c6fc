package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/store"
)

// limits shows what Meta lets a number do, and what a campaign will meet of it.
type limits struct {
	store *store.Store
	pace  *ratelimit.Limiter
}

type pairBody struct {
	Seconds int `json:"seconds" doc:"Meta takes one message to the same person in so many seconds"`
	Burst   int `json:"burst" doc:"and so many at once, to be waited off afterwards"`
}

type portfolioBody struct {
	ID         string     `json:"id" doc:"Meta's id of the business portfolio; an account of which Meta does not tell it stands for it"`
	Tier       string     `json:"tier" doc:"Meta's messaging limit; empty until it was read" example:"TIER_2K"`
	DailyLimit *int       `json:"daily_limit,omitempty" doc:"People in any 24 hours, over all numbers of the portfolio; absent when unlimited"`
	Reached    *int       `json:"reached,omitempty" doc:"People that count now"`
	Left       *int       `json:"left,omitempty" doc:"People that may still be written to now"`
	RoomAt     *time.Time `json:"room_at,omitempty" doc:"When there is room again; absent while there is"`
}

type limitsBody struct {
	SenderNumberID waba.NumberID   `json:"sender_number_id"`
	RatePerSecond  int             `json:"rate_per_second" doc:"Messages a second that Meta takes from the number"`
	RateSource     waba.RateSource `json:"rate_source" enum:"ASSUMED,THROUGHPUT_LEVEL,COEXISTENCE" doc:"From what the rate was concluded"`
	PacePerSecond  *float64        `json:"pace_per_second,omitempty" doc:"How fast it is sent now: a little below the rate, and less while the number recovers from a refusal. Absent while the pace cannot be asked for"`
	Throughput     string          `json:"throughput_level"`
	Quality        string          `json:"quality_rating"`
	Pair           pairBody        `json:"pair"`
	Portfolio      *portfolioBody  `json:"portfolio,omitempty" doc:"Absent until Meta was asked: sync the templates"`
	LearntAt       *time.Time      `json:"learnt_at,omitempty" doc:"When Meta was asked last"`
}

func newPortfolioBody(l store.SenderLimits, now time.Time) *portfolioBody {
	if l.Portfolio.ID == "" {
		return nil
	}
	b := &portfolioBody{ID: l.Portfolio.ID, Tier: l.Portfolio.Tier}
	if !l.Budget.Limited() {
		return b
	}
	reached, left := l.Budget.Reached(now), l.Budget.Left(now)
	b.DailyLimit, b.Reached, b.Left = &l.Budget.Limit, &reached, &left
	if left == 0 {
		b.RoomAt = new(l.Budget.RoomAt(now, 1).UTC())
	}
	return b
}

// get shows a number's limits as they stand.
func (h *limits) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[limitsBody], error) {
	key, err := httpx.ID[waba.NumberID](in.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l, err := h.store.SenderLimits(ctx, who.Vendor, key, now)
	if err != nil {
		return nil, err
	}
	b := limitsBody{
		SenderNumberID: l.Number.ID, RatePerSecond: l.Number.RatePerSecond, RateSource: l.Number.RateSource,
		Throughput: l.Number.Throughput, Quality: l.Number.Quality, LearntAt: optional(l.Number.LearntAt),
		Pair:      pairBody{Seconds: int(ratelimit.PairInterval / time.Second), Burst: ratelimit.PairBurst},
		Portfolio: newPortfolioBody(l, now),
	}
	// Without Redis nothing is sent either: what is known is shown.
	if pace, err := h.pace.Pace(ctx, l.Number.MetaID, l.Number.RatePerSecond); err == nil {
		b.PacePerSecond = &pace
	}
	return httpx.OK(b), nil
}

type forecastBody struct {
	People        int64     `json:"people" doc:"Who are written to, each once"`
	RatePerSecond int       `json:"rate_per_second"`
	DailyLimit    *int      `json:"daily_limit,omitempty" doc:"Of the portfolio, people in any 24 hours; absent when unlimited"`
	Left          *int      `json:"left,omitempty" doc:"Of the daily limit, now"`
	FinishAt      time.Time `json:"finish_at" doc:"When it would be done, begun now and with nothing else sent from the portfolio"`
	Summary       string    `json:"summary" doc:"The same for people"`
}

// forecast tells what a campaign of people would meet; nil once its quotation stands no more.
func forecast(ctx context.Context, s *store.Store, who httpx.Principal, c campaign.ID, q quotationBody) (*forecastBody, error) {
	if q.Status != quotation.Issued {
		return nil, nil //nolint:nilnil // nothing to foretell
	}
	now := time.Now()
	f, err := s.Forecast(ctx, who.Vendor, c, int(q.Quantity), now)
	if err != nil {
		return nil, err
	}
	b := &forecastBody{People: q.Quantity, RatePerSecond: f.Number.RatePerSecond, FinishAt: f.FinishAt.UTC().Truncate(time.Second)}
	done := "Begun now it would be done at " + b.FinishAt.Format(time.RFC3339)
	if !f.Budget.Limited() {
		b.Summary = fmt.Sprintf("It writes to %d people. %s.", f.People, done)
		return b, nil
	}
	b.DailyLimit, b.Left = &f.Budget.Limit, &f.Left
	b.Summary = fmt.Sprintf("It writes to %d people; Meta lets the portfolio write to %d in 24 hours, of which %d are left. %s.",
		f.People, f.Budget.Limit, f.Left, done)
	return b, nil
}

// limiterPrefix is the workers' own unless a test has a corner of its own in Redis.
func limiterPrefix(own string) string {
	if own == "" {
		return ""
	}
	return own + "rl:"
}

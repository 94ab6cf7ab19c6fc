package explain_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/reach"
)

func now() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) }

func ago(d time.Duration) time.Time { return now().Add(-d) }

func in(d time.Duration) time.Time { return now().Add(d) }

func remedy(code int) string {
	if code == 131000 {
		return "Wait."
	}
	return ""
}

// running is a campaign whose rows go out as they should.
func running(change func(*explain.Facts)) explain.Facts {
	f := explain.Facts{
		Now: now(), State: campaign.Running, Kind: campaign.KindCampaign, CreatedAt: ago(time.Hour), ApprovedAt: ago(time.Hour),
		StartedAt: ago(time.Hour), MovedAt: ago(time.Minute), Frozen: 1000, RatePerSecond: 80, Window: 160,
		Due: 400, DueSince: ago(time.Second), Currency: "USD",
	}
	change(&f)
	return f
}

func offered(change func(*explain.Facts)) explain.Facts {
	f := explain.Facts{
		Now: now(), State: campaign.Quoted, CreatedAt: ago(time.Hour), RatePerSecond: 80, Currency: "USD", Balance: 10_000_000,
		Quotation: explain.Quotation{ID: "q", Standing: true, ExpiresAt: in(time.Hour), PDF: "READY", CreatedAt: ago(time.Minute), Total: 9_000_000, Quantity: 800},
	}
	change(&f)
	return f
}

func as(state campaign.State) func(*explain.Facts) { return func(f *explain.Facts) { f.State = state } }

func TestCampaign(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		f      explain.Facts
		codes  []explain.Code
		finish time.Time
	}{
		"a draft wants a price":    {explain.Facts{Now: now(), State: campaign.Draft}, []explain.Code{explain.NotQuoted}, time.Time{}},
		"an offer wants an answer": {offered(func(*explain.Facts) {}), []explain.Code{explain.AwaitingApproval}, time.Time{}},
		"its document may be on the way, and the wallet too dry": {
			offered(func(f *explain.Facts) { f.Quotation.PDF, f.Balance = "PENDING", 1 }),
			[]explain.Code{explain.AwaitingApproval, explain.QuotationPDF, explain.WalletShort},
			time.Time{},
		},
		"or have failed":          {offered(func(f *explain.Facts) { f.Quotation.PDF = "FAILED" }), []explain.Code{explain.AwaitingApproval, explain.QuotationPDF}, time.Time{}},
		"an old offer is none":    {offered(func(f *explain.Facts) { f.Quotation.ExpiresAt = now() }), []explain.Code{explain.QuotationExpired}, time.Time{}},
		"what is approved begins": {offered(as(campaign.Approved)), []explain.Code{explain.Starting}, in(10 * time.Second)},
		"if a relay takes it": {
			offered(func(f *explain.Facts) { f.State, f.Pending = campaign.Approved, ago(time.Minute) }),
			[]explain.Code{explain.Starting, explain.RelayBehind},
			in(10 * time.Second),
		},
		"at its time": {
			offered(func(f *explain.Facts) { f.State, f.ScheduledAt = campaign.Scheduled, in(time.Hour) }),
			[]explain.Code{explain.Scheduled},
			in(time.Hour + 10*time.Second),
		},
		"an audience takes time":         {offered(as(campaign.Preparing)), []explain.Code{explain.Preparing}, time.Time{}},
		"what is due waits for the pace": {running(func(*explain.Facts) {}), []explain.Code{explain.Rate}, in(5 * time.Second)},
		"a slower pace takes longer": {
			running(func(f *explain.Facts) { f.PacePerSecond = 20 }), []explain.Code{explain.Rate}, in(20 * time.Second),
		},
		"for the window": {
			running(func(f *explain.Facts) {
				f.NumberOpen, f.Claims = 100, explain.Claims{Count: 1, Messages: 100, Oldest: ago(time.Second)}
			}),
			[]explain.Code{explain.Rate, explain.WindowFull, explain.InFlight},
			in(7 * time.Second),
		},
		"for others":  {running(func(f *explain.Facts) { f.Rivals = 3 }), []explain.Code{explain.Rate, explain.FairnessTurn}, in(5 * time.Second)},
		"for a relay": {running(func(f *explain.Facts) { f.DueSince = ago(time.Minute) }), []explain.Code{explain.Rate, explain.RelayBehind}, in(5 * time.Second)},
		"for a worker": {
			running(func(f *explain.Facts) {
				f.Claims = explain.Claims{Count: 2, Messages: 40, Oldest: ago(time.Minute), Untouched: 2, UntouchedSince: ago(time.Minute)}
			}),
			[]explain.Code{explain.WorkerAbsent, explain.Rate, explain.InFlight},
			in(6 * time.Second),
		},
		"a worker that just got it is not absent": {
			running(func(f *explain.Facts) {
				f.Claims = explain.Claims{Count: 1, Messages: 40, Oldest: ago(time.Second), Untouched: 1, UntouchedSince: ago(time.Second)}
			}),
			[]explain.Code{explain.Rate, explain.InFlight},
			in(6 * time.Second),
		},
		"one that fell silent is": {
			running(func(f *explain.Facts) {
				f.Due, f.Claims = 0, explain.Claims{Count: 1, Messages: 40, Expired: 1, ExpiredSince: ago(time.Second)}
			}),
			[]explain.Code{explain.WorkerAbsent, explain.InFlight},
			in(time.Second),
		},
		"for retries, quiet hours and limits": {
			running(func(f *explain.Facts) {
				f.Due, f.QuietHours, f.DeferredLast = 0, true, in(8*time.Hour)
				f.Deferred = []explain.Group{
					{Retry: true, ErrorCode: 131000, Messages: 3, First: in(time.Minute), Last: in(time.Minute)},
					{Messages: 10, First: in(time.Hour), Last: in(8 * time.Hour)},
					{Reason: "PORTFOLIO_LIMIT", Messages: 1, First: in(time.Hour), Last: in(time.Hour)},
					{Reason: "PAIR_LIMIT", Messages: 1, First: in(time.Second), Last: in(time.Second)},
					{Reason: "RATE", Messages: 1, First: in(time.Second), Last: in(time.Second)},
				}
			}),
			[]explain.Code{explain.RetryWait, explain.QuietHours, explain.PortfolioLimit, explain.PairLimit, explain.Rate},
			in(8 * time.Hour),
		},
		"a replay has a rate of its own": {
			running(func(f *explain.Facts) {
				f.Due, f.ReplayRate, f.DeferredLast, f.DeferredMore = 0, 2, in(time.Hour), 50
				f.Deferred = []explain.Group{{Messages: 20, First: now(), Last: in(time.Minute)}}
			}),
			[]explain.Code{explain.ReplayRate, explain.ReplayRate},
			in(time.Hour),
		},
		"put off for nothing known": {
			running(func(f *explain.Facts) {
				f.Due, f.Deferred = 0, []explain.Group{{Reason: "NEW", Messages: 80, Last: in(time.Second)}}
			}),
			[]explain.Code{explain.Deferred},
			in(time.Second),
		},
		"a portfolio that is used up": {
			running(func(f *explain.Facts) {
				f.Due, f.Budget, f.DeferredLast = 0, reach.Budget{Limit: 10, Counts: []reach.Count{{From: ago(23 * time.Hour), People: 10}}}, in(time.Hour)
				f.Deferred = []explain.Group{{Reason: "PORTFOLIO_LIMIT", Messages: 10, First: in(time.Hour), Last: in(time.Hour)}}
			}),
			[]explain.Code{explain.PortfolioLimit},
			in(time.Hour + reach.Slot),
		},
		"a pause": {running(as(campaign.Paused)), []explain.Code{explain.Paused}, time.Time{}},
		"a halt":  {running(func(f *explain.Facts) { f.State, f.HaltReason = campaign.Halted, "X" }), []explain.Code{explain.Halted}, time.Time{}},
		"a halt that ends": {
			running(func(f *explain.Facts) { f.State, f.HaltReason, f.HaltUntil = campaign.Halted, "X", in(time.Hour) }),
			[]explain.Code{explain.Halted},
			in(time.Hour + 5*time.Second),
		},
		"its end is near": {running(func(f *explain.Facts) { f.ExpiresAt = in(time.Hour) }), []explain.Code{explain.Rate, explain.Ending}, in(5 * time.Second)},
		"all has left": {
			running(func(f *explain.Facts) {
				f.Due, f.Unknown, f.Settling = 0, explain.Open{Count: 1, Last: in(time.Minute)}, explain.Open{Count: 2}
			}),
			[]explain.Code{explain.UnknownOutcome, explain.Settling},
			time.Time{},
		},
		"and been told":  {running(func(f *explain.Facts) { f.Due = 0 }), []explain.Code{explain.Closing}, time.Time{}},
		"a cancellation": {running(as(campaign.Cancelled)), []explain.Code{explain.Closing}, time.Time{}},
		"what is over": {
			running(func(f *explain.Facts) { f.State, f.FinishedAt, f.Due = campaign.Completed, now(), 0 }), []explain.Code{explain.Finished}, time.Time{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := explain.Campaign(tt.f, remedy)
			require.Equal(t, tt.codes, codes(t, r))
			require.Equal(t, tt.finish, r.FinishAt)
		})
	}
}

func codes(t *testing.T, r explain.Report) []explain.Code {
	t.Helper()
	out := make([]explain.Code, len(r.Lines))
	for i, l := range r.Lines {
		out[i] = l.Code
		require.NotEmpty(t, l.Text)
		require.Contains(t, explain.Codes(), l.Code)
	}
	return out
}

func TestCampaign_SaysItWithNumbers(t *testing.T) {
	t.Parallel()
	r := explain.Campaign(running(func(f *explain.Facts) {
		f.Estimated = true
		f.Deferred = []explain.Group{{Retry: true, ErrorCode: 131000, Messages: 1, First: in(90 * time.Second), Last: in(2 * time.Minute)}}
	}), remedy)
	require.Equal(t, explain.Line{
		Code: explain.Rate, Text: "400 messages queued for a number that takes 80 a second.", Since: ago(time.Second), Until: in(5 * time.Second),
		Numbers: map[string]int64{"queued": 400, "in_flight": 0, "rate_per_second": 80, "eta_seconds": 5, "estimated": 1},
	}, r.Lines[0])
	require.Equal(t, explain.Line{
		Code: explain.RetryWait, Text: "1 message to be tried again after Meta's error 131000. Wait.", Until: in(2 * time.Minute),
		Numbers: map[string]int64{"messages": 1, "first_in_seconds": 90, "code": 131000},
	}, r.Lines[1])

	halted := explain.Campaign(running(func(f *explain.Facts) {
		f.State, f.HaltReason, f.HaltRemedy, f.HaltWakes, f.HaltedAt = campaign.Halted, "META_TOKEN_EXPIRED", "Connect again.", "TOKEN", ago(time.Hour)
	}), remedy).Lines[0]
	require.Equal(t, "The campaign is halted: META_TOKEN_EXPIRED. Connect again. It goes on when that has changed.", halted.Text)
	require.Equal(t, ago(time.Hour), halted.Since)
	short := explain.Campaign(offered(func(f *explain.Facts) { f.Balance = 8_000_000 }), remedy).Lines[1]
	require.Equal(t, int64(1_000_000), short.Numbers["missing_micros"])
}

func TestMessage(t *testing.T) {
	t.Parallel()
	of := func(change func(*explain.MessageFacts)) explain.MessageFacts {
		f := explain.MessageFacts{Now: now(), Status: message.Queued, Created: ago(time.Hour), Campaign: campaign.Running, RatePerSecond: 80}
		change(&f)
		return f
	}
	tried := func(status message.Status, a explain.Attempt) explain.MessageFacts {
		a.Number, a.SendingAt = 1, ago(time.Minute)
		return of(func(f *explain.MessageFacts) { f.Status, f.Attempts = status, []explain.Attempt{a} })
	}
	tests := map[string]struct {
		f      explain.MessageFacts
		codes  []explain.Code
		finish time.Time
	}{
		"others are before it": {
			of(func(f *explain.MessageFacts) { f.Row = explain.Row{DueAt: ago(time.Second), Before: 159} }), []explain.Code{explain.Queued}, in(2 * time.Second),
		},
		"too many to count": {
			of(func(f *explain.MessageFacts) {
				f.Row = explain.Row{DueAt: ago(time.Second), Before: 10_000, More: true}
			}), []explain.Code{explain.Queued}, time.Time{},
		},
		"its campaign is paused": {
			of(func(f *explain.MessageFacts) {
				f.Campaign, f.Row = campaign.Paused, explain.Row{DueAt: ago(time.Second)}
			}),
			[]explain.Code{explain.CampaignIs, explain.Queued},
			time.Time{},
		},
		"it is quiet there": {
			of(func(f *explain.MessageFacts) { f.QuietHours, f.Row = true, explain.Row{DueAt: in(time.Hour)} }), []explain.Code{explain.QuietHours}, in(time.Hour),
		},
		"a reason was noted": {
			of(func(f *explain.MessageFacts) { f.Row = explain.Row{DueAt: in(time.Hour), Reason: "PORTFOLIO_LIMIT"} }),
			[]explain.Code{explain.PortfolioLimit},
			in(time.Hour),
		},
		"it is tried again": {
			of(func(f *explain.MessageFacts) {
				f.Attempts = []explain.Attempt{{Number: 1, Status: message.Failed, FailedAt: ago(time.Second), Next: in(time.Minute), Code: 131000}}
				f.Row = explain.Row{DueAt: in(time.Minute)}
			}),
			[]explain.Code{explain.RetryWait, explain.RetryWait},
			in(time.Minute),
		},
		"a worker has it": {
			of(func(f *explain.MessageFacts) {
				f.Claim = explain.Claim{ID: "c", ClaimedAt: ago(time.Second), KeptUntil: in(time.Minute), Begun: true}
			}),
			[]explain.Code{explain.InFlight},
			time.Time{},
		},
		"no worker has begun": {
			of(func(f *explain.MessageFacts) {
				f.Claim = explain.Claim{ID: "c", ClaimedAt: ago(time.Minute), KeptUntil: in(time.Minute)}
			}),
			[]explain.Code{explain.WorkerAbsent},
			time.Time{},
		},
		"its worker is silent": {
			of(func(f *explain.MessageFacts) {
				f.Claim = explain.Claim{ID: "c", ClaimedAt: ago(time.Minute), KeptUntil: ago(time.Second), Begun: true}
			}),
			[]explain.Code{explain.WorkerAbsent},
			time.Time{},
		},
		"on the wire":        {tried(message.Sending, explain.Attempt{Status: message.Sending}), []explain.Code{explain.InFlight}, time.Time{}},
		"Meta has not told":  {tried(message.Unknown, explain.Attempt{Status: message.Unknown}), []explain.Code{explain.UnknownOutcome}, time.Time{}},
		"it arrived":         {tried(message.Delivered, explain.Attempt{Status: message.Delivered, DeliveredAt: now()}), []explain.Code{explain.Sent}, time.Time{}},
		"it failed for good": {tried(message.Failed, explain.Attempt{Status: message.Failed, Code: 131026}), []explain.Code{explain.Failed}, time.Time{}},
		"Meta never told":    {tried(message.Unconfirmed, explain.Attempt{Status: message.Unconfirmed}), []explain.Code{explain.Failed}, time.Time{}},
		"it was suppressed": {
			of(func(f *explain.MessageFacts) {
				f.Status, f.Outcome, f.EndedAt = message.Suppressed, message.Suppressed, now()
			}),
			[]explain.Code{explain.Ended},
			time.Time{},
		},
		"it was cancelled": {
			of(func(f *explain.MessageFacts) {
				f.Status, f.Outcome, f.EndedAt = message.Cancelled, message.Cancelled, now()
			}),
			[]explain.Code{explain.Ended},
			time.Time{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := explain.Message(tt.f, remedy)
			require.Equal(t, tt.codes, codes(t, r))
			require.Equal(t, tt.finish, r.FinishAt)
		})
	}
	dead := tried(message.Failed, explain.Attempt{Status: message.Failed, Code: 131000, FailedAt: now()})
	dead.Letter = "l"
	r := explain.Message(dead, remedy)
	require.Equal(t, []explain.Code{explain.Failed, explain.DeadLetter}, codes(t, r))
	require.Contains(t, r.Lines[0].Text, "131000. Wait.")
	dead.Replay = "r"
	require.Contains(t, explain.Message(dead, remedy).Lines[1].Text, "campaign r")
}

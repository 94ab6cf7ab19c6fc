package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/reach"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// limited gives the campaign's number a portfolio with Meta's tier.
func (c campaigner) limited(t *testing.T, tier string) campaigner {
	t.Helper()
	require.NoError(t, c.LearnAccount(t.Context(), c.v, c.account(t), store.Learnt{
		Portfolio: "900", Numbers: []waba.Number{{
			MetaID: c.number, Quality: "GREEN", Throughput: "STANDARD", RatePerSecond: 80, RateSource: waba.RateLevel, Tier: tier, Status: "CONNECTED",
		}},
	}))
	return c
}

func (c campaigner) account(t *testing.T) waba.ID {
	t.Helper()
	all, err := c.ListWABAs(t.Context(), c.v)
	require.NoError(t, err)
	return all[0].ID
}

func (c campaigner) limits(t *testing.T) store.SenderLimits {
	t.Helper()
	numbers, err := c.ListSenderNumbers(t.Context(), c.v)
	require.NoError(t, err)
	l, err := c.SenderLimits(t.Context(), c.v, numbers[0].ID, time.Now())
	require.NoError(t, err)
	return l
}

// waits counts rows of the outbox by what they wait for.
func (c campaigner) waits(t *testing.T) map[string]int {
	t.Helper()
	rows, err := c.db.Super().Query(t.Context(), `SELECT COALESCE(wait_reason, ''), count(*) FROM outbox_events WHERE message_id IS NOT NULL GROUP BY 1`)
	require.NoError(t, err)
	out := map[string]int{}
	for rows.Next() {
		var (
			why string
			n   int
		)
		require.NoError(t, rows.Scan(&why, &n))
		out[why] = n
	}
	require.NoError(t, rows.Err())
	return out
}

func TestLearn_RatesWindowsAndPortfolio(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	window := func() int {
		var n int
		require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT window_rows FROM outbox_lanes WHERE kind = 'CAMPAIGN'`).Scan(&n))
		return n
	}
	require.Equal(t, 160, window())
	require.Zero(t, c.limits(t).Portfolio, "Meta was not asked yet")
	at := store.Learnt{Portfolio: "900", Numbers: []waba.Number{
		{MetaID: "not ours", RatePerSecond: 80, Tier: "TIER_UNLIMITED"},
		{MetaID: c.number, Quality: "YELLOW", Throughput: "HIGH", RatePerSecond: 1000, RateSource: waba.RateLevel, Status: "CONNECTED", Tier: "TIER_UNLIMITED"},
	}}
	require.NoError(t, c.LearnAccount(t.Context(), c.v, c.account(t), at))
	require.NoError(t, c.LearnAccount(t.Context(), c.v, c.account(t), at))
	l := c.limits(t)
	require.Equal(t, 2000, window(), "two seconds of the new rate")
	require.Equal(t, 1000, l.Number.RatePerSecond)
	require.Equal(t, waba.RateLevel, l.Number.RateSource)
	require.Equal(t, "YELLOW", l.Number.Quality)
	require.WithinDuration(t, time.Now(), l.Number.LearntAt, time.Minute)
	require.Equal(t, waba.Portfolio{ID: "900", Tier: "TIER_UNLIMITED"}, l.Portfolio)
	require.False(t, l.Budget.Limited())

	c.limited(t, "TIER_250")
	require.Equal(t, 160, window())
	require.Equal(t, 250, c.limits(t).Budget.Limit)
	c.limited(t, "TIER_OF_TOMORROW")
	require.Equal(t, 250, c.limits(t).Budget.Limit, "an unknown word changes nothing")
	err := c.LearnAccount(t.Context(), c.v, id.New[waba.ID](), at)
	require.ErrorIs(t, err, waba.ErrNotFound)
}

func TestPortfolio_WritesToNoMoreThanItsLimitAndTheRestWaits(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 300).running(t).limited(t, "TIER_250")
	_, err := c.db.Super().Exec(t.Context(), `UPDATE outbox_lanes SET window_rows = 1000`)
	require.NoError(t, err)
	job := c.claim(t)
	require.Len(t, job.Messages, 300)
	_, err = c.db.Super().Exec(t.Context(), `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source)
		SELECT vendor_id, recipient_hash, 'MARKETING', 'STOP', 'test' FROM message_logs ORDER BY id LIMIT 20`)
	require.NoError(t, err)
	var all []store.Marked
	for ids := job.Messages; len(ids) > 0; {
		n := min(len(ids), 70)
		marked, _, err := c.MarkSending(t.Context(), c.v, job, ids[:n])
		require.NoError(t, err)
		all, ids = append(all, marked...), ids[n:]
	}
	require.Len(t, all, 250, "suppressed people take no place")
	require.Equal(t, map[string]int{"PORTFOLIO_LIMIT": 30}, c.waits(t))
	c.answer(t, job, all, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	b := c.limits(t).Budget
	require.Zero(t, b.Left(time.Now()))
	require.Equal(t, 250, b.Reached(time.Now()))
	require.WithinDuration(t, time.Now().Add(reach.Window), b.RoomAt(time.Now(), 1), 2*reach.Slot)
	var first, last time.Time
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT min(available_at), max(available_at) FROM outbox_events WHERE message_id IS NOT NULL`).Scan(&first, &last))
	require.WithinDuration(t, b.RoomAt(time.Now(), 1), first, time.Second)
	require.WithinDuration(t, first, last, 2*reach.Slot)

	// A day later there is room, and the rest is sent.
	_, err = c.db.Super().Exec(t.Context(), `UPDATE portfolio_reaches SET reached_at = reached_at - interval '25 hours'`)
	require.NoError(t, err)
	_, err = c.db.Super().Exec(t.Context(), `UPDATE portfolio_counts SET slot = slot - interval '25 hours'`)
	require.NoError(t, err)
	_, err = c.db.Super().Exec(t.Context(), `UPDATE outbox_events SET available_at = now(); UPDATE outbox_turns SET wake_at = now()`)
	require.NoError(t, err)
	job = c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 30)
	require.Equal(t, 30, c.limits(t).Budget.Reached(time.Now()))
	var people, counted int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM portfolio_reaches), (SELECT sum(people) FROM portfolio_counts)`).Scan(&people, &counted))
	require.Equal(t, 30, counted)
	require.Equal(t, 250+30-200, people, "the old ones are forgotten a few at a time")
}

func TestPortfolio_APersonCountsOnceAndByTheLastMessage(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 100).running(t).limited(t, "TIER_250")
	// The portfolio reached 200 others and these hundred an hour ago, by another campaign.
	for _, sql := range []string{
		`INSERT INTO portfolio_reaches (vendor_id, portfolio_id, recipient_hash, reached_at)
		 SELECT vendor_id, '900', recipient_hash, date_bin('5 minutes', now() - interval '1 hour', '2026-01-01Z') FROM message_logs`,
		`INSERT INTO portfolio_counts (vendor_id, portfolio_id, slot, people)
		 SELECT vendor_id, '900', date_bin('5 minutes', now() - interval '1 hour', '2026-01-01Z'), 250 FROM portfolios`,
	} {
		_, err := c.db.Super().Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.Zero(t, c.limits(t).Budget.Left(time.Now()))
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 100, "who counts already takes no further place")
	b := c.limits(t).Budget
	require.Equal(t, 250, b.Reached(time.Now()))
	require.Len(t, b.Counts, 2)
	require.Equal(t, []int{150, 100}, []int{b.Counts[0].People, b.Counts[1].People}, "they moved to the slot of now")
}

func TestPortfolio_MarksAtOnceDoNotOverrunIt(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 300).running(t).limited(t, "TIER_250")
	_, err := c.db.Super().Exec(t.Context(), `UPDATE outbox_lanes SET window_rows = 1000`)
	require.NoError(t, err)
	job := c.claim(t)
	got := make(chan int)
	for i := range 6 {
		go func() {
			marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[i*50:(i+1)*50])
			if err != nil {
				t.Error(err)
			}
			got <- len(marked)
		}()
	}
	total := 0
	for range 6 {
		total += <-got
	}
	require.Equal(t, 250, total)
	require.Equal(t, 250, c.limits(t).Budget.Reached(time.Now()))
}

func TestPostpone_EndsRowsOfACancelledCampaignAndNothingOfAnotherLease(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 20).running(t)
	claim := c.claimID(t)
	old, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	job, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	at := time.Now().Add(time.Hour)
	require.ErrorIs(t, c.PostponeRows(t.Context(), c.v, old, []store.Postponed{{ID: old.Messages[0], At: at}}), store.ErrClaimGone)
	require.NoError(t, c.PostponeRows(t.Context(), c.v, job, []store.Postponed{{ID: job.Messages[0], At: at, Why: store.WaitPair}}))
	require.Equal(t, map[string]int{"PAIR_LIMIT": 1}, c.waits(t))
	_, err = c.CancelCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	rows := make([]store.Postponed, 0, 19)
	for _, m := range job.Messages[1:] {
		rows = append(rows, store.Postponed{ID: m, At: at})
	}
	require.NoError(t, c.PostponeRows(t.Context(), c.v, job, rows))
	done, err := c.CancelPage(t.Context(), c.v, c.campaign, 100)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, map[string]int{string(message.Cancelled): 20}, c.statuses(t))
	require.Empty(t, c.waits(t))
}

func TestForecast_SaysWhatTheLimitLeaves(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 10).limited(t, "TIER_2K")
	now := time.Now()
	f, err := c.Forecast(t.Context(), c.v, c.campaign, 2800, now)
	require.NoError(t, err)
	require.Equal(t, 2000, f.Left)
	require.WithinDuration(t, now.Add(reach.Window+reach.Slot+10*time.Second), f.FinishAt, time.Second)
	c.limited(t, "TIER_UNLIMITED")
	f, err = c.Forecast(t.Context(), c.v, c.campaign, 2800, now)
	require.NoError(t, err)
	require.WithinDuration(t, now.Add(35*time.Second), f.FinishAt, time.Second)
	_, err = c.Forecast(t.Context(), addVendor(t, c.db), c.campaign, 1, now)
	require.ErrorIs(t, err, campaign.ErrNotFound)
}

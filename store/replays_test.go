package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// undelivered is a campaign that is over: people were written to, the first failed of them
// in vain (131026), and the next unconfirmed ones without a word from Meta.
func undelivered(t *testing.T, people, failed, unconfirmed int) (c campaigner, job store.SendJob, marked []store.Marked) {
	t.Helper()
	c = newCampaign(t, people).running(t)
	job = c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.answer(t, job, marked, func(i int, r *store.SendResult) {
		switch {
		case i < failed:
			refuse(i, r)
		case i < failed+unconfirmed:
			r.Status, r.Wamid = message.Unknown, ""
		}
	})
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.exec(t, `UPDATE unknown_attempts SET settle_at = now()`)
	c.settle(t)
	c.finish(t)
	return c, job, marked
}

func refuse(_ int, r *store.SendResult) {
	r.Status, r.Wamid, r.Code, r.Title, r.Class = message.Failed, "", 131026, "undeliverable", "RECIPIENT"
}

func (c campaigner) replay(t *testing.T, r letter.Replay) store.Replayed {
	t.Helper()
	out, err := c.ReplayDeadLetters(t.Context(), c.v, r, store.Once[store.Replayed]{})
	require.NoError(t, err)
	return out
}

// as is c with another campaign.
func (c campaigner) as(of campaign.ID) campaigner {
	c.campaign = of
	return c
}

func everyLetter() letter.Replay {
	return letter.Replay{Filter: letter.Filter{From: time.Now().Add(-time.Hour)}}
}

func (c campaigner) letters(t *testing.T, q store.LetterQuery) []store.DeadLetter {
	t.Helper()
	out, err := c.ListDeadLetters(t.Context(), c.v, q, store.LetterCursor{}, 500)
	require.NoError(t, err)
	return out
}

func TestReplay_SendsWhatFailedOnceMore(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 50, 10, 5)
	before, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)

	dry := everyLetter()
	dry.DryRun = true
	would := c.replay(t, dry)
	require.Equal(t, 10, would.Messages)
	require.Equal(t, 10*price, would.Price)
	require.True(t, would.Sufficient())
	require.Equal(t, []store.ReplayCause{{Source: letter.Message, CauseClass: "RECIPIENT", Code: 131026, Letters: 10, Price: 10 * price}}, would.Causes)
	require.Len(t, c.letters(t, store.LetterQuery{Replayed: new(false)}), 15, "a dry run changes nothing")

	out := c.replay(t, everyLetter())
	require.Len(t, out.Campaigns, 1)
	require.Equal(t, c.campaign, out.Campaigns[0].Parent)
	require.Equal(t, 10, out.Campaigns[0].Messages)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, before.Balance-10*price, w.Balance)
	require.Equal(t, 10*price, w.Held, "a replay makes its own hold")
	require.Zero(t, c.replay(t, everyLetter()).Messages, "what is in a replay is not taken twice")

	again := c.as(out.Campaigns[0].ID)
	row, err := c.Campaign(t.Context(), c.v, again.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Approved, row.State)
	require.Equal(t, campaign.KindReplay, row.Kind)
	require.Equal(t, c.campaign, row.Parent)
	again.running(t)
	job := again.claim(t)
	require.Len(t, job.Messages, 10)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 10)
	require.Equal(t, []byte("ct"), marked[0].MobileCT, "the recipient travels sealed")
	c.answer(t, job, marked, func(i int, r *store.SendResult) {
		if i < 3 {
			refuse(i, r)
		}
	})
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	again.finish(t)
	require.Equal(t, map[string]int{"SENT": 7, "FAILED": 3}, again.statuses(t))
	w, err = c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, before.Balance-7*price, w.Balance, "three are released")
	require.Zero(t, w.Held)
	c.requireSound(t)

	require.Zero(t, c.replay(t, everyLetter()).Messages, "a replayed failure comes back once")
	back := c.letters(t, store.LetterQuery{Replayed: new(false), Filter: letter.Filter{Campaign: again.campaign}})
	require.Len(t, back, 3)
	require.True(t, back[0].FromReplay)
	loop := everyLetter()
	loop.IncludeReplayed = true
	require.Equal(t, 3, c.replay(t, loop).Messages, "unless somebody asks for it")

	list, err := c.ListCampaigns(t.Context(), c.v, store.CampaignFilter{}, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, err = c.ListCampaigns(t.Context(), c.v, store.CampaignFilter{Kind: campaign.KindReplay}, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
}

func TestReplay_TakesUnconfirmedOnesOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 10, 1, 4)
	r := everyLetter()
	r.IncludeUnconfirmed, r.DryRun = true, true
	require.Equal(t, 5, c.replay(t, r).Messages)

	one := c.letters(t, store.LetterQuery{Filter: letter.Filter{CauseClass: "UNCONFIRMED"}})[0]
	out := c.replay(t, letter.Replay{IDs: []letter.ID{one.ID}})
	require.Zero(t, out.Messages)
	require.Equal(t, 1, out.Skipped)
	out = c.replay(t, letter.Replay{IDs: []letter.ID{one.ID, one.ID}, IncludeUnconfirmed: true})
	require.Equal(t, 1, out.Messages)
	require.Zero(t, out.Skipped)
}

func TestReplay_LeavesOutWhatWasRaisedMeanwhile(t *testing.T) {
	t.Parallel()
	c, job, marked := undelivered(t, 10, 0, 4)
	c.hear(t, store.StatusUpdate{Ref: ref(job, marked[0]), Status: message.Delivered})
	r := everyLetter()
	r.IncludeUnconfirmed = true
	out := c.replay(t, r)
	require.Equal(t, 3, out.Messages, "one was raised before it was chosen")

	c.hear(t, store.StatusUpdate{Ref: ref(job, marked[1]), Status: message.Delivered})
	c.settle(t)
	again := c.as(out.Campaigns[0].ID).running(t)
	require.Equal(t, map[string]int{"QUEUED": 2}, again.statuses(t), "one was raised before the freeze")
	c.hear(t, store.StatusUpdate{Ref: ref(job, marked[2]), Status: message.Read})
	c.settle(t)
	next := again.claim(t)
	require.Len(t, next.Messages, 1)
	require.Equal(t, map[string]int{"QUEUED": 1, "CANCELLED": 1}, again.statuses(t), "one was raised before it was sent")
	left, _, err := c.MarkSending(t.Context(), c.v, next, next.Messages)
	require.NoError(t, err)
	c.answer(t, next, left, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, next))
	again.finish(t)
	c.requireSound(t)
	l, err := c.DeadLetter(t.Context(), c.v, c.letters(t, store.LetterQuery{Filter: letter.Filter{CauseClass: "UNCONFIRMED"}})[0].ID)
	require.NoError(t, err)
	require.True(t, l.Found)
	require.NotEmpty(t, l.Contact)
}

func TestReplay_TooDryAWalletChangesNothing(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 10, 4, 0)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	_, err = c.TopUp(t.Context(), c.v, "USD", wallet.Adjust("drain", 4*price-1-w.Balance, "test", "emptied by the test"))
	require.NoError(t, err)
	_, err = c.ReplayDeadLetters(t.Context(), c.v, everyLetter(), store.Once[store.Replayed]{})
	require.ErrorIs(t, err, wallet.ErrInsufficientFunds)
	require.Len(t, c.letters(t, store.LetterQuery{Replayed: new(false)}), 4)
	dry := everyLetter()
	dry.DryRun = true
	require.False(t, c.replay(t, dry).Sufficient())
	c.topUp(t, 1)
	require.Equal(t, 4, c.replay(t, everyLetter()).Messages)
}

func TestReplay_TwiceAtOnceTakesEachLetterOnce(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 40, 40, 0)
	taken := make([]store.Replayed, 4)
	var wg sync.WaitGroup
	for i := range taken {
		wg.Go(func() {
			var err error
			taken[i], err = c.ReplayDeadLetters(t.Context(), c.v, everyLetter(), store.Once[store.Replayed]{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	messages, held := 0, money.Micros(0)
	for _, r := range taken {
		messages += r.Messages
		held += r.Price
	}
	require.Equal(t, 40, messages)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, held, w.Held)
}

func TestReplay_OfACancelledReplayCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 10, 4, 0)
	first := c.as(c.replay(t, everyLetter()).Campaigns[0].ID).running(t)
	_, err := c.CancelCampaign(t.Context(), c.v, first.campaign)
	require.NoError(t, err)
	require.Zero(t, c.replay(t, everyLetter()).Messages, "it is not over yet")
	done, err := c.CancelPage(t.Context(), c.v, first.campaign, 100)
	require.NoError(t, err)
	require.True(t, done)
	first.finish(t)
	c.requireSound(t)
	require.Equal(t, 4, c.replay(t, everyLetter()).Messages)
}

func TestReplay_SpreadsByItsRate(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 50, 45, 0)
	r := everyLetter()
	r.RatePerSecond = 2
	again := c.as(c.replay(t, r).Campaigns[0].ID).running(t) // in two pages of forty
	var (
		n    int
		span float64
		gaps float64
	)
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `
		WITH e AS (SELECT available_at, available_at - lag(available_at) OVER (ORDER BY available_at, id) AS gap FROM outbox_events
		           WHERE lane_id = (SELECT id FROM outbox_lanes WHERE campaign_id = $1))
		SELECT count(*), extract(epoch FROM max(available_at) - min(available_at))::float8, extract(epoch FROM min(gap))::float8 FROM e`,
		again.campaign).Scan(&n, &span, &gaps))
	require.Equal(t, 45, n)
	require.InDelta(t, 22, span, 0.01)
	require.InDelta(t, 0.5, gaps, 0.01)
}

func TestReplay_OfStrangersLettersIsRefused(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 4, 2, 0)
	stranger := addVendor(t, c.db)
	l := c.letters(t, store.LetterQuery{})[0]
	_, err := c.DeadLetter(t.Context(), stranger, l.ID)
	require.ErrorIs(t, err, letter.ErrNotFound)
	_, err = c.ReplayDeadLetters(t.Context(), stranger, letter.Replay{IDs: []letter.ID{l.ID}}, store.Once[store.Replayed]{})
	require.ErrorIs(t, err, letter.ErrNotFound)
	out, err := c.ReplayDeadLetters(t.Context(), stranger, everyLetter(), store.Once[store.Replayed]{})
	require.NoError(t, err)
	require.Zero(t, out.Messages)
	counts, err := c.SummarizeDeadLetters(t.Context(), stranger, store.LetterQuery{})
	require.NoError(t, err)
	require.Empty(t, counts)
}

func TestReplay_PutsEventsBack(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 0)
	subject := id.Random()
	c.exec(t, `INSERT INTO dead_letters (vendor_id, id, source, event_kind, subject_id, cause_class, reason)
		VALUES ($1, gen_random_uuid(), 'EVENT', 'quotation.issued', $2, 'TEMPORAL_REFUSED', 'bad')`, c.v, subject)
	out := c.replay(t, letter.Replay{Filter: letter.Filter{Source: letter.Event}})
	require.Equal(t, 1, out.Events)
	require.Empty(t, out.Campaigns)
	var n int
	pending := `SELECT count(*) FROM outbox_events WHERE vendor_id = $1 AND kind = 'quotation.issued' AND subject_id = $2`
	require.NoError(t, c.db.Super().QueryRow(t.Context(), pending, c.v, subject).Scan(&n))
	require.Equal(t, 1, n)

	c.exec(t, `INSERT INTO dead_letters (vendor_id, id, source, event_kind, subject_id, cause_class, reason)
		VALUES ($1, gen_random_uuid(), 'EVENT', 'quotation.issued', $2, 'TEMPORAL_REFUSED', 'bad')`, c.v, subject)
	require.Zero(t, c.replay(t, letter.Replay{Filter: letter.Filter{Source: letter.Event}}).Events, "refused again: not in a loop")
	l := c.letters(t, store.LetterQuery{Replayed: new(false)})
	require.Len(t, l, 1)
	require.True(t, l[0].FromReplay)
	require.Equal(t, 1, c.replay(t, letter.Replay{IDs: []letter.ID{l[0].ID}}).Events)
}

func TestReplay_RefusesWhatNamesNothing(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	_, err := p.ReplayDeadLetters(t.Context(), p.v, letter.Replay{}, store.Once[store.Replayed]{})
	require.Equal(t, "dead_letter.bad_selection", errs.CodeOf(err))
}

func TestDeadLetters_PagesAndCounts(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 30, 20, 5)
	seen, after := map[letter.ID]bool{}, store.LetterCursor{}
	for {
		page, err := c.ListDeadLetters(t.Context(), c.v, store.LetterQuery{}, after, 7)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			require.False(t, seen[l.ID])
			seen[l.ID] = true
		}
		last := page[len(page)-1]
		after = store.LetterCursor{At: last.CreatedAt, ID: last.ID}
	}
	require.Len(t, seen, 25)
	counts, err := c.SummarizeDeadLetters(t.Context(), c.v, store.LetterQuery{})
	require.NoError(t, err)
	require.Len(t, counts, 2)
	require.Equal(t, int64(20), counts[0].Letters)
	require.Equal(t, 131026, counts[0].Code)
	require.Equal(t, "UNCONFIRMED", counts[1].CauseClass)
}

func TestReplay_IsTheOperatorsToo(t *testing.T) {
	t.Parallel()
	c, _, _ := undelivered(t, 4, 2, 0)
	operator, err := store.New(c.db.Operator())
	require.NoError(t, err)
	l, err := operator.DeadLetter(t.Context(), c.v, c.letters(t, store.LetterQuery{})[0].ID)
	require.NoError(t, err)
	require.Equal(t, message.Failed, l.Status)
	out, err := operator.ReplayDeadLetters(t.Context(), c.v, everyLetter(), store.Once[store.Replayed]{})
	require.NoError(t, err)
	require.Equal(t, 2, out.Messages)
	_, err = operator.DeadLetter(t.Context(), c.v, "not an id")
	require.ErrorIs(t, err, letter.ErrNotFound)
}

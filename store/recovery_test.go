package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// finish settles and closes the campaign, and holds its books against its messages.
func (c campaigner) finish(t *testing.T) {
	t.Helper()
	c.settle(t)
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.True(t, finished)
	c.requireSound(t)
}

func (c campaigner) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := c.db.Super().Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (c campaigner) begin(t *testing.T, claim store.ClaimID) store.SendJob {
	t.Helper()
	job, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	return job
}

func (c campaigner) mark(t *testing.T, job store.SendJob) []store.Marked {
	t.Helper()
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	return marked
}

// A worker dies after the POST, and Meta's webhooks come before the claim's next lease:
// nobody records these sends, so the settlement has to charge and bury them.
func TestRecovery_WhatOnlyAWebhookToldIsCharged(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 10).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	onWire := c.mark(t, old)
	for i, m := range onWire {
		status := message.Delivered
		if i < 3 {
			status = message.Failed
		}
		c.hear(t, store.StatusUpdate{Ref: ref(old, m), Wamid: fmt.Sprintf("w%d", m.ID), Status: status, Code: 131026})
	}
	job := c.begin(t, claim)
	require.Empty(t, job.Messages)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.False(t, finished, "the settlement is due first")
	c.finish(t)
	require.Equal(t, map[string]int{"DELIVERED": 7, "FAILED": 3}, c.statuses(t))
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, 10_000_000-7*price, w.Balance)
	var letters int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM dead_letters WHERE source = 'MESSAGE'`).Scan(&letters))
	require.Equal(t, 3, letters)
}

// A worker that was only stalled records after its claim was taken over and ended.
func TestRecovery_ALateRefusalIsTriedAgainWithoutItsClaim(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 4).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	marked := c.mark(t, old)
	job := c.begin(t, claim)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.Equal(t, map[string]int{"UNKNOWN": 4}, c.statuses(t))

	refused := func(_ int, r *store.SendResult) {
		r.Status, r.Wamid, r.Code, r.Class, r.RetryAt = message.Failed, "", 131000, "RETRY", time.Now()
	}
	c.answer(t, old, marked, refused)
	require.Equal(t, map[string]int{"QUEUED": 4}, c.statuses(t))
	again := c.claim(t)
	marked = c.mark(t, again)
	require.Len(t, marked, 4, "nobody is lost")
	require.EqualValues(t, 2, marked[0].Attempt)
	c.answer(t, again, marked, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, again))
	c.finish(t)
	require.Equal(t, map[string]int{"SENT": 4}, c.statuses(t))
}

// What a stalled worker knows not to have left is not unknown, though a newer lease took it
// for that: it goes out, and nobody has to wait for a webhook that cannot come.
func TestRecovery_WhatNeverLeftIsNotUnknown(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 4).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	marked := c.mark(t, old)
	doubtful, err := c.DoubtfulMarks(t.Context(), c.v, old, old.Messages)
	require.NoError(t, err)
	require.Len(t, doubtful, len(marked))
	job := c.begin(t, claim)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.Equal(t, map[string]int{"UNKNOWN": 4}, c.statuses(t))

	require.NoError(t, c.RecordSends(t.Context(), c.v, old, doubtful, store.Recording{Keep: keep, Grace: grace}))
	require.Equal(t, map[string]int{"QUEUED": 4}, c.statuses(t))
	doubtful, err = c.DoubtfulMarks(t.Context(), c.v, old, old.Messages)
	require.NoError(t, err)
	require.Empty(t, doubtful)
	again := c.claim(t)
	marked = c.mark(t, again)
	require.Len(t, marked, 4)
	require.EqualValues(t, 1, marked[0].Attempt)
	c.answer(t, again, marked, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, again))
	c.finish(t)
	require.Equal(t, map[string]int{"SENT": 4}, c.statuses(t))
}

// A run whose mark failed looks late: a newer lease has marked the same messages since, and
// posts them. Forgetting those marks would send them twice.
func TestRecovery_DoubtEndsWithTheLease(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 4).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	job := c.begin(t, claim)
	require.Len(t, c.mark(t, job), 4)
	doubtful, err := c.DoubtfulMarks(t.Context(), c.v, old, old.Messages)
	require.NoError(t, err)
	require.Empty(t, doubtful)
}

// After the grace period the message was final, and the campaign may be over.
func TestRecovery_ARefusalAfterTheGracePeriodIsFinal(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 2).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	marked := c.mark(t, old)
	require.NoError(t, c.EndSend(t.Context(), c.v, c.begin(t, claim)))
	c.exec(t, `UPDATE unknown_attempts SET settle_at = now() - interval '1 second'`)
	c.finish(t)
	require.Equal(t, map[string]int{"UNCONFIRMED": 2}, c.statuses(t))
	c.answer(t, old, marked, func(_ int, r *store.SendResult) {
		r.Status, r.Wamid, r.Code, r.Class, r.RetryAt = message.Failed, "", 131000, "RETRY", time.Now()
	})
	require.Equal(t, map[string]int{"FAILED": 2}, c.statuses(t))
	var events int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE message_id IS NOT NULL`).Scan(&events))
	require.Zero(t, events)
}

// The cancel ended what lay in the outbox; what a claim gives back later must end, too.
func TestRecovery_RowsThatReturnAfterACancelEnd(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 6).running(t)
	c.exec(t, `UPDATE campaigns SET approved_at = now()`)
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[:3])
	require.NoError(t, err)
	_, err = c.CancelCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	done, err := c.CancelPage(t.Context(), c.v, c.campaign, 100)
	require.NoError(t, err)
	require.True(t, done)

	c.answer(t, job, marked, func(_ int, r *store.SendResult) {
		r.Status, r.Wamid, r.RetryAt = message.Sending, "", time.Now() // throttled
	})
	require.NoError(t, c.ReturnRows(t.Context(), c.v, job, job.Messages[3:], time.Now()))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.finish(t)
	require.Equal(t, map[string]int{"CANCELLED": 6}, c.statuses(t))
}

// A mark finds the campaign paused and returns nothing; before the worker asks why, it runs
// again. The claim ends, and must not take its rows with it.
func TestRecovery_AClaimThatEndsLosesNobody(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 5).running(t)
	job := c.claim(t)
	first, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[:2])
	require.NoError(t, err)
	c.answer(t, job, first, sent)
	_, err = c.PauseCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	none, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[2:])
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = c.ResumeCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.NoError(t, c.EndSend(t.Context(), c.v, job), "a repeat changes nothing")

	rest := c.claim(t)
	require.Len(t, rest.Messages, 3)
	c.answer(t, rest, c.mark(t, rest), sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, rest))
	c.finish(t)
	require.Equal(t, map[string]int{"SENT": 5}, c.statuses(t))
}

// The database goes away in the commit of a record: the worker cannot know, and repeats it.
func TestRecovery_ARepeatedRecordTakesNothingFromTheNextClaim(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	job := c.claim(t)
	marked := c.mark(t, job)
	throttled := func(_ int, r *store.SendResult) { r.Status, r.Wamid, r.RetryAt = message.Sending, "", time.Now() }
	c.answer(t, job, marked, throttled)
	next := c.claim(t)
	onWire := c.mark(t, next)
	require.Len(t, onWire, 3)
	require.EqualValues(t, 1, onWire[0].Attempt, "the throttled attempt cost nothing")

	c.answer(t, job, marked, throttled)
	require.Equal(t, map[string]int{"SENDING": 3}, c.statuses(t), "what is on the wire stays marked")
	c.answer(t, next, onWire, sent)
	c.answer(t, next, onWire, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, next))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.finish(t)
	require.Equal(t, map[string]int{"SENT": 3}, c.statuses(t))
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, 10_000_000-3*price, w.Balance, "captured once")
}

func TestRecovery_AnOldLeaseGivesNothingBack(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	claim := c.claimID(t)
	old := c.begin(t, claim)
	job := c.begin(t, claim)
	require.ErrorIs(t, c.ReturnRows(t.Context(), c.v, old, old.Messages, time.Now()), store.ErrClaimGone)
	require.NoError(t, c.EndSend(t.Context(), c.v, old), "nor does it end the claim")
	require.Len(t, c.mark(t, job), 3)
}

// failed may come without our reference, before the sent that says which attempt it is.
func TestRecovery_AParkedFailureIsFoundOnceItsAttemptIsKnown(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job := c.claim(t)
	marked := c.mark(t, job)
	c.hear(t, store.StatusUpdate{Wamid: "w", Status: message.Failed, Code: 131026})
	c.settle(t) // rung when it was parked: nothing to be found yet
	c.exec(t, `DELETE FROM outbox_events WHERE kind = 'settlement.due'`)
	c.hear(t, store.StatusUpdate{Ref: ref(job, marked[0]), Wamid: "w", Status: message.Sent})
	var rung int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE kind = 'settlement.due'`).Scan(&rung))
	require.Equal(t, 1, rung)
	c.answer(t, job, marked, func(_ int, r *store.SendResult) { r.Status, r.Wamid = message.Unknown, "" }) // timed out
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.finish(t)
	require.Equal(t, map[string]int{"FAILED": 1}, c.statuses(t))
}

// The turn is every producer's: whoever locks it before the messages waits in a circle
// with those who lock it after them.
func TestRecovery_WebhooksLockTheTurnLast(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 2).running(t)
	job := c.claim(t)
	marked := c.mark(t, job)
	held, err := c.db.Super().Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), `SELECT 1 FROM message_attempts WHERE message_id = $1 FOR UPDATE`, marked[0].ID)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := c.hook.TakeIn(t.Context(), store.Intake{ID: id.Random(), BodiesCT: []byte("x"), Requests: 1, Statuses: []store.StatusUpdate{
			{PhoneNumberID: c.number, Wamid: "parked", Status: message.Failed, At: time.Now()},
			{PhoneNumberID: c.number, Ref: ref(job, marked[0]), Wamid: "w", Status: message.Sent, At: time.Now()},
		}})
		done <- err
	}()
	require.Eventually(t, func() bool {
		var n int
		err := c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return err == nil && n > 0
	}, 10*time.Second, 10*time.Millisecond, "it waits for the message")
	_, err = held.Exec(t.Context(), `SET LOCAL lock_timeout = '2s'; SELECT 1 FROM outbox_turns FOR UPDATE`)
	require.NoError(t, err, "and holds no turn meanwhile")
	require.NoError(t, held.Rollback(t.Context()))
	require.NoError(t, <-done)
}

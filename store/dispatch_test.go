package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

const (
	keep  = time.Minute
	grace = time.Minute
	price = money.Micros(1000)
)

// campaigner is an approved campaign for n people, with its hold, and every role's store.
type campaigner struct {
	purse
	relay, hook *store.Store
	campaign    campaign.ID
	number      string // Meta's phone number id
}

func newCampaign(tb testing.TB, people int) campaigner {
	tb.Helper()
	c := campaigner{purse: newPurse(tb), campaign: id.New[campaign.ID](), number: "1555"}
	var err error
	c.relay, err = store.New(c.db.Relay())
	require.NoError(tb, err)
	c.hook, err = store.New(c.db.Webhook())
	require.NoError(tb, err)
	c.topUp(tb, max(10_000_000, money.Micros(people)*price))
	exec := func(sql string, args ...any) {
		tb.Helper()
		_, err := c.db.Super().Exec(tb.Context(), sql, args...)
		require.NoError(tb, err)
	}
	waba, number, template, quotation, snapshot, label := id.Random(), id.Random(), id.Random(), id.Random(), id.Random(), id.Random()
	exec(`INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, '77', 'x')`, c.v, waba)
	exec(`INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, rate_per_second) VALUES ($1, $2, $3, $4, 80)`, c.v, number, waba, c.number)
	exec(`INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status) VALUES ($1, $2, $3, '1', 'promo', 'en', 'MARKETING', 'APPROVED')`, c.v, template, waba)
	exec(`INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'vip')`, c.v, label)
	exec(`INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country)
	      SELECT $1, gen_random_uuid(), sha256(n::text::bytea), 'ct', 'IN' FROM generate_series(1, $2::int) n`, c.v, people)
	exec(`INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id) SELECT vendor_id, mobile_hash, 'PHONE', id FROM contacts WHERE vendor_id = $1`, c.v)
	exec(`INSERT INTO contact_labels (vendor_id, label_id, contact_id) SELECT vendor_id, $2, id FROM contacts WHERE vendor_id = $1`, c.v, label)
	exec(`INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint) VALUES ($1, 'USD', '2026-10-01', 'test', 'f')`, snapshot)
	exec(`INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience, parameters)
	      VALUES ($1, $2, 'C', 'APPROVED', $3, $4, 'MARKETING', jsonb_build_object('any_labels', jsonb_build_array($5::text)), '{}')`, c.v, c.campaign, template, number, label)
	exec(`INSERT INTO quotations (vendor_id, id, campaign_id, number, currency, snapshot_id, inputs, fingerprint, quantity, messages_micros, fees_micros, tax_micros, total_micros, wallet_sufficient, expires_at)
	      VALUES ($1, $2, $3, 'Q-1', 'USD', $4, '{}', 'f', $5, $6, 0, 0, $6, true, now() + interval '1 day')`, c.v, quotation, c.campaign, snapshot, people, people*int(price))
	exec(`INSERT INTO quotation_items (vendor_id, quotation_id, line_no, kind, country, quantity, unit_micros, amount_micros, share_micros)
	      VALUES ($1, $2, 1, 'MESSAGES', 'IN', $3::int, $4::bigint, $3::int * $4::bigint, $4::bigint)`, c.v, quotation, people, int64(price))
	exec(`UPDATE campaigns SET quotation_id = $3 WHERE vendor_id = $1 AND id = $2`, c.v, c.campaign, quotation)
	if people > 0 {
		_, err = c.PostAll(tb.Context(), c.v, wallet.Hold(string(c.campaign), "hold/"+string(c.campaign), money.Micros(people)*price))
		require.NoError(tb, err)
	}
	return c
}

// running freezes and launches the campaign.
func (c campaigner) running(t *testing.T) campaigner {
	t.Helper()
	state, err := c.PrepareCampaign(t.Context(), c.v, c.campaign, time.Now())
	require.NoError(t, err)
	require.Equal(t, campaign.Preparing, state)
	for done := false; !done; {
		_, done, err = c.FreezePage(t.Context(), c.v, c.campaign, 40)
		require.NoError(t, err)
	}
	state, err = c.LaunchCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Running, state)
	return c
}

// claim takes due rows and begins to send them.
func (c campaigner) claim(t *testing.T) store.SendJob {
	t.Helper()
	job, err := c.BeginSend(t.Context(), c.v, c.claimID(t), keep, grace)
	require.NoError(t, err)
	return job
}

func (c campaigner) claimID(t *testing.T) store.ClaimID {
	t.Helper()
	claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	for _, claim := range claims {
		if claim.Kind == "CAMPAIGN" {
			return claim.ID
		}
	}
	require.Fail(t, "nothing was claimed")
	return ""
}

// answer records one status for everything marked.
func (c campaigner) answer(t *testing.T, job store.SendJob, marked []store.Marked, to func(i int, r *store.SendResult)) {
	t.Helper()
	results := make([]store.SendResult, len(marked))
	for i, m := range marked {
		results[i] = store.SendResult{ID: m.ID, Attempt: m.Attempt, Price: m.Price, Status: message.Sent, Wamid: fmt.Sprintf("wamid.%d.%d", m.ID, m.Attempt)}
		to(i, &results[i])
	}
	require.NoError(t, c.RecordSends(t.Context(), c.v, job, results, store.Recording{Keep: keep, Grace: grace}))
}

func sent(int, *store.SendResult) {}

// statuses of the campaign's messages, counted.
func (c campaigner) statuses(t *testing.T) map[string]int {
	t.Helper()
	rows, err := c.db.Super().Query(t.Context(), `SELECT status, count(*) FROM message_states WHERE campaign_id = $1 GROUP BY 1`, c.campaign)
	require.NoError(t, err)
	out := map[string]int{}
	for rows.Next() {
		var (
			s string
			n int
		)
		require.NoError(t, rows.Scan(&s, &n))
		out[s] = n
	}
	require.NoError(t, rows.Err())
	return out
}

func (c campaigner) hear(t *testing.T, updates ...store.StatusUpdate) int {
	t.Helper()
	for i := range updates {
		if updates[i].PhoneNumberID == "" {
			updates[i].PhoneNumberID = c.number
		}
		updates[i].At = time.Now()
	}
	unrouted, err := c.hook.TakeIn(t.Context(), store.Intake{ID: id.Random(), BodiesCT: []byte("x"), Requests: 1, Statuses: updates})
	require.NoError(t, err)
	return unrouted
}

func ref(job store.SendJob, m store.Marked) message.Ref {
	return message.Ref{Month: job.Month, Message: m.ID, Attempt: m.Attempt}
}

func (c campaigner) settle(t *testing.T) {
	t.Helper()
	c.settleBy(t, func(store.Fallen) store.Judgement {
		return store.Judgement{Verdict: failure.Verdict{Action: failure.Final}, Class: failure.Recipient}
	})
}

// settleBy settles with a rule of the test's, and returns what has to halt.
func (c campaigner) settleBy(t *testing.T, judge store.Judge) map[campaign.ID]campaign.Stop {
	t.Helper()
	stops := map[campaign.ID]campaign.Stop{}
	for {
		done, err := c.Settle(t.Context(), c.v, judge)
		require.NoError(t, err)
		maps.Copy(stops, done.Stops)
		if !done.More {
			return stops
		}
	}
}

func TestDispatch_SendsEverybodyOnceAndTheBooksAddUp(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 100).running(t)
	job := c.claim(t)
	require.Len(t, job.Messages, 100)
	marked, suppressed, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Zero(t, suppressed)
	require.Len(t, marked, 100)
	again, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Empty(t, again, "a marked message is never marked again")

	c.answer(t, job, marked, func(i int, r *store.SendResult) {
		if i < 10 {
			r.Status, r.Wamid, r.Code, r.Title, r.Class = message.Failed, "", 131026, "undeliverable", "RECIPIENT"
		}
	})
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.False(t, finished, "the claim is still open")
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	finished, err = c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.True(t, finished)

	require.Equal(t, map[string]int{"SENT": 90, "FAILED": 10}, c.statuses(t))
	c.requireSound(t)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, 10_000_000-90*price, w.Balance, "90 captured, 10 released")
	require.Zero(t, w.Held)
}

func TestDispatch_ANewLeaseMakesWhatWasOnTheWireUnknown(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 60).running(t)
	claim := c.claimID(t)
	old, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	onWire, _, err := c.MarkSending(t.Context(), c.v, old, old.Messages[:20])
	require.NoError(t, err)
	require.Len(t, onWire, 20)

	// The worker is killed here; Temporal runs the activity again.
	job, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	require.Len(t, job.Messages, 40, "the twenty are not sent again")
	none, _, err := c.MarkSending(t.Context(), c.v, old, old.Messages[20:])
	require.NoError(t, err)
	require.Empty(t, none, "the old lease marks nothing any more")
	rest, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.answer(t, job, rest, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.Equal(t, map[string]int{"UNKNOWN": 20, "SENT": 40}, c.statuses(t))
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.False(t, finished, "unknown outcomes keep the books open")

	// Fifteen left and Meta tells; five never did.
	for _, m := range onWire[:15] {
		c.hear(t, store.StatusUpdate{Ref: ref(job, m), Wamid: fmt.Sprintf("w%d", m.ID), Status: message.Delivered})
	}
	c.settle(t)
	require.Equal(t, map[string]int{"UNKNOWN": 5, "SENT": 40, "DELIVERED": 15}, c.statuses(t))
	_, err = c.db.Super().Exec(t.Context(), `UPDATE unknown_attempts SET settle_at = now() - interval '1 second'`)
	require.NoError(t, err)
	c.settle(t)
	require.Equal(t, map[string]int{"UNCONFIRMED": 5, "SENT": 40, "DELIVERED": 15}, c.statuses(t))
	finished, err = c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.True(t, finished)
	c.requireSound(t)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, 10_000_000-55*price, w.Balance)
}

func TestDispatch_WebhooksInAnyOrderAndTwice(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 4).running(t)
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	// Read comes before our own record, delivered after it, everything twice.
	first := store.StatusUpdate{Ref: ref(job, marked[0]), Wamid: "w0", Status: message.Read}
	c.hear(t, first, first)
	// This one carries no reference and its wamid is not recorded yet: it is parked.
	c.hear(t, store.StatusUpdate{Wamid: fmt.Sprintf("wamid.%d.1", marked[1].ID), Status: message.Delivered})
	c.answer(t, job, marked, sent)
	late := store.StatusUpdate{Ref: ref(job, marked[0]), Wamid: "w0", Status: message.Delivered}
	failed := store.StatusUpdate{Ref: ref(job, marked[2]), Wamid: "w2", Status: message.Failed, Code: 131049, Title: "healthy ecosystem"}
	c.hear(t, late, failed, failed)
	require.Equal(t, 1, c.hear(t, store.StatusUpdate{PhoneNumberID: "999", Wamid: "x", Status: message.Sent}), "a number we do not know")
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.settle(t)
	require.Equal(t, map[string]int{"READ": 1, "DELIVERED": 1, "FAILED": 1, "SENT": 1}, c.statuses(t))
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.True(t, finished)
	c.requireSound(t)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, 10_000_000-3*price, w.Balance, "four captured, one of them refunded")
}

func TestDispatch_ThrottledRowsComeBackAndCostNoAttempt(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.answer(t, job, marked, func(_ int, r *store.SendResult) {
		r.Status, r.Wamid, r.RetryAt = message.Sending, "", time.Now()
	})
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.Equal(t, map[string]int{"QUEUED": 3}, c.statuses(t))
	job = c.claim(t)
	marked, _, err = c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 3)
	require.EqualValues(t, 1, marked[0].Attempt)
}

func TestDispatch_SuppressedPeopleAreNotMarked(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 5).running(t)
	job := c.claim(t)
	_, err := c.db.Super().Exec(t.Context(), `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source)
		SELECT vendor_id, recipient_hash, 'MARKETING', 'STOP', 'test' FROM message_logs ORDER BY id LIMIT 2`)
	require.NoError(t, err)
	marked, suppressed, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 3)
	require.Equal(t, 2, suppressed)
}

func TestDispatch_AnAudienceThatGrewHaltsBeforeAnySend(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 5)
	_, err := c.db.Super().Exec(t.Context(), `UPDATE quotation_items SET quantity = 4`)
	require.NoError(t, err)
	_, err = c.PrepareCampaign(t.Context(), c.v, c.campaign, time.Now())
	require.NoError(t, err)
	_, done, err := c.FreezePage(t.Context(), c.v, c.campaign, 100)
	require.NoError(t, err)
	require.True(t, done)
	state, err := c.LaunchCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Halted, state)
	claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	for _, claim := range claims {
		require.Equal(t, "WORK", claim.Kind)
	}
}

func TestClaim_RelaysTakeDisjointRowsAndLoseNone(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 300).running(t)
	_, err := c.db.Super().Exec(t.Context(), `UPDATE outbox_lanes SET window_rows = 1000`)
	require.NoError(t, err)
	type taken struct {
		ids []message.ID
		err error
	}
	results := make(chan taken)
	var found atomic.Int64
	for range 4 {
		go func() {
			var all []message.ID
			for found.Load() < 300 && t.Context().Err() == nil {
				claims, err := c.relay.ClaimOutbox(context.WithoutCancel(t.Context()), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 20, Total: 20, Lease: keep})
				if err != nil {
					results <- taken{err: err}
					return
				}
				for _, claim := range claims {
					all = append(all, claim.Messages...)
					found.Add(int64(len(claim.Messages)))
				}
			}
			results <- taken{ids: all}
		}()
	}
	seen := map[message.ID]bool{}
	for range 4 {
		r := <-results
		require.NoError(t, r.err)
		for _, m := range r.ids {
			require.False(t, seen[m], "claimed twice")
			seen[m] = true
		}
	}
	require.Len(t, seen, 300)
}

func TestClaim_StopsAtTheNumbersWindow(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 400).running(t)
	job := c.claim(t)
	require.Len(t, job.Messages, 160, "two seconds of 80 a second")
	claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	require.Empty(t, claims)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[:100])
	require.NoError(t, err)
	c.answer(t, job, marked, sent)
	next := c.claim(t)
	require.Len(t, next.Messages, 100, "what is settled frees the window")
}

func TestClaim_OfOneBatchGrowsUntilAWorkerTakesIt(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 150).running(t)
	_, err := c.db.Super().Exec(t.Context(), `UPDATE outbox_lanes SET window_rows = 1000`)
	require.NoError(t, err)
	batch := id.Random()
	take := func() store.Claim {
		t.Helper()
		claims, err := c.relay.ClaimOutbox(t.Context(), batch, store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 50, Lease: keep})
		require.NoError(t, err)
		claims = slices.DeleteFunc(claims, func(k store.Claim) bool { return k.Kind != "CAMPAIGN" })
		require.Len(t, claims, 1)
		return claims[0]
	}
	first, second := take(), take()
	require.Equal(t, first.ID, second.ID)
	require.Len(t, first.Messages, 50)
	require.Len(t, second.Messages, 100)
	require.True(t, slices.IsSorted(second.Messages))

	job, err := c.BeginSend(t.Context(), c.v, second.ID, keep, grace)
	require.NoError(t, err)
	require.Equal(t, second.Messages, job.Messages)
	third := take()
	require.NotEqual(t, first.ID, third.ID, "a worker has the first: what is added there would be lost")
	require.Len(t, third.Messages, 50)
}

package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

const topUp = money.Micros(10_000_000)

// sendAll claims what is due, marks it, and answers each; it returns what was marked.
func (c campaigner) sendAll(t *testing.T, to func(i int, r *store.SendResult)) (store.SendJob, []store.Marked) {
	t.Helper()
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.answer(t, job, marked, to)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	return job, marked
}

// fail tells by webhook that Meta gave the message up.
func (c campaigner) fail(t *testing.T, job store.SendJob, m store.Marked, code int) {
	t.Helper()
	c.hear(t, store.StatusUpdate{Ref: ref(job, m), Wamid: wamid(m), Status: message.Failed, Code: code, Title: "no"})
}

func (c campaigner) deliver(t *testing.T, job store.SendJob, m store.Marked) {
	t.Helper()
	c.hear(t, store.StatusUpdate{Ref: ref(job, m), Wamid: wamid(m), Status: message.Delivered})
}

func wamid(m store.Marked) string { return fmt.Sprintf("wamid.%d.%d", m.ID, m.Attempt) }

// tomorrow is the judge of a message that waits for a day.
func tomorrow(f store.Fallen) store.Judgement {
	v := failure.Judge(failure.Case{
		Refusal: failure.Refusal{Class: failure.Later, Wait: 24 * time.Hour, Tries: 3}, Accepted: true,
		Attempt: f.Attempt, Waits: f.Waits, Category: f.Category, Now: time.Now(), Expires: f.Expires,
	})
	return store.Judgement{Verdict: v, Class: failure.Later}
}

// wakeUp makes everything put off due now.
func (c campaigner) wakeUp(t *testing.T) {
	t.Helper()
	c.exec(t, `UPDATE outbox_events SET available_at = now()`)
	c.exec(t, `UPDATE outbox_turns SET wake_at = now()`)
}

func (c campaigner) closeBooks(t *testing.T) {
	t.Helper()
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.True(t, finished)
	c.requireSound(t)
}

func (c campaigner) requireSpent(t *testing.T, want money.Micros) {
	t.Helper()
	c.requireSound(t)
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	require.Equal(t, topUp-want, w.Balance+w.Held)
}

func TestSettle_AFailureThatMayPassIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 2).running(t)
	job, first := c.sendAll(t, sent)
	c.requireSpent(t, 2*price)
	c.fail(t, job, first[0], 131049)
	c.settleBy(t, tomorrow)
	require.Equal(t, map[string]int{"QUEUED": 1, "SENT": 1}, c.statuses(t))
	c.requireSpent(t, price)
	messages, err := c.ListMessages(t.Context(), c.v, c.campaign, store.MessagePage{Status: message.Queued, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, 1, messages[0].Attempts)
	require.Equal(t, 131049, messages[0].ErrorCode)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), *messages[0].RetryAt, 2*time.Minute)
	state, err := c.DispatchState(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.WithinDuration(t, *messages[0].RetryAt, *state.RestsTill, time.Second, "the campaign says that it waits, and until when")
	finished, err := c.FinishCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.False(t, finished)

	c.fail(t, job, first[0], 131049) // Meta tells twice
	c.settleBy(t, tomorrow)
	c.wakeUp(t)
	_, second := c.sendAll(t, sent)
	require.Len(t, second, 1)
	require.EqualValues(t, 2, second[0].Attempt)
	require.EqualValues(t, 1, second[0].Waits)
	require.Equal(t, map[string]int{"SENT": 2}, c.statuses(t))
	c.closeBooks(t)
	c.requireSpent(t, 2*price)
}

func TestSettle_ALateDeliveryOfTheFirstCancelsTheSecond(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job, first := c.sendAll(t, sent)
	c.fail(t, job, first[0], 131049)
	c.settleBy(t, tomorrow)
	c.deliver(t, job, first[0])
	c.settleBy(t, tomorrow)
	require.Equal(t, map[string]int{"DELIVERED": 1}, c.statuses(t))
	c.closeBooks(t) // nothing waits for a day any more
	c.requireSpent(t, price)
}

func TestSettle_TwoDeliveriesAreChargedOnce(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job, first := c.sendAll(t, sent)
	c.fail(t, job, first[0], 131049)
	c.settleBy(t, tomorrow)
	c.wakeUp(t)
	job2, second := c.sendAll(t, sent)
	c.deliver(t, job, first[0])
	c.deliver(t, job2, second[0])
	c.settleBy(t, tomorrow)
	require.Equal(t, map[string]int{"DELIVERED": 1}, c.statuses(t))
	c.closeBooks(t)
	c.requireSpent(t, price)
}

func TestSettle_AMarkDoesNotOvertakeALateDelivery(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job, first := c.sendAll(t, sent)
	c.fail(t, job, first[0], 131049)
	c.settleBy(t, tomorrow)
	c.wakeUp(t)
	next := c.claim(t)
	c.deliver(t, job, first[0]) // told, and not settled yet
	marked, suppressed, err := c.MarkSending(t.Context(), c.v, next, next.Messages)
	require.NoError(t, err)
	require.Empty(t, marked)
	require.Zero(t, suppressed)
	require.NoError(t, c.EndSend(t.Context(), c.v, next))
	c.settleBy(t, tomorrow)
	c.closeBooks(t)
	c.requireSpent(t, price)
}

func TestSettle_GivesUpAfterItsTriesAndRefundsOnce(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	for try := range 3 {
		job, marked := c.sendAll(t, sent)
		require.EqualValues(t, try, marked[0].Waits)
		c.fail(t, job, marked[0], 131049)
		c.settleBy(t, func(f store.Fallen) store.Judgement { f.Expires = time.Time{}; return tomorrow(f) })
		c.wakeUp(t)
	}
	require.Equal(t, map[string]int{"FAILED": 1}, c.statuses(t))
	c.closeBooks(t)
	c.requireSpent(t, 0)
	var letters int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM dead_letters WHERE cause_class = 'LATER' AND code = 131049`).Scan(&letters))
	require.Equal(t, 1, letters)
}

func TestSettle_AFailureToldBeforeOurRecordIsJudgedAll(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.fail(t, job, marked[0], 131049)
	c.answer(t, job, marked, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.settleBy(t, tomorrow)
	require.Equal(t, map[string]int{"QUEUED": 1}, c.statuses(t))
	c.requireSpent(t, 0)
}

func TestSettle_WhatAKilledWorkerNeverRecordedIsChargedByItsWebhook(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 2).running(t)
	claim := c.claimID(t)
	job, err := c.BeginSend(t.Context(), c.v, claim, keep, grace)
	require.NoError(t, err)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	c.deliver(t, job, marked[0])
	c.fail(t, job, marked[1], 131049)
	again, err := c.BeginSend(t.Context(), c.v, claim, keep, grace) // after the kill
	require.NoError(t, err)
	require.NoError(t, c.EndSend(t.Context(), c.v, again))
	c.settleBy(t, tomorrow)
	require.Equal(t, map[string]int{"DELIVERED": 1, "QUEUED": 1}, c.statuses(t))
	c.requireSpent(t, price)
}

func TestSettle_UnknownUtilityIsSentAgain(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3)
	c.exec(t, `UPDATE campaigns SET category = 'UTILITY'`)
	c = c.running(t)
	unknown := func(_ int, r *store.SendResult) { r.Status, r.Wamid = message.Unknown, "" }
	job, first := c.sendAll(t, unknown)
	require.Equal(t, map[string]int{"UNKNOWN": 3}, c.statuses(t))
	c.deliver(t, job, first[0])
	c.exec(t, `UPDATE unknown_attempts SET settle_at = now() - interval '1 second'`)
	c.settle(t)
	require.Equal(t, map[string]int{"DELIVERED": 1, "QUEUED": 2}, c.statuses(t))
	c.deliver(t, job, first[1]) // late, and before its second attempt
	c.settle(t)
	_, second := c.sendAll(t, sent)
	require.Len(t, second, 1)
	require.Equal(t, first[2].ID, second[0].ID)
	require.EqualValues(t, 2, second[0].Attempt)
	c.deliver(t, job, first[2]) // late, and after it: both arrived, one is charged
	c.settle(t)
	require.Equal(t, map[string]int{"DELIVERED": 3}, c.statuses(t))
	c.closeBooks(t)
	c.requireSpent(t, 3*price)
}

func TestSettle_UnknownFollowsTheVendorsPolicy(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	c.exec(t, `UPDATE vendors SET unknown_policy_marketing = 'RETRY'`)
	unknown := func(_ int, r *store.SendResult) { r.Status, r.Wamid = message.Unknown, "" }
	for range 3 {
		c.sendAll(t, unknown)
		c.exec(t, `UPDATE unknown_attempts SET settle_at = now() - interval '1 second'`)
		c.settle(t)
	}
	require.Equal(t, map[string]int{"UNCONFIRMED": 1}, c.statuses(t), "three times is enough")
	c.closeBooks(t)
	c.requireSpent(t, 0)
}

func TestExpiry_WhatHasNotLeftEnds(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"RUNNING", "HALTED", "PAUSED"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			c := newCampaign(t, 200).running(t)
			claimed := c.claim(t) // 160 are with a worker when the end comes
			marked, _, err := c.MarkSending(t.Context(), c.v, claimed, claimed.Messages[:100])
			require.NoError(t, err)
			c.exec(t, `UPDATE campaigns SET status = $1, expires_at = now() - interval '1 second'`, state)
			c.exec(t, `UPDATE outbox_lanes SET paused = $1 WHERE campaign_id IS NOT NULL`, state != "RUNNING")
			for _, want := range []bool{false, false, false, true} {
				expired, done, err := c.Overdue(t.Context(), c.v, c.campaign, time.Now(), 13)
				require.NoError(t, err)
				require.True(t, expired)
				require.Equal(t, want, done)
			}
			// Half of what was on the wire arrives, the other half would be tried again.
			c.answer(t, claimed, marked, func(i int, r *store.SendResult) {
				if i%2 == 0 {
					r.Status, r.Wamid, r.Code, r.RetryAt = message.Failed, "", 131000, time.Now()
				}
			})
			_, ended, err := c.MarkSending(t.Context(), c.v, claimed, claimed.Messages[100:])
			require.NoError(t, err)
			require.Equal(t, 60, ended)
			require.NoError(t, c.EndSend(t.Context(), c.v, claimed))
			_, late := c.sendAll(t, sent)
			require.Empty(t, late)
			require.Equal(t, map[string]int{"SENT": 50, "EXPIRED": 150}, c.statuses(t))
			c.closeBooks(t)
			c.requireSpent(t, 50*price)
		})
	}
}

// siblings makes running campaigns that have something in common with c's, and one with
// nothing, and returns all by what they share with it.
func (c campaigner) siblings(t *testing.T) map[string]campaign.ID {
	t.Helper()
	ids := map[string]campaign.ID{"same": c.campaign}
	account, number, tmpl, foreign := id.Random(), id.Random(), id.Random(), id.Random()
	c.exec(t, `INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, '78', 'x')`, c.v, account)
	c.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) SELECT $1, $2, id, '1556' FROM wabas WHERE waba_id = '77'`, c.v, number)
	c.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) VALUES ($1, $2, $3, '1557')`, c.v, foreign, account)
	c.exec(t, `INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status)
	           SELECT $1, $2, id, '2', 'other', 'en', 'MARKETING', 'APPROVED' FROM wabas WHERE waba_id = '77'`, c.v, tmpl)
	for name, with := range map[string]struct{ template, number string }{
		"template": {"template_id", "$3::uuid"}, "number": {"$4::uuid", "sender_number_id"}, "account": {"$4::uuid", "$3::uuid"}, "stranger": {"$4::uuid", "$5::uuid"},
	} {
		ids[name] = id.New[campaign.ID]()
		c.exec(t, `INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience)
			SELECT vendor_id, $1, 'D', 'RUNNING', `+with.template+`, `+with.number+`, category, audience FROM campaigns
			WHERE id = $2 AND ($3::uuid, $4::uuid, $5::uuid) IS NOT NULL`, ids[name], c.campaign, number, tmpl, foreign)
	}
	return ids
}

func TestHalt_ReachesAsFarAsItsScopeAndWakesByItsEvent(t *testing.T) {
	t.Parallel()
	tests := map[failure.Scope]struct {
		stop   campaign.Stop
		halted []string // of: same, template, number, account, stranger
		marked string   // the account's status
	}{
		failure.OwnCampaign:  {campaign.MetaStop(failure.Campaign, failure.OwnCampaign, "TEMPLATE_PARAM_COUNT", "fix"), []string{"same"}, "CONNECTED"},
		failure.OwnTemplate:  {campaign.MetaStop(failure.Hold, failure.OwnTemplate, "TEMPLATE_PAUSED", "wait"), []string{"same", "template"}, "CONNECTED"},
		failure.OwnNumber:    {campaign.MetaStop(failure.Account, failure.OwnNumber, "NUMBER_NOT_READY", "register"), []string{"same", "number"}, "CONNECTED"},
		failure.WholeAccount: {campaign.MetaStop(failure.Token, failure.WholeAccount, "TOKEN_EXPIRED", "connect"), []string{"same", "template", "number", "account"}, "TOKEN_EXPIRED"},
	}
	for scope, tt := range tests {
		t.Run(string(scope), func(t *testing.T) {
			t.Parallel()
			c := newCampaign(t, 1).running(t)
			ids := c.siblings(t)
			halted := func() (names []string) {
				for _, name := range []string{"same", "template", "number", "account", "stranger"} {
					row, err := c.Campaign(t.Context(), c.v, ids[name])
					require.NoError(t, err)
					if row.State == campaign.Halted {
						require.Equal(t, tt.stop.Reason, row.HaltReason)
						require.Equal(t, tt.stop.Remedy, row.HaltRemedy)
						names = append(names, name)
					}
				}
				return names
			}
			n, err := c.HaltCampaigns(t.Context(), c.v, c.campaign, tt.stop)
			require.NoError(t, err)
			require.Equal(t, len(tt.halted), n)
			require.Equal(t, tt.halted, halted())
			var status string
			require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT status FROM wabas WHERE waba_id = '77'`).Scan(&status))
			require.Equal(t, tt.marked, status)

			others := slices.DeleteFunc(campaign.Wakers(), func(w campaign.Waker) bool { return w == tt.stop.Wakes })
			_, err = c.ResumeHalted(t.Context(), c.v, "", others...)
			require.NoError(t, err)
			require.Equal(t, tt.halted, halted(), "other events wake nobody")
			if c.hearOf(t, tt.stop.Wakes) {
				require.Equal(t, tt.halted, halted(), "being told wakes nobody: somebody has to look")
			}
			n, err = c.ResumeHalted(t.Context(), c.v, "", campaign.Wakers()...)
			require.NoError(t, err)
			if tt.stop.Wakes == "" {
				require.Zero(t, n)
				_, err = c.ResumeCampaign(t.Context(), c.v, c.campaign)
				require.NoError(t, err)
			}
			require.Empty(t, halted())
		})
	}
}

// hearOf makes happen what the account's news are of, after a resume in vain, and tells
// whether there are any.
func (c campaigner) hearOf(t *testing.T, w campaign.Waker) bool {
	t.Helper()
	if w != campaign.ByNumber && w != campaign.ByToken {
		return false
	}
	n, err := c.ResumeHalted(t.Context(), c.v, "", campaign.Wakers()...)
	require.NoError(t, err)
	require.Zero(t, n, "nothing was heard since")
	if w == campaign.ByNumber {
		_, err = c.hook.TakeIn(t.Context(), store.Intake{ID: id.Random(), BodiesCT: []byte("x"), Requests: 1, News: []store.AccountNews{
			{WABA: "77", Standing: true}, {WABA: "77"}, {WABA: "78"}, {WABA: "unknown", Standing: true},
		}})
	} else {
		_, err = c.ConnectWABA(t.Context(), c.v, waba.Account{ID: id.New[waba.ID](), MetaID: "77"}, func(waba.ID) ([]byte, error) { return []byte("new"), nil })
	}
	require.NoError(t, err)
	var asked int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events e JOIN wabas w ON w.id::text = e.subject_id
		WHERE e.kind = 'waba.template_sync' AND w.waba_id = '77'`).Scan(&asked))
	require.Equal(t, 1, asked, "somebody is to look at the account")
	return true
}

func TestHalt_APausedTemplateWakesByItselfTwice(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	stop := campaign.MetaStop(failure.Hold, failure.OwnTemplate, "TEMPLATE_PAUSED", "wait")
	for _, hours := range []int{3, 6, 0} {
		_, err := c.HaltCampaigns(t.Context(), c.v, c.campaign, stop)
		require.NoError(t, err)
		row, err := c.Campaign(t.Context(), c.v, c.campaign)
		require.NoError(t, err)
		require.Equal(t, campaign.Halted, row.State)
		if hours == 0 {
			require.True(t, row.HaltUntil.IsZero(), "the third time Meta disables it")
			return
		}
		due := time.Now().Add(time.Duration(hours) * time.Hour)
		require.WithinDuration(t, due, row.HaltUntil, time.Minute)
		_, _, err = c.Overdue(t.Context(), c.v, c.campaign, due.Add(-time.Minute), 10)
		require.NoError(t, err)
		row, err = c.Campaign(t.Context(), c.v, c.campaign)
		require.NoError(t, err)
		require.Equal(t, campaign.Halted, row.State, "not before")
		_, _, err = c.Overdue(t.Context(), c.v, c.campaign, due.Add(time.Minute), 10)
		require.NoError(t, err)
		row, err = c.Campaign(t.Context(), c.v, c.campaign)
		require.NoError(t, err)
		require.Equal(t, campaign.Running, row.State)
	}
}

func TestHalt_ByWhatMetasListSaysOfTheTemplate(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	c.exec(t, `UPDATE templates SET status = 'PAUSED'`)
	wabas, err := c.ListWABAs(t.Context(), c.v)
	require.NoError(t, err)
	for range 2 {
		_, err = c.HaltUnusable(t.Context(), c.v, wabas[0].ID)
		require.NoError(t, err)
	}
	row, err := c.Campaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, "META_TEMPLATE_PAUSED", row.HaltReason)
	n, err := c.ResumeHalted(t.Context(), c.v, wabas[0].ID, campaign.ByTemplate)
	require.NoError(t, err)
	require.Zero(t, n, "it is paused still")
	c.exec(t, `UPDATE templates SET status = 'APPROVED'`)
	n, err = c.ResumeHalted(t.Context(), c.v, wabas[0].ID, campaign.ByTemplate)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestApproveCampaign_CopiesTheTemplate(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.label(t, "vip", "IN", 1)
	s.topUp(t, 100*money.Unit)
	c := s.draft(t, vips())
	q := s.quote(t, c.ID)
	before := func(change, back string) error {
		s.exec(t, change)
		_, err := s.approve(t, c.ID, q.ID)
		s.exec(t, back)
		return err
	}
	require.ErrorIs(t, before(`UPDATE templates SET status = 'PAUSED'`, `UPDATE templates SET status = 'APPROVED'`), template.ErrNotApproved)
	s.exec(t, `CREATE TABLE kept AS SELECT id, components FROM templates`)
	require.Error(t, before(`UPDATE templates SET components = '[{"type":"BODY","text":"Hi {{1}}, {{2}}, {{3}}, {{4}} and {{5}}."}]'`,
		`UPDATE templates t SET components = k.components FROM kept k WHERE k.id = t.id`), "the parameters no longer cover it")
	_, err := s.approve(t, c.ID, q.ID)
	require.NoError(t, err)
	s.exec(t, `UPDATE templates SET name = 'other', components = '[]', parameter_format = 'NAMED'`)
	_, err = s.PrepareCampaign(t.Context(), s.v, c.ID, s.now)
	require.NoError(t, err)
	_, _, err = s.FreezePage(t.Context(), s.v, c.ID, 10)
	require.NoError(t, err)
	_, err = s.LaunchCampaign(t.Context(), s.v, c.ID)
	require.NoError(t, err)
	relay := openStore(t, s.db.Relay())
	claims, err := relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	for _, claim := range claims {
		if claim.Kind == "CAMPAIGN" {
			job, err := s.BeginSend(t.Context(), s.v, claim.ID, keep, grace)
			require.NoError(t, err)
			require.NotEqual(t, "other", job.TemplateName)
			require.Equal(t, "POSITIONAL", job.ParameterStyle)
			require.Contains(t, string(job.Components), "BODY")
			return
		}
	}
	require.Fail(t, "nothing was claimed")
}

func TestHaltWakers_MatchTheColumn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	requireCheck(t, db, "campaigns_halt_wakes_check", campaign.Wakers())
	requireCheck(t, db, "vendors_unknown_policy_marketing_check", failure.Policies())
	requireCheck(t, db, "vendors_unknown_policy_utility_check", failure.Policies())
}

func TestRecord_SuppressesOneWhoStoppedMarketingByEveryName(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 2).running(t)
	c.exec(t, `INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id)
	           SELECT vendor_id, sha256('bsuid'), 'BSUID', contact_id FROM message_logs ORDER BY id LIMIT 1`)
	c.exec(t, `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source, lifted_at) VALUES ($1, sha256('bsuid'), 'MARKETING', 'x', 'x', now())`, c.v)
	c.sendAll(t, func(i int, r *store.SendResult) {
		if i == 0 {
			r.Status, r.Wamid, r.Code, r.Class, r.Suppress = message.Failed, "", 131050, "RECIPIENT", true
		}
	})
	var n int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM suppressions WHERE lifted_at IS NULL AND scope = 'MARKETING'`).Scan(&n))
	require.Equal(t, 2, n, "the phone and the BSUID")
}

func TestRecord_WhatTheHoldDoesNotCoverIsRecordedAllTheSame(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	for i := range marked {
		marked[i].Price *= 2
	}
	c.exec(t, `UPDATE message_logs SET price_micros = 2 * price_micros`)
	c.answer(t, job, marked, sent)
	require.Equal(t, map[string]int{"SENT": 3}, c.statuses(t))
	c.requireSpent(t, 0)
}

// course is a random course of one campaign's events.
type course struct {
	campaigner

	*rand.Rand
	all []sentAttempt
}

type sentAttempt struct {
	job store.SendJob
	m   store.Marked
}

func (c *course) judge(f store.Fallen) store.Judgement {
	f.Expires = time.Time{}
	return tomorrow(f)
}

// send sends what is due; some of it fails before it is recorded.
func (c *course) send(t *testing.T) {
	t.Helper()
	c.wakeUp(t)
	claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	for _, claim := range claims {
		if claim.Kind != "CAMPAIGN" {
			continue
		}
		job, err := c.BeginSend(t.Context(), c.v, claim.ID, keep, grace)
		require.NoError(t, err)
		marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
		require.NoError(t, err)
		for _, m := range marked {
			c.all = append(c.all, sentAttempt{job, m})
			if c.IntN(5) == 0 {
				c.fail(t, job, m, 131049)
			}
		}
		c.answer(t, job, marked, c.result)
		require.NoError(t, c.EndSend(t.Context(), c.v, job))
	}
}

func (c *course) result(_ int, r *store.SendResult) {
	switch c.IntN(8) {
	case 0:
		r.Status, r.Wamid = message.Unknown, ""
	case 1:
		r.Status, r.Wamid, r.RetryAt = message.Failed, "", time.Now()
	case 2:
		r.Status, r.Wamid = message.Failed, ""
	}
}

// tell lets Meta speak of any attempt so far.
func (c *course) tell(t *testing.T) {
	t.Helper()
	for range c.IntN(20) {
		if a := c.all[c.IntN(len(c.all))]; c.IntN(3) == 0 {
			c.deliver(t, a.job, a.m)
		} else {
			c.fail(t, a.job, a.m, 131049)
		}
		if c.IntN(4) == 0 {
			c.settleBy(t, c.judge)
		}
	}
}

// end brings the campaign to its end.
func (c *course) end(t *testing.T) {
	t.Helper()
	c.exec(t, `UPDATE campaigns SET expires_at = now()`)
	_, done, err := c.Overdue(t.Context(), c.v, c.campaign, time.Now().Add(time.Second), 1000)
	require.NoError(t, err)
	require.True(t, done)
	c.exec(t, `UPDATE unknown_attempts SET settle_at = now() - interval '1 second'`)
	c.settleBy(t, c.judge)
	c.closeBooks(t)
}

// Whatever Meta says, in whatever order and however often: in the end every message has
// one state, is charged at most once, and the ledger agrees with the messages.
func TestSettle_AnyCourseOfEventsKeepsTheBooks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &course{campaigner: newCampaign(t, 25), Rand: rand.New(rand.NewPCG(seed, 1))}
			if seed%2 == 1 {
				c.exec(t, `UPDATE campaigns SET category = 'UTILITY'`)
			}
			c.campaigner = c.running(t)
			for range 12 {
				c.send(t)
				c.tell(t)
				c.exec(t, `UPDATE unknown_attempts SET settle_at = now() - interval '1 second' WHERE message_id % 2 = $1`, c.IntN(2))
				c.settleBy(t, c.judge)
				c.requireSound(t)
			}
			c.end(t)
			total, final := 0, c.statuses(t)
			for s, n := range final {
				require.True(t, message.Final(message.Status(s)), s)
				total += n
			}
			require.Equal(t, 25, total)
			w, err := c.Wallet(t.Context(), c.v)
			require.NoError(t, err)
			require.Zero(t, w.Held)
			charged := money.Micros(final["SENT"]+final["DELIVERED"]+final["READ"]) * price
			require.LessOrEqual(t, topUp-w.Balance, charged, "nobody pays for a message twice, or for one that failed")
		})
	}
}

// Whatever used up the hold, the platform loses what was on the wire, and nothing more.
func TestRecord_AHoldThatIsUsedUpHaltsUntilTheRestIsCovered(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 20).running(t)
	_, err := c.PostAll(t.Context(), c.v, wallet.Release(string(c.campaign), "gone", 18*price))
	require.NoError(t, err)
	job := c.claim(t)
	first, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[:5])
	require.NoError(t, err)
	require.Len(t, first, 5)
	c.answer(t, job, first, sent)
	row, err := c.Campaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Halted, row.State)
	require.Equal(t, campaign.HaltWalletEmpty, row.HaltReason)
	rest, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages[5:])
	require.NoError(t, err)
	require.Empty(t, rest)
	require.NoError(t, c.ReturnRows(t.Context(), c.v, job, job.Messages[5:], time.Now()))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))

	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	_, err = c.PostAll(t.Context(), c.v, wallet.Adjust("empty", -w.Balance, "test", "emptied by the test"))
	require.NoError(t, err)
	went, err := c.ResumeHalted(t.Context(), c.v, "", campaign.ByWallet)
	require.NoError(t, err)
	require.Zero(t, went, "nothing came in")
	_, err = c.ResumeCampaign(t.Context(), c.v, c.campaign)
	require.ErrorIs(t, err, wallet.ErrInsufficientFunds)
	c.topUp(t, 15*price)
	went, err = c.ResumeHalted(t.Context(), c.v, "", campaign.ByWallet)
	require.NoError(t, err)
	require.Equal(t, 1, went)
	job = c.claim(t)
	rest = c.mark(t, job)
	require.Len(t, rest, 15)
	c.answer(t, job, rest, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	row, err = c.Campaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Running, row.State)
	c.finish(t)
	require.Equal(t, map[string]int{"SENT": 20}, c.statuses(t))
}

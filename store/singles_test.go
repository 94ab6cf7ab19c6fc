package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// counter is a shop whose vendor writes to persons one by one.
type counter struct {
	shop
	relay, hook *store.Store
}

// offerPrice is a marketing message to India by the shop's card: 0.0118 and 0.001 of the
// platform's, and 18 % of tax.
const offerPrice = money.Micros(15_104)

func newCounter(t *testing.T, balance money.Micros) counter {
	t.Helper()
	c := counter{shop: newShop(t)}
	var err error
	c.relay, err = store.New(c.db.Relay())
	require.NoError(t, err)
	c.hook, err = store.New(c.db.Webhook())
	require.NoError(t, err)
	if balance > 0 {
		c.topUp(t, balance)
	}
	return c
}

func writer(n int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "person %d", n))
	return sum[:]
}

func (c counter) spec(to int) store.NewSingle {
	return store.NewSingle{
		SenderNumber: c.number, Recipient: writer(to), Country: "IN", Content: single.Content{Type: single.Template},
		Template: &store.SingleTemplate{ID: c.template, Values: map[string]string{"body.1": "Asha"}},
		Seal: func(_ contact.ID, m message.ID, content []byte) (mobile, sealed []byte, err error) {
			return []byte("mobile"), fmt.Appendf(nil, "%d %s", m, content), nil
		},
	}
}

func (c counter) text(to int) store.NewSingle {
	spec := c.spec(to)
	spec.Template, spec.Content = nil, single.Content{Type: single.Text, Text: &single.TextBody{Body: "hello"}}
	return spec
}

func (c counter) accept(ctx context.Context, spec store.NewSingle) (store.CampaignMessage, error) {
	return c.AcceptSingle(ctx, c.v, spec, c.now, store.Once[store.CampaignMessage]{})
}

// write makes somebody write to the number, at a time.
func (c counter) write(t *testing.T, from int, at time.Time) {
	t.Helper()
	var phone string
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT phone_number_id FROM sender_numbers WHERE id = $1`, c.number).Scan(&phone))
	_, err := c.hook.TakeIn(t.Context(), store.Intake{
		ID: id.Random(), BodiesCT: []byte("x"), Requests: 1,
		Inbound: []store.SealedInbound{{ID: id.New[string](), PhoneNumberID: phone, MessageCT: []byte("sealed")}},
	})
	require.NoError(t, err)
	n, err := c.TakeInbound(t.Context(), c.v, func(waiting []store.WaitingInbound) ([]store.Inbound, error) {
		out := make([]store.Inbound, len(waiting))
		for i, w := range waiting {
			out[i] = store.Inbound{
				ID: w.ID, SenderNumber: w.SenderNumber, WamidHash: []byte(w.ID), Identities: [][]byte{writer(from)}, Type: "text",
				MessageCT: w.MessageCT, WrittenAt: at, ReceivedAt: w.ReceivedAt, OpenUntil: at.Add(single.Window),
			}
		}
		return out, nil
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// claim takes what is due and begins to send it.
func (c counter) claim(t *testing.T) store.SendJob {
	t.Helper()
	claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err)
	for _, claim := range claims {
		if claim.Kind == store.SingleLane {
			job, err := c.BeginSend(t.Context(), c.v, claim.ID, keep, grace)
			require.NoError(t, err)
			return job
		}
	}
	require.Fail(t, "nothing was claimed")
	return store.SendJob{}
}

// sendAll marks and records what a claim holds.
func (c counter) sendAll(t *testing.T, to func(*store.SendResult)) store.SendJob {
	t.Helper()
	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	results := make([]store.SendResult, len(marked))
	for i, m := range marked {
		results[i] = store.SendResult{ID: m.ID, Attempt: m.Attempt, Price: m.Price, Status: message.Sent, Wamid: fmt.Sprintf("wamid.%d", m.ID)}
		to(&results[i])
	}
	require.NoError(t, c.RecordSends(t.Context(), c.v, job, results, store.Recording{Keep: keep, Grace: grace}))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	return job
}

func (c counter) purse(t *testing.T) store.Wallet {
	t.Helper()
	w, err := c.Wallet(t.Context(), c.v)
	require.NoError(t, err)
	return w
}

// refused checks a message's refusal, and that nothing of it is stored.
func (c counter) refused(t *testing.T, spec store.NewSingle, code string) {
	t.Helper()
	_, err := c.accept(t.Context(), spec)
	require.Equal(t, code, errs.CodeOf(err), "%v", err)
}

func (c counter) messages(t *testing.T) int {
	t.Helper()
	var n int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM message_logs`).Scan(&n))
	return n
}

func TestAcceptSingle_IsPricedCoveredAndSent(t *testing.T) {
	t.Parallel()
	c := newCounter(t, 100*money.Unit)
	m, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	require.Equal(t, message.Queued, m.Status)
	require.Equal(t, offerPrice, m.Price)
	require.Equal(t, 50*offerPrice, c.purse(t).Held, "the float is filled up for fifty at once")
	again, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	require.NotEqual(t, m.ID, again.ID, "a person may be written to again")
	require.Equal(t, 50*offerPrice, c.purse(t).Held)

	job := c.claim(t)
	require.Equal(t, []message.ID{m.ID, again.ID}, job.Messages)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Len(t, marked, 2)
	require.Equal(t, fmt.Sprintf(`%d {"template":{"name":"offer","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"Asha"}]}]},"type":"template"}`, m.ID),
		string(marked[0].ContentCT))
	require.WithinDuration(t, time.Now(), marked[0].AcceptedAt, time.Minute)
	results := []store.SendResult{
		{ID: m.ID, Attempt: 1, Price: offerPrice, Status: message.Sent, Wamid: "wamid.1"},
		{ID: again.ID, Attempt: 1, Price: offerPrice, Status: message.Failed, Code: 131026, Title: "no", Class: "RECIPIENT"},
	}
	require.NoError(t, c.RecordSends(t.Context(), c.v, job, results, store.Recording{Keep: keep, Grace: grace}))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	require.Equal(t, 49*offerPrice, c.purse(t).Held, "what failed cost nothing")
	got, err := c.Message(t.Context(), c.v, m.ID)
	require.NoError(t, err)
	require.Equal(t, message.Sent, got.Status)
	require.Equal(t, offerPrice, got.Captured)
	c.requireSound(t)
}

func TestAcceptSingle_NewCoverForEveryOpenMessage(t *testing.T) {
	t.Parallel()
	c := newCounter(t, 120*offerPrice)
	for i := range 100 {
		_, err := c.accept(t.Context(), c.spec(i))
		require.NoError(t, err, i)
	}
	require.Equal(t, 100*offerPrice, c.purse(t).Held)
	// The wallet has twenty more; filled one by one, since fifty are too many.
	for i := range 20 {
		_, err := c.accept(t.Context(), c.spec(i))
		require.NoError(t, err, i)
	}
	before := c.messages(t)
	c.refused(t, c.spec(500), "wallet.insufficient_funds")
	require.Equal(t, before, c.messages(t))
	// What Meta refuses costs nothing: its cover serves the next.
	job := c.sendAll(t, func(r *store.SendResult) {
		r.Status, r.Code, r.Class, r.Wamid = message.Failed, 131026, "RECIPIENT", ""
	})
	require.Len(t, job.Messages, 80, "half the window of 80 a second")
	for i := range 80 {
		_, err := c.accept(t.Context(), c.spec(i))
		require.NoError(t, err, i)
	}
	c.refused(t, c.spec(500), "wallet.insufficient_funds")
	c.requireSound(t)
}

func TestAcceptSingle_DryWalletStoresNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t, offerPrice-1)
	c.refused(t, c.spec(1), "wallet.insufficient_funds")
	require.Zero(t, c.messages(t))
	require.Zero(t, c.purse(t).Held)
}

func TestAcceptSingle_OncePerKey(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	key := func(hash string) store.Once[store.CampaignMessage] {
		return store.Once[store.CampaignMessage]{
			Route: "POST /messages", Key: "k", Hash: []byte(hash),
			Answer: func(m store.CampaignMessage) ([]byte, error) { return fmt.Appendf(nil, "%d", m.ID), nil },
		}
	}
	m, err := c.AcceptSingle(t.Context(), c.v, c.spec(1), c.now, key("a"))
	require.NoError(t, err)
	_, err = c.AcceptSingle(t.Context(), c.v, c.spec(1), c.now, key("a"))
	var repeat *store.Repeat
	require.ErrorAs(t, err, &repeat)
	require.Equal(t, fmt.Sprint(m.ID), string(repeat.Answer))
	_, err = c.AcceptSingle(t.Context(), c.v, c.spec(2), c.now, key("b"))
	require.ErrorIs(t, err, store.ErrKeyReused)
	require.Equal(t, 1, c.messages(t))
}

// Twenty at once with money for ten: ten are taken, whatever their order.
func TestAcceptSingle_ManyAtOnceNeverOverdraw(t *testing.T) {
	t.Parallel()
	c := newCounter(t, 10*offerPrice)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)
	for i := range 20 {
		wg.Go(func() {
			_, err := c.accept(t.Context(), c.spec(i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
			} else if errs.CodeOf(err) != "wallet.insufficient_funds" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 10, accepted)
	require.Equal(t, 10, c.messages(t))
	require.Equal(t, 10*offerPrice, c.purse(t).Held)
	c.sendAll(t, func(*store.SendResult) {})
	require.Zero(t, c.purse(t).Held)
	c.requireSound(t)
}

func TestAcceptSingle_Refuses(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	c.refused(t, c.text(1), "message.window_closed")
	spec := c.spec(1)
	spec.SenderNumber = id.New[waba.NumberID]()
	c.refused(t, spec, "sender_number.not_found")
	spec = c.spec(1)
	spec.Template = &store.SingleTemplate{ID: id.New[template.ID]()}
	c.refused(t, spec, "template.not_found")
	spec.Template = &store.SingleTemplate{Name: "offer", Language: "en"}
	c.refused(t, spec, "template.value_missing")
	c.exec(t, `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source) VALUES ($1, $2, 'MARKETING', 'stop', 'test')`, c.v, writer(1))
	c.refused(t, c.spec(1), "message.recipient_suppressed")
	c.exec(t, `UPDATE templates SET status = 'PAUSED'`)
	c.refused(t, c.spec(2), "template.not_approved")

	other := addVendor(t, c.db)
	_, err := c.AcceptSingle(t.Context(), other, c.spec(1), c.now, store.Once[store.CampaignMessage]{})
	require.ErrorIs(t, err, waba.ErrNumberNotFound, "another vendor's number is not there")
	require.Zero(t, c.messages(t))
}

func TestAcceptSingle_OfAnotherVendorIsNotThere(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	m, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	c.write(t, 1, time.Now())
	other := addVendor(t, c.db)
	_, err = c.Message(t.Context(), other, m.ID)
	require.ErrorIs(t, err, message.ErrNotFound)
	tx, err := c.db.App().Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // only read
	for seen, v := range []any{other, c.v} {
		_, err = tx.Exec(t.Context(), `SELECT set_config('app.vendor_id', $1, true)`, v)
		require.NoError(t, err)
		for _, table := range []string{"standing_campaigns", "conversation_windows", "inbound_messages"} {
			var n int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
			require.Equal(t, seen, n, table)
		}
	}
}

// A marketing stop does not keep a person from being answered.
func TestSingle_WindowOpensAndClosesWhileQueued(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	c.exec(t, `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source) VALUES ($1, $2, 'MARKETING', 'stop', 'test')`, c.v, writer(1))
	c.write(t, 1, time.Now().Add(-25*time.Hour))
	c.refused(t, c.text(1), "message.window_closed")
	c.write(t, 1, time.Now().Add(-time.Hour))
	c.write(t, 1, time.Now().Add(-3*time.Hour)) // told late: the window stays as long as it was
	open, err := c.accept(t.Context(), c.text(1))
	require.NoError(t, err)
	require.Equal(t, money.Micros(2_832), open.Price, "0.0014 and 0.001, and tax")
	c.refused(t, c.text(2), "message.window_closed")

	c.exec(t, `UPDATE conversation_windows SET open_until = now()`)
	job := c.claim(t)
	marked, stopped, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Empty(t, marked)
	require.Equal(t, 1, stopped)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	got, err := c.Message(t.Context(), c.v, open.ID)
	require.NoError(t, err)
	require.Equal(t, message.Failed, got.Status)
	require.Equal(t, "message.window_closed", got.ErrorTitle)
	require.Zero(t, got.Captured)
	var letters int
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM dead_letters WHERE message_id = $1`, open.ID).Scan(&letters))
	require.Equal(t, 1, letters)
	c.requireSound(t)
}

func TestSingle_RefundedWhenItFailsLater(t *testing.T) {
	t.Parallel()
	c := newCounter(t, offerPrice)
	m, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	job := c.sendAll(t, func(*store.SendResult) {})
	require.Zero(t, c.purse(t).Balance)
	var phone string
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT phone_number_id FROM sender_numbers`).Scan(&phone))
	_, err = c.hook.TakeIn(t.Context(), store.Intake{ID: id.Random(), BodiesCT: []byte("x"), Requests: 1, Statuses: []store.StatusUpdate{{
		Ref: message.Ref{Month: job.Month, Message: m.ID, Attempt: 1}, PhoneNumberID: phone, Wamid: "wamid.x", Status: message.Failed, Code: 131026, At: time.Now(),
	}}})
	require.NoError(t, err)
	campaigner{purse: c.shop.purse}.settle(t)
	require.Equal(t, offerPrice, c.purse(t).Balance)
	c.requireSound(t)
}

func TestCloseStanding_GivesTheFloatBackWhenDrained(t *testing.T) {
	t.Parallel()
	c := newCounter(t, 100*offerPrice)
	_, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	var timers int
	require.NoError(t, c.db.Super().QueryRow(t.Context(),
		`SELECT count(*) FROM outbox_events WHERE kind = 'singles.month_over' AND available_at > now()`).Scan(&timers))
	require.Equal(t, 1, timers, "somebody looks when the month is over")
	done, err := c.CloseStanding(t.Context(), c.v, time.Now())
	require.NoError(t, err)
	require.Zero(t, done, "its month is not over")
	later := time.Now().AddDate(0, 1, 0)
	done, err = c.CloseStanding(t.Context(), c.v, later)
	require.NoError(t, err)
	require.Zero(t, done, "a message is under way")
	c.sendAll(t, func(*store.SendResult) {})
	require.NoError(t, c.db.Super().QueryRow(t.Context(),
		`SELECT count(*) FROM outbox_events WHERE kind = 'singles.month_over' AND available_at <= now()`).Scan(&timers))
	require.Equal(t, 1, timers, "its last message rings")
	done, err = c.CloseStanding(t.Context(), c.v, later)
	require.NoError(t, err)
	require.Equal(t, 1, done)
	require.Zero(t, c.purse(t).Held)
	require.Equal(t, 99*offerPrice, c.purse(t).Balance)
	c.requireSound(t)
	done, err = c.CloseStanding(t.Context(), c.v, later)
	require.NoError(t, err)
	require.Zero(t, done)
}

// The standing campaign is shown when asked for; it is not its vendor's to steer.
func TestStanding_IsNotItsVendorsToSteer(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	_, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	list, err := c.ListCampaigns(t.Context(), c.v, store.CampaignFilter{}, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
	list, err = c.ListCampaigns(t.Context(), c.v, store.CampaignFilter{Kind: "SINGLE"}, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1, "unless it is asked for")
	_, err = c.CancelCampaign(t.Context(), c.v, list[0].ID)
	require.ErrorIs(t, err, campaign.ErrNotFound)
}

// One-off messages leave while a campaign fills the number's window, and never take more
// than half of it.
func TestClaim_OneOffMessagesHaveHalfTheWindow(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 300).running(t)
	_, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
	require.NoError(t, err) // the campaign holds all 160 of the window
	_, err = c.db.Super().Exec(t.Context(), `
		WITH l AS (INSERT INTO outbox_lanes (vendor_id, kind, campaign_id, sender_number_id, month, window_rows)
			SELECT vendor_id, 'SINGLE', gen_random_uuid(), sender_number_id, month, window_rows FROM outbox_lanes WHERE kind = 'CAMPAIGN' RETURNING vendor_id, id)
		INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id) SELECT l.vendor_id, l.id, 'message', 900000 + n FROM l, generate_series(1, 100) n`)
	require.NoError(t, err)
	_, err = c.db.Super().Exec(t.Context(), `SELECT outbox_touch($1, now())`, c.v)
	require.NoError(t, err)
	var kinds []string
	rows := 0
	for range 3 {
		claims, err := c.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: keep})
		require.NoError(t, err)
		for _, claim := range claims {
			kinds, rows = append(kinds, claim.Kind), rows+len(claim.Messages)
		}
	}
	require.Equal(t, []string{store.SingleLane}, kinds)
	require.Equal(t, 80, rows)
}

// A lock of the account stops one-off messages too: no new ones are taken, those that wait
// wait on, and all goes on when Meta tells something better.
func TestSingle_AHaltedAccountRefusesUntilItGoesOn(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	_, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	job := c.claim(t)
	stop := campaign.Stop{Reason: "META_ACCOUNT_LOCKED", Scope: failure.WholeAccount, Wakes: campaign.ByAccount}
	n, err := c.HaltCampaigns(t.Context(), c.v, job.Campaign, stop)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	require.Empty(t, marked)
	require.NoError(t, c.ReturnRows(t.Context(), c.v, job, job.Messages, time.Now()))
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	_, err = c.accept(t.Context(), c.spec(2))
	require.ErrorIs(t, err, single.ErrHalted)
	require.ErrorContains(t, err, "META_ACCOUNT_LOCKED")

	went, err := c.ResumeHalted(t.Context(), c.v, "", campaign.ByAccount)
	require.NoError(t, err)
	require.Zero(t, went, "nothing was heard yet")
	c.exec(t, `UPDATE wabas SET heard_at = clock_timestamp()`)
	went, err = c.ResumeHalted(t.Context(), c.v, "", campaign.ByAccount)
	require.NoError(t, err)
	require.Equal(t, 1, went)
	_, err = c.accept(t.Context(), c.spec(2))
	require.NoError(t, err)
	require.Len(t, c.sendAll(t, func(*store.SendResult) {}).Messages, 2)
	c.requireSound(t)
}

// A standing campaign has no workflow: the outbox keeps the clock of its halt.
func TestSingle_AHaltThatEndsByTimeEnds(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	m, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	var standing campaign.ID
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT campaign_id FROM standing_campaigns`).Scan(&standing))
	_, err = c.HaltCampaigns(t.Context(), c.v, standing, campaign.Stop{Reason: "META_PAYMENT_ISSUE", Scope: failure.WholeAccount, Wakes: campaign.ByAccount, Probe: time.Hour})
	require.NoError(t, err)
	_, err = c.accept(t.Context(), c.spec(2))
	require.ErrorIs(t, err, single.ErrHalted)
	var clock time.Time
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT available_at FROM outbox_events WHERE kind = 'singles.halt_over'`).Scan(&clock))
	require.WithinDuration(t, time.Now().Add(time.Hour), clock, time.Minute)
	n, err := c.ResumeDue(t.Context(), c.v, clock.Add(-time.Minute))
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = c.ResumeDue(t.Context(), c.v, clock.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	c.sendAll(t, func(*store.SendResult) {})
	got, err := c.Message(t.Context(), c.v, m.ID)
	require.NoError(t, err)
	require.Equal(t, message.Sent, got.Status)
	_, err = c.accept(t.Context(), c.spec(2))
	require.NoError(t, err)
}

// What a float promised to a message of which Meta never told is not promised again: a late
// word still finds its price there.
func TestSingle_UnconfirmedStaysCovered(t *testing.T) {
	t.Parallel()
	c := newCounter(t, offerPrice)
	_, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	job := c.sendAll(t, func(r *store.SendResult) { r.Status, r.Wamid = message.Unknown, "" })
	c.refused(t, c.spec(2), "wallet.insufficient_funds")
	c.exec(t, `UPDATE unknown_attempts SET settle_at = now()`)
	of := campaigner{purse: c.shop.purse, hook: c.hook}
	of.settle(t)
	c.refused(t, c.spec(2), "wallet.insufficient_funds")
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT phone_number_id FROM sender_numbers`).Scan(&of.number))
	of.hear(t, store.StatusUpdate{Ref: message.Ref{Month: job.Month, Message: job.Messages[0], Attempt: 1}, Wamid: "wamid.late", Status: message.Delivered})
	of.settle(t)
	got, err := c.Message(t.Context(), c.v, job.Messages[0])
	require.NoError(t, err)
	require.Equal(t, message.Delivered, got.Status)
	require.Equal(t, offerPrice, got.Captured)
	c.requireSound(t)
}

// A template that Meta has paused is its messages' own trouble, even after acceptance.
func TestSingle_ATemplatesFaultStopsNothingElse(t *testing.T) {
	t.Parallel()
	c := newCounter(t, money.Unit)
	m, err := c.accept(t.Context(), c.spec(1))
	require.NoError(t, err)
	job := c.sendAll(t, func(*store.SendResult) {})
	of := campaigner{purse: c.shop.purse, hook: c.hook}
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT phone_number_id FROM sender_numbers`).Scan(&of.number))
	of.hear(t, store.StatusUpdate{Ref: message.Ref{Month: job.Month, Message: m.ID, Attempt: 1}, Wamid: "wamid.1", Status: message.Failed, Code: 132015})
	stops := of.settleBy(t, func(store.Fallen) store.Judgement {
		return store.Judgement{Verdict: failure.Verdict{Action: failure.Again, At: time.Now(), Halt: failure.OwnTemplate}, Class: failure.Hold}
	})
	require.Empty(t, stops)
	got, err := c.Message(t.Context(), c.v, m.ID)
	require.NoError(t, err)
	require.Equal(t, message.Failed, got.Status)
	require.Equal(t, offerPrice, got.Refunded)
	_, err = c.accept(t.Context(), c.spec(2))
	require.NoError(t, err)
	c.requireSound(t)
}

// The database itself keeps a person from a second message of a campaign, and by one index
// finds a campaign's messages.
func TestMessages_APersonOnceInACampaign(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	_, err := c.db.Super().Exec(t.Context(), `INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros)
		SELECT vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros FROM message_logs LIMIT 1`)
	require.ErrorContains(t, err, "duplicate key")
	var whole bool
	require.NoError(t, c.db.Super().QueryRow(t.Context(),
		`SELECT indpred IS NULL FROM pg_index WHERE indexrelid = 'message_logs_recipient_key'::regclass`).Scan(&whole))
	require.True(t, whole, "a partial index would find none of them without its condition")
}

package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/temporaltest"
	"github.com/kloyst/kloyst-core/store"
	"github.com/kloyst/kloyst-core/workflows"
)

// world is a database of vendors and a Temporal server without workers: what the relay
// starts stays open, and the test ends it.
type world struct {
	db       *pgtest.DB
	app      *store.Store
	temporal client.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: pgtest.New(t)}
	var err error
	w.app, err = store.New(w.db.App())
	require.NoError(t, err)
	w.temporal, _ = temporaltest.New(t)
	return w
}

// relay is one more relay on the world.
func (w *world) relay(t *testing.T) *Relay {
	t.Helper()
	s, err := store.New(w.db.Relay())
	require.NoError(t, err)
	return &Relay{
		Store: s, Temporal: w.temporal, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Metrics: NewMetrics(prometheus.NewRegistry()), bell: make(chan struct{}, 1),
	}
}

func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := w.db.Super().Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (w *world) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, w.db.Super().QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// campaign plants a vendor with a campaign in a state, untouched for an hour, and people
// whose messages wait in its open lane.
func (w *world) campaign(t *testing.T, status campaign.State, people int) (vendor.ID, campaign.ID) {
	t.Helper()
	v, c := id.New[vendor.ID](), id.New[campaign.ID]()
	waba, number, template := id.Random(), id.Random(), id.Random()
	w.exec(t, `INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'A', 'IN', 'USD')`, v)
	w.exec(t, `INSERT INTO wallets (vendor_id, currency) VALUES ($1, 'USD')`, v)
	w.exec(t, `INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2::uuid, $2::text, 'x')`, v, waba)
	w.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, rate_per_second) VALUES ($1, $2::uuid, $3, $2::text, 1000)`, v, number, waba)
	w.exec(t, `INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status) VALUES ($1, $2, $3, '1', 'promo', 'en', 'MARKETING', 'APPROVED')`, v, template, waba)
	w.exec(t, `INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience, month, approved_at, frozen_at, updated_at)
	           VALUES ($1, $2, 'C', $3, $4, $5, 'MARKETING', '{}', 202611, now(), now(), now() - interval '1 hour')`, v, c, status, template, number)
	w.exec(t, `SELECT message_partitions_ensure(202611)`)
	w.exec(t, `INSERT INTO outbox_lanes (vendor_id, kind, campaign_id, sender_number_id, month, window_rows) VALUES ($1, 'CAMPAIGN', $2, $3, 202611, 2000)`, v, c, number)
	w.exec(t, `WITH m AS (
	               INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros)
	               SELECT $1, 202611, $2, gen_random_uuid(), sha256(n::text::bytea), 'IN', 'x', 0 FROM generate_series(1, $3::int) n RETURNING id)
	           INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id)
	           SELECT $1, l.id, 'message', m.id FROM m, outbox_lanes l WHERE l.vendor_id = $1 AND l.campaign_id = $2`, v, c, people)
	w.exec(t, `SELECT outbox_touch($1, now())`, v)
	return v, c
}

// run is the id of the workflow's open run, "" when it has none.
func (w *world) run(t *testing.T, workflowID string) string {
	t.Helper()
	d, err := w.temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return ""
	}
	require.NoError(t, err)
	info := d.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return ""
	}
	return info.GetExecution().GetRunId()
}

func (w *world) terminate(t *testing.T, workflowID string) {
	t.Helper()
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), workflowID, "", "by hand"))
}

// signals counts the doorbells in the history of a workflow's last run.
func (w *world) signals(t *testing.T, workflowID string) int {
	t.Helper()
	n := 0
	iter := w.temporal.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		e, err := iter.Next()
		require.NoError(t, err)
		if e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			n++
		}
	}
	return n
}

func newReconciler(r *Relay) *reconciler {
	return &reconciler{Relay: r, after: map[store.OpenKind]string{}, repairs: map[string]repair{}}
}

func TestReconcile_StartsTheWorkflowOfACampaignAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, c := w.campaign(t, campaign.Running, 3)
	rec := newReconciler(w.relay(t))
	key := workflows.CampaignID(v, c)
	require.NoError(t, rec.once(t.Context()))
	first := w.run(t, key)
	require.NotEmpty(t, first, "nobody had started it")
	require.NoError(t, rec.once(t.Context()))
	require.Equal(t, first, w.run(t, key), "one that lives is left alone")
	require.Zero(t, w.signals(t, key), "nor rung while messages wait")

	w.terminate(t, key)
	rec.repairs = map[string]repair{}
	require.NoError(t, rec.once(t.Context()))
	second := w.run(t, key)
	require.NotEmpty(t, second)
	require.NotEqual(t, first, second)

	w.terminate(t, key)
	require.NoError(t, rec.once(t.Context()))
	require.Empty(t, w.run(t, key), "one that ends again and again waits for its turn")
	rec.repairs[key] = repair{times: 1, next: time.Now()}
	require.NoError(t, rec.once(t.Context()))
	require.NotEmpty(t, w.run(t, key))
}

func TestReconcile_RingsACampaignThatHasNothingLeftToWaitFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	drained, c := w.campaign(t, campaign.Running, 0)
	cancelled, d := w.campaign(t, campaign.Cancelled, 2)
	waiting, e := w.campaign(t, campaign.Running, 0)
	w.exec(t, `INSERT INTO settlements (vendor_id, message_id, attempt, month, campaign_id) VALUES ($1, 1, 1, 202611, $2)`, waiting, e)
	rec := newReconciler(w.relay(t))
	for range 2 { // the first starts, the second rings
		require.NoError(t, rec.once(t.Context()))
		rec.repairs = map[string]repair{}
	}
	require.Equal(t, 1, w.signals(t, workflows.CampaignID(drained, c)))
	require.Equal(t, 1, w.signals(t, workflows.CampaignID(cancelled, d)))
	require.Zero(t, w.signals(t, workflows.CampaignID(waiting, e)))
}

func TestReconcile_LeavesAloneWhatIsOverOrJustMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	over, c := w.campaign(t, campaign.Completed, 0)
	draft, d := w.campaign(t, campaign.Draft, 0)
	ended, e := w.campaign(t, campaign.Cancelled, 0)
	w.exec(t, `UPDATE campaigns SET finished_at = now() WHERE id = $1`, e)
	fresh, f := w.campaign(t, campaign.Approved, 0)
	w.exec(t, `UPDATE campaigns SET updated_at = now() WHERE id = $1`, f)
	require.NoError(t, newReconciler(w.relay(t)).once(t.Context()))
	for key, c := range map[vendor.ID]campaign.ID{over: c, draft: d, ended: e, fresh: f} {
		require.Empty(t, w.run(t, workflows.CampaignID(key, c)))
	}
}

func TestReconcile_GoesThroughImportsAndDocumentsPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, c := w.campaign(t, campaign.Completed, 0)
	snapshot, document := id.Random(), id.Random()
	w.exec(t, `INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint) VALUES ($1, 'USD', '2026-10-01', 'test', 'f')`, snapshot)
	w.exec(t, `INSERT INTO quotations (vendor_id, id, campaign_id, number, currency, snapshot_id, inputs, fingerprint, quantity, messages_micros, fees_micros, tax_micros, total_micros, wallet_sufficient, expires_at, created_at)
	           VALUES ($1, $2, $3, 'Q-1', 'USD', $4, '{}', 'f', 1, 1, 0, 0, 1, true, now(), now() - interval '1 hour')`, v, document, c, snapshot)
	var imports []string
	for range reconcileRows + 5 {
		imports = append(imports, string(id.New[importing.ID]()))
	}
	w.exec(t, `INSERT INTO contact_import_jobs (vendor_id, id, status, file_name, file_key, file_bytes, sha256, mime_type, strategy, default_region, updated_at)
	           SELECT $1, i::uuid, 'AWAITING_MAPPING', 'f', 'k', 1, 'x', 'text/csv', 'MERGE_LABELS', 'IN', now() - interval '1 hour' FROM unnest($2::text[]) i`, v, imports)
	rec := newReconciler(w.relay(t))
	require.NoError(t, rec.once(t.Context()))
	require.NotEmpty(t, w.run(t, workflows.QuotationID(v, document)))
	require.NotEmpty(t, w.run(t, workflows.ImportID(v, imports[0])))
	last := workflows.ImportID(v, imports[len(imports)-1])
	require.Empty(t, w.run(t, last), "a page a round")
	require.NoError(t, rec.once(t.Context()))
	require.NotEmpty(t, w.run(t, last))
	require.Empty(t, rec.after[store.OpenImport], "and from the first again")
}

// claim takes what is due, as a relay does, for lease.
func (w *world) claim(t *testing.T, r *Relay, lease time.Duration) []store.Claim {
	t.Helper()
	claims, err := r.Store.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: lease})
	require.NoError(t, err)
	require.Len(t, claims, 1)
	return claims
}

func TestSweep_AnExpiredClaimIsStartedUnderItsOwnId(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign(t, campaign.Running, 20)
	r := w.relay(t)
	claims := w.claim(t, r, -time.Second) // its relay died before the start
	key := workflows.DispatchID(claims[0].Batch)
	require.Empty(t, w.run(t, key))
	require.NoError(t, r.sweepOnce(t.Context()))
	first := w.run(t, key)
	require.NotEmpty(t, first)
	require.Equal(t, 1, w.count(t, `SELECT count(*) FROM outbox_claims WHERE published_at IS NOT NULL AND claimed_until > now()`))
	require.Zero(t, w.count(t, `SELECT count(*) FROM outbox_events`), "its rows stay with it")

	// Expired again, but its workflow lives: it is left to it.
	w.exec(t, `UPDATE outbox_claims SET claimed_until = now() - interval '1 second'`)
	require.NoError(t, r.sweepOnce(t.Context()))
	require.Equal(t, first, w.run(t, key))
}

func TestSweep_ABatchTerminatedByHandRunsAgainUnderItsOwnId(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, _ := w.campaign(t, campaign.Running, 20)
	r := w.relay(t)
	claims := w.claim(t, r, time.Minute)
	r.publish(t.Context(), claims)
	key := workflows.DispatchID(claims[0].Batch)
	first := w.run(t, key)
	job, err := w.app.BeginSend(t.Context(), v, claims[0].ID, time.Minute, time.Minute)
	require.NoError(t, err)
	marked, _, err := w.app.MarkSending(t.Context(), v, job, job.Messages[:5])
	require.NoError(t, err)
	require.Len(t, marked, 5)

	w.terminate(t, key)
	w.exec(t, `UPDATE outbox_claims SET claimed_until = now() - interval '1 second'`)
	require.NoError(t, r.sweepOnce(t.Context()))
	second := w.run(t, key)
	require.NotEmpty(t, second)
	require.NotEqual(t, first, second)
	again, err := w.app.BeginSend(t.Context(), v, claims[0].ID, time.Minute, time.Minute)
	require.NoError(t, err)
	require.Len(t, again.Messages, 15, "what was on the wire is not sent again")
}

func TestPublish_AStalledRelayThatWakesLateStartsNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, _ := w.campaign(t, campaign.Running, 20)
	stalled, other := w.relay(t), w.relay(t)
	claims := w.claim(t, stalled, -time.Second) // stopped here, for longer than its lease
	require.NoError(t, other.sweepOnce(t.Context()))
	key := workflows.DispatchID(claims[0].Batch)
	first := w.run(t, key)
	stalled.publish(t.Context(), claims)
	require.Equal(t, first, w.run(t, key), "it wakes while the batch is sent")

	job, err := w.app.BeginSend(t.Context(), v, claims[0].ID, time.Minute, time.Minute)
	require.NoError(t, err)
	require.NoError(t, w.app.ReturnRows(t.Context(), v, job, job.Messages, time.Now()))
	require.NoError(t, w.app.EndSend(t.Context(), v, job))
	w.terminate(t, key) // as if it were done
	stalled.publish(t.Context(), claims)
	_, err = w.app.BeginSend(t.Context(), v, claims[0].ID, time.Minute, time.Minute)
	require.ErrorIs(t, err, store.ErrClaimGone, "it wakes after that: the batch finds its claim gone")
	require.Equal(t, 20, w.count(t, `SELECT count(*) FROM outbox_events WHERE message_id IS NOT NULL`))
}

// An event may be told twice, by the stalled relay and by the one that took over: both
// doorbells and starts bear it, and a late word of failure brings nothing back.
func TestPublishWork_AStalledRelayThatWakesLateBringsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, c := w.campaign(t, campaign.Approved, 0)
	w.exec(t, `SELECT outbox_enqueue($1, 'campaign.approved', $2)`, v, c)
	stalled, other := w.relay(t), w.relay(t)
	claims := w.claim(t, stalled, -time.Second)
	require.NoError(t, other.sweepOnce(t.Context()))
	first := w.run(t, workflows.CampaignID(v, c))
	require.NotEmpty(t, first)
	stalled.publish(t.Context(), claims)
	require.Equal(t, first, w.run(t, workflows.CampaignID(v, c)))
	require.NoError(t, stalled.Store.FinishWork(t.Context(), v, claims[0].ID, claims[0].Events, nil))
	require.Zero(t, w.count(t, `SELECT count(*) FROM outbox_events`)+w.count(t, `SELECT count(*) FROM outbox_claims`))
}

func TestPublishWork_ADocumentThatFailedIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, _ := w.campaign(t, campaign.Completed, 0)
	document, r := id.Random(), w.relay(t)
	ask := func() string {
		require.NoError(t, r.work(t.Context(), v, store.Event{Kind: "quotation.issued", Subject: document}))
		return w.run(t, workflows.QuotationID(v, document))
	}
	first := ask()
	require.NotEmpty(t, first)
	require.Equal(t, first, ask(), "one that is being made is left alone")
	w.terminate(t, workflows.QuotationID(v, document))
	again := ask()
	require.NotEmpty(t, again)
	require.NotEqual(t, first, again)
}

// ledger notes who claimed which message, to find one that was claimed twice.
type ledger struct {
	mu   sync.Mutex
	seen map[message.ID]store.ClaimID
	sent int
}

// work sends what is claimed, until the campaigns are drained: the part of the workers.
func (w *world) work(ctx context.Context, l *ledger) error {
	for ctx.Err() == nil {
		rows, err := w.db.Super().Query(ctx, `SELECT vendor_id::text, id::text FROM outbox_claims WHERE kind = 'CAMPAIGN' AND lease = 0 LIMIT 20`)
		if err != nil {
			return err
		}
		var (
			v, claim string
			open     [][2]string
		)
		for rows.Next() {
			if err := rows.Scan(&v, &claim); err != nil {
				return err
			}
			open = append(open, [2]string{v, claim})
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, o := range open {
			if err := w.send(ctx, l, vendor.ID(o[0]), store.ClaimID(o[1])); err != nil {
				return err
			}
		}
		pause(ctx, 5*time.Millisecond)
	}
	return nil
}

func (w *world) send(ctx context.Context, l *ledger, v vendor.ID, claim store.ClaimID) error {
	job, err := w.app.BeginSend(ctx, v, claim, time.Minute, time.Minute)
	if err != nil {
		return err
	}
	marked, _, err := w.app.MarkSending(ctx, v, job, job.Messages)
	if err != nil {
		return err
	}
	results := make([]store.SendResult, len(marked))
	l.mu.Lock()
	for i, m := range marked {
		if was, twice := l.seen[m.ID]; twice {
			l.mu.Unlock()
			return fmt.Errorf("message %d is claimed by %s and %s", m.ID, was, claim)
		}
		l.seen[m.ID] = claim
		results[i] = store.SendResult{ID: m.ID, Attempt: m.Attempt, Status: message.Sent, Wamid: fmt.Sprintf("w.%d", m.ID)}
	}
	l.mu.Unlock()
	if err := w.app.RecordSends(ctx, v, job, results, store.Recording{Keep: time.Minute, Grace: time.Minute}); err != nil {
		return err
	}
	l.mu.Lock()
	l.sent += len(marked)
	l.mu.Unlock()
	return w.app.EndSend(ctx, v, job)
}

func TestRun_SeveralRelaysServeEverybodyOnce(t *testing.T) {
	t.Parallel()
	for _, relays := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(relays), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const vendors, people = 5, 300
			for range vendors {
				w.campaign(t, campaign.Running, people)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, relays+1)
			l := &ledger{seen: map[message.ID]store.ClaimID{}}
			for range relays {
				r := w.relay(t)
				go func() { done <- r.Run(ctx) }()
			}
			go func() { done <- w.work(ctx, l) }()
			require.Eventually(t, func() bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.sent == vendors*people
			}, time.Minute, 20*time.Millisecond)
			stop()
			for range relays + 1 {
				if err := <-done; !errors.Is(err, context.Canceled) {
					require.NoError(t, err)
				}
			}
			require.Equal(t, vendors*people, w.count(t, `SELECT count(*) FROM message_attempts WHERE status = 'SENT'`))
			require.Zero(t, w.count(t, `SELECT count(*) FROM outbox_events WHERE message_id IS NOT NULL`))
		})
	}
}

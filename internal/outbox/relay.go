// Package outbox is the relay: it moves rows out of Postgres into Temporal, fairly
// between vendors and with no loss. Claim and commit, start the workflow outside the
// transaction under an id made from the claim, mark it published. A crash between any
// two of these is repaired by the claim's expiry: it is started again, under the same id.
// A reconciler does the same for campaigns, imports and documents that are not over.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// The relay's numbers. Fifty per vendor and five hundred in all are the product's fair
// share; ten vendors make them meet.
const (
	vendorsPerClaim = 10
	rowsPerVendor   = 50
	rowsPerClaim    = 500

	// One workflow serves the claims taken within gatherFor, up to so many rows and lanes: a
	// workflow and its activities cost Temporal the same for fifty rows as for a thousand.
	// Each lane is an activity, and the activities of one workflow start one by one.
	rowsPerBatch  = 10_000
	lanesPerBatch = 40
	gatherFor     = 250 * time.Millisecond

	// spacedBy is how long after a batch the next one begins at the earliest, unless it is
	// full or holds one-off messages: when many small campaigns start, each would get a
	// workflow of its own.
	spacedBy = 200 * time.Millisecond

	// claimLease is how long a claim may show no sign of life before a relay starts its
	// workflow again: well above the time to start one, well below a person's patience.
	claimLease = 30 * time.Second

	// startTimeout bounds one call to Temporal.
	startTimeout = 10 * time.Second

	// startsAtOnce bounds the claims being started while the next is claimed.
	startsAtOnce = 8

	sweepEvery = 5 * time.Second
	minIdle    = 25 * time.Millisecond
	maxIdle    = time.Second

	// hotIdle is the longest nap while claims of the last few seconds are being worked
	// off: their numbers' windows free up without a notice.
	hotIdle = 200 * time.Millisecond
	hotFor  = 5 * time.Second
)

// Relay moves events. Fields are set once, by cmd.
type Relay struct {
	Store    *store.Store
	Temporal client.Client
	Log      *slog.Logger
	Metrics  *Metrics

	bell chan struct{}
}

// Metrics are the relay's numbers for operators.
type Metrics struct {
	Claims  prometheus.Counter
	Events  *prometheus.CounterVec // by what became of them: started, returned, dead
	Backlog prometheus.Gauge
	Lag     prometheus.Gauge
	Repairs prometheus.Counter // workflows that were missing
}

// NewMetrics registers the relay's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		Claims:  prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_outbox_claims_total", Help: "Claims taken by this relay."}),
		Events:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kloyst_outbox_events_total", Help: "Events moved, by outcome."}, []string{"outcome"}),
		Backlog: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kloyst_outbox_due_events", Help: "Events due and not claimed."}),
		Lag:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "kloyst_outbox_lag_seconds", Help: "How long the oldest due event has waited."}),
		Repairs: prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_outbox_repairs_total", Help: "Workflows that were missing and were started again."}),
	}
	reg.MustRegister(m.Claims, m.Events, m.Backlog, m.Lag, m.Repairs)
	return m
}

// Run relays until ctx ends. Any number of relays may run at once.
func (r *Relay) Run(ctx context.Context) error {
	r.bell = make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.listen(ctx) })
	g.Go(func() error { return r.sweep(ctx) })
	g.Go(func() error { return r.reconcile(ctx) })
	g.Go(func() error { return r.claim(ctx) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// listen turns notices of the database into rings of the bell. A broken connection is
// made again; until then polling finds the work, a little later.
func (r *Relay) listen(ctx context.Context) error {
	for ctx.Err() == nil {
		err := r.Store.ListenOutbox(ctx, r.ring)
		if ctx.Err() != nil {
			break
		}
		r.Log.WarnContext(ctx, "outbox listener lost its connection", "error", err)
		pause(ctx, time.Second)
	}
	return ctx.Err()
}

func (r *Relay) ring() {
	select {
	case r.bell <- struct{}{}:
	default: // one ring is as good as two
	}
}

// claim is the main loop: busy, it claims again at once; idle, it naps a little longer
// each time, until the bell or the next due time wakes it.
func (r *Relay) claim(ctx context.Context) error {
	starts, startCtx := errgroup.WithContext(ctx)
	starts.SetLimit(startsAtOnce)
	defer starts.Wait() //nolint:errcheck // starts report their own failures
	idle, lastWork, lastBatch := minIdle, time.Time{}, time.Time{}
	for ctx.Err() == nil {
		worked := 0
		sends, err := r.gather(ctx, lastBatch.Add(spacedBy), func(c store.Claim) {
			worked++
			starts.Go(func() error { r.publishWork(startCtx, c); return nil })
		})
		if err != nil {
			r.Log.ErrorContext(ctx, "outbox claim failed", "error", err)
		}
		if len(sends) > 0 {
			lastBatch = time.Now()
			starts.Go(func() error { r.publishSends(startCtx, sends); return nil })
		}
		switch {
		case err != nil:
			pause(ctx, time.Second)
			continue
		case worked+len(sends) > 0:
			idle, lastWork = minIdle, time.Now()
			continue
		}
		most := maxIdle
		if time.Since(lastWork) < hotFor {
			most = hotIdle
		}
		r.nap(ctx, min(idle, most))
		idle = min(idle*2, maxIdle)
	}
	return ctx.Err()
}

// gather claims into one batch until there is no more, or enough for one workflow, or
// the first rows have waited gatherFor; a small one waits for more until earliest. Fairness
// is between claims, cost is per workflow and per activity: under load, several small fair
// claims share them. Work that starts workflows of its own is published as it comes. What
// was claimed before an error is returned with it.
func (r *Relay) gather(ctx context.Context, earliest time.Time, publish func(store.Claim)) (sends []store.Claim, err error) {
	batch, began, rows := id.Random(), time.Now(), 0
	at := map[store.ClaimID]int{}
	urgent := false
	for rows < rowsPerBatch && len(sends) < lanesPerBatch && time.Since(began) < gatherFor {
		claims, err := r.Store.ClaimOutbox(ctx, batch, store.ClaimShare{
			Vendors: vendorsPerClaim, PerVendor: rowsPerVendor, Total: rowsPerClaim, Lease: claimLease,
		})
		left := time.Until(earliest)
		switch {
		case err != nil, len(claims) == 0 && (urgent || len(sends) == 0 || left <= 0):
			return sends, err
		case len(claims) == 0:
			r.nap(ctx, left)
			continue
		}
		r.Metrics.Claims.Inc()
		for _, c := range claims {
			i, again := at[c.ID]
			urgent = urgent || c.Kind == store.SingleLane
			switch {
			case c.Kind == "WORK":
				publish(c)
			case again: // the same claim, grown
				rows += len(c.Messages) - len(sends[i].Messages)
				sends[i] = c
			default:
				at[c.ID] = len(sends)
				sends, rows = append(sends, c), rows+len(c.Messages)
			}
		}
	}
	return sends, nil
}

// nap waits for d, the bell, or the next turn that falls due.
func (r *Relay) nap(ctx context.Context, d time.Duration) {
	if next, err := r.Store.NextWake(ctx); err == nil && next > 0 {
		d = min(d, next)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.bell:
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// sweep repairs what crashes leave: expired claims are started again, sleeping turns
// woken, unknown outcomes past their grace handed to settlement.
func (r *Relay) sweep(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "outbox sweep failed", "error", err)
		}
		pause(ctx, sweepEvery)
	}
	return ctx.Err()
}

func (r *Relay) sweepOnce(ctx context.Context) error {
	expired, err := r.Store.ExpiredClaims(ctx, rowsPerClaim, claimLease)
	if err != nil {
		return err
	}
	if len(expired) > 0 {
		r.Log.WarnContext(ctx, "claims expired and are started again", "claims", len(expired))
		for _, claims := range byBatch(expired) {
			r.publish(ctx, claims)
		}
	}
	if err := r.Store.SweepOutbox(ctx); err != nil {
		return err
	}
	events, oldest, err := r.Store.OutboxBacklog(ctx)
	if err == nil {
		r.Metrics.Backlog.Set(float64(events))
		r.Metrics.Lag.Set(oldest.Seconds())
	}
	return err
}

// publish starts what the claims of one batch hold, or starts it again.
func (r *Relay) publish(ctx context.Context, claims []store.Claim) {
	var sends []store.Claim
	for _, c := range claims {
		if c.Kind == "WORK" {
			r.publishWork(ctx, c)
		} else {
			sends = append(sends, c)
		}
	}
	if len(sends) > 0 {
		r.publishSends(ctx, sends)
	}
}

func byBatch(claims []store.Claim) map[string][]store.Claim {
	out := map[string][]store.Claim{}
	for _, c := range claims {
		out[c.Batch] = append(out[c.Batch], c)
	}
	return out
}

// publishSends starts the workflow of a batch. What fails stays claimed: nothing is lost,
// and nothing is started under two ids.
func (r *Relay) publishSends(ctx context.Context, sends []store.Claim) {
	if err := r.startDispatch(ctx, sends); err != nil {
		r.Log.WarnContext(ctx, "dispatch not started, its claims will expire and be started again", "batch_id", sends[0].Batch, "error", err)
		r.Metrics.Events.WithLabelValues("retried").Add(float64(rows(sends)))
		return
	}
	r.Metrics.Events.WithLabelValues("started").Add(float64(rows(sends)))
	if err := r.Store.PublishBatch(ctx, sends[0].Batch); err != nil {
		r.Log.WarnContext(ctx, "dispatch started but not marked", "batch_id", sends[0].Batch, "error", err)
	}
}

func rows(claims []store.Claim) int {
	n := 0
	for _, c := range claims {
		n += len(c.Messages)
	}
	return n
}

// publishWork starts or signals one workflow per event of a WORK claim; what fails
// returns to the outbox with a delay.
func (r *Relay) publishWork(ctx context.Context, c store.Claim) {
	var (
		back []store.Event
		dead = map[store.Event]string{}
	)
	for _, e := range c.Events {
		callCtx, cancel := context.WithTimeout(ctx, startTimeout)
		err := r.work(callCtx, c.Vendor, e)
		cancel()
		switch {
		case err == nil:
			r.Metrics.Events.WithLabelValues("started").Inc()
		case refused(err):
			dead[e] = errs.CodeOf(err)
			r.Metrics.Events.WithLabelValues("dead").Inc()
			r.Log.ErrorContext(ctx, "event refused by temporal", "vendor_id", c.Vendor, "kind", e.Kind, "error", err)
		default:
			back = append(back, e)
			r.Metrics.Events.WithLabelValues("returned").Inc()
			r.Log.WarnContext(ctx, "event returns to the outbox", "vendor_id", c.Vendor, "kind", e.Kind, "error", err)
		}
	}
	if err := r.Store.FinishWork(ctx, c.Vendor, c.ID, back, dead); err != nil {
		r.Log.ErrorContext(ctx, "outbox work not finished", "vendor_id", c.Vendor, "error", err)
	}
}

// refused tells whether Temporal will never take the event as it is.
func refused(err error) bool {
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
		return true
	}
	return errs.KindOf(err) == errs.Invalid
}

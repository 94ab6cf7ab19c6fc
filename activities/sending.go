package activities

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/store"
)

// Sending holds what the send activity needs. Fields are set once, by cmd, and are
// safe for concurrent use: one value serves every task of the worker.
type Sending struct {
	Store   *store.Store
	Keys    *crypt.Keys
	Limiter *ratelimit.Limiter
	Meta    *meta.Client
	Breaker *breaker.Window // nil: no circuit breaker
	Log     *slog.Logger

	Bounds Bounds // of all that the worker sends at once

	Singles prometheus.Observer // seconds from acceptance to Meta of one-off messages; may be nil

	// UnknownGrace is how long an attempt without an answer waits for its webhook.
	UnknownGrace time.Duration

	marks marks // of every claim: one database serves them
}

const (
	// leaveWithin is how long after its mark a message may still be posted. Later it is
	// treated as never sent; the unknown grace is longer, so no webhook can be missed.
	leaveWithin = 10 * time.Second

	// claimKept is how long a claim is kept after each sign of life; the relay restarts the
	// workflow of a claim that is older. A batch shows signs more often, so a running one is
	// asked for rarely; an ended one is missed for no longer.
	claimKept = 20 * time.Second
)

// SendClaimInput names one vendor's claim.
type SendClaimInput struct {
	Vendor vendor.ID `json:"vendor"`
	Claim  string    `json:"claim"`
}

// SendClaimResult counts what became of the claim's messages in this run.
type SendClaimResult struct {
	Sent       int `json:"sent"`
	Failed     int `json:"failed"`
	Unknown    int `json:"unknown"`
	Suppressed int `json:"suppressed"`
	Returned   int `json:"returned"` // back to the outbox: throttled, paused, to be tried again

	Postponed int `json:"postponed,omitempty"` // of those returned: no due time within the horizon
}

// SendClaim sends the messages of one claim: asks for the pace, marks, posts, records,
// in small batches. A retry takes a new lease, settles what the run before left on the
// wire as unknown, and goes on with the rest: it never posts a message twice.
func (a *Sending) SendClaim(ctx context.Context, in SendClaimInput) (SendClaimResult, error) {
	job, err := a.Store.BeginSend(ctx, in.Vendor, store.ClaimID(in.Claim), claimKept, a.UnknownGrace)
	if errors.Is(err, store.ErrClaimGone) {
		return SendClaimResult{}, nil
	}
	if err != nil {
		return SendClaimResult{}, toTemporal(err)
	}
	// A POST may take longer than the heartbeat timeout: this task is alive all the same.
	beat, stop := context.WithCancel(ctx)
	defer stop()
	go heartbeat(beat)
	run, err := a.newRun(ctx, in.Vendor, job)
	if err != nil {
		return SendClaimResult{}, a.haltOr(ctx, in.Vendor, job, err)
	}
	if err := run.all(ctx); err != nil && !errors.Is(err, store.ErrClaimGone) {
		return run.result, toTemporal(err)
	}
	if run.halt.Reason != "" {
		if _, err := a.Store.HaltCampaigns(ctx, in.Vendor, job.Campaign, run.halt); err != nil {
			return run.result, toTemporal(err)
		}
	}
	return run.result, toTemporal(a.Store.EndSend(ctx, in.Vendor, job))
}

// heartbeat tells Temporal every two seconds that the activity lives, until ctx ends.
func heartbeat(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			activity.RecordHeartbeat(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// sendRun is one run over one claim.
type sendRun struct {
	*Sending

	vendor vendor.ID
	job    store.SendJob
	keys   *crypt.VendorKeys
	token  string
	spec   *template.Spec
	params campaign.Parameters
	slots  slots

	records recorder

	sleepers sleepers

	mu     sync.Mutex
	result SendClaimResult
	halt   campaign.Stop // why campaigns must stop; the zero value: they need not
}

func (r *sendRun) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halt.Reason != ""
}

// batch marks ids, posts what the mark returned at the run's due times, and records all.
func (r *sendRun) batch(ctx context.Context, ids []message.ID) error {
	began := time.Now()
	ids, err := r.awake(ctx, ids, began)
	if err != nil || len(ids) == 0 {
		return err
	}
	marked, suppressed, err := r.Store.MarkSending(ctx, r.vendor, r.job, ids)
	if err != nil {
		return r.unmark(ctx, ids, err)
	}
	r.marks.took(time.Since(began))
	r.count(func(c *SendClaimResult) { c.Suppressed += suppressed })
	if len(marked) == 0 {
		return r.notMarked(ctx, ids, suppressed)
	}
	results := r.post(ctx, marked, time.Now().Add(leaveWithin))
	if err := r.record(ctx, results); err != nil {
		return err
	}
	r.tally(results)
	r.watch(context.WithoutCancel(ctx), results)
	r.observe(marked, results)
	return nil
}

// observe notes how long one-off messages took to be accepted by Meta.
func (r *sendRun) observe(marked []store.Marked, results []store.SendResult) {
	for i, m := range marked {
		if r.Singles != nil && !m.AcceptedAt.IsZero() && m.Attempt == 1 && results[i].Status == message.Sent {
			r.Singles.Observe(time.Since(m.AcceptedAt).Seconds())
		}
	}
}

// notMarked finds out why nothing was marked and puts the rows where they belong.
func (r *sendRun) notMarked(ctx context.Context, ids []message.ID, suppressed int) error {
	state, err := r.Store.SendState(ctx, r.vendor, r.job)
	if err != nil {
		return err
	}
	switch {
	case state == campaign.Running || suppressed == len(ids):
		return nil // all suppressed, or sent by an earlier run: nothing is left of them
	case state == campaign.Cancelled:
		return r.Store.CancelRows(ctx, r.vendor, r.job, ids)
	}
	return r.giveBack(ctx, ids, time.Now())
}

func (r *sendRun) giveBack(ctx context.Context, ids []message.ID, at time.Time) error {
	r.count(func(c *SendClaimResult) { c.Returned += len(ids) })
	return r.Store.ReturnRows(ctx, r.vendor, r.job, ids, at)
}

func (r *sendRun) count(f func(*SendClaimResult)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.result)
}

func (r *sendRun) tally(results []store.SendResult) {
	r.count(func(c *SendClaimResult) {
		for _, res := range results {
			switch {
			case res.Status == message.Sent:
				c.Sent++
			case res.Status == message.Unknown:
				c.Unknown++
			case res.RetryAt.IsZero():
				c.Failed++
			default:
				c.Returned++
			}
		}
	})
}

// post sends each message at a due time of its own, concurrently, and waits for every
// answer. What may not leave now is returned with the time when it may; it costs nothing.
func (r *sendRun) post(ctx context.Context, marked []store.Marked, deadline time.Time) []store.SendResult {
	results := make([]store.SendResult, len(marked))
	waits, err := r.pairs(ctx, marked)
	var wg sync.WaitGroup
	for i, m := range marked {
		results[i] = store.SendResult{ID: m.ID, Attempt: m.Attempt, Price: m.Price, Waits: m.Waits, Status: message.Sending}
		if waits != nil && waits[i] > 0 {
			results[i].RetryAt, results[i].Wait = time.Now().Add(waits[i]), store.WaitPair
			continue
		}
		// Ready before it is due: only the POST is left for then.
		req, bad := r.request(m)
		if bad != nil {
			results[i].Status, results[i].Title, results[i].Class = message.Failed, errs.CodeOf(bad), string(meta.Request)
			continue
		}
		var again time.Time
		if err == nil {
			again, err = r.slot(ctx, len(marked)-i)
		}
		may := err == nil && again.IsZero()
		if now := time.Now(); !may || ctx.Err() != nil || now.After(deadline) || r.stopped() {
			results[i].RetryAt, results[i].Wait = later(again, now), store.WaitRate // nothing left this machine
			if may {
				r.Bounds.wire.Release(1)
			}
			continue
		}
		wg.Go(func() {
			defer r.Bounds.wire.Release(1)
			r.postOne(ctx, m, req, &results[i])
		})
	}
	wg.Wait()
	return results
}

// later is when to try again: at the given time, or at once.
func later(again, now time.Time) time.Time {
	if again.After(now) {
		return again
	}
	return now
}

func (r *sendRun) postOne(ctx context.Context, m store.Marked, req meta.Body, out *store.SendResult) {
	sent, err := r.Meta.Send(r.token, r.job.PhoneNumberID, req)
	if err == nil {
		out.Status, out.Wamid = message.Sent, sent.Wamid
		return
	}
	r.judge(err, m, time.Now(), out)
	r.slowed(ctx, out)
}

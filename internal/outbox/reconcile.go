package outbox

import (
	"context"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/store"
	"github.com/kloyst/kloyst-core/workflows"
)

// The reconciler's numbers. One look at every open campaign, import and document costs a
// call to Temporal each: a page per kind and round bounds that, whatever is open.
const (
	reconcileEvery = 10 * time.Second
	reconcileRows  = 100

	// reconcileCalm is how long a thing must have been left alone: what has just moved has
	// its event on the way.
	reconcileCalm = 20 * time.Second

	// A workflow that ends again and again is started less and less often.
	firstRepairPause = 30 * time.Second
	mostRepairPause  = 15 * time.Minute
)

// reconciler ensures that every campaign, import and document that is not over has a
// workflow that lives. Temporal keeps workflows through its own crashes; what it cannot
// keep is one that somebody terminated, one whose history was lost in a restore, or a
// doorbell rung while there was none to hear it. Claims are the sweep's: they expire.
type reconciler struct {
	*Relay

	after   map[store.OpenKind]string // the last subject looked at, by kind
	repairs map[string]repair         // by workflow id
}

// repair is how often a workflow was started again, and when it may be the next time.
type repair struct {
	times int
	next  time.Time
}

// reconcile looks around until ctx ends. Several relays may: starts are once by their id.
func (r *Relay) reconcile(ctx context.Context) error {
	rec := &reconciler{Relay: r, after: map[store.OpenKind]string{}, repairs: map[string]repair{}}
	for ctx.Err() == nil {
		pause(ctx, reconcileEvery)
		if err := rec.once(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "reconciler stopped half-way and goes on later", "error", err)
		}
	}
	return ctx.Err()
}

// once looks at the next page of each kind.
func (r *reconciler) once(ctx context.Context) error {
	for _, kind := range []store.OpenKind{store.OpenCampaign, store.OpenImport, store.OpenDocument} {
		page, err := r.Store.ListOpenWork(ctx, kind, r.after[kind], reconcileRows, reconcileCalm)
		if err != nil {
			return err
		}
		for _, w := range page {
			if err := r.one(ctx, kind, w); err != nil {
				return err // Temporal is away: the next round begins here
			}
			r.after[kind] = w.Subject
		}
		if len(page) < reconcileRows {
			r.after[kind] = "" // from the first again
		}
	}
	return nil
}

// one starts the workflow of w if it does not live, and rings it if it may have missed a bell.
func (r *reconciler) one(ctx context.Context, kind store.OpenKind, w store.OpenWork) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := r.startingOf(store.Event{Kind: string(kind), Subject: w.Subject}, w.Vendor)
	s.reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	if was, ok := r.repairs[s.id]; ok && time.Now().Before(was.next) {
		return nil
	}
	started, err := r.startNew(ctx, w.Vendor, s)
	if err != nil {
		return err
	}
	if started {
		was := r.repairs[s.id]
		wait := min(firstRepairPause<<min(was.times, 10), mostRepairPause)
		r.repairs[s.id] = repair{times: was.times + 1, next: time.Now().Add(wait)}
		r.Metrics.Repairs.Inc()
		r.Log.WarnContext(ctx, "a workflow was missing and is started again", "vendor_id", w.Vendor, "workflow_id", s.id)
		return nil
	}
	delete(r.repairs, s.id)
	if !w.Ring {
		return nil
	}
	return r.signal(ctx, workflows.CampaignID(w.Vendor, campaign.ID(w.Subject)), workflows.SignalChanged)
}

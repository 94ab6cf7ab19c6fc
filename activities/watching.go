package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/store"
)

// watch shows a recorded batch to the circuit breaker, and asks for a halt if it opens. The
// breaker only watches: without its answer sending goes on.
func (r *sendRun) watch(ctx context.Context, results []store.SendResult) {
	if r.job.Kind == store.SingleLane {
		return // each has a content and a recipient of its own: one says nothing of the next
	}
	b := breaker.Batch{Failed: map[failure.Class]int{}}
	for _, res := range results {
		switch {
		case res.Status == message.Sent:
			b.Outcomes++
		case res.Status == message.Failed && res.RetryAt.IsZero():
			b.Outcomes++
			b.Failed[failure.Class(res.Class)]++
		}
	}
	if stop, open := (watcher{r.Breaker, r.Log}).see(ctx, r.vendor, r.job.Campaign, b); open {
		r.stop(stop)
	}
}

// watcher asks the circuit breaker.
type watcher struct {
	window *breaker.Window // may be nil
	log    *slog.Logger    // may be nil
}

// see counts a batch and tells whether the campaign has to halt for what it shows.
func (w watcher) see(ctx context.Context, v vendor.ID, c campaign.ID, b breaker.Batch) (campaign.Stop, bool) {
	tally, err := w.window.Count(ctx, v, c, b, time.Now())
	if err != nil {
		if w.log != nil {
			w.log.WarnContext(ctx, "circuit breaker did not count", "vendor_id", v, "campaign_id", c, "error", err)
		}
		return campaign.Stop{}, false
	}
	trip, open := tally.Trip()
	if !open {
		return campaign.Stop{}, false
	}
	// What comes after a resume is judged by itself. Without Redis the window ends by itself.
	_ = w.window.Forget(ctx, v, c, time.Now())
	return campaign.Stop{Reason: campaign.HaltFailureRate, Remedy: trip.Remedy(), Scope: failure.OwnCampaign}, true
}

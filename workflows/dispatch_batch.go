package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// DispatchBatchInput is what one relay claim returned. It lives in histories: add
// fields, never rename or remove one.
type DispatchBatchInput struct {
	Batch  string          `json:"batch"`
	Groups []DispatchGroup `json:"groups"`
}

// DispatchGroup is one vendor's claim within the batch.
type DispatchGroup struct {
	Vendor vendor.ID `json:"vendor"`
	Claim  string    `json:"claim"`
	Rows   int       `json:"rows"`
	Single bool      `json:"single,omitempty"` // one-off messages: served before campaigns
}

// singlePriority is that of one-off messages' tasks; campaigns' have the default, 3.
const singlePriority = 2

// DispatchBatch sends what one claim of the relay took: one activity per vendor's
// group, side by side, so that a slow vendor holds back nobody. The fairness key puts
// a backlog of send tasks in fair order between vendors. The claim row is the truth:
// run again under the same id, it goes on with what the claim still holds.
func DispatchBatch(ctx workflow.Context, in DispatchBatchInput) (activities.SendClaimResult, error) {
	var (
		sending *activities.Sending // nil: only its method names are used
		total   activities.SendClaimResult
		pending []workflow.Future
	)
	for _, g := range in.Groups {
		priority := temporal.Priority{FairnessKey: string(g.Vendor)}
		if g.Single {
			priority.PriorityKey = singlePriority
		}
		actx := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue:           QueueSend,
			StartToCloseTimeout: 10 * time.Minute,
			HeartbeatTimeout:    10 * time.Second, // how soon a killed worker is noticed
			RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second},
			Priority:            priority,
			Summary:             fmt.Sprintf("%d messages", g.Rows),
		})
		pending = append(pending, workflow.ExecuteActivity(actx, sending.SendClaim, activities.SendClaimInput{Vendor: g.Vendor, Claim: g.Claim}))
	}
	var failed error
	for _, f := range pending {
		var r activities.SendClaimResult
		if err := f.Get(ctx, &r); err != nil {
			failed = err // the others go on; the relay restarts what the claim still holds
			continue
		}
		total.Sent += r.Sent
		total.Failed += r.Failed
		total.Unknown += r.Unknown
		total.Suppressed += r.Suppressed
		total.Returned += r.Returned
		total.Postponed += r.Postponed
	}
	return total, failed
}

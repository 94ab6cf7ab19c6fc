package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// InboundInput names the vendor. It lives in histories: add fields, never rename one.
type InboundInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// Inbound takes in what persons wrote to a vendor's numbers. It is started by signal,
// ends when nothing waits, and is started again.
func Inbound(ctx workflow.Context, in InboundInput) error {
	var inbound *activities.Inbound // nil: only its method names are used
	bell := workflow.GetSignalChannelWithOptions(ctx, SignalInbound, workflow.SignalChannelOptions{Description: "Somebody wrote"})
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             "take in what was written",
	})
	for {
		for bell.ReceiveAsync(nil) { // this round serves them all
		}
		var more bool
		if err := workflow.ExecuteActivity(ctx, inbound.TakeInbound, activities.InboundInput{Vendor: in.Vendor}).Get(ctx, &more); err != nil {
			return err
		}
		switch {
		case more || bell.Len() > 0:
			if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
				return workflow.NewContinueAsNewError(ctx, Inbound, in)
			}
		default:
			return nil
		}
	}
}

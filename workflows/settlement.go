package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// SettlementInput names the vendor. It lives in histories: add fields, never rename one.
type SettlementInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// settlementPause gathers what webhooks enqueue in a burst into few pages.
const settlementPause = time.Second

// Settlement works off what webhooks enqueued for a vendor: captures, refunds, unknown
// outcomes. It is started by signal, ends when nothing waits, and is started again.
func Settlement(ctx workflow.Context, in SettlementInput) error {
	var dispatch *activities.Dispatch // nil: only its method names are used
	bell := workflow.GetSignalChannelWithOptions(ctx, SignalSettle, workflow.SignalChannelOptions{Description: "Something is to be settled"})
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             "settle",
	})
	for {
		if err := workflow.Sleep(ctx, settlementPause); err != nil {
			return err
		}
		for bell.ReceiveAsync(nil) { // this round serves them all
		}
		var more bool
		if err := workflow.ExecuteActivity(ctx, dispatch.Settle, activities.SettleInput{Vendor: in.Vendor}).Get(ctx, &more); err != nil {
			return err
		}
		switch {
		case more || bell.Len() > 0:
			if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
				return workflow.NewContinueAsNewError(ctx, Settlement, in)
			}
		default:
			return nil
		}
	}
}

package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

// TemplateSyncInput names a WABA. It lives in histories: add fields, never rename one.
type TemplateSyncInput struct {
	Vendor vendor.ID `json:"vendor"`
	WABA   waba.ID   `json:"waba"`
}

// TemplateSync reads a WABA's templates from Meta until it succeeds or Meta refuses for
// good. It is started by signal: a request that comes while it reads makes it read once
// more, since what it has read may be older than the request.
func TemplateSync(ctx workflow.Context, in TemplateSyncInput) (activities.SyncResult, error) {
	var templates *activities.Templates // nil: only its method names are used
	bell := workflow.GetSignalChannelWithOptions(ctx, SignalSync, workflow.SignalChannelOptions{Description: "A sync was asked for"})
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		// Rare and short: the send queue's slots are for messages.
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 5 * time.Minute, // 6,000 templates, a hundred a page
		// Meta counts management calls per hour: no hurry after the first tries.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 5 * time.Minute},
		Summary:     "read templates from Meta",
	})
	var result activities.SyncResult
	for {
		for bell.ReceiveAsync(nil) { // this round serves them all
		}
		err := workflow.ExecuteActivity(ctx, templates.Sync, activities.WABARef{Vendor: in.Vendor, WABA: in.WABA}).Get(ctx, &result)
		if err != nil || bell.Len() == 0 {
			return result, err
		}
	}
}

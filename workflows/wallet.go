package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// WalletAlertInput names the vendor. It lives in histories: add fields, never rename one.
type WalletAlertInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// alertPatience is how long a mail server may be away. After two days the vendor has met
// the empty wallet itself.
const alertPatience = 48 * time.Hour

// WalletAlert writes to a vendor's people that their wallet fell below its threshold.
func WalletAlert(ctx workflow.Context, in WalletAlertInput) error {
	var wallets *activities.Wallets // nil: only its method names are used
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              QueueCore,
		StartToCloseTimeout:    10 * time.Minute, // half a minute a person at most
		ScheduleToCloseTimeout: alertPatience,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Minute},
		Summary:                "low balance",
	})
	return workflow.ExecuteActivity(ctx, wallets.SendLowBalance, activities.VendorRef{Vendor: in.Vendor}).Get(ctx, nil)
}

// WalletReconcileInput says where the round stands. It lives in histories: add fields,
// never rename one.
type WalletReconcileInput struct {
	SoFar activities.Reconciled `json:"so_far"`
}

// WalletReconcile holds every vendor's books against themselves, page by page. Its result
// is what it found; the activity has logged and counted it.
func WalletReconcile(ctx workflow.Context, in WalletReconcileInput) (activities.Reconciled, error) {
	var wallets *activities.Wallets // nil: only its method names are used
	acts := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: time.Hour,
		HeartbeatTimeout:    10 * time.Minute, // one vendor's books
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute},
		Summary:             "reconcile a page of wallets",
	})
	total := in.SoFar
	for {
		var page activities.Reconciled
		if err := workflow.ExecuteActivity(acts, wallets.ReconcileWallets, activities.ReconcilePage{After: total.Last}).Get(ctx, &page); err != nil {
			return total, err
		}
		total.Last = page.Last
		total.Vendors += page.Vendors
		total.Wrong += page.Wrong
		total.Drift += page.Drift
		if total.Last == "" {
			return total, nil
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return total, workflow.NewContinueAsNewError(ctx, WalletReconcile, WalletReconcileInput{SoFar: total})
		}
	}
}

// MetaBillingInput says where the round stands. It lives in histories: add fields, never
// rename one.
type MetaBillingInput struct {
	SoFar activities.MetaBillingPulled `json:"so_far"`
}

// billingDays are read again each day: Meta's figures settle within a few.
const billingDays = 4

// MetaBilling reads Meta's own count of what it bills for every account, page by page, for
// the last days and the running one.
func MetaBilling(ctx workflow.Context, in MetaBillingInput) (activities.MetaBillingPulled, error) {
	var wallets *activities.Wallets // nil: only its method names are used
	acts := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: time.Hour,
		HeartbeatTimeout:    2 * time.Minute, // one account's answer
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute},
		Summary:             "read a page of accounts' billing",
	})
	today := workflow.Now(ctx).UTC().Truncate(24 * time.Hour)
	total := in.SoFar
	for {
		var page activities.MetaBillingPulled
		ask := activities.MetaBillingPage{
			After: total.Last, From: today.AddDate(0, 0, -billingDays).Format(time.DateOnly), Until: today.AddDate(0, 0, 1).Format(time.DateOnly),
		}
		if err := workflow.ExecuteActivity(acts, wallets.PullMetaBilling, ask).Get(ctx, &page); err != nil {
			return total, err
		}
		total.Last = page.Last
		total.Accounts += page.Accounts
		total.Failed += page.Failed
		total.Lines += page.Lines
		if total.Last == "" {
			return total, nil
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return total, workflow.NewContinueAsNewError(ctx, MetaBilling, MetaBillingInput{SoFar: total})
		}
	}
}

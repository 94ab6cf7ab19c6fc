package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/workflows"
)

// TestWallets_OnAServer runs the wallet's workflows with activities that answer as the real
// ones do, which have tests of their own.
func TestWallets_OnAServer(t *testing.T) {
	t.Parallel()
	c := ownNamespace(t)
	told := make(chan vendor.ID, 1)
	pages := map[vendor.ID]activities.Reconciled{
		"":   {Last: "v2", Vendors: 2},
		"v2": {Vendors: 1, Wrong: 1, Drift: 3},
	}
	w := worker.New(c, workflows.QueueCore, worker.Options{DisableRegistrationAliasing: true, WorkerStopTimeout: time.Second})
	workflows.Register(w)
	for name, act := range map[string]any{
		"SendLowBalance": func(_ context.Context, in activities.VendorRef) error { told <- in.Vendor; return nil },
		"ReconcileWallets": func(_ context.Context, in activities.ReconcilePage) (activities.Reconciled, error) {
			return pages[in.After], nil
		},
		"PullMetaBilling": func(_ context.Context, in activities.MetaBillingPage) (activities.MetaBillingPulled, error) {
			days, err := time.Parse(time.DateOnly, in.Until)
			if err != nil || days.AddDate(0, 0, -5).Format(time.DateOnly) != in.From {
				return activities.MetaBillingPulled{}, errors.New("not five days")
			}
			if in.After == "" {
				return activities.MetaBillingPulled{Last: "v2", Accounts: 3, Lines: 4}, nil
			}
			return activities.MetaBillingPulled{Accounts: 1, Failed: 1}, nil
		},
	} {
		w.RegisterActivityWithOptions(act, activity.RegisterOptions{Name: name})
	}
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	run := start(t, c, workflows.WalletAlertID("v1"), workflows.WalletAlert, workflows.WalletAlertInput{Vendor: "v1"})
	require.NoError(t, run.Get(t.Context(), nil))
	require.Equal(t, vendor.ID("v1"), <-told)
	keepHistory(t, c, run, "WalletAlert", "-told")

	run = start(t, c, workflows.ScheduleReconcile, workflows.WalletReconcile, workflows.WalletReconcileInput{})
	var found activities.Reconciled
	require.NoError(t, run.Get(t.Context(), &found))
	require.Equal(t, activities.Reconciled{Vendors: 3, Wrong: 1, Drift: 3}, found)
	keepHistory(t, c, run, "WalletReconcile", "-two-pages")

	run = start(t, c, workflows.ScheduleMetaBilling, workflows.MetaBilling, workflows.MetaBillingInput{})
	var pulled activities.MetaBillingPulled
	require.NoError(t, run.Get(t.Context(), &pulled))
	require.Equal(t, activities.MetaBillingPulled{Accounts: 4, Failed: 1, Lines: 4}, pulled)
	keepHistory(t, c, run, "MetaBilling", "-two-pages")
}

// start starts a workflow as soon as the new namespace lets it.
func start(t *testing.T, c client.Client, id string, workflow, input any) client.WorkflowRun {
	t.Helper()
	var run client.WorkflowRun
	require.Eventually(t, func() bool {
		var err error
		run, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: workflows.QueueCore}, workflow, input)
		return err == nil
	}, patience, 200*time.Millisecond)
	return run
}

package workflows_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/workflows"
)

const (
	aVendor = "0190b0a0-0000-7000-8000-000000000001"
	aWABA   = "0190b0a0-0000-7000-8000-000000000002"
	aUser   = "0190b0a0-0000-7000-8000-000000000003"
)

func TestTemplateSync_ReadsAgainWhenAskedMeanwhile(t *testing.T) {
	t.Parallel()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	var templates *activities.Templates
	runs := 0
	env.OnActivity(templates.Sync, mock.Anything, activities.WABARef{Vendor: aVendor, WABA: aWABA}).Return(
		func(context.Context, activities.WABARef) (activities.SyncResult, error) {
			if runs++; runs == 1 {
				env.SignalWorkflow(workflows.SignalSync, nil)
				env.SignalWorkflow(workflows.SignalSync, nil)
			}
			return activities.SyncResult{Templates: runs}, nil
		})
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalSync, nil) }, 0)
	env.ExecuteWorkflow(workflows.TemplateSync, workflows.TemplateSyncInput{Vendor: aVendor, WABA: aWABA})
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var got activities.SyncResult
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, activities.SyncResult{Templates: 2}, got)
}

func TestTemplateSync_EndsWhenMetaRefuses(t *testing.T) {
	t.Parallel()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	var templates *activities.Templates
	env.OnActivity(templates.Sync, mock.Anything, mock.Anything).
		Return(activities.SyncResult{}, temporal.NewNonRetryableApplicationError("token", "meta.token_refused", nil)).Once()
	env.ExecuteWorkflow(workflows.TemplateSync, workflows.TemplateSyncInput{Vendor: aVendor, WABA: aWABA})
	require.ErrorContains(t, env.GetWorkflowError(), "meta.token_refused")
}

func TestUserMail_TriesForADay(t *testing.T) {
	t.Parallel()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	var mail *activities.Mail
	runs := 0
	env.OnActivity(mail.SendVerification, mock.Anything, activities.UserRef{Vendor: aVendor, User: aUser}).Return(
		func(context.Context, activities.UserRef) error {
			if runs++; runs < 5 {
				return temporal.NewApplicationError("away", "mail.not_sent")
			}
			return nil
		})
	env.ExecuteWorkflow(workflows.UserMail, workflows.UserMailInput{Vendor: aVendor, User: aUser})
	require.NoError(t, env.GetWorkflowError())
	require.Equal(t, 5, runs)
}

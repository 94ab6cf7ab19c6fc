package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/workflows"
)

func TestCampaignDispatch_ARescheduledOneWaitsForItsNewTime(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	began := d.Now()
	first, moved := at(campaign.Scheduled), at(campaign.Scheduled)
	first.ScheduledAt, moved.ScheduledAt = began.Add(2*time.Hour), began.Add(30*time.Hour)
	d.says(first, moved, at(campaign.Running), at(campaign.Completed))
	waits := map[string]string{}
	d.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(args mock.Arguments) {
		attrs, is := args.Get(0).(temporal.SearchAttributes)
		require.True(t, is)
		status, _ := attrs.GetKeyword(workflows.JobStatusKey)
		reason, _ := attrs.GetKeyword(workflows.WaitReasonKey)
		waits[status] = reason
	}).Return(nil)
	d.ring(time.Hour)
	d.ring(31 * time.Hour)
	d.run(t)
	require.GreaterOrEqual(t, d.Now().Sub(began), 30*time.Hour)
	require.Equal(t, map[string]string{"SCHEDULED": "SCHEDULE", "RUNNING": "", "COMPLETED": ""}, waits)
}

func TestCampaignDispatch_EndsWhenItsApprovalIsTakenBack(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	waiting := at(campaign.Scheduled)
	waiting.ScheduledAt = d.Now().Add(26 * time.Hour)
	d.says(waiting, at(campaign.Draft))
	d.ring(time.Hour)
	require.Equal(t, campaign.Draft, d.run(t).Status)
}

func TestCampaignDispatch_ADoorbellWhileItEndsIsHeard(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	waiting := at(campaign.Scheduled)
	waiting.ScheduledAt = d.Now().Add(26 * time.Hour)
	d.says(waiting)
	d.OnActivity(d.acts.Advance, mock.Anything, mock.Anything).After(time.Minute).Return(at(campaign.Draft), nil).Once()
	d.says(at(campaign.Completed))
	d.ring(time.Hour)
	d.ring(time.Hour + 30*time.Second) // approved again while it looks
	require.Equal(t, campaign.Completed, d.run(t).Status)
}

func TestCampaignDispatch_AMissedStartWaitsForAPerson(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	missed := at(campaign.Halted)
	missed.HaltReason = campaign.HaltStartMissed
	d.says(missed, at(campaign.Completed)) // a person resumes it
	d.ring(time.Hour)
	require.Equal(t, campaign.Completed, d.run(t).Status)
}

func TestCampaignDispatch_ALongHistoryContinuesAsNew(t *testing.T) {
	t.Parallel()
	for _, s := range []campaign.State{campaign.Scheduled, campaign.Running} {
		d := newDispatching(t)
		state := at(s)
		state.ScheduledAt = d.Now().Add(100 * time.Hour)
		d.says(state)
		d.RegisterDelayedCallback(func() {
			d.SetContinueAsNewSuggested(true)
			d.SignalWorkflow(workflows.SignalChanged, nil)
			d.SignalWorkflow(workflows.SignalChanged, nil)
		}, time.Hour)
		d.ExecuteWorkflow(workflows.CampaignDispatch, d.in)
		var again *workflow.ContinueAsNewError
		require.ErrorAs(t, d.GetWorkflowError(), &again, s)
		require.Equal(t, "CampaignDispatch", again.WorkflowType.Name)
	}
}

func TestCampaignDispatch_OfACampaignThatIsOverEnds(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	over := at(campaign.Cancelled)
	over.Finished = true
	d.says(over)
	require.Equal(t, campaign.Cancelled, d.run(t).Status)
}

package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/workflows"
)

// dispatching is a campaign's workflow with its activities stubbed.
type dispatching struct {
	*testsuite.TestWorkflowEnvironment
	acts *activities.Dispatch
	in   workflows.CampaignDispatchInput
}

func newDispatching(t *testing.T) dispatching {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	d := dispatching{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), in: workflows.CampaignDispatchInput{Vendor: "v", Campaign: "c"}}
	d.RegisterActivity(&activities.Dispatch{})
	t.Cleanup(func() { d.AssertExpectations(t) })
	return d
}

func (d dispatching) run(t *testing.T) workflows.CampaignDispatchResult {
	t.Helper()
	d.ExecuteWorkflow(workflows.CampaignDispatch, d.in)
	require.True(t, d.IsWorkflowCompleted())
	require.NoError(t, d.GetWorkflowError())
	var out workflows.CampaignDispatchResult
	require.NoError(t, d.GetWorkflowResult(&out))
	return out
}

func at(s campaign.State) activities.CampaignState {
	return activities.CampaignState{Status: s, Frozen: true, Messages: 7}
}

// says lets advancing the campaign come to states, one after the other.
func (d dispatching) says(states ...activities.CampaignState) {
	for _, s := range states {
		d.OnActivity(d.acts.Advance, mock.Anything, mock.Anything).Return(s, nil).Once()
	}
}

func (d dispatching) ring(after time.Duration) {
	d.RegisterDelayedCallback(func() { d.SignalWorkflow(workflows.SignalChanged, nil) }, after)
}

func TestCampaignDispatch_EndsWhenItsBooksAreClosed(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	d.says(at(campaign.Running), at(campaign.Completed))
	d.ring(time.Hour)
	require.Equal(t, workflows.CampaignDispatchResult{Status: campaign.Completed, Messages: 7}, d.run(t))
}

func TestCampaignDispatch_WaitsForItsTime(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	began := d.Now()
	waiting := at(campaign.Approved)
	waiting.ScheduledAt = began.Add(26 * time.Hour)
	d.says(waiting)
	var told time.Time
	d.OnActivity(d.acts.Advance, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.AdvanceInput) (activities.CampaignState, error) {
		told = in.Now
		return at(campaign.Completed), nil
	}).Once()
	d.run(t)
	require.Equal(t, 26*time.Hour, d.Now().Sub(began).Round(time.Minute))
	require.False(t, told.Before(waiting.ScheduledAt), "the activity goes by the workflow's clock")
}

func TestCampaignDispatch_CancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	waiting, cancelled := at(campaign.Approved), at(campaign.Cancelled)
	waiting.ScheduledAt = d.Now().Add(26 * time.Hour)
	cancelled.Finished = true
	d.says(waiting, cancelled)
	d.ring(time.Hour)
	require.Equal(t, campaign.Cancelled, d.run(t).Status)
}

func TestCampaignDispatch_ACancelledOneWaitsForWhatIsOnTheWire(t *testing.T) {
	t.Parallel()
	d := newDispatching(t)
	over := at(campaign.Cancelled)
	over.Finished = true
	d.says(at(campaign.Running), at(campaign.Cancelled), over)
	d.ring(time.Hour)
	d.ring(2 * time.Hour)
	require.Equal(t, campaign.Cancelled, d.run(t).Status)
}

func TestSettlement_GoesOnWhileMoreWaitsAndThenEnds(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(&activities.Dispatch{})
	var acts *activities.Dispatch
	env.OnActivity(acts.Settle, mock.Anything, mock.Anything).Return(true, nil).Twice()
	env.OnActivity(acts.Settle, mock.Anything, mock.Anything).Return(false, nil).Once()
	env.ExecuteWorkflow(workflows.Settlement, workflows.SettlementInput{Vendor: "v"})
	require.NoError(t, env.GetWorkflowError())
	env.AssertExpectations(t)
}

func TestDispatchBatch_OneVendorsFailureHoldsBackNobody(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(&activities.Sending{})
	var acts *activities.Sending
	tried := 0
	env.OnActivity(acts.SendClaim, mock.Anything, activities.SendClaimInput{Vendor: "slow", Claim: "1"}).Return(
		func(_ context.Context, _ activities.SendClaimInput) (activities.SendClaimResult, error) {
			if tried++; tried < 3 {
				return activities.SendClaimResult{}, errors.New("redis is away")
			}
			return activities.SendClaimResult{Sent: 1}, nil
		})
	env.OnActivity(acts.SendClaim, mock.Anything, activities.SendClaimInput{Vendor: "fast", Claim: "2"}).
		Return(activities.SendClaimResult{Sent: 50, Failed: 2}, nil).Once()
	env.ExecuteWorkflow(workflows.DispatchBatch, workflows.DispatchBatchInput{Batch: "b", Groups: []workflows.DispatchGroup{
		{Vendor: "slow", Claim: "1", Rows: 1}, {Vendor: "fast", Claim: "2", Rows: 52},
	}})
	require.NoError(t, env.GetWorkflowError())
	var out activities.SendClaimResult
	require.NoError(t, env.GetWorkflowResult(&out))
	require.Equal(t, activities.SendClaimResult{Sent: 51, Failed: 2}, out)
}

package workflows_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/workflows"
)

// What was written while a round was under way has a round of its own; however often the
// bell was rung, one is enough.
func TestInbound_LooksAgainWhenRungMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		more  bool // the first round left some
		rings int  // during it
		want  int
	}{
		"nothing more":      {want: 1},
		"more than a round": {more: true, want: 2},
		"rung twice":        {rings: 2, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
			var inbound *activities.Inbound
			rounds := 0
			env.OnActivity(inbound.TakeInbound, mock.Anything, activities.InboundInput{Vendor: aVendor}).Return(
				func(context.Context, activities.InboundInput) (bool, error) {
					if rounds++; rounds > 1 {
						return false, nil
					}
					for range tt.rings {
						env.SignalWorkflow(workflows.SignalInbound, nil)
					}
					return tt.more, nil
				})
			env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalInbound, nil) }, 0)
			env.ExecuteWorkflow(workflows.Inbound, workflows.InboundInput{Vendor: aVendor})
			require.True(t, env.IsWorkflowCompleted())
			require.NoError(t, env.GetWorkflowError())
			require.Equal(t, tt.want, rounds)
		})
	}
}

package temporaltest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/internal/testkit/temporaltest"
)

func TestNew_RunsAWorkflowWithTheProductsSearchAttributes(t *testing.T) {
	t.Parallel()
	c, suffix := temporaltest.New(t)
	w := worker.New(c, "q-"+suffix, worker.Options{})
	hello := func(_ workflow.Context) (string, error) { return "hello", nil }
	w.RegisterWorkflowWithOptions(hello, workflow.RegisterOptions{Name: "Hello"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	attrs := temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyKeywordList("VendorId").ValueSet([]string{"a", "b"}),
		temporal.NewSearchAttributeKeyKeyword("CampaignId").ValueSet("c"),
	)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "hello/" + suffix, TaskQueue: "q-" + suffix, TypedSearchAttributes: attrs,
		WorkflowRunTimeout: 20 * time.Second,
	}, "Hello")
	require.NoError(t, err)
	var got string
	require.NoError(t, run.Get(t.Context(), &got))
	require.Equal(t, "hello", got)
}

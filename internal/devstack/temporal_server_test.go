package devstack_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/temporalx"
	temporalconfig "github.com/kloyst/kloyst-core/temporal-config"
	"github.com/kloyst/kloyst-core/workflows"
)

// temporalOptions leaves the test out unless it was asked for: building the server takes minutes.
func temporalOptions(t *testing.T) devstack.Options {
	t.Helper()
	if os.Getenv("KLOYST_TEST_TEMPORAL_SERVER") == "" {
		t.Skip("`make test-temporal-server` builds the server and runs this test")
	}
	opts := options(t.TempDir())
	opts.Temporal, opts.Only = devstack.TemporalServer, []string{devstack.Temporal, devstack.UI}
	return opts
}

// dialOutbox connects with the environment of a mode, its payload codec included.
func dialOutbox(t *testing.T, st *devstack.State) client.Client {
	t.Helper()
	cfg, err := config.Load(st.Env(devstack.Outbox), os.ReadFile)
	require.NoError(t, err)
	c, err := temporalx.Dial(t.Context(), &cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// TestTemporalServer starts the server of production with the files of temporal-config and asks it
// for everything that they promise.
func TestTemporalServer(t *testing.T) {
	t.Parallel()
	opts := temporalOptions(t)
	s := start(t, opts)
	c := dialOutbox(t, s.State())

	requireSchemas(t, s.State())
	requireNamespace(t, c)
	requireDynamicConfig(t, c, opts.Root)
	requireFairness(t, c, s.State())
	requireSealed(t, c)

	pid := s.Pid(devstack.Temporal)
	require.NoError(t, s.Kill(devstack.Temporal, syscall.SIGKILL))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.WaitHealthy(ctx, devstack.Temporal, pid), "a killed server comes back")
	s.Stop()
	// Nothing asks for the kind of server this time: the folder knows. schema.sh finds everything done.
	opts.Temporal = ""
	again := start(t, opts)
	require.Equal(t, devstack.TemporalServer, again.State().Temporal)
	require.Empty(t, again.State().Notes)
	var got string
	require.NoError(t, dialOutbox(t, again.State()).GetWorkflow(t.Context(), "echo", "").Get(t.Context(), &got))
	require.Equal(t, "heard: a secret word", got)
}

func requireSchemas(t *testing.T, st *devstack.State) {
	t.Helper()
	// What server 1.32 wants; a newer one wants newer ones.
	for name, want := range map[string]string{"temporal": "1.19", "temporal_visibility": "1.14"} {
		conn, err := pgx.Connect(t.Context(), st.DatabaseURL("temporal", name))
		require.NoError(t, err)
		var version string
		var super, createDB bool
		err = conn.QueryRow(t.Context(), "SELECT v.curr_version, r.rolsuper, r.rolcreatedb FROM schema_version v, "+
			"pg_roles r WHERE r.rolname = current_user").Scan(&version, &super, &createDB)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
		require.Equal(t, want, version, name)
		require.False(t, super || createDB, "the role needs nothing but its databases")
	}
}

func requireNamespace(t *testing.T, c client.Client) {
	t.Helper()
	n, err := temporalconfig.LoadNamespace()
	require.NoError(t, err)
	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: n.Name})
	require.NoError(t, err)
	require.Equal(t, n.Retention, ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
	have, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: n.Name})
	require.NoError(t, err)
	for name, typ := range n.SearchAttributes {
		want, err := enumspb.IndexedValueTypeFromString(typ)
		require.NoError(t, err)
		require.Equal(t, want, have.GetCustomAttributes()[name], name)
	}
}

// requireDynamicConfig wants a file without mistakes, and one of its values that the API shows.
func requireDynamicConfig(t *testing.T, c client.Client, root string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, ".stack", "bin", "temporal-server"),
		"validate-dynamic-config", filepath.Join(root, "temporal-config", "dynamicconfig", "production.yaml")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "error:")
	require.NotContains(t, string(out), "warning:")
	require.Equal(t, 1, partitions(t, c, workflows.QueueSend))
	require.Equal(t, 4, partitions(t, c, "another"), "the server's default")
}

// partitions counts the partitions of a task queue.
func partitions(t *testing.T, c client.Client, queue string) int {
	t.Helper()
	res, err := c.WorkflowService().ListTaskQueuePartitions(t.Context(), &workflowservice.ListTaskQueuePartitionsRequest{
		Namespace: "kloyst", TaskQueue: &taskqueuepb.TaskQueue{Name: queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
	})
	require.NoError(t, err)
	return len(res.GetActivityTaskQueuePartitions())
}

// requireFairness lets a backlog pile up on the queue of sends: forty of one vendor, then ten of
// another, then three urgent ones. Without fairness and priority they would start in that order.
func requireFairness(t *testing.T, c client.Client, st *devstack.State) {
	t.Helper()
	var starts []string
	var mu sync.Mutex
	begin := func(n int, vendor string, priority int) {
		for i := range n {
			_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
				ID: fmt.Sprintf("%s-%d", vendor, i), TaskQueue: workflows.QueueSend,
				Priority: temporal.Priority{PriorityKey: priority, FairnessKey: vendor},
			}, "Note")
			require.NoError(t, err)
		}
	}
	begin(40, "large", 3)
	begin(10, "small", 3)
	begin(3, "urgent", 1)

	conn, err := pgx.Connect(t.Context(), st.DatabaseURL("temporal", "temporal"))
	require.NoError(t, err)
	var fair int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM tasks_v2").Scan(&fair))
	require.NoError(t, conn.Close(t.Context()))
	require.GreaterOrEqual(t, fair, 50, "the fair matcher keeps its tasks in a table of its own")

	w := worker.New(c, workflows.QueueSend, worker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: 2, MaxConcurrentWorkflowTaskPollers: 2, LocalActivityWorkerOnly: true,
	})
	w.RegisterWorkflowWithOptions(func(ctx workflow.Context) error {
		mu.Lock()
		defer mu.Unlock()
		starts = append(starts, workflow.GetInfo(ctx).WorkflowExecution.ID)
		return nil
	}, workflow.RegisterOptions{Name: "Note"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(starts) == 53
	}, patience, 50*time.Millisecond)
	last := func(vendor string) int {
		for i, id := range slices.Backward(starts) {
			if strings.HasPrefix(id, vendor) {
				return i
			}
		}
		return -1
	}
	require.Less(t, last("urgent"), 10, starts)
	require.Less(t, last("small"), 35, "the small vendor did not wait for the large one: %v", starts)
}

// requireSealed runs a workflow with a search attribute, and reads from its history what Temporal
// knows of its input and result.
func requireSealed(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, workflows.QueueCore, worker.Options{})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, word string) (string, error) {
		return "heard: " + word, nil
	}, workflow.RegisterOptions{Name: "Echo"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "echo", TaskQueue: workflows.QueueCore,
		TypedSearchAttributes: temporal.NewSearchAttributes(workflows.VendorIDKey.ValueSet([]string{"v1"})),
	}, "Echo", "a secret word")
	require.NoError(t, err)
	var got string
	require.NoError(t, run.Get(t.Context(), &got))
	require.Equal(t, "heard: a secret word", got)
	events := c.GetWorkflowHistory(t.Context(), "echo", run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		require.NotContains(t, event.String(), "secret word")
	}
	require.Eventually(t, func() bool {
		found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "VendorId = 'v1' AND ExecutionStatus = 'Completed'",
		})
		return err == nil && found.GetCount() == 1
	}, patience, 100*time.Millisecond, "found by its vendor")
}

package workflows_test

import (
	"compress/gzip"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/testkit/temporaltest"
	"github.com/kloyst/kloyst-core/workflows"
)

// record writes the histories of these runs as golden ones:
// go test ./workflows -run OnAServer -record first.
var record = flag.String("record", "", "name under which to keep the histories")

// patience is how long a real server may take for a step.
const patience = 30 * time.Second

// ownNamespace makes a namespace with our search attributes: the task queues' names are
// constants, so a shared namespace would mix this test's workers with others'.
func ownNamespace(t *testing.T) client.Client {
	t.Helper()
	shared, suffix := temporaltest.New(t)
	name := "workflows-" + suffix
	_, err := shared.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	require.NoError(t, err)
	opts := temporaltest.Options(t)
	opts.Namespace = name
	c, err := client.DialContext(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool {
		_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
			Namespace: name,
			SearchAttributes: map[string]enumspb.IndexedValueType{
				"VendorId": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST, "CampaignId": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
				"ImportId": enumspb.INDEXED_VALUE_TYPE_KEYWORD, "JobStatus": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
				"WaitReason": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
			},
		})
		return err == nil
	}, patience, 200*time.Millisecond)
	return c
}

// serveImport runs both workers with the row's activities.
func serveImport(t *testing.T, c client.Client, row *importRow) {
	t.Helper()
	for _, queue := range []string{workflows.QueueCore, workflows.QueueImport} {
		w := worker.New(c, queue, worker.Options{DisableRegistrationAliasing: true, WorkerStopTimeout: time.Second})
		workflows.Register(w)
		for name, act := range map[string]any{
			"ImportState": row.state, "MoveImport": row.move, "ExtractHeaders": row.extract, "ImportChunk": row.chunk,
			"SkipChunk": row.skip, "FinishImport": row.finish, "ConfirmMapping": row.confirmMapping,
			"ResolveRows": func(context.Context, activities.ImportRef) error { return nil },
			"FailChunk":   func(context.Context, activities.ImportChunkRef, string) error { return nil },
		} {
			w.RegisterActivityWithOptions(act, activity.RegisterOptions{Name: name})
		}
		require.NoError(t, w.Start())
		t.Cleanup(w.Stop)
	}
}

// startImport starts the workflow of import i1 of vendor v1.
func startImport(t *testing.T, c client.Client) client.WorkflowRun {
	t.Helper()
	var run client.WorkflowRun
	require.Eventually(t, func() bool { // search attributes become usable a little after they are added
		var err error
		run, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: workflows.ImportID("v1", "i1"), TaskQueue: workflows.QueueCore, StaticSummary: "Contact import",
			TypedSearchAttributes: temporal.NewSearchAttributes(workflows.VendorIDKey.ValueSet([]string{"v1"}), workflows.ImportIDKey.ValueSet("i1")),
		}, workflows.ContactImport, workflows.ContactImportInput{Vendor: "v1", Import: "i1"})
		return err == nil
	}, patience, 200*time.Millisecond)
	return run
}

// requireFound waits until the query finds one workflow.
func requireFound(t *testing.T, c client.Client, query string) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		return err == nil && out.GetCount() == 1
	}, patience, 100*time.Millisecond, query)
}

func TestContactImport_OnAServer(t *testing.T) {
	t.Parallel()
	c := ownNamespace(t)
	row := &importRow{status: importing.Uploaded, done: map[int]bool{}, tried: map[int]int{}, bad: map[int]error{
		2: temporal.NewNonRetryableApplicationError("the stored file is gone", "blob.not_found", nil),
	}}
	serveImport(t, c, row)
	id, run := workflows.ImportID("v1", "i1"), startImport(t, c)
	found := func(query string) {
		t.Helper()
		requireFound(t, c, query)
	}
	found(`WorkflowType="ContactImport" AND JobStatus="AWAITING_MAPPING" AND WaitReason="MAPPING" AND VendorId="v1"`)
	row.set(importing.MappingConfirmed)
	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalMapping, nil))
	found(`JobStatus="NEEDS_OPERATOR" AND WaitReason="BLOB_NOT_FOUND" AND ImportId="i1" AND ExecutionStatus="Running"`)
	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalRetry, map[string]string{"mode": "skip_chunk"}))
	var result activities.ImportResult
	require.NoError(t, run.Get(t.Context(), &result))
	require.Equal(t, importing.PartialSuccess, result.Status)
	require.Equal(t, []int{2}, row.skipped)
	found(`JobStatus="PARTIAL_SUCCESS" AND ExecutionStatus="Completed"`)
	keepHistory(t, c, run, "ContactImport", "-parked-skipped")
}

// What operators send by hand is plain JSON, though everything of ours is sealed; updates
// answer at once.
func TestContactImport_ToldByHandOnAServer(t *testing.T) {
	t.Parallel()
	c := ownNamespace(t)
	row := &importRow{status: importing.Uploaded, done: map[int]bool{}, tried: map[int]int{}, bad: map[int]error{
		2: temporal.NewNonRetryableApplicationError("the stored file is gone", "blob.not_found", nil),
	}}
	serveImport(t, c, row)
	id, run := workflows.ImportID("v1", "i1"), startImport(t, c)
	retry := func(mode importing.RetryMode) error {
		h, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: workflows.SignalRetry, WaitForStage: client.WorkflowUpdateStageCompleted,
			Args: []any{workflows.RetrySignal{Mode: mode}},
		})
		if err != nil {
			return err
		}
		return h.Get(t.Context(), nil)
	}
	requireFound(t, c, `JobStatus="AWAITING_MAPPING"`)
	require.ErrorContains(t, retry(importing.Resume), importing.ErrNotParked.Msg)
	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalMapping, map[string]string{"phone": "Telephone"}))
	require.NoError(t, c.SignalWorkflow(t.Context(), id, "", workflows.SignalMapping, map[string]string{"phone": "Mobile"}))
	requireFound(t, c, `JobStatus="NEEDS_OPERATOR" AND WaitReason="BLOB_NOT_FOUND"`)
	require.ErrorContains(t, retry("all"), importing.ErrRetryMode.Msg)
	require.NoError(t, retry(importing.SkipChunk))
	var result activities.ImportResult
	require.NoError(t, run.Get(t.Context(), &result))
	require.Equal(t, importing.PartialSuccess, result.Status)
	keepHistory(t, c, run, "ContactImport", "-told-by-hand")
}

// keepHistory writes a golden history when the test was asked to.
func keepHistory(t *testing.T, c client.Client, run client.WorkflowRun, workflow, scenario string) {
	t.Helper()
	if *record == "" {
		return
	}
	h := &historypb.History{}
	iter := c.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		event, err := iter.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, event)
	}
	text, err := protojson.Marshal(h)
	require.NoError(t, err)
	dir := filepath.Join("testdata", "history", workflow)
	require.NoError(t, os.MkdirAll(dir, 0o750))
	f, err := os.Create(filepath.Join(dir, *record+scenario+".json.gz"))
	require.NoError(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
}

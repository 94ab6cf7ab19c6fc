package e2e_test

import (
	"compress/gzip"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/temporalx"
)

// record writes the histories of a run as golden ones, to be replayed by package workflows:
// go test ./internal/e2e -record first. The name says of what: testdata/history/<Workflow>/<name>.json.gz.
var record = flag.String("record", "", "name under which to keep one history of each workflow type")

// histories returns every workflow's history of the run, payloads decoded, and all that
// Temporal itself can read of them: ids, attributes, failures' texts.
func (w *world) histories(t *testing.T) map[string]*historypb.History {
	t.Helper()
	cfg, err := config.Load(append(w.State().Env(devstack.Outbox), "TEMPORAL_CODEC_KEYS=dev1:"+w.State().Secrets["temporal_codec_key"]), os.ReadFile)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	c, err := temporalx.Dial(t.Context(), &cfg, log)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	keys, err := cfg.CodecKeys()
	require.NoError(t, err)
	codec, err := temporalx.NewCodec(keys)
	require.NoError(t, err)
	out := map[string]*historypb.History{}
	list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	require.NoError(t, err)
	require.NotEmpty(t, list.GetExecutions())
	for _, e := range list.GetExecutions() {
		h := &historypb.History{}
		iter := c.GetWorkflowHistory(t.Context(), e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for iter.HasNext() {
			event, err := iter.Next()
			require.NoError(t, err)
			h.Events = append(h.Events, event)
		}
		sealed := 0
		require.NoError(t, proxy.VisitPayloads(t.Context(), h, proxy.VisitPayloadsOptions{
			SkipSearchAttributes: true,
			Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
				sealed += len(ps)
				for _, p := range ps {
					require.Equal(t, "binary/encrypted", string(p.GetMetadata()["encoding"]), "a payload left unsealed")
				}
				return codec.Decode(ps)
			},
		}))
		require.Positive(t, sealed, e.GetType().GetName())
		out[e.GetType().GetName()+" "+e.GetExecution().GetWorkflowId()+" "+e.GetExecution().GetRunId()] = h
	}
	return out
}

// requireNoPersonalData looks for people and secrets in everything Temporal keeps.
func requireNoPersonalData(t *testing.T, histories map[string]*historypb.History, secrets ...string) {
	t.Helper()
	require.NotEmpty(t, findIn(t, &historypb.History{Events: []*historypb.HistoryEvent{{
		WorkerMayIgnore: true, UserMetadata: nil,
		Attributes: &historypb.HistoryEvent_WorkflowExecutionSignaledEventAttributes{
			WorkflowExecutionSignaledEventAttributes: &historypb.WorkflowExecutionSignaledEventAttributes{SignalName: secrets[0]},
		},
	}}}, secrets), "the search finds a planted one")
	for name, h := range histories {
		require.Empty(t, findIn(t, h, secrets), name)
	}
}

func findIn(t *testing.T, h *historypb.History, secrets []string) []string {
	t.Helper()
	var found []string
	seen := func(text string) {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				found = append(found, s)
			}
		}
	}
	text, err := protojson.Marshal(h)
	require.NoError(t, err)
	seen(string(text))
	require.NoError(t, proxy.VisitPayloads(t.Context(), h, proxy.VisitPayloadsOptions{
		Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, p := range ps {
				seen(string(p.GetData())) // protojson shows data in base64
			}
			return ps, nil
		},
	}))
	return found
}

// keepGolden writes the longest history of each workflow type.
func keepGolden(t *testing.T, histories map[string]*historypb.History) {
	t.Helper()
	if *record == "" {
		return
	}
	longest := map[string]*historypb.History{}
	for name, h := range histories {
		kind, _, _ := strings.Cut(name, " ")
		if len(h.GetEvents()) > len(longest[kind].GetEvents()) {
			longest[kind] = h
		}
	}
	for kind, h := range longest {
		dir := filepath.Join("..", "..", "workflows", "testdata", "history", kind)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		f, err := os.Create(filepath.Join(dir, *record+".json.gz"))
		require.NoError(t, err)
		text, err := protojson.Marshal(h)
		require.NoError(t, err)
		z := gzip.NewWriter(f)
		_, err = z.Write(text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, f.Close())
	}
}

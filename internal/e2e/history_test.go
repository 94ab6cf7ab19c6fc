package e2e_test

import (
	"compress/gzip"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/temporalx"
)

// record writes the histories of a run as golden ones, to be replayed by package workflows:
// go test ./internal/e2e -record first. The name says of what: testdata/history/<Workflow>/<name>.json.gz.
var record = flag.String("record", "", "name under which to keep one history of each workflow type")

// recorded is one workflow run as Temporal keeps it, payloads decoded.
type recorded struct {
	kind, id string
	history  *historypb.History
	details  string // what it says about itself in Temporal Web UI
}

// historiesOf returns every workflow run of the stack. Every payload must be sealed.
func historiesOf(t *testing.T, st *devstack.State) []recorded {
	t.Helper()
	c, codec := dial(t, st)
	var out []recorded
	var page []byte
	for {
		list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000, NextPageToken: page})
		require.NoError(t, err)
		for _, e := range list.GetExecutions() {
			out = append(out, recorded{
				kind: e.GetType().GetName(), id: e.GetExecution().GetWorkflowId(),
				history: historyOf(t, c, codec, e.GetExecution()), details: detailsOf(t, c, e.GetExecution()),
			})
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			require.NotEmpty(t, out)
			return out
		}
	}
}

// untilIdle waits until no workflow runs.
func untilIdle(t *testing.T, st *devstack.State) {
	t.Helper()
	c, _ := dial(t, st)
	until(t, "every workflow is over", time.Minute, func() bool {
		n, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: `ExecutionStatus = "Running"`})
		require.NoError(t, err)
		return n.GetCount() == 0
	})
}

// dial connects to the stack's Temporal as its modes do.
func dial(t *testing.T, st *devstack.State) (client.Client, *temporalx.Codec) {
	t.Helper()
	cfg, err := config.Load(st.Env(devstack.Outbox), os.ReadFile)
	require.NoError(t, err)
	c, err := temporalx.Dial(t.Context(), &cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	keys, err := cfg.CodecKeys()
	require.NoError(t, err)
	codec, err := temporalx.NewCodec(keys)
	require.NoError(t, err)
	return c, codec
}

func historyOf(t *testing.T, c client.Client, codec *temporalx.Codec, e *commonpb.WorkflowExecution) *historypb.History {
	t.Helper()
	h := &historypb.History{}
	iter := c.GetWorkflowHistory(t.Context(), e.GetWorkflowId(), e.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iter.HasNext() {
		event, err := iter.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, event)
	}
	sealed := 0
	require.NoError(t, proxy.VisitPayloads(t.Context(), h, proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true, // Temporal indexes them: they are open, and hold ids
		Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
			sealed += len(ps)
			for _, p := range ps {
				require.Equal(t, "binary/encrypted", string(p.GetMetadata()["encoding"]), "a payload left unsealed")
			}
			return codec.Decode(ps)
		},
	}))
	require.Positive(t, sealed, e.GetWorkflowId())
	return h
}

// detailsOf asks the workflow, as Web UI does; a worker replays it to answer.
func detailsOf(t *testing.T, c client.Client, e *commonpb.WorkflowExecution) string {
	t.Helper()
	value, err := c.QueryWorkflow(t.Context(), e.GetWorkflowId(), e.GetRunId(), "__temporal_workflow_metadata")
	require.NoError(t, err)
	var about sdk.WorkflowMetadata
	require.NoError(t, value.Get(&about))
	text, err := protojson.Marshal(&about)
	require.NoError(t, err)
	return string(text)
}

// requireReadable holds every run against what an operator needs in Temporal Web UI: an id
// that tells what it is about, search attributes to find it by, and a summary.
func requireReadable(t *testing.T, runs []recorded) {
	t.Helper()
	const uuid = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	ids := map[string]string{
		"CampaignDispatch": "^campaign/(?P<VendorId>" + uuid + ")/(?P<CampaignId>" + uuid + ")$",
		"ContactImport":    "^contact-import/(?P<VendorId>" + uuid + ")/(?P<ImportId>" + uuid + ")$",
		"DispatchBatch":    "^dispatch/" + uuid + "$", // of several vendors
		"Inbound":          "^inbound/(?P<VendorId>" + uuid + ")$",
		"QuotationPDF":     "^quotation/(?P<VendorId>" + uuid + ")/" + uuid + "$",
		"Settlement":       "^settlement/(?P<VendorId>" + uuid + ")$",
		"TemplateSync":     "^template-sync/(?P<VendorId>" + uuid + ")/" + uuid + "$",
		"UserMail":         "^user-mail/(?P<VendorId>" + uuid + ")/" + uuid + "$",
	}
	for _, r := range runs {
		pattern, known := ids[r.kind]
		require.True(t, known, "what do ids of %s look like?", r.kind)
		re := regexp.MustCompile(pattern)
		parts := re.FindStringSubmatch(r.id)
		require.NotNil(t, parts, "%s: %s", r.kind, r.id)
		first := r.history.GetEvents()[0]
		found := first.GetWorkflowExecutionStartedEventAttributes().GetSearchAttributes().GetIndexedFields()
		require.Contains(t, found, "VendorId", r.id)
		for n, name := range re.SubexpNames() {
			if name != "" {
				require.Contains(t, string(found[name].GetData()), `"`+parts[n]+`"`, "%s of %s", name, r.id)
			}
		}
		var summary string
		require.NoError(t, converter.GetDefaultDataConverter().FromPayload(first.GetUserMetadata().GetSummary(), &summary), r.id)
		require.NotEmpty(t, summary, r.id)
		require.Contains(t, r.details, r.kind, r.id)
		for _, e := range r.history.GetEvents() {
			if e.GetEventType() == enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED {
				require.NotNil(t, e.GetUserMetadata().GetSummary(), "%s: %s without a summary", r.id, e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName())
			}
		}
	}
}

// requireOpened asks the codec server, as Temporal Web UI does, to open a sealed payload.
func requireOpened(t *testing.T, st *devstack.State) {
	t.Helper()
	var settings struct {
		Codec struct{ Endpoint string }
	}
	caller{door: st.TemporalUIURL()}.ask(t, http.MethodGet, "/api/v1/settings", nil).into(t, &settings)
	require.Equal(t, st.CodecURL(), settings.Codec.Endpoint)
	_, codec := dial(t, st)
	sealed, err := codec.DataConverter().ToPayload("Contact import")
	require.NoError(t, err)
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{sealed}})
	require.NoError(t, err)
	got := caller{door: st.CodecURL()}.send(t, http.MethodPost, "/decode", http.Header{"Content-Type": {"application/json"}}, body)
	require.Equal(t, http.StatusOK, got.status, string(got.body))
	require.Equal(t, st.TemporalUIURL(), got.header.Get("Access-Control-Allow-Origin"))
	var opened commonpb.Payloads
	require.NoError(t, protojson.Unmarshal(got.body, &opened))
	require.JSONEq(t, `"Contact import"`, string(opened.GetPayloads()[0].GetData()))
}

// keepGolden writes the longest history of each workflow type, without the names of the
// processes and the machine it ran on.
func keepGolden(t *testing.T, runs []recorded) {
	t.Helper()
	if *record == "" {
		return
	}
	longest := map[string]*historypb.History{}
	for _, r := range runs {
		if len(r.history.GetEvents()) > len(longest[r.kind].GetEvents()) {
			longest[r.kind] = r.history
		}
	}
	for kind, h := range longest {
		dir := filepath.Join("..", "..", "workflows", "testdata", "history", kind)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		f, err := os.Create(filepath.Join(dir, *record+".json.gz"))
		require.NoError(t, err)
		text, err := protojson.Marshal(h)
		require.NoError(t, err)
		text = regexp.MustCompile(`"identity":\s*"[^"]*"`).ReplaceAll(text, []byte(`"identity":"worker"`))
		z := gzip.NewWriter(f)
		_, err = z.Write(text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, f.Close())
	}
}

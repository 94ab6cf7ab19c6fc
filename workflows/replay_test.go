package workflows_test

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/workflows"
)

// registered gathers the names of what is registered to it.
type registered struct {
	worker.WorkflowRegistry // nil: what is not overridden is not called

	names []string
}

func (r *registered) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) {
	r.names = append(r.names, o.Name)
}

func TestReplay_EveryWorkflowHasAGoldenHistory(t *testing.T) {
	t.Parallel()
	var all registered
	workflows.Register(&all)
	require.NotEmpty(t, all.names)
	for _, name := range all.names {
		files, err := filepath.Glob(filepath.Join("testdata", "history", name, "*.json.gz"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "record one of %s: CONTRIBUTING.md says how", name)
	}
	kept, err := os.ReadDir(filepath.Join("testdata", "history"))
	require.NoError(t, err)
	for _, dir := range kept {
		require.Contains(t, all.names, dir.Name(), "histories of a workflow that is registered no more cannot be replayed")
	}
}

// Histories are an API: what ran under an older release must replay under this one.
func TestReplay_GoldenHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/history/*/*.json.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{DisableRegistrationAliasing: true})
			require.NoError(t, err)
			workflows.Register(replayer)
			require.NoError(t, replayer.ReplayWorkflowHistory(nil, golden(t, name)))
		})
	}
}

func golden(t *testing.T, name string) *historypb.History {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	history, err := client.HistoryFromJSON(z, client.HistoryJSONOptions{})
	require.NoError(t, err)
	return history
}

// What a person or a token looks like, once the ids, which may hold such digits, are taken out.
var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	persons = regexp.MustCompile(`\+[0-9]{8,}|[0-9]{10,}|[[:alnum:]]@[[:alnum:]]|EAA[[:alnum:]]{20,}|eyJ`)
)

func TestReplay_GoldenHistoriesHoldNoPerson(t *testing.T) {
	t.Parallel()
	for _, planted := range []string{`{"to":"+919876501234"}`, `{"to":"919876501234"}`, `"asha@acme.example"`, `"Bearer eyJhbGciOi"`} {
		require.Regexp(t, persons, uuids.ReplaceAllString(planted, ""))
	}
	files, err := filepath.Glob("testdata/history/*/*.json.gz")
	require.NoError(t, err)
	for _, name := range files {
		require.NoError(t, proxy.VisitPayloads(t.Context(), golden(t, name), proxy.VisitPayloadsOptions{
			Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
				for _, p := range ps {
					require.NotEqual(t, "binary/encrypted", string(p.GetMetadata()["encoding"]), "%s cannot be read", name)
					require.NotRegexp(t, persons, uuids.ReplaceAllString(string(p.GetData()), ""), name)
				}
				return ps, nil
			},
		}))
	}
}

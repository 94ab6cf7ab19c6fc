package workflows_test

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/kloyst/kloyst-core/workflows"
)

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
			f, err := os.Open(name)
			require.NoError(t, err)
			defer f.Close()
			z, err := gzip.NewReader(f)
			require.NoError(t, err)
			history, err := client.HistoryFromJSON(z, client.HistoryJSONOptions{})
			require.NoError(t, err)
			require.NoError(t, replayer.ReplayWorkflowHistory(nil, history))
		})
	}
}

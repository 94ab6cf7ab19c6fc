package e2e_test

import (
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
)

// The measurement behind the figures in BENCHMARKS.md is this test, longer:
// go test ./internal/e2e -run Pace -pace.numbers 20 -pace.seconds 30 -v
var (
	paceNumbers = flag.Int("pace.numbers", 3, "numbers, each of a vendor of its own")
	paceRate    = flag.Int("pace.rate", 80, "messages a second of each number")
	paceSeconds = flag.Int("pace.seconds", 5, "how long each number is kept busy")
	paceWorkers = flag.Int("pace.workers", 2, "worker processes")
	paceBin     = flag.String("pace.bin", "", "folder with the programs to measure; empty: the checkout's own")
	paceLatency = flag.Int("pace.latency", 50, "milliseconds until Meta answers")
)

type numberStats struct {
	ID         string         `json:"phone_number_id"`
	Accepted   int            `json:"accepted"`
	Duplicates int            `json:"meta_duplicates"`
	Refused    map[string]int `json:"refused"`
	Mean       float64        `json:"mean_rate"`
	Sliding    int            `json:"max_per_sliding_second"`
}

// TestPace_WorkersTogetherKeepMetasRate sends from several numbers with two workers that
// compete. What it asserts are upper bounds: the speed itself is printed.
func TestPace_WorkersTogetherKeepMetasRate(t *testing.T) {
	w := startFrom(t, *paceBin)
	call(t, http.MethodPut, w.State().MetasimURL()+"/_sim/config", map[string]any{
		"latency_ms": *paceLatency, "jitter_ms": *paceLatency / 5, "standard_rate": *paceRate, "high_rate": *paceRate,
	}, nil)
	for range *paceWorkers - 1 {
		w.anotherWorker(t)
	}
	var campaigns []campaign.ID
	n := *paceRate * *paceSeconds
	for range *paceNumbers {
		w.newVendor(t)
		c, _, _ := w.approveAt(t, n, *paceRate)
		campaigns = append(campaigns, c)
	}
	for _, c := range campaigns {
		until(t, "the campaign completes", time.Minute+5*time.Duration(*paceSeconds)*time.Second, func() bool { return w.status(t, c) == "COMPLETED" })
	}
	var stats struct {
		Numbers []numberStats `json:"numbers"`
	}
	call(t, http.MethodGet, w.State().MetasimURL()+"/_sim/stats", nil, &stats)
	var means []float64
	var sliding []int
	for _, s := range stats.Numbers {
		require.Equal(t, n, s.Accepted)
		require.Zero(t, s.Duplicates)
		require.Zero(t, s.Refused["130429"], "Meta never had to refuse")
		means, sliding = append(means, s.Mean), append(sliding, s.Sliding)
	}
	slices.Sort(means)
	slices.Sort(sliding)
	returned, batches := w.returned(t)
	t.Logf("%d numbers at %d/s for %d s, %d workers: mean %.2f to %.2f, in a sliding second %d to %d, returned %.1f of 1,000 in %d claims",
		*paceNumbers, *paceRate, *paceSeconds, *paceWorkers, means[0], means[len(means)-1], sliding[0], sliding[len(sliding)-1],
		1000*float64(returned)/float64(n**paceNumbers), batches)
	require.LessOrEqual(t, means[len(means)-1], float64(*paceRate)*1.02)
}

// TestPace_ComesDownWhenMetaRefuses believes in a rate that Meta does not give: refusals
// slow the number down, and cost no message anything.
func TestPace_ComesDownWhenMetaRefuses(t *testing.T) {
	const n, believed, given = 300, 80, 40
	w := startFrom(t, *paceBin)
	call(t, http.MethodPut, w.State().MetasimURL()+"/_sim/config", map[string]any{
		"standard_rate": given, "high_rate": given, "throughput_mode": "SLIDING", "failed_rate": 0,
	}, nil)
	c, number, _ := w.approveAt(t, n, believed)
	until(t, "the campaign completes", 2*time.Minute, func() bool { return w.status(t, c) == "COMPLETED" })
	var stats struct {
		Numbers []numberStats `json:"numbers"`
	}
	call(t, http.MethodGet, w.State().MetasimURL()+"/_sim/stats?phone_number_id="+number, nil, &stats)
	s := stats.Numbers[0]
	t.Logf("%d messages through %d a second, believed to be %d: %d refusals, mean %.1f a second", n, given, believed, s.Refused["130429"], s.Mean)
	require.Equal(t, n, s.Accepted)
	require.Zero(t, s.Duplicates)
	var tried, failed int
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT max(attempt), count(*) FILTER (WHERE status = 'FAILED') FROM message_attempts`).Scan(&tried, &failed))
	require.Equal(t, 1, tried, "a refusal for the rate is no attempt")
	require.Zero(t, failed)
}

// anotherWorker runs one more worker process beside the stack's own.
func (w *world) anotherWorker(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	internal := l.Addr().String()
	require.NoError(t, l.Close())
	bin := *paceBin
	if bin == "" {
		bin = filepath.Join(w.State().Root, ".stack", "bin")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "kloyst"))
	cmd.Env = append(w.State().Env(devstack.Worker), "INTERNAL_ADDR="+internal)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "the other worker is ready", time.Minute, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+internal+"/readyz", nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode == http.StatusOK
	})
}

// returned sums what the dispatch workflows gave back to the outbox.
func (w *world) returned(t *testing.T) (rows, claims int) {
	t.Helper()
	for _, h := range historiesOf(t, w.State()) {
		if h.kind == "DispatchBatch" {
			rows, claims = rows+returnedBy(t, h.history), claims+1
		}
	}
	return rows, claims
}

func returnedBy(t *testing.T, h *historypb.History) int {
	t.Helper()
	var out struct {
		Returned int `json:"returned"`
	}
	for _, e := range h.GetEvents() {
		for _, p := range e.GetWorkflowExecutionCompletedEventAttributes().GetResult().GetPayloads() {
			require.NoError(t, json.Unmarshal(p.GetData(), &out))
		}
	}
	return out.Returned
}

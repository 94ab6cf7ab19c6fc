package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScenarios_AreTheSizesTheyPromise(t *testing.T) {
	t.Parallel()
	sizes := map[string][2]int{
		"tuned": {20, 100_000}, "webhooks": {20, 100_000}, "lone": {1, 100_000}, "fragmented": {1_000, 50_000},
		"giant-and-small": {101, 110_000}, "paced": {20, 96_000},
	}
	for _, s := range scenarios() {
		vendors, messages := s.size()
		got := [2]int{vendors, messages}
		require.Equal(t, sizes[s.Name], got, s.Name)
	}
	require.Len(t, scenarios(), len(sizes))
	_, err := pick([]string{"tuned", "nonesuch"})
	require.ErrorContains(t, err, "nonesuch")
}

func TestScaled_ShrinksMessagesOfFewVendorsAndManyVendors(t *testing.T) {
	t.Parallel()
	s := scenario{Groups: []group{{Vendors: 1, Messages: 100_000}, {Vendors: 100, Messages: 100}}}.scaled(0.1)
	require.Equal(t, []group{{Vendors: 1, Messages: 10_000}, {Vendors: 10, Messages: 100}}, s.Groups)
}

func TestQuantile_IsTheSmallestValueThatCoversTheShare(t *testing.T) {
	t.Parallel()
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.5, 5}, {0.95, 10}, {1, 10}} {
		require.InDelta(t, c.want, quantile(ten, c.q), 0)
	}
	require.Zero(t, quantile(nil, 0.5))
}

// TestFamily_CountsChildrenAndTheirTime burns CPU in a grandchild and finds it.
func TestFamily_CountsChildrenAndTheirTime(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "(while :; do :; done) & wait")
	require.NoError(t, cmd.Start())
	burned := func() (sum float64, pids []int) {
		pids = family(cmd.Process.Pid)
		for _, pid := range pids {
			if p, ok := readTimes(pid); ok {
				sum += p.own + p.reaped
			}
		}
		return sum, pids
	}
	var pids []int
	require.Eventually(t, func() bool {
		var sum float64
		sum, pids = burned()
		return sum >= 0.05
	}, 30*time.Second, 50*time.Millisecond)
	require.Greater(t, len(pids), 1)
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		require.NoError(t, err)
		require.NoError(t, p.Kill())
	}
	require.Error(t, cmd.Wait(), "killed")
}

func TestRates_TakesTheWorstSecondAndTheMean(t *testing.T) {
	t.Parallel()
	require.Zero(t, rates(simStats{}))
	got := rates(simStats{Numbers: []numberStats{{MeanRate: 79, MaxInSlidingSecond: 80}, {MeanRate: 80, MaxInSlidingSecond: 82}}})
	require.Equal(t, rateLine{MaxSliding: 82, Mean: 79.5, MeanMin: 79, MeanMax: 80}, got)
}

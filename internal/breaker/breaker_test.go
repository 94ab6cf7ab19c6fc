package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
)

func TestWindow_SlidesAndForgets(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	w := breaker.New(client, prefix)
	v, c, now := vendor.ID("v"), campaign.ID("c"), time.Now()
	count := func(b breaker.Batch, at time.Time) failure.Tally {
		t.Helper()
		tally, err := w.Count(t.Context(), v, c, b, at)
		require.NoError(t, err)
		return tally
	}
	bad := func(n int) breaker.Batch {
		return breaker.Batch{Outcomes: n, Failed: map[failure.Class]int{failure.Request: n}}
	}
	require.Empty(t, count(breaker.Batch{Outcomes: 30}, now).Failed, "a good batch asks nothing")
	got := count(bad(20), now.Add(4*time.Minute))
	require.Equal(t, failure.Tally{Outcomes: 50, Total: 50, Failed: map[failure.Class]int{failure.Request: 20}}, got)
	late := count(breaker.Batch{Failed: map[failure.Class]int{failure.Recipient: 1}}, now.Add(11*time.Minute))
	require.Equal(t, failure.Tally{Outcomes: 20, Total: 50, Failed: map[failure.Class]int{failure.Request: 20, failure.Recipient: 1}}, late,
		"the first minute is out of sight; a late failure is no outcome of its own")

	other, err := w.Count(t.Context(), "w", c, bad(1), now.Add(11*time.Minute))
	require.NoError(t, err)
	require.Equal(t, 1, other.Outcomes, "another vendor's campaign is another one")

	require.NoError(t, w.Forget(t.Context(), v, c, now.Add(11*time.Minute)))
	require.Equal(t, 1, count(bad(1), now.Add(11*time.Minute)).Outcomes)
	ttl, err := client.TTL(t.Context(), client.Keys(t.Context(), prefix+"*").Val()[0]).Result()
	require.NoError(t, err)
	require.Positive(t, ttl, "nothing stays for ever")
}

func TestWindow_NilCountsNothing(t *testing.T) {
	t.Parallel()
	var w *breaker.Window
	tally, err := w.Count(t.Context(), "v", "c", breaker.Batch{Outcomes: 1}, time.Now())
	require.NoError(t, err)
	require.Empty(t, tally)
	require.NoError(t, w.Forget(t.Context(), "v", "c", time.Now()))
}

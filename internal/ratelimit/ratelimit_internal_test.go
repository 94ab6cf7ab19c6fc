package ratelimit

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
)

func TestDecide_NeverGoesOverTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 1000).Draw(t, "rate")
		now, s := int64(1_700_000_000_000_000), state{}
		var due []int64
		for range rapid.IntRange(1, 30).Draw(t, "calls") {
			now += rapid.Int64Range(0, 3_000_000).Draw(t, "pause")
			var g grant
			s, g = decide(s, now, rate, rapid.Int64Range(1, 500).Draw(t, "n"), 2_000_000)
			for i := range g.count {
				require.LessOrEqual(t, g.delay+i*g.gap, int64(2_000_000), "due within the horizon")
				due = append(due, now+g.delay+i*g.gap)
			}
		}
		for from := range due {
			to := from
			for to < len(due) && due[to] < due[from]+window {
				to++
			}
			require.LessOrEqual(t, int64(to-from), rate+1, "in any second")
		}
	})
}

func TestDecide_StartsAfterOneFullWindow(t *testing.T) {
	t.Parallel()
	_, g := decide(state{}, 5_000_000, 80, 10, 2_000_000)
	require.EqualValues(t, 10, g.count)
	require.EqualValues(t, window, g.delay)
}

func TestLua_DecidesAsGoDoes(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`[0-9]{24}`).Draw(rt, "number")
		l := New(client, prefix)
		keys := []string{l.prefix + "{" + number + "}:next", l.prefix + "{" + number + "}:since"}
		require.NoError(rt, client.Del(t.Context(), keys...).Err())
		rate := rapid.Int64Range(1, 1000).Draw(rt, "rate")
		// Far ahead of the server's clock: its expiry must not interfere.
		now, s := int64(2_000_000_000_000_000), state{}
		for range rapid.IntRange(1, 12).Draw(rt, "calls") {
			now += rapid.Int64Range(0, 900_000).Draw(rt, "pause")
			n := rapid.Int64Range(1, 500).Draw(rt, "n")
			var g grant
			s, g = decide(s, now, rate, n, 2_000_000)
			got, err := l.take.Run(t.Context(), client, keys, rate, n, 2_000_000, now).Int64Slice()
			require.NoError(rt, err)
			require.Equal(rt, []int64{g.count, g.delay, g.gap}, got)
		}
	})
}

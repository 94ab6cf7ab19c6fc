package reach_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/reach"
)

func now() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) }

func TestBudget_LeavesWhatIsNotUsed(t *testing.T) {
	t.Parallel()
	b := reach.Budget{Limit: 2000, Counts: []reach.Count{
		{From: now().Add(-25 * time.Hour), People: 900},
		{From: now().Add(-reach.Window - 4*time.Minute), People: 100}, // its last minute still counts
		{From: now().Add(-2 * time.Hour), People: 400},
	}}
	require.Equal(t, 500, b.Reached(now()))
	require.Equal(t, 1500, b.Left(now()))
	require.Equal(t, now(), b.RoomAt(now(), 1500))
	require.Equal(t, now().Add(time.Minute), b.RoomAt(now(), 1600), "when the hundred are over")
	require.Equal(t, now().Add(22*time.Hour+reach.Slot), b.RoomAt(now(), 1601))
	require.Equal(t, now().Add(reach.Window+reach.Slot), b.RoomAt(now(), 2001), "the first one's place, a day later")
}

func TestBudget_WithoutALimitOnlyThePaceCounts(t *testing.T) {
	t.Parallel()
	var b reach.Budget
	require.False(t, b.Limited())
	require.Equal(t, now(), b.RoomAt(now(), 1_000_000))
	require.Equal(t, now().Add(100*time.Second), b.Finish(now(), 8000, 80))
	require.Equal(t, now(), b.Finish(now(), 0, 80))
}

func TestBudget_ALoweredLimitIsWaitedOff(t *testing.T) {
	t.Parallel()
	b := reach.Budget{Limit: 250, Counts: []reach.Count{
		{From: now().Add(-3 * time.Hour), People: 1000}, {From: now().Add(-time.Hour), People: 200},
	}}
	require.Zero(t, b.Left(now()))
	require.Equal(t, now().Add(21*time.Hour+reach.Slot), b.RoomAt(now(), 50))
	require.Equal(t, now().Add(23*time.Hour+reach.Slot), b.RoomAt(now(), 51))
}

func TestBudget_FinishesWhenPaceAndLimitAllow(t *testing.T) {
	t.Parallel()
	b := reach.Budget{Limit: 10_000}
	require.Equal(t, now().Add(100*time.Second), b.Finish(now(), 8000, 80))
	day := reach.Window + reach.Slot
	require.Equal(t, now().Add(day+25*time.Second), b.Finish(now(), 12_000, 80), "two thousand more, at 80 a second")
	require.Equal(t, now().Add(2*day+25*time.Second), b.Finish(now(), 22_000, 80))
}

// Sending whenever RoomAt says so never has more people in a window than the limit.
func TestBudget_IsNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := reach.Budget{Limit: rapid.IntRange(1, 50).Draw(t, "limit")}
		at := now()
		var sent []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "people") {
			at = at.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Second, 7 * time.Minute, 3 * time.Hour}).Draw(t, "pause"))
			room := b.RoomAt(at, 1)
			require.Equal(t, room.Equal(at), b.Left(at) > 0)
			at = room
			require.Positive(t, b.Left(at), "there is room when it says so")
			sent = append(sent, at)
			slot := at.Truncate(reach.Slot)
			if n := len(b.Counts); n > 0 && b.Counts[n-1].From.Equal(slot) {
				b.Counts[n-1].People++
			} else {
				b.Counts = append(b.Counts, reach.Count{From: slot, People: 1})
			}
		}
		for i, from := range sent {
			n := 0
			for _, s := range sent[i:] {
				if s.Sub(from) < reach.Window {
					n++
				}
			}
			require.LessOrEqual(t, n, b.Limit)
		}
	})
}

package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/ratelimit"
)

func TestSlots_AreUsedInOrderAndMissedOnesGivenUp(t *testing.T) {
	t.Parallel()
	start, gap := time.Unix(1_800_000_000, 0), 10*time.Millisecond
	var s slots
	s.add(ratelimit.Grant{Start: start.Add(30 * time.Millisecond), Gap: gap, Count: 2, Late: time.Second})
	s.add(ratelimit.Grant{Start: start, Gap: gap, Count: 3, Late: 20 * time.Millisecond})
	s.add(ratelimit.Grant{Start: start.Add(time.Hour), Late: 20 * time.Millisecond, Mixed: true}) // nothing granted
	require.True(t, s.together())
	take := func(now time.Duration) time.Duration {
		due, g, ok := s.next(start.Add(now))
		require.True(t, ok)
		require.Equal(t, gap, g)
		return due.Sub(start)
	}
	require.Zero(t, take(0), "the earliest, whoever got it")
	require.Equal(t, 10*time.Millisecond, take(30*time.Millisecond), "late, but not too late")
	require.Equal(t, 30*time.Millisecond, take(50*time.Millisecond), "the one before is missed: others send by now")
	require.Equal(t, 40*time.Millisecond, take(0))
	_, _, ok := s.next(start)
	require.False(t, ok)
}

func TestBatchSize_SpansAPartOfASecond(t *testing.T) {
	t.Parallel()
	for rate, want := range map[int]int{1: 1, 20: 5, 80: 10, 400: 50, 1000: 100, 100_000: 100} {
		require.Equal(t, want, batchSize(rate), rate)
	}
}

func TestMarks_LeadIsTwiceWhatTheyTake(t *testing.T) {
	t.Parallel()
	var m marks
	require.Equal(t, shortestLead, m.lead())
	m.took(20 * time.Millisecond)
	require.Equal(t, 40*time.Millisecond, m.lead())
	for range 50 {
		m.took(time.Minute)
	}
	require.Equal(t, longestLead, m.lead())
}

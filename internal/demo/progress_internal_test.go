package demo

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// heard notes when people heard something.
type heard struct {
	lines []string
	at    []time.Time
}

func (h *heard) Write(p []byte) (int, error) {
	h.lines, h.at = append(h.lines, string(p)), append(h.at, time.Now())
	return len(p), nil
}

func TestUntil_SaysSomethingEveryFewSecondsHoweverLongAnAnswerTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out heard
		r := &run{Options: Options{Out: &out, Contacts: 1_000_000}}
		asked := 0
		start := time.Now()
		err := r.until(t.Context(), time.Hour, "campaign", func() (progress, error) {
			time.Sleep(20 * time.Second)
			asked++
			return progress{over: asked == 10, done: asked * 100_000, total: 1_000_000, text: "RUNNING"}, nil
		})
		require.NoError(t, err)
		last := start
		for i, at := range out.at {
			require.LessOrEqual(t, at.Sub(last), 4*time.Second, out.lines[i])
			last = at
		}
		require.Contains(t, strings.Join(out.lines, ""), "/s, about ")
		require.LessOrEqual(t, 10*20*time.Second*2, time.Since(start), "it rests at least as long as it asks")
	})
}

func TestUntil_EndsWithTheStepsFailureOrPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out heard
		r := &run{Options: Options{Out: &out}}
		gone := errors.New("gone")
		require.ErrorIs(t, r.until(t.Context(), time.Hour, "import", func() (progress, error) { return progress{}, gone }), gone)
		err := r.until(t.Context(), time.Minute, "import", func() (progress, error) { return progress{text: "QUEUED"}, nil })
		require.EqualError(t, err, "import did not happen within 1m0s; last: QUEUED")
		require.GreaterOrEqual(t, len(out.lines), 15, "a quiet step is not silent")
	})
}

package importing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

func TestPace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pace importing.Pace
		rate float64
		left time.Duration // 0: not known
	}{
		"not begun": {pace: importing.Pace{Status: importing.AwaitingMapping, Total: 1000}},
		"just begun": {
			pace: importing.Pace{Status: importing.Processing, Total: 100_000, Done: 20_000, Recent: 20_000, Elapsed: 2 * time.Second},
			rate: 10_000, left: 8 * time.Second,
		},
		"under way for long": {
			pace: importing.Pace{Status: importing.Processing, Total: 1_000_000, Done: 700_000, Recent: 300_000, Elapsed: time.Hour},
			rate: 10_000, left: 30 * time.Second,
		},
		"nothing moves":    {pace: importing.Pace{Status: importing.Processing, Total: 1000, Done: 500, Elapsed: time.Hour}},
		"the clock stands": {pace: importing.Pace{Status: importing.Processing, Total: 1000, Done: 500, Recent: 500}},
		"parked":           {pace: importing.Pace{Status: importing.NeedsOperator, Total: 1000, Done: 500, Recent: 500, Elapsed: time.Minute}},
		"over":             {pace: importing.Pace{Status: importing.Completed, Total: 1000, Done: 1000, Elapsed: 10 * time.Second}, rate: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, tt.rate, tt.pace.RowsPerSecond(), 1e-9)
			left, known := tt.pace.Left()
			require.Equal(t, tt.left, left)
			require.Equal(t, tt.left > 0, known)
		})
	}
}

package waba_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

func TestRateFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		level       string
		coexistence bool
		want        int
		source      waba.RateSource
	}{
		"a standard number":                {"STANDARD", false, 80, waba.RateLevel},
		"an upgraded number":               {"HIGH", false, 1000, waba.RateLevel},
		"a number also in the app":         {"HIGH", true, 20, waba.RateCoexisted},
		"a level of tomorrow":              {"ULTRA", false, 80, waba.RateAssumed},
		"a number Meta says nothing about": {"", false, 80, waba.RateAssumed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, waba.RateFor(tt.level, tt.coexistence))
			require.Equal(t, tt.source, waba.RateSourceFor(tt.level, tt.coexistence))
		})
	}
}

func TestTierLimit(t *testing.T) {
	t.Parallel()
	limit, known := waba.TierLimit("TIER_2K")
	require.True(t, known)
	require.Equal(t, 2000, limit)
	limit, known = waba.TierLimit("TIER_UNLIMITED")
	require.True(t, known)
	require.Zero(t, limit)
	_, known = waba.TierLimit("TIER_OF_TOMORROW")
	require.False(t, known)
}

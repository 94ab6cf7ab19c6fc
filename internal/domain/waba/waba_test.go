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
	}{
		"a standard number":                {"STANDARD", false, 80},
		"an upgraded number":               {"HIGH", false, 1000},
		"a number also in the app":         {"HIGH", true, 20},
		"a level of tomorrow":              {"ULTRA", false, 80},
		"a number Meta says nothing about": {"", false, 80},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, waba.RateFor(tt.level, tt.coexistence))
		})
	}
}

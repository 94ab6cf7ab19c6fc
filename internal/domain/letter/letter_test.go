package letter_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func TestReplay_Validate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	one := []letter.ID{"a"}
	tests := map[string]struct {
		r       letter.Replay
		pointer string // "": fine
	}{
		"takes ids":                           {letter.Replay{IDs: one}, ""},
		"takes a filter":                      {letter.Replay{Filter: letter.Filter{Code: 131026}, RatePerSecond: 5}, ""},
		"takes an open range":                 {letter.Replay{Filter: letter.Filter{From: now}}, ""},
		"refuses nothing":                     {letter.Replay{}, "/ids"},
		"refuses both ways":                   {letter.Replay{IDs: one, Filter: letter.Filter{Code: 1}}, "/filter"},
		"refuses a list without end":          {letter.Replay{IDs: make([]letter.ID, letter.MaxIDs+1)}, "/ids"},
		"refuses a negative rate":             {letter.Replay{IDs: one, RatePerSecond: -1}, "/rate_per_second"},
		"refuses a rate no number has":        {letter.Replay{IDs: one, RatePerSecond: 1001}, "/rate_per_second"},
		"refuses a range that ends before it": {letter.Replay{Filter: letter.Filter{From: now, To: now}}, "/filter/to"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.r.Validate()
			if tt.pointer == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, "dead_letter.bad_selection", errs.CodeOf(err))
			refused := &errs.Error{}
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.pointer, refused.Fields[0].Pointer)
		})
	}
}

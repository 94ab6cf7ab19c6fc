package failure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
)

func TestTally_Trip(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tally failure.Tally
		class failure.Class // "": it stays closed
	}{
		"nothing yet":                     {failure.Tally{}, ""},
		"too few to tell":                 {failure.Tally{Outcomes: 49, Total: 49, Failed: map[failure.Class]int{failure.Request: 49}}, ""},
		"a third of one class":            {failure.Tally{Outcomes: 50, Total: 50, Failed: map[failure.Class]int{failure.Request: 16}}, failure.Request},
		"just not a third":                {failure.Tally{Outcomes: 50, Total: 50, Failed: map[failure.Class]int{failure.Request: 15}}, ""},
		"however long it has been going":  {failure.Tally{Outcomes: 50, Total: 90_000, Failed: map[failure.Class]int{failure.Retry: 16}}, failure.Retry},
		"two classes, none of them alone": {failure.Tally{Outcomes: 100, Total: 100, Failed: map[failure.Class]int{failure.Request: 25, failure.Retry: 25}}, ""},
		"bad recipients at the start":     {failure.Tally{Outcomes: 100, Total: 100, Failed: map[failure.Class]int{failure.Recipient: 31, failure.Later: 30}}, failure.Recipient},
		"bad recipients, but not so bad":  {failure.Tally{Outcomes: 100, Total: 100, Failed: map[failure.Class]int{failure.Recipient: 60}}, ""},
		"bad recipients, but later on":    {failure.Tally{Outcomes: 100, Total: 1001, Failed: map[failure.Class]int{failure.Recipient: 90}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trip, open := tt.tally.Trip()
			require.Equal(t, tt.class != "", open)
			require.Equal(t, tt.class, trip.Class)
		})
	}
	require.Contains(t, failure.Trip{Class: failure.Request, Failed: 16, Outcomes: 50}.Remedy(), "16 of the last 50 messages")
}

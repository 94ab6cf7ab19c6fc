package importing_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	all := importing.Mapped{Name: true, Labels: true, Attributes: true}
	has := importing.Profile{Name: "Asha", Labels: []string{"vip", "old"}, Attributes: map[string]string{"city": "Pune", "tier": "1"}}
	row := importing.Profile{Name: "Asha Rao", Labels: []string{"VIP", "new"}, Attributes: map[string]string{"city": "Goa"}}
	empty := importing.Profile{}
	tests := map[string]struct {
		strategy importing.Strategy
		row      importing.Profile
		mapped   importing.Mapped
		want     importing.Change
		fields   []string
	}{
		"SKIP_DUPLICATES changes nothing":          {importing.SkipDuplicates, row, all, importing.Change{}, nil},
		"MERGE_LABELS adds labels only":            {importing.MergeLabels, row, all, importing.Change{AddLabels: []string{"new"}}, []string{"labels"}},
		"MERGE_LABELS takes nothing away":          {importing.MergeLabels, empty, all, importing.Change{}, nil},
		"UPDATE_METADATA keeps labels":             {importing.UpdateMetadata, row, all, importing.Change{SetName: true, Name: "Asha Rao", SetAttributes: map[string]string{"city": "Goa"}}, []string{"attributes", "name"}},
		"UPDATE_METADATA ignores empty cells":      {importing.UpdateMetadata, empty, all, importing.Change{}, nil},
		"FULL_REPLACE makes it the row":            {importing.FullReplace, row, all, importing.Change{SetName: true, Name: "Asha Rao", AddLabels: []string{"new"}, DropLabels: []string{"old"}, SetAttributes: map[string]string{"city": "Goa"}, DropAttributes: []string{"tier"}}, []string{"attributes", "labels", "name"}},
		"FULL_REPLACE clears by empty cells":       {importing.FullReplace, empty, all, importing.Change{SetName: true, DropLabels: []string{"vip", "old"}, DropAttributes: []string{"city", "tier"}}, []string{"attributes", "labels", "name"}},
		"FULL_REPLACE keeps what has no column":    {importing.FullReplace, empty, importing.Mapped{}, importing.Change{}, nil},
		"an equal row changes nothing, replace":    {importing.FullReplace, has, all, importing.Change{}, nil},
		"an equal row changes nothing, update":     {importing.UpdateMetadata, has, all, importing.Change{}, nil},
		"an equal row changes nothing, labels too": {importing.MergeLabels, has, all, importing.Change{}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := importing.Merge(tt.strategy, has, tt.row, tt.mapped)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.fields, got.Fields())
			require.Equal(t, len(tt.fields) == 0, got.Empty())
		})
	}
}

// A second run of the same file changes nothing, whatever the strategy.
func TestMerge_IsIdempotent(t *testing.T) {
	t.Parallel()
	profile := rapid.Custom(func(t *rapid.T) importing.Profile {
		return importing.Profile{
			Name:       rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "name"),
			Labels:     rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3, rapid.ID).Draw(t, "labels"),
			Attributes: rapid.MapOfN(rapid.SampledFrom([]string{"a", "b"}), rapid.SampledFrom([]string{"1", "2"}), 0, 2).Draw(t, "attributes"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		has, row := profile.Draw(t, "has"), profile.Draw(t, "row")
		mapped := importing.Mapped{Name: rapid.Bool().Draw(t, "n"), Labels: rapid.Bool().Draw(t, "l"), Attributes: rapid.Bool().Draw(t, "a")}
		for _, s := range []importing.Strategy{importing.SkipDuplicates, importing.MergeLabels, importing.UpdateMetadata, importing.FullReplace} {
			after := importing.Merge(s, has, row, mapped).Apply(has)
			require.True(t, importing.Merge(s, after, row, mapped).Empty(), s)
		}
	})
}

func TestStatus_CanBecome(t *testing.T) {
	t.Parallel()
	happy := []importing.Status{
		importing.Uploaded, importing.HeadersExtracted, importing.AwaitingMapping, importing.MappingConfirmed,
		importing.Queued, importing.Processing, importing.PartialSuccess,
	}
	for i := 1; i < len(happy); i++ {
		require.True(t, happy[i-1].CanBecome(happy[i]))
	}
	for _, from := range importing.Statuses() {
		require.True(t, from.CanBecome(from), "a repeated step is harmless")
		for _, to := range importing.Statuses() {
			if from == to {
				continue
			}
			if from.Final() {
				require.False(t, from.CanBecome(to), "%s is final", from)
			} else if to == importing.Cancelled || to == importing.Failed {
				require.True(t, from.CanBecome(to))
			}
		}
	}
	require.False(t, importing.Uploaded.CanBecome(importing.Processing))
	require.False(t, importing.AwaitingMapping.CanBecome(importing.Processing))
}

func TestCounts(t *testing.T) {
	t.Parallel()
	c := importing.Counts{Created: 1, Updated: 2, Unchanged: 3, Duplicate: 4, Suppressed: 6}
	require.Equal(t, importing.Completed, c.Outcome())
	require.Equal(t, importing.PartialSuccess, c.Add(importing.Counts{Invalid: 5}).Outcome())
	require.Equal(t, 21, c.Add(importing.Counts{Invalid: 5}).Rows())
	require.Equal(t, importing.Failed, importing.Counts{Invalid: 5}.Outcome())
	_, err := importing.ParseStrategy("REPLACE")
	require.ErrorIs(t, err, importing.ErrStrategy)
	s, err := importing.ParseStrategy("")
	require.NoError(t, err)
	require.Equal(t, importing.SkipDuplicates, s)
}

package demo_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

func TestContacts_AreWhatTheyClaimAtEverySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 50, 1_000, 10_000, 60_000} {
		file, want := demo.Contacts(n, 7)
		rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, n+1, "a header and %d rows", n)
		got, seen := demo.Expected{Rows: n}, map[string]bool{}
		for _, row := range rows[1:] {
			number, err := phone.Parse(row[0], "IN")
			switch {
			case err != nil:
				got.Invalid++
			case seen[number.String()]:
				got.Duplicate++
			default:
				seen[number.String()] = true
				got.Valid++
			}
		}
		require.Equal(t, want, got, "%d rows", n)
		require.Equal(t, n, want.Valid+want.Duplicate+want.Invalid)
	}
}

func TestContacts_AreTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	a, _ := demo.Contacts(500, 7)
	b, _ := demo.Contacts(500, 7)
	c, _ := demo.Contacts(500, 8)
	require.Equal(t, a, b)
	require.NotEqual(t, a, c)
}

package demo_test

import (
	"bytes"
	"encoding/csv"
	"strings"
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
		got, seen := demo.Expected{Rows: n}, map[string]string{}
		for _, row := range rows[1:] {
			number, err := phone.Parse(row[0], "IN")
			switch {
			case err != nil:
				got.Invalid++
			case seen[number.String()] != "":
				require.NotEqual(t, seen[number.String()], row[0], "a repeated number is spelled anew")
				got.Duplicate++
			default:
				seen[number.String()] = row[0]
				got.Valid++
				if strings.HasPrefix(number.String(), "+4915120") {
					got.Refused++
				}
			}
		}
		require.Equal(t, want, got, "%d rows", n)
		require.Equal(t, n, want.Valid+want.Duplicate+want.Invalid)
		require.Equal(t, n >= 50, want.Refused > 0)
		require.Less(t, len(file), n*56+100, "a million contacts stay far below the upload limit of 100 MiB")
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

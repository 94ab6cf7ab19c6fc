package money_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

func TestRounded(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.Micros{
		"0": 0, "12.5": 12_500_000, "0.30000000000000004": 300_000, "1.18e-2": 11_800, "-0.0000005": -1, "0.0000004": 0, "3": 3_000_000,
	} {
		got, err := money.Rounded(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]error{
		"": money.ErrSyntax, "x": money.ErrSyntax, "1e30": money.ErrOverflow, "1/0": money.ErrSyntax,
		"1111111111111111111111111111111111111111111": money.ErrSyntax,
	} {
		_, err := money.Rounded(text)
		require.ErrorIs(t, err, want, text)
	}
}

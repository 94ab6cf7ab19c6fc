package wallet_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

func TestNewPeriod(t *testing.T) {
	t.Parallel()
	india, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	now := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC) // the 26th in India
	utc := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, time.UTC)
	}
	tests := map[string]struct {
		from, to string
		want     wallet.Period
		wantErr  error
	}{
		"the month so far":        {want: wallet.Period{From: utc(10, 31, 18, 30), Until: now}},
		"a whole month":           {from: "2026-10-01", to: "2026-10-31", want: wallet.Period{From: utc(9, 30, 18, 30), Until: utc(10, 31, 18, 30)}},
		"one day":                 {from: "2026-11-01", to: "2026-11-01", want: wallet.Period{From: utc(10, 31, 18, 30), Until: utc(11, 1, 18, 30)}},
		"its end is cut off":      {from: "2026-11-01", to: "2026-11-30", want: wallet.Period{From: utc(10, 31, 18, 30), Until: now}},
		"refuses the future":      {from: "2026-11-27", to: "2026-11-30", wantErr: wallet.ErrPeriod},
		"refuses the wrong order": {from: "2026-10-02", to: "2026-10-01", wantErr: wallet.ErrPeriod},
		"refuses two years":       {from: "2024-11-01", to: "2026-10-31", wantErr: wallet.ErrPeriod},
		"takes a year":            {from: "2025-11-01", to: "2026-10-31", want: wallet.Period{From: time.Date(2025, 10, 31, 18, 30, 0, 0, time.UTC), Until: utc(10, 31, 18, 30)}},
		"refuses what is no date": {from: "October", wantErr: wallet.ErrPeriod},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := wallet.NewPeriod(tt.from, tt.to, india, now)
			require.ErrorIs(t, err, tt.wantErr)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestBalances_After(t *testing.T) {
	t.Parallel()
	b, err := wallet.Balances{Available: 5, Held: 1}.After(wallet.Movement{Change: wallet.Balances{Available: -3, Held: 3}})
	require.NoError(t, err)
	require.Equal(t, wallet.Balances{Available: 2, Held: 4}, b)
	_, err = wallet.Balances{Held: math.MaxInt64}.After(wallet.Movement{Change: wallet.Balances{Held: 1}})
	require.ErrorIs(t, err, money.ErrOverflow)
}

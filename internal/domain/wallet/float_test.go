package wallet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

func TestFillFloat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		held, committed, price, balance, want money.Micros
		wantErr                               error
	}{
		"the first message fills it for fifty": {price: 10, balance: 1000, want: 500},
		"covered":                              {held: 500, committed: 490, price: 10, balance: 1000, want: 0},
		"a part is there":                      {held: 500, committed: 495, price: 10, balance: 1000, want: 495},
		"a small wallet gives what is missing": {held: 500, committed: 495, price: 10, balance: 494, want: 5},
		"to the last":                          {price: 10, balance: 10, want: 10},
		"a dry one refuses":                    {price: 10, balance: 9, wantErr: wallet.ErrInsufficientFunds},
		"free":                                 {held: 5, committed: 5, want: 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := wallet.FillFloat(tt.held, tt.committed, tt.price, tt.balance)
			require.ErrorIs(t, err, tt.wantErr)
			require.Equal(t, tt.want, got)
		})
	}
}

package wallet_test

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

const c1 = "c1"

func TestPost(t *testing.T) {
	t.Parallel()
	funding, purse := wallet.Account{Kind: wallet.AccountFunding}, wallet.Account{Kind: wallet.AccountWallet}
	hold, revenue := wallet.Account{Kind: wallet.AccountHold, Campaign: c1}, wallet.Account{Kind: wallet.AccountRevenue, Campaign: c1}
	loss := wallet.Account{Kind: wallet.AccountLoss}
	tests := map[string]struct {
		kind     wallet.Kind
		amount   money.Micros
		from, to wallet.Account
		balance  money.Micros // of from
		wantErr  error
	}{
		"tops up from nothing":           {kind: wallet.KindTopUp, amount: 400, from: funding, to: purse},
		"holds to the last":              {kind: wallet.KindHold, amount: 400, from: purse, to: hold, balance: 400},
		"refuses an overdraft":           {kind: wallet.KindHold, amount: 400, from: purse, balance: 399, wantErr: wallet.ErrInsufficientFunds},
		"captures from the hold":         {kind: wallet.KindCapture, amount: 400, from: hold, to: revenue, balance: 400},
		"refuses more than was held":     {kind: wallet.KindCapture, amount: 400, from: hold, balance: 399, wantErr: wallet.ErrHoldExhausted},
		"releases what is left":          {kind: wallet.KindRelease, amount: 4, from: hold, to: purse, balance: 4},
		"refuses to release more":        {kind: wallet.KindRelease, amount: 5, from: hold, balance: 4, wantErr: wallet.ErrHoldExhausted},
		"refunds what was charged":       {kind: wallet.KindRefund, amount: 4, from: revenue, to: purse, balance: 4},
		"refuses to refund more":         {kind: wallet.KindRefund, amount: 5, from: revenue, balance: 4, wantErr: wallet.ErrOverRefund},
		"adjusts upwards":                {kind: wallet.KindAdjust, amount: 4, from: funding, to: purse},
		"adjusts downwards":              {kind: wallet.KindAdjust, amount: -4, from: purse, to: funding, balance: 4},
		"does not adjust below zero":     {kind: wallet.KindAdjust, amount: -5, from: purse, balance: 4, wantErr: wallet.ErrInsufficientFunds},
		"books a loss from nothing":      {kind: wallet.KindLoss, amount: 4, from: loss, to: revenue},
		"restores what was captured":     {kind: wallet.KindRestore, amount: 4, from: revenue, to: hold, balance: 4},
		"refuses to restore more":        {kind: wallet.KindRestore, amount: 5, from: revenue, balance: 4, wantErr: wallet.ErrOverRefund},
		"refuses zero":                   {kind: wallet.KindTopUp, wantErr: wallet.ErrBadPosting},
		"refuses a negative top-up":      {kind: wallet.KindTopUp, amount: -1, wantErr: wallet.ErrBadPosting},
		"refuses an unknown kind":        {kind: "GIFT", amount: 1, wantErr: wallet.ErrBadPosting},
		"refuses what has no opposite":   {kind: wallet.KindAdjust, amount: math.MinInt64, wantErr: wallet.ErrBadPosting},
		"refuses to leave the int range": {kind: wallet.KindTopUp, amount: math.MaxInt64, from: funding, balance: -2, wantErr: money.ErrOverflow},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			balances := map[wallet.Account]money.Micros{tt.from: tt.balance}
			before := maps.Clone(balances)
			got, err := wallet.Post(balances, wallet.Posting{Kind: tt.kind, Reference: "r", Amount: tt.amount, Campaign: c1, Actor: "auditor", Reason: "correction"})
			require.ErrorIs(t, err, tt.wantErr)
			if tt.wantErr != nil {
				require.Equal(t, before, balances, "a refusal changes nothing")
				return
			}
			size := max(tt.amount, -tt.amount)
			require.Equal(t, []wallet.Entry{{Account: tt.from, Amount: -size}, {Account: tt.to, Amount: size}}, got)
			require.Equal(t, map[wallet.Account]money.Micros{tt.from: tt.balance - size, tt.to: size}, balances)
		})
	}
}

func TestPost_WantsAReference(t *testing.T) {
	t.Parallel()
	_, err := wallet.Post(map[wallet.Account]money.Micros{}, wallet.Posting{Kind: wallet.KindTopUp, Amount: 1})
	require.ErrorIs(t, err, wallet.ErrBadPosting)
}

func TestPost_AnAdjustmentSaysWhoAndWhy(t *testing.T) {
	t.Parallel()
	for _, p := range []wallet.Posting{wallet.Adjust("a", 1, "", "why"), wallet.Adjust("a", 1, "who", "")} {
		_, err := wallet.Post(map[wallet.Account]money.Micros{}, p)
		require.ErrorIs(t, err, wallet.ErrNoReason)
	}
}

func TestPost_Properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		balances := map[wallet.Account]money.Micros{}
		entries := map[wallet.Account]money.Micros{}
		n := rapid.IntRange(1, 60).Draw(t, "postings")
		for i := range n {
			p := wallet.Posting{
				Kind:      rapid.SampledFrom(wallet.Kinds()).Draw(t, "kind"),
				Reference: fmt.Sprint(i),
				Amount:    money.Micros(rapid.Int64Range(-100, 1_000).Draw(t, "amount")),
				Campaign:  rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(t, "campaign"),
				Actor:     "auditor", Reason: "correction",
			}
			made, err := wallet.Post(balances, p)
			if err != nil {
				continue
			}
			for _, e := range made {
				entries[e.Account] += e.Amount
			}
		}
		var sum money.Micros
		for account, balance := range balances {
			sum += balance
			require.Equal(t, entries[account], balance)
			switch account.Kind {
			case wallet.AccountWallet, wallet.AccountHold, wallet.AccountRevenue:
				require.GreaterOrEqual(t, balance, money.Micros(0))
			case wallet.AccountFunding, wallet.AccountLoss:
			}
		}
		require.Zero(t, sum, "what one account lost another has")
	})
}

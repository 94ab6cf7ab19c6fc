package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// account keeps what it is given.
type account struct {
	wallet.Statement

	lines []wallet.Movement
	after []wallet.Balances
}

func (a *account) Begin(s wallet.Statement) error { a.Statement = s; return nil }

func (a *account) Entry(m wallet.Movement, after wallet.Balances) error {
	a.lines, a.after = append(a.lines, m), append(a.after, after)
	return nil
}

func TestWriteStatement(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	ctx := t.Context()
	c := id.New[string]()
	begin := time.Now().Add(-time.Hour)
	p.topUp(t, 100)
	_, err := p.PostAll(ctx, p.v, wallet.Hold(c, "hold", 60), wallet.Capture(c, "c1", 25))
	require.NoError(t, err)
	// The database says what time it is.
	var middle time.Time
	require.NoError(t, p.db.Super().QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&middle))
	_, err = p.PostAll(ctx, p.v, wallet.Refund(c, "r1", 5), wallet.Loss(c, "l1", 7), wallet.Release(c, "release", 35))
	require.NoError(t, err)
	_, err = p.TopUp(ctx, p.v, "USD", wallet.Adjust("fix", -1, "auditor", "a bank took it back"))
	require.NoError(t, err)
	end := time.Now().Add(time.Hour)
	stranger := purse{p.Store, p.db, addVendor(t, p.db)}
	stranger.topUp(t, 1_000)

	var first, second, whole account
	require.NoError(t, p.WriteStatement(ctx, p.v, wallet.Period{From: begin, Until: middle}, &first))
	require.NoError(t, p.WriteStatement(ctx, p.v, wallet.Period{From: middle, Until: end}, &second))
	require.NoError(t, p.WriteStatement(ctx, p.v, wallet.Period{From: begin, Until: end}, &whole))
	require.Zero(t, first.Opening)
	require.Equal(t, wallet.Balances{Available: 40, Held: 35}, first.Closing)
	require.Equal(t, first.Closing, second.Opening, "what one closes with the next begins with")
	require.Equal(t, wallet.Balances{Available: 79}, second.Closing)
	require.Equal(t, second.Closing, whole.Closing)
	require.Len(t, second.lines, 3, "the platform's loss is none of the vendor's movements")
	require.Equal(t, append(first.lines, second.lines...), whole.lines)
	last := whole.lines[len(whole.lines)-1]
	require.Equal(t, "auditor", last.Actor)
	require.Equal(t, "a bank took it back", last.Reason)
	require.Equal(t, whole.Closing, whole.after[len(whole.after)-1])

	var quiet account
	require.NoError(t, p.WriteStatement(ctx, p.v, wallet.Period{From: end, Until: end.Add(time.Hour)}, &quiet))
	require.Equal(t, whole.Closing, quiet.Opening)
	require.Empty(t, quiet.lines)
	require.ErrorIs(t, p.WriteStatement(ctx, id.New[vendor.ID](), wallet.Period{From: begin, Until: end}, &quiet), wallet.ErrNotFound)
}

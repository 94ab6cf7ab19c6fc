package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// purse is a database with one vendor in it whose wallet is kept in dollars.
type purse struct {
	*store.Store
	db *pgtest.DB
	v  vendor.ID
}

func newPurse(tb testing.TB) purse {
	tb.Helper()
	db := pgtest.New(tb)
	s, err := store.New(db.App())
	require.NoError(tb, err)
	return purse{Store: s, db: db, v: addVendor(tb, db)}
}

func addVendor(tb testing.TB, db *pgtest.DB) vendor.ID {
	tb.Helper()
	v := id.New[vendor.ID]()
	_, err := db.Super().Exec(tb.Context(),
		`INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'V', 'IN', 'USD')`, v)
	require.NoError(tb, err)
	_, err = db.Super().Exec(tb.Context(), `INSERT INTO wallets (vendor_id, currency) VALUES ($1, 'USD')`, v)
	require.NoError(tb, err)
	return v
}

func (p purse) topUp(tb testing.TB, amount money.Micros) {
	tb.Helper()
	_, err := p.TopUp(tb.Context(), p.v, "USD", wallet.TopUp(id.Random(), amount))
	require.NoError(tb, err)
}

func (p purse) requireSound(t *testing.T) store.Drift {
	t.Helper()
	d, err := p.ReconcileWallet(t.Context(), p.v)
	require.NoError(t, err)
	require.True(t, d.OK(), "%+v", d)
	return d
}

func TestTopUp(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	ctx := t.Context()

	w, err := p.Wallet(ctx, p.v)
	require.NoError(t, err)
	require.Equal(t, store.Wallet{Currency: "USD"}, w)

	for i := range 3 { // repeats are harmless
		applied, err := p.TopUp(ctx, p.v, "USD", wallet.TopUp("bank/1", 5_000_000))
		require.NoError(t, err)
		require.Equal(t, i == 0, applied)
	}
	_, err = p.TopUp(ctx, p.v, "USD", wallet.TopUp("bank/1", 6_000_000))
	require.ErrorIs(t, err, wallet.ErrReferenceReused)
	_, err = p.TopUp(ctx, p.v, "EUR", wallet.TopUp("bank/2", 1))
	require.ErrorIs(t, err, wallet.ErrCurrency)
	_, err = p.TopUp(ctx, p.v, "USD", wallet.Capture("", "bank/3", 1))
	require.ErrorIs(t, err, wallet.ErrBadPosting)
	_, err = p.TopUp(ctx, p.v, "USD", wallet.Adjust("fix/1", -5_000_001, "auditor", "a bank took it back"))
	require.ErrorIs(t, err, wallet.ErrInsufficientFunds)
	_, err = p.TopUp(ctx, p.v, "USD", wallet.Adjust("fix/2", -1_000_000, "auditor", "a bank took it back"))
	require.NoError(t, err)

	w, err = p.Wallet(ctx, p.v)
	require.NoError(t, err)
	require.Equal(t, money.Micros(4_000_000), w.Balance)

	history, err := p.ListTransactions(ctx, p.v, "", "", 10)
	require.NoError(t, err)
	require.Len(t, history, 2)
	require.Equal(t, "fix/2", history[0].Reference)
	require.Equal(t, "auditor", history[0].Actor)
	require.Equal(t, money.Micros(-1_000_000), history[0].Amount)
	older, err := p.ListTransactions(ctx, p.v, "", history[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, history[1:], older)
	require.Equal(t, 2, p.requireSound(t).Accounts)

	stranger := addVendor(t, p.db)
	theirs, err := p.ListTransactions(ctx, stranger, "", "", 10)
	require.NoError(t, err)
	require.Empty(t, theirs)
	_, err = p.Wallet(ctx, id.New[vendor.ID]())
	require.ErrorIs(t, err, wallet.ErrNotFound)
	_, err = p.TopUp(ctx, id.New[vendor.ID](), "USD", wallet.TopUp("x", 1))
	require.ErrorIs(t, err, wallet.ErrNotFound)
}

func TestPost_AllOrNone(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	ctx := t.Context()
	p.topUp(t, 100)
	c := id.New[string]()

	n, err := p.PostAll(ctx, p.v,
		wallet.Hold(c, "hold", 60), wallet.Capture(c, "c1", 25), wallet.Capture(c, "c1", 25), wallet.Capture(c, "c2", 0))
	require.NoError(t, err)
	require.Equal(t, 2, n, "a reference twice counts once, a posting of nothing not at all")

	_, err = p.PostAll(ctx, p.v, wallet.Capture(c, "c3", 30), wallet.Capture(c, "c4", 6))
	require.ErrorIs(t, err, wallet.ErrHoldExhausted)
	_, err = p.PostAll(ctx, p.v, wallet.Refund(c, "r1", 26))
	require.ErrorIs(t, err, wallet.ErrOverRefund)
	_, err = p.PostAll(ctx, p.v, wallet.Hold(c, "hold2", 41))
	require.ErrorIs(t, err, wallet.ErrInsufficientFunds)
	require.Equal(t, errs.Unfunded, errs.KindOf(err))

	n, err = p.PostAll(ctx, p.v,
		wallet.Refund(c, "r1", 5), wallet.Release(c, "release", 35), wallet.Loss(c, "l1", 7), wallet.Capture(c, "c1", 25))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	w, err := p.Wallet(ctx, p.v)
	require.NoError(t, err)
	require.Equal(t, money.Micros(80), w.Balance)
	require.Zero(t, w.Held)
	p.requireSound(t)
}

// TestLedger_Stress lets many writers move money at random, in batches of several
// postings, with references that repeat: nothing deadlocks for good, nothing goes
// below zero, and every balance is the sum of its entries.
func TestLedger_Stress(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	ctx := t.Context()
	p.topUp(t, 2_000)
	campaigns := []string{id.New[string](), id.New[string](), id.New[string]()}
	var refused, done, retried atomic.Int64
	var wg sync.WaitGroup
	for worker := range 12 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(worker))) // a repeatable mix
			for range 60 {
				var batch []wallet.Posting
				for range 1 + r.IntN(3) {
					batch = append(batch, randomPosting(r, campaigns))
				}
				_, err := p.PostAll(ctx, p.v, batch...)
				for errs.KindOf(err) == errs.Unavailable && err != nil {
					retried.Add(1)
					_, err = p.PostAll(ctx, p.v, batch...)
				}
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, wallet.ErrInsufficientFunds), errors.Is(err, wallet.ErrHoldExhausted),
					errors.Is(err, wallet.ErrOverRefund), errors.Is(err, wallet.ErrReferenceReused):
					refused.Add(1)
				default:
					t.Errorf("unexpected: %v", err)
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, done.Load())
	require.Positive(t, refused.Load())
	require.Zero(t, retried.Load(), "locks are taken in one order: nothing deadlocks")
	p.requireSound(t)

	var negative int
	require.NoError(t, p.db.Super().QueryRow(ctx,
		`SELECT count(*) FROM ledger_accounts WHERE kind NOT IN ('FUNDING', 'LOSS') AND balance_micros < 0`).Scan(&negative))
	require.Zero(t, negative)
}

func randomPosting(r *rand.Rand, campaigns []string) wallet.Posting {
	c, ref, amount := campaigns[r.IntN(len(campaigns))], fmt.Sprintf("ref/%d", r.IntN(2_000)), money.Micros(1+r.IntN(60))
	switch r.IntN(7) {
	case 0:
		return wallet.TopUp(ref, amount)
	case 1, 2:
		return wallet.Hold(c, ref, amount)
	case 3, 4:
		return wallet.Capture(c, ref, amount)
	case 5:
		return wallet.Release(c, ref, amount)
	default:
		return wallet.Refund(c, ref, amount)
	}
}

// behind begins a transaction without triggers, which takes a superuser: the way past the
// ledger's own refusals.
const behind = `BEGIN; SET LOCAL session_replication_role = replica; `

func TestReconcile_FindsDrift(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	ctx := t.Context()
	p.topUp(t, 100)
	_, err := p.PostAll(ctx, p.v, wallet.Hold(id.New[string](), "hold", 60))
	require.NoError(t, err)

	// Behind the ledger's back, which the application's role cannot do to entries.
	_, err = p.db.Super().Exec(ctx, behind+`UPDATE ledger_accounts SET balance_micros = balance_micros + 3 WHERE kind = 'WALLET'; COMMIT`)
	require.NoError(t, err)
	d, err := p.ReconcileWallet(ctx, p.v)
	require.NoError(t, err)
	require.False(t, d.OK())
	require.Equal(t, money.Micros(3), d.Micros)
	require.Equal(t, money.Micros(3), d.Sum)

	_, err = p.db.Super().Exec(ctx, behind+`DELETE FROM ledger_entries WHERE line = 0; COMMIT`)
	require.NoError(t, err)
	d, err = p.ReconcileWallet(ctx, p.v)
	require.NoError(t, err)
	require.Equal(t, int64(2), d.Unbalanced)
}

func TestLedger_IsAppendOnlyForTheApplication(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	p.topUp(t, 100)
	for _, sql := range []string{
		`UPDATE ledger_entries SET amount_micros = 1`, `DELETE FROM ledger_entries`,
		`UPDATE ledger_transactions SET reference = 'x'`, `DELETE FROM ledger_transactions`,
	} {
		err := pgx.BeginFunc(t.Context(), p.db.App(), func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
		require.ErrorContains(t, err, "permission denied", sql)
	}
}

// TestStates_MatchTheColumn keeps rule and schema from drifting apart.
func TestStates_MatchTheColumn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	requireCheck(t, db, "campaigns_status_check", campaign.States())
	requireCheck(t, db, "ledger_accounts_kind_check", wallet.AccountKinds())
	requireCheck(t, db, "ledger_transactions_kind_check", wallet.Kinds())
	requireCheck(t, db, "payment_orders_provider_check", wallet.Providers())
	requireCheck(t, db, "payment_orders_status_check", wallet.PaymentStatuses())
	requireCheck(t, db, "payment_events_outcome_check", wallet.PaymentOutcomes())
}

func requireCheck[T ~string](t *testing.T, db *pgtest.DB, constraint string, want []T) {
	t.Helper()
	var got []string
	require.NoError(t, db.Super().QueryRow(t.Context(), `
		SELECT array_agg(m[1]) FROM pg_constraint,
		       regexp_matches(pg_get_constraintdef(oid), '''([A-Z_]+)''', 'g') m WHERE conname = $1`, constraint).Scan(&got))
	texts := make([]string, len(want))
	for i, w := range want {
		texts[i] = string(w)
	}
	require.ElementsMatch(t, texts, got)
}

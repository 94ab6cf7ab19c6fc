package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// Wallet is what a vendor has: Balance can be spent, Held is promised to campaigns.
type Wallet struct {
	Currency      money.Currency
	Balance, Held money.Micros

	LowBalance *money.Micros // below it the vendor's people are told; nil: never
	LowSince   time.Time     // since when it is below; zero: it is not
	AlertedAt  time.Time     // when they were last told; zero: never
}

// Alert tells whether the vendor's people are still to be told that the balance is low:
// once each time it falls below the threshold.
func (w Wallet) Alert() bool { return !w.LowSince.IsZero() && w.AlertedAt.Before(w.LowSince) }

// Wallet returns the vendor's wallet.
//
// Errors: wallet.not_found.
func (s *Store) Wallet(ctx context.Context, v vendor.ID) (Wallet, error) {
	var w Wallet
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		w, err = s.walletTx(ctx, tx, v)
		return err
	})
	return w, err
}

func (s *Store) walletTx(ctx context.Context, tx pgx.Tx, v vendor.ID) (Wallet, error) {
	var (
		w          Wallet
		since, was *time.Time
	)
	err := tx.QueryRow(ctx, s.sql("WalletByVendor"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(
		&w.Currency, &w.Balance, &w.Held, &w.LowBalance, &since, &was)
	w.LowSince, w.AlertedAt = orZero(since).UTC(), orZero(was).UTC()
	return w, orNotFound(err, wallet.ErrNotFound)
}

// TopUp adds a payment to the vendor's wallet and returns whether it was new: the same
// reference again changes nothing. Campaigns that were halted for want of money go on. currency must be the wallet's.
//
// Errors: wallet.not_found, wallet.wrong_currency, wallet.bad_posting,
// wallet.reference_reused.
func (s *Store) TopUp(ctx context.Context, v vendor.ID, currency money.Currency, p wallet.Posting) (applied bool, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		w, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return err
		}
		if w.Currency != currency {
			return wallet.ErrCurrency.Detail("the wallet is kept in %s", w.Currency)
		}
		if p.Kind != wallet.KindTopUp && p.Kind != wallet.KindAdjust {
			return wallet.ErrBadPosting
		}
		applied, err = s.topUpTx(ctx, tx, v, p)
		return err
	})
	return applied, err
}

// topUpTx posts what makes the wallet richer, and has what waits for money looked at.
func (s *Store) topUpTx(ctx context.Context, tx pgx.Tx, v vendor.ID, p wallet.Posting) (applied bool, err error) {
	if applied, err = s.postTx(ctx, tx, v, p); err != nil || !applied {
		return applied, err
	}
	var waiting bool
	if err := tx.QueryRow(ctx, s.sql("HaltWaitingForMoney"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&waiting); err != nil || !waiting {
		return applied, err
	}
	return applied, s.enqueue(ctx, tx, v, "settlement.due", string(v))
}

// SetLowBalance sets the balance below which the vendor's people are told, nil for none. A
// wallet that is below already is told of at once.
//
// Errors: wallet.not_found, wallet.bad_threshold.
func (s *Store) SetLowBalance(ctx context.Context, v vendor.ID, threshold *money.Micros) (Wallet, error) {
	if threshold != nil && *threshold <= 0 {
		return Wallet{}, wallet.ErrThreshold
	}
	var w Wallet
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("WalletAccountLock"), pgx.StrictNamedArgs{"vendor_id": v}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("WalletThreshold"), pgx.StrictNamedArgs{"vendor_id": v, "threshold": threshold}); err != nil {
			return err
		}
		var err error
		w, err = s.walletTx(ctx, tx, v)
		return err
	})
	return w, err
}

// NoteAlerted notes that the vendor's people were told of the balance that is low since
// the given moment. A repeat changes nothing that matters.
func (s *Store) NoteAlerted(ctx context.Context, v vendor.ID, since time.Time) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("WalletAlerted"), pgx.StrictNamedArgs{"vendor_id": v, "low_since": since})
		return err
	})
}

// LedgerTransaction is one line of a wallet's history.
type LedgerTransaction struct {
	ID        string
	Kind      wallet.Kind
	Reference string
	Campaign  campaign.ID // "" where none is concerned
	Actor     string
	At        time.Time
	Amount    money.Micros // what the wallet's balance gained, negative where it lost
	Moved     money.Micros // what changed accounts, never negative
}

// ListTransactions returns up to limit ledger transactions, newest first, from before
// the given id on ("" is from the newest). c restricts them to one campaign unless "".
func (s *Store) ListTransactions(ctx context.Context, v vendor.ID, c campaign.ID, before string, limit int) ([]LedgerTransaction, error) {
	var out []LedgerTransaction
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("LedgerTransactionList"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": nullID(c), "before": nullID(before), "max_rows": limit,
		})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (LedgerTransaction, error) {
			var t LedgerTransaction
			var c *campaign.ID
			err := row.Scan(&t.ID, &t.Kind, &t.Reference, &c, &t.Actor, &t.At, &t.Amount, &t.Moved)
			t.Campaign, t.At = orZero(c), t.At.UTC()
			return t, err
		})
		return err
	})
	return out, err
}

// Drift is what does not add up in a vendor's ledger. All zero is in order.
type Drift struct {
	Vendor       vendor.ID
	Accounts     int          // looked at
	Micros       money.Micros // Σ |balance − Σ entries| over the accounts
	Sum          money.Micros // Σ of all balances: nothing
	Unbalanced   int64        // transactions whose own entries do not add up to nothing
	HeldFinished money.Micros // still held by campaigns that are over
	Uncharged    money.Micros // Σ |captured − refunded by the ledger − by the messages| over the campaigns
	Fees         money.Micros // Σ |charged − quoted| of finished campaigns' own lines
	Payments     int64        // a provider's payments that are not booked as such, and top-ups without one
}

// OK tells whether everything adds up.
func (d Drift) OK() bool {
	return d.Micros == 0 && d.Sum == 0 && d.Unbalanced == 0 && d.HeldFinished == 0 && d.Uncharged == 0 && d.Fees == 0 && d.Payments == 0
}

// Total is all the money that is not where it should be.
func (d Drift) Total() money.Micros {
	return d.Micros + max(d.Sum, -d.Sum) + d.HeldFinished + d.Uncharged + d.Fees
}

// ReconcileWallet compares every balance of the vendor with its entries, and what the
// ledger charged with what the messages say, in one snapshot. It changes nothing.
func (s *Store) ReconcileWallet(ctx context.Context, v vendor.ID) (Drift, error) {
	d := Drift{Vendor: v}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set transaction isolation level repeatable read, read only"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.sql("LedgerReconcile"), pgx.StrictNamedArgs{"vendor_id": v})
		if err != nil {
			return err
		}
		var (
			kind             wallet.AccountKind
			c                *campaign.ID
			balance, entries money.Micros
			finished         bool
		)
		if _, err := pgx.ForEachRow(rows, []any{&kind, &c, &balance, &entries, &finished}, func() error {
			d.Accounts++
			d.Micros += max(balance-entries, entries-balance)
			d.Sum += balance
			if kind == wallet.AccountHold && finished {
				d.HeldFinished += balance
			}
			return nil
		}); err != nil {
			return err
		}
		for _, ask := range []struct {
			sql  string
			into any
		}{
			{"LedgerUnbalanced", &d.Unbalanced}, {"LedgerUncharged", &d.Uncharged}, {"LedgerFees", &d.Fees}, {"LedgerPayments", &d.Payments},
		} {
			if err := tx.QueryRow(ctx, s.sql(ask.sql), pgx.StrictNamedArgs{"vendor_id": v}).Scan(ask.into); err != nil {
				return err
			}
		}
		return nil
	})
	return d, err
}

// CampaignMoney is what became of one campaign's money: Held = Captured + Released +
// what is still held. What was captured and is held again does not count as captured. Refunded came out of Captured; Loss the platform bore.
type CampaignMoney struct{ Held, Captured, Released, Refunded, Loss money.Micros }

func (s *Store) campaignMoneyTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID) (CampaignMoney, error) {
	var m CampaignMoney
	rows, err := tx.Query(ctx, s.sql("LedgerByCampaign"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c})
	if err != nil {
		return m, err
	}
	var kind wallet.Kind
	var amount money.Micros
	_, err = pgx.ForEachRow(rows, []any{&kind, &amount}, func() error {
		switch kind {
		case wallet.KindHold:
			m.Held = amount
		case wallet.KindCapture:
			m.Captured += amount
		case wallet.KindRestore: // held again: the message is sent once more
			m.Captured -= amount
		case wallet.KindRelease:
			m.Released = amount
		case wallet.KindRefund:
			m.Refunded = amount
		case wallet.KindLoss:
			m.Loss = amount
		case wallet.KindTopUp, wallet.KindAdjust:
		}
		return nil
	})
	return m, err
}

// nullID makes SQL's null of an empty id.
func nullID[T ~string](id T) *T {
	if id == "" {
		return nil
	}
	return &id
}

// orZero undoes nullID, for any type.
func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

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
}

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
	var w Wallet
	err := tx.QueryRow(ctx, s.sql("WalletByVendor"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&w.Currency, &w.Balance, &w.Held)
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
		if applied, err = s.postTx(ctx, tx, v, p); err != nil || !applied {
			return err
		}
		var waiting bool
		if err := tx.QueryRow(ctx, s.sql("HaltWaitingForMoney"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&waiting); err != nil || !waiting {
			return err
		}
		return s.enqueue(ctx, tx, v, "settlement.due", string(v))
	})
	return applied, err
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
}

// OK tells whether everything adds up.
func (d Drift) OK() bool {
	return d.Micros == 0 && d.Sum == 0 && d.Unbalanced == 0 && d.HeldFinished == 0 && d.Uncharged == 0
}

// Total is all the money that is not where it should be.
func (d Drift) Total() money.Micros {
	return d.Micros + max(d.Sum, -d.Sum) + d.HeldFinished + d.Uncharged
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
		if err := tx.QueryRow(ctx, s.sql("LedgerUnbalanced"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&d.Unbalanced); err != nil {
			return err
		}
		return tx.QueryRow(ctx, s.sql("LedgerUncharged"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&d.Uncharged)
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

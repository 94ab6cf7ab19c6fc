package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// NewPaymentOrder keeps an order that a provider has made for the vendor.
type NewPaymentOrder struct {
	Order wallet.PaymentOrder
	By    vendor.UserID
}

// CreatePaymentOrder keeps an order, run one time per key of once: a repeat gets the first
// one, and the provider's second one is never paid.
//
// Errors: wallet.not_found, wallet.wrong_currency, idempotency.key_reused.
func (s *Store) CreatePaymentOrder(ctx context.Context, v vendor.ID, n NewPaymentOrder, once Once[wallet.PaymentOrder]) (wallet.PaymentOrder, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (wallet.PaymentOrder, error) {
		o := n.Order
		w, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return o, err
		}
		if w.Currency != o.Currency {
			return o, wallet.ErrCurrency.Detail("the wallet is kept in %s", w.Currency)
		}
		o.Status = wallet.PaymentCreated
		err = tx.QueryRow(ctx, s.sql("PaymentOrderInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": o.ID, "provider": o.Provider, "provider_order_id": o.Remote, "currency": o.Currency,
			"amount": o.Amount, "created_by": nullID(n.By),
		}).Scan(&o.CreatedAt)
		o.CreatedAt = o.CreatedAt.UTC()
		return o, err
	})
}

// PaymentOrder returns one of the vendor's orders.
//
// Errors: payment.order_not_found.
func (s *Store) PaymentOrder(ctx context.Context, v vendor.ID, id string) (wallet.PaymentOrder, error) {
	var o wallet.PaymentOrder
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		o, err = scanPaymentOrder(tx.QueryRow(ctx, s.sql("PaymentOrderByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": id}))
		return err
	})
	return o, err
}

func scanPaymentOrder(row pgx.Row) (wallet.PaymentOrder, error) {
	var (
		o       wallet.PaymentOrder
		payment *string
		paid    *time.Time
	)
	err := row.Scan(&o.ID, &o.Provider, &o.Remote, &o.Currency, &o.Amount, &o.Status, &payment, &o.CreatedAt, &paid)
	o.Payment, o.CreatedAt, o.PaidAt = orZero(payment), o.CreatedAt.UTC(), orZero(paid).UTC()
	return o, orNotFound(err, wallet.ErrOrderNotFound)
}

// PaymentVendor tells whose order a provider speaks of, under its signature. It crosses
// vendors and tells no more.
//
// Errors: payment.order_not_found.
func (s *Store) PaymentVendor(ctx context.Context, provider wallet.Provider, order string) (vendor.ID, error) {
	var v *vendor.ID
	err := s.acrossTx(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, s.sql("PaymentOrderVendor"), pgx.StrictNamedArgs{"provider": provider, "provider_order_id": order}).Scan(&v)
	})
	if err == nil && v == nil {
		err = wallet.ErrOrderNotFound
	}
	return orZero(v), err
}

// BookPayment books what a provider says was paid for an order of the vendor's, as a top-up
// that lets waiting campaigns go on, and keeps the notice with what became of it. The same
// notice, and the same payment under another, change nothing more. reason is set when the
// payment is refused.
//
// Errors: payment.order_not_found.
func (s *Store) BookPayment(ctx context.Context, v vendor.ID, from wallet.Provider, p wallet.Payment) (outcome wallet.PaymentOutcome, reason string, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		o, err := scanPaymentOrder(tx.QueryRow(ctx, s.sql("PaymentOrderLock"), pgx.StrictNamedArgs{
			"vendor_id": v, "provider": from, "provider_order_id": p.Order,
		}))
		if err != nil {
			return err
		}
		// Under the order's lock: two of the same notice come one after the other.
		err = tx.QueryRow(ctx, s.sql("PaymentEventOutcome"), pgx.StrictNamedArgs{
			"vendor_id": v, "provider": from, "event_id": p.Event,
		}).Scan(&reason)
		if err == nil {
			outcome = wallet.PaymentRepeated
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		outcome, reason = o.Take(p)
		if outcome == wallet.PaymentBooked {
			if err := s.bookPaymentTx(ctx, tx, v, o, p); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, s.sql("PaymentEventInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "provider": from, "event_id": p.Event, "order_id": o.ID, "kind": p.Kind, "payment_id": p.ID,
			"currency": p.Currency, "amount": p.Amount, "outcome": outcome, "reason": orNull(reason),
		})
		return err
	})
	return outcome, reason, err
}

func (s *Store) bookPaymentTx(ctx context.Context, tx pgx.Tx, v vendor.ID, o wallet.PaymentOrder, p wallet.Payment) error {
	if _, err := tx.Exec(ctx, s.sql("PaymentOrderPaid"), pgx.StrictNamedArgs{"vendor_id": v, "id": o.ID, "payment_id": p.ID}); err != nil {
		return err
	}
	_, err := s.topUpTx(ctx, tx, v, p.Posting(o.Provider))
	return err
}

package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

// ConnectWABA keeps a WABA and its sealed access token. One that the vendor has
// connected before (by Meta's id) gets the new token and keeps its id: seal is called
// with the id that the token is bound to.
//
// Errors: waba.connected_elsewhere, and what seal returns.
func (s *Store) ConnectWABA(ctx context.Context, v vendor.ID, a waba.Account, seal func(waba.ID) ([]byte, error)) (waba.Account, error) {
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var was waba.ID
		err := tx.QueryRow(ctx, s.sql("WABALockByMetaID"), pgx.StrictNamedArgs{"vendor_id": v, "waba_id": a.MetaID}).Scan(&was)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		query := "WABAInsert"
		if err == nil {
			query, a.ID = "WABAReconnect", was
		}
		sealed, err := seal(a.ID)
		if err != nil {
			return err
		}
		row := tx.QueryRow(ctx, s.sql(query), pgx.StrictNamedArgs{
			"vendor_id": v, "id": a.ID, "waba_id": a.MetaID, "name": a.Name, "currency": a.Currency,
			"portfolio_id": nullID(a.Portfolio), "token_ct": sealed,
		})
		a, err = scanWABA(row)
		if violates(err, "wabas_waba_id_key") {
			return waba.ErrTaken
		}
		if err != nil {
			return err
		}
		if a.Portfolio != "" {
			if _, err := tx.Exec(ctx, s.sql("PortfolioEnsure"), pgx.StrictNamedArgs{"vendor_id": v, "portfolio_id": a.Portfolio}); err != nil {
				return err
			}
		}
		if was == "" {
			return nil
		}
		// With a new token what was halted for the old one may go on: the sync tries it.
		return s.enqueue(ctx, tx, v, "waba.template_sync", string(a.ID))
	})
	return a, err
}

// ListWABAs returns the vendor's accounts, oldest first.
func (s *Store) ListWABAs(ctx context.Context, v vendor.ID) ([]waba.Account, error) {
	var out []waba.Account
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("WABAList"), pgx.StrictNamedArgs{"vendor_id": v})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (waba.Account, error) { return scanWABA(row) })
		return err
	})
	return out, err
}

// WABA returns one account.
//
// Errors: waba.not_found.
func (s *Store) WABA(ctx context.Context, v vendor.ID, id waba.ID) (waba.Account, error) {
	var out waba.Account
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = scanWABA(tx.QueryRow(ctx, s.sql("WABAByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": id}))
		return orNotFound(err, waba.ErrNotFound)
	})
	return out, err
}

// WABAToken returns Meta's id of an account and its sealed access token, bound to the
// account's id.
//
// Errors: waba.not_found.
func (s *Store) WABAToken(ctx context.Context, v vendor.ID, id waba.ID) (metaID string, sealed []byte, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("WABAToken"), pgx.StrictNamedArgs{"vendor_id": v, "id": id}).Scan(&metaID, &sealed)
		return orNotFound(err, waba.ErrNotFound)
	})
	return metaID, sealed, err
}

// RequestTemplateSync asks for the account's templates to be read from Meta. Asking again
// while one is waiting adds nothing.
//
// Errors: waba.not_found.
func (s *Store) RequestTemplateSync(ctx context.Context, v vendor.ID, id waba.ID) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := scanWABA(tx.QueryRow(ctx, s.sql("WABAByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": id})); err != nil {
			return orNotFound(err, waba.ErrNotFound)
		}
		return s.enqueue(ctx, tx, v, "waba.template_sync", string(id))
	})
}

// MarkWABA notes what Meta says about an account's standing (an expired token, a lock).
func (s *Store) MarkWABA(ctx context.Context, v vendor.ID, id waba.ID, status waba.Status) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("WABAMark"), pgx.StrictNamedArgs{"vendor_id": v, "id": id, "status": status})
		return err
	})
}

// ConnectSenderNumber keeps a number of one of the vendor's accounts; one connected
// before is brought up to date and keeps its id.
//
// Errors: waba.not_found, sender_number.connected_elsewhere.
func (s *Store) ConnectSenderNumber(ctx context.Context, v vendor.ID, n waba.Number) (waba.Number, error) {
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := scanWABA(tx.QueryRow(ctx, s.sql("WABAByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": n.WABA})); err != nil {
			return orNotFound(err, waba.ErrNotFound)
		}
		got, err := s.learnNumber(ctx, tx, v, n)
		if errors.Is(err, pgx.ErrNoRows) {
			args := numberArgs(v, n)
			args["id"] = n.ID
			got, err = scanNumber(tx.QueryRow(ctx, s.sql("SenderNumberInsert"), args))
		}
		if violates(err, "sender_numbers_phone_number_id_key") {
			return waba.ErrNumberTaken
		}
		if err != nil {
			return err
		}
		err = s.learnTier(ctx, tx, v, n)
		n = got
		return err
	})
	return n, err
}

// ListSenderNumbers returns the vendor's numbers, oldest first.
func (s *Store) ListSenderNumbers(ctx context.Context, v vendor.ID) ([]waba.Number, error) {
	var out []waba.Number
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("SenderNumberList"), pgx.StrictNamedArgs{"vendor_id": v})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (waba.Number, error) { return scanNumber(row) })
		return err
	})
	return out, err
}

func scanWABA(row pgx.Row) (waba.Account, error) {
	var a waba.Account
	var synced *time.Time
	err := row.Scan(&a.ID, &a.MetaID, &a.Name, &a.Currency, &a.Status, &synced, &a.CreatedAt, &a.Portfolio)
	a.CreatedAt = a.CreatedAt.UTC()
	if synced != nil {
		a.SyncedAt = synced.UTC()
	}
	return a, err
}

func scanNumber(row pgx.Row) (waba.Number, error) {
	var n waba.Number
	var learnt *time.Time
	err := row.Scan(&n.ID, &n.WABA, &n.MetaID, &n.Display, &n.VerifiedName, &n.Quality, &n.Throughput, &n.RatePerSecond,
		&n.RateSource, &n.Status, &n.CreatedAt, &learnt)
	n.CreatedAt, n.LearntAt = n.CreatedAt.UTC(), utc(learnt)
	return n, err
}

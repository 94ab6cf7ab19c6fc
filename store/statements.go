package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// StatementWriter takes a statement: its head once, then every movement by time, with the
// balances after it.
type StatementWriter interface {
	Begin(wallet.Statement) error
	Entry(wallet.Movement, wallet.Balances) error
}

// errStatement says that a statement does not add up, which the ledger's own triggers
// exclude.
var errStatement = errs.New(errs.Internal, "wallet.statement_unbalanced", "the statement does not add up")

// WriteStatement gives the vendor's account of a period to w, all from one snapshot, and
// fails when the movements do not lead from the opening to the closing balances. What is
// booked while a period runs is in the statements of later moments.
//
// Errors: wallet.not_found, and what w returns.
func (s *Store) WriteStatement(ctx context.Context, v vendor.ID, p wallet.Period, w StatementWriter) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set transaction isolation level repeatable read, read only"); err != nil {
			return err
		}
		head, err := s.statementHead(ctx, tx, v, p)
		if err != nil {
			return err
		}
		if err := w.Begin(head); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.sql("StatementEntries"), pgx.StrictNamedArgs{"vendor_id": v, "from": p.From, "until": p.Until})
		if err != nil {
			return err
		}
		var m wallet.Movement
		at, entries := head.Opening, 0
		if _, err := pgx.ForEachRow(rows, []any{
			&m.ID, &m.Kind, &m.Reference, &m.Campaign, &m.Name, &m.Actor, &m.Reason, &m.At, &m.Change.Available, &m.Change.Held,
		}, func() error {
			m.At, entries = m.At.UTC(), entries+1
			if at, err = at.After(m); err != nil {
				return err
			}
			return w.Entry(m, at)
		}); err != nil {
			return err
		}
		if at != head.Closing || entries != head.Entries {
			return errStatement
		}
		return nil
	})
}

func (s *Store) statementHead(ctx context.Context, tx pgx.Tx, v vendor.ID, p wallet.Period) (wallet.Statement, error) {
	head := wallet.Statement{Period: p}
	var zone string
	err := tx.QueryRow(ctx, s.sql("StatementHead"), pgx.StrictNamedArgs{"vendor_id": v, "from": p.From, "until": p.Until}).Scan(
		&head.Vendor, &zone, &head.Currency, &head.Opening.Available, &head.Opening.Held, &head.Closing.Available, &head.Closing.Held, &head.Entries)
	if err != nil {
		return head, orNotFound(err, wallet.ErrNotFound)
	}
	head.Zone, err = time.LoadLocation(zone)
	return head, err
}

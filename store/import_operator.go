package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// RetryImport keeps what an operator asks of a parked import and rings for its workflow,
// which does it. Until it has, the import stays NEEDS_OPERATOR and the last word counts.
//
// Errors: import.not_found, import.not_parked, import.nothing_to_skip, import.unknown_retry_mode.
func (s *Store) RetryImport(ctx context.Context, v vendor.ID, i importing.ID, mode importing.RetryMode) error {
	if !mode.Known() {
		return importing.ErrRetryMode
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if err := s.lockParked(ctx, tx, v, i); err != nil {
			return err
		}
		if mode == importing.SkipChunk {
			var failed bool
			if err := tx.QueryRow(ctx, s.sql("ChunkFailedExists"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}).Scan(&failed); err != nil {
				return err
			}
			if !failed {
				return importing.ErrNothingToSkip
			}
		}
		if _, err := tx.Exec(ctx, s.sql("ImportRetryUpdate"), pgx.StrictNamedArgs{"vendor_id": v, "id": i, "mode": mode}); err != nil {
			return err
		}
		return s.ringImport(ctx, tx, v, i, importTold)
	})
}

// AbortImport gives a parked import up: it is FAILED, what its finished chunks wrote
// stays, and its counts are those of the rows that were done.
//
// Errors: import.not_found, import.not_parked.
func (s *Store) AbortImport(ctx context.Context, v vendor.ID, i importing.ID, why Reason) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if err := s.lockParked(ctx, tx, v, i); err != nil {
			return err
		}
		if _, err := s.keepImportCounts(ctx, tx, v, i); err != nil {
			return err
		}
		if err := s.moveImport(ctx, tx, importMove{v, i, importing.Failed, why}); err != nil {
			return err
		}
		return s.ringImport(ctx, tx, v, i, importTold)
	})
}

// lockParked holds the row of an import that waits for an operator until commit.
func (s *Store) lockParked(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID) error {
	status, err := s.lockImport(ctx, tx, v, i)
	if err != nil {
		return err
	}
	if status != importing.NeedsOperator {
		return importing.ErrNotParked
	}
	return nil
}

// ImportRetryMode returns what an operator asked of a parked import; "" for nothing.
//
// Errors: import.not_found.
func (s *Store) ImportRetryMode(ctx context.Context, v vendor.ID, i importing.ID) (importing.RetryMode, error) {
	var mode importing.RetryMode
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("ImportRetryMode"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}).Scan(&mode)
		return orNotFound(err, importing.ErrNotFound)
	})
	return mode, err
}

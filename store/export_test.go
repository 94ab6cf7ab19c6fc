package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// PostAll runs postAllTx in a transaction of its own, for tests.
func (s *Store) PostAll(ctx context.Context, v vendor.ID, ps ...wallet.Posting) (int, error) {
	var n int
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		n, err = s.postAllTx(ctx, tx, v, ps)
		return err
	})
	return n, err
}

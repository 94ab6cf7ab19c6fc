package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// RunOnce runs fn in inTxOnce, for tests.
func (s *Store) RunOnce(ctx context.Context, v vendor.ID, once Once[int], fn func() (int, error)) (int, error) {
	return inTxOnce(ctx, s, v, once, func(pgx.Tx) (int, error) { return fn() })
}

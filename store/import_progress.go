package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// ImportProgress is how far an import is: one look, by index, at its row and its chunks.
type ImportProgress struct {
	Pace    importing.Pace
	Counts  importing.Counts
	Why     Reason
	Version int
}

// ImportProgress reads how far an import is, by the database's clock.
//
// Errors: import.not_found.
func (s *Store) ImportProgress(ctx context.Context, v vendor.ID, i importing.ID) (ImportProgress, error) {
	var p ImportProgress
	c := &p.Counts
	var elapsed float64
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("ImportProgress"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": i, "window": importing.PaceWindow.Seconds(),
		}).Scan(&p.Pace.Status, &p.Why.Code, &p.Why.Text, &p.Version, &p.Pace.Total, &elapsed,
			&c.Created, &c.Updated, &c.Unchanged, &c.Duplicate, &c.Invalid, &c.Suppressed, &p.Pace.Recent)
		return orNotFound(err, importing.ErrNotFound)
	})
	p.Pace.Done = c.Rows()
	p.Pace.Elapsed = time.Duration(elapsed * float64(time.Second))
	return p, err
}

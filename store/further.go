package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// priceFurther computes what the messages of c cost that go beyond its quotation, at the
// prices of now. Tiers go on from where the quotation ended; the fixed fee is not asked
// for twice, nor is the minimum, and of the fee's cap there is what is left.
func (s *Store) priceFurther(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.Campaign, now time.Time) (quotation.Quotation, error) {
	var q quotation.Quotation
	first, err := s.quotationTx(ctx, tx, v, quotation.ID(c.Quotation))
	if err != nil {
		return q, err
	}
	counts, err := s.unquotedTx(ctx, tx, v, c.ID)
	if err != nil {
		return q, err
	}
	p, err := s.pricesTx(ctx, tx, v, now)
	if err != nil {
		return q, err
	}
	in, err := pricing.NewInputs(p.card, c.Category, counts, p.fee.Further(first.Quote.Fees), p.tax)
	if err != nil {
		return q, err
	}
	q.Inputs = in.Behind(first.Inputs)
	if q.Quote, err = pricing.Compute(q.Inputs); err != nil {
		return q, err
	}
	q.Fingerprint, err = pricing.Fingerprint(q.Inputs, q.Quote)
	return q, err
}

// approveFurther holds what the audience grew by, gives those messages their price, and
// lets the campaign go on.
func (s *Store) approveFurther(ctx context.Context, tx pgx.Tx, v vendor.ID, row campaign.Campaign, a Approval) (campaign.Campaign, error) {
	next, err := campaign.Next(row.State, campaign.Resume)
	if err != nil {
		return row, err
	}
	if err := s.acceptTx(ctx, tx, v, a); err != nil {
		return row, err
	}
	if _, err := tx.Exec(ctx, s.sql("FurtherPrices"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": row.ID, "quotation_id": a.Quotation, "month": row.Month,
	}); err != nil {
		return row, err
	}
	left, err := s.unquotedTx(ctx, tx, v, row.ID)
	if err != nil {
		return row, err
	}
	if len(left) > 0 {
		return row, campaign.ErrAudienceGrew
	}
	row.HaltReason, row.Further = "", string(a.Quotation)
	if row, err = s.moveCampaign(ctx, tx, v, row, next); err != nil {
		return row, err
	}
	if err := s.pauseLanes(ctx, tx, v, row.ID, false); err != nil {
		return row, err
	}
	return row, s.enqueue(ctx, tx, v, "campaign.changed", string(row.ID))
}

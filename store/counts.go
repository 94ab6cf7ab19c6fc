package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// CampaignCounts says where a campaign's messages stand. Total = Queued + Sending +
// Unknown + Unconfirmed + Sent + Rejected + Suppressed + Cancelled + Expired.
type CampaignCounts struct {
	Total, Queued, Sending, Unknown, Unconfirmed int64

	Sent            int64 // accepted by Meta, whatever came after
	Delivered, Read int64 // of Sent; Delivered counts Read too
	Failed          int64 // for good: Rejected and what failed after acceptance
	Rejected        int64 // refused by Meta, never accepted

	Suppressed, Cancelled, Expired int64
}

// fields are the counts in the order in which CampaignCounts selects and the cache keeps them.
func (n *CampaignCounts) fields() []any {
	return []any{
		&n.Total, &n.Queued, &n.Sending, &n.Unknown, &n.Unconfirmed, &n.Sent, &n.Delivered, &n.Read, &n.Failed, &n.Rejected,
		&n.Suppressed, &n.Cancelled, &n.Expired,
	}
}

const (
	// countAtOnce is the size up to which messages are counted whenever somebody asks: it
	// takes some ten milliseconds.
	countAtOnce = 10_000

	// countShare bounds what counting costs: a count is shown for so many times as long as
	// it took, so that one campaign's watchers keep a twentieth of a connection busy,
	// however many they are. longestCount bounds how old it gets.
	countShare   = 20
	longestCount = time.Minute
)

// countsTx returns where c's messages stand, and when that was counted. A large campaign's are counted now and then:
// counters kept at every status would be one row that every batch and every webhook
// waits for. A campaign that has moved (paused, completed) since is counted afresh.
func (s *Store) countsTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.Campaign) (CampaignCounts, time.Time, error) {
	if c.Frozen <= countAtOnce {
		return s.countTx(ctx, tx, v, c)
	}
	key := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c.ID}
	var (
		known   CampaignCounts
		at      time.Time
		version int64
		counts  []int64
		cost    time.Duration
		mine    bool
	)
	err := tx.QueryRow(ctx, s.sql("CampaignCountsKept"), key).Scan(&version, &counts, &cost, &at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return known, at, err
	}
	kept := err == nil
	if kept {
		for i, field := range known.fields() {
			if n, ok := field.(*int64); ok && i < len(counts) {
				*n = counts[i]
			}
		}
		if version == c.Version && time.Since(at) < max(time.Second, min(countShare*cost, longestCount)) {
			return known, at, nil
		}
	}
	// One asker counts, the others see what there is meanwhile.
	if err := tx.QueryRow(ctx, s.sql("CampaignCountsTry"), pgx.StrictNamedArgs{"campaign_id": c.ID}).Scan(&mine); err != nil {
		return known, at, err
	}
	if !mine && kept && version == c.Version {
		return known, at, nil
	}
	return s.recountTx(ctx, tx, v, c)
}

func (s *Store) recountTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.Campaign) (CampaignCounts, time.Time, error) {
	n, at, err := s.countTx(ctx, tx, v, c)
	if err != nil {
		return n, at, err
	}
	counts := make([]int64, 0, len(n.fields()))
	for _, field := range n.fields() {
		if p, ok := field.(*int64); ok {
			counts = append(counts, *p)
		}
	}
	_, err = tx.Exec(ctx, s.sql("CampaignCountsKeep"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": c.ID, "version": c.Version, "counts": counts, "cost": time.Since(at), "counted_at": at,
	})
	return n, at, err
}

// countTx counts now.
func (s *Store) countTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.Campaign) (CampaignCounts, time.Time, error) {
	var n CampaignCounts
	at := time.Now().UTC()
	err := tx.QueryRow(ctx, s.sql("CampaignCounts"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": c.ID, "month": c.Month,
	}).Scan(n.fields()...)
	return n, at, err
}

package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// settlement is one attempt whose certainty or verdict changed after it was recorded.
type settlement struct {
	Message  int64
	Attempt  int16
	Month    int32
	Campaign campaign.ID
	Status   message.Status
	Captured money.Micros
	Refunded money.Micros
	Price    money.Micros
	Code     int
	Title    string
	Finished bool // the campaign's books are closed: its hold is gone
}

// Settle works off one page of what webhooks enqueued for the vendor: parked statuses
// whose send is known now, unknown outcomes past their grace, captures and refunds that
// follow from them, and the end of campaigns that waited for it. It returns whether
// more is waiting. Repeats change nothing.
func (s *Store) Settle(ctx context.Context, v vendor.ID) (more bool, err error) {
	touched := map[campaign.ID]bool{}
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		clear(touched)
		orphans, err := s.takeKnownOrphans(ctx, tx, v)
		if err != nil {
			return err
		}
		// Whom to ring is here already: what this makes due is on the page below, or the next.
		if _, err := s.mergeStatuses(ctx, tx, orphans); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.sql("SettlementUnconfirmed"), pgx.StrictNamedArgs{"vendor_id": v})
		if err != nil {
			return err
		}
		given, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, c := range given {
			touched[campaign.ID(c)] = true
		}
		page, err := s.settlePage(ctx, tx, v)
		if err != nil {
			return err
		}
		for _, p := range page {
			touched[p.Campaign] = true
		}
		more = len(page) > 0 || len(given) > 0 || len(orphans) > 0
		return nil
	})
	if err != nil {
		return false, err
	}
	// Their own transactions: each takes its campaign's drain lock, one at a time.
	for _, c := range slices.Sorted(keysOf(touched)) {
		if err := s.inTx(ctx, v, func(tx pgx.Tx) error { return s.ringWhenDrained(ctx, tx, v, c) }); err != nil {
			return false, err
		}
	}
	return more, nil
}

func keysOf(set map[campaign.ID]bool) func(func(campaign.ID) bool) {
	return func(yield func(campaign.ID) bool) {
		for c := range set {
			if !yield(c) {
				return
			}
		}
	}
}

func (s *Store) takeKnownOrphans(ctx context.Context, tx pgx.Tx, v vendor.ID) ([]StatusUpdate, error) {
	rows, err := tx.Query(ctx, s.sql("OrphanTakeKnown"), pgx.StrictNamedArgs{"vendor_id": v})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (StatusUpdate, error) {
		var (
			u              = StatusUpdate{Vendor: v}
			code           *int32
			title, details *string
		)
		err := row.Scan(&u.Wamid, &u.Status, &u.At, &code, &title, &details, &u.Ref.Message, &u.Ref.Attempt, &u.Ref.Month)
		u.fill(code, title, details)
		return u, err
	})
}

// settlePage books what one page of settlements owes, and marks it on the attempts.
func (s *Store) settlePage(ctx context.Context, tx pgx.Tx, v vendor.ID) ([]settlement, error) {
	rows, err := tx.Query(ctx, s.sql("SettlementTake"), pgx.StrictNamedArgs{"vendor_id": v})
	if err != nil {
		return nil, err
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[settlement])
	if err != nil || len(page) == 0 {
		return nil, err
	}
	campaigns := make([]string, len(page))
	for i, p := range page {
		campaigns[i] = string(p.Campaign)
	}
	if _, err := tx.Exec(ctx, s.sql("SettlementAccountsLock"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_ids": campaigns}); err != nil {
		return nil, err
	}
	var dead []settlement
	for i := range page {
		p := &page[i]
		if err := s.settleMoney(ctx, tx, v, p); err != nil {
			return nil, err
		}
		if p.Status == message.Failed {
			dead = append(dead, *p)
		}
	}
	if err := s.bookSettled(ctx, tx, v, page); err != nil {
		return nil, err
	}
	for _, p := range dead {
		letter := SendResult{ID: message.ID(p.Message), Attempt: p.Attempt, Class: "FAILED_AFTER_ACCEPTANCE", Code: p.Code, Title: p.Title}
		if err := s.bury(ctx, tx, v, place{p.Campaign, message.Month(p.Month)}, []SendResult{letter}); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// settleMoney captures what became certain and refunds what failed, each once by its
// reference. After the books are closed a capture is the platform's loss.
func (s *Store) settleMoney(ctx context.Context, tx pgx.Tx, v vendor.ID, p *settlement) error {
	ref := itoa(int(p.Message)) + "/" + itoa(int(p.Attempt))
	switch {
	case message.Chargeable(p.Status) && p.Captured == 0 && p.Price > 0:
		posting := wallet.Capture(string(p.Campaign), "capture/"+ref, p.Price)
		if p.Finished {
			posting = wallet.Loss(string(p.Campaign), "loss/"+ref, p.Price)
		}
		if _, err := s.postTx(ctx, tx, v, posting); err != nil {
			return err
		}
		p.Captured = p.Price
	case message.Chargeable(p.Status) && p.Refunded > 0:
		// Refunded, and delivered after all: the refund stands, the loss is ours.
		if _, err := s.postTx(ctx, tx, v, wallet.Loss(string(p.Campaign), "loss/"+ref, p.Refunded)); err != nil {
			return err
		}
	case p.Status == message.Failed && p.Captured > p.Refunded:
		if _, err := s.postTx(ctx, tx, v, wallet.Refund(string(p.Campaign), "refund/"+ref, p.Captured-p.Refunded)); err != nil {
			return err
		}
		p.Refunded = p.Captured
	}
	return nil
}

func (s *Store) bookSettled(ctx context.Context, tx pgx.Tx, v vendor.ID, page []settlement) error {
	n := len(page)
	ids, attempts, months := make([]int64, n), make([]int16, n), make([]int32, n)
	captured, refunded := make([]int64, n), make([]int64, n)
	var knownIDs []int64
	var knownAttempts []int16
	for i, p := range page {
		ids[i], attempts[i], months[i] = p.Message, p.Attempt, p.Month
		captured[i], refunded[i] = int64(p.Captured), int64(p.Refunded)
		if p.Status != message.Unknown {
			knownIDs, knownAttempts = append(knownIDs, p.Message), append(knownAttempts, p.Attempt)
		}
	}
	if _, err := tx.Exec(ctx, s.sql("SettlementBook"), pgx.StrictNamedArgs{
		"vendor_id": v, "message_ids": ids, "attempts": attempts, "months": months, "captured": captured, "refunded": refunded,
	}); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.sql("SettlementKnown"), pgx.StrictNamedArgs{
		"vendor_id": v, "message_ids": knownIDs, "attempts": knownAttempts,
	})
	return err
}

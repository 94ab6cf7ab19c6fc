package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/reach"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

// Learnt is what Meta says of an account's limits.
type Learnt struct {
	Portfolio string        // Meta's id of the owning business
	Numbers   []waba.Number // of the account, known to us or not
}

// LearnAccount brings an account's portfolio and its connected numbers up to date: their
// rate, quality and messaging limit, and with the rate what may be in flight for them.
// Numbers that the vendor has not connected are passed over. Idempotent.
//
// Errors: waba.not_found.
func (s *Store) LearnAccount(ctx context.Context, v vendor.ID, w waba.ID, at Learnt) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := scanWABA(tx.QueryRow(ctx, s.sql("WABAByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": w})); err != nil {
			return orNotFound(err, waba.ErrNotFound)
		}
		if at.Portfolio != "" {
			if _, err := tx.Exec(ctx, s.sql("WABAPortfolio"), pgx.StrictNamedArgs{"vendor_id": v, "id": w, "portfolio_id": at.Portfolio}); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, s.sql("PortfolioEnsure"), pgx.StrictNamedArgs{"vendor_id": v, "portfolio_id": at.Portfolio}); err != nil {
				return err
			}
		}
		for _, n := range at.Numbers {
			n.WABA = w
			if _, err := s.learnNumber(ctx, tx, v, n); err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
		}
		if len(at.Numbers) > 0 { // each of them tells the same: it is the portfolio's
			last := at.Numbers[0]
			last.WABA = w
			if err := s.learnTier(ctx, tx, v, last); err != nil {
				return err
			}
		}
		// A window may have grown.
		return s.touch(ctx, tx, v, time.Now())
	})
}

// learnNumber brings a connected number up to date, and its lanes' windows with it. One
// that is not connected is pgx.ErrNoRows.
func (s *Store) learnNumber(ctx context.Context, tx pgx.Tx, v vendor.ID, n waba.Number) (waba.Number, error) {
	got, err := scanNumber(tx.QueryRow(ctx, s.sql("SenderNumberUpdate"), numberArgs(v, n)))
	if err != nil {
		return got, err
	}
	_, err = tx.Exec(ctx, s.sql("SenderNumberLanes"), pgx.StrictNamedArgs{
		"vendor_id": v, "id": got.ID, "rate_per_second": got.RatePerSecond,
	})
	return got, err
}

func numberArgs(v vendor.ID, n waba.Number) pgx.StrictNamedArgs {
	source := n.RateSource
	if source == "" {
		source = waba.RateAssumed
	}
	return pgx.StrictNamedArgs{
		"vendor_id": v, "waba_ref": n.WABA, "phone_number_id": n.MetaID, "display_phone_number": n.Display,
		"verified_name": n.VerifiedName, "quality_rating": n.Quality, "throughput_level": n.Throughput,
		"rate_per_second": n.RatePerSecond, "rate_source": source, "status": n.Status,
	}
}

// learnTier keeps the messaging limit of the number's portfolio. A word we do not know
// leaves it as it was.
func (s *Store) learnTier(ctx context.Context, tx pgx.Tx, v vendor.ID, n waba.Number) error {
	limit, known := waba.TierLimit(n.Tier)
	if !known {
		return nil
	}
	var daily *int
	if limit > 0 {
		daily = &limit
	}
	_, err := tx.Exec(ctx, s.sql("PortfolioLearn"), pgx.StrictNamedArgs{
		"vendor_id": v, "waba_ref": n.WABA, "tier": n.Tier, "daily_limit": daily,
	})
	return err
}

// SenderLimits is a number with what Meta lets it do.
type SenderLimits struct {
	Number    waba.Number
	Portfolio waba.Portfolio // zero when Meta was not asked for it yet
	Budget    reach.Budget   // of the portfolio, as used at the time of asking
}

// SenderLimits returns a number's limits and how far its portfolio has used its own.
//
// Errors: sender_number.not_found.
func (s *Store) SenderLimits(ctx context.Context, v vendor.ID, n waba.NumberID, now time.Time) (SenderLimits, error) {
	var out SenderLimits
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.senderLimitsTx(ctx, tx, v, n, now)
		return err
	})
	return out, err
}

func (s *Store) senderLimitsTx(ctx context.Context, tx pgx.Tx, v vendor.ID, n waba.NumberID, now time.Time) (SenderLimits, error) {
	var out SenderLimits
	var err error
	out.Number, err = scanNumber(tx.QueryRow(ctx, s.sql("SenderNumberByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": n}))
	if err != nil {
		return out, orNotFound(err, waba.ErrNumberNotFound)
	}
	p := &out.Portfolio
	row := tx.QueryRow(ctx, s.sql("PortfolioOfNumber"), pgx.StrictNamedArgs{"vendor_id": v, "number_id": n})
	if err := row.Scan(&p.ID, &p.Tier, &p.Limit); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			return out, nil
		}
		return out, err
	}
	out.Budget, err = s.budgetTx(ctx, tx, v, *p, now)
	return out, err
}

func (s *Store) budgetTx(ctx context.Context, tx pgx.Tx, v vendor.ID, p waba.Portfolio, now time.Time) (reach.Budget, error) {
	b := reach.Budget{Limit: p.Limit}
	if !b.Limited() {
		return b, nil
	}
	rows, err := tx.Query(ctx, s.sql("PortfolioCounts"), pgx.StrictNamedArgs{
		"vendor_id": v, "portfolio_id": p.ID, "oldest": oldestSlot(now),
	})
	if err != nil {
		return b, err
	}
	b.Counts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[reach.Count])
	return b, err
}

// oldestSlot begins the last slot that does not count any more.
func oldestSlot(now time.Time) time.Time { return now.Add(-reach.Window - reach.Slot) }

// Forecast is what a campaign's audience meets in limits, before it is approved.
type Forecast struct {
	SenderLimits

	People   int // of the audience, each of whom may take a place in the portfolio's limit
	Left     int // places left now; meaningless without a limit
	FinishAt time.Time
}

// Forecast tells when a campaign for people would be done if it began now and nothing
// else were sent from the number or its portfolio.
//
// Errors: campaign.not_found.
func (s *Store) Forecast(ctx context.Context, v vendor.ID, c campaign.ID, people int, now time.Time) (Forecast, error) {
	f := Forecast{People: people}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignByID")
		if err != nil {
			return err
		}
		f.SenderLimits, err = s.senderLimitsTx(ctx, tx, v, row.SenderNumber, now)
		f.Left = f.Budget.Left(now)
		f.FinishAt = f.Budget.Finish(now, people, f.Number.RatePerSecond)
		return err
	})
	return f, err
}

// admission is what the portfolio's limit says of some messages.
type admission struct {
	admitted []message.ID
	waiting  []Postponed
	slot     time.Time // in which those who are marked count; zero: there is no limit
	marked   []Marked  // of the admitted
}

// admit asks the portfolio's limit, which it locks until the end of tx, whom of ids may
// be written to now. Unlimited portfolios are not asked.
func (s *Store) admit(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, ids []message.ID) (admission, error) {
	a := admission{admitted: ids}
	if job.LimitedPortfolio == "" {
		return a, nil
	}
	p := waba.Portfolio{ID: job.LimitedPortfolio}
	row := tx.QueryRow(ctx, s.sql("PortfolioLock"), pgx.StrictNamedArgs{"vendor_id": v, "portfolio_id": p.ID})
	if err := row.Scan(&p.Limit); err != nil || p.Limit == 0 {
		return a, err
	}
	now := time.Now()
	budget, err := s.budgetTx(ctx, tx, v, p, now)
	if err != nil {
		return a, err
	}
	rows, err := tx.Query(ctx, s.sql("PortfolioReached"), pgx.StrictNamedArgs{
		"vendor_id": v, "portfolio_id": p.ID, "month": job.Month, "message_ids": ids, "oldest": oldestSlot(now),
	})
	if err != nil {
		return a, err
	}
	var (
		id      message.ID
		reached bool
	)
	a.admitted, a.slot = nil, now.UTC().Truncate(reach.Slot)
	more, left := 0, budget.Left(now)
	_, err = pgx.ForEachRow(rows, []any{&id, &reached}, func() error {
		if !reached {
			more++
		}
		if reached || more <= left {
			a.admitted = append(a.admitted, id)
			return nil
		}
		a.waiting = append(a.waiting, Postponed{ID: id, At: budget.RoomAt(now, more), Why: WaitPortfolio})
		return nil
	})
	return a, err
}

// reach counts the people of marked messages against the portfolio's limit and gives back
// to the outbox who waits for it.
func (s *Store) reach(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, a admission) error {
	if a.slot.IsZero() {
		return nil
	}
	key := pgx.StrictNamedArgs{"vendor_id": v, "portfolio_id": job.LimitedPortfolio}
	if len(a.marked) > 0 {
		people := make([][]byte, len(a.marked))
		for i, m := range a.marked {
			people[i] = m.Recipient
		}
		if _, err := tx.Exec(ctx, s.sql("PortfolioReach"), pgx.StrictNamedArgs{
			"vendor_id": v, "portfolio_id": job.LimitedPortfolio, "people": people, "slot": a.slot,
		}); err != nil {
			return err
		}
		key["oldest"] = oldestSlot(time.Now())
		if _, err := tx.Exec(ctx, s.sql("PortfolioForget"), key); err != nil {
			return err
		}
	}
	if len(a.waiting) == 0 {
		return nil
	}
	return s.postpone(ctx, tx, v, job, a.waiting)
}

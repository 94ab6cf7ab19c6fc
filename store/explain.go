package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

const (
	// explainCounted bounds what explaining counts row by row: some milliseconds. Beyond
	// it a sample tells.
	explainCounted = 10_000

	// explainGrouped bounds the put-off rows whose attempts are looked up.
	explainGrouped = 2000

	// explainSample messages tell shares with a standard error below two per cent.
	explainSample = 1000
)

// CampaignFacts reads what explains why a campaign waits, as of now. Its cost does not
// grow with the campaign: beyond ten thousand rows it estimates from a sample.
//
// Errors: campaign.not_found.
func (s *Store) CampaignFacts(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time) (explain.Facts, error) {
	f := explain.Facts{Now: now}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		at, err := s.explainCampaign(ctx, tx, v, c, &f)
		if err != nil || at.month == nil {
			return err
		}
		limits, err := s.senderLimitsTx(ctx, tx, v, waba.NumberID(at.number), now)
		if err != nil {
			return err
		}
		f.Budget = limits.Budget
		if _, err := tx.Exec(ctx, s.sql("PlanByIndex")); err != nil {
			return err
		}
		if at.lane != nil {
			if err := s.explainRows(ctx, tx, v, at, &f); err != nil {
				return err
			}
		}
		if err := s.explainClaims(ctx, tx, v, at, &f); err != nil {
			return err
		}
		if f.Due > 0 {
			before := now
			if !f.TurnAt.IsZero() && f.TurnAt.Before(now) {
				before = f.TurnAt
			}
			return tx.QueryRow(ctx, s.sql("ExplainRivals"), pgx.StrictNamedArgs{"before": before}).Scan(&f.Rivals)
		}
		return nil
	})
	return f, err
}

// explained is where a campaign's rows are.
type explained struct {
	campaign campaign.ID
	number   string
	lane     *string // nil: not made yet, or gone
	month    *int32  // nil: no message was made
}

func (s *Store) explainCampaign(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, f *explain.Facts) (explained, error) {
	at := explained{campaign: c}
	var (
		created, moved                                             time.Time
		approved, scheduled, frozen, started, finished             *time.Time
		halted, until, expires, offered, offerEnds, turn, pendings *time.Time
	)
	q := &f.Quotation
	err := tx.QueryRow(ctx, s.sql("ExplainCampaign"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(
		&f.State, &f.Kind, &created, &approved, &scheduled, &frozen, &started, &finished, &moved,
		&f.HaltReason, &f.Frozen, &at.month, &f.ReplayRate, &at.number,
		&f.HaltRemedy, &f.HaltWakes, &halted, &until, &expires, &f.QuietHours,
		&q.ID, &q.Standing, &offerEnds, &q.PDF, &offered, &q.Total, &q.Quantity,
		&f.Currency, &f.Balance, &f.RatePerSecond, &f.MetaNumber, &at.lane, &f.Window, &turn, &pendings)
	f.CreatedAt, f.MovedAt, f.ApprovedAt, f.ScheduledAt = created.UTC(), moved.UTC(), utc(approved), utc(scheduled)
	f.FrozenAt, f.StartedAt, f.FinishedAt = utc(frozen), utc(started), utc(finished)
	f.HaltedAt, f.HaltUntil, f.ExpiresAt = utc(halted), utc(until), utc(expires)
	q.CreatedAt, q.ExpiresAt, f.TurnAt, f.Pending = utc(offered), utc(offerEnds), utc(turn), utc(pendings)
	return at, orNotFound(err, campaign.ErrNotFound)
}

// explainRows tells what of the campaign waits in the outbox.
func (s *Store) explainRows(ctx context.Context, tx pgx.Tx, v vendor.ID, at explained, f *explain.Facts) error {
	var (
		later       int64
		first, last *time.Time
	)
	args := pgx.StrictNamedArgs{"vendor_id": v, "lane_id": at.lane, "now": f.Now, "bound": explainCounted + 1}
	if err := tx.QueryRow(ctx, s.sql("ExplainRows"), args).Scan(&f.Due, &first, &later, &last); err != nil {
		return err
	}
	f.DueSince, f.DeferredLast = utc(first), utc(last)
	if f.Due > explainCounted || later > explainCounted {
		sample, err := s.sampled(ctx, tx, v, at, f.Now)
		if err != nil {
			return err
		}
		f.Estimated = true
		f.Due = sample.scale(f.Due, f.Frozen, sample.due)
		later = sample.scale(later, f.Frozen, sample.deferred)
	}
	if later == 0 {
		return nil
	}
	var err error
	f.Deferred, err = collect(ctx, tx, s.sql("ExplainDeferred"), pgx.StrictNamedArgs{
		"vendor_id": v, "lane_id": at.lane, "month": at.month, "now": f.Now, "bound": explainGrouped,
	}, pgx.RowToStructByPos[explain.Group])
	for i := range f.Deferred {
		g := &f.Deferred[i]
		g.First, g.Last = g.First.UTC(), g.Last.UTC()
		later -= g.Messages
	}
	f.DeferredMore = max(later, 0)
	return err
}

// sample is how some of a campaign's messages stand.
type sample struct{ messages, due, deferred int64 }

// scale replaces a count that met its bound by what the sample tells, never below it.
func (s sample) scale(counted, of, found int64) int64 {
	if counted <= explainCounted || s.messages == 0 {
		return counted
	}
	return max(counted, of*found/s.messages)
}

func (s *Store) sampled(ctx context.Context, tx pgx.Tx, v vendor.ID, at explained, now time.Time) (sample, error) {
	var out sample
	from := []byte{byte(rand.N(0xE0))} //nolint:gosec // a fair start of a sample needs no secrecy; not so late that it ends early
	err := tx.QueryRow(ctx, s.sql("ExplainSample"), pgx.StrictNamedArgs{
		"vendor_id": v, "month": at.month, "campaign_id": at.campaign, "from_hash": from, "now": now, "sample": explainSample,
	}).Scan(&out.messages, &out.due, &out.deferred)
	return out, err
}

// explainClaims tells what is in flight, and what has left and is not settled.
func (s *Store) explainClaims(ctx context.Context, tx pgx.Tx, v vendor.ID, at explained, f *explain.Facts) error {
	var oldest, untouched, expired, uFirst, uLast, sFirst, sLast *time.Time
	k := &f.Claims
	if err := tx.QueryRow(ctx, s.sql("ExplainClaims"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": at.campaign, "sender_number_id": at.number, "now": f.Now,
	}).Scan(&f.NumberOpen, &k.Count, &k.Messages, &oldest, &k.Untouched, &untouched, &k.Expired, &expired); err != nil {
		return err
	}
	k.Oldest, k.UntouchedSince, k.ExpiredSince = utc(oldest), utc(untouched), utc(expired)
	err := tx.QueryRow(ctx, s.sql("ExplainOpen"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": at.campaign, "bound": explainCounted,
	}).Scan(&f.Unknown.Count, &uFirst, &uLast, &f.Settling.Count, &sFirst, &sLast)
	f.Unknown.First, f.Unknown.Last = utc(uFirst), utc(uLast)
	f.Settling.First, f.Settling.Last = utc(sFirst), utc(sLast)
	return err
}

// MessageWithCampaign is a message and whose it is.
type MessageWithCampaign struct {
	CampaignMessage

	Campaign campaign.ID
}

// Message returns one message.
//
// Errors: message.not_found.
func (s *Store) Message(ctx context.Context, v vendor.ID, m message.ID) (MessageWithCampaign, error) {
	var out MessageWithCampaign
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		c := &out.CampaignMessage
		err := tx.QueryRow(ctx, s.sql("MessageByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": m}).Scan(
			&c.ID, &c.Contact, &c.Country, &c.Status, &c.Attempts, &c.Wamid, &c.Price, &c.Captured, &c.Refunded, &c.ErrorCode, &c.ErrorTitle,
			&c.CreatedAt, &c.Sent, &c.Delivered, &c.Read, &c.Failed, &c.RetryAt, &out.Campaign)
		return orNotFound(err, message.ErrNotFound)
	})
	return out, err
}

// MessageFacts reads what explains why a message waits, or how it ended.
//
// Errors: message.not_found.
func (s *Store) MessageFacts(ctx context.Context, v vendor.ID, m message.ID, now time.Time) (explain.MessageFacts, error) {
	f := explain.MessageFacts{Now: now}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var (
			month                                               int32
			created, moved                                      time.Time
			ended, until, scheduled, due, claimed, kept, settle *time.Time
			lane                                                *string
			row                                                 *int64
		)
		err := tx.QueryRow(ctx, s.sql("ExplainMessage"), pgx.StrictNamedArgs{"vendor_id": v, "id": m}).Scan(
			&month, &f.Status, &f.Outcome, &ended, &created,
			&f.Campaign, &f.Kind, &f.HaltReason, &moved, &until, &scheduled, &f.QuietHours, &f.ReplayRate, &f.RatePerSecond,
			&lane, &row, &due, &f.Row.Reason, &f.Claim.ID, &claimed, &kept, &f.Claim.Begun, &settle, &f.Letter, &f.Replay)
		if err != nil {
			return orNotFound(err, message.ErrNotFound)
		}
		f.Created, f.MovedAt, f.EndedAt, f.HaltUntil, f.Scheduled = created.UTC(), moved.UTC(), utc(ended), utc(until), utc(scheduled)
		f.Row.DueAt, f.Claim.ClaimedAt, f.Claim.KeptUntil, f.SettleAt = utc(due), utc(claimed), utc(kept), utc(settle)
		if _, err := tx.Exec(ctx, s.sql("PlanByIndex")); err != nil {
			return err
		}
		f.Attempts, err = collect(ctx, tx, s.sql("ExplainAttempts"), pgx.StrictNamedArgs{"vendor_id": v, "id": m, "month": month}, scanAttempt)
		if err != nil || lane == nil || f.Row.DueAt.After(now) {
			return err
		}
		err = tx.QueryRow(ctx, s.sql("ExplainBefore"), pgx.StrictNamedArgs{
			"vendor_id": v, "lane_id": lane, "due_at": due, "row_id": row, "bound": explainCounted,
		}).Scan(&f.Row.Before)
		f.Row.More = f.Row.Before == explainCounted
		return err
	})
	return f, err
}

func scanAttempt(row pgx.CollectableRow) (explain.Attempt, error) {
	var (
		a                                     explain.Attempt
		sending                               time.Time
		sent, delivered, read, failed, nextAt *time.Time
	)
	err := row.Scan(&a.Number, &a.Status, &sending, &sent, &delivered, &read, &failed, &nextAt, &a.Code, &a.Title)
	a.SendingAt, a.SentAt, a.DeliveredAt, a.ReadAt = sending.UTC(), utc(sent), utc(delivered), utc(read)
	a.FailedAt, a.Next = utc(failed), utc(nextAt)
	return a, err
}

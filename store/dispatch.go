package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// DispatchState is what the campaign's workflow re-reads after every doorbell.
type DispatchState struct {
	Status      campaign.State
	ScheduledAt *time.Time
	Frozen      bool
	FrozenCount int
	HaltReason  string
	Version     int
	Finished    bool // its books are closed

	ExpiresAt *time.Time // its end
	HaltUntil *time.Time // when a halted one goes on by itself
	RestsTill *time.Time // nothing is in flight, and the next message is due then
}

// DispatchState returns the campaign's row as its workflow needs it.
//
// Errors: campaign.not_found.
func (s *Store) DispatchState(ctx context.Context, v vendor.ID, c campaign.ID) (DispatchState, error) {
	var (
		d        DispatchState
		frozenAt *time.Time
	)
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("DispatchState"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(
			&d.Status, &d.ScheduledAt, &frozenAt, &d.FrozenCount, &d.HaltReason, &d.Version, &d.Finished, &d.ExpiresAt, &d.HaltUntil)
		if err != nil || d.Status != campaign.Running {
			return orNotFound(err, campaign.ErrNotFound)
		}
		return tx.QueryRow(ctx, s.sql("CampaignRests"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&d.RestsTill)
	})
	d.Frozen = frozenAt != nil
	return d, err
}

// dispatchRow is the campaign under its exclusive lock.
type dispatchRow struct {
	Status       campaign.State
	Audience     json.RawMessage
	Parameters   json.RawMessage
	Template     string
	SenderNumber string
	Category     pricing.Category
	ScheduledAt  *time.Time
	Month        *int32
	Quotation    *string
	Cursor       *string
	FrozenAt     *time.Time
	FrozenCount  int
	Misfire      campaign.Misfire
	Tolerance    time.Duration
	Quiet        campaign.QuietHours
	HaltReason   string
}

func (s *Store) lockDispatch(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID) (dispatchRow, error) {
	var (
		r         dispatchRow
		tolerance int64
		from, to  *int
	)
	err := tx.QueryRow(ctx, s.sql("DispatchLock"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(
		&r.Status, &r.Audience, &r.Parameters, &r.Template, &r.SenderNumber, &r.Category, &r.ScheduledAt, &r.Month, &r.Quotation,
		&r.Cursor, &r.FrozenAt, &r.FrozenCount, &r.Misfire, &tolerance, &from, &to, &r.HaltReason)
	r.Tolerance, r.Quiet = time.Duration(tolerance)*time.Second, campaign.QuietHours{From: orZero(from), To: orZero(to)}
	return r, orNotFound(err, campaign.ErrNotFound)
}

// PrepareCampaign moves an approved campaign to PREPARING, fixes its month from now,
// and makes its partitions, shares and (paused) lane. A repeat changes nothing; a
// campaign that is past preparing, or cancelled, is left as it is. One that missed its
// start by more than its tolerance is cancelled or halted instead, as its vendor chose.
//
// Errors: campaign.not_found.
func (s *Store) PrepareCampaign(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time) (campaign.State, error) {
	var state campaign.State
	month := int32(now.UTC().Year()*100 + int(now.UTC().Month())) //nolint:gosec // yyyymm
	// By itself: it waits for whoever changes a campaign, and must not be one of them.
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("DispatchPartitions"), pgx.StrictNamedArgs{"month": month})
		return err
	})
	if err != nil {
		return state, err
	}
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		state = row.Status
		next, err := campaign.Next(row.Status, campaign.Prepare)
		if err != nil {
			return nil //nolint:nilerr // not to be prepared (cancelled, or done before): the caller reads the state
		}
		if e := campaign.Starting(orZero(row.ScheduledAt), now, row.Misfire, row.Tolerance); e != campaign.Prepare && row.Status != next {
			if state, err = campaign.Next(row.Status, e); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, s.sql("DispatchMissed"), pgx.StrictNamedArgs{
				"vendor_id": v, "campaign_id": c, "status": state, "halt_reason": campaign.HaltStartMissed,
			})
			return err
		}
		state = next
		args := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "status": next, "month": month}
		if _, err := tx.Exec(ctx, s.sql("DispatchPrepare"), args); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("DispatchSharesInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "quotation_id": row.Quotation,
		}); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, s.sql("DispatchLaneInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "sender_number_id": row.SenderNumber, "month": month,
		})
		return err
	})
	return state, err
}

// texts never gives null: cardinality(null) is null.
func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, x := range in {
		out[i] = string(x)
	}
	return out
}

// LaunchCampaign opens the lanes of a frozen campaign, or halts it when what was frozen
// goes beyond the quotation. A repeat changes nothing.
//
// Errors: campaign.not_found.
func (s *Store) LaunchCampaign(ctx context.Context, v vendor.ID, c campaign.ID) (campaign.State, error) {
	var state campaign.State
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		state = row.Status
		if row.Status != campaign.Preparing {
			return nil
		}
		beyond, err := s.unquotedTx(ctx, tx, v, c)
		if err != nil {
			return err
		}
		event, reason := campaign.Launch, (*string)(nil)
		if len(beyond) > 0 {
			event, reason = campaign.Halt, new(campaign.HaltAudienceGrew)
		}
		if state, err = campaign.Next(row.Status, event); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("DispatchLaunch"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "status": state, "halt_reason": reason,
		}); err != nil {
			return err
		}
		if state != campaign.Running {
			return nil
		}
		if err := s.pauseLanes(ctx, tx, v, c, false); err != nil {
			return err
		}
		// An audience of nobody is drained at once.
		return s.ringWhenDrained(ctx, tx, v, c)
	})
	return state, err
}

// pauseLanes opens or closes every lane of a campaign and wakes the relay to look.
func (s *Store) pauseLanes(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, paused bool) error {
	if _, err := tx.Exec(ctx, s.sql("DispatchLanesPause"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": c, "paused": paused,
	}); err != nil {
		return err
	}
	if paused {
		return nil
	}
	return s.enqueue(ctx, tx, v, "campaign.changed", string(c))
}

// CancelPage ends up to rows messages of a cancelled campaign that nobody has claimed.
// done says that none is left; then the last one rings for the campaign's end.
func (s *Store) CancelPage(ctx context.Context, v vendor.ID, c campaign.ID, rows int) (done bool, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		if row.Status != campaign.Cancelled {
			done = true
			return nil
		}
		if row.FrozenAt == nil { // cancelled before or while it was prepared: no more will come
			if _, err := tx.Exec(ctx, s.sql("DispatchLaunch"), pgx.StrictNamedArgs{
				"vendor_id": v, "campaign_id": c, "status": row.Status, "halt_reason": nullID(row.HaltReason),
			}); err != nil {
				return err
			}
		}
		if row.Month != nil {
			if _, err := tx.Exec(ctx, s.sql("DispatchCancelPage"), pgx.StrictNamedArgs{
				"vendor_id": v, "campaign_id": c, "month": row.Month, "page_rows": rows,
			}); err != nil {
				return err
			}
		}
		var left bool
		if err := tx.QueryRow(ctx, s.sql("DispatchEventsLeft"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&left); err != nil {
			return err
		}
		if done = !left; done {
			return s.ringWhenDrained(ctx, tx, v, c)
		}
		return nil
	})
	return done, err
}

// FinishCampaign closes the books of a drained campaign: quoted campaign-level lines are
// captured when anything was sent, the rest of the hold is released, the lanes go. It
// returns false, and changes nothing, while something is left to send or to settle.
//
// Errors: campaign.not_found.
func (s *Store) FinishCampaign(ctx context.Context, v vendor.ID, c campaign.ID) (bool, error) {
	finished := false
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		key := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}
		if err := tx.QueryRow(ctx, s.sql("CampaignDrained"), key).Scan(&finished); err != nil || !finished {
			return err
		}
		next := row.Status
		if next != campaign.Cancelled {
			if next, err = campaign.Next(row.Status, campaign.Complete); err != nil {
				return err
			}
		}
		if err := s.closeHold(ctx, tx, v, c, row); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("DispatchFinish"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "status": next}); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, s.sql("DispatchLanesDelete"), key)
		return err
	})
	return finished, err
}

func (s *Store) closeHold(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, row dispatchRow) error {
	key := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}
	var sent bool
	if err := tx.QueryRow(ctx, s.sql("DispatchAnySent"), key).Scan(&sent); err != nil {
		return err
	}
	if sent && row.Quotation != nil {
		var fees money.Micros
		args := pgx.StrictNamedArgs{"vendor_id": v, "quotation_id": *row.Quotation}
		if err := tx.QueryRow(ctx, s.sql("DispatchFees"), args).Scan(&fees); err != nil {
			return err
		}
		if fees > 0 {
			if _, err := s.postTx(ctx, tx, v, wallet.Capture(string(c), "fees/"+string(c), fees)); err != nil {
				return err
			}
		}
	}
	var held money.Micros
	if err := tx.QueryRow(ctx, s.sql("DispatchHeld"), key).Scan(&held); err != nil || held == 0 {
		return err
	}
	_, err := s.postTx(ctx, tx, v, wallet.Release(string(c), "release/"+string(c), held))
	return err
}

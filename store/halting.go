package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// HaltCampaign stops a running campaign for a reason that a person must see to. In any
// other state it changes nothing.
func (s *Store) HaltCampaign(ctx context.Context, v vendor.ID, c campaign.ID, reason string) error {
	return s.haltOne(ctx, v, c, campaign.Stop{Reason: reason, Scope: failure.OwnCampaign})
}

// HaltCampaigns stops every running campaign within h's reach of c, each in a transaction
// of its own, and notes on the account what a refusal says of it. It returns how many it
// stopped. A repeat stops the rest.
func (s *Store) HaltCampaigns(ctx context.Context, v vendor.ID, c campaign.ID, h campaign.Stop) (int, error) {
	var targets []campaign.ID
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if err := s.markAccount(ctx, tx, v, c, h); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, s.sql("HaltTargets"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "scope": h.Scope})
		if err != nil {
			return err
		}
		targets, err = pgx.CollectRows(rows, pgx.RowTo[campaign.ID])
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, target := range targets {
		if err := s.haltOne(ctx, v, target, h); err != nil {
			return i, err
		}
	}
	return len(targets), nil
}

// markAccount shows the vendor on the account itself why nothing is sent from it.
func (s *Store) markAccount(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, h campaign.Stop) error {
	var status waba.Status
	switch {
	case h.Wakes == campaign.ByToken:
		status = waba.TokenExpired
	case h.Wakes == campaign.ByAccount && h.Scope == failure.WholeAccount:
		status = waba.Locked
	default:
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("HaltAccountMark"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "status": status})
	return err
}

func (s *Store) haltOne(ctx context.Context, v vendor.ID, c campaign.ID, h campaign.Stop) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		var (
			state  campaign.State
			pauses int
			kind   campaign.Kind
		)
		err := tx.QueryRow(ctx, s.sql("HaltLock"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&state, &pauses, &kind)
		if err != nil || state != campaign.Running {
			return orNotFound(err, campaign.ErrNotFound)
		}
		next, err := campaign.Next(state, campaign.Halt)
		if err != nil {
			return err
		}
		until, paused := h.PauseEnds(pauses, time.Now()), 0
		if h.Pauses() {
			paused = 1
		}
		if _, err := tx.Exec(ctx, s.sql("HaltSet"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "status": next, "reason": h.Reason, "remedy": orNull(h.Remedy),
			"wakes": nullID(h.Wakes), "until": nullTime(until), "paused": paused,
		}); err != nil {
			return err
		}
		if err := s.pauseLanes(ctx, tx, v, c, true); err != nil {
			return err
		}
		if kind != campaign.KindSingle {
			return s.enqueue(ctx, tx, v, "campaign.changed", string(c))
		}
		if until.IsZero() {
			return nil // it has no workflow to be told
		}
		_, err = tx.Exec(ctx, s.sql("OutboxEnqueueAt"), pgx.StrictNamedArgs{
			"vendor_id": v, "kind": haltOver, "subject_id": c, "at": until,
		})
		return err
	})
}

// haltOver is the event that has standing campaigns go on whose halt ends by time.
const haltOver = "singles.halt_over"

// ResumeDue lets the vendor's standing campaigns go on whose halt ends by now. It returns
// how many go on. A repeat changes nothing.
func (s *Store) ResumeDue(ctx context.Context, v vendor.ID, now time.Time) (int, error) {
	return s.resumeAll(ctx, v, "HaltDue", pgx.StrictNamedArgs{"vendor_id": v, "now": now})
}

// ResumeHalted lets the campaigns of an account go on that wait for one of wakers, if that
// has come: our copy of the template is approved, the account was heard of or connected
// again since the halt. "" is any account of the vendor. It returns how many go on. A
// repeat changes nothing.
func (s *Store) ResumeHalted(ctx context.Context, v vendor.ID, account waba.ID, wakers ...campaign.Waker) (int, error) {
	return s.resumeAll(ctx, v, "HaltWaiting", pgx.StrictNamedArgs{"vendor_id": v, "waba_ref": nullID(account), "wakers": texts(wakers)})
}

// resumeAll lets the halted campaigns go on that the statement given finds.
func (s *Store) resumeAll(ctx context.Context, v vendor.ID, statement string, args pgx.StrictNamedArgs) (int, error) {
	type waiting struct {
		ID     campaign.ID
		Reason string
	}
	var found []waiting
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql(statement), args)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[waiting])
		return err
	})
	if err != nil {
		return 0, err
	}
	resumed := 0
	for _, w := range found {
		went, err := s.resumeFrom(ctx, v, w.ID, w.Reason)
		if err != nil {
			return resumed, err
		}
		if went {
			resumed++
		}
	}
	return resumed, nil
}

// resumeFrom lets a campaign go on that is still halted for the given reason.
func (s *Store) resumeFrom(ctx context.Context, v vendor.ID, c campaign.ID, reason string) (bool, error) {
	resumed := false
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.campaignTx(ctx, tx, v, c, "HaltResumeLock")
		if err != nil || row.State != campaign.Halted || row.HaltReason != reason {
			return err
		}
		resumed = true
		return s.resumeTx(ctx, tx, v, row)
	})
	if reason == campaign.HaltWalletEmpty && errors.Is(err, wallet.ErrInsufficientFunds) {
		return false, nil // it waits for more
	}
	return resumed, err
}

// coverTx holds what a campaign lacks whose hold was used up: its row is locked.
//
// Errors: wallet.insufficient_funds.
func (s *Store) coverTx(ctx context.Context, tx pgx.Tx, v vendor.ID, row campaign.Campaign) error {
	if row.HaltReason != campaign.HaltWalletEmpty || row.Month == 0 {
		return nil
	}
	var lacks money.Micros
	if err := tx.QueryRow(ctx, s.sql("HaltUncovered"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": row.ID, "month": row.Month,
	}).Scan(&lacks); err != nil {
		return err
	}
	_, err := s.postTx(ctx, tx, v, wallet.Hold(string(row.ID), "cover/"+string(row.ID)+"/"+itoa(int(row.Version)), lacks))
	return err
}

// resumeTx lets a paused or halted campaign go on, its row locked.
func (s *Store) resumeTx(ctx context.Context, tx pgx.Tx, v vendor.ID, row campaign.Campaign) error {
	next, err := campaign.Next(row.State, campaign.Resume)
	if err != nil {
		return err
	}
	if err := s.coverTx(ctx, tx, v, row); err != nil {
		return err
	}
	row.HaltReason = ""
	if _, err := s.moveCampaign(ctx, tx, v, row, next); err != nil {
		return err
	}
	if err := s.pauseLanes(ctx, tx, v, row.ID, false); err != nil {
		return err
	}
	return s.enqueue(ctx, tx, v, "campaign.changed", string(row.ID))
}

// HaltUnusable stops running campaigns of an account whose template Meta no longer takes,
// by our copies. It returns how many it stopped. A repeat changes nothing.
func (s *Store) HaltUnusable(ctx context.Context, v vendor.ID, account waba.ID) (int, error) {
	type unusable struct {
		ID     campaign.ID
		Status string
	}
	var found []unusable
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("HaltUnusable"), pgx.StrictNamedArgs{"vendor_id": v, "waba_ref": account})
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[unusable])
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, u := range found {
		if err := s.haltOne(ctx, v, u.ID, campaign.TemplateStop(u.Status)); err != nil {
			return i, err
		}
	}
	return len(found), nil
}

// Overdue does what the campaign's clock asks for at now: it lets a halted one go on whose
// time has come, and ends up to rows messages of one that is over. expired says that its
// end has come, done that nothing of it is left in the outbox.
//
// Errors: campaign.not_found.
func (s *Store) Overdue(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time, rows int) (expired, done bool, err error) {
	var (
		resume bool
		reason string
	)
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("HaltOverdue"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "now": now}).Scan(&resume, &expired, &reason)
		return orNotFound(err, campaign.ErrNotFound)
	})
	switch {
	case err != nil:
		return false, false, err
	case expired:
		done, err = s.expirePage(ctx, v, c, rows)
		return true, done, err
	case resume:
		_, err = s.resumeFrom(ctx, v, c, reason)
	}
	return false, true, err
}

// expirePage ends a page of what has not left. The lanes are opened whatever the campaign's
// state: a row that comes back from a claim is taken once more, and ends at the mark.
func (s *Store) expirePage(ctx context.Context, v vendor.ID, c campaign.ID, rows int) (done bool, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		if row.Status == campaign.Cancelled || row.Status == campaign.Completed || row.Month == nil {
			done = true
			return nil
		}
		key := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}
		if _, err := tx.Exec(ctx, s.sql("DispatchLanesPause"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c, "paused": false}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("ExpirePage"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "month": row.Month, "page_rows": rows,
		}); err != nil {
			return err
		}
		var left bool
		if err := tx.QueryRow(ctx, s.sql("DispatchEventsLeft"), key).Scan(&left); err != nil {
			return err
		}
		if done = !left; done {
			return s.ringWhenDrained(ctx, tx, v, c)
		}
		return nil
	})
	return done, err
}

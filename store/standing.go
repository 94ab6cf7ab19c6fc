package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// standing is the campaign that a number's one-off messages of a month belong to, under
// its lock. Its hold is their float.
type standing struct {
	Campaign  campaign.ID
	Lane      string
	Month     int32
	Held      money.Micros // all that was ever put into the float
	Committed money.Micros // at least what was spent of it and what open messages will cost
	Fills     int
	State     campaign.State
	Reason    string // why it is halted
}

// lateAccept is how long after a month's end its standing campaign stays open: whoever
// accepts messages may have a clock that is behind.
const lateAccept = time.Hour

// standing locks the standing campaign, and makes it when it is the month's first message.
func (a *accepting) standing(ctx context.Context) (*standing, error) {
	at := a.now.UTC()
	st := &standing{Month: int32(at.Year()*100 + int(at.Month()))} //nolint:gosec // yyyymm
	err := a.lockStanding(ctx, st)
	if errors.Is(err, pgx.ErrNoRows) {
		key := pgx.StrictNamedArgs{"vendor_id": a.vendor, "sender_number_id": a.new.SenderNumber, "month": st.Month}
		if _, err = a.tx.Exec(ctx, a.sql("StandingNewLock"), key); err != nil {
			return nil, err
		}
		if err = a.lockStanding(ctx, st); errors.Is(err, pgx.ErrNoRows) {
			err = a.openStanding(ctx, st)
		}
	}
	if err == nil && st.State != campaign.Running {
		err = haltedBy(st.State, st.Reason)
	}
	return st, err
}

func (a *accepting) lockStanding(ctx context.Context, st *standing) error {
	return a.tx.QueryRow(ctx, a.sql("StandingLock"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "sender_number_id": a.new.SenderNumber, "month": st.Month,
	}).Scan(&st.Campaign, &st.Lane, &st.Held, &st.Committed, &st.Fills, &st.State, &st.Reason)
}

func (a *accepting) openStanding(ctx context.Context, st *standing) error {
	st.Campaign, st.Lane, st.State = id.New[campaign.ID](), id.Random(), campaign.Running
	if _, err := a.tx.Exec(ctx, a.sql("DispatchPartitions"), pgx.StrictNamedArgs{"month": st.Month}); err != nil {
		return err
	}
	next := time.Date(int(st.Month/100), time.Month(st.Month%100)+1, 1, 0, 0, 0, 0, time.UTC)
	closes := next.Add(lateAccept)
	a.opened[st.Campaign] = closes
	_, err := a.tx.Exec(ctx, a.sql("StandingInsert"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "sender_number_id": a.new.SenderNumber, "month": st.Month, "campaign_id": st.Campaign, "lane_id": st.Lane,
		"name": fmt.Sprintf("One-off messages %d-%02d", st.Month/100, st.Month%100), "rate": a.rate, "closes_at": closes,
	})
	return err
}

// monthOver is the event that has standing campaigns closed: when their month ends, and
// when the last message of one is settled after that.
const monthOver = "singles.month_over"

// cover makes sure that the float covers a further message of price. What is committed is
// counted upwards only; it is counted anew, which takes a look at every open message,
// when it seems to be more than is held.
//
// Errors: wallet.insufficient_funds.
func (a *accepting) cover(ctx context.Context, st *standing, price money.Micros) error {
	var filled money.Micros
	if st.Committed+price > st.Held {
		err := a.tx.QueryRow(ctx, a.sql("StandingCommitted"), pgx.StrictNamedArgs{
			"vendor_id": a.vendor, "campaign_id": st.Campaign, "lane_id": st.Lane, "month": st.Month, "held": st.Held,
		}).Scan(&st.Committed)
		if err != nil {
			return err
		}
		if filled, err = a.fill(ctx, st, price); err != nil {
			return err
		}
	}
	if price == 0 {
		return nil
	}
	_, err := a.tx.Exec(ctx, a.sql("StandingCommit"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "sender_number_id": a.new.SenderNumber, "month": st.Month,
		"filled": filled, "committed": st.Committed + price,
	})
	return err
}

// fill moves money from the wallet into the float, if it lacks any.
func (a *accepting) fill(ctx context.Context, st *standing, price money.Micros) (money.Micros, error) {
	posting := wallet.Hold(string(st.Campaign), fmt.Sprintf("float/%s/%d", st.Campaign, st.Fills+1), price)
	// The wallet is locked before it is looked at: another number may draw on it too.
	accounts, err := a.lockAccounts(ctx, a.tx, a.vendor, []posted{{Posting: posting}})
	if err != nil {
		return 0, err
	}
	balance := accounts[wallet.Account{Kind: wallet.AccountWallet}].balance
	if posting.Amount, err = wallet.FillFloat(st.Held, st.Committed, price, balance); err != nil || posting.Amount == 0 {
		return 0, err
	}
	_, err = a.postTx(ctx, a.tx, a.vendor, posting)
	return posting.Amount, err
}

// CloseStanding closes the books of the vendor's standing campaigns whose month is over
// at now: from then on they can be drained, and those that are give what is left of their
// float back. It returns how many were finished. Repeats change nothing.
func (s *Store) CloseStanding(ctx context.Context, v vendor.ID, now time.Time) (int, error) {
	type over struct {
		Number   string
		Month    int32
		Campaign campaign.ID
	}
	var due []over
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		due, err = collect(ctx, tx, s.sql("StandingOver"), pgx.StrictNamedArgs{"vendor_id": v, "now": now}, pgx.RowToStructByPos[over])
		return err
	})
	finished := 0
	for _, o := range due {
		if err == nil {
			err = s.inTx(ctx, v, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, s.sql("StandingClose"), pgx.StrictNamedArgs{
					"vendor_id": v, "sender_number_id": o.Number, "month": o.Month,
				})
				return err
			})
		}
		var done bool
		if err == nil {
			done, err = s.FinishCampaign(ctx, v, o.Campaign)
		}
		if done {
			finished++
		}
	}
	return finished, err
}

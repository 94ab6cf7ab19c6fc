package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ChangeCampaign lets change edit a draft or a quoted campaign under its row's lock and
// keeps what comes out, as the next version. It is a draft again: a quotation that was
// issued is superseded. based is the version the caller saw, 0 for any.
//
// Errors: campaign.not_found, campaign.wrong_state, campaign.version_conflict, those of
// CreateCampaign, and what change returns.
func (s *Store) ChangeCampaign(ctx context.Context, v vendor.ID, c campaign.ID, based int64, change func(*campaign.NewCampaign) error) (campaign.Campaign, error) {
	var out campaign.Campaign
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockVersion(ctx, tx, v, c, based)
		if err != nil {
			return err
		}
		next, err := campaign.Next(row.State, campaign.Edit)
		if err != nil {
			return err
		}
		spec := row.Spec()
		if err := change(&spec); err != nil {
			return err
		}
		now := time.Now()
		if spec.Wall == "" && spec.ScheduledAt.Equal(row.ScheduledAt) {
			now = time.Time{} // a time that has passed meanwhile does not stand against another edit
		}
		args, err := s.campaignArgs(ctx, tx, v, spec, now)
		if err != nil {
			return err
		}
		args["id"], args["status"] = c, next
		if _, err := tx.Exec(ctx, s.sql("CampaignUpdate"), args); err != nil {
			return err
		}
		if row.Quotation != "" {
			if _, err := tx.Exec(ctx, s.sql("QuotationSupersede"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}); err != nil {
				return err
			}
		}
		out, err = s.campaignTx(ctx, tx, v, c, "CampaignByID")
		return err
	})
	return out, err
}

// lockVersion is CampaignLock for a caller who saw version based, 0 for any.
func (s *Store) lockVersion(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, based int64) (campaign.Campaign, error) {
	row, err := s.campaignTx(ctx, tx, v, c, "CampaignLock")
	if err == nil && based != 0 && based != row.Version {
		err = campaign.ErrVersion
	}
	return row, err
}

// DeleteCampaign removes a draft that was never quoted. Numbers of quotations have no
// gaps, so what was quoted stays and can be cancelled. based is as in ChangeCampaign.
//
// Errors: campaign.not_found, campaign.wrong_state, campaign.has_quotations,
// campaign.version_conflict.
func (s *Store) DeleteCampaign(ctx context.Context, v vendor.ID, c campaign.ID, based int64) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockVersion(ctx, tx, v, c, based)
		if err != nil {
			return err
		}
		if _, err := campaign.Next(row.State, campaign.Edit); err != nil {
			return err
		}
		key := pgx.StrictNamedArgs{"vendor_id": v, "id": c}
		var quoted bool
		if err := tx.QueryRow(ctx, s.sql("CampaignEverQuoted"), key).Scan(&quoted); err != nil {
			return err
		}
		if quoted {
			return campaign.ErrQuotedBefore
		}
		_, err = tx.Exec(ctx, s.sql("CampaignDelete"), key)
		return err
	})
}

// Clone is a copy to be made of a campaign. Name is its own; "": the same.
type Clone struct {
	Of   campaign.ID
	Name string
	By   vendor.UserID
}

// CloneCampaign makes a draft like another campaign, whatever has become of that, without
// its time.
//
// Errors: campaign.not_found, and those of CreateCampaign: template, number or labels may
// have gone since.
func (s *Store) CloneCampaign(ctx context.Context, v vendor.ID, c Clone, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	row, err := s.Campaign(ctx, v, c.Of)
	if err != nil {
		return row, err
	}
	spec := row.Spec()
	spec.ScheduledAt, spec.By = time.Time{}, c.By
	if c.Name != "" {
		spec.Name = c.Name
	}
	return s.CreateCampaign(ctx, v, spec, time.Now(), once)
}

// StartTime is when a campaign is to start: At, or what the clocks of Zone (IANA; "": the
// campaign's) show as Wall.
type StartTime struct {
	At         time.Time
	Wall, Zone string
}

// RescheduleCampaign moves the time of an approved campaign that still waits for it. Its workflow
// is told. A campaign that was to start at once and has not yet can be given a time too.
//
// Errors: campaign.not_found, campaign.wrong_state, campaign.bad_schedule.
func (s *Store) RescheduleCampaign(ctx context.Context, v vendor.ID, c campaign.ID, to StartTime, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (campaign.Campaign, error) {
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignLock")
		if err != nil {
			return row, err
		}
		next, err := campaign.Next(row.State, campaign.Schedule)
		if err != nil {
			return row, err
		}
		if to.Zone != "" {
			row.TimeZone = to.Zone
		}
		at, err := campaign.StartTime(to.At, to.Wall, row.TimeZone, time.Now())
		if err != nil {
			return row, err
		}
		if at.IsZero() {
			return row, errs.InvalidField("campaign.bad_schedule", "/scheduled_at", "a time to come")
		}
		if _, err := tx.Exec(ctx, s.sql("CampaignReschedule"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": c, "status": next, "scheduled_at": nullTime(at), "time_zone": row.TimeZone,
		}); err != nil {
			return row, err
		}
		if row, err = s.campaignTx(ctx, tx, v, c, "CampaignByID"); err != nil {
			return row, err
		}
		return row, s.enqueue(ctx, tx, v, "campaign.changed", string(c))
	})
}

// UnscheduleCampaign takes the approval of a campaign back that has not begun: it is a
// draft without a time again, its hold is released, its quotation void. A repeat
// changes nothing.
//
// Errors: campaign.not_found, campaign.wrong_state.
func (s *Store) UnscheduleCampaign(ctx context.Context, v vendor.ID, c campaign.ID, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (campaign.Campaign, error) {
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignLock")
		if err != nil {
			return row, err
		}
		next, err := campaign.Next(row.State, campaign.Withdraw)
		if err != nil || next == row.State {
			return row, err
		}
		offer := row.Quotation
		if _, err := tx.Exec(ctx, s.sql("CampaignWithdraw"), pgx.StrictNamedArgs{"vendor_id": v, "id": c, "status": next}); err != nil {
			return row, err
		}
		if row, err = s.campaignTx(ctx, tx, v, c, "CampaignByID"); err != nil {
			return row, err
		}
		var held money.Micros
		if err := tx.QueryRow(ctx, s.sql("DispatchHeld"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&held); err != nil {
			return row, err
		}
		if held > 0 {
			if _, err := s.postTx(ctx, tx, v, wallet.Release(string(c), "release/"+string(c)+"/"+offer, held)); err != nil {
				return row, err
			}
		}
		return row, s.enqueue(ctx, tx, v, "campaign.changed", string(c))
	})
}

package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// CampaignBilling compares what a campaign's messages were charged with what Meta's
// statuses say it bills. It reads every message of the campaign.
//
// Errors: campaign.not_found, wallet.not_found.
func (s *Store) CampaignBilling(ctx context.Context, v vendor.ID, c campaign.ID) (wallet.Billing, error) {
	var b wallet.Billing
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var month *int32
		err := tx.QueryRow(ctx, s.sql("BillingMonthOf"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&month)
		if err != nil {
			return orNotFound(err, campaign.ErrNotFound)
		}
		w, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return err
		}
		b.Currency = w.Currency
		b.Lines, err = collect(ctx, tx, s.sql("BillingByCampaign"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "month": orZero(month),
		}, pgx.RowToStructByPos[wallet.BillingLine])
		return err
	})
	return b, err
}

// MonthBilling is CampaignBilling for all that was sent in the UTC month that holds at, with
// what Meta itself counted for it. It reads every message of the month.
//
// Errors: wallet.not_found.
func (s *Store) MonthBilling(ctx context.Context, v vendor.ID, at time.Time) (wallet.Billing, error) {
	from := time.Date(at.UTC().Year(), at.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	until := from.AddDate(0, 1, 0)
	var b wallet.Billing
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		w, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return err
		}
		b.Currency = w.Currency
		b.Lines, err = collect(ctx, tx, s.sql("BillingByMonth"), pgx.StrictNamedArgs{
			"vendor_id": v, "from": from, "until": until, "months": []int32{yearMonth(from.AddDate(0, -1, 0)), yearMonth(from)},
		}, pgx.RowToStructByPos[wallet.BillingLine])
		if err != nil {
			return err
		}
		b.Meta, err = collect(ctx, tx, s.sql("MetaBillingByMonth"), pgx.StrictNamedArgs{"vendor_id": v, "from": from, "until": until},
			func(row pgx.CollectableRow) (wallet.MetaLine, error) {
				var l wallet.MetaLine
				var fetched time.Time
				return l, row.Scan(&l.Category, &l.Pricing, &l.Currency, &l.Volume, &l.Cost, &fetched)
			})
		return err
	})
	return b, err
}

func yearMonth(at time.Time) int32 {
	return int32(at.Year()*100 + int(at.Month())) //nolint:gosec // yyyymm
}

// MetaCount is one line of Meta's own count of what it bills.
type MetaCount struct {
	Day                            time.Time // its midnight, UTC
	Country, Phone, Category, Type string
	Tier                           string
	Volume                         int64
	Cost                           *money.Micros
}

// ReplaceMetaBilling keeps Meta's count of an account's days from from on, before until, in
// place of what was known of them. Idempotent.
func (s *Store) ReplaceMetaBilling(ctx context.Context, v vendor.ID, w waba.ID, days wallet.Period, counts []MetaCount) error {
	n := len(counts)
	at, volumes, costs := make([]time.Time, n), make([]int64, n), make([]*int64, n)
	countries, phones, categories, types, tiers := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, c := range counts {
		at[i], volumes[i] = c.Day, c.Volume
		countries[i], phones[i], categories[i], types[i], tiers[i] = c.Country, c.Phone, c.Category, c.Type, c.Tier
		if c.Cost != nil {
			costs[i] = new(int64(*c.Cost))
		}
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("MetaBillingDelete"), pgx.StrictNamedArgs{
			"vendor_id": v, "waba_ref": w, "from": days.From, "until": days.Until,
		}); err != nil || n == 0 {
			return err
		}
		_, err := tx.Exec(ctx, s.sql("MetaBillingInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "waba_ref": w, "days": at, "countries": countries, "phones": phones, "categories": categories,
			"types": types, "tiers": tiers, "volumes": volumes, "costs": costs,
		})
		return err
	})
}

// ConnectedWABAs returns the vendor's accounts whose token still works.
func (s *Store) ConnectedWABAs(ctx context.Context, v vendor.ID) ([]waba.ID, error) {
	var out []waba.ID
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("MetaBillingAccounts"), pgx.StrictNamedArgs{"vendor_id": v}, pgx.RowTo[waba.ID])
		return err
	})
	return out, err
}

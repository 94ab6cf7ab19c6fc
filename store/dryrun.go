package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// DryRun is what a campaign would do if it started at Start. Audience = WouldSend +
// Suppressed + NoRate.
type DryRun struct {
	Campaign  campaign.Campaign
	Template  template.Template
	Audience  int64 // people its labels name
	WouldSend int64

	Suppressed int64
	NoRate     int64 // in countries that the rate card has no price for
	Fallback   int64 // of WouldSend and NoRate: at least one variable is filled by its fallback
	QuietAt    int64 // of WouldSend: have quiet hours at Start, by the zones of their countries

	Quote         *pricing.Quote // of WouldSend; nil when nobody is left or nothing can be priced
	PriceError    string         // why not: a code
	Start         time.Time
	RatePerSecond int
	Sample        []ContactRecord // the first of those who would get it
}

// ErrDryRunTooLong is told when an audience takes longer to look at than a question may.
var ErrDryRunTooLong = errs.New(errs.Unavailable, "campaign.dry_run_too_long", "the audience takes too long to look at just now: try again later")

const (
	dryRunSample = 20

	// sampleWalk is how far the walk for the sample goes: past as many suppressed people.
	sampleWalk = 500
)

// DryRunCampaign says what would become of a campaign now, and changes nothing. It costs what
// counting the audience for a quotation does, in proportion to it, and at most twenty seconds.
//
// Errors: campaign.not_found, template.not_found, campaign.dry_run_too_long.
func (s *Store) DryRunCampaign(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time) (DryRun, error) {
	out := DryRun{Start: now}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		if out.Campaign, err = s.campaignTx(ctx, tx, v, c, "CampaignByID"); err != nil {
			return err
		}
		if out.Campaign.ScheduledAt.After(now) {
			out.Start = out.Campaign.ScheduledAt
		}
		out.Template, err = scanTemplate(tx.QueryRow(ctx, s.sql("TemplateByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": out.Campaign.Template}))
		if err != nil {
			return orNotFound(err, template.ErrNotFound)
		}
		if _, err := tx.Exec(ctx, s.sql("DryRunPatience")); err != nil {
			return err
		}
		counts, err := s.dryCounts(ctx, tx, v, &out)
		if err != nil {
			return err
		}
		if err := s.dryPrice(ctx, tx, v, &out, counts); err != nil {
			return err
		}
		return s.drySample(ctx, tx, v, &out)
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "57014" { // the statement's time was over
		return out, ErrDryRunTooLong
	}
	return out, err
}

// dryCounts counts the audience and returns, by country, whom it would be sent to if it
// can be priced.
func (s *Store) dryCounts(ctx context.Context, tx pgx.Tx, v vendor.ID, out *DryRun) (map[string]int64, error) {
	c := out.Campaign
	rows, err := tx.Query(ctx, s.sql("DryRunCounts"), pgx.StrictNamedArgs{
		"vendor_id": v, "category": c.Category, "any_labels": texts(c.Audience.AnyLabels), "all_labels": texts(c.Audience.AllLabels),
		"excluded_labels": texts(c.Audience.ExcludedLabels), "uses_name": c.Parameters.UsesName(), "attributes": texts(c.Parameters.Attributes()),
	})
	if err != nil {
		return nil, err
	}
	var (
		counts                         = map[string]int64{}
		country                        string
		people, suppressed, byFallback int64
	)
	_, err = pgx.ForEachRow(rows, []any{&country, &people, &suppressed, &byFallback}, func() error {
		out.Audience += people
		out.Suppressed += suppressed
		out.Fallback += byFallback
		if people > suppressed {
			counts[country] = people - suppressed
		}
		return nil
	})
	return counts, err
}

func (s *Store) dryPrice(ctx context.Context, tx pgx.Tx, v vendor.ID, out *DryRun, counts map[string]int64) error {
	if err := tx.QueryRow(ctx, s.sql("DryRunRate"), pgx.StrictNamedArgs{"vendor_id": v, "id": out.Campaign.SenderNumber}).Scan(&out.RatePerSecond); err != nil {
		return err
	}
	p, err := s.pricesTx(ctx, tx, v, out.Start)
	if err != nil && errs.KindOf(err) == errs.Internal {
		return err
	}
	var zones campaign.Zones
	for country, n := range counts {
		if err == nil {
			_, unpriced := pricing.NewInputs(p.card, out.Campaign.Category, map[string]int64{country: n}, p.fee, p.tax)
			if errors.Is(unpriced, pricing.ErrNoRate) {
				out.NoRate += n
				delete(counts, country)
				continue
			}
		}
		out.WouldSend += n
		clocks := zones.Locations(campaign.JoinZones(phone.CountryTimeZones(country)))
		if out.Campaign.Quiet.Next(out.Start, clocks).After(out.Start) {
			out.QuietAt += n
		}
	}
	var in pricing.Inputs
	if err == nil {
		in, err = pricing.NewInputs(p.card, out.Campaign.Category, counts, p.fee, p.tax)
	}
	if err == nil {
		var q pricing.Quote
		if q, err = pricing.Compute(in); err == nil {
			out.Quote = &q
		}
	}
	if err != nil {
		out.PriceError = errs.CodeOf(err)
	}
	return nil
}

func (s *Store) drySample(ctx context.Context, tx pgx.Tx, v vendor.ID, out *DryRun) error {
	page := walk{audience: out.Campaign.Audience, category: out.Campaign.Category, rows: sampleWalk}
	if err := s.walkTx(ctx, tx, v, &page); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, s.sql("DryRunSample"), pgx.StrictNamedArgs{"vendor_id": v, "contact_ids": page.kept[:min(len(page.kept), dryRunSample)]})
	if err != nil {
		return err
	}
	out.Sample, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ContactRecord, error) { return scanContact(row) })
	if err != nil {
		return err
	}
	return s.decorate(ctx, tx, v, out.Sample)
}

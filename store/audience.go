package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// AudienceCounts returns how many people a campaign of category to a would reach now,
// by country. Suppressed people are not counted.
func (s *Store) AudienceCounts(ctx context.Context, v vendor.ID, a campaign.Audience, c pricing.Category) (map[string]int64, error) {
	var out map[string]int64
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.audienceTx(ctx, tx, v, a, c)
		return err
	})
	return out, err
}

// audienceTx counts by the countries that are kept beside the labels, which at a million
// contacts takes a tenth of looking the contacts up. Where some are not there yet, the
// contacts are looked up.
func (s *Store) audienceTx(ctx context.Context, tx pgx.Tx, v vendor.ID, a campaign.Audience, c pricing.Category) (map[string]int64, error) {
	args := pgx.StrictNamedArgs{"vendor_id": v, "category": c, "excluded_labels": texts(a.ExcludedLabels)}
	statement := "AudienceOfLabels"
	if named := naming(a); len(named) == 1 {
		statement, args["label_id"] = "AudienceOfLabel", named[0]
	} else {
		args["any_labels"], args["all_labels"] = texts(a.AnyLabels), texts(a.AllLabels)
	}
	// What the planner is told holds until the savepoint is given up.
	part, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := part.Exec(ctx, s.sql("PlanByHash")); err != nil {
		return nil, err
	}
	out, complete, err := countries(ctx, part, s.sql(statement), args)
	if err != nil {
		return nil, err
	}
	if err := part.Rollback(ctx); err != nil || complete {
		return out, err
	}
	out, _, err = countries(ctx, tx, s.sql("CampaignAudience"), pgx.StrictNamedArgs{
		"vendor_id": v, "category": c, "any_labels": texts(a.AnyLabels), "all_labels": texts(a.AllLabels), "excluded_labels": texts(a.ExcludedLabels),
	})
	return out, err
}

// naming returns the labels that somebody in the audience has at least one of.
func naming(a campaign.Audience) []campaign.LabelID {
	named := slices.Concat(a.AnyLabels, a.AllLabels)
	slices.Sort(named)
	return slices.Compact(named)
}

// countries reads counts by country; they are not complete where some have no country.
func countries(ctx context.Context, tx pgx.Tx, sql string, args pgx.StrictNamedArgs) (counts map[string]int64, complete bool, err error) {
	rows, err := tx.Query(ctx, sql, args)
	if err != nil {
		return nil, false, err
	}
	counts, complete = map[string]int64{}, true
	var country *string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&country, &n}, func() error {
		if country == nil {
			complete = false
			return nil
		}
		counts[*country] = n
		return nil
	})
	return counts, complete, err
}

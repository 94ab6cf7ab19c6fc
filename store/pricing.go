package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

// ErrRuleExists refuses a second fee or tax rule from the same day on: rules are as
// immutable as rate cards, and superseded by a later day.
var ErrRuleExists = errs.New(errs.Conflict, "pricing.rule_exists", "another rule begins on that day: choose a later one")

// LoadRateCard stores cards as new immutable versions and returns how many were new: a
// card whose every word is known already changes nothing. Prices are the same for every
// vendor; only the operator's role may load them.
func (s *Store) LoadRateCard(ctx context.Context, cards []pricing.Snapshot) (added int, err error) {
	err = s.acrossTx(ctx, func(tx pgx.Tx) error {
		for _, card := range cards {
			snapshot := id.New[string]()
			tag, err := tx.Exec(ctx, s.sql("PricingSnapshotInsert"), pgx.StrictNamedArgs{
				"id": snapshot, "currency": card.Currency, "effective_from": card.From,
				"source": card.Source, "fingerprint": card.Fingerprint(),
			})
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				continue
			}
			added++
			if err := s.insertCard(ctx, tx, snapshot, card); err != nil {
				return err
			}
		}
		return nil
	})
	return added, err
}

func (s *Store) insertCard(ctx context.Context, tx pgx.Tx, snapshot string, card pricing.Snapshot) error {
	b := &pgx.Batch{}
	var markets, categories, prefixes, countries []string
	var rates, quantities []int64
	for _, r := range card.Rates {
		markets, categories, rates = append(markets, string(r.Market)), append(categories, string(r.Category)), append(rates, int64(r.Unit))
	}
	b.Queue(s.sql("PricingRatesInsert"), pgx.StrictNamedArgs{
		"snapshot_id": snapshot, "markets": markets, "categories": categories, "rates": rates,
	})
	markets, categories, rates = nil, nil, nil
	for _, t := range card.Tiers {
		markets, categories = append(markets, string(t.Market)), append(categories, string(t.Category))
		quantities, rates = append(quantities, t.From), append(rates, int64(t.Unit))
	}
	b.Queue(s.sql("PricingTiersInsert"), pgx.StrictNamedArgs{
		"snapshot_id": snapshot, "markets": markets, "categories": categories, "quantities": quantities, "rates": rates,
	})
	markets = nil
	for _, p := range card.Prefixes {
		prefixes, countries, markets = append(prefixes, p.Digits), append(countries, p.Countries), append(markets, string(p.Market))
	}
	b.Queue(s.sql("PricingMarketsInsert"), pgx.StrictNamedArgs{
		"snapshot_id": snapshot, "prefixes": prefixes, "countries": countries, "markets": markets,
	})
	return tx.SendBatch(ctx, b).Close()
}

// RateCard is one stored version, for a list.
type RateCard struct {
	ID       pricing.SnapshotID
	Currency money.Currency
	From     string // first day, YYYY-MM-DD
	Source   string
	LoadedAt time.Time
	Rates    int
	Tiers    int
}

// ListRateCards returns every version of every card.
func (s *Store) ListRateCards(ctx context.Context) ([]RateCard, error) {
	var out []RateCard
	err := s.acrossTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("PricingSnapshotList"))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[RateCard])
		return err
	})
	return out, err
}

// CurrentSnapshot returns the rate card in force for a currency at a time (its UTC day).
//
// Errors: pricing.no_rate_card.
func (s *Store) CurrentSnapshot(ctx context.Context, v vendor.ID, c money.Currency, at time.Time) (*pricing.Snapshot, error) {
	var out *pricing.Snapshot
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.snapshotTx(ctx, tx, c, at)
		return err
	})
	return out, err
}

func (s *Store) snapshotTx(ctx context.Context, tx pgx.Tx, c money.Currency, at time.Time) (*pricing.Snapshot, error) {
	card := &pricing.Snapshot{}
	err := tx.QueryRow(ctx, s.sql("PricingSnapshotCurrent"), pgx.StrictNamedArgs{"currency": c, "day": day(at)}).
		Scan(&card.ID, &card.Currency, &card.From, &card.Source)
	if err != nil {
		return nil, orNotFound(err, pricing.ErrNoRateCard.Detail("no rate card in %s is in force on %s", c, day(at)))
	}
	if known, ok := s.cards.Load(card.ID); ok {
		return known.(*pricing.Snapshot), nil //nolint:errcheck // nothing else is stored
	}
	key := pgx.StrictNamedArgs{"snapshot_id": card.ID}
	if card.Rates, err = collect(ctx, tx, s.sql("PricingRatesBySnapshot"), key, pgx.RowToStructByPos[pricing.Rate]); err != nil {
		return nil, err
	}
	if card.Tiers, err = collect(ctx, tx, s.sql("PricingTiersBySnapshot"), key, pgx.RowToStructByPos[pricing.Tier]); err != nil {
		return nil, err
	}
	if card.Prefixes, err = collect(ctx, tx, s.sql("PricingMarketsBySnapshot"), key, pgx.RowToStructByPos[pricing.Prefix]); err != nil {
		return nil, err
	}
	s.cards.Store(card.ID, card)
	return card, nil
}

// SetPlatformFee stores what the platform takes of vendors on a plan, from a day
// (YYYY-MM-DD) on. The same rule again changes nothing. Operator's role only.
//
// Errors: pricing.bad_rule, pricing.rule_exists.
func (s *Store) SetPlatformFee(ctx context.Context, plan string, c money.Currency, from string, f pricing.FeeRule) error {
	if err := f.Validate(); err != nil {
		return err
	}
	return s.acrossTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.sql("PlatformFeeInsert"), pgx.StrictNamedArgs{
			"id": id.New[string](), "plan": plan, "currency": c, "effective_from": from, "fixed": f.Fixed,
			"per_message": f.PerMessage, "percent_bps": f.PercentBPS, "minimum": f.Minimum, "cap": f.Cap,
		})
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		was, err := s.platformFeeTx(ctx, tx, plan, c, from)
		if err == nil && was != f {
			err = ErrRuleExists
		}
		return err
	})
}

// platformFeeTx returns the rule in force on a day, nothing when there is none.
func (s *Store) platformFeeTx(ctx context.Context, tx pgx.Tx, plan string, c money.Currency, day string) (pricing.FeeRule, error) {
	var f pricing.FeeRule
	err := tx.QueryRow(ctx, s.sql("PlatformFeeByDay"), pgx.StrictNamedArgs{"plan": plan, "currency": c, "day": day}).
		Scan(&f.Fixed, &f.PerMessage, &f.PercentBPS, &f.Minimum, &f.Cap)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return f, err
}

// SetTax stores the tax of vendors in a region (ISO 3166-1 alpha-2), from a day on. The
// same rule again changes nothing. Operator's role only.
//
// Errors: pricing.bad_rule, pricing.rule_exists.
func (s *Store) SetTax(ctx context.Context, region, from string, t pricing.TaxRule) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return s.acrossTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.sql("TaxRuleInsert"), pgx.StrictNamedArgs{
			"id": id.New[string](), "region": region, "name": t.Name, "rate_bps": t.BPS, "effective_from": from,
		})
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		was, err := s.taxTx(ctx, tx, region, from)
		if err == nil && was != t {
			err = ErrRuleExists
		}
		return err
	})
}

func (s *Store) taxTx(ctx context.Context, tx pgx.Tx, region, day string) (pricing.TaxRule, error) {
	var t pricing.TaxRule
	err := tx.QueryRow(ctx, s.sql("TaxRuleByDay"), pgx.StrictNamedArgs{"region": region, "day": day}).Scan(&t.Name, &t.BPS)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return t, err
}

// day is the UTC day of a time: prices change at UTC midnight for everybody.
func day(at time.Time) string { return at.UTC().Format(time.DateOnly) }

// collect runs a query and reads all its rows.
func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args pgx.StrictNamedArgs, row pgx.RowToFunc[T]) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, row)
}

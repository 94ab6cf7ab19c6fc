-- name: PricingSnapshotInsert
-- The same card again is known by its fingerprint and changes nothing.
INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint)
VALUES (@id, @currency, @effective_from::date, @source, @fingerprint)
ON CONFLICT (fingerprint) DO NOTHING;

-- name: PricingRatesInsert
INSERT INTO pricing_rates (snapshot_id, market, category, rate_micros)
SELECT @snapshot_id, r.market, r.category, r.rate_micros
FROM unnest(@markets::text[], @categories::text[], @rates::bigint[]) AS r(market, category, rate_micros);

-- name: PricingTiersInsert
INSERT INTO pricing_tiers (snapshot_id, market, category, from_quantity, rate_micros)
SELECT @snapshot_id, t.market, t.category, t.from_quantity, t.rate_micros
FROM unnest(@markets::text[], @categories::text[], @quantities::bigint[], @rates::bigint[]) AS t(market, category, from_quantity, rate_micros);

-- name: PricingMarketsInsert
INSERT INTO pricing_markets (snapshot_id, prefix, country, market)
SELECT @snapshot_id, p.prefix, p.country, p.market
FROM unnest(@prefixes::text[], @countries::text[], @markets::text[]) AS p(prefix, country, market);

-- name: PricingSnapshotList
SELECT s.id, s.currency, s.effective_from::text, s.source, s.created_at,
       (SELECT count(*) FROM pricing_rates r WHERE r.snapshot_id = s.id) AS rates,
       (SELECT count(*) FROM pricing_tiers t WHERE t.snapshot_id = s.id) AS tiers
FROM pricing_snapshots s ORDER BY s.currency, s.effective_from, s.created_at;

-- name: PricingSnapshotCurrent
-- The card in force on a day; of two for the same day the one loaded later, a correction.
SELECT id, currency, effective_from::text, source FROM pricing_snapshots
WHERE currency = @currency AND effective_from <= @day::date
ORDER BY effective_from DESC, created_at DESC, id DESC LIMIT 1;

-- name: PricingRatesBySnapshot
SELECT market, category, rate_micros FROM pricing_rates WHERE snapshot_id = @snapshot_id ORDER BY market, category;

-- name: PricingTiersBySnapshot
SELECT market, category, from_quantity, rate_micros FROM pricing_tiers WHERE snapshot_id = @snapshot_id ORDER BY market, category, from_quantity;

-- name: PricingMarketsBySnapshot
SELECT prefix, country, market FROM pricing_markets WHERE snapshot_id = @snapshot_id ORDER BY length(prefix) DESC, prefix;

-- name: PlatformFeeInsert
INSERT INTO platform_fee_rules (id, plan, currency, effective_from, fixed_micros, per_message_micros, percent_bps, minimum_micros, cap_micros)
VALUES (@id, @plan, @currency, @effective_from::date, @fixed, @per_message, @percent_bps, @minimum, NULLIF(@cap::bigint, 0))
ON CONFLICT (plan, currency, effective_from) DO NOTHING;

-- name: PlatformFeeByDay
-- Also finds what an insert that did nothing collided with.
SELECT fixed_micros, per_message_micros, percent_bps, minimum_micros, COALESCE(cap_micros, 0)
FROM platform_fee_rules WHERE plan = @plan AND currency = @currency AND effective_from <= @day::date
ORDER BY effective_from DESC LIMIT 1;

-- name: TaxRuleInsert
INSERT INTO tax_rules (id, region, name, rate_bps, effective_from)
VALUES (@id, @region, @name, @rate_bps, @effective_from::date)
ON CONFLICT (region, state, effective_from) DO NOTHING;

-- name: TaxRuleByDay
SELECT name, rate_bps FROM tax_rules WHERE region = @region AND state = '' AND effective_from <= @day::date
ORDER BY effective_from DESC LIMIT 1;

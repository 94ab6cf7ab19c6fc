-- name: BillingByCampaign
-- What one campaign's messages were charged, beside what Meta's statuses say it bills of
-- them: regular ones that arrived, each message once.
SELECT COALESCE(m.category, c.category) AS charged_as, COALESCE(a.meta_category, '') AS meta_category, COALESCE(a.meta_pricing, '') AS meta_pricing,
       a.status IN ('DELIVERED', 'READ') AS arrived, a.captured_micros > a.refunded_micros AS charged,
       count(*), sum(a.captured_micros - a.refunded_micros)::bigint
FROM message_attempts a
JOIN message_logs m ON m.vendor_id = a.vendor_id AND m.id = a.message_id AND m.month = a.month
JOIN campaigns c ON c.vendor_id = a.vendor_id AND c.id = a.campaign_id
WHERE a.vendor_id = @vendor_id AND a.campaign_id = @campaign_id AND a.month = @month
  AND (a.captured_micros > a.refunded_micros OR a.status IN ('DELIVERED', 'READ'))
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;

-- name: BillingByMonth
-- The same for all that was sent in a calendar month (UTC), which may be of campaigns that
-- began the month before.
SELECT COALESCE(m.category, c.category) AS charged_as, COALESCE(a.meta_category, '') AS meta_category, COALESCE(a.meta_pricing, '') AS meta_pricing,
       a.status IN ('DELIVERED', 'READ') AS arrived, a.captured_micros > a.refunded_micros AS charged,
       count(*), sum(a.captured_micros - a.refunded_micros)::bigint
FROM message_attempts a
JOIN message_logs m ON m.vendor_id = a.vendor_id AND m.id = a.message_id AND m.month = a.month
JOIN campaigns c ON c.vendor_id = a.vendor_id AND c.id = a.campaign_id
WHERE a.vendor_id = @vendor_id AND a.month = ANY(@months::integer[])
  AND COALESCE(a.delivered_at, a.read_at, a.sent_at, a.sending_at) >= @from AND COALESCE(a.delivered_at, a.read_at, a.sent_at, a.sending_at) < @until
  AND (a.captured_micros > a.refunded_micros OR a.status IN ('DELIVERED', 'READ'))
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;

-- name: BillingMonthOf
SELECT month FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: MetaBillingDelete
DELETE FROM meta_billing WHERE vendor_id = @vendor_id AND waba_ref = @waba_ref AND day >= @from AND day < @until;

-- name: MetaBillingInsert
-- Meta may tell the same line in parts.
INSERT INTO meta_billing (vendor_id, waba_ref, day, country, phone_number, category, pricing_type, tier, volume, cost_micros, currency)
SELECT @vendor_id, @waba_ref, p.day, p.country, p.phone, p.category, p.pricing_type, p.tier, sum(p.volume)::bigint, sum(p.cost)::bigint, w.currency
FROM unnest(@days::date[], @countries::text[], @phones::text[], @categories::text[], @types::text[], @tiers::text[], @volumes::bigint[], @costs::bigint[])
    AS p(day, country, phone, category, pricing_type, tier, volume, cost)
JOIN wabas w ON w.vendor_id = @vendor_id AND w.id = @waba_ref
GROUP BY p.day, p.country, p.phone, p.category, p.pricing_type, p.tier, w.currency;

-- name: MetaBillingByMonth
SELECT category, pricing_type, COALESCE(currency, ''), sum(volume)::bigint, sum(cost_micros)::bigint, max(fetched_at)
FROM meta_billing WHERE vendor_id = @vendor_id AND day >= @from AND day < @until
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: MetaBillingAccounts
-- Accounts whose token still works.
SELECT id FROM wabas WHERE vendor_id = @vendor_id AND status = 'CONNECTED' ORDER BY id;

-- name: DryRunCounts
-- An audience by country: whom its labels name, who of them is suppressed, and for whom a
-- fallback fills in. Nobody is opened. It is CampaignAudience with the reasons kept apart,
-- and costs the same: keep the two in step.
WITH marks AS (
    SELECT l.contact_id, l.label_id = ANY(@any_labels::uuid[]) AS is_any, (l.label_id = ANY(@all_labels::uuid[]))::integer AS of_all,
           l.label_id = ANY(@excluded_labels::uuid[]) AS barred, false AS suppressed
    FROM contact_labels l
    WHERE l.vendor_id = @vendor_id AND l.label_id = ANY(@any_labels::uuid[] || @all_labels::uuid[] || @excluded_labels::uuid[])
    UNION ALL
    SELECT i.contact_id, false, 0, false, true FROM suppressions s
    CROSS JOIN LATERAL (
        SELECT i.contact_id FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.identity_hash = s.identity_hash OFFSET 0) i
    WHERE s.vendor_id = @vendor_id AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text)
), people AS (
    SELECT m.contact_id, bool_or(m.suppressed) AS suppressed FROM marks m GROUP BY m.contact_id
    HAVING (cardinality(@any_labels::uuid[]) = 0 OR bool_or(m.is_any)) AND sum(m.of_all) = cardinality(@all_labels::uuid[]) AND NOT bool_or(m.barred)
), named AS (
    SELECT c.country, p.suppressed,
           (@uses_name::boolean AND c.nameless) OR (cardinality(@attributes::text[]) > 0 AND cardinality(@attributes::text[]) > (
               SELECT count(*) FROM contact_attributes a
               WHERE a.vendor_id = @vendor_id AND a.contact_id = p.contact_id AND a.name = ANY(@attributes::text[]))) AS fallback
    FROM people p
    CROSS JOIN LATERAL (
        SELECT c.country, c.name_ct IS NULL AS nameless FROM contacts c WHERE c.vendor_id = @vendor_id AND c.id = p.contact_id OFFSET 0) c
)
SELECT country, count(*), count(*) FILTER (WHERE suppressed), count(*) FILTER (WHERE fallback AND NOT suppressed) FROM named GROUP BY country ORDER BY country;

-- name: DryRunPatience
-- A dry run is a question, not a campaign: it gives up before it is a burden.
SET LOCAL statement_timeout = '20s';

-- name: DryRunRate
SELECT rate_per_second FROM sender_numbers WHERE vendor_id = @vendor_id AND id = @id;

-- name: DryRunSample
SELECT c.id, c.mobile_ct, c.name_ct, c.country, c.opted_in_at, c.created_at, c.updated_at
FROM unnest(@contact_ids::uuid[]) AS p(id) JOIN contacts c ON c.vendor_id = @vendor_id AND c.id = p.id ORDER BY c.id;

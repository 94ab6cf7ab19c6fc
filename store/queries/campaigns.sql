-- name: CampaignInsert
INSERT INTO campaigns (vendor_id, id, name, template_id, sender_number_id, category, audience, parameters, scheduled_at, time_zone, created_by,
                       misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, expires_after)
VALUES (@vendor_id, @id, @name, @template_id, @sender_number_id, @category, @audience, @parameters, @scheduled_at, @time_zone, @created_by,
        @misfire_policy, @misfire_tolerance, @quiet_from, @quiet_to, make_interval(secs => @lifetime::bigint));

-- name: CampaignUpdate
-- A campaign as its vendor wrote it again. What was quoted does not fit any more.
UPDATE campaigns SET name = @name, template_id = @template_id, sender_number_id = @sender_number_id, category = @category, audience = @audience,
    parameters = @parameters, scheduled_at = @scheduled_at, time_zone = @time_zone, misfire_policy = @misfire_policy,
    misfire_tolerance_seconds = @misfire_tolerance, quiet_from = @quiet_from, quiet_to = @quiet_to,
    expires_after = make_interval(secs => @lifetime::bigint), status = @status, quotation_id = NULL, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignDelete
DELETE FROM campaigns WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignEverQuoted
SELECT EXISTS (SELECT 1 FROM quotations WHERE vendor_id = @vendor_id AND campaign_id = @id);

-- name: CampaignReschedule
UPDATE campaigns SET scheduled_at = @scheduled_at, time_zone = @time_zone, status = @status, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignWithdraw
-- Back to a draft: what was quoted and approved is void.
WITH void AS (
    UPDATE quotations SET status = 'SUPERSEDED' WHERE vendor_id = @vendor_id AND campaign_id = @id AND status IN ('ISSUED', 'ACCEPTED')
)
UPDATE campaigns SET status = @status, quotation_id = NULL, approved_at = NULL, scheduled_at = NULL, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignRestart
-- Its vendor lets it start late: the policy that stopped it has been answered.
UPDATE campaigns SET misfire_policy = 'SEND' WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignTemplate
-- What a new campaign has to fit: its template, whether the number belongs to the same
-- account, and the vendor's time zone.
SELECT t.name, t.language, t.category, t.status, t.parameter_format, t.components, v.time_zone,
       EXISTS (SELECT 1 FROM sender_numbers n WHERE n.vendor_id = t.vendor_id AND n.id = @sender_number_id AND n.waba_ref = t.waba_ref)
FROM templates t JOIN vendors v ON v.vendor_id = t.vendor_id
WHERE t.vendor_id = @vendor_id AND t.id = @template_id;

-- name: CampaignLabels
SELECT lower(name), id FROM labels WHERE vendor_id = @vendor_id AND lower(name) = ANY(@names::text[]);

-- name: CampaignByID
SELECT id, kind, parent_id, name, status, COALESCE(halt_reason, ''), COALESCE(template_id::text, ''), sender_number_id, category, audience, parameters, scheduled_at,
       time_zone, quotation_id, month, frozen_count, version, created_by, created_at, approved_at, frozen_at, started_at, finished_at,
       COALESCE(halt_remedy, ''), halt_until, expires_at, misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, further_quotation_id,
       EXTRACT(EPOCH FROM expires_after)::bigint
FROM campaigns WHERE vendor_id = @vendor_id AND id = @id;

-- name: CampaignLock
-- Exclusive: marking messages takes the row shared, so what is decided here holds for
-- every message marked later. Standing campaigns are not their vendor's to steer.
SELECT id, kind, parent_id, name, status, COALESCE(halt_reason, ''), COALESCE(template_id::text, ''), sender_number_id, category, audience, parameters, scheduled_at,
       time_zone, quotation_id, month, frozen_count, version, created_by, created_at, approved_at, frozen_at, started_at, finished_at,
       COALESCE(halt_remedy, ''), halt_until, expires_at, misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, further_quotation_id,
       EXTRACT(EPOCH FROM expires_after)::bigint
FROM campaigns WHERE vendor_id = @vendor_id AND id = @id AND kind <> 'SINGLE' FOR UPDATE;

-- name: CampaignList
-- Newest first: ids are made in time order. Replays and the like only when asked for.
SELECT id, kind, parent_id, name, status, COALESCE(halt_reason, ''), COALESCE(template_id::text, ''), sender_number_id, category, audience, parameters, scheduled_at,
       time_zone, quotation_id, month, frozen_count, version, created_by, created_at, approved_at, frozen_at, started_at, finished_at,
       COALESCE(halt_remedy, ''), halt_until, expires_at, misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, further_quotation_id,
       EXTRACT(EPOCH FROM expires_after)::bigint
FROM campaigns
WHERE vendor_id = @vendor_id AND (@before::uuid IS NULL OR id < @before::uuid) AND (@status::text IS NULL OR status = @status::text)
  AND kind = COALESCE(@kind::text, 'CAMPAIGN')
  AND (@template_id::uuid IS NULL OR template_id = @template_id::uuid)
  AND (@sender_number_id::uuid IS NULL OR sender_number_id = @sender_number_id::uuid)
  AND (@created_from::timestamptz IS NULL OR created_at >= @created_from::timestamptz)
  AND (@created_to::timestamptz IS NULL OR created_at < @created_to::timestamptz)
ORDER BY id DESC LIMIT @max_rows;

-- name: CampaignMove
UPDATE campaigns SET status = @status, halt_reason = @halt_reason, quotation_id = @quotation_id,
    halt_remedy = CASE WHEN @halt_reason::text IS NOT NULL THEN halt_remedy END,
    halt_wakes = CASE WHEN @halt_reason::text IS NOT NULL THEN halt_wakes END,
    halted_at = CASE WHEN @halt_reason::text IS NOT NULL THEN halted_at END,
    halt_until = CASE WHEN @halt_reason::text IS NOT NULL THEN halt_until END,
    approved_at = CASE WHEN @status IN ('APPROVED', 'SCHEDULED') THEN COALESCE(approved_at, now()) ELSE approved_at END,
    started_at = CASE WHEN @status = 'RUNNING' THEN COALESCE(started_at, now()) ELSE started_at END,
    expires_at = CASE WHEN @status = 'RUNNING' THEN COALESCE(expires_at, now() + expires_after) ELSE expires_at END,
    finished_at = CASE WHEN @finished::boolean THEN now() ELSE finished_at END,
    version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id
RETURNING version, approved_at, finished_at;

-- name: CampaignFreezeTemplate
-- The template as it is now is what the campaign sends, whatever a sync brings later.
UPDATE campaigns c SET template = jsonb_build_object('name', t.name, 'language', t.language, 'category', t.category,
    'parameter_format', t.parameter_format, 'components', t.components)
FROM templates t
WHERE c.vendor_id = @vendor_id AND c.id = @id AND t.vendor_id = c.vendor_id AND t.id = c.template_id
RETURNING t.name, t.language, t.category, t.status, t.parameter_format, t.components;

-- name: PlanByHash
-- For the rest of the transaction, or of its savepoint. Where the statistics do not know the rows
-- yet, the planner expects a handful and would look through all of one side for each of the
-- other; and it would compile what runs for a fifth of a second.
SELECT set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true), set_config('work_mem', '96MB', true);

-- name: AudienceOfLabel
-- How many would get it, by country, where one label names the audience: one walk of that label.
-- It counts whom the freeze would take, as CampaignAudience does: keep them in step. The
-- country is absent in rows that were written before it was kept there.
WITH barred AS MATERIALIZED (
    SELECT l.contact_id FROM contact_labels l WHERE l.vendor_id = @vendor_id AND l.label_id = ANY(@excluded_labels::uuid[])
    UNION ALL
    SELECT i.contact_id FROM suppressions s
    CROSS JOIN LATERAL (
        SELECT i.contact_id FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.identity_hash = s.identity_hash OFFSET 0) i
    WHERE s.vendor_id = @vendor_id AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text)
)
SELECT l.country, count(*) FROM contact_labels l
WHERE l.vendor_id = @vendor_id AND l.label_id = @label_id AND NOT EXISTS (SELECT FROM barred b WHERE b.contact_id = l.contact_id)
GROUP BY l.country;

-- name: AudienceOfLabels
-- The same for several labels, grouped by contact.
WITH marks AS (
    SELECT l.contact_id, l.label_id = ANY(@any_labels::uuid[]) AS is_any, (l.label_id = ANY(@all_labels::uuid[]))::integer AS of_all,
           l.label_id = ANY(@excluded_labels::uuid[]) AS barred, l.country
    FROM contact_labels l
    WHERE l.vendor_id = @vendor_id AND l.label_id = ANY(@any_labels::uuid[] || @all_labels::uuid[] || @excluded_labels::uuid[])
    UNION ALL
    SELECT i.contact_id, false, 0, true, NULL FROM suppressions s
    CROSS JOIN LATERAL (
        SELECT i.contact_id FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.identity_hash = s.identity_hash OFFSET 0) i
    WHERE s.vendor_id = @vendor_id AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text)
), people AS (
    SELECT max(m.country) AS country FROM marks m GROUP BY m.contact_id
    HAVING (cardinality(@any_labels::uuid[]) = 0 OR bool_or(m.is_any)) AND sum(m.of_all) = cardinality(@all_labels::uuid[]) AND NOT bool_or(m.barred)
)
SELECT country, count(*) FROM people GROUP BY country;

-- name: CampaignAudience
-- The same where a label's rows do not know their contact's country: it is looked up by id. On
-- purpose by grouping and look-ups alone: the cost goes with the audience, and with no
-- statistics can it turn quadratic. As joins it did right after an import: over a minute for
-- 40,000 contacts.
WITH marks AS (
    SELECT l.contact_id, l.label_id = ANY(@any_labels::uuid[]) AS is_any, (l.label_id = ANY(@all_labels::uuid[]))::integer AS of_all,
           l.label_id = ANY(@excluded_labels::uuid[]) AS barred
    FROM contact_labels l
    WHERE l.vendor_id = @vendor_id AND l.label_id = ANY(@any_labels::uuid[] || @all_labels::uuid[] || @excluded_labels::uuid[])
    UNION ALL
    SELECT i.contact_id, false, 0, true FROM suppressions s
    CROSS JOIN LATERAL (
        SELECT i.contact_id FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.identity_hash = s.identity_hash OFFSET 0) i
    WHERE s.vendor_id = @vendor_id AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text)
), people AS (
    SELECT m.contact_id FROM marks m GROUP BY m.contact_id
    HAVING (cardinality(@any_labels::uuid[]) = 0 OR bool_or(m.is_any)) AND sum(m.of_all) = cardinality(@all_labels::uuid[]) AND NOT bool_or(m.barred)
)
SELECT c.country, count(*) FROM people p
CROSS JOIN LATERAL (SELECT c.country FROM contacts c WHERE c.vendor_id = @vendor_id AND c.id = p.contact_id OFFSET 0) c
GROUP BY c.country ORDER BY c.country;

-- name: CampaignCounts
-- By what a message is now; accepted, delivered and read also count what went further.
SELECT count(*),
       count(*) FILTER (WHERE status = 'QUEUED'),
       count(*) FILTER (WHERE status = 'SENDING'),
       count(*) FILTER (WHERE status = 'UNKNOWN'),
       count(*) FILTER (WHERE status = 'UNCONFIRMED'),
       count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED', 'READ') OR (status = 'FAILED' AND wamid IS NOT NULL)),
       count(*) FILTER (WHERE status IN ('DELIVERED', 'READ')),
       count(*) FILTER (WHERE status = 'READ'),
       count(*) FILTER (WHERE status = 'FAILED'),
       count(*) FILTER (WHERE status = 'FAILED' AND wamid IS NULL),
       count(*) FILTER (WHERE status = 'SUPPRESSED'),
       count(*) FILTER (WHERE status = 'CANCELLED'),
       count(*) FILTER (WHERE status = 'EXPIRED')
FROM message_states WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id AND month = @month;

-- name: CampaignCountsKept
SELECT version, counts, cost, counted_at FROM campaign_counts WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id;

-- name: CampaignCountsTry
SELECT pg_try_advisory_xact_lock(hashtextextended('campaign_counts/' || @campaign_id::text, 0));

-- name: CampaignCountsKeep
INSERT INTO campaign_counts (vendor_id, campaign_id, version, counts, cost, counted_at)
VALUES (@vendor_id, @campaign_id, @version, @counts, @cost, @counted_at)
ON CONFLICT (vendor_id, campaign_id) DO UPDATE SET
    version = EXCLUDED.version, counts = EXCLUDED.counts, cost = EXCLUDED.cost, counted_at = EXCLUDED.counted_at
WHERE campaign_counts.counted_at < EXCLUDED.counted_at;

-- name: CampaignMessages
SELECT id, contact_id, country, status, (
           SELECT count(*) FROM message_attempts a
           WHERE a.vendor_id = s.vendor_id AND a.message_id = s.id AND a.month = s.month)::integer AS attempts,
       COALESCE(wamid, ''), price_micros, captured_micros, refunded_micros,
       COALESCE(error_code, 0), COALESCE(error_title, ''), created_at, sent_at, delivered_at, read_at, failed_at,
       CASE WHEN status = 'QUEUED' THEN retry_at END
FROM message_states s
WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id AND month = @month AND id > @after
  AND (@status::text IS NULL OR status = @status::text)
ORDER BY id LIMIT @max_rows;

-- name: SendBegin
-- Takes the next lease of the claim: whoever held an older one can write no more.
UPDATE outbox_claims SET lease = lease + 1, claimed_until = now() + @keep
WHERE vendor_id = @vendor_id AND id = @claim_id
RETURNING lease, lane_id, campaign_id, month, message_ids, kind;

-- name: SendOrphansSettle
-- What an earlier lease posted and never recorded, but a webhook has told of since: it
-- leaves the claim, and the settlement charges it or buries it.
WITH told AS (
    SELECT a.message_id, a.attempt, a.month, a.campaign_id FROM message_attempts a
    WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = ANY(@message_ids) AND a.claim_id = @claim_id
      AND a.status IN ('SENT', 'DELIVERED', 'READ', 'FAILED') AND a.retry_at IS NULL AND a.captured_micros = 0
    ORDER BY a.message_id, a.attempt
), due AS (
    INSERT INTO settlements (vendor_id, message_id, attempt, month, campaign_id)
    SELECT @vendor_id, message_id, attempt, month, campaign_id FROM told ON CONFLICT DO NOTHING
)
SELECT message_id FROM told;

-- name: SendOrphansUnknown
-- What an earlier lease marked and never recorded may have left: its outcome is unknown.
WITH lost AS (
    SELECT a.message_id, a.attempt, a.month, a.campaign_id, a.sending_at FROM message_attempts a
    WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = ANY(@message_ids)
      AND a.claim_id = @claim_id AND a.status = 'SENDING'
    ORDER BY a.message_id, a.attempt FOR UPDATE
), moved AS (
    UPDATE message_attempts a SET status = 'UNKNOWN' FROM lost
    WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = lost.message_id AND a.attempt = lost.attempt
)
INSERT INTO unknown_attempts (vendor_id, message_id, attempt, month, campaign_id, settle_at)
SELECT @vendor_id, message_id, attempt, month, campaign_id, sending_at + @grace FROM lost
ON CONFLICT DO NOTHING
RETURNING message_id;

-- name: SendJob
-- The template is the one that was approved with the campaign: what a sync brought since
-- changes nothing. One-off messages bring their own content: their campaign has none.
SELECT c.status, c.category, c.parameters, COALESCE(c.template->>'name', t.name, '') AS template_name,
       COALESCE(c.template->>'language', t.language, '') AS language, COALESCE(c.template->>'parameter_format', t.parameter_format, '') AS parameter_format,
       COALESCE(c.template->'components', t.components) AS components,
       n.phone_number_id, n.rate_per_second, w.token_ct, w.id AS waba_ref, v.default_region,
       CASE WHEN p.daily_limit IS NOT NULL THEN p.portfolio_id ELSE '' END AS limited_portfolio, c.expires_at, c.kind = 'REPLAY' AS replay,
       COALESCE(c.quiet_from, 0), COALESCE(c.quiet_to, 0)
FROM campaigns c
LEFT JOIN templates t ON t.vendor_id = c.vendor_id AND t.id = c.template_id
JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
JOIN wabas w ON w.vendor_id = n.vendor_id AND w.id = n.waba_ref
LEFT JOIN portfolios p ON p.vendor_id = w.vendor_id AND p.portfolio_id = w.portfolio_id
JOIN vendors v ON v.vendor_id = c.vendor_id
WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id;

-- name: SendMark
-- The one gate to the wire: only what this returns as marked is POSTed. The campaign's
-- row is locked shared, so a pause or cancel waits for marks and then stops all later ones.
-- After the campaign's end, whatever its state, what is left ends here.
-- $1 vendor, $2 claim, $3 lease, $4 month, $5 message ids
WITH claim AS (
    SELECT c.campaign_id FROM outbox_claims c WHERE c.vendor_id = $1 AND c.id = $2 AND c.lease = $3 FOR SHARE
), running AS (
    SELECT c.id, c.category, COALESCE(c.expires_at <= now(), false) AS over FROM campaigns c
    WHERE c.vendor_id = $1 AND c.id = (SELECT campaign_id FROM claim)
      AND (c.status = 'RUNNING' OR c.status IN ('PAUSED', 'HALTED') AND c.expires_at <= now()) FOR SHARE
), due AS (
    SELECT m.id, m.contact_id, m.recipient_hash, m.mobile_ct, m.name_ct, m.attributes, m.price_micros, m.country,
           (COALESCE(a.attempt, 0) + 1)::smallint AS attempt, COALESCE(a.waits, 0)::smallint AS waits, r.id AS campaign_id, r.over,
           EXISTS (
               SELECT 1 FROM suppressions s
               WHERE s.vendor_id = $1 AND s.lifted_at IS NULL AND (s.scope = 'ALL' OR s.scope = COALESCE(m.category, r.category))
                 AND s.identity_hash IN (
                     SELECT m.recipient_hash UNION ALL
                     SELECT i.identity_hash FROM contact_identities i WHERE i.vendor_id = $1 AND i.contact_id = m.contact_id)
           ) AS suppressed
    FROM running r CROSS JOIN message_logs m
    LEFT JOIN LATERAL (
        SELECT a.attempt, a.status, a.retry_at, a.waits FROM message_attempts a
        WHERE a.vendor_id = $1 AND a.month = $4 AND a.message_id = m.id ORDER BY a.attempt DESC LIMIT 1) a ON true
    WHERE m.vendor_id = $1 AND m.month = $4 AND m.id = ANY($5::bigint[]) AND m.outcome IS NULL
      AND (a.attempt IS NULL OR (a.status IN ('FAILED', 'UNCONFIRMED') AND a.retry_at IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM message_attempts d
          WHERE d.vendor_id = $1 AND d.month = $4 AND d.message_id = m.id AND d.status IN ('SENT', 'DELIVERED', 'READ'))))
), stopped AS (
    UPDATE message_logs m SET outcome = CASE WHEN due.suppressed THEN 'SUPPRESSED' ELSE 'EXPIRED' END, outcome_at = now() FROM due
    WHERE (due.suppressed OR due.over) AND m.vendor_id = $1 AND m.month = $4 AND m.id = due.id
), marked AS (
    INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status, waits)
    SELECT $1, due.id, due.attempt, $4, due.campaign_id, $2, 'SENDING', due.waits FROM due
    WHERE NOT due.suppressed AND NOT due.over ORDER BY due.id
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT due.id, due.contact_id, due.mobile_ct, due.name_ct, due.attributes, due.price_micros, due.country, due.attempt, due.waits,
       due.suppressed OR due.over AS stopped, due.id IN (SELECT message_id FROM marked) AS marked, due.recipient_hash
FROM due ORDER BY due.id;

-- name: SendStatus
-- Why a mark returned nothing: the campaign's status, and whether the lease is still ours.
SELECT c.status, EXISTS (SELECT 1 FROM outbox_claims k WHERE k.vendor_id = @vendor_id AND k.id = @claim_id AND k.lease = @lease) AS leased
FROM campaigns c WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id;

-- name: SendRecord
-- What Meta answered, merged with what its webhooks may already have said. Captures a
-- message's own price once. One that Meta accepted, and whose failure was told before this,
-- goes to the settlement. $1 vendor, $2 month, $3.. parallel arrays, sorted by message.
-- LATERAL with OFFSET 0 and the upsert are look-ups by primary key whatever the statistics
-- say: as joins, the plan read every attempt the vendor had, at every call.
WITH r AS (
    SELECT * FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[],
                         $10::timestamptz[], $11::bigint[], $12::smallint[])
        AS r(message_id, attempt, status, wamid, code, title, details, retry_at, price_micros, waits)
), merged AS (
    SELECT r.*, old.campaign_id, old.claim_id, old.captured_micros AS captured_before,
           CASE WHEN message_rank(r.status) > message_rank(old.status) THEN r.status ELSE old.status END AS now_status,
           -- After the grace period it has been decided whether another attempt is made.
           COALESCE(CASE WHEN old.status <> 'UNCONFIRMED' THEN r.retry_at END, old.retry_at) AS now_retry_at
    FROM r CROSS JOIN LATERAL (
        SELECT a.campaign_id, a.claim_id, a.status, a.captured_micros, a.retry_at FROM message_attempts a
        WHERE a.vendor_id = $1 AND a.month = $2 AND a.message_id = r.message_id AND a.attempt = r.attempt
        FOR UPDATE OFFSET 0) old
), done AS (
    INSERT INTO message_attempts AS a (vendor_id, message_id, attempt, month, campaign_id, claim_id, status, wamid, sent_at, failed_at,
                                       error_code, error_title, error_details, retry_at, waits, captured_micros)
    SELECT $1, m.message_id, m.attempt, $2, m.campaign_id, m.claim_id, m.now_status, m.wamid,
           CASE WHEN m.status = 'SENT' THEN now() END, CASE WHEN m.now_status = 'FAILED' THEN now() END,
           m.code, m.title, m.details, CASE WHEN m.now_status = 'FAILED' THEN m.now_retry_at END, m.waits,
           CASE WHEN m.captured_before = 0 AND m.now_status IN ('SENT', 'DELIVERED', 'READ') THEN m.price_micros ELSE m.captured_before END
    FROM merged m
    ON CONFLICT (vendor_id, message_id, attempt, month) DO UPDATE SET
        status = EXCLUDED.status, wamid = COALESCE(EXCLUDED.wamid, a.wamid),
        sent_at = COALESCE(a.sent_at, EXCLUDED.sent_at), failed_at = COALESCE(a.failed_at, EXCLUDED.failed_at),
        error_code = COALESCE(EXCLUDED.error_code, a.error_code), error_title = COALESCE(EXCLUDED.error_title, a.error_title),
        error_details = COALESCE(EXCLUDED.error_details, a.error_details),
        retry_at = EXCLUDED.retry_at, waits = GREATEST(a.waits, EXCLUDED.waits), captured_micros = EXCLUDED.captured_micros
    RETURNING a.captured_micros
), fallen AS (
    INSERT INTO settlements (vendor_id, message_id, attempt, month, campaign_id)
    SELECT $1, m.message_id, m.attempt, $2, m.campaign_id FROM merged m WHERE m.status IN ('SENT', 'UNKNOWN') AND m.now_status = 'FAILED'
    ORDER BY m.message_id
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT (COALESCE((SELECT sum(captured_micros) FROM done), 0) - COALESCE((SELECT sum(captured_before) FROM merged), 0))::bigint AS captured_micros,
       EXISTS (SELECT 1 FROM fallen) AS fallen;

-- name: SuppressRecipients
-- The recipients of these messages get no marketing any more, by whatever name Meta knows them.
INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source)
SELECT DISTINCT m.vendor_id, x.identity_hash, 'MARKETING', @reason, @source
FROM message_logs m CROSS JOIN LATERAL (
    SELECT m.recipient_hash AS identity_hash UNION
    SELECT i.identity_hash FROM contact_identities i WHERE i.vendor_id = m.vendor_id AND i.contact_id = m.contact_id) x
WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = ANY(@message_ids::bigint[])
ORDER BY 2
ON CONFLICT (vendor_id, identity_hash, scope) DO UPDATE
SET reason = EXCLUDED.reason, source = EXCLUDED.source, created_at = now(), lifted_at = NULL
WHERE suppressions.lifted_at IS NOT NULL;

-- name: SendForget
-- Attempts that did not happen (throttled, never left): they cost the message nothing.
-- Only this claim's own: a repeat of the statement must not take away what another claim
-- has on the wire under the same number since. A newer lease may have given them up as
-- unknown meanwhile: who would have posted them knows better.
DELETE FROM message_attempts a USING unnest(@message_ids::bigint[], @attempts::smallint[]) AS r(message_id, attempt)
WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = r.message_id AND a.attempt = r.attempt
  AND a.claim_id = @claim_id AND a.status IN ('SENDING', 'UNKNOWN');

-- name: SendDoubtful
-- Attempts of these messages that this lease of the claim marked, and of which nothing is
-- recorded. None once a newer lease has begun: it may have marked them itself since, and
-- posted them. The lock sees the newest lease, while the marks are those of the snapshot.
WITH held AS MATERIALIZED (
    SELECT FROM outbox_claims WHERE vendor_id = @vendor_id AND id = @claim_id AND lease = @lease FOR SHARE
)
SELECT a.message_id, a.attempt FROM message_attempts a
WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = ANY(@message_ids::bigint[])
  AND a.claim_id = @claim_id AND a.status IN ('SENDING', 'UNKNOWN') AND EXISTS (SELECT FROM held) ORDER BY a.message_id;

-- name: SendUnknownInsert
INSERT INTO unknown_attempts (vendor_id, message_id, attempt, month, campaign_id, settle_at)
SELECT @vendor_id, r.message_id, r.attempt, @month, @campaign_id, now() + @grace
FROM unnest(@message_ids::bigint[], @attempts::smallint[]) AS r(message_id, attempt)
JOIN message_attempts a ON a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = r.message_id AND a.attempt = r.attempt
WHERE a.status = 'UNKNOWN'
ON CONFLICT DO NOTHING;

-- name: SendUnknownSettled
-- A record that came after all: the attempt need not wait for a webhook.
DELETE FROM unknown_attempts WHERE vendor_id = @vendor_id AND month = @month AND message_id = ANY(@message_ids)
  AND NOT EXISTS (SELECT 1 FROM message_attempts a WHERE a.vendor_id = @vendor_id AND a.month = @month
                  AND a.message_id = unknown_attempts.message_id AND a.attempt = unknown_attempts.attempt AND a.status = 'UNKNOWN');

-- name: SendDeadLetters
INSERT INTO dead_letters (vendor_id, id, source, campaign_id, message_id, attempt, month, cause_class, code, reason)
SELECT @vendor_id, gen_random_uuid(), 'MESSAGE', @campaign_id, r.message_id, r.attempt, @month, r.cause_class, r.code, r.reason
FROM unnest(@message_ids::bigint[], @attempts::smallint[], @classes::text[], @codes::integer[], @reasons::text[])
    AS r(message_id, attempt, cause_class, code, reason)
ON CONFLICT (vendor_id, message_id, attempt) WHERE source = 'MESSAGE' DO NOTHING;

-- name: SendRequeue
-- Rows go back to their lane, those that may be sent (again): a claim that is gone does not
-- lose them, and a repeat does not bring back what was sent since. Those of a cancelled
-- campaign end here: its row is locked shared, so a cancel either sees them or is seen.
WITH owner AS (
    SELECT c.status FROM campaigns c WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id FOR SHARE
), back AS (
    SELECT r.message_id, r.available_at, r.wait_reason, l.id AS lane_id, owner.status
    FROM unnest(@message_ids::bigint[], @available_at::timestamptz[], @waits::text[]) AS r(message_id, available_at, wait_reason)
    JOIN outbox_lanes l ON l.vendor_id = @vendor_id AND l.id = @lane_id
    CROSS JOIN owner
    WHERE NOT EXISTS (
        SELECT 1 FROM message_attempts a
        WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = r.message_id
          AND (a.status NOT IN ('FAILED', 'UNCONFIRMED') OR a.retry_at IS NULL))
), ended AS (
    UPDATE message_logs m SET outcome = 'CANCELLED', outcome_at = now() FROM back
    WHERE back.status = 'CANCELLED' AND m.vendor_id = @vendor_id AND m.month = @month AND m.id = back.message_id AND m.outcome IS NULL
)
INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at, wait_reason)
SELECT @vendor_id, back.lane_id, 'message', back.message_id, back.available_at, back.wait_reason
FROM back WHERE back.status <> 'CANCELLED' ORDER BY back.message_id
ON CONFLICT (vendor_id, message_id) WHERE message_id IS NOT NULL DO NOTHING;

-- name: SendProgress
-- What is settled leaves the claim: what it holds is what is in flight.
UPDATE outbox_claims SET
    message_ids = ARRAY(SELECT unnest(message_ids) EXCEPT SELECT unnest(@done_ids::bigint[]) ORDER BY 1),
    open_rows = GREATEST(open_rows - cardinality(@done_ids::bigint[]), 0),
    claimed_until = GREATEST(claimed_until, now() + @keep)
WHERE vendor_id = @vendor_id AND id = @claim_id AND lease = @lease
RETURNING open_rows;

-- name: SendEnd
DELETE FROM outbox_claims WHERE vendor_id = @vendor_id AND id = @claim_id AND lease = @lease RETURNING message_ids;

-- name: SendUnended
-- Of what an ended claim still held: messages that did not end without an attempt.
SELECT m.id FROM message_logs m
WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = ANY(@message_ids::bigint[]) AND m.outcome IS NULL
ORDER BY m.id;

-- name: SendCancelRows
UPDATE message_logs SET outcome = 'CANCELLED', outcome_at = now()
WHERE vendor_id = @vendor_id AND month = @month AND id = ANY(@message_ids) AND outcome IS NULL;

-- name: CampaignKind
SELECT kind FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: CampaignDrained
SELECT campaign_drained(@vendor_id, @campaign_id);

-- name: OrphanTake
DELETE FROM orphan_statuses WHERE vendor_id = @vendor_id AND wamid = ANY(@wamids)
RETURNING wamid, status, happened_at, error_code, error_title, error_details, COALESCE(meta_category, ''), COALESCE(meta_pricing, '');

-- name: OrphanTakeKnown
-- Parked statuses whose send has been recorded since.
WITH known AS (
    SELECT o.wamid, o.status, a.message_id, a.attempt, a.month FROM orphan_statuses o
    JOIN message_attempts a ON a.vendor_id = o.vendor_id AND a.wamid = o.wamid
    WHERE o.vendor_id = @vendor_id ORDER BY o.wamid, o.status LIMIT 1000
)
DELETE FROM orphan_statuses o USING known
WHERE o.vendor_id = @vendor_id AND o.wamid = known.wamid AND o.status = known.status
RETURNING o.wamid, o.status, o.happened_at, o.error_code, o.error_title, o.error_details, COALESCE(o.meta_category, ''), COALESCE(o.meta_pricing, ''), known.message_id, known.attempt, known.month;

-- name: StatusMerge
-- Statuses told by webhooks, at most one row per attempt, merged into the lattice. Many
-- vendors in one statement; rows are locked in primary-key order. What follows in
-- money or completion is enqueued by the caller from what this returns.
WITH s AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::integer[], $5::text[], $6::text[],
                         $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[],
                         $11::integer[], $12::text[], $13::text[], $14::text[], $15::text[])
        AS s(vendor_id, message_id, attempt, month, status, wamid, sent_at, delivered_at, read_at, failed_at,
             code, title, details, meta_category, meta_pricing)
), old AS (
    SELECT a.vendor_id, a.message_id, a.attempt, a.month, a.status FROM message_attempts a
    JOIN s USING (vendor_id, message_id, attempt, month)
    ORDER BY a.vendor_id, a.message_id, a.attempt FOR UPDATE OF a
)
UPDATE message_attempts a SET
    status = CASE WHEN message_rank(s.status) > message_rank(old.status) THEN s.status ELSE old.status END,
    wamid = COALESCE(a.wamid, s.wamid),
    sent_at = COALESCE(a.sent_at, s.sent_at), delivered_at = COALESCE(a.delivered_at, s.delivered_at),
    read_at = COALESCE(a.read_at, s.read_at), failed_at = COALESCE(a.failed_at, s.failed_at),
    error_code = COALESCE(s.code, a.error_code), error_title = COALESCE(s.title, a.error_title),
    error_details = COALESCE(s.details, a.error_details),
    meta_category = COALESCE(s.meta_category, a.meta_category), meta_pricing = COALESCE(s.meta_pricing, a.meta_pricing)
FROM s JOIN old USING (vendor_id, message_id, attempt, month)
WHERE a.vendor_id = s.vendor_id AND a.message_id = s.message_id AND a.attempt = s.attempt AND a.month = s.month
RETURNING a.vendor_id, a.message_id, a.attempt, a.month, a.campaign_id, old.status AS before, a.status AS after;

-- name: StatusRoute
SELECT phone_number_id, vendor_id FROM sender_numbers WHERE phone_number_id = ANY(@phone_number_ids);

-- name: StatusByWamid
SELECT a.vendor_id, a.wamid, a.message_id, a.attempt, a.month
FROM message_attempts a JOIN unnest(@vendor_ids::uuid[], @wamids::text[]) AS w(vendor_id, wamid)
  ON a.vendor_id = w.vendor_id AND a.wamid = w.wamid;

-- name: StatusPark
INSERT INTO orphan_statuses (vendor_id, wamid, status, happened_at, error_code, error_title, error_details, meta_category, meta_pricing)
SELECT * FROM unnest(@vendor_ids::uuid[], @wamids::text[], @statuses::text[], @happened_at::timestamptz[],
                     @codes::integer[], @titles::text[], @details::text[], @categories::text[], @pricing::text[])
ON CONFLICT DO NOTHING;

-- name: StatusParked
-- Vendors of whom a status was parked under a wamid that is known now.
SELECT DISTINCT o.vendor_id FROM orphan_statuses o
JOIN unnest(@vendor_ids::uuid[], @wamids::text[]) AS w(vendor_id, wamid) ON o.vendor_id = w.vendor_id AND o.wamid = w.wamid;

-- name: StatusSettle
INSERT INTO settlements (vendor_id, message_id, attempt, month, campaign_id)
SELECT * FROM unnest(@vendor_ids::uuid[], @message_ids::bigint[], @attempts::smallint[], @months::integer[], @campaign_ids::uuid[])
ON CONFLICT DO NOTHING;

-- name: IntakeInsert
INSERT INTO webhook_intakes (id, requests, unrouted, bodies_ct) VALUES (@id, @requests, @unrouted, @bodies_ct);

-- name: AccountHear
-- Whose these accounts are; those whose standing was told of remember when.
WITH told AS (
    SELECT w.vendor_id, w.id, t.standing FROM wabas w JOIN unnest(@waba_ids::text[], @standing::boolean[]) AS t(waba_id, standing) USING (waba_id)
    ORDER BY w.vendor_id, w.id FOR UPDATE OF w
), noted AS (
    UPDATE wabas w SET heard_at = clock_timestamp() FROM told WHERE told.standing AND w.vendor_id = told.vendor_id AND w.id = told.id
)
SELECT vendor_id, id FROM told;

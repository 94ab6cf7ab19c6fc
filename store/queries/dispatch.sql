-- name: DispatchLock
SELECT status, audience, parameters, COALESCE(template_id::text, ''), sender_number_id, category, scheduled_at, month, quotation_id,
       freeze_cursor, frozen_at, frozen_count, misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, COALESCE(halt_reason, '')
FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id FOR UPDATE;

-- name: DispatchState
SELECT status, scheduled_at, frozen_at, frozen_count, COALESCE(halt_reason, '') AS halt_reason, version, finished_at IS NOT NULL AS finished,
       expires_at, halt_until
FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchPrepare
UPDATE campaigns SET status = @status, month = COALESCE(month, @month), version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchPartitions
-- Of the month and the next one, so that no month begins without.
SELECT message_partitions_ensure(m) FROM unnest(ARRAY[@month::integer, @month::integer + CASE @month::integer % 100 WHEN 12 THEN 89 ELSE 1 END]) m;

-- name: DispatchSharesInsert
-- The quoted lines, to be handed out message by message.
INSERT INTO campaign_shares (vendor_id, campaign_id, country, quantity, share_micros, share_remainder)
SELECT i.vendor_id, @campaign_id, i.country, i.quantity, i.share_micros, i.share_remainder
FROM quotation_items i WHERE i.vendor_id = @vendor_id AND i.quotation_id = @quotation_id AND i.kind = 'MESSAGES'
ON CONFLICT DO NOTHING;

-- name: DispatchLaneInsert
-- Paused until the whole audience is frozen. The window is two seconds of the number's rate.
INSERT INTO outbox_lanes (vendor_id, kind, campaign_id, sender_number_id, month, window_rows, paused)
SELECT @vendor_id, 'CAMPAIGN', @campaign_id, n.id, @month, n.rate_per_second * 2, true
FROM sender_numbers n WHERE n.vendor_id = @vendor_id AND n.id = @sender_number_id
ON CONFLICT (vendor_id, campaign_id, sender_number_id) DO NOTHING;

-- name: DispatchLaunch
UPDATE campaigns SET status = @status, halt_reason = @halt_reason, frozen_at = COALESCE(frozen_at, now()),
    started_at = CASE WHEN @status = 'RUNNING' THEN COALESCE(started_at, now()) ELSE started_at END,
    expires_at = CASE WHEN @status = 'RUNNING' THEN COALESCE(expires_at, now() + expires_after) ELSE expires_at END,
    version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchMissed
UPDATE campaigns SET status = @status, halt_reason = @halt_reason, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchLanesPause
UPDATE outbox_lanes SET paused = @paused WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id;

-- name: DispatchCancelPage
-- Rows of a cancelled campaign that no claim holds end here.
WITH gone AS (
    DELETE FROM outbox_events e USING (
        SELECT e.vendor_id, e.id FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
        WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id ORDER BY e.id LIMIT @page_rows) d
    WHERE e.vendor_id = d.vendor_id AND e.id = d.id
    RETURNING e.message_id
)
UPDATE message_logs m SET outcome = 'CANCELLED', outcome_at = now() FROM gone
WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = gone.message_id AND m.outcome IS NULL;

-- name: DispatchEventsLeft
SELECT EXISTS (SELECT 1 FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
               WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id);

-- name: DispatchFees
-- Quoted lines that belong to the campaign, not to a message.
SELECT COALESCE(sum(amount_micros), 0)::bigint FROM quotation_items
WHERE vendor_id = @vendor_id AND quotation_id = @quotation_id AND kind <> 'MESSAGES';

-- name: DispatchAnySent
SELECT EXISTS (SELECT 1 FROM message_attempts WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id AND captured_micros > 0);

-- name: DispatchHeld
SELECT COALESCE((SELECT balance_micros FROM ledger_accounts
                 WHERE vendor_id = @vendor_id AND kind = 'HOLD' AND campaign_id = @campaign_id), 0)::bigint;

-- name: DispatchFinish
UPDATE campaigns SET status = @status, finished_at = now(), version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchLanesDelete
DELETE FROM outbox_lanes WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id;

-- name: SettlementSilent
-- Attempts whose grace period is over without a webhook's word, and what their vendor wants
-- done with them.
WITH due AS (
    SELECT u.message_id, u.attempt, u.month FROM unknown_attempts u
    WHERE u.vendor_id = @vendor_id AND u.settle_at <= now() ORDER BY u.message_id, u.attempt LIMIT 1000
)
SELECT a.message_id, a.attempt, a.month, a.campaign_id, c.status, c.expires_at,
       CASE COALESCE(m.category, c.category) WHEN 'MARKETING' THEN v.unknown_policy_marketing ELSE v.unknown_policy_utility END AS policy,
       a.status = 'UNKNOWN' AS silent,
       EXISTS (SELECT 1 FROM message_attempts b WHERE b.vendor_id = @vendor_id AND b.message_id = a.message_id AND b.month = a.month
                 AND b.attempt <> a.attempt AND b.status IN ('SENT', 'DELIVERED', 'READ')) AS overtaken
FROM due JOIN message_attempts a ON a.vendor_id = @vendor_id AND a.message_id = due.message_id AND a.attempt = due.attempt AND a.month = due.month
JOIN message_logs m ON m.vendor_id = @vendor_id AND m.id = a.message_id AND m.month = a.month
JOIN campaigns c ON c.vendor_id = @vendor_id AND c.id = a.campaign_id
JOIN vendors v ON v.vendor_id = @vendor_id
ORDER BY a.message_id, a.attempt FOR UPDATE OF a;

-- name: SettlementSilence
-- Final attempts are listed, and raised by any later word; others are followed by one more.
UPDATE message_attempts a SET status = 'UNCONFIRMED', retry_at = r.retry_at
FROM unnest(@message_ids::bigint[], @attempts::smallint[], @months::integer[], @retry_at::timestamptz[]) AS r(message_id, attempt, month, retry_at)
WHERE a.vendor_id = @vendor_id AND a.message_id = r.message_id AND a.attempt = r.attempt AND a.month = r.month AND a.status = 'UNKNOWN';

-- name: SettlementSilenceKnown
DELETE FROM unknown_attempts u USING unnest(@message_ids::bigint[], @attempts::smallint[], @months::integer[]) AS r(message_id, attempt, month)
WHERE u.vendor_id = @vendor_id AND u.message_id = r.message_id AND u.attempt = r.attempt AND u.month = r.month;

-- name: SettlementRetry
-- Attempts that failed after Meta had accepted them, and are followed by one more.
UPDATE message_attempts a SET retry_at = r.retry_at, waits = r.waits
FROM unnest(@message_ids::bigint[], @attempts::smallint[], @months::integer[], @retry_at::timestamptz[], @waits::smallint[])
    AS r(message_id, attempt, month, retry_at, waits)
WHERE a.vendor_id = @vendor_id AND a.message_id = r.message_id AND a.attempt = r.attempt AND a.month = r.month;

-- name: SettlementRequeue
-- Messages that go out once more are back in their campaign's lane. It may be closed: then
-- they wait with the campaign. Those of a cancelled campaign end here: its row is locked
-- shared, so a cancel either sees them or is seen.
WITH r AS (
    SELECT * FROM unnest(@message_ids::bigint[], @months::integer[], @campaign_ids::uuid[], @available_at::timestamptz[])
        AS r(message_id, month, campaign_id, available_at)
), owner AS (
    SELECT c.id, c.status FROM campaigns c WHERE c.vendor_id = @vendor_id AND c.id = ANY(@campaign_ids::uuid[]) ORDER BY c.id FOR SHARE
), ended AS (
    UPDATE message_logs m SET outcome = 'CANCELLED', outcome_at = now() FROM r JOIN owner ON owner.id = r.campaign_id
    WHERE owner.status = 'CANCELLED' AND m.vendor_id = @vendor_id AND m.month = r.month AND m.id = r.message_id AND m.outcome IS NULL
)
INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
SELECT @vendor_id, l.id, 'message', r.message_id, r.available_at
FROM r JOIN owner ON owner.id = r.campaign_id AND owner.status <> 'CANCELLED'
CROSS JOIN LATERAL (
    SELECT l.id FROM outbox_lanes l WHERE l.vendor_id = @vendor_id AND l.campaign_id = r.campaign_id ORDER BY l.id LIMIT 1) l
ORDER BY r.message_id
ON CONFLICT (vendor_id, message_id) WHERE message_id IS NOT NULL DO NOTHING;

-- name: SettlementOvertaken
-- Meta accepted or delivered these messages after all: no further attempt is made.
WITH r AS (
    SELECT * FROM unnest(@message_ids::bigint[], @months::integer[]) AS r(message_id, month)
), held AS (
    SELECT a.message_id, a.attempt, a.month FROM message_attempts a JOIN r USING (message_id, month)
    WHERE a.vendor_id = @vendor_id AND a.retry_at IS NOT NULL ORDER BY a.message_id, a.attempt FOR UPDATE OF a
), cleared AS (
    UPDATE message_attempts a SET retry_at = NULL FROM held
    WHERE a.vendor_id = @vendor_id AND a.message_id = held.message_id AND a.attempt = held.attempt AND a.month = held.month
)
DELETE FROM outbox_events e USING r WHERE e.vendor_id = @vendor_id AND e.message_id = r.message_id;

-- name: SettlementTake
-- A page of what webhooks enqueued, with what the attempt says now and whose hold pays.
WITH page AS (
    DELETE FROM settlements s USING (
        SELECT message_id, attempt, month FROM settlements WHERE vendor_id = @vendor_id
        ORDER BY message_id, attempt, month LIMIT 1000 FOR UPDATE SKIP LOCKED) p
    WHERE s.vendor_id = @vendor_id AND s.message_id = p.message_id AND s.attempt = p.attempt AND s.month = p.month
    RETURNING s.message_id, s.attempt, s.month, s.campaign_id
)
SELECT a.message_id, a.attempt, a.month, a.campaign_id, a.status, a.captured_micros, a.refunded_micros,
       m.price_micros, COALESCE(a.error_code, 0) AS code, COALESCE(a.error_title, '') AS title,
       c.finished_at IS NOT NULL AS finished, c.status AS campaign_status, COALESCE(m.category, c.category), m.country, c.expires_at, a.waits, a.retry_at,
       m.outcome IS NOT NULL OR o.alive AS overtaken, o.later, o.charged_micros AS rivals, c.kind = 'SINGLE' AS single
FROM page p
JOIN message_attempts a ON a.vendor_id = @vendor_id AND a.message_id = p.message_id AND a.attempt = p.attempt AND a.month = p.month
JOIN message_logs m ON m.vendor_id = @vendor_id AND m.id = p.message_id AND m.month = p.month
JOIN campaigns c ON c.vendor_id = @vendor_id AND c.id = a.campaign_id
CROSS JOIN LATERAL (
    -- The message's other attempts: whether one of them may still arrive, whether one came
    -- after this, and what they are charged with.
    SELECT COALESCE(bool_or(b.attempt > a.attempt AND b.retry_at IS NOT NULL OR b.status IN ('SENDING', 'UNKNOWN', 'SENT', 'DELIVERED', 'READ')), false) AS alive,
           COALESCE(bool_or(b.attempt > a.attempt), false) AS later,
           COALESCE(sum(b.captured_micros - b.refunded_micros), 0)::bigint AS charged_micros
    FROM message_attempts b
    WHERE b.vendor_id = @vendor_id AND b.message_id = a.message_id AND b.month = a.month AND b.attempt <> a.attempt) o
ORDER BY a.message_id, a.attempt FOR UPDATE OF a;

-- name: SettlementBook
UPDATE message_attempts a SET captured_micros = r.captured, refunded_micros = r.refunded
FROM unnest(@message_ids::bigint[], @attempts::smallint[], @months::integer[], @captured::bigint[], @refunded::bigint[])
    AS r(message_id, attempt, month, captured, refunded)
WHERE a.vendor_id = @vendor_id AND a.message_id = r.message_id AND a.attempt = r.attempt AND a.month = r.month;

-- name: SettlementKnown
DELETE FROM unknown_attempts u USING unnest(@message_ids::bigint[], @attempts::smallint[]) AS r(message_id, attempt)
WHERE u.vendor_id = @vendor_id AND u.message_id = r.message_id AND u.attempt = r.attempt;

-- name: SettlementAccountsLock
-- Every account the page may touch, in primary-key order, before any is written.
SELECT kind, COALESCE(campaign_id::text, ''), balance_micros FROM ledger_accounts
WHERE vendor_id = @vendor_id AND (campaign_id IS NULL OR campaign_id = ANY(@campaign_ids::uuid[]))
ORDER BY vendor_id, id FOR UPDATE;

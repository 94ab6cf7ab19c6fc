-- name: DispatchLock
SELECT status, audience, parameters, template_id, sender_number_id, category, scheduled_at, month, quotation_id,
       freeze_cursor, frozen_at, frozen_count, frozen_micros
FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id FOR UPDATE;

-- name: DispatchState
SELECT status, scheduled_at, frozen_at, frozen_count, COALESCE(halt_reason, '') AS halt_reason, version, finished_at IS NOT NULL AS finished
FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchPrepare
UPDATE campaigns SET status = @status, month = COALESCE(month, @month), version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: DispatchPartitions
SELECT message_partitions_ensure(@month);

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

-- name: DispatchFreezePage
-- The next page of the audience becomes messages and their events, in contact order.
-- A share of a country beyond the quoted quantity costs as much as the others: whether
-- the hold covers it is decided when all is frozen.
WITH page AS (
    SELECT c.id, c.mobile_hash, c.country, c.mobile_ct, c.name_ct FROM contacts c
    WHERE c.vendor_id = @vendor_id AND (@cursor::uuid IS NULL OR c.id > @cursor::uuid)
      AND (cardinality(@any_labels::uuid[]) = 0 OR EXISTS (
          SELECT 1 FROM contact_labels l WHERE l.vendor_id = @vendor_id AND l.contact_id = c.id AND l.label_id = ANY(@any_labels::uuid[])))
      AND (cardinality(@all_labels::uuid[]) = 0 OR cardinality(@all_labels::uuid[]) = (
          SELECT count(*) FROM contact_labels l WHERE l.vendor_id = @vendor_id AND l.contact_id = c.id AND l.label_id = ANY(@all_labels::uuid[])))
      AND NOT EXISTS (
          SELECT 1 FROM contact_labels l WHERE l.vendor_id = @vendor_id AND l.contact_id = c.id AND l.label_id = ANY(@excluded_labels::uuid[]))
      AND NOT EXISTS (
          SELECT 1 FROM contact_identities i
          JOIN suppressions s ON s.vendor_id = i.vendor_id AND s.identity_hash = i.identity_hash
          WHERE i.vendor_id = @vendor_id AND i.contact_id = c.id AND s.lifted_at IS NULL AND s.scope IN ('ALL', @category::text))
    ORDER BY c.id LIMIT @page_rows
), priced AS (
    SELECT p.*, COALESCE(s.share_micros, 0) + CASE WHEN COALESCE(s.assigned, 0)
               + row_number() OVER (PARTITION BY p.country ORDER BY p.id) <= s.share_remainder THEN 1 ELSE 0 END AS price_micros
    FROM page p LEFT JOIN campaign_shares s ON s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id AND s.country = p.country
), frozen AS (
    INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, name_ct, attributes, price_micros)
    SELECT @vendor_id, @month, @campaign_id, p.id, p.mobile_hash, p.country, p.mobile_ct, p.name_ct,
           CASE WHEN cardinality(@attributes::text[]) > 0 THEN (
               SELECT jsonb_object_agg(a.name, a.value) FROM contact_attributes a
               WHERE a.vendor_id = @vendor_id AND a.contact_id = p.id AND a.name = ANY(@attributes::text[])) END,
           p.price_micros
    FROM priced p ORDER BY p.id
    ON CONFLICT (vendor_id, campaign_id, recipient_hash, month) DO NOTHING
    RETURNING id, country, price_micros
), events AS (
    INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id)
    SELECT @vendor_id, l.id, 'message', f.id
    FROM frozen f, outbox_lanes l WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id ORDER BY f.id
), assigned AS (
    UPDATE campaign_shares s SET assigned = s.assigned + f.n
    FROM (SELECT country, count(*) AS n FROM frozen GROUP BY country) f
    WHERE s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id AND s.country = f.country
)
UPDATE campaigns SET
    freeze_cursor = COALESCE((SELECT id FROM page ORDER BY id DESC LIMIT 1), freeze_cursor),
    frozen_count = frozen_count + (SELECT count(*) FROM frozen),
    frozen_micros = frozen_micros + COALESCE((SELECT sum(price_micros) FROM frozen), 0)
WHERE vendor_id = @vendor_id AND id = @campaign_id
RETURNING frozen_count, (SELECT count(*) FROM page)::integer AS page_rows;

-- name: DispatchUnquoted
-- Countries whose frozen messages are more than were quoted, or were not quoted at all.
SELECT count(*) FROM (
    SELECT m.country, count(*) AS n FROM message_logs m
    WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.campaign_id = @campaign_id GROUP BY m.country) f
LEFT JOIN campaign_shares s ON s.vendor_id = @vendor_id AND s.campaign_id = @campaign_id AND s.country = f.country
WHERE f.n > COALESCE(s.quantity, 0);

-- name: DispatchLaunch
UPDATE campaigns SET status = @status, halt_reason = @halt_reason, frozen_at = COALESCE(frozen_at, now()),
    started_at = CASE WHEN @status = 'RUNNING' THEN COALESCE(started_at, now()) ELSE started_at END,
    version = version + 1, updated_at = now()
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

-- name: SettlementUnconfirmed
-- The grace period is over and no webhook spoke: final, listed, raised by any later word.
WITH due AS (
    SELECT u.message_id, u.attempt, u.month FROM unknown_attempts u
    WHERE u.vendor_id = @vendor_id AND u.settle_at <= now() ORDER BY u.message_id, u.attempt LIMIT 1000
), held AS (
    SELECT a.message_id, a.attempt, a.month FROM message_attempts a JOIN due USING (message_id, attempt, month)
    WHERE a.vendor_id = @vendor_id ORDER BY a.message_id, a.attempt FOR UPDATE OF a
), moved AS (
    UPDATE message_attempts a SET status = 'UNCONFIRMED' FROM held
    WHERE a.vendor_id = @vendor_id AND a.message_id = held.message_id AND a.attempt = held.attempt AND a.month = held.month
      AND a.status = 'UNKNOWN'
    RETURNING a.message_id, a.attempt, a.month, a.campaign_id
), letters AS (
    INSERT INTO dead_letters (vendor_id, id, source, campaign_id, message_id, attempt, month, cause_class, reason)
    SELECT @vendor_id, gen_random_uuid(), 'MESSAGE', campaign_id, message_id, attempt, month, 'UNCONFIRMED',
           'it may have left, and Meta never told' FROM moved
    ON CONFLICT (vendor_id, message_id, attempt) WHERE source = 'MESSAGE' DO NOTHING
)
DELETE FROM unknown_attempts u USING due
WHERE u.vendor_id = @vendor_id AND u.message_id = due.message_id AND u.attempt = due.attempt AND u.month = due.month
RETURNING u.campaign_id;

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
       c.finished_at IS NOT NULL AS finished
FROM page p
JOIN message_attempts a ON a.vendor_id = @vendor_id AND a.message_id = p.message_id AND a.attempt = p.attempt AND a.month = p.month
JOIN message_logs m ON m.vendor_id = @vendor_id AND m.id = p.message_id AND m.month = p.month
JOIN campaigns c ON c.vendor_id = @vendor_id AND c.id = a.campaign_id
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
SELECT id FROM ledger_accounts
WHERE vendor_id = @vendor_id AND (campaign_id IS NULL OR campaign_id = ANY(@campaign_ids::uuid[]))
ORDER BY vendor_id, id FOR UPDATE;

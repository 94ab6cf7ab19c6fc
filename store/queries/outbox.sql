-- name: OutboxClaim
SELECT vendor_id, id, batch_id, kind, campaign_id, sender_number_id, month, message_ids, events, open_rows
FROM outbox_claim($1, $2, $3, $4, $5);

-- name: OutboxClaimsPublished
UPDATE outbox_claims SET published_at = COALESCE(published_at, now())
WHERE batch_id = @batch_id AND kind <> 'WORK';

-- name: OutboxWorkDone
-- The event is in Temporal (or needs nothing more): the claim has done its work.
DELETE FROM outbox_claims WHERE vendor_id = @vendor_id AND id = @id AND kind = 'WORK';

-- name: OutboxWorkReturn
-- Events Temporal could not take now go back, later each time they come back.
WITH gone AS (
    DELETE FROM outbox_claims WHERE vendor_id = @vendor_id AND id = @id AND kind = 'WORK' RETURNING lane_id
)
INSERT INTO outbox_events (vendor_id, lane_id, kind, subject_id, retry_count, available_at)
SELECT @vendor_id, gone.lane_id, e.kind, e.subject_id, e.retry_count + 1,
       now() + LEAST(interval '5 minutes', interval '1 second' * power(2, LEAST(e.retry_count, 8)))
FROM gone, unnest(@kinds::text[], @subjects::text[], @retries::integer[]) AS e(kind, subject_id, retry_count)
ON CONFLICT (vendor_id, kind, subject_id) WHERE subject_id IS NOT NULL DO NOTHING;

-- name: OutboxTouch
SELECT outbox_touch(@vendor_id, @wake_at);

-- name: OutboxEnqueue
SELECT outbox_enqueue(@vendor_id, @kind, @subject_id);

-- name: OutboxDeadLetterInsert
INSERT INTO dead_letters (vendor_id, id, source, event_kind, subject_id, cause_class, reason)
VALUES (@vendor_id, gen_random_uuid(), 'EVENT', @kind, @subject_id, @cause_class, @reason);

-- name: OutboxClaimsExpired
-- Takes over what nobody finished in time; the new deadline keeps other relays off.
UPDATE outbox_claims SET claimed_until = now() + @lease
WHERE (vendor_id, id) IN (
    SELECT vendor_id, id FROM outbox_claims WHERE claimed_until < now()
    ORDER BY claimed_until LIMIT @max_rows FOR UPDATE SKIP LOCKED)
RETURNING vendor_id, id, batch_id, kind, campaign_id, sender_number_id, month, message_ids, events, open_rows;

-- name: OutboxTurnsRearm
-- Turns that sleep although something is due: a stray is found here, late but not lost.
UPDATE outbox_turns t SET wake_at = now()
WHERE t.wake_at > now() AND t.vendor_id IN (
    SELECT t2.vendor_id FROM outbox_turns t2 WHERE t2.wake_at > now() AND EXISTS (
        SELECT 1 FROM outbox_lanes l WHERE l.vendor_id = t2.vendor_id AND NOT l.paused AND EXISTS (
            SELECT 1 FROM outbox_events e WHERE e.vendor_id = l.vendor_id AND e.lane_id = l.id AND e.available_at <= now()))
    ORDER BY t2.vendor_id FOR UPDATE SKIP LOCKED);

-- name: OutboxNextWake
SELECT COALESCE(EXTRACT(EPOCH FROM min(wake_at) - clock_timestamp()), 3600)::float8
FROM outbox_turns WHERE wake_at < 'infinity';

-- name: UnknownDueEnqueue
-- The grace period of some attempts is over: their vendors' settlement looks at them.
SELECT outbox_enqueue(v.vendor_id, 'settlement.due', v.vendor_id::text)
FROM (SELECT DISTINCT vendor_id FROM unknown_attempts WHERE settle_at <= now() ORDER BY vendor_id LIMIT 1000) v;

-- name: OutboxBacklog
SELECT count(*) AS events, COALESCE(EXTRACT(EPOCH FROM now() - min(available_at)), 0)::float8 AS oldest_seconds
FROM outbox_events WHERE available_at <= now();

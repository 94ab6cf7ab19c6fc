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

-- name: SettlementDueEnqueue
-- Settlements that wait although nobody was rung, or whose workflow ended by hand.
SELECT outbox_enqueue(v.vendor_id, 'settlement.due', v.vendor_id::text)
FROM (SELECT DISTINCT vendor_id FROM settlements WHERE created_at < now() - interval '30 seconds' ORDER BY vendor_id LIMIT 1000) v;

-- name: OrphansForget
-- Statuses of messages that we never sent: of others who write from the number.
DELETE FROM orphan_statuses WHERE received_at < now() - interval '7 days';

-- name: OpenCampaigns
-- Campaigns that must have a live workflow (standing ones have none). ring: nothing is left of it to wait for, or it
-- was cancelled and rows are left that no claim holds: its doorbell is lost.
SELECT c.vendor_id, c.id::text,
       CASE WHEN EXISTS (SELECT 1 FROM outbox_claims k WHERE k.vendor_id = c.vendor_id AND k.campaign_id = c.id) THEN false
            WHEN c.status = 'CANCELLED' THEN true
            ELSE c.status IN ('RUNNING', 'PAUSED', 'HALTED')
                 AND NOT EXISTS (SELECT 1 FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
                                 WHERE l.vendor_id = c.vendor_id AND l.campaign_id = c.id)
                 AND NOT EXISTS (SELECT 1 FROM unknown_attempts u WHERE u.vendor_id = c.vendor_id AND u.campaign_id = c.id)
                 AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.vendor_id = c.vendor_id AND s.campaign_id = c.id) END AS ring
FROM campaigns c
WHERE c.kind <> 'SINGLE' AND c.finished_at IS NULL AND c.status IN ('APPROVED', 'SCHEDULED', 'PREPARING', 'RUNNING', 'PAUSED', 'HALTED', 'CANCELLED')
  AND c.id > @after::uuid AND c.updated_at < now() - @calm::interval
ORDER BY c.id LIMIT @max_rows;

-- name: OpenImports
SELECT j.vendor_id, j.id::text, false AS ring FROM contact_import_jobs j
WHERE j.finished_at IS NULL AND j.id > @after::uuid AND j.updated_at < now() - @calm::interval
ORDER BY j.id LIMIT @max_rows;

-- name: OpenDocuments
SELECT q.vendor_id, q.id::text, false AS ring FROM quotations q
WHERE q.pdf_status IN ('PENDING', 'GENERATING') AND q.id > @after::uuid AND q.created_at < now() - @calm::interval
ORDER BY q.id LIMIT @max_rows;

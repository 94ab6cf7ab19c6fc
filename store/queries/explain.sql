-- name: PlanByIndex
-- For the rest of the transaction: walk indexes in their order and stop at the bound. Where
-- the statistics do not know the rows yet, the planner expects a handful, and collects and
-- sorts all of them: three seconds at a million, against some milliseconds.
SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true);

-- name: ExplainCampaign
-- All that is one row a campaign.
SELECT c.status, c.kind, c.created_at, c.approved_at, c.scheduled_at, c.frozen_at, c.started_at, c.finished_at, c.updated_at,
       COALESCE(c.halt_reason, ''), c.frozen_count, c.month, COALESCE(c.replay_rate, 0), c.sender_number_id,
       COALESCE(c.halt_remedy, ''), COALESCE(c.halt_wakes, ''), c.halted_at, c.halt_until, c.expires_at, c.quiet_from IS NOT NULL,
       COALESCE(q.id::text, ''), COALESCE(q.status = 'ISSUED', false), q.expires_at, COALESCE(q.pdf_status, ''), q.created_at,
       COALESCE(q.total_micros, 0), COALESCE(q.quantity, 0),
       COALESCE((SELECT w.currency FROM wallets w WHERE w.vendor_id = c.vendor_id), ''),
       COALESCE((SELECT a.balance_micros FROM ledger_accounts a WHERE a.vendor_id = c.vendor_id AND a.kind = 'WALLET'), 0),
       COALESCE(n.rate_per_second, 0), COALESCE(n.phone_number_id, ''), l.id, COALESCE(l.window_rows, 0), NULLIF(t.wake_at, 'infinity'),
       (SELECT min(e.created_at) FROM outbox_events e WHERE e.vendor_id = c.vendor_id AND e.subject_id = c.id::text AND e.kind LIKE 'campaign.%')
FROM campaigns c
LEFT JOIN quotations q ON q.vendor_id = c.vendor_id AND q.id = c.quotation_id
LEFT JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
LEFT JOIN outbox_lanes l ON l.vendor_id = c.vendor_id AND l.campaign_id = c.id AND l.sender_number_id = c.sender_number_id
LEFT JOIN outbox_turns t ON t.vendor_id = c.vendor_id
WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id;

-- name: ExplainRows
-- Rows of a lane that are due, and that are put off, counted up to a bound: beyond it
-- ExplainSample tells.
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox_events e WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND e.available_at <= @now::timestamptz LIMIT @bound) d),
       (SELECT e.available_at FROM outbox_events e WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND e.available_at <= @now
        ORDER BY e.available_at, e.id LIMIT 1),
       (SELECT count(*) FROM (SELECT 1 FROM outbox_events e WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND e.available_at > @now LIMIT @bound) d),
       (SELECT e.available_at FROM outbox_events e WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND e.available_at > @now
        ORDER BY e.available_at DESC, e.id DESC LIMIT 1);

-- name: ExplainSample
-- Where a campaign's messages stand, by a sample. Recipients' hashes are keyed, that is
-- as good as random: those that follow each other from anywhere are a fair sample, and
-- the unique key, which one-off messages are not in, has them in order.
WITH sampled AS (
    SELECT m.id FROM message_logs m
    WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.campaign_id = @campaign_id AND m.recipient_hash >= @from_hash::bytea AND m.content_ct IS NULL
    ORDER BY m.recipient_hash LIMIT @sample
)
SELECT count(*), count(e.available_at) FILTER (WHERE e.available_at <= @now), count(e.available_at) FILTER (WHERE e.available_at > @now)
FROM sampled s LEFT JOIN LATERAL (
    SELECT e.available_at FROM outbox_events e WHERE e.message_id = s.id AND e.vendor_id = @vendor_id) e ON true;

-- name: ExplainDeferred
-- The rows that are put off, the next first, by what for.
WITH later AS (
    SELECT e.message_id, e.available_at, e.wait_reason AS reason FROM outbox_events e
    WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND e.available_at > @now ORDER BY e.available_at, e.id LIMIT @bound
)
SELECT COALESCE(l.reason, ''), COALESCE(a.again, false), CASE WHEN a.again THEN COALESCE(a.error_code, 0) ELSE 0 END, count(*),
       min(l.available_at), max(l.available_at)
FROM later l LEFT JOIN LATERAL (
    SELECT a.retry_at IS NOT NULL AS again, a.error_code FROM message_attempts a
    WHERE a.vendor_id = @vendor_id AND a.message_id = l.message_id AND a.month = @month ORDER BY a.attempt DESC LIMIT 1) a ON true
GROUP BY 1, 2, 3 ORDER BY 5, 1, 3;

-- name: ExplainClaims
-- What is in flight for the number, and how the campaign's share of it does.
SELECT COALESCE(sum(k.open_rows), 0)::bigint,
       count(*) FILTER (WHERE k.campaign_id = @campaign_id),
       COALESCE(sum(k.open_rows) FILTER (WHERE k.campaign_id = @campaign_id), 0)::bigint,
       min(k.claimed_at) FILTER (WHERE k.campaign_id = @campaign_id),
       count(*) FILTER (WHERE k.campaign_id = @campaign_id AND k.lease = 0),
       min(k.claimed_at) FILTER (WHERE k.campaign_id = @campaign_id AND k.lease = 0),
       count(*) FILTER (WHERE k.campaign_id = @campaign_id AND k.claimed_until < @now),
       min(k.claimed_until) FILTER (WHERE k.campaign_id = @campaign_id AND k.claimed_until < @now)
FROM outbox_claims k WHERE k.vendor_id = @vendor_id AND k.sender_number_id = @sender_number_id;

-- name: ExplainOpen
-- What waits for a word of Meta's and what is being booked, counted up to a bound.
SELECT u.n, u.first, u.last, s.n, s.first, s.last
FROM (SELECT count(*) AS n, min(x.settle_at) AS first, max(x.settle_at) AS last FROM (
          SELECT settle_at FROM unknown_attempts WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id LIMIT @bound) x) u,
     (SELECT count(*) AS n, min(x.created_at) AS first, max(x.created_at) AS last FROM (
          SELECT created_at FROM settlements WHERE vendor_id = @vendor_id AND campaign_id = @campaign_id LIMIT @bound) x) s;

-- name: ExplainRivals
SELECT outbox_rivals(@before);

-- name: MessageByID
SELECT s.id, s.contact_id, s.country, s.status, (
           SELECT count(*) FROM message_attempts a
           WHERE a.vendor_id = s.vendor_id AND a.message_id = s.id AND a.month = s.month)::integer AS attempts,
       COALESCE(s.wamid, ''), s.price_micros, s.captured_micros, s.refunded_micros,
       COALESCE(s.error_code, 0), COALESCE(s.error_title, ''), s.created_at, s.sent_at, s.delivered_at, s.read_at, s.failed_at,
       CASE WHEN s.status = 'QUEUED' THEN s.retry_at END, s.campaign_id
FROM message_states s WHERE s.vendor_id = @vendor_id AND s.id = @id;

-- name: ExplainMessage
SELECT m.month, s.status, COALESCE(m.outcome, ''), m.outcome_at, m.created_at,
       c.status, c.kind, COALESCE(c.halt_reason, ''), c.updated_at, c.halt_until, c.scheduled_at, c.quiet_from IS NOT NULL, COALESCE(c.replay_rate, 0),
       COALESCE(n.rate_per_second, 0),
       e.lane_id, e.id, e.available_at, COALESCE(e.wait_reason, ''),
       COALESCE(k.id::text, ''), k.claimed_at, k.claimed_until, COALESCE(k.lease > 0, false),
       u.settle_at, COALESCE(l.id::text, ''), COALESCE(l.replay_campaign_id::text, '')
FROM message_logs m
JOIN message_states s ON s.vendor_id = m.vendor_id AND s.id = m.id AND s.month = m.month
JOIN campaigns c ON c.vendor_id = m.vendor_id AND c.id = m.campaign_id
LEFT JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
LEFT JOIN outbox_events e ON e.message_id = m.id AND e.vendor_id = m.vendor_id
LEFT JOIN LATERAL (
    SELECT k.id, k.claimed_at, k.claimed_until, k.lease FROM outbox_claims k
    WHERE k.vendor_id = m.vendor_id AND k.campaign_id = m.campaign_id AND m.id = ANY(k.message_ids) LIMIT 1) k ON true
LEFT JOIN LATERAL (
    SELECT max(u.settle_at) AS settle_at FROM unknown_attempts u
    WHERE u.vendor_id = m.vendor_id AND u.message_id = m.id AND u.month = m.month) u ON true
LEFT JOIN LATERAL (
    SELECT l.id, l.replay_campaign_id FROM dead_letters l
    WHERE l.vendor_id = m.vendor_id AND l.message_id = m.id AND l.source = 'MESSAGE' ORDER BY l.attempt DESC LIMIT 1) l ON true
WHERE m.vendor_id = @vendor_id AND m.id = @id;

-- name: ExplainAttempts
SELECT attempt, status, sending_at, sent_at, delivered_at, read_at, failed_at, retry_at, COALESCE(error_code, 0), COALESCE(error_title, '')
FROM message_attempts WHERE vendor_id = @vendor_id AND message_id = @id AND month = @month ORDER BY attempt;

-- name: ExplainBefore
SELECT count(*) FROM (
    SELECT 1 FROM outbox_events e
    WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id AND (e.available_at, e.id) < (@due_at::timestamptz, @row_id::bigint) LIMIT @bound) x;

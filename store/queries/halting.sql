-- name: HaltTargets
-- The running campaigns within the reach of what was refused to one of them.
SELECT c.id FROM campaigns c
JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
JOIN campaigns o ON o.vendor_id = c.vendor_id AND o.id = @campaign_id
JOIN sender_numbers p ON p.vendor_id = o.vendor_id AND p.id = o.sender_number_id
WHERE c.vendor_id = @vendor_id AND c.status = 'RUNNING'
  AND CASE @scope::text WHEN 'TEMPLATE' THEN c.template_id = o.template_id
                        WHEN 'NUMBER' THEN c.sender_number_id = o.sender_number_id
                        WHEN 'ACCOUNT' THEN n.waba_ref = p.waba_ref
                        ELSE c.id = o.id END
ORDER BY c.id;

-- name: HaltLock
SELECT status, template_pauses, kind FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id FOR UPDATE;

-- name: HaltSet
UPDATE campaigns SET status = @status, halt_reason = @reason, halt_remedy = @remedy, halt_wakes = @wakes, halted_at = clock_timestamp(),
    halt_until = @until, template_pauses = template_pauses + @paused::smallint, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: HaltAccountMark
-- What a refusal says of the whole account.
UPDATE wabas w SET status = @status, updated_at = now()
FROM campaigns c JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id AND w.vendor_id = n.vendor_id AND w.id = n.waba_ref AND w.status <> @status;

-- name: HaltWaiting
-- Halted campaigns that an event may let go on: their template is approved now, their account
-- was heard of or connected again since.
SELECT c.id, COALESCE(c.halt_reason, '') FROM campaigns c
JOIN sender_numbers n ON n.vendor_id = c.vendor_id AND n.id = c.sender_number_id
JOIN wabas w ON w.vendor_id = n.vendor_id AND w.id = n.waba_ref
LEFT JOIN templates t ON t.vendor_id = c.vendor_id AND t.id = c.template_id
WHERE c.vendor_id = @vendor_id AND c.status = 'HALTED' AND c.halt_wakes = ANY(@wakers::text[])
  AND (@waba_ref::uuid IS NULL OR n.waba_ref = @waba_ref::uuid)
  AND CASE c.halt_wakes WHEN 'TEMPLATE' THEN t.status = 'APPROVED'
                        WHEN 'TOKEN' THEN w.renewed_at > c.halted_at
                        WHEN 'WALLET' THEN true
                        ELSE GREATEST(w.heard_at, w.renewed_at) > c.halted_at END
ORDER BY c.id;

-- name: HaltUncovered
-- What the hold lacks for the messages that may still be charged: those that did not end
-- without an attempt, are not charged, and have not failed for good.
SELECT GREATEST(COALESCE((
    SELECT sum(m.price_micros) FROM message_logs m
    WHERE m.vendor_id = @vendor_id AND m.campaign_id = @campaign_id AND m.month = @month AND m.outcome IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM message_attempts a
          WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = m.id
            AND (a.captured_micros > a.refunded_micros OR a.status = 'FAILED' AND a.retry_at IS NULL))), 0)
    - COALESCE((SELECT h.balance_micros FROM ledger_accounts h
                WHERE h.vendor_id = @vendor_id AND h.kind = 'HOLD' AND h.campaign_id = @campaign_id), 0), 0)::bigint;

-- name: HaltDue
-- Standing campaigns whose halt ends by time: they have no workflow that keeps a clock.
SELECT id, COALESCE(halt_reason, '') FROM campaigns
WHERE vendor_id = @vendor_id AND status = 'HALTED' AND kind = 'SINGLE' AND halt_until <= @now ORDER BY id;

-- name: HaltWaitingForMoney
SELECT EXISTS (SELECT 1 FROM campaigns WHERE vendor_id = @vendor_id AND status = 'HALTED' AND halt_wakes = 'WALLET');

-- name: HaltResumeLock
-- Any campaign, the standing ones of one-off messages too, which have no template.
SELECT id, kind, parent_id, name, status, COALESCE(halt_reason, ''), COALESCE(template_id::text, ''), sender_number_id, category, audience, parameters, scheduled_at,
       time_zone, quotation_id, month, frozen_count, version, created_by, created_at, approved_at, frozen_at, started_at, finished_at,
       COALESCE(halt_remedy, ''), halt_until, expires_at, misfire_policy, misfire_tolerance_seconds, quiet_from, quiet_to, further_quotation_id,
       EXTRACT(EPOCH FROM expires_after)::bigint
FROM campaigns WHERE vendor_id = @vendor_id AND id = @id FOR UPDATE;

-- name: HaltUnusable
-- Running campaigns whose template Meta no longer takes.
SELECT c.id, t.status FROM campaigns c
JOIN templates t ON t.vendor_id = c.vendor_id AND t.id = c.template_id
WHERE c.vendor_id = @vendor_id AND c.status = 'RUNNING' AND t.waba_ref = @waba_ref AND t.status <> 'APPROVED'
ORDER BY c.id;

-- name: HaltOverdue
-- Whether the campaign's time to go on by itself, and its end, have come.
SELECT status = 'HALTED' AND COALESCE(halt_until <= @now, false), COALESCE(expires_at <= @now, false) AND finished_at IS NULL,
       COALESCE(halt_reason, '')
FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: ExpirePage
-- Rows that have not left by the campaign's end, and that no claim holds, end here.
WITH gone AS (
    DELETE FROM outbox_events e USING (
        SELECT e.vendor_id, e.id FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
        WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id ORDER BY e.id LIMIT @page_rows) d
    WHERE e.vendor_id = d.vendor_id AND e.id = d.id
    RETURNING e.message_id
)
UPDATE message_logs m SET outcome = 'EXPIRED', outcome_at = now() FROM gone
WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = gone.message_id AND m.outcome IS NULL;

-- name: CampaignRests
-- When the next row of a campaign is due of which nothing is in flight; null: something is,
-- or no row is left.
SELECT (SELECT min(d.available_at) FROM outbox_lanes l CROSS JOIN LATERAL (
            SELECT e.available_at FROM outbox_events e WHERE e.vendor_id = l.vendor_id AND e.lane_id = l.id
            ORDER BY e.available_at, e.id LIMIT 1) d
        WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id)
WHERE NOT EXISTS (SELECT 1 FROM outbox_claims k WHERE k.vendor_id = @vendor_id AND k.campaign_id = @campaign_id)
UNION ALL SELECT NULL LIMIT 1;

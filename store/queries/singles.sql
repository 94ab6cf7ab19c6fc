-- name: SingleSender
-- What the price and the standing campaign of a message from this number depend on.
SELECT n.waba_ref, n.rate_per_second, v.plan, v.currency, v.default_region
FROM sender_numbers n JOIN vendors v ON v.vendor_id = n.vendor_id
WHERE n.vendor_id = @vendor_id AND n.id = @sender_number_id;

-- name: SingleRecipient
-- A new message's id; whom of the address book it goes to; whether that person wants it;
-- whether they wrote lately, by whatever name Meta knows them.
WITH known AS (
    SELECT contact_id FROM contact_identities WHERE vendor_id = @vendor_id AND identity_hash = @recipient_hash
), names AS (
    SELECT @recipient_hash::bytea AS identity_hash
    UNION SELECT i.identity_hash FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.contact_id = (SELECT contact_id FROM known)
)
SELECT nextval('message_ids'), (SELECT contact_id FROM known),
       COALESCE((SELECT array_agg(DISTINCT s.scope) FROM suppressions s JOIN names USING (identity_hash)
                 WHERE s.vendor_id = @vendor_id AND s.lifted_at IS NULL), '{}'),
       EXISTS (SELECT 1 FROM conversation_windows w JOIN names USING (identity_hash)
               WHERE w.vendor_id = @vendor_id AND w.sender_number_id = @sender_number_id AND w.open_until > now());

-- name: SingleTemplate
SELECT id, name, language, category, status, parameter_format, components FROM templates
WHERE vendor_id = @vendor_id AND waba_ref = @waba_ref AND status <> 'DELETED'
  AND (id = @id::uuid OR @id::uuid IS NULL AND name = @name AND language = @language);

-- name: StandingLock
-- Whoever accepts a message holds the row until its commit: one after the other counts
-- against the float.
SELECT s.campaign_id, s.lane_id, s.held_micros, s.committed_micros, s.fills, c.status, COALESCE(c.halt_reason, '')
FROM standing_campaigns s JOIN campaigns c ON c.vendor_id = s.vendor_id AND c.id = s.campaign_id
WHERE s.vendor_id = @vendor_id AND s.sender_number_id = @sender_number_id AND s.month = @month FOR UPDATE OF s;

-- name: StandingNewLock
SELECT pg_advisory_xact_lock(hashtextextended('standing_campaign', hashtext(@vendor_id::uuid::text || @sender_number_id::uuid::text || @month::integer::text)));

-- name: StandingInsert
-- It runs from the start and is frozen when its month is over: till then it is never drained.
WITH c AS (
    INSERT INTO campaigns (vendor_id, id, kind, name, status, sender_number_id, category, audience, month, approved_at, started_at)
    VALUES (@vendor_id, @campaign_id, 'SINGLE', @name, 'RUNNING', @sender_number_id, 'SERVICE', '{}', @month, now(), now())
), l AS (
    INSERT INTO outbox_lanes (vendor_id, id, kind, campaign_id, sender_number_id, month, window_rows)
    VALUES (@vendor_id, @lane_id, 'SINGLE', @campaign_id, @sender_number_id, @month, @rate::integer * 2)
)
INSERT INTO standing_campaigns (vendor_id, sender_number_id, month, campaign_id, lane_id, closes_at)
VALUES (@vendor_id, @sender_number_id, @month, @campaign_id, @lane_id, @closes_at);

-- name: StandingCommitted
-- What of the float is spent or promised, exactly: what left the hold, and the prices of
-- messages that may still be charged. Those wait in the lane, in a claim, for a word of
-- Meta's, or for a settlement; unconfirmed ones may be raised as long as the books are open.
WITH open AS (
    SELECT e.message_id FROM outbox_events e WHERE e.vendor_id = @vendor_id AND e.lane_id = @lane_id
    UNION SELECT unnest(k.message_ids) FROM outbox_claims k WHERE k.vendor_id = @vendor_id AND k.campaign_id = @campaign_id
    UNION SELECT u.message_id FROM unknown_attempts u WHERE u.vendor_id = @vendor_id AND u.campaign_id = @campaign_id
    UNION SELECT d.message_id FROM settlements d JOIN message_attempts a
        ON a.vendor_id = d.vendor_id AND a.message_id = d.message_id AND a.attempt = d.attempt AND a.month = d.month
        WHERE d.vendor_id = @vendor_id AND d.campaign_id = @campaign_id AND a.captured_micros = 0
    UNION SELECT l.message_id FROM dead_letters l JOIN message_attempts a
        ON a.vendor_id = l.vendor_id AND a.message_id = l.message_id AND a.attempt = l.attempt AND a.month = l.month
        WHERE l.vendor_id = @vendor_id AND l.campaign_id = @campaign_id AND a.status = 'UNCONFIRMED'
)
SELECT (@held::bigint - COALESCE((SELECT h.balance_micros FROM ledger_accounts h
                                  WHERE h.vendor_id = @vendor_id AND h.kind = 'HOLD' AND h.campaign_id = @campaign_id), 0)
        + COALESCE((SELECT sum(m.price_micros) FROM open JOIN message_logs m
                    ON m.vendor_id = @vendor_id AND m.id = open.message_id AND m.month = @month), 0))::bigint;

-- name: StandingCommit
UPDATE standing_campaigns SET held_micros = held_micros + @filled, committed_micros = @committed,
    fills = fills + CASE WHEN @filled::bigint > 0 THEN 1 ELSE 0 END
WHERE vendor_id = @vendor_id AND sender_number_id = @sender_number_id AND month = @month;

-- name: SingleInsert
-- The message and its event, which is due at once. frozen_count counts what was accepted.
WITH m AS (
    INSERT INTO message_logs (vendor_id, id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros, category, content_ct)
    VALUES (@vendor_id, @id, @month, @campaign_id, @contact_id, @recipient_hash, @country, @mobile_ct, @price, @category, @content_ct)
    RETURNING id
)
INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
SELECT @vendor_id, @lane_id, 'message', m.id, clock_timestamp() FROM m;

-- name: SingleContents
-- What the marked one-off messages say, sealed, and since when they wait.
SELECT id, content_ct, category, created_at FROM message_logs
WHERE vendor_id = @vendor_id AND month = @month AND id = ANY(@message_ids::bigint[]);

-- name: SingleShut
-- Free-form messages whose window has closed since they were accepted do not leave: they
-- fail here, as Meta would fail them, and cost nothing. The same locks as the mark's.
WITH claim AS (
    SELECT c.campaign_id FROM outbox_claims c WHERE c.vendor_id = @vendor_id AND c.id = @claim_id AND c.lease = @lease FOR SHARE
), running AS (
    SELECT c.id, c.sender_number_id FROM campaigns c
    WHERE c.vendor_id = @vendor_id AND c.id = (SELECT campaign_id FROM claim) AND c.status = 'RUNNING' FOR SHARE
), shut AS (
    SELECT m.id, (COALESCE(a.attempt, 0) + 1)::smallint AS attempt, r.id AS campaign_id
    FROM running r CROSS JOIN message_logs m
    LEFT JOIN LATERAL (
        SELECT a.attempt, a.status, a.retry_at FROM message_attempts a
        WHERE a.vendor_id = @vendor_id AND a.month = @month AND a.message_id = m.id ORDER BY a.attempt DESC LIMIT 1) a ON true
    WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = ANY(@message_ids::bigint[]) AND m.outcome IS NULL
      AND m.category = 'SERVICE' AND (a.attempt IS NULL OR a.status = 'FAILED' AND a.retry_at IS NOT NULL)
      AND NOT EXISTS (
          SELECT 1 FROM conversation_windows w
          WHERE w.vendor_id = @vendor_id AND w.sender_number_id = r.sender_number_id AND w.open_until > now()
            AND w.identity_hash IN (
                SELECT m.recipient_hash UNION ALL
                SELECT i.identity_hash FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.contact_id = m.contact_id))
)
INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status, failed_at, error_code, error_title)
SELECT @vendor_id, id, attempt, @month, campaign_id, @claim_id, 'FAILED', now(), @code, @title FROM shut ORDER BY id
ON CONFLICT DO NOTHING
RETURNING message_id, attempt;

-- name: StandingOver
-- Standing campaigns whose month is over, and whose books are open.
SELECT s.sender_number_id, s.month, s.campaign_id FROM standing_campaigns s
JOIN campaigns c ON c.vendor_id = s.vendor_id AND c.id = s.campaign_id
WHERE s.vendor_id = @vendor_id AND s.closes_at <= @now AND c.finished_at IS NULL ORDER BY s.campaign_id;

-- name: StandingClose
-- From now on the campaign can be drained. Locked as by who accepts: none is under way.
WITH held AS (
    SELECT campaign_id FROM standing_campaigns
    WHERE vendor_id = @vendor_id AND sender_number_id = @sender_number_id AND month = @month FOR UPDATE
)
UPDATE campaigns c SET frozen_at = COALESCE(c.frozen_at, now()), version = c.version + 1, updated_at = now()
FROM held WHERE c.vendor_id = @vendor_id AND c.id = held.campaign_id AND c.frozen_at IS NULL;

-- name: OutboxEnqueueAt
SELECT outbox_enqueue(@vendor_id, @kind, @subject_id, @at);

-- name: OutboxRing
SELECT pg_notify('outbox', '');

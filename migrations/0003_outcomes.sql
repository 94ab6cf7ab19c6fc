-- +goose Up
-- What becomes of a message that failed: later tries, the campaign's end, halts that know
-- what lets them go on, and the template as it was approved.

ALTER TABLE vendors
    -- What to do with a message whose outcome Meta never told (internal/domain/failure.Policy).
    ADD COLUMN unknown_policy_marketing text NOT NULL DEFAULT 'UNCONFIRMED'
        CONSTRAINT vendors_unknown_policy_marketing_check CHECK (unknown_policy_marketing IN ('UNCONFIRMED', 'RETRY')),
    ADD COLUMN unknown_policy_utility text NOT NULL DEFAULT 'RETRY' -- and of authentication
        CONSTRAINT vendors_unknown_policy_utility_check CHECK (unknown_policy_utility IN ('UNCONFIRMED', 'RETRY'));

ALTER TABLE campaigns
    ADD COLUMN template        jsonb,       -- as approved; null: approved before this migration
    ADD COLUMN expires_after   interval NOT NULL DEFAULT '72 hours' CONSTRAINT campaigns_expires_after_check CHECK (expires_after > '0'),
    ADD COLUMN expires_at      timestamptz, -- what has not left by then does not; null: not started, or before this migration
    ADD COLUMN halt_remedy     text,
    ADD COLUMN halt_wakes      text         -- the event that lets it go on; null: a person
        CONSTRAINT campaigns_halt_wakes_check CHECK (halt_wakes IN ('TEMPLATE', 'NUMBER', 'ACCOUNT', 'TOKEN', 'WALLET')),
    ADD COLUMN halted_at       timestamptz,
    ADD COLUMN halt_until      timestamptz, -- it goes on by itself then
    ADD COLUMN template_pauses smallint NOT NULL DEFAULT 0; -- how often Meta has paused its template
CREATE INDEX campaigns_halted_idx ON campaigns (vendor_id, halt_wakes) WHERE status = 'HALTED';

-- How many of the message's attempts were put off for long, this one included: they are
-- not tries.
ALTER TABLE message_attempts ADD COLUMN waits smallint NOT NULL DEFAULT 0;

-- Captured money that goes back to its hold, since the message is sent again.
ALTER TABLE ledger_transactions DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check CHECK (kind IN (
        'TOP_UP', 'HOLD', 'CAPTURE', 'RELEASE', 'REFUND', 'ADJUST', 'LOSS', 'RESTORE'));

-- A message is a fold over its attempts. One that Meta delivered tells, whichever it was;
-- else the last one does. An attempt that will be followed by another leaves the message
-- queued; what Meta accepted stands, however the message ended here.
CREATE OR REPLACE VIEW message_states WITH (security_invoker = true) AS
SELECT m.vendor_id, m.id, m.month, m.campaign_id, m.contact_id, m.country, m.mobile_ct, m.price_micros, m.created_at,
       CASE WHEN a.status IN ('SENT', 'DELIVERED', 'READ') THEN a.status
            ELSE COALESCE(m.outcome, CASE WHEN a.status IN ('FAILED', 'UNCONFIRMED') AND a.retry_at IS NOT NULL THEN 'QUEUED' ELSE a.status END, 'QUEUED')
       END AS status,
       COALESCE(a.attempt, 0) AS attempts, a.wamid, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.retry_at,
       a.error_code, a.error_title, a.error_details, COALESCE(a.captured_micros, 0) AS captured_micros, COALESCE(a.refunded_micros, 0) AS refunded_micros
FROM message_logs m
LEFT JOIN LATERAL (
    SELECT a.attempt, a.status, a.wamid, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.retry_at, a.error_code, a.error_title,
           a.error_details, a.captured_micros, a.refunded_micros FROM message_attempts a
    WHERE a.vendor_id = m.vendor_id AND a.message_id = m.id AND a.month = m.month
    ORDER BY a.status IN ('DELIVERED', 'READ') DESC, a.attempt DESC LIMIT 1) a ON true;

ALTER TABLE wabas
    ADD COLUMN heard_at   timestamptz,  -- Meta told something that may end a lock
    ADD COLUMN renewed_at timestamptz;  -- it was connected again, with a new token

-- What Meta tells of an account is routed by its id alone, and noted by its time alone.
CREATE POLICY webhook_route ON wabas FOR SELECT TO kloyst_webhook USING (true);
CREATE POLICY webhook_hear ON wabas FOR UPDATE TO kloyst_webhook USING (true) WITH CHECK (true);
GRANT SELECT (vendor_id, id, waba_id, heard_at) ON wabas TO kloyst_webhook;
GRANT UPDATE (heard_at) ON wabas TO kloyst_webhook;

-- +goose Down
-- The check of ledger kinds stays as it is: what was booked cannot be taken back.
REVOKE SELECT (vendor_id, id, waba_id, heard_at), UPDATE (heard_at) ON wabas FROM kloyst_webhook;
DROP POLICY webhook_route ON wabas;
DROP POLICY webhook_hear ON wabas;
ALTER TABLE wabas DROP COLUMN heard_at, DROP COLUMN renewed_at;
CREATE OR REPLACE VIEW message_states WITH (security_invoker = true) AS
SELECT m.vendor_id, m.id, m.month, m.campaign_id, m.contact_id, m.country, m.mobile_ct, m.price_micros, m.created_at,
       COALESCE(m.outcome, CASE WHEN a.status = 'FAILED' AND a.retry_at IS NOT NULL THEN 'QUEUED' ELSE a.status END, 'QUEUED') AS status,
       COALESCE(a.attempt, 0) AS attempts, a.wamid, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.retry_at,
       a.error_code, a.error_title, a.error_details, COALESCE(a.captured_micros, 0) AS captured_micros, COALESCE(a.refunded_micros, 0) AS refunded_micros
FROM message_logs m
LEFT JOIN LATERAL (
    SELECT a.attempt, a.status, a.wamid, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.retry_at, a.error_code, a.error_title,
           a.error_details, a.captured_micros, a.refunded_micros FROM message_attempts a
    WHERE a.vendor_id = m.vendor_id AND a.message_id = m.id AND a.month = m.month
    ORDER BY a.attempt DESC LIMIT 1) a ON true;
ALTER TABLE message_attempts DROP COLUMN waits;
DROP INDEX campaigns_halted_idx;
ALTER TABLE campaigns DROP COLUMN template, DROP COLUMN expires_after, DROP COLUMN expires_at, DROP COLUMN halt_remedy,
    DROP COLUMN halt_wakes, DROP COLUMN halted_at, DROP COLUMN halt_until, DROP COLUMN template_pauses;
ALTER TABLE vendors DROP COLUMN unknown_policy_marketing, DROP COLUMN unknown_policy_utility;

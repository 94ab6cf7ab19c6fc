-- +goose Up
-- One-off messages. Those of a sender number and a month belong to a standing campaign,
-- which is never drained before its month is over: its hold is the float they draw on, its
-- lane is served ahead of campaigns, and everything a message can become is as in any
-- other campaign. And what people write in, which opens the 24-hour window.

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT 'CAMPAIGN';
ALTER TABLE campaigns DROP CONSTRAINT IF EXISTS campaigns_kind_check;
ALTER TABLE campaigns ADD CONSTRAINT campaigns_kind_check CHECK (kind IN ('CAMPAIGN', 'REPLAY', 'SINGLE'));
-- The reconciler looks for no workflow of a standing campaign.
GRANT SELECT (kind) ON campaigns TO kloyst_relay;
-- Each one-off message has its own content: the campaign has no template.
ALTER TABLE campaigns ALTER COLUMN template_id DROP NOT NULL,
    ADD CONSTRAINT campaigns_template_check CHECK (template_id IS NOT NULL OR kind = 'SINGLE');

ALTER TABLE message_logs
    ADD COLUMN category   text  -- of a one-off message; null: its campaign's
        CONSTRAINT message_logs_category_check CHECK (category IN ('MARKETING', 'UTILITY', 'AUTHENTICATION', 'SERVICE')),
    ADD COLUMN content_ct bytea; -- of a one-off message: what Meta takes, but the recipient; associated data = vendor, "message", message id

-- A person gets one message of a campaign, and one-off messages as often as the vendor writes.
ALTER TABLE message_logs DROP CONSTRAINT message_logs_recipient_key;
-- No partial index: this one also finds the messages of a campaign.
CREATE UNIQUE INDEX message_logs_recipient_key ON message_logs
    (campaign_id, recipient_hash, vendor_id, month, (CASE WHEN content_ct IS NULL THEN 0 ELSE id END));

-- The standing campaign of a number in a month, and what its float has to cover. Whoever
-- accepts a message locks the row; nobody who sends does.
CREATE TABLE standing_campaigns (
    vendor_id        uuid NOT NULL,
    sender_number_id uuid NOT NULL,
    month            integer NOT NULL,
    campaign_id      uuid NOT NULL,
    lane_id          uuid NOT NULL,
    held_micros      bigint NOT NULL DEFAULT 0 CHECK (held_micros >= 0),      -- all that was ever put into the float
    committed_micros bigint NOT NULL DEFAULT 0 CHECK (committed_micros >= 0), -- at least what was spent and what open messages will cost
    fills            integer NOT NULL DEFAULT 0,                              -- numbers the float's holds
    closes_at        timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, sender_number_id, month),
    CONSTRAINT standing_campaigns_covered_check CHECK (committed_micros <= held_micros),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns,
    FOREIGN KEY (vendor_id, sender_number_id) REFERENCES sender_numbers
);

-- What the float of a standing campaign still owes to unconfirmed messages is found by this.
CREATE INDEX IF NOT EXISTS dead_letters_campaign_idx ON dead_letters (vendor_id, campaign_id);

-- Until when a person may be written to freely from a number: 24 hours after they wrote.
CREATE TABLE conversation_windows (
    vendor_id        uuid NOT NULL,
    sender_number_id uuid NOT NULL,
    identity_hash    bytea NOT NULL,
    open_until       timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, sender_number_id, identity_hash),
    FOREIGN KEY (vendor_id, sender_number_id) REFERENCES sender_numbers
);

-- What a webhook brought, sealed by the platform until the worker opens it for its vendor.
CREATE TABLE inbound_intakes (
    vendor_id       uuid NOT NULL REFERENCES vendors,
    id              uuid NOT NULL,
    phone_number_id text NOT NULL,
    message_ct      bytea NOT NULL,  -- associated data = "inbound", id
    received_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id)
);

-- What people wrote, under their vendor's keys. wamid_hash recognises Meta's repeats.
CREATE TABLE inbound_messages (
    vendor_id        uuid NOT NULL,
    id               uuid NOT NULL,
    sender_number_id uuid NOT NULL,
    wamid_hash       bytea NOT NULL,
    identity_hash    bytea NOT NULL,  -- by whom
    contact_id       uuid,            -- whom of the address book, when it came
    type             text NOT NULL,
    message_ct       bytea NOT NULL,  -- associated data = vendor, "inbound", id
    written_at       timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT inbound_messages_wamid_key UNIQUE (vendor_id, wamid_hash),
    FOREIGN KEY (vendor_id, sender_number_id) REFERENCES sender_numbers
);
CREATE INDEX inbound_messages_identity_idx ON inbound_messages (vendor_id, identity_hash, written_at);

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['standing_campaigns', 'conversation_windows', 'inbound_intakes', 'inbound_messages'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY vendor_isolation ON %I TO kloyst_app, kloyst_operator
            USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kloyst_app, kloyst_operator', t);
    END LOOP;
    -- The webhook keeps what came and can read none of it.
    EXECUTE 'CREATE POLICY webhook_keep ON inbound_intakes FOR INSERT TO kloyst_webhook WITH CHECK (true)';
    GRANT INSERT ON inbound_intakes TO kloyst_webhook;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The relay's claim, one round trip. Cost depends on the vendors served and the rows
-- returned, never on the backlog or on the vendors waiting.
--   p_batch       the dispatch workflow to be; several calls may fill one batch
--   p_vendors     how many vendors' turns to take
--   p_per_vendor  the fair share while vendors compete
--   p_total       how many rows in all; a lone vendor may have them
-- Statement 1 locks turns; the statements after it see a fresh snapshot (READ
-- COMMITTED, VOLATILE), so what a producer committed before touching the turn is seen.
-- A lane that the batch has claimed from before gets its rows added to that claim, as
-- long as no worker has taken it: one activity then serves them all. The row returned
-- is the whole claim.
CREATE OR REPLACE FUNCTION outbox_claim(p_batch uuid, p_vendors integer, p_per_vendor integer, p_total integer, p_lease interval)
RETURNS SETOF outbox_claims LANGUAGE plpgsql AS $$
DECLARE
    v_vendors  uuid[];
    v_vendor   uuid;
    v_lane     record;
    v_quota    integer;
    v_left     integer;
    v_room     integer;
    v_mine     integer;
    v_wake     timestamptz;
    v_next     timestamptz;
    v_taken    integer;
    v_now      timestamptz;
    v_ids      bigint[];
    v_messages bigint[];
    v_events   jsonb;
    v_blocked  boolean;
    v_claim    outbox_claims;
BEGIN
    SELECT array_agg(t.vendor_id) INTO v_vendors FROM (
        SELECT vendor_id FROM outbox_turns WHERE wake_at <= clock_timestamp()
        ORDER BY wake_at LIMIT p_vendors FOR UPDATE SKIP LOCKED) t;
    IF v_vendors IS NULL THEN
        RETURN;
    END IF;
    v_quota := GREATEST(p_per_vendor, p_total / cardinality(v_vendors));

    FOREACH v_vendor IN ARRAY v_vendors LOOP
        v_wake := 'infinity';
        v_left := v_quota;
        FOR v_lane IN
            SELECT l.*, CASE l.kind WHEN 'WORK' THEN 0 WHEN 'SINGLE' THEN 1 ELSE 2 END AS rank
            FROM outbox_lanes l WHERE l.vendor_id = v_vendor AND NOT l.paused
            ORDER BY rank, l.served_at, l.id
        LOOP
            v_blocked := false;
            IF v_lane.kind = 'WORK' THEN
                v_room := p_per_vendor;
            ELSIF v_lane.kind = 'SINGLE' THEN
                -- One-off messages have half the window to themselves, whatever campaigns
                -- hold, and never more: neither starves the other.
                SELECT GREATEST(v_lane.window_rows / 2, 1) - COALESCE(sum(c.open_rows), 0) INTO v_room
                FROM outbox_claims c
                WHERE c.vendor_id = v_vendor AND c.sender_number_id = v_lane.sender_number_id AND c.kind = 'SINGLE';
                v_blocked := v_room < 1;
                v_room := LEAST(v_room, v_left);
            ELSE
                -- Backpressure: what the number's open claims still hold. Wait until half
                -- the window is free, so that claims stay large; what this batch has taken
                -- of it does not count, so that its next claims go on until it is full.
                SELECT v_lane.window_rows - COALESCE(sum(c.open_rows), 0), COALESCE(sum(c.open_rows) FILTER (WHERE c.batch_id = p_batch), 0)
                INTO v_room, v_mine
                FROM outbox_claims c WHERE c.vendor_id = v_vendor AND c.sender_number_id = v_lane.sender_number_id;
                v_blocked := v_room < 1 OR v_room + v_mine < v_lane.window_rows / 2;
                v_room := LEAST(v_room, v_left);
            END IF;
            v_taken := 0;
            v_now := clock_timestamp();
            IF NOT v_blocked AND v_room > 0 THEN
                -- By the lane alone, and the time in a variable: with the vendor beside it the
                -- plan expects one row and sorts the lane's whole backlog; a volatile function
                -- cannot bound an index scan. The ids as an array: as a join, the delete reads
                -- all that the vendor has waiting.
                v_ids := ARRAY(
                    SELECT e.id FROM outbox_events e
                    WHERE e.lane_id = v_lane.id AND e.available_at <= v_now
                    ORDER BY e.available_at, e.id LIMIT v_room);
                WITH gone AS (
                    DELETE FROM outbox_events e WHERE e.vendor_id = v_vendor AND e.id = ANY(v_ids)
                    RETURNING e.id, e.kind, e.subject_id, e.message_id, e.retry_count
                )
                SELECT count(*),
                       array_agg(g.message_id ORDER BY g.message_id) FILTER (WHERE g.message_id IS NOT NULL),
                       jsonb_agg(jsonb_build_object('id', g.id, 'kind', g.kind, 'subject_id', g.subject_id, 'retry_count', g.retry_count)
                                 ORDER BY g.id) FILTER (WHERE g.subject_id IS NOT NULL)
                INTO v_taken, v_messages, v_events FROM gone g;
            END IF;
            IF v_taken > 0 THEN
                -- lease = 0: no worker has read the claim's messages yet; taking it locks the row.
                UPDATE outbox_claims c SET
                    message_ids = ARRAY(SELECT x FROM unnest(c.message_ids || v_messages) x ORDER BY x),
                    open_rows = c.open_rows + v_taken, claimed_until = clock_timestamp() + p_lease
                WHERE v_lane.kind <> 'WORK' AND c.vendor_id = v_vendor AND c.batch_id = p_batch AND c.lane_id = v_lane.id
                  AND c.lease = 0 AND c.published_at IS NULL
                RETURNING * INTO v_claim;
                IF NOT FOUND THEN
                    INSERT INTO outbox_claims (vendor_id, batch_id, lane_id, kind, campaign_id, sender_number_id, month,
                                               message_ids, events, open_rows, claimed_until)
                    VALUES (v_vendor, p_batch, v_lane.id, v_lane.kind, v_lane.campaign_id, v_lane.sender_number_id, v_lane.month,
                            v_messages, v_events, v_taken, clock_timestamp() + p_lease)
                    RETURNING * INTO v_claim;
                END IF;
                RETURN NEXT v_claim;
                UPDATE outbox_lanes SET served_at = clock_timestamp() WHERE vendor_id = v_vendor AND id = v_lane.id;
                IF v_lane.kind <> 'WORK' THEN
                    v_left := v_left - v_taken;
                END IF;
            END IF;
            -- A blocked number is woken by the worker that frees its window.
            IF NOT v_blocked THEN
                SELECT e.available_at INTO v_next FROM outbox_events e
                WHERE e.lane_id = v_lane.id
                ORDER BY e.available_at, e.id LIMIT 1;
                IF FOUND THEN
                    v_wake := LEAST(v_wake, GREATEST(v_next, clock_timestamp()));
                END IF;
            END IF;
        END LOOP;
        UPDATE outbox_turns SET wake_at = v_wake WHERE vendor_id = v_vendor;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION '0008 cannot be undone'; END $$;
-- +goose StatementEnd

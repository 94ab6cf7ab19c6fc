-- +goose Up

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
    v_now      timestamptz;
    v_next     timestamptz;
    v_taken    integer;
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

-- +goose StatementBegin
-- Whether nothing of a frozen campaign is left to send, to settle or to hear of. Events
-- are looked for first and without the lock, from the end that is served last: the other
-- end is where claims have deleted. Whoever claims the ones that are left asks again, so
-- a no needs no lock. The lock makes whoever removes the last obstacle see that it was
-- the last.
CREATE OR REPLACE FUNCTION campaign_drained(p_vendor uuid, p_campaign uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_lane uuid;
BEGIN
    FOR v_lane IN SELECT id FROM outbox_lanes WHERE vendor_id = p_vendor AND campaign_id = p_campaign LOOP
        PERFORM 1 FROM outbox_events WHERE lane_id = v_lane ORDER BY lane_id DESC, available_at DESC, id DESC LIMIT 1;
        IF FOUND THEN
            RETURN false;
        END IF;
    END LOOP;
    PERFORM pg_advisory_xact_lock(hashtextextended('campaign_drained', hashtext(p_campaign::text)));
    RETURN EXISTS (SELECT 1 FROM campaigns WHERE vendor_id = p_vendor AND id = p_campaign
                   AND frozen_at IS NOT NULL AND finished_at IS NULL AND status IN ('RUNNING', 'PAUSED', 'HALTED', 'CANCELLED'))
       AND NOT EXISTS (SELECT 1 FROM outbox_claims WHERE vendor_id = p_vendor AND campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM unknown_attempts WHERE vendor_id = p_vendor AND campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM settlements WHERE vendor_id = p_vendor AND campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
                       WHERE l.vendor_id = p_vendor AND l.campaign_id = p_campaign);
END $$;
-- +goose StatementEnd

-- +goose Down
-- The first migration's function serves the same calls; there is nothing to take back.
SELECT 1;

-- name: ReplayKnown
SELECT count(*) FROM dead_letters WHERE vendor_id = @vendor_id AND id = ANY(@ids::uuid[]);

-- name: ReplayChoose
-- Letters that may go out again, locked, by what they have in common. A message's letter
-- may while its attempt is still the message's last word: a late webhook may have raised
-- it. One that is in a replay may again only when that is over and ended its message
-- unsent. Two replays at once take the letters in the same order, and the second finds
-- them taken.
WITH chosen AS (
    SELECT l.id, l.source, l.campaign_id, l.cause_class, COALESCE(l.code, 0) AS code, COALESCE(m.price_micros, 0) AS price_micros
    FROM dead_letters l
    LEFT JOIN campaigns c ON c.vendor_id = l.vendor_id AND c.id = l.campaign_id
    LEFT JOIN LATERAL (
        SELECT s.status, s.attempts, s.price_micros FROM message_states s
        WHERE s.vendor_id = @vendor_id AND s.id = l.message_id AND s.month = l.month) m ON l.source = 'MESSAGE'
    WHERE l.vendor_id = @vendor_id
      AND (@ids::uuid[] IS NULL OR l.id = ANY(@ids::uuid[]))
      AND (@campaign_id::uuid IS NULL OR l.campaign_id = @campaign_id::uuid)
      AND (@cause_class::text IS NULL OR l.cause_class = @cause_class::text)
      AND (@code::integer IS NULL OR l.code = @code::integer)
      AND (@source::text IS NULL OR l.source = @source::text)
      AND (@made_from::timestamptz IS NULL OR l.created_at >= @made_from::timestamptz)
      AND (@made_to::timestamptz IS NULL OR l.created_at < @made_to::timestamptz)
      AND (l.replayed_at IS NULL OR EXISTS (
          SELECT 1 FROM campaigns rc WHERE rc.vendor_id = l.vendor_id AND rc.id = l.replay_campaign_id AND rc.finished_at IS NOT NULL
            AND NOT EXISTS (
              SELECT 1 FROM message_logs o
              JOIN message_logs r ON r.vendor_id = o.vendor_id AND r.campaign_id = rc.id AND r.month = rc.month AND r.recipient_hash = o.recipient_hash AND r.content_ct IS NULL
              WHERE o.vendor_id = l.vendor_id AND o.id = l.message_id AND o.month = l.month
                AND COALESCE(r.outcome, '') NOT IN ('CANCELLED', 'EXPIRED'))))
      AND CASE l.source
          WHEN 'MESSAGE' THEN c.kind IN ('CAMPAIGN', 'REPLAY') AND m.attempts = l.attempt
              AND (m.status = 'FAILED' OR (m.status = 'UNCONFIRMED' AND @include_unconfirmed::boolean))
              AND (@ids::uuid[] IS NOT NULL OR @include_replayed::boolean OR c.kind <> 'REPLAY')
          ELSE @ids::uuid[] IS NOT NULL OR @include_replayed::boolean OR NOT EXISTS (
              SELECT 1 FROM dead_letters b WHERE b.vendor_id = l.vendor_id AND b.source = 'EVENT' AND b.subject_id = l.subject_id
                AND b.event_kind = l.event_kind AND b.created_at < l.created_at AND b.replayed_at IS NOT NULL)
          END
    ORDER BY l.id LIMIT @max_rows FOR UPDATE OF l
)
SELECT source, campaign_id, cause_class, code, count(*)::integer, sum(price_micros)::bigint, array_agg(id ORDER BY id)
FROM chosen GROUP BY source, campaign_id, cause_class, code ORDER BY source, campaign_id, cause_class, code;

-- name: ReplayInsert
-- One campaign for each whose messages failed, as that one was.
INSERT INTO campaigns (vendor_id, id, kind, parent_id, replay_rate, name, status, template_id, sender_number_id, category, audience,
                       parameters, template, expires_after, time_zone, quiet_from, quiet_to, created_by, approved_at)
SELECT p.vendor_id, r.id, 'REPLAY', p.id, @rate, left('Replay of ' || p.name, 120), 'APPROVED', p.template_id, p.sender_number_id, p.category,
       p.audience, p.parameters, p.template, p.expires_after, p.time_zone, p.quiet_from, p.quiet_to, @created_by, now()
FROM unnest(@parents::uuid[], @replays::uuid[]) AS r(parent, id)
JOIN campaigns p ON p.vendor_id = @vendor_id AND p.id = r.parent;

-- name: ReplayMark
UPDATE dead_letters l SET replay_campaign_id = r.id, replayed_at = now()
FROM unnest(@parents::uuid[], @replays::uuid[]) AS r(parent, id)
WHERE l.vendor_id = @vendor_id AND l.id = ANY(@ids::uuid[]) AND l.campaign_id = r.parent AND l.source = 'MESSAGE';

-- name: ReplayShares
-- How many messages of each country the hold is for: the freeze makes no more.
INSERT INTO campaign_shares (vendor_id, campaign_id, country, quantity, share_micros, share_remainder)
SELECT l.vendor_id, l.replay_campaign_id, m.country, count(*), 0, 0
FROM dead_letters l
CROSS JOIN LATERAL (SELECT m.country FROM message_logs m WHERE m.vendor_id = @vendor_id AND m.id = l.message_id AND m.month = l.month OFFSET 0) m
WHERE l.vendor_id = @vendor_id AND l.replay_campaign_id = ANY(@replays::uuid[])
GROUP BY l.vendor_id, l.replay_campaign_id, m.country ORDER BY l.replay_campaign_id, m.country;

-- name: ReplayEvents
-- Events that Temporal refused go back to the outbox, as new.
WITH back AS (
    UPDATE dead_letters SET replayed_at = now()
    WHERE vendor_id = @vendor_id AND id = ANY(@ids::uuid[]) AND source = 'EVENT' RETURNING event_kind, subject_id
)
SELECT count(outbox_enqueue(@vendor_id, b.event_kind, b.subject_id) IS NULL)
FROM (SELECT DISTINCT event_kind, subject_id FROM back ORDER BY event_kind, subject_id) b;

-- name: ReplayOf
-- What the freeze needs of a campaign whose row it has locked.
SELECT kind, month, freeze_cursor FROM campaigns WHERE vendor_id = @vendor_id AND id = @campaign_id;

-- name: ReplayFreezePage
-- The next letters of a replay become messages and their events: recipients, texts and
-- prices as they were frozen the first time. A message that was raised since the letter
-- was chosen is left out. With a rate, each event is due that much after the one before,
-- across pages: the lane sleeps until all are frozen.
WITH page AS (
    SELECT l.id, l.message_id, l.month FROM dead_letters l
    WHERE l.vendor_id = @vendor_id AND l.replay_campaign_id = @campaign_id AND (@cursor::uuid IS NULL OR l.id > @cursor::uuid)
    ORDER BY l.id LIMIT @page_rows
), standing AS (
    SELECT p.id, m.contact_id, m.recipient_hash, m.country, m.mobile_ct, m.name_ct, m.attributes, m.price_micros, m.zones
    FROM page p
    CROSS JOIN LATERAL (
        SELECT m.contact_id, m.recipient_hash, m.country, m.mobile_ct, m.name_ct, m.attributes, m.price_micros, m.zones
        FROM message_logs m WHERE m.vendor_id = @vendor_id AND m.id = p.message_id AND m.month = p.month OFFSET 0) m
    CROSS JOIN LATERAL (
        SELECT s.status FROM message_states s WHERE s.vendor_id = @vendor_id AND s.id = p.message_id AND s.month = p.month OFFSET 0) s
    WHERE s.status IN ('FAILED', 'UNCONFIRMED')
), frozen AS (
    INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, name_ct, attributes, price_micros, zones)
    SELECT @vendor_id, @month, @campaign_id, s.contact_id, s.recipient_hash, s.country, s.mobile_ct, s.name_ct, s.attributes, s.price_micros, s.zones
    FROM standing s ORDER BY s.id
    ON CONFLICT DO NOTHING
    RETURNING id, price_micros
), pace AS (
    SELECT l.id AS lane_id, interval '1 second' / c.replay_rate AS apart,
           (SELECT e.available_at FROM outbox_events e WHERE e.vendor_id = l.vendor_id AND e.lane_id = l.id ORDER BY e.available_at DESC, e.id DESC LIMIT 1) AS last
    FROM campaigns c JOIN outbox_lanes l ON l.vendor_id = c.vendor_id AND l.campaign_id = c.id
    WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id
), events AS (
    INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
    SELECT @vendor_id, p.lane_id, 'message', f.id,
           CASE WHEN p.apart IS NULL THEN now()
                ELSE GREATEST(now(), p.last + p.apart) + p.apart * (row_number() OVER (ORDER BY f.id) - 1) END
    FROM frozen f CROSS JOIN pace p ORDER BY f.id
)
UPDATE campaigns SET
    freeze_cursor = COALESCE((SELECT id FROM page ORDER BY id DESC LIMIT 1), freeze_cursor),
    frozen_count = frozen_count + (SELECT count(*) FROM frozen),
    frozen_micros = frozen_micros + COALESCE((SELECT sum(price_micros) FROM frozen), 0)
WHERE vendor_id = @vendor_id AND id = @campaign_id
RETURNING frozen_count, (SELECT count(*) FROM page)::integer AS page_rows;

-- name: ReplayRaised
-- Messages of a replay whose first one was raised since the freeze end here: the person
-- has it. The laterals keep the look-ups by index apart.
WITH raised AS (
    SELECT m.id FROM (
        SELECT c.vendor_id, p.id, p.month FROM campaigns c JOIN campaigns p ON p.vendor_id = c.vendor_id AND p.id = c.parent_id
        WHERE c.vendor_id = @vendor_id AND c.id = @campaign_id AND c.kind = 'REPLAY' OFFSET 0) p
    CROSS JOIN LATERAL (
        SELECT m.id, m.recipient_hash FROM message_logs m
        WHERE m.vendor_id = p.vendor_id AND m.month = @month AND m.id = ANY(@message_ids::bigint[]) OFFSET 0) m
    CROSS JOIN LATERAL (
        SELECT o.id FROM message_logs o
        WHERE o.vendor_id = p.vendor_id AND o.campaign_id = p.id AND o.month = p.month AND o.recipient_hash = m.recipient_hash AND o.content_ct IS NULL OFFSET 0) o
    CROSS JOIN LATERAL (
        SELECT s.status FROM message_states s WHERE s.vendor_id = p.vendor_id AND s.id = o.id AND s.month = p.month OFFSET 0) s
    WHERE s.status IN ('SENT', 'DELIVERED', 'READ')
)
UPDATE message_logs m SET outcome = 'CANCELLED', outcome_at = now() FROM raised
WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = raised.id AND m.outcome IS NULL
RETURNING m.id;

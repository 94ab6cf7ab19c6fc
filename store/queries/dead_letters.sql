-- name: DeadLetterList
-- Newest first. A batch's letters share their time: the id decides among them.
SELECT id, source, campaign_id, message_id, month, attempt, event_kind, subject_id, cause_class, code, reason, created_at,
       replayed_at, replay_campaign_id, from_replay
FROM dead_letter_states
WHERE vendor_id = @vendor_id
  AND (@campaign_id::uuid IS NULL OR campaign_id = @campaign_id::uuid)
  AND (@cause_class::text IS NULL OR cause_class = @cause_class::text)
  AND (@code::integer IS NULL OR code = @code::integer)
  AND (@source::text IS NULL OR source = @source::text)
  AND (@replayed::boolean IS NULL OR (replayed_at IS NOT NULL) = @replayed::boolean)
  AND (@made_from::timestamptz IS NULL OR created_at >= @made_from::timestamptz)
  AND (@made_to::timestamptz IS NULL OR created_at < @made_to::timestamptz)
  AND (@before::timestamptz IS NULL OR (created_at, id) < (@before::timestamptz, @before_id::uuid))
ORDER BY created_at DESC, id DESC LIMIT @max_rows;

-- name: DeadLetterByID
SELECT id, source, campaign_id, message_id, month, attempt, event_kind, subject_id, cause_class, code, reason, created_at,
       replayed_at, replay_campaign_id, from_replay
FROM dead_letter_states WHERE vendor_id = @vendor_id AND id = @id;

-- name: DeadLetterMessage
-- What became of a letter's message, and of the one that replays it: same recipient, in the
-- replay's campaign.
SELECT m.contact_id, m.mobile_ct, s.country, s.status, s.price_micros,
       a.sending_at, a.sent_at, a.failed_at, COALESCE(a.error_title, ''), r.id, r.status
FROM message_logs m
JOIN message_states s ON s.vendor_id = m.vendor_id AND s.id = m.id AND s.month = m.month
LEFT JOIN message_attempts a ON a.vendor_id = m.vendor_id AND a.message_id = m.id AND a.month = m.month AND a.attempt = @attempt
LEFT JOIN LATERAL (
    SELECT n.id, t.status FROM campaigns c
    JOIN message_logs n ON n.vendor_id = c.vendor_id AND n.campaign_id = c.id AND n.month = c.month AND n.recipient_hash = m.recipient_hash AND n.content_ct IS NULL
    JOIN message_states t ON t.vendor_id = n.vendor_id AND t.id = n.id AND t.month = n.month
    WHERE c.vendor_id = m.vendor_id AND c.id = @replay_campaign_id::uuid) r ON true
WHERE m.vendor_id = @vendor_id AND m.id = @message_id AND m.month = @month;

-- name: DeadLetterSummary
-- Counted by campaign first: whether it is a replay is asked once each.
SELECT g.source, g.cause_class, g.code, sum(g.n)::bigint, sum(g.replayed)::bigint,
       sum(CASE WHEN c.kind = 'REPLAY' THEN g.n ELSE g.again END)::bigint, min(g.first), max(g.latest)
FROM (
    SELECT l.vendor_id, l.campaign_id, l.source, l.cause_class, COALESCE(l.code, 0) AS code, count(*) AS n, count(l.replayed_at) AS replayed,
           count(*) FILTER (WHERE l.source = 'EVENT' AND EXISTS (
               SELECT 1 FROM dead_letters b WHERE b.vendor_id = l.vendor_id AND b.source = 'EVENT' AND b.subject_id = l.subject_id
                 AND b.event_kind = l.event_kind AND b.created_at < l.created_at AND b.replayed_at IS NOT NULL)) AS again,
           min(l.created_at) AS first, max(l.created_at) AS latest
    FROM dead_letters l
    WHERE l.vendor_id = @vendor_id
      AND (@campaign_id::uuid IS NULL OR l.campaign_id = @campaign_id::uuid)
      AND (@cause_class::text IS NULL OR l.cause_class = @cause_class::text)
      AND (@code::integer IS NULL OR l.code = @code::integer)
      AND (@source::text IS NULL OR l.source = @source::text)
      AND (@replayed::boolean IS NULL OR (l.replayed_at IS NOT NULL) = @replayed::boolean)
      AND (@made_from::timestamptz IS NULL OR l.created_at >= @made_from::timestamptz)
      AND (@made_to::timestamptz IS NULL OR l.created_at < @made_to::timestamptz)
    GROUP BY l.vendor_id, l.campaign_id, l.source, l.cause_class, l.code) g
LEFT JOIN campaigns c ON c.vendor_id = g.vendor_id AND c.id = g.campaign_id
GROUP BY g.source, g.cause_class, g.code ORDER BY sum(g.n) DESC, g.source, g.cause_class, g.code;

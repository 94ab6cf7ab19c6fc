-- name: InboundKeep
-- What the webhook brought, sealed: it may insert here and read nothing.
INSERT INTO inbound_intakes (vendor_id, id, phone_number_id, message_ct)
SELECT * FROM unnest(@vendor_ids::uuid[], @ids::uuid[], @numbers::text[], @messages::bytea[]);

-- name: InboundTake
-- A page of what waits, out of the way: it is read and written in this transaction.
WITH page AS (
    SELECT i.id FROM inbound_intakes i WHERE i.vendor_id = @vendor_id ORDER BY i.id LIMIT @max_rows FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM inbound_intakes i USING page WHERE i.vendor_id = @vendor_id AND i.id = page.id
    RETURNING i.id, i.phone_number_id, i.message_ct, i.received_at
)
SELECT g.id, n.id AS sender_number_id, g.message_ct, g.received_at
FROM gone g JOIN sender_numbers n ON n.vendor_id = @vendor_id AND n.phone_number_id = g.phone_number_id ORDER BY g.id;

-- name: InboundInsert
-- Meta's repeats are known by the message's id.
INSERT INTO inbound_messages (vendor_id, id, sender_number_id, wamid_hash, identity_hash, contact_id, type, message_ct, written_at, received_at)
SELECT @vendor_id, m.id, m.sender_number_id, m.wamid_hash, m.identity_hash,
       (SELECT i.contact_id FROM contact_identities i WHERE i.vendor_id = @vendor_id AND i.identity_hash = m.identity_hash),
       m.type, m.message_ct, m.written_at, m.received_at
FROM unnest(@ids::uuid[], @numbers::uuid[], @wamids::bytea[], @identities::bytea[], @types::text[], @messages::bytea[],
            @written::timestamptz[], @received::timestamptz[])
    AS m(id, sender_number_id, wamid_hash, identity_hash, type, message_ct, written_at, received_at)
ORDER BY m.wamid_hash
ON CONFLICT (vendor_id, wamid_hash) DO NOTHING
RETURNING id::text;

-- name: WishStop
-- No marketing any more, from when the person said so. A later word for it stands.
INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source, created_at)
SELECT @vendor_id, w.identity_hash, 'MARKETING', 'STOP', 'INBOUND', w.said_at
FROM unnest(@identities::bytea[], @said_at::timestamptz[]) AS w(identity_hash, said_at) ORDER BY w.identity_hash
ON CONFLICT (vendor_id, identity_hash, scope) DO UPDATE
SET reason = EXCLUDED.reason, source = EXCLUDED.source, created_at = EXCLUDED.created_at, lifted_at = NULL
WHERE suppressions.lifted_at < EXCLUDED.created_at;

-- name: WishStart
-- What a person's own earlier word stopped, by whatever name it was said; what anybody else
-- stopped stays.
WITH w AS (
    SELECT * FROM unnest(@identities::bytea[], @said_at::timestamptz[]) AS w(identity_hash, said_at)
), names AS (
    SELECT identity_hash, said_at FROM w
    UNION SELECT o.identity_hash, w.said_at FROM w
    JOIN contact_identities i ON i.vendor_id = @vendor_id AND i.identity_hash = w.identity_hash
    JOIN contact_identities o ON o.vendor_id = @vendor_id AND o.contact_id = i.contact_id
)
UPDATE suppressions s SET lifted_at = n.said_at
FROM (SELECT identity_hash, max(said_at) AS said_at FROM names GROUP BY identity_hash) n
WHERE s.vendor_id = @vendor_id AND s.identity_hash = n.identity_hash AND s.scope = 'MARKETING' AND s.source = 'INBOUND'
  AND s.lifted_at IS NULL AND s.created_at < n.said_at;

-- name: WindowsOpen
-- A window only ever gets longer; one row per person and number, in key order.
INSERT INTO conversation_windows (vendor_id, sender_number_id, identity_hash, open_until)
SELECT @vendor_id, w.sender_number_id, w.identity_hash, max(w.open_until)
FROM unnest(@numbers::uuid[], @identities::bytea[], @until::timestamptz[]) AS w(sender_number_id, identity_hash, open_until)
GROUP BY w.sender_number_id, w.identity_hash ORDER BY w.sender_number_id, w.identity_hash
ON CONFLICT (vendor_id, sender_number_id, identity_hash) DO UPDATE
SET open_until = GREATEST(conversation_windows.open_until, EXCLUDED.open_until);

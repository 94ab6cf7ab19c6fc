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
ON CONFLICT (vendor_id, wamid_hash) DO NOTHING;

-- name: WindowsOpen
-- A window only ever gets longer; one row per person and number, in key order.
INSERT INTO conversation_windows (vendor_id, sender_number_id, identity_hash, open_until)
SELECT @vendor_id, w.sender_number_id, w.identity_hash, max(w.open_until)
FROM unnest(@numbers::uuid[], @identities::bytea[], @until::timestamptz[]) AS w(sender_number_id, identity_hash, open_until)
GROUP BY w.sender_number_id, w.identity_hash ORDER BY w.sender_number_id, w.identity_hash
ON CONFLICT (vendor_id, sender_number_id, identity_hash) DO UPDATE
SET open_until = GREATEST(conversation_windows.open_until, EXCLUDED.open_until);

-- name: ContactSuppressed
-- $1 vendor, $2 hashes. By the number itself or by any other identity of the person who
-- has it. A vendor without suppressions pays one index probe.
SELECT s.identity_hash FROM suppressions s
WHERE s.vendor_id = $1 AND s.identity_hash = ANY($2::bytea[]) AND s.lifted_at IS NULL
UNION
SELECT i.identity_hash FROM contact_identities i
JOIN contact_identities o ON o.vendor_id = i.vendor_id AND o.contact_id = i.contact_id
JOIN suppressions s ON s.vendor_id = o.vendor_id AND s.identity_hash = o.identity_hash AND s.lifted_at IS NULL
WHERE i.vendor_id = $1 AND i.identity_hash = ANY($2::bytea[])
  AND EXISTS (SELECT 1 FROM suppressions e WHERE e.vendor_id = $1);

-- name: ContactKnown
-- $1 vendor, $2 hashes: which of them are somebody in the book.
SELECT identity_hash, contact_id FROM contact_identities WHERE vendor_id = $1 AND identity_hash = ANY($2::bytea[]);

-- name: ContactInsertNew
-- As ContactInsertAll, of numbers that were nobody's a moment ago: without a look-up for each.
INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, name_ct, country, source_import_id)
SELECT $1, t.id, t.hash, t.mobile, t.name, t.country, $2
FROM unnest($3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[]) AS t(id, hash, mobile, name, country);

-- name: ContactInsertAll
-- $1 vendor, $2 import, $3.. rows in the order of their hash: two imports that meet take
-- the unique index in the same order and wait instead of deadlocking. Returns who is new.
INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, name_ct, country, source_import_id)
SELECT $1, t.id, t.hash, t.mobile, t.name, t.country, $2
FROM unnest($3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[]) AS t(id, hash, mobile, name, country)
ON CONFLICT ON CONSTRAINT contacts_mobile_hash_key DO NOTHING
RETURNING id;

-- name: ContactIdentityInsertAll
-- $1 vendor, $2 hashes, $3 contacts
INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id)
SELECT $1, t.hash, 'PHONE', t.contact FROM unnest($2::bytea[], $3::uuid[]) AS t(hash, contact)
ON CONFLICT DO NOTHING;

-- name: ContactLockAll
-- $1 vendor, $2 contacts. Primary-key order, as every writer of several contacts.
SELECT id, name_ct FROM contacts WHERE vendor_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: ContactPeekAll
-- $1 vendor, $2 contacts: as ContactLockAll, without locks.
SELECT id, name_ct FROM contacts WHERE vendor_id = $1 AND id = ANY($2::uuid[]) ORDER BY id;

-- name: ContactLabelsOf
-- $1 vendor, $2 contacts
SELECT cl.contact_id, l.id, l.name FROM contact_labels cl
JOIN labels l ON l.vendor_id = cl.vendor_id AND l.id = cl.label_id
WHERE cl.vendor_id = $1 AND cl.contact_id = ANY($2::uuid[])
ORDER BY cl.contact_id, l.name;

-- name: ContactAttributesOf
-- $1 vendor, $2 contacts
SELECT contact_id, name, value FROM contact_attributes
WHERE vendor_id = $1 AND contact_id = ANY($2::uuid[]) ORDER BY contact_id, name;

-- name: ContactNameUpdateAll
-- $1 vendor, $2 contacts (locked), $3 ciphertexts; NULL clears
UPDATE contacts c SET name_ct = t.name, updated_at = now()
FROM unnest($2::uuid[], $3::bytea[]) AS t(id, name)
WHERE c.vendor_id = $1 AND c.id = t.id;

-- name: ContactLabelInsertAll
-- $1 vendor, $2 labels, $3 contacts. The country is the contact's: audiences are counted by it.
INSERT INTO contact_labels (vendor_id, label_id, contact_id, country)
SELECT $1, t.label, t.contact, c.country FROM unnest($2::uuid[], $3::uuid[]) AS t(label, contact)
CROSS JOIN LATERAL (SELECT c.country FROM contacts c WHERE c.vendor_id = $1 AND c.id = t.contact OFFSET 0) c
ON CONFLICT DO NOTHING;

-- name: ContactLabelDeleteAll
-- $1 vendor, $2 labels, $3 contacts
DELETE FROM contact_labels cl USING unnest($2::uuid[], $3::uuid[]) AS t(label, contact)
WHERE cl.vendor_id = $1 AND cl.label_id = t.label AND cl.contact_id = t.contact;

-- name: ContactAttributeUpsertAll
-- $1 vendor, $2 contacts, $3 names, $4 values
INSERT INTO contact_attributes (vendor_id, contact_id, name, value)
SELECT $1, t.contact, t.name, t.value FROM unnest($2::uuid[], $3::text[], $4::text[]) AS t(contact, name, value)
ON CONFLICT (vendor_id, contact_id, name) DO UPDATE SET value = EXCLUDED.value;

-- name: ContactAttributeDeleteAll
-- $1 vendor, $2 contacts, $3 names
DELETE FROM contact_attributes a USING unnest($2::uuid[], $3::text[]) AS t(contact, name)
WHERE a.vendor_id = $1 AND a.contact_id = t.contact AND a.name = t.name;

-- name: ContactAuditCreated
-- $1 vendor, $2 import, $3 actor, $4 contacts, $5 after
INSERT INTO contact_audit_logs (vendor_id, contact_id, import_id, action, after_ct, actor)
SELECT $1, t.contact, $2, 'CREATED', t.after, $3 FROM unnest($4::uuid[], $5::bytea[]) AS t(contact, after);

-- name: ContactAuditUpdated
-- $1 vendor, $2 import, $3 actor, $4 contacts, $5 fields (joined by commas), $6 before, $7 after
INSERT INTO contact_audit_logs (vendor_id, contact_id, import_id, action, fields, before_ct, after_ct, actor)
SELECT $1, t.contact, $2, 'UPDATED', string_to_array(t.fields, ','), t.before, t.after, $3
FROM unnest($4::uuid[], $5::text[], $6::bytea[], $7::bytea[]) AS t(contact, fields, before, after);

-- name: LabelInsertAll
-- $1 vendor, $2 ids, $3 names sorted by their lower case
INSERT INTO labels (vendor_id, id, name)
SELECT $1, t.id, t.name FROM unnest($2::uuid[], $3::text[]) AS t(id, name)
ON CONFLICT DO NOTHING;

-- name: LabelByName
-- $1 vendor, $2 names; seq is the name's place among them
SELECT t.seq, l.id FROM unnest($2::text[]) WITH ORDINALITY AS t(name, seq)
JOIN labels l ON l.vendor_id = $1 AND lower(l.name) = lower(t.name);

-- name: LabelList
-- Counts are exact: one index range per label.
SELECT l.id, l.name, (SELECT count(*) FROM contact_labels cl WHERE cl.vendor_id = l.vendor_id AND cl.label_id = l.id) AS contacts
FROM labels l
WHERE l.vendor_id = @vendor_id AND (@after::text = '' OR lower(l.name) > lower(@after))
ORDER BY lower(l.name) LIMIT @limit;

-- name: ContactByID
SELECT id, mobile_ct, name_ct, country, opted_in_at, created_at, updated_at FROM contacts
WHERE vendor_id = @vendor_id AND id = @id;

-- name: ContactList
SELECT id, mobile_ct, name_ct, country, opted_in_at, created_at, updated_at FROM contacts
WHERE vendor_id = @vendor_id AND (@after::uuid IS NULL OR id > @after)
ORDER BY id LIMIT @limit;

-- name: ContactListOfLabel
SELECT c.id, c.mobile_ct, c.name_ct, c.country, c.opted_in_at, c.created_at, c.updated_at
FROM contact_labels cl
JOIN contacts c ON c.vendor_id = cl.vendor_id AND c.id = cl.contact_id
WHERE cl.vendor_id = @vendor_id AND cl.label_id = @label_id AND (@after::uuid IS NULL OR cl.contact_id > @after)
ORDER BY cl.contact_id LIMIT @limit;

-- name: ContactByIdentity
SELECT contact_id FROM contact_identities WHERE vendor_id = @vendor_id AND identity_hash = @hash;

-- name: LabelByText
SELECT id FROM labels WHERE vendor_id = @vendor_id AND lower(name) = lower(@name);

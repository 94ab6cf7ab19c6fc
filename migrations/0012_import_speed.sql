-- +goose Up
-- An import writes six rows and more for each contact, and a foreign key costs a look-up and a
-- lock of the row it points to for every one of them: over half of what Postgres spent. What the
-- keys guarded is guarded where it can break, by the statements that delete: see contact_deleted.
-- A row that is written names a contact of the same transaction or one that it holds locked
-- (store/chunks.go), and the vendor of the transaction, by row-level security.

ALTER TABLE contacts DROP CONSTRAINT contacts_vendor_id_fkey;
ALTER TABLE contact_identities DROP CONSTRAINT contact_identities_vendor_id_contact_id_fkey;
ALTER TABLE contact_labels DROP CONSTRAINT contact_labels_vendor_id_contact_id_fkey;
ALTER TABLE contact_labels DROP CONSTRAINT contact_labels_vendor_id_label_id_fkey;
ALTER TABLE contact_attributes DROP CONSTRAINT contact_attributes_vendor_id_contact_id_fkey;
ALTER TABLE contact_audit_logs DROP CONSTRAINT contact_audit_logs_vendor_id_fkey;

-- No statement reads attributes by their value: audiences are walked by labels.
DROP INDEX contact_attributes_value_idx;

-- What belongs to a contact goes with it, by one statement a table however many are deleted.
-- +goose StatementBegin
CREATE FUNCTION contact_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM contact_identities x USING gone g WHERE x.vendor_id = g.vendor_id AND x.contact_id = g.id;
    DELETE FROM contact_labels x USING gone g WHERE x.vendor_id = g.vendor_id AND x.contact_id = g.id;
    DELETE FROM contact_attributes x USING gone g WHERE x.vendor_id = g.vendor_id AND x.contact_id = g.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contacts_deleted AFTER DELETE ON contacts REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION contact_deleted();

-- A label in use, and a vendor with a book, cannot be deleted, as before.
-- +goose StatementBegin
CREATE FUNCTION label_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g JOIN contact_labels x ON x.vendor_id = g.vendor_id AND x.label_id = g.id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'the label is in use', TABLE = 'contact_labels', CONSTRAINT = 'contact_labels_label_fkey';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION vendor_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM gone g JOIN contacts x ON x.vendor_id = g.vendor_id)
        OR EXISTS (SELECT FROM gone g JOIN contact_audit_logs x ON x.vendor_id = g.vendor_id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'the vendor has contacts', TABLE = 'contacts', CONSTRAINT = 'contacts_vendor_fkey';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER labels_deleted AFTER DELETE ON labels REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION label_deleted();
CREATE TRIGGER vendors_deleted AFTER DELETE ON vendors REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION vendor_deleted();

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION '0012 cannot be undone'; END $$;
-- +goose StatementEnd

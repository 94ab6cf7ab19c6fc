-- +goose Up
-- What a price depends on. Every new column is absent or has a default: code of before runs
-- with them.

-- The contact's country beside each of its labels, so that an audience is counted by country
-- in one walk of its label. It never changes: a contact's number does not. Absent in rows that
-- code of before wrote; an audience with such rows is counted by looking the contacts up.
-- "C": countries are compared as bytes.
ALTER TABLE contact_labels ADD COLUMN country text COLLATE "C";
-- The owner may not see vendors' rows either, but for this statement: about ten seconds a million.
ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY;
ALTER TABLE contact_labels NO FORCE ROW LEVEL SECURITY;
UPDATE contact_labels l SET country = c.country FROM contacts c WHERE c.vendor_id = l.vendor_id AND c.id = l.contact_id;
ALTER TABLE contacts FORCE ROW LEVEL SECURITY;
ALTER TABLE contact_labels FORCE ROW LEVEL SECURITY;

-- What Meta charges for at all, from a day on.
CREATE TABLE pricing_policies (
    id                    uuid PRIMARY KEY,
    effective_from        date NOT NULL,
    service_charged       boolean NOT NULL, -- messages that are no template
    service_free_monthly  integer NOT NULL DEFAULT 0 CHECK (service_free_monthly >= 0), -- of these, per sender number and month
    window_utility_free   boolean NOT NULL, -- utility templates while a person's window is open
    source                text NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pricing_policies_day_key UNIQUE (effective_from)
);
-- Source: Meta, announcement of 2026-07-01 on messages that are no templates, read 2026-09.
INSERT INTO pricing_policies (id, effective_from, service_charged, service_free_monthly, window_utility_free, source) VALUES
    ('01976000-0000-7000-8000-000000000001', '2025-07-01', false, 0, true, 'Meta, per-message pricing of 2025-07-01'),
    ('01976000-0000-7000-8000-000000000002', '2026-10-01', true, 1000, false, 'Meta, announcement of 2026-07-01');

-- How many one-off messages that are no templates a number's month has had: the first ones are free.
ALTER TABLE standing_campaigns ADD COLUMN service_messages bigint NOT NULL DEFAULT 0;

-- A vendor's own fee, in place of its plan's.
CREATE TABLE vendor_fee_rules (
    vendor_id          uuid NOT NULL REFERENCES vendors,
    currency           text NOT NULL,
    effective_from     date NOT NULL,
    fixed_micros       bigint NOT NULL DEFAULT 0 CHECK (fixed_micros >= 0),
    per_message_micros bigint NOT NULL DEFAULT 0 CHECK (per_message_micros >= 0),
    percent_bps        integer NOT NULL DEFAULT 0 CHECK (percent_bps >= 0),
    minimum_micros     bigint NOT NULL DEFAULT 0 CHECK (minimum_micros >= 0),
    cap_micros         bigint CHECK (cap_micros >= minimum_micros),
    actor              text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, currency, effective_from)
);

-- A tax may differ by the vendor's state and have parts, which are printed apart and add up
-- to its rate. Region '*' is everybody who has no rule of their own: an export.
ALTER TABLE tax_rules
    ADD COLUMN state  text NOT NULL DEFAULT '',  -- ISO 3166-2 without the region: KA; '' any other
    ADD COLUMN parts  jsonb,                     -- [{"name": "CGST", "rate_bps": 900}, ...]
    ADD COLUMN remark text NOT NULL DEFAULT '',  -- printed below the tax
    DROP CONSTRAINT tax_rules_region_effective_from_key,
    ADD CONSTRAINT tax_rules_day_key UNIQUE (region, state, effective_from);
ALTER TABLE vendors ADD COLUMN state text NOT NULL DEFAULT '' CHECK (state ~ '^[A-Z0-9]{0,3}$');

-- Meta's months end in the account's time zone; '' is the vendor's.
ALTER TABLE wabas ADD COLUMN time_zone text NOT NULL DEFAULT '';

-- What a campaign whose books are closed counted towards volume tiers: messages that Meta
-- accepted, by their month on the account's clock.
CREATE TABLE campaign_volumes (
    vendor_id   uuid NOT NULL,
    campaign_id uuid NOT NULL,
    month       integer NOT NULL, -- yyyymm
    country     text NOT NULL,
    category    text NOT NULL,
    messages    bigint NOT NULL CHECK (messages > 0),
    PRIMARY KEY (vendor_id, campaign_id, month, country, category),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns ON DELETE CASCADE
);

-- A quotation may be for another audience than the campaign's, and take another's place.
ALTER TABLE quotations
    ADD COLUMN audience jsonb,   -- absent: the campaign's own
    ADD COLUMN revises  uuid,
    ADD COLUMN revision integer NOT NULL DEFAULT 1;
CREATE INDEX quotations_created_idx ON quotations (vendor_id, created_at, id);

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['vendor_fee_rules', 'campaign_volumes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY vendor_isolation ON %I TO kloyst_app, kloyst_operator
            USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor())', t);
    END LOOP;
    GRANT SELECT ON vendor_fee_rules TO kloyst_app, kloyst_operator;
    GRANT INSERT ON vendor_fee_rules TO kloyst_operator;
    GRANT SELECT, INSERT, DELETE ON campaign_volumes TO kloyst_app, kloyst_operator;
    ALTER TABLE pricing_policies ENABLE ROW LEVEL SECURITY;
    ALTER TABLE pricing_policies FORCE ROW LEVEL SECURITY;
    EXECUTE 'CREATE POLICY shared_read ON pricing_policies FOR SELECT TO kloyst_app, kloyst_operator USING (true)';
    EXECUTE 'CREATE POLICY operator_load ON pricing_policies FOR INSERT TO kloyst_operator WITH CHECK (true)';
    GRANT SELECT ON pricing_policies TO kloyst_app, kloyst_operator;
    GRANT INSERT ON pricing_policies TO kloyst_operator;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX quotations_created_idx;
ALTER TABLE quotations DROP COLUMN audience, DROP COLUMN revises, DROP COLUMN revision;
DROP TABLE campaign_volumes;
ALTER TABLE wabas DROP COLUMN time_zone;
ALTER TABLE vendors DROP COLUMN state;
DELETE FROM tax_rules WHERE state <> '';
ALTER TABLE tax_rules DROP CONSTRAINT tax_rules_day_key, DROP COLUMN state, DROP COLUMN parts, DROP COLUMN remark,
    ADD CONSTRAINT tax_rules_region_effective_from_key UNIQUE (region, effective_from);
DROP TABLE vendor_fee_rules;
ALTER TABLE standing_campaigns DROP COLUMN service_messages;
DROP TABLE pricing_policies;
ALTER TABLE contact_labels DROP COLUMN country;

-- +goose Up
-- What a vendor may say about when a campaign starts and when nobody is written to; what
-- the freeze notes of a recipient's clock; a further hold for an audience that grew; and
-- the last count of a large campaign's messages. All new columns may be absent or have
-- a default: code of before runs with them.

ALTER TABLE campaigns
    ADD COLUMN misfire_policy text NOT NULL DEFAULT 'SEND'
        CONSTRAINT campaigns_misfire_check CHECK (misfire_policy IN ('SEND', 'SKIP', 'ASK')),
    ADD COLUMN misfire_tolerance_seconds integer NOT NULL DEFAULT 900 CHECK (misfire_tolerance_seconds >= 0),
    -- Minutes after midnight on the recipient's clock; both or none.
    ADD COLUMN quiet_from smallint CHECK (quiet_from BETWEEN 0 AND 1439),
    ADD COLUMN quiet_to smallint CHECK (quiet_to BETWEEN 0 AND 1439),
    ADD COLUMN further_quotation_id uuid,
    ADD CONSTRAINT campaigns_quiet_check CHECK ((quiet_from IS NULL) = (quiet_to IS NULL) AND quiet_from <> quiet_to);

-- IANA zones in which the recipient may be, with commas between; only of campaigns with
-- quiet hours, else absent.
ALTER TABLE message_logs ADD COLUMN zones text;

-- The first contact of the country, in the freeze's order, beyond what was quoted.
ALTER TABLE campaign_shares ADD COLUMN excess_from uuid;

-- How a large campaign's messages stood when they were last counted: counting a million
-- takes seconds, and user interfaces ask every second.
CREATE TABLE campaign_counts (
    vendor_id   uuid NOT NULL,
    campaign_id uuid NOT NULL,
    version     integer NOT NULL,        -- of the campaign: a move makes the count stale
    counts      bigint[] NOT NULL,
    cost        interval NOT NULL,       -- how long counting took: dear counts are kept longer
    counted_at  timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, campaign_id),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns ON DELETE CASCADE
);
ALTER TABLE campaign_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY vendor_isolation ON campaign_counts TO kloyst_app, kloyst_operator
    USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor());
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_counts TO kloyst_app, kloyst_operator;

-- +goose Down
DROP TABLE campaign_counts;
ALTER TABLE campaign_shares DROP COLUMN excess_from;
ALTER TABLE message_logs DROP COLUMN zones;
ALTER TABLE campaigns DROP CONSTRAINT campaigns_quiet_check, DROP COLUMN misfire_policy, DROP COLUMN misfire_tolerance_seconds,
    DROP COLUMN quiet_from, DROP COLUMN quiet_to, DROP COLUMN further_quotation_id;

-- +goose Up
-- What Meta's limits are and how far they are used: where a number's rate was learnt, whose
-- portfolio an account belongs to, whom a portfolio reached in the last day, and what a
-- row of the outbox waits for. New columns may be absent or have a default: code of
-- before runs with them.

ALTER TABLE outbox_events ADD COLUMN wait_reason text;

ALTER TABLE sender_numbers
    ADD COLUMN rate_source text NOT NULL DEFAULT 'ASSUMED'
        CONSTRAINT sender_numbers_rate_source_check CHECK (rate_source IN ('ASSUMED', 'THROUGHPUT_LEVEL', 'COEXISTENCE')),
    ADD COLUMN learnt_at timestamptz;    -- when Meta was asked last

-- Meta's id of the business portfolio; where Meta does not name it, the account's own.
ALTER TABLE wabas ADD COLUMN portfolio_id text;

-- The messaging limit is a portfolio's: all numbers of all its accounts share it.
CREATE TABLE portfolios (
    vendor_id    uuid NOT NULL REFERENCES vendors,
    portfolio_id text NOT NULL,
    tier         text NOT NULL DEFAULT '',  -- Meta's word; '': not told
    daily_limit  integer CHECK (daily_limit > 0), -- people in 24 hours; absent: unlimited, or not known
    learnt_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, portfolio_id)
);

-- Whom a limited portfolio has written to, and when last. Unlimited ones have no rows.
CREATE TABLE portfolio_reaches (
    vendor_id      uuid NOT NULL,
    portfolio_id   text NOT NULL,
    recipient_hash bytea NOT NULL,
    reached_at     timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, portfolio_id, recipient_hash),
    FOREIGN KEY (vendor_id, portfolio_id) REFERENCES portfolios
) WITH (fillfactor = 80);
CREATE INDEX portfolio_reaches_age_idx ON portfolio_reaches (portfolio_id, reached_at);

-- The same people counted by five minutes of their last message, so that a budget is the
-- sum of a day's few hundred rows.
CREATE TABLE portfolio_counts (
    vendor_id    uuid NOT NULL,
    portfolio_id text NOT NULL,
    slot         timestamptz NOT NULL,
    people       integer NOT NULL CHECK (people >= 0),
    PRIMARY KEY (vendor_id, portfolio_id, slot),
    FOREIGN KEY (vendor_id, portfolio_id) REFERENCES portfolios
) WITH (fillfactor = 50);

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['portfolios', 'portfolio_reaches', 'portfolio_counts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY vendor_isolation ON %I TO kloyst_app, kloyst_operator
            USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kloyst_app, kloyst_operator', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE portfolio_counts, portfolio_reaches, portfolios;
ALTER TABLE wabas DROP COLUMN portfolio_id;
ALTER TABLE sender_numbers DROP COLUMN rate_source, DROP COLUMN learnt_at;
ALTER TABLE outbox_events DROP COLUMN wait_reason;

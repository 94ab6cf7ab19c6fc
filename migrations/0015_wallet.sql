-- +goose Up
-- A ledger that cannot hold a wrong entry, whoever writes: roles are granted no more than to
-- add, triggers refuse everything else, balances follow from the entries by themselves. And
-- what finance asks of a wallet: a threshold, payments, what Meta says it bills.

------------------------------------------------------------------ the ledger

-- One currency a vendor: an account cannot be kept in another than its wallet, nor the
-- wallet's be changed once it has accounts.
ALTER TABLE wallets ADD CONSTRAINT wallets_currency_key UNIQUE (vendor_id, currency);
ALTER TABLE ledger_accounts
    ADD CONSTRAINT ledger_accounts_currency_fkey FOREIGN KEY (vendor_id, currency) REFERENCES wallets (vendor_id, currency),
    ADD CONSTRAINT ledger_accounts_campaign_check CHECK ((kind IN ('HOLD', 'REVENUE')) = (campaign_id IS NOT NULL)),
    DROP CONSTRAINT ledger_accounts_balance_check,
    ADD CONSTRAINT ledger_accounts_balance_check CHECK (kind NOT IN ('WALLET', 'HOLD', 'REVENUE') OR balance_micros >= 0);
ALTER TABLE ledger_transactions
    ADD COLUMN reason text, -- why, of what was booked by hand
    ADD CONSTRAINT ledger_transactions_reference_check CHECK (reference <> '' AND length(reference) <= 200),
    ADD CONSTRAINT ledger_transactions_actor_check CHECK (actor <> ''),
    -- Those of before this migration have none.
    ADD CONSTRAINT ledger_transactions_reason_check CHECK (kind <> 'ADJUST' OR COALESCE(reason, '') <> '') NOT VALID;
-- Two lines a transaction: what is taken, and what is given.
ALTER TABLE ledger_entries
    ADD CONSTRAINT ledger_entries_line_check CHECK (line = CASE WHEN amount_micros < 0 THEN 0 ELSE 1 END);
-- Statements ask for a period.
CREATE INDEX ledger_transactions_created_idx ON ledger_transactions (vendor_id, created_at, id);

-- The functions below run as their owner: only so does anybody change a balance.
CREATE POLICY ledger_books ON ledger_accounts TO kloyst_owner USING (true) WITH CHECK (true);
CREATE POLICY ledger_books ON ledger_transactions FOR SELECT TO kloyst_owner USING (true);
CREATE POLICY ledger_books ON ledger_entries FOR SELECT TO kloyst_owner USING (true);

-- +goose StatementBegin
-- Checks the entries that one statement made, and moves the balances by them.
CREATE FUNCTION ledger_book() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_wrong uuid;
BEGIN
    SELECT COALESCE(f.transaction_id, g.transaction_id) INTO v_wrong
    FROM (SELECT * FROM made WHERE line = 0) f
    FULL JOIN (SELECT * FROM made WHERE line = 1) g ON g.vendor_id = f.vendor_id AND g.transaction_id = f.transaction_id
    LEFT JOIN ledger_transactions t ON t.vendor_id = f.vendor_id AND t.id = f.transaction_id
    LEFT JOIN ledger_accounts a ON a.vendor_id = f.vendor_id AND a.id = f.account_id
    LEFT JOIN ledger_accounts b ON b.vendor_id = g.vendor_id AND b.id = g.account_id
    WHERE NOT COALESCE(f.amount_micros + g.amount_micros = 0
                       AND (t.kind, a.kind, b.kind) IN (
                           ('TOP_UP', 'FUNDING', 'WALLET'), ('ADJUST', 'FUNDING', 'WALLET'), ('ADJUST', 'WALLET', 'FUNDING'),
                           ('HOLD', 'WALLET', 'HOLD'), ('RELEASE', 'HOLD', 'WALLET'), ('CAPTURE', 'HOLD', 'REVENUE'),
                           ('RESTORE', 'REVENUE', 'HOLD'), ('REFUND', 'REVENUE', 'WALLET'), ('LOSS', 'LOSS', 'REVENUE'))
                       AND COALESCE(a.campaign_id, t.campaign_id) IS NOT DISTINCT FROM t.campaign_id
                       AND COALESCE(b.campaign_id, t.campaign_id) IS NOT DISTINCT FROM t.campaign_id, false)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger: the entries of transaction % are not those of its kind', v_wrong
            USING ERRCODE = 'check_violation', TABLE = 'ledger_entries', CONSTRAINT = 'ledger_entries_balanced';
    END IF;
    UPDATE ledger_accounts a SET balance_micros = a.balance_micros + d.amount_micros
    FROM (SELECT vendor_id, account_id, sum(amount_micros)::bigint AS amount_micros FROM made GROUP BY vendor_id, account_id) d
    WHERE a.vendor_id = d.vendor_id AND a.id = d.account_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entries_book AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_book();

-- +goose StatementBegin
CREATE FUNCTION ledger_complete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.vendor_id = NEW.vendor_id AND e.transaction_id = NEW.id) THEN
        RAISE EXCEPTION 'ledger: transaction % has no entries', NEW.id
            USING ERRCODE = 'check_violation', TABLE = 'ledger_transactions', CONSTRAINT = 'ledger_transactions_entries';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_transactions_complete AFTER INSERT ON ledger_transactions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_complete();

-- +goose StatementBegin
-- Refuses everybody, a superuser with his triggers on included.
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger: % of % is not possible', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entries_stay BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_transactions_stay BEFORE UPDATE OR DELETE ON ledger_transactions FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_stay BEFORE DELETE ON ledger_accounts FOR EACH ROW EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_entries_whole BEFORE TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_transactions_whole BEFORE TRUNCATE ON ledger_transactions FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_whole BEFORE TRUNCATE ON ledger_accounts FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- +goose StatementBegin
-- A balance moves inside ledger_book, and nothing else of an account moves at all. The depth
-- tells its update from one that the owner writes himself.
CREATE FUNCTION ledger_account_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.balance_micros <> 0 THEN
        RAISE EXCEPTION 'ledger: an account begins empty' USING ERRCODE = 'check_violation', TABLE = 'ledger_accounts', CONSTRAINT = 'ledger_accounts_empty';
    END IF;
    IF TG_OP = 'UPDATE' AND (current_user <> 'kloyst_owner' OR pg_trigger_depth() < 2
            OR (NEW.vendor_id, NEW.id, NEW.kind, NEW.campaign_id, NEW.currency, NEW.created_at)
               IS DISTINCT FROM (OLD.vendor_id, OLD.id, OLD.kind, OLD.campaign_id, OLD.currency, OLD.created_at)) THEN
        RAISE EXCEPTION 'ledger: a balance is changed by entries alone' USING ERRCODE = 'insufficient_privilege', TABLE = 'ledger_accounts';
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_accounts_guard BEFORE INSERT OR UPDATE ON ledger_accounts FOR EACH ROW EXECUTE FUNCTION ledger_account_guard();

-- Locking a row asks for the right to update one of its columns: the guard sees to the rest.
REVOKE INSERT, UPDATE, DELETE ON ledger_accounts FROM kloyst_app, kloyst_operator;
GRANT INSERT (vendor_id, id, kind, campaign_id, currency), UPDATE (balance_micros) ON ledger_accounts TO kloyst_app, kloyst_operator;
-- Nobody says when something was booked: the database does.
REVOKE INSERT ON ledger_transactions FROM kloyst_app, kloyst_operator;
GRANT INSERT (vendor_id, id, kind, reference, campaign_id, actor, reason) ON ledger_transactions TO kloyst_app, kloyst_operator;

------------------------------------------------------------------ the threshold

ALTER TABLE wallets
    ADD COLUMN low_balance_micros bigint CONSTRAINT wallets_low_balance_check CHECK (low_balance_micros > 0), -- null: nobody is told
    ADD COLUMN low_since  timestamptz,  -- since when the balance is below it; null: it is not
    ADD COLUMN alerted_at timestamptz;  -- when its people were last told
REVOKE UPDATE, DELETE ON wallets FROM kloyst_app, kloyst_operator;
GRANT UPDATE (low_balance_micros, low_since, alerted_at) ON wallets TO kloyst_app, kloyst_operator;

-- +goose StatementBegin
-- Notes that a wallet fell below its threshold, or rose to it again: one write a crossing.
CREATE FUNCTION wallet_watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE wallets w SET low_since = CASE WHEN a.balance_micros < w.low_balance_micros THEN clock_timestamp() END
    FROM ledger_accounts a
    WHERE (a.vendor_id, a.id) IN (SELECT m.vendor_id, m.account_id FROM made m) AND a.kind = 'WALLET'
      AND w.vendor_id = a.vendor_id AND w.low_balance_micros IS NOT NULL
      AND (w.low_since IS NOT NULL) <> (a.balance_micros < w.low_balance_micros);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_entries_watch AFTER INSERT ON ledger_entries REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION wallet_watch();

-- +goose StatementBegin
CREATE FUNCTION wallet_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM wallets w WHERE w.vendor_id = NEW.vendor_id AND w.low_since IS NOT NULL) THEN
        PERFORM outbox_enqueue(NEW.vendor_id, 'wallet.low', NEW.vendor_id::text);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- At the commit: the ring locks the vendor's turn, which everybody takes last.
CREATE CONSTRAINT TRIGGER wallets_ring AFTER UPDATE ON wallets DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.low_since IS NULL AND NEW.low_since IS NOT NULL) EXECUTE FUNCTION wallet_ring();

------------------------------------------------------------------ payments

-- What a vendor was asked to pay through a provider. Nothing here is money: the ledger is.
CREATE TABLE payment_orders (
    vendor_id         uuid NOT NULL REFERENCES wallets,
    id                uuid NOT NULL,
    provider          text NOT NULL CONSTRAINT payment_orders_provider_check CHECK (provider IN ('RAZORPAY')),
    provider_order_id text NOT NULL CHECK (provider_order_id <> ''),
    currency          text NOT NULL,
    amount_micros     bigint NOT NULL CHECK (amount_micros > 0),
    status            text NOT NULL DEFAULT 'CREATED' CONSTRAINT payment_orders_status_check CHECK (status IN ('CREATED', 'PAID')),
    payment_id        text,              -- the provider's, of the payment that was booked
    created_by        uuid,
    created_at        timestamptz NOT NULL DEFAULT now(),
    paid_at           timestamptz,
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT payment_orders_provider_key UNIQUE (provider, provider_order_id),
    CONSTRAINT payment_orders_paid_check CHECK ((status = 'PAID') = (payment_id IS NOT NULL) AND (payment_id IS NULL) = (paid_at IS NULL)),
    FOREIGN KEY (vendor_id, currency) REFERENCES wallets (vendor_id, currency)
);

-- What the provider told, each event once, and what became of it. No body is kept: it names
-- the person who paid.
CREATE TABLE payment_events (
    vendor_id     uuid NOT NULL,
    provider      text NOT NULL,
    event_id      text NOT NULL,
    order_id      uuid NOT NULL,
    kind          text NOT NULL,
    payment_id    text NOT NULL,
    currency      text NOT NULL,
    amount_micros bigint NOT NULL,
    outcome       text NOT NULL CONSTRAINT payment_events_outcome_check CHECK (outcome IN ('BOOKED', 'REPEATED', 'REFUSED')),
    reason        text,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, provider, event_id),
    FOREIGN KEY (vendor_id, order_id) REFERENCES payment_orders
);

-- +goose StatementBegin
-- Whose order a provider speaks of. It tells no more than that.
CREATE FUNCTION payment_order_vendor(p_provider text, p_order text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT o.vendor_id FROM payment_orders o WHERE o.provider = p_provider AND o.provider_order_id = p_order;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The vendors by page, ids only: scheduled work goes through them one at a time.
CREATE FUNCTION vendor_page(p_after uuid, p_rows integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT v.vendor_id FROM vendors v WHERE p_after IS NULL OR v.vendor_id > p_after ORDER BY v.vendor_id LIMIT p_rows;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION payment_order_vendor(text, text), vendor_page(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payment_order_vendor(text, text), vendor_page(uuid, integer) TO kloyst_app;

------------------------------------------------------------------ what Meta says

-- A status that is parked keeps what Meta says it bills.
ALTER TABLE orphan_statuses ADD COLUMN meta_category text, ADD COLUMN meta_pricing text;

-- Meta's own count of what it bills, as its pricing_analytics told it last.
CREATE TABLE meta_billing (
    vendor_id    uuid NOT NULL,
    waba_ref     uuid NOT NULL,
    day          date NOT NULL,          -- as Meta cuts days, in UTC
    country      text NOT NULL,
    phone_number text NOT NULL,          -- of the sender, digits
    category     text NOT NULL,
    pricing_type text NOT NULL,
    tier         text NOT NULL DEFAULT '',
    volume       bigint NOT NULL CHECK (volume >= 0),
    cost_micros  bigint,                 -- null: Meta did not tell
    currency     text,
    fetched_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, waba_ref, day, country, phone_number, category, pricing_type, tier),
    FOREIGN KEY (vendor_id, waba_ref) REFERENCES wabas
);

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['payment_orders', 'payment_events', 'meta_billing'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY vendor_isolation ON %I TO kloyst_app, kloyst_operator
            USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor())', t);
    END LOOP;
    GRANT SELECT, INSERT, UPDATE (status, payment_id, paid_at) ON payment_orders TO kloyst_app;
    GRANT SELECT, INSERT ON payment_events TO kloyst_app;
    GRANT SELECT ON payment_orders, payment_events TO kloyst_operator;
    GRANT SELECT, INSERT, DELETE ON meta_billing TO kloyst_app;
    GRANT SELECT ON meta_billing TO kloyst_operator;
    EXECUTE 'CREATE POLICY order_lookup ON payment_orders FOR SELECT TO kloyst_owner USING (true)';
    EXECUTE 'CREATE POLICY vendor_page ON vendors FOR SELECT TO kloyst_owner USING (true)';
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION '0015 cannot be undone'; END $$;
-- +goose StatementEnd

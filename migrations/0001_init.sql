-- +goose Up
-- The first schema. What shapes everything is right from here on: the vendor leads
-- every key, row-level security is forced, one role per need, money is integer
-- micro-units, messages are frozen rows and their life is in the attempts beside them.
--
-- Roles exist before the migration runs (deploy/ and the local stack make them):
--   kloyst_owner     runs migrations, owns the tables
--   kloyst_app       API_GATEWAY and WORKER; sees the vendor named in app.vendor_id only
--   kloyst_webhook   WEBHOOK; routes by number, moves statuses, can write nothing else
--   kloyst_relay     OUTBOX; sees the outbox of every vendor and nothing of its people
--   kloyst_operator  the operator's verbs; one vendor at a time, and the list of vendors

-- +goose StatementBegin
CREATE FUNCTION current_vendor() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT NULLIF(current_setting('app.vendor_id', true), '')::uuid $$;
-- +goose StatementEnd

------------------------------------------------------------------ vendors, users

CREATE TABLE vendors (
    vendor_id      uuid PRIMARY KEY,
    name           text NOT NULL CHECK (name <> ''),
    plan           text NOT NULL DEFAULT 'STANDARD',
    status         text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT vendors_status_check CHECK (status IN ('ACTIVE', 'SUSPENDED', 'CLOSED')),
    default_region text NOT NULL CHECK (default_region ~ '^[A-Z]{2}$'),
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    time_zone      text NOT NULL DEFAULT 'UTC',
    settings       jsonb NOT NULL DEFAULT '{}',
    version        integer NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);

-- A vendor's data keys, wrapped by the master key. Destroying the row makes the
-- vendor's ciphertexts unreadable for ever: that is how off-boarding erases.
CREATE TABLE vendor_keys (
    vendor_id    uuid NOT NULL REFERENCES vendors,
    version      integer NOT NULL,
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    PRIMARY KEY (vendor_id, version)
);

CREATE TABLE users (
    vendor_id         uuid NOT NULL REFERENCES vendors,
    id                uuid NOT NULL,
    email             text NOT NULL CHECK (email = lower(email)),
    name              text NOT NULL DEFAULT '',
    password_hash     text NOT NULL,
    role              text NOT NULL CONSTRAINT users_role_check CHECK (role IN ('OWNER', 'ADMIN', 'MEMBER')),
    status            text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DISABLED')),
    email_verified_at timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id)
);
CREATE UNIQUE INDEX users_email_key ON users (email);

-- One-time tokens sent by mail; only their SHA-256 is kept.
CREATE TABLE user_tokens (
    vendor_id  uuid NOT NULL,
    token_hash bytea NOT NULL,
    user_id    uuid NOT NULL,
    purpose    text NOT NULL CHECK (purpose IN ('VERIFY_EMAIL', 'RESET_PASSWORD')),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, token_hash),
    FOREIGN KEY (vendor_id, user_id) REFERENCES users
);

-- Rotating refresh tokens: a used one seen again revokes its whole family.
CREATE TABLE refresh_tokens (
    vendor_id  uuid NOT NULL,
    token_hash bytea NOT NULL,
    family_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, token_hash),
    FOREIGN KEY (vendor_id, user_id) REFERENCES users
);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (vendor_id, family_id);

-- The first answer to a request with an Idempotency-Key, replayed to its repeats.
CREATE TABLE idempotency_keys (
    vendor_id    uuid NOT NULL REFERENCES vendors,
    route        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    status       integer,
    response     bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, route, key)
);

------------------------------------------------------------------ WABAs, sender numbers, templates

CREATE TABLE wabas (
    vendor_id  uuid NOT NULL REFERENCES vendors,
    id         uuid NOT NULL,
    waba_id    text NOT NULL,           -- Meta's id
    name       text NOT NULL DEFAULT '',
    currency   text NOT NULL DEFAULT '',
    token_ct   bytea NOT NULL,          -- access token, sealed with the vendor's keys
    status     text NOT NULL DEFAULT 'CONNECTED' CHECK (status IN ('CONNECTED', 'TOKEN_EXPIRED', 'LOCKED', 'DISCONNECTED')),
    synced_at  timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id)
);
CREATE UNIQUE INDEX wabas_waba_id_key ON wabas (waba_id);

CREATE TABLE sender_numbers (
    vendor_id            uuid NOT NULL,
    id                   uuid NOT NULL,
    waba_ref             uuid NOT NULL,
    phone_number_id      text NOT NULL,  -- Meta's id: webhooks are routed by it
    display_phone_number text NOT NULL DEFAULT '',
    verified_name        text NOT NULL DEFAULT '',
    quality_rating       text NOT NULL DEFAULT 'UNKNOWN',
    throughput_level     text NOT NULL DEFAULT 'STANDARD',
    rate_per_second      integer NOT NULL DEFAULT 80 CHECK (rate_per_second > 0),
    status               text NOT NULL DEFAULT 'CONNECTED',
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    FOREIGN KEY (vendor_id, waba_ref) REFERENCES wabas
);
CREATE UNIQUE INDEX sender_numbers_phone_number_id_key ON sender_numbers (phone_number_id);

CREATE TABLE templates (
    vendor_id        uuid NOT NULL,
    id               uuid NOT NULL,
    waba_ref         uuid NOT NULL,
    meta_id          text NOT NULL,
    name             text NOT NULL,
    language         text NOT NULL,
    category         text NOT NULL,
    status           text NOT NULL,
    parameter_format text NOT NULL DEFAULT 'POSITIONAL',
    components       jsonb NOT NULL DEFAULT '[]',
    synced_at        timestamptz NOT NULL DEFAULT now(),
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT templates_name_language_key UNIQUE (vendor_id, waba_ref, name, language),
    FOREIGN KEY (vendor_id, waba_ref) REFERENCES wabas
);

------------------------------------------------------------------ contacts

CREATE TABLE contacts (
    vendor_id        uuid NOT NULL REFERENCES vendors,
    id               uuid NOT NULL,
    mobile_hash      bytea NOT NULL,     -- keyed HMAC-SHA256 of the E.164 form
    mobile_ct        bytea NOT NULL,     -- AES-256-GCM, associated data = vendor, "mobile", contact id
    name_ct          bytea,              -- likewise, "name"
    country          text NOT NULL,      -- ISO 3166-1 alpha-2 of the number
    opted_in_at      timestamptz,
    source_import_id uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT contacts_mobile_hash_key UNIQUE (vendor_id, mobile_hash)
);

-- Every name by which Meta may know a person; a suppression on any of them counts.
CREATE TABLE contact_identities (
    vendor_id     uuid NOT NULL,
    identity_hash bytea NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('PHONE', 'WA_ID', 'BSUID')),
    contact_id    uuid NOT NULL,
    PRIMARY KEY (vendor_id, identity_hash),
    FOREIGN KEY (vendor_id, contact_id) REFERENCES contacts ON DELETE CASCADE
);
-- Both columns: by one, a plan without statistics takes the primary key, and reads all of the vendor's.
CREATE INDEX contact_identities_contact_idx ON contact_identities (contact_id, vendor_id);

CREATE TABLE labels (
    vendor_id  uuid NOT NULL REFERENCES vendors,
    id         uuid NOT NULL,
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id)
);
CREATE UNIQUE INDEX labels_name_key ON labels (vendor_id, lower(name));

-- Labels and attributes are b-tree tables: under row-level security a GIN index is
-- not used, since its operators are not leakproof.
CREATE TABLE contact_labels (
    vendor_id  uuid NOT NULL,
    label_id   uuid NOT NULL,
    contact_id uuid NOT NULL,
    PRIMARY KEY (vendor_id, label_id, contact_id),
    FOREIGN KEY (vendor_id, label_id) REFERENCES labels,
    FOREIGN KEY (vendor_id, contact_id) REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX contact_labels_contact_idx ON contact_labels (contact_id);

CREATE TABLE contact_attributes (
    vendor_id  uuid NOT NULL,
    contact_id uuid NOT NULL,
    name       text NOT NULL,
    value      text NOT NULL,
    PRIMARY KEY (vendor_id, contact_id, name),
    FOREIGN KEY (vendor_id, contact_id) REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX contact_attributes_value_idx ON contact_attributes (vendor_id, name, "left"(value, 64), contact_id);

-- Who must not be written to. It outlives the contact, so no foreign key; imports
-- have no way to lift one.
CREATE TABLE suppressions (
    vendor_id     uuid NOT NULL REFERENCES vendors,
    identity_hash bytea NOT NULL,
    scope         text NOT NULL CHECK (scope IN ('ALL', 'MARKETING')),
    reason        text NOT NULL,
    source        text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    lifted_at     timestamptz,
    PRIMARY KEY (vendor_id, identity_hash, scope)
);

CREATE TABLE contact_import_jobs (
    vendor_id       uuid NOT NULL REFERENCES vendors,
    id              uuid NOT NULL,
    status          text NOT NULL CONSTRAINT contact_import_jobs_status_check CHECK (status IN (
        'UPLOADED', 'HEADERS_EXTRACTED', 'AWAITING_MAPPING', 'MAPPING_CONFIRMED', 'QUEUED', 'PROCESSING',
        'COMPLETED', 'PARTIAL_SUCCESS', 'FAILED', 'CANCELLED', 'NEEDS_OPERATOR')),
    file_name       text NOT NULL,
    file_key        text NOT NULL,       -- in the object store
    file_bytes      bigint NOT NULL,
    sha256          bytea NOT NULL,
    mime_type       text NOT NULL,
    strategy        text NOT NULL CONSTRAINT contact_import_jobs_strategy_check CHECK (strategy IN (
        'SKIP_DUPLICATES', 'MERGE_LABELS', 'UPDATE_METADATA', 'FULL_REPLACE')),
    default_region  text NOT NULL,
    data_key        text,                -- what the chunks read: the file, or its copy in UTF-8
    encoding        text,
    delimiter       text,
    has_header      boolean,
    headers         jsonb,
    sample_ct       bytea,               -- first rows, sealed: they hold numbers and names
    suggested       jsonb,
    mapping         jsonb,
    version         integer NOT NULL DEFAULT 1,
    rows_total      integer,
    created_count   integer NOT NULL DEFAULT 0,
    updated_count   integer NOT NULL DEFAULT 0,
    unchanged_count integer NOT NULL DEFAULT 0,
    duplicate_count integer NOT NULL DEFAULT 0,
    invalid_count   integer NOT NULL DEFAULT 0,
    suppressed_count integer NOT NULL DEFAULT 0,
    reason_code     text,
    reason          text,
    created_by      uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    PRIMARY KEY (vendor_id, id)
);
CREATE INDEX contact_import_jobs_sha256_idx ON contact_import_jobs (vendor_id, sha256);

CREATE TABLE contact_import_chunks (
    vendor_id       uuid NOT NULL,
    import_id       uuid NOT NULL,
    chunk_no        integer NOT NULL,
    first_row       integer NOT NULL,
    row_count       integer NOT NULL,
    byte_from       bigint NOT NULL,
    byte_to         bigint NOT NULL,
    status          text NOT NULL DEFAULT 'PENDING' CONSTRAINT contact_import_chunks_status_check CHECK (status IN (
        'PENDING', 'COMPLETED', 'FAILED', 'SKIPPED')),
    created_count   integer NOT NULL DEFAULT 0,
    updated_count   integer NOT NULL DEFAULT 0,
    unchanged_count integer NOT NULL DEFAULT 0,
    duplicate_count integer NOT NULL DEFAULT 0,
    invalid_count   integer NOT NULL DEFAULT 0,
    suppressed_count integer NOT NULL DEFAULT 0,
    errors_key      text,                -- sealed error rows in the object store
    reason_code     text,
    finished_at     timestamptz,
    PRIMARY KEY (vendor_id, import_id, chunk_no),
    FOREIGN KEY (vendor_id, import_id) REFERENCES contact_import_jobs
);

CREATE TABLE contact_audit_logs (
    vendor_id  uuid NOT NULL REFERENCES vendors,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    contact_id uuid,                     -- absent for a refused upload only
    import_id  uuid,
    action     text NOT NULL CHECK (action IN ('CREATED', 'UPDATED', 'DELETED', 'SUPPRESSED', 'UPLOAD_REFUSED')),
    fields     text[] NOT NULL DEFAULT '{}',
    before_ct  bytea,
    after_ct   bytea,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT contact_audit_logs_contact_check CHECK (contact_id IS NOT NULL OR action = 'UPLOAD_REFUSED')
);
CREATE INDEX contact_audit_logs_contact_idx ON contact_audit_logs (vendor_id, contact_id);
CREATE INDEX contact_audit_logs_import_idx ON contact_audit_logs (vendor_id, import_id);

------------------------------------------------------------------ pricing (the same for every vendor)

CREATE TABLE pricing_snapshots (
    id             uuid PRIMARY KEY,
    currency       text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    effective_from date NOT NULL,
    source         text NOT NULL,
    fingerprint    bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pricing_snapshots_fingerprint_key UNIQUE (fingerprint)
);
CREATE TABLE pricing_markets (
    snapshot_id uuid NOT NULL REFERENCES pricing_snapshots,
    prefix      text NOT NULL CHECK (prefix ~ '^[0-9]+$'),
    country     text NOT NULL,
    market      text NOT NULL,
    PRIMARY KEY (snapshot_id, prefix)
);
CREATE TABLE pricing_rates (
    snapshot_id uuid NOT NULL REFERENCES pricing_snapshots,
    market      text NOT NULL,
    category    text NOT NULL CHECK (category IN ('MARKETING', 'UTILITY', 'AUTHENTICATION', 'AUTHENTICATION_INTERNATIONAL', 'SERVICE')),
    rate_micros bigint NOT NULL CHECK (rate_micros >= 0),
    PRIMARY KEY (snapshot_id, market, category)
);
CREATE TABLE pricing_tiers (
    snapshot_id   uuid NOT NULL REFERENCES pricing_snapshots,
    market        text NOT NULL,
    category      text NOT NULL,
    from_quantity bigint NOT NULL CHECK (from_quantity > 0),
    rate_micros   bigint NOT NULL CHECK (rate_micros >= 0),
    PRIMARY KEY (snapshot_id, market, category, from_quantity)
);
CREATE TABLE platform_fee_rules (
    id                 uuid PRIMARY KEY,
    plan               text NOT NULL,
    currency           text NOT NULL,
    effective_from     date NOT NULL,
    fixed_micros       bigint NOT NULL DEFAULT 0,
    per_message_micros bigint NOT NULL DEFAULT 0,
    percent_bps        integer NOT NULL DEFAULT 0,
    minimum_micros     bigint NOT NULL DEFAULT 0,
    cap_micros         bigint,
    created_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (plan, currency, effective_from)
);
CREATE TABLE tax_rules (
    id             uuid PRIMARY KEY,
    region         text NOT NULL,
    name           text NOT NULL,
    rate_bps       integer NOT NULL CHECK (rate_bps BETWEEN 0 AND 10000),
    effective_from date NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (region, effective_from)
);

------------------------------------------------------------------ campaigns, quotations

CREATE TABLE campaigns (
    vendor_id        uuid NOT NULL REFERENCES vendors,
    id               uuid NOT NULL,
    name             text NOT NULL CHECK (name <> ''),
    status           text NOT NULL DEFAULT 'DRAFT' CONSTRAINT campaigns_status_check CHECK (status IN (
        'DRAFT', 'QUOTED', 'APPROVED', 'SCHEDULED', 'PREPARING', 'RUNNING', 'PAUSED', 'HALTED', 'COMPLETED', 'CANCELLED')),
    template_id      uuid NOT NULL,
    sender_number_id uuid NOT NULL,
    category         text NOT NULL,
    audience         jsonb NOT NULL,
    parameters       jsonb NOT NULL DEFAULT '{}',
    scheduled_at     timestamptz,
    time_zone        text NOT NULL DEFAULT 'UTC',
    month            integer,            -- yyyymm of the freeze: the partition of its messages
    quotation_id     uuid,
    halt_reason      text,
    freeze_cursor    uuid,               -- last contact frozen: the freeze goes on after it
    frozen_count     integer NOT NULL DEFAULT 0,
    frozen_micros    bigint NOT NULL DEFAULT 0,
    version          integer NOT NULL DEFAULT 1,
    created_by       uuid,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    approved_at      timestamptz,
    frozen_at        timestamptz,
    started_at       timestamptz,
    finished_at      timestamptz,
    PRIMARY KEY (vendor_id, id),
    FOREIGN KEY (vendor_id, template_id) REFERENCES templates,
    FOREIGN KEY (vendor_id, sender_number_id) REFERENCES sender_numbers
);
CREATE INDEX campaigns_created_idx ON campaigns (vendor_id, created_at, id);

CREATE TABLE quotations (
    vendor_id         uuid NOT NULL,
    id                uuid NOT NULL,
    campaign_id       uuid NOT NULL,
    number            text NOT NULL,     -- for people: Q-2026-000123
    status            text NOT NULL DEFAULT 'ISSUED' CONSTRAINT quotations_status_check CHECK (status IN ('ISSUED', 'ACCEPTED', 'EXPIRED', 'SUPERSEDED')),
    currency          text NOT NULL,
    snapshot_id       uuid NOT NULL REFERENCES pricing_snapshots,
    inputs            jsonb NOT NULL,    -- what recomputes to the same bytes
    fingerprint       bytea NOT NULL,
    quantity          integer NOT NULL,
    messages_micros   bigint NOT NULL,
    fees_micros       bigint NOT NULL,
    tax_micros        bigint NOT NULL,
    total_micros      bigint NOT NULL CHECK (total_micros >= 0),
    wallet_sufficient boolean NOT NULL,
    expires_at        timestamptz NOT NULL,
    pdf_status        text NOT NULL DEFAULT 'PENDING' CONSTRAINT quotations_pdf_status_check CHECK (pdf_status IN ('PENDING', 'GENERATING', 'READY', 'FAILED')),
    pdf_key           text,
    pdf_error         text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT quotations_number_key UNIQUE (vendor_id, number),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns
);
CREATE INDEX quotations_campaign_idx ON quotations (vendor_id, campaign_id);

-- One MESSAGES line per country; the others are charges on the campaign as a whole.
-- share_micros and share_remainder spread amount + fee + tax over the country's messages:
-- the first share_remainder messages cost one micro more, so the sum is exact.
CREATE TABLE quotation_items (
    vendor_id       uuid NOT NULL,
    quotation_id    uuid NOT NULL,
    line_no         integer NOT NULL,
    kind            text NOT NULL CONSTRAINT quotation_items_kind_check CHECK (kind IN ('MESSAGES', 'FIXED_FEE', 'MINIMUM_FEE', 'TAX')),
    country         text,
    market          text,
    category        text,
    quantity        integer NOT NULL,
    unit_micros     bigint NOT NULL,     -- the card's list price
    amount_micros   bigint NOT NULL,     -- of a MESSAGES line: Meta's price, before fee and tax
    fee_micros      bigint NOT NULL DEFAULT 0,
    tax_micros      bigint NOT NULL DEFAULT 0,
    share_micros    bigint NOT NULL DEFAULT 0,
    share_remainder integer NOT NULL DEFAULT 0,
    PRIMARY KEY (vendor_id, quotation_id, line_no),
    FOREIGN KEY (vendor_id, quotation_id) REFERENCES quotations
);

-- How many of a country's quoted shares the freeze has handed out.
CREATE TABLE campaign_shares (
    vendor_id       uuid NOT NULL,
    campaign_id     uuid NOT NULL,
    country         text NOT NULL,
    quantity        integer NOT NULL,
    share_micros    bigint NOT NULL,
    share_remainder integer NOT NULL,
    assigned        integer NOT NULL DEFAULT 0,
    PRIMARY KEY (vendor_id, campaign_id, country),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns
);

------------------------------------------------------------------ wallet: double-entry ledger

CREATE TABLE wallets (
    vendor_id  uuid PRIMARY KEY REFERENCES vendors,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger_accounts (
    vendor_id      uuid NOT NULL REFERENCES wallets,
    id             uuid NOT NULL,
    kind           text NOT NULL CONSTRAINT ledger_accounts_kind_check CHECK (kind IN ('FUNDING', 'WALLET', 'HOLD', 'REVENUE', 'LOSS')),
    campaign_id    uuid,                 -- HOLD and REVENUE: one each per campaign
    currency       text NOT NULL,
    balance_micros bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT ledger_accounts_kind_key UNIQUE NULLS NOT DISTINCT (vendor_id, kind, campaign_id),
    CONSTRAINT ledger_accounts_balance_check CHECK (kind NOT IN ('WALLET', 'HOLD') OR balance_micros >= 0)
);

CREATE TABLE ledger_transactions (
    vendor_id   uuid NOT NULL,
    id          uuid NOT NULL,
    kind        text NOT NULL CONSTRAINT ledger_transactions_kind_check CHECK (kind IN ('TOP_UP', 'HOLD', 'CAPTURE', 'RELEASE', 'REFUND', 'ADJUST', 'LOSS')),
    reference   text NOT NULL,
    campaign_id uuid,
    actor       text NOT NULL DEFAULT 'system',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT ledger_transactions_reference_key UNIQUE (vendor_id, reference),
    FOREIGN KEY (vendor_id) REFERENCES wallets
);
CREATE INDEX ledger_transactions_campaign_idx ON ledger_transactions (vendor_id, campaign_id);

CREATE TABLE ledger_entries (
    vendor_id      uuid NOT NULL,
    transaction_id uuid NOT NULL,
    line           smallint NOT NULL,
    account_id     uuid NOT NULL,
    amount_micros  bigint NOT NULL CHECK (amount_micros <> 0),
    PRIMARY KEY (vendor_id, transaction_id, line),
    FOREIGN KEY (vendor_id, transaction_id) REFERENCES ledger_transactions,
    FOREIGN KEY (vendor_id, account_id) REFERENCES ledger_accounts
);
CREATE INDEX ledger_entries_account_idx ON ledger_entries (vendor_id, account_id);

------------------------------------------------------------------ messages

CREATE SEQUENCE message_ids AS bigint CACHE 32;

-- One frozen recipient of one campaign. Written once; outcome is set when the
-- message ends without an attempt. Its life is in message_attempts, its status in
-- the view message_states: a message costs one row write less at every step.
CREATE TABLE message_logs (
    vendor_id      uuid NOT NULL,
    id             bigint NOT NULL DEFAULT nextval('message_ids'),
    month          integer NOT NULL,
    campaign_id    uuid NOT NULL,
    contact_id     uuid NOT NULL,
    recipient_hash bytea NOT NULL,
    country        text NOT NULL,
    mobile_ct      bytea NOT NULL,       -- copied with its associated data (contact_id)
    name_ct        bytea,
    attributes     jsonb,                -- the attributes the campaign's parameters use
    price_micros   bigint NOT NULL CHECK (price_micros >= 0),
    outcome        text CONSTRAINT message_logs_outcome_check CHECK (outcome IN ('SUPPRESSED', 'CANCELLED', 'EXPIRED')),
    outcome_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, id, month),
    CONSTRAINT message_logs_recipient_key UNIQUE (campaign_id, recipient_hash, vendor_id, month),
    FOREIGN KEY (vendor_id, campaign_id) REFERENCES campaigns
) PARTITION BY LIST (month);

-- One try at Meta. No foreign key to message_logs: the mark inserts attempts by
-- SELECT from it, and a key check would lock (that is, write) the message row.
CREATE TABLE message_attempts (
    vendor_id       uuid NOT NULL,
    message_id      bigint NOT NULL,
    attempt         smallint NOT NULL,
    month           integer NOT NULL,
    campaign_id     uuid NOT NULL,
    claim_id        uuid NOT NULL,
    status          text NOT NULL CONSTRAINT message_attempts_status_check CHECK (status IN (
        'SENDING', 'UNKNOWN', 'UNCONFIRMED', 'SENT', 'FAILED', 'DELIVERED', 'READ')),
    wamid           text,
    sending_at      timestamptz NOT NULL DEFAULT now(),
    sent_at         timestamptz,
    delivered_at    timestamptz,
    read_at         timestamptz,
    failed_at       timestamptz,
    error_code      integer,
    error_title     text,
    error_details   text,
    retry_at        timestamptz,         -- FAILED and going to be tried again
    captured_micros bigint NOT NULL DEFAULT 0,
    refunded_micros bigint NOT NULL DEFAULT 0,
    meta_category   text,                -- what Meta's status says it billed
    meta_pricing    text,
    PRIMARY KEY (vendor_id, message_id, attempt, month)
) PARTITION BY LIST (month);
-- Beside the primary key no index of the busy tables begins with vendor_id. A plan made
-- while a table is empty, or knows nothing of a new vendor, expects one row a vendor: it
-- then takes any index that begins so, and walks all of the vendor's rows at every look-up.
CREATE INDEX message_attempts_wamid_idx ON message_attempts (wamid) WHERE wamid IS NOT NULL;
CREATE INDEX message_attempts_campaign_idx ON message_attempts (campaign_id);

-- Attempts whose outcome is not known, until a status webhook or the grace period settles them.
CREATE TABLE unknown_attempts (
    vendor_id   uuid NOT NULL,
    message_id  bigint NOT NULL,
    attempt     smallint NOT NULL,
    month       integer NOT NULL,
    campaign_id uuid NOT NULL,
    settle_at   timestamptz NOT NULL,
    PRIMARY KEY (vendor_id, message_id, attempt, month)
);
CREATE INDEX unknown_attempts_settle_idx ON unknown_attempts (settle_at);
CREATE INDEX unknown_attempts_campaign_idx ON unknown_attempts (campaign_id);

-- Statuses that came before our own record of the send (known only by wamid).
CREATE TABLE orphan_statuses (
    vendor_id     uuid NOT NULL,
    wamid         text NOT NULL,
    status        text NOT NULL CHECK (status IN ('SENT', 'DELIVERED', 'READ', 'FAILED')),
    happened_at   timestamptz NOT NULL,
    error_code    integer,
    error_title   text,
    error_details text,
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, wamid, status)
);
CREATE INDEX orphan_statuses_received_idx ON orphan_statuses (received_at);

-- Money and completion work that webhooks enqueue: they never lock a wallet.
CREATE TABLE settlements (
    vendor_id   uuid NOT NULL,
    message_id  bigint NOT NULL,
    attempt     smallint NOT NULL,
    month       integer NOT NULL,
    campaign_id uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vendor_id, message_id, attempt, month)
);
CREATE INDEX settlements_campaign_idx ON settlements (campaign_id);

CREATE TABLE dead_letters (
    vendor_id   uuid NOT NULL,
    id          uuid NOT NULL,
    source      text NOT NULL CHECK (source IN ('MESSAGE', 'EVENT')),
    campaign_id uuid,
    message_id  bigint,
    attempt     smallint,
    month       integer,
    event_kind  text,
    subject_id  text,
    cause_class text NOT NULL,
    code        integer,
    reason      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    PRIMARY KEY (vendor_id, id)
);
CREATE INDEX dead_letters_created_idx ON dead_letters (vendor_id, created_at);
CREATE UNIQUE INDEX dead_letters_message_key ON dead_letters (message_id, attempt, vendor_id) WHERE source = 'MESSAGE';

-- Raw webhook bodies, one sealed blob per group commit. No vendor: a body may hold
-- many vendors' entries, or none that we know.
CREATE TABLE webhook_intakes (
    id          uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    requests    integer NOT NULL,
    unrouted    integer NOT NULL DEFAULT 0,
    bodies_ct   bytea NOT NULL
);
CREATE INDEX webhook_intakes_received_idx ON webhook_intakes (received_at);

------------------------------------------------------------------ outbox

-- Whose turn it is: one row per vendor. wake_at is when its outbox wants a look.
CREATE TABLE outbox_turns (
    vendor_id uuid PRIMARY KEY REFERENCES vendors,
    wake_at   timestamptz NOT NULL DEFAULT 'infinity'
) WITH (fillfactor = 50);
CREATE INDEX outbox_turns_wake_idx ON outbox_turns (wake_at);

-- A queue inside a vendor. The WORK lane's id is the vendor's own. A paused lane is
-- not looked at: that is pause in O(1).
CREATE TABLE outbox_lanes (
    vendor_id        uuid NOT NULL REFERENCES vendors,
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    kind             text NOT NULL CHECK (kind IN ('WORK', 'SINGLE', 'CAMPAIGN')),
    campaign_id      uuid,
    sender_number_id uuid,
    month            integer,
    window_rows      integer NOT NULL DEFAULT 0,  -- most rows in flight for the number: two seconds of its rate
    paused           boolean NOT NULL DEFAULT false,
    served_at        timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT outbox_lanes_campaign_key UNIQUE (vendor_id, campaign_id, sender_number_id)
);

-- Work to be moved into Temporal: one row per recipient (message_id) in a campaign's
-- lane, or one per thing to start or signal (kind, subject_id) in the WORK lane.
CREATE TABLE outbox_events (
    vendor_id    uuid NOT NULL,
    id           bigint GENERATED ALWAYS AS IDENTITY (CACHE 32),
    lane_id      uuid NOT NULL,
    kind         text NOT NULL,
    subject_id   text,
    message_id   bigint,
    retry_count  smallint NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    traceparent  text,
    PRIMARY KEY (vendor_id, id),
    CONSTRAINT outbox_events_subject_check CHECK ((message_id IS NULL) <> (subject_id IS NULL))
);
-- available_at is in the index: deferred rows ahead of due ones would be walked over.
CREATE INDEX outbox_events_lane_idx ON outbox_events (lane_id, available_at, id);
-- One pending doorbell of a kind per subject is enough.
CREATE UNIQUE INDEX outbox_events_subject_key ON outbox_events (subject_id, kind, vendor_id) WHERE subject_id IS NOT NULL;
CREATE UNIQUE INDEX outbox_events_message_key ON outbox_events (message_id, vendor_id) WHERE message_id IS NOT NULL;

-- What a relay took out of the outbox and no worker has finished yet. lease is the
-- fence: each run of the send activity takes the next one, and writes only with it.
CREATE TABLE outbox_claims (
    vendor_id        uuid NOT NULL,
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    batch_id         uuid NOT NULL,      -- the workflow: dispatch/<batch_id>
    lane_id          uuid NOT NULL,
    kind             text NOT NULL,
    campaign_id      uuid,
    sender_number_id uuid,
    month            integer,
    message_ids      bigint[],
    events           jsonb,              -- WORK: [{id, kind, subject_id, retry_count}]
    open_rows        integer NOT NULL,
    lease            integer NOT NULL DEFAULT 0,
    claimed_at       timestamptz NOT NULL DEFAULT now(),
    claimed_until    timestamptz NOT NULL,
    published_at     timestamptz,
    PRIMARY KEY (vendor_id, id)
);
CREATE INDEX outbox_claims_until_idx ON outbox_claims (claimed_until);
CREATE INDEX outbox_claims_batch_idx ON outbox_claims (batch_id);
CREATE INDEX outbox_claims_number_idx ON outbox_claims (vendor_id, sender_number_id);
CREATE INDEX outbox_claims_campaign_idx ON outbox_claims (vendor_id, campaign_id);

------------------------------------------------------------------ functions

-- +goose StatementBegin
-- Every vendor has its turn and its WORK lane from the start: nobody can forget them.
CREATE FUNCTION vendor_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox_turns (vendor_id) VALUES (NEW.vendor_id);
    INSERT INTO outbox_lanes (vendor_id, id, kind) VALUES (NEW.vendor_id, NEW.vendor_id, 'WORK');
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER vendors_outbox AFTER INSERT ON vendors FOR EACH ROW EXECUTE FUNCTION vendor_outbox();

-- +goose StatementBegin
-- Wakes the vendor's turn at p_at. It always writes: were the row left alone because
-- it looks awake, a relay that holds it right now could put it to sleep unseen.
-- Call it last in a transaction; the row is every producer's.
CREATE FUNCTION outbox_touch(p_vendor uuid, p_at timestamptz) RETURNS void LANGUAGE sql AS $$
    UPDATE outbox_turns SET wake_at = LEAST(wake_at, p_at) WHERE vendor_id = p_vendor;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adds one thing to start or signal. A pending one of the same kind and subject is
-- kept (brought forward if need be): events carry no state, so one is enough.
CREATE FUNCTION outbox_enqueue(p_vendor uuid, p_kind text, p_subject text, p_at timestamptz DEFAULT now())
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox_events (vendor_id, lane_id, kind, subject_id, available_at)
    VALUES (p_vendor, p_vendor, p_kind, p_subject, p_at)
    ON CONFLICT (vendor_id, kind, subject_id) WHERE subject_id IS NOT NULL
    DO UPDATE SET available_at = LEAST(outbox_events.available_at, EXCLUDED.available_at);
    PERFORM outbox_touch(p_vendor, p_at);
    PERFORM pg_notify('outbox', '');
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The relay's claim, one round trip. Cost depends on the vendors served and the rows
-- returned, never on the backlog or on the vendors waiting.
--   p_vendors     how many vendors' turns to take
--   p_per_vendor  the fair share while vendors compete
--   p_total       how many rows in all; a lone vendor may have them
-- Statement 1 locks turns; the statements after it see a fresh snapshot (READ
-- COMMITTED, VOLATILE), so what a producer committed before touching the turn is seen.
CREATE FUNCTION outbox_claim(p_batch uuid, p_vendors integer, p_per_vendor integer, p_total integer, p_lease interval)
RETURNS SETOF outbox_claims LANGUAGE plpgsql AS $$
DECLARE
    v_vendors uuid[];
    v_vendor  uuid;
    v_lane    record;
    v_quota   integer;
    v_left    integer;
    v_room    integer;
    v_wake    timestamptz;
    v_next    timestamptz;
    v_taken   integer;
    v_blocked boolean;
    v_claim   outbox_claims;
BEGIN
    SELECT array_agg(t.vendor_id) INTO v_vendors FROM (
        SELECT vendor_id FROM outbox_turns WHERE wake_at <= clock_timestamp()
        ORDER BY wake_at LIMIT p_vendors FOR UPDATE SKIP LOCKED) t;
    IF v_vendors IS NULL THEN
        RETURN;
    END IF;
    v_quota := GREATEST(p_per_vendor, p_total / cardinality(v_vendors));

    FOREACH v_vendor IN ARRAY v_vendors LOOP
        v_wake := 'infinity';
        v_left := v_quota;
        FOR v_lane IN
            SELECT l.*, CASE l.kind WHEN 'WORK' THEN 0 WHEN 'SINGLE' THEN 1 ELSE 2 END AS rank
            FROM outbox_lanes l WHERE l.vendor_id = v_vendor AND NOT l.paused
            ORDER BY rank, l.served_at, l.id
        LOOP
            v_blocked := false;
            IF v_lane.kind = 'WORK' THEN
                v_room := p_per_vendor;
            ELSE
                -- Backpressure: what the number's open claims still hold. Wait until half
                -- the window is free, so that claims stay large.
                SELECT v_lane.window_rows - COALESCE(sum(c.open_rows), 0) INTO v_room
                FROM outbox_claims c WHERE c.vendor_id = v_vendor AND c.sender_number_id = v_lane.sender_number_id;
                v_blocked := v_room < GREATEST(v_lane.window_rows / 2, 1);
                v_room := LEAST(v_room, v_left);
            END IF;
            v_taken := 0;
            IF NOT v_blocked AND v_room > 0 THEN
                WITH due AS (
                    SELECT e.id FROM outbox_events e
                    WHERE e.vendor_id = v_vendor AND e.lane_id = v_lane.id AND e.available_at <= clock_timestamp()
                    ORDER BY e.available_at, e.id LIMIT v_room
                ), gone AS (
                    DELETE FROM outbox_events e USING due
                    WHERE e.vendor_id = v_vendor AND e.id = due.id
                    RETURNING e.id, e.kind, e.subject_id, e.message_id, e.retry_count
                ), made AS (
                    INSERT INTO outbox_claims (vendor_id, batch_id, lane_id, kind, campaign_id, sender_number_id, month,
                                               message_ids, events, open_rows, claimed_until)
                    SELECT v_vendor, p_batch, v_lane.id, v_lane.kind, v_lane.campaign_id, v_lane.sender_number_id, v_lane.month,
                           array_agg(g.message_id ORDER BY g.message_id) FILTER (WHERE g.message_id IS NOT NULL),
                           jsonb_agg(jsonb_build_object('id', g.id, 'kind', g.kind, 'subject_id', g.subject_id, 'retry_count', g.retry_count)
                                     ORDER BY g.id) FILTER (WHERE g.subject_id IS NOT NULL),
                           count(*), clock_timestamp() + p_lease
                    FROM gone g HAVING count(*) > 0
                    RETURNING *
                )
                SELECT * INTO v_claim FROM made;
                IF FOUND THEN
                    v_taken := v_claim.open_rows;
                    RETURN NEXT v_claim;
                    UPDATE outbox_lanes SET served_at = clock_timestamp() WHERE vendor_id = v_vendor AND id = v_lane.id;
                    IF v_lane.kind <> 'WORK' THEN
                        v_left := v_left - v_taken;
                    END IF;
                END IF;
            END IF;
            -- A blocked number is woken by the worker that frees its window.
            IF NOT v_blocked THEN
                SELECT e.available_at INTO v_next FROM outbox_events e
                WHERE e.vendor_id = v_vendor AND e.lane_id = v_lane.id
                ORDER BY e.available_at, e.id LIMIT 1;
                IF FOUND THEN
                    v_wake := LEAST(v_wake, GREATEST(v_next, clock_timestamp()));
                END IF;
            END IF;
        END LOOP;
        UPDATE outbox_turns SET wake_at = v_wake WHERE vendor_id = v_vendor;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The order of the status lattice (internal/domain/message.Statuses, kept equal by a test).
CREATE FUNCTION message_rank(p_status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_position(ARRAY['SENDING', 'UNKNOWN', 'UNCONFIRMED', 'SENT', 'FAILED', 'DELIVERED', 'READ'], p_status) $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Whether nothing of a frozen campaign is left to send, to settle or to hear of. The
-- lock makes whoever removes the last obstacle see that it was the last.
CREATE FUNCTION campaign_drained(p_vendor uuid, p_campaign uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('campaign_drained', hashtext(p_campaign::text)));
    RETURN EXISTS (SELECT 1 FROM campaigns WHERE vendor_id = p_vendor AND id = p_campaign
                   AND frozen_at IS NOT NULL AND finished_at IS NULL AND status IN ('RUNNING', 'PAUSED', 'HALTED', 'CANCELLED'))
       AND NOT EXISTS (SELECT 1 FROM outbox_lanes l JOIN outbox_events e ON e.vendor_id = l.vendor_id AND e.lane_id = l.id
                       WHERE l.vendor_id = p_vendor AND l.campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM outbox_claims WHERE vendor_id = p_vendor AND campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM unknown_attempts WHERE vendor_id = p_vendor AND campaign_id = p_campaign)
       AND NOT EXISTS (SELECT 1 FROM settlements WHERE vendor_id = p_vendor AND campaign_id = p_campaign);
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the month's partitions (yyyymm). Idempotent; callable by the application,
-- which may not create tables itself.
CREATE FUNCTION message_partitions_ensure(p_month integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_table text;
BEGIN
    IF p_month NOT BETWEEN 202601 AND 299912 OR p_month % 100 NOT BETWEEN 1 AND 12 THEN
        RAISE EXCEPTION 'month % is not yyyymm', p_month USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('message_partitions'), p_month);
    FOREACH v_table IN ARRAY ARRAY['message_logs', 'message_attempts'] LOOP
        IF to_regclass(format('%I', v_table || '_' || p_month)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s) WITH (fillfactor = %s)',
                v_table || '_' || p_month, v_table, p_month, CASE v_table WHEN 'message_attempts' THEN 60 ELSE 95 END);
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', v_table || '_' || p_month);
            EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', v_table || '_' || p_month);
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Login knows an e-mail and no vendor yet: the one question that may cross vendors.
CREATE FUNCTION auth_user_by_email(p_email text)
RETURNS TABLE (vendor_id uuid, user_id uuid) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT u.vendor_id, u.id FROM users u WHERE u.email = lower(p_email);
$$;
-- +goose StatementEnd

-- A message's status is that of its last attempt, unless it ended without one; a
-- failed attempt that will be tried again leaves it queued.
CREATE VIEW message_states WITH (security_invoker = true) AS
SELECT m.vendor_id, m.id, m.month, m.campaign_id, m.contact_id, m.country, m.mobile_ct, m.price_micros, m.created_at,
       COALESCE(m.outcome, CASE WHEN a.status = 'FAILED' AND a.retry_at IS NOT NULL THEN 'QUEUED' ELSE a.status END, 'QUEUED') AS status,
       COALESCE(a.attempt, 0) AS attempts, a.wamid, a.sent_at, a.delivered_at, a.read_at, a.failed_at, a.retry_at,
       a.error_code, a.error_title, a.error_details, COALESCE(a.captured_micros, 0) AS captured_micros, COALESCE(a.refunded_micros, 0) AS refunded_micros
FROM message_logs m
LEFT JOIN LATERAL (
    SELECT * FROM message_attempts a
    WHERE a.vendor_id = m.vendor_id AND a.message_id = m.id AND a.month = m.month
    ORDER BY a.attempt DESC LIMIT 1) a ON true;

SELECT message_partitions_ensure(to_char(now() + make_interval(months => n), 'YYYYMM')::integer) FROM generate_series(0, 2) n;

------------------------------------------------------------------ grants and row-level security

REVOKE ALL ON FUNCTION message_partitions_ensure(integer), auth_user_by_email(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION message_partitions_ensure(integer), auth_user_by_email(text) TO kloyst_app, kloyst_operator;
GRANT USAGE ON SCHEMA public TO kloyst_app, kloyst_webhook, kloyst_relay, kloyst_operator;
GRANT USAGE ON SEQUENCE message_ids TO kloyst_app;
-- The view runs with its reader's rights and policies (security_invoker).
GRANT SELECT ON message_states TO kloyst_app, kloyst_operator;
GRANT SELECT ON message_states TO kloyst_app, kloyst_operator;

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    -- Vendor-owned tables: the application and the operator see one vendor at a time.
    FOREACH t IN ARRAY ARRAY['vendors', 'vendor_keys', 'users', 'user_tokens', 'refresh_tokens', 'idempotency_keys', 'wabas',
        'sender_numbers', 'templates', 'contacts', 'contact_identities', 'labels', 'contact_labels', 'contact_attributes',
        'suppressions', 'contact_import_jobs', 'contact_import_chunks', 'contact_audit_logs', 'campaigns', 'quotations',
        'quotation_items', 'campaign_shares', 'wallets', 'ledger_accounts', 'ledger_transactions', 'ledger_entries',
        'message_logs', 'message_attempts', 'unknown_attempts', 'orphan_statuses', 'settlements', 'dead_letters',
        'outbox_turns', 'outbox_lanes', 'outbox_events', 'outbox_claims'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY vendor_isolation ON %I TO kloyst_app, kloyst_operator
            USING (vendor_id = current_vendor()) WITH CHECK (vendor_id = current_vendor())', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kloyst_app, kloyst_operator', t);
    END LOOP;
    -- Append-only: what was booked or logged stays.
    FOREACH t IN ARRAY ARRAY['ledger_transactions', 'ledger_entries'] LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON %I FROM kloyst_app, kloyst_operator', t);
    END LOOP;
    REVOKE UPDATE ON contact_audit_logs FROM kloyst_app, kloyst_operator;
    -- Tables without a vendor: prices, the same for all; and raw webhook bodies.
    FOREACH t IN ARRAY ARRAY['pricing_snapshots', 'pricing_markets', 'pricing_rates', 'pricing_tiers', 'platform_fee_rules', 'tax_rules'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY shared_read ON %I FOR SELECT TO kloyst_app, kloyst_operator USING (true)', t);
        EXECUTE format('CREATE POLICY operator_load ON %I FOR INSERT TO kloyst_operator WITH CHECK (true)', t);
        EXECUTE format('GRANT SELECT ON %I TO kloyst_app, kloyst_operator', t);
        EXECUTE format('GRANT INSERT ON %I TO kloyst_operator', t);
    END LOOP;
    -- The relay sees the outbox of every vendor, and when an unknown outcome is due.
    FOREACH t IN ARRAY ARRAY['outbox_turns', 'outbox_lanes', 'outbox_events', 'outbox_claims', 'unknown_attempts', 'dead_letters'] LOOP
        EXECUTE format('CREATE POLICY relay_all ON %I TO kloyst_relay USING (true) WITH CHECK (true)', t);
    END LOOP;
    GRANT SELECT, UPDATE ON outbox_turns, outbox_lanes TO kloyst_relay;
    GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_events, outbox_claims TO kloyst_relay;
    GRANT SELECT ON unknown_attempts TO kloyst_relay;
    GRANT INSERT ON dead_letters TO kloyst_relay;
    -- The webhook routes by number, moves an attempt's status, parks what it cannot
    -- place, enqueues what follows. It reads no person and writes no money.
    EXECUTE 'CREATE POLICY webhook_route ON sender_numbers FOR SELECT TO kloyst_webhook USING (true)';
    EXECUTE 'CREATE POLICY webhook_read ON message_attempts FOR SELECT TO kloyst_webhook USING (true)';
    EXECUTE 'CREATE POLICY webhook_move ON message_attempts FOR UPDATE TO kloyst_webhook USING (true) WITH CHECK (true)';
    EXECUTE 'CREATE POLICY webhook_park ON orphan_statuses TO kloyst_webhook USING (true) WITH CHECK (true)';
    EXECUTE 'CREATE POLICY webhook_settle ON settlements TO kloyst_webhook USING (true) WITH CHECK (true)';
    EXECUTE 'CREATE POLICY webhook_outbox ON outbox_events TO kloyst_webhook USING (true) WITH CHECK (true)';
    EXECUTE 'CREATE POLICY webhook_turn ON outbox_turns TO kloyst_webhook USING (true) WITH CHECK (true)';
    GRANT SELECT (vendor_id, id, phone_number_id, waba_ref) ON sender_numbers TO kloyst_webhook;
    GRANT SELECT ON message_attempts TO kloyst_webhook;
    GRANT UPDATE (status, wamid, sent_at, delivered_at, read_at, failed_at, error_code, error_title, error_details,
                  meta_category, meta_pricing) ON message_attempts TO kloyst_webhook;
    GRANT SELECT, INSERT ON orphan_statuses, settlements TO kloyst_webhook;
    GRANT SELECT, INSERT, UPDATE (available_at) ON outbox_events TO kloyst_webhook;
    GRANT SELECT, UPDATE ON outbox_turns TO kloyst_webhook;
    ALTER TABLE webhook_intakes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE webhook_intakes FORCE ROW LEVEL SECURITY;
    EXECUTE 'CREATE POLICY webhook_keep ON webhook_intakes FOR INSERT TO kloyst_webhook WITH CHECK (true)';
    EXECUTE 'CREATE POLICY operator_read ON webhook_intakes FOR SELECT TO kloyst_operator USING (true)';
    GRANT INSERT ON webhook_intakes TO kloyst_webhook;
    GRANT SELECT ON webhook_intakes TO kloyst_operator;
    -- Who the vendors are: the operator's list, and the login's one question.
    EXECUTE 'CREATE POLICY operator_list ON vendors FOR SELECT TO kloyst_operator USING (true)';
    EXECUTE 'CREATE POLICY login_lookup ON users FOR SELECT TO kloyst_owner USING (true)';
END $$;
-- +goose StatementEnd

-- +goose Down
-- The first migration has no way back: restore a backup instead.
-- +goose StatementBegin
DO $$ BEGIN RAISE EXCEPTION '0001 cannot be undone'; END $$;
-- +goose StatementEnd

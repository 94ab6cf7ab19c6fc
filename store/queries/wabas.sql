-- name: WABALockByMetaID
SELECT id FROM wabas WHERE vendor_id = @vendor_id AND waba_id = @waba_id FOR UPDATE

-- name: WABAInsert
INSERT INTO wabas (vendor_id, id, waba_id, name, currency, portfolio_id, token_ct)
VALUES (@vendor_id, @id, @waba_id, @name, @currency, @portfolio_id, @token_ct)
RETURNING id, waba_id, name, currency, status, synced_at, created_at, COALESCE(portfolio_id, '')

-- name: WABAReconnect
UPDATE wabas
SET name = @name, currency = @currency, portfolio_id = @portfolio_id, token_ct = @token_ct, status = 'CONNECTED',
    renewed_at = clock_timestamp(), updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id AND waba_id = @waba_id
RETURNING id, waba_id, name, currency, status, synced_at, created_at, COALESCE(portfolio_id, '')

-- name: WABAList
SELECT id, waba_id, name, currency, status, synced_at, created_at, COALESCE(portfolio_id, '')
FROM wabas WHERE vendor_id = @vendor_id ORDER BY created_at, id

-- name: WABAByID
SELECT id, waba_id, name, currency, status, synced_at, created_at, COALESCE(portfolio_id, '')
FROM wabas WHERE vendor_id = @vendor_id AND id = @id

-- name: WABAToken
SELECT waba_id, token_ct FROM wabas WHERE vendor_id = @vendor_id AND id = @id

-- name: WABAMark
UPDATE wabas SET status = @status, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id AND status <> @status

-- name: WABASynced
UPDATE wabas SET synced_at = now(), status = 'CONNECTED', updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id

-- name: SenderNumberInsert
INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, display_phone_number, verified_name,
                            quality_rating, throughput_level, rate_per_second, rate_source, status, learnt_at)
VALUES (@vendor_id, @id, @waba_ref, @phone_number_id, @display_phone_number, @verified_name,
        @quality_rating, @throughput_level, @rate_per_second, @rate_source, @status, now())
RETURNING id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
          rate_per_second, rate_source, status, created_at, learnt_at

-- name: SenderNumberUpdate
UPDATE sender_numbers
SET waba_ref = @waba_ref, display_phone_number = @display_phone_number, verified_name = @verified_name,
    quality_rating = @quality_rating, throughput_level = @throughput_level, rate_per_second = @rate_per_second,
    rate_source = @rate_source, status = @status, learnt_at = now(), updated_at = now()
WHERE vendor_id = @vendor_id AND phone_number_id = @phone_number_id
RETURNING id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
          rate_per_second, rate_source, status, created_at, learnt_at

-- name: SenderNumberList
SELECT id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
       rate_per_second, rate_source, status, created_at, learnt_at
FROM sender_numbers WHERE vendor_id = @vendor_id ORDER BY created_at, id

-- name: SenderNumberByID
SELECT id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
       rate_per_second, rate_source, status, created_at, learnt_at
FROM sender_numbers WHERE vendor_id = @vendor_id AND id = @id

-- name: SenderNumberLanes
-- What may be in flight for the number follows its rate: two seconds of it.
UPDATE outbox_lanes SET window_rows = @rate_per_second::integer * 2
WHERE vendor_id = @vendor_id AND sender_number_id = @id AND window_rows <> @rate_per_second::integer * 2

-- name: WABAPortfolio
UPDATE wabas SET portfolio_id = @portfolio_id, updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id AND portfolio_id IS DISTINCT FROM @portfolio_id

-- name: PortfolioEnsure
INSERT INTO portfolios (vendor_id, portfolio_id) VALUES (@vendor_id, @portfolio_id) ON CONFLICT DO NOTHING

-- name: PortfolioLearn
UPDATE portfolios SET tier = @tier, daily_limit = @daily_limit, learnt_at = now()
WHERE vendor_id = @vendor_id AND portfolio_id = (SELECT portfolio_id FROM wabas WHERE vendor_id = @vendor_id AND id = @waba_ref)

-- name: PortfolioOfNumber
SELECT p.portfolio_id, p.tier, COALESCE(p.daily_limit, 0)
FROM sender_numbers n
JOIN wabas w ON w.vendor_id = n.vendor_id AND w.id = n.waba_ref
JOIN portfolios p ON p.vendor_id = w.vendor_id AND p.portfolio_id = w.portfolio_id
WHERE n.vendor_id = @vendor_id AND n.id = @number_id

-- name: PortfolioLock
-- One mark after the other counts against the limit.
SELECT COALESCE(daily_limit, 0) FROM portfolios WHERE vendor_id = @vendor_id AND portfolio_id = @portfolio_id FOR UPDATE

-- name: PortfolioCounts
SELECT slot, people FROM portfolio_counts
WHERE vendor_id = @vendor_id AND portfolio_id = @portfolio_id AND slot > @oldest AND people > 0 ORDER BY slot

-- name: PortfolioReached
-- Who of some messages' people counts already, or is answered within their window. The rest takes room.
SELECT m.id, COALESCE(m.category = 'SERVICE', false) OR EXISTS (
    SELECT 1 FROM portfolio_reaches r
    WHERE r.vendor_id = m.vendor_id AND r.portfolio_id = @portfolio_id AND r.recipient_hash = m.recipient_hash AND r.reached_at > @oldest)
FROM message_logs m WHERE m.vendor_id = @vendor_id AND m.month = @month AND m.id = ANY(@message_ids::bigint[]) ORDER BY m.id

-- name: PortfolioReach
-- People who are written to now: each counts in the slot of the last message.
WITH people AS (
    SELECT DISTINCT h AS recipient_hash FROM unnest(@people::bytea[]) h
), was AS (
    SELECT r.recipient_hash, r.reached_at FROM portfolio_reaches r JOIN people USING (recipient_hash)
    WHERE r.vendor_id = @vendor_id AND r.portfolio_id = @portfolio_id
), moved AS (
    INSERT INTO portfolio_reaches (vendor_id, portfolio_id, recipient_hash, reached_at)
    SELECT @vendor_id, @portfolio_id, recipient_hash, @slot FROM people ORDER BY recipient_hash
    ON CONFLICT (vendor_id, portfolio_id, recipient_hash) DO UPDATE SET reached_at = EXCLUDED.reached_at
    WHERE portfolio_reaches.reached_at < EXCLUDED.reached_at
    RETURNING recipient_hash
), change AS (
    SELECT slot, sum(people) AS people FROM (
        SELECT @slot::timestamptz AS slot, 1 AS people FROM moved
        UNION ALL SELECT was.reached_at, -1 FROM was JOIN moved USING (recipient_hash)) c GROUP BY slot ORDER BY slot
)
INSERT INTO portfolio_counts (vendor_id, portfolio_id, slot, people)
SELECT @vendor_id, @portfolio_id, slot, GREATEST(people, 0) FROM change
ON CONFLICT (vendor_id, portfolio_id, slot) DO UPDATE
SET people = GREATEST(portfolio_counts.people + (SELECT c.people FROM change c WHERE c.slot = portfolio_counts.slot), 0)

-- name: PortfolioForget
-- People and counts of before the window, a few at a time.
WITH old AS (
    SELECT portfolio_id, recipient_hash FROM portfolio_reaches
    WHERE vendor_id = @vendor_id AND portfolio_id = @portfolio_id AND reached_at <= @oldest ORDER BY reached_at LIMIT 200
), gone AS (
    DELETE FROM portfolio_reaches r USING old
    WHERE r.vendor_id = @vendor_id AND r.portfolio_id = old.portfolio_id AND r.recipient_hash = old.recipient_hash
)
DELETE FROM portfolio_counts WHERE vendor_id = @vendor_id AND portfolio_id = @portfolio_id AND slot <= @oldest

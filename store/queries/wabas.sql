-- name: WABALockByMetaID
SELECT id FROM wabas WHERE vendor_id = @vendor_id AND waba_id = @waba_id FOR UPDATE

-- name: WABAInsert
INSERT INTO wabas (vendor_id, id, waba_id, name, currency, token_ct)
VALUES (@vendor_id, @id, @waba_id, @name, @currency, @token_ct)
RETURNING id, waba_id, name, currency, status, synced_at, created_at

-- name: WABAReconnect
UPDATE wabas
SET name = @name, currency = @currency, token_ct = @token_ct, status = 'CONNECTED', updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id AND waba_id = @waba_id
RETURNING id, waba_id, name, currency, status, synced_at, created_at

-- name: WABAList
SELECT id, waba_id, name, currency, status, synced_at, created_at
FROM wabas WHERE vendor_id = @vendor_id ORDER BY created_at, id

-- name: WABAByID
SELECT id, waba_id, name, currency, status, synced_at, created_at
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
                            quality_rating, throughput_level, rate_per_second, status)
VALUES (@vendor_id, @id, @waba_ref, @phone_number_id, @display_phone_number, @verified_name,
        @quality_rating, @throughput_level, @rate_per_second, @status)
RETURNING id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
          rate_per_second, status, created_at

-- name: SenderNumberUpdate
UPDATE sender_numbers
SET waba_ref = @waba_ref, display_phone_number = @display_phone_number, verified_name = @verified_name,
    quality_rating = @quality_rating, throughput_level = @throughput_level, rate_per_second = @rate_per_second,
    status = @status, updated_at = now()
WHERE vendor_id = @vendor_id AND phone_number_id = @phone_number_id
RETURNING id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
          rate_per_second, status, created_at

-- name: SenderNumberList
SELECT id, waba_ref, phone_number_id, display_phone_number, verified_name, quality_rating, throughput_level,
       rate_per_second, status, created_at
FROM sender_numbers WHERE vendor_id = @vendor_id ORDER BY created_at, id

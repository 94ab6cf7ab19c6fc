-- name: IdempotencyKeyInsert
INSERT INTO idempotency_keys (vendor_id, route, key, request_hash)
VALUES (@vendor_id, @route, @key, @request_hash)
ON CONFLICT (vendor_id, route, key) DO NOTHING

-- name: IdempotencyKeyByKey
SELECT request_hash, response FROM idempotency_keys
WHERE vendor_id = @vendor_id AND route = @route AND key = @key

-- name: IdempotencyKeyAnswer
UPDATE idempotency_keys SET response = @response
WHERE vendor_id = @vendor_id AND route = @route AND key = @key

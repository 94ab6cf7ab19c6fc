-- name: VendorInsert
-- A trigger adds the vendor's turn and its work lane.
INSERT INTO vendors (vendor_id, name, default_region, currency, time_zone)
VALUES (@vendor_id, @name, @default_region, @currency, @time_zone)

-- name: VendorKeyInsert
INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES (@vendor_id, @version, @wrapped)

-- name: VendorKeyNewest
SELECT wrapped FROM vendor_keys
WHERE vendor_id = @vendor_id AND wrapped IS NOT NULL
ORDER BY version DESC LIMIT 1

-- name: VendorWalletInsert
-- The wallet exists from the vendor's first moment, so its lock is never on nothing.
INSERT INTO wallets (vendor_id, currency) VALUES (@vendor_id, @currency)

-- name: VendorByID
SELECT vendor_id, name, plan, status, default_region, currency, time_zone, version, created_at, unknown_policy_marketing, unknown_policy_utility
FROM vendors WHERE vendor_id = @vendor_id

-- name: VendorLock
SELECT vendor_id, name, plan, status, default_region, currency, time_zone, version, created_at, unknown_policy_marketing, unknown_policy_utility
FROM vendors WHERE vendor_id = @vendor_id FOR UPDATE

-- name: VendorUpdate
UPDATE vendors
SET name = @name, default_region = @default_region, time_zone = @time_zone,
    unknown_policy_marketing = @unknown_marketing, unknown_policy_utility = @unknown_utility, version = version + 1, updated_at = now()
WHERE vendor_id = @vendor_id
RETURNING version

-- name: VendorList
SELECT vendor_id, name, plan, status, default_region, currency, time_zone, version, created_at, unknown_policy_marketing, unknown_policy_utility
FROM vendors ORDER BY created_at, vendor_id

-- name: VendorPage
SELECT vendor_page(@after, @rows)

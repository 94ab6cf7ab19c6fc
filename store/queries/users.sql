-- name: UserInsert
INSERT INTO users (vendor_id, id, email, name, password_hash, role, email_verified_at)
VALUES (@vendor_id, @id, @email, @name, @password_hash, @role, CASE WHEN @verified::boolean THEN now() END)

-- name: UserIDByEmail
SELECT vendor_id, user_id FROM auth_user_by_email(@email)

-- name: UserByID
SELECT vendor_id, id, email, name, password_hash, role, status = 'DISABLED', email_verified_at IS NOT NULL, created_at
FROM users WHERE vendor_id = @vendor_id AND id = @id

-- name: UserEnqueueVerification
-- The event holds the user's id; the worker makes the token and writes the mail.
SELECT outbox_enqueue(vendor_id, 'user.registered', id::text)
FROM users WHERE vendor_id = @vendor_id AND id = @id AND email_verified_at IS NULL

-- name: UserVerify
UPDATE users SET email_verified_at = COALESCE(email_verified_at, now()), updated_at = now()
WHERE vendor_id = @vendor_id AND id = @id

-- name: UserTokenInsert
INSERT INTO user_tokens (vendor_id, token_hash, user_id, purpose, expires_at)
VALUES (@vendor_id, @token_hash, @user_id, @purpose, @expires_at)

-- name: UserTokenUse
UPDATE user_tokens SET used_at = now()
WHERE vendor_id = @vendor_id AND token_hash = @token_hash AND purpose = @purpose
  AND used_at IS NULL AND expires_at > now()
RETURNING user_id

-- name: RefreshTokenInsert
INSERT INTO refresh_tokens (vendor_id, token_hash, family_id, user_id, expires_at)
VALUES (@vendor_id, @token_hash, @family_id, @user_id, @expires_at)

-- name: RefreshTokenLock
-- The lock makes two uses of one token one after the other: the second sees the first.
SELECT family_id, user_id, used_at IS NOT NULL, revoked_at IS NULL AND expires_at > now()
FROM refresh_tokens WHERE vendor_id = @vendor_id AND token_hash = @token_hash FOR UPDATE

-- name: RefreshTokenUse
UPDATE refresh_tokens SET used_at = now() WHERE vendor_id = @vendor_id AND token_hash = @token_hash

-- name: RefreshTokenRevokeFamily
UPDATE refresh_tokens SET revoked_at = now()
WHERE vendor_id = @vendor_id AND family_id = @family_id AND revoked_at IS NULL

-- name: UserStewards
-- Who may act for the vendor, and can be written to.
SELECT id, email, name FROM users
WHERE vendor_id = @vendor_id AND role IN ('OWNER', 'ADMIN') AND status <> 'DISABLED' AND email_verified_at IS NOT NULL
ORDER BY created_at, id

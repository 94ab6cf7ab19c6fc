package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// The errors of users and their tokens. None tells more than a stranger may know.
var (
	ErrUserNotFound = errs.New(errs.NotFound, "user.not_found", "no such user")
	ErrUserToken    = errs.New(errs.Invalid, "auth.token_used_or_expired", "this link was used or is too old: ask for a new one")
	ErrRefresh      = errs.New(errs.Unauthenticated, "auth.refresh_invalid", "the refresh token is wrong or expired: log in again")
	ErrRefreshReuse = errs.New(errs.Unauthenticated, "auth.refresh_reused",
		"this refresh token was used before, so everyone logged in with it is logged out: log in again")
)

// UserByEmail finds who logs in. The e-mail is all that is known, so it crosses
// vendors: by a function that answers ids for one address and nothing else.
//
// Errors: user.not_found.
func (s *Store) UserByEmail(ctx context.Context, email string) (vendor.User, error) {
	var v vendor.ID
	var u vendor.UserID
	err := s.acrossTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("UserIDByEmail"), pgx.StrictNamedArgs{"email": email}).Scan(&v, &u)
		return orNotFound(err, ErrUserNotFound)
	})
	if err != nil {
		return vendor.User{}, err
	}
	return s.User(ctx, v, u)
}

// User returns one user of the vendor.
//
// Errors: user.not_found.
func (s *Store) User(ctx context.Context, v vendor.ID, u vendor.UserID) (vendor.User, error) {
	var out vendor.User
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.userInTx(ctx, tx, v, u)
		return err
	})
	return out, err
}

func (s *Store) userInTx(ctx context.Context, tx pgx.Tx, v vendor.ID, id vendor.UserID) (vendor.User, error) {
	var u vendor.User
	err := tx.QueryRow(ctx, s.sql("UserByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": id}).
		Scan(&u.Vendor, &u.ID, &u.Email, &u.Name, &u.PasswordHash, &u.Role, &u.Disabled, &u.EmailVerified, &u.CreatedAt)
	return u, orNotFound(err, ErrUserNotFound)
}

// Stewards returns who may act for the vendor and can be written to: id, address and name.
func (s *Store) Stewards(ctx context.Context, v vendor.ID) ([]vendor.User, error) {
	var out []vendor.User
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("UserStewards"), pgx.StrictNamedArgs{"vendor_id": v}, func(row pgx.CollectableRow) (vendor.User, error) {
			u := vendor.User{Vendor: v}
			return u, row.Scan(&u.ID, &u.Email, &u.Name)
		})
		return err
	})
	return out, err
}

// AskVerification asks once more for the mail with the verification link; a user who is
// verified, or whose mail is still on its way, gets none.
func (s *Store) AskVerification(ctx context.Context, v vendor.ID, u vendor.UserID) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("UserEnqueueVerification"), pgx.StrictNamedArgs{"vendor_id": v, "id": u})
		return err
	})
}

// CreateVerification keeps the hash of a token that proves the user's e-mail until end.
func (s *Store) CreateVerification(ctx context.Context, v vendor.ID, u vendor.UserID, hash []byte, end time.Time) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("UserTokenInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "token_hash": hash, "user_id": u, "purpose": "VERIFY_EMAIL", "expires_at": end,
		})
		return err
	})
}

// VerifyEmail takes a verification token and marks its user's e-mail as proven. It
// works once.
//
// Errors: auth.token_used_or_expired.
func (s *Store) VerifyEmail(ctx context.Context, v vendor.ID, hash []byte) error {
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var u vendor.UserID
		err := tx.QueryRow(ctx, s.sql("UserTokenUse"), pgx.StrictNamedArgs{
			"vendor_id": v, "token_hash": hash, "purpose": "VERIFY_EMAIL",
		}).Scan(&u)
		if err != nil {
			return orNotFound(err, ErrUserToken)
		}
		_, err = tx.Exec(ctx, s.sql("UserVerify"), pgx.StrictNamedArgs{"vendor_id": v, "id": u})
		return err
	})
	if errors.Is(err, vendor.ErrNotFound) {
		return ErrUserToken
	}
	return err
}

// RefreshToken is the hash of a refresh token, the line of tokens it descends in, and
// how long it works.
type RefreshToken struct {
	Hash   []byte
	Family string // UUID; a login begins one
	Expiry time.Time
}

// CreateRefreshToken begins a family: one login.
func (s *Store) CreateRefreshToken(ctx context.Context, v vendor.ID, u vendor.UserID, t RefreshToken) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error { return s.insertRefresh(ctx, tx, v, u, t) })
}

func (s *Store) insertRefresh(ctx context.Context, tx pgx.Tx, v vendor.ID, u vendor.UserID, t RefreshToken) error {
	_, err := tx.Exec(ctx, s.sql("RefreshTokenInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "token_hash": t.Hash, "family_id": t.Family, "user_id": u, "expires_at": t.Expiry,
	})
	return err
}

// RotateRefreshToken uses up the token with hash and keeps next in its family (next's
// own Family is ignored). A token used before means that two parties hold it: the whole
// family is revoked. It returns whose login it is.
//
// Errors: auth.refresh_invalid, auth.refresh_reused.
func (s *Store) RotateRefreshToken(ctx context.Context, v vendor.ID, hash []byte, next RefreshToken) (vendor.User, error) {
	var out vendor.User
	var reused bool
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var u vendor.UserID
		var used, alive bool
		err := tx.QueryRow(ctx, s.sql("RefreshTokenLock"), pgx.StrictNamedArgs{"vendor_id": v, "token_hash": hash}).
			Scan(&next.Family, &u, &used, &alive)
		switch {
		case err != nil:
			return orNotFound(err, ErrRefresh)
		case used:
			reused = true // the revocation must be committed, so it is no error yet
			return s.revokeFamily(ctx, tx, v, next.Family)
		case !alive:
			return ErrRefresh
		}
		if out, err = s.userInTx(ctx, tx, v, u); err != nil {
			return err
		}
		if out.Disabled {
			return ErrRefresh
		}
		if _, err = tx.Exec(ctx, s.sql("RefreshTokenUse"), pgx.StrictNamedArgs{"vendor_id": v, "token_hash": hash}); err != nil {
			return err
		}
		return s.insertRefresh(ctx, tx, v, u, next)
	})
	switch {
	case reused && err == nil:
		return vendor.User{}, ErrRefreshReuse
	case errors.Is(err, vendor.ErrNotFound):
		return vendor.User{}, ErrRefresh
	}
	return out, err
}

// RevokeRefreshToken ends the login that the token belongs to. An unknown token is
// as good as ended.
func (s *Store) RevokeRefreshToken(ctx context.Context, v vendor.ID, hash []byte) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		var family string
		var u vendor.UserID
		var used, alive bool
		err := tx.QueryRow(ctx, s.sql("RefreshTokenLock"), pgx.StrictNamedArgs{"vendor_id": v, "token_hash": hash}).
			Scan(&family, &u, &used, &alive)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.revokeFamily(ctx, tx, v, family)
	})
}

func (s *Store) revokeFamily(ctx context.Context, tx pgx.Tx, v vendor.ID, family string) error {
	_, err := tx.Exec(ctx, s.sql("RefreshTokenRevokeFamily"), pgx.StrictNamedArgs{"vendor_id": v, "family_id": family})
	return err
}

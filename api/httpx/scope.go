package httpx

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Principal is who calls: a user of a vendor, proven by an access token.
// The zero value is nobody.
type Principal struct {
	Vendor vendor.ID
	User   vendor.UserID
	Role   vendor.Role
}

// The errors of a caller who is not known, or not allowed.
//
//nolint:gochecknoglobals // sentinels
var (
	ErrNoToken = errs.New(errs.Unauthenticated, "auth.token_missing", "send an access token as Authorization: Bearer")
	ErrToken   = errs.New(errs.Unauthenticated, "auth.token_invalid", "the access token is wrong or expired")
	ErrRole    = errs.New(errs.Denied, "auth.role_insufficient", "your role does not allow this")
)

// scope is what one request carries through its context. The middleware makes it,
// authentication fills it in, the access log reads it at the end.
type scope struct {
	id        string
	route     string // method and path as sent
	log       *slog.Logger
	principal Principal
	authErr   error // why there is no principal
}

type scopeKey struct{}

func scopeOf(ctx context.Context) *scope {
	if s, ok := ctx.Value(scopeKey{}).(*scope); ok {
		return s
	}
	return &scope{log: slog.New(slog.DiscardHandler), authErr: ErrNoToken}
}

func logger(ctx context.Context) *slog.Logger { return scopeOf(ctx).log }

// RequestID names the request in answers and logs; "" outside a request.
func RequestID(ctx context.Context) string { return scopeOf(ctx).id }

// RouteKey is the method and path of the request, ids included: the room in which an
// Idempotency-Key counts.
func RouteKey(ctx context.Context) string { return scopeOf(ctx).route }

// Caller returns who is calling and whether that role is at least min.
//
// Errors: auth.token_missing, auth.token_invalid, auth.role_insufficient.
func Caller(ctx context.Context, least vendor.Role) (Principal, error) {
	s := scopeOf(ctx)
	if s.principal.Vendor == "" {
		if s.authErr != nil {
			return Principal{}, s.authErr
		}
		return Principal{}, ErrNoToken
	}
	if !s.principal.Role.AtLeast(least) {
		return Principal{}, ErrRole
	}
	return s.principal, nil
}

// Vendor returns the calling vendor of a raw handler behind Authed: never empty there.
func Vendor(r *http.Request) vendor.ID { return scopeOf(r.Context()).principal.Vendor }

// Caller of a raw handler behind Authed.
func CallerOf(r *http.Request) Principal { return scopeOf(r.Context()).principal }

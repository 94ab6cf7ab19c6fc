package httpx

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

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
	client    string // address of who calls
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

// ClientIP is the address of who calls, for throttling; "" outside a request. Behind our
// own proxy (on a private address) it is what that proxy wrote.
func ClientIP(ctx context.Context) string { return scopeOf(ctx).client }

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil || !peer.IsLoopback() && !peer.IsPrivate() {
		return host
	}
	// The last entry is the one our proxy added; those before it are anybody's claim.
	hops := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	if last, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1])); err == nil {
		return last.String()
	}
	return host
}

// Caller returns who is calling, if that role is at least least.
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

// CallerOf returns who calls a raw handler behind Authed.
func CallerOf(r *http.Request) Principal { return scopeOf(r.Context()).principal }

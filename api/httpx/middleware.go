package httpx

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

// statusWriter remembers the status for the log and for Handle.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush and set deadlines below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Base gives every request an id, an access-log line and a net under panics.
// A caller's own X-Request-Id is kept where it is harmless, so that one id follows a
// request through several systems. The log has no query and no body: they may hold
// phone numbers.
func Base(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begin := time.Now()
			s := &scope{id: r.Header.Get("X-Request-Id"), route: r.Method + " " + r.URL.Path, client: clientIP(r)}
			if !harmless(s.id) {
				s.id = id.New[string]()
			}
			s.log = log.With(slog.String("request_id", s.id))
			w.Header().Set("X-Request-Id", s.id)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-store") // answers are a vendor's own; what may be kept says so itself
			ctx := context.WithValue(r.Context(), scopeKey{}, s)
			r = r.WithContext(ctx)
			out := &statusWriter{ResponseWriter: w}
			defer func() {
				if cause := recover(); cause != nil {
					recovered(out, r, cause)
				}
				route := chi.RouteContext(ctx).RoutePattern()
				s.log.LogAttrs(ctx, slog.LevelInfo, "request",
					slog.String("method", r.Method), slog.String("route", route), slog.Int("status", out.status),
					slog.Int64("bytes", out.bytes), slog.Float64("ms", float64(time.Since(begin).Microseconds())/1e3),
					slog.String("vendor_id", string(s.principal.Vendor)))
			}()
			next.ServeHTTP(out, r)
		})
	}
}

// recovered answers a panic as an internal error, except the one by which a handler
// asks net/http to cut the connection.
func recovered(w *statusWriter, r *http.Request, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause)
	}
	logger(r.Context()).ErrorContext(r.Context(), "handler panicked",
		slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
	if w.status == 0 {
		WriteError(w, r, NewProblem(http.StatusInternalServerError, "internal",
			"something went wrong on our side; quote the request id"))
	}
}

// harmless tells whether a foreign request id may go into our logs and headers.
func harmless(text string) bool {
	if len(text) < 8 || len(text) > 64 {
		return false
	}
	for _, c := range []byte(text) {
		ok := c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !ok {
			return false
		}
	}
	return true
}

// corsMaxAge is how long a browser keeps a preflight answer: Chromium's own cap is two hours.
const corsMaxAge = "7200"

// CORS lets pages of the given origins call the API with a bearer token. "*" lets
// every origin. Cookies are not used, so none are allowed.
func CORS(origins []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			origin := r.Header.Get("Origin")
			h := w.Header()
			h.Add("Vary", "Origin")
			if origin == "" || !slices.Contains(origins, origin) && !slices.Contains(origins, "*") {
				next.ServeHTTP(w, r)
				return
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id, RateLimit, RateLimit-Policy, Content-Disposition, Location")
			if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
				next.ServeHTTP(w, r)
				return
			}
			h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id")
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
		})
	}
}

// Limit bounds every body that no handler bounds tighter, in bytes.
func Limit(n int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > n {
				WriteError(w, r, errBodyTooLarge)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, n)
			next.ServeHTTP(w, r)
		})
	}
}

// Authenticate reads the access token, if any, and remembers the caller or why there
// is none. It refuses nobody: a route says itself whom it wants, so that an expired
// token does not keep anybody from logging in.
func Authenticate(tokens *Tokens) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := scopeOf(r.Context())
			s.principal, s.authErr = tokens.caller(r)
			if s.authErr != nil && errs.KindOf(s.authErr) == errs.Internal {
				s.authErr = ErrToken.With(s.authErr)
			}
			next.ServeHTTP(w, r)
		})
	}
}

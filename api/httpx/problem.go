// Package httpx is what every HTTP handler of this code base shares: one way to
// answer errors (RFC 9457), one way to read input, who is calling, cursors, and
// the middleware around it. Its law: a handler returns an error, this package
// turns it into an answer, nobody else does; and no answer echoes an input value.
package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Problem is an RFC 9457 problem document: the only shape an error has over HTTP.
// Code is permanent and meant for programs, Detail for people. It is an error itself,
// for the few answers (400, 412, 415) that no errs.Kind stands for.
//
//nolint:errname // RFC 9457's word for it, and the API's schema name
type Problem struct {
	Type      string       `json:"type" doc:"URI of the problem type, made of the code" example:"urn:kloyst:problem:wallet.insufficient_funds"`
	Title     string       `json:"title" doc:"The status in words" example:"Payment Required"`
	Status    int          `json:"status" doc:"The HTTP status" example:"402"`
	Detail    string       `json:"detail,omitempty" doc:"What happened, for people"`
	Code      string       `json:"code" doc:"Permanent code, for programs" example:"wallet.insufficient_funds"`
	Errors    []errs.Field `json:"errors,omitempty" nullable:"false" doc:"The inputs to change"`
	RequestID string       `json:"request_id,omitempty" doc:"Quote this when asking for help; also in the X-Request-Id header"`
	Retryable bool         `json:"retryable" doc:"Whether the same request may succeed later"`

	retryAfter time.Duration
}

// The waits told to clients when whoever failed gave none: a throttle is over in
// seconds, a dependency usually restarts within five.
const (
	defaultThrottleWait    = time.Second
	defaultUnavailableWait = 5 * time.Second
)

// NewProblem makes a problem of a status that no errs.Kind stands for.
func NewProblem(status int, code, detail string) *Problem {
	return &Problem{
		Type:   "urn:kloyst:problem:" + code,
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Detail: detail,
	}
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus makes Problem the error type of huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType gives the media type of problem documents.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders returns Retry-After where the problem passes by itself.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// status maps the kind of an error to HTTP.
func status(k errs.Kind) int {
	switch k {
	case errs.Internal:
		return http.StatusInternalServerError
	case errs.Invalid:
		return http.StatusUnprocessableEntity
	case errs.Denied:
		return http.StatusForbidden
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Conflict:
		return http.StatusConflict
	case errs.Unfunded:
		return http.StatusPaymentRequired
	case errs.Throttled:
		return http.StatusTooManyRequests
	case errs.Unavailable:
		return http.StatusServiceUnavailable
	case errs.Unauthenticated:
		return http.StatusUnauthorized
	case errs.TooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError
}

// problemOf translates err. An internal error keeps its text to itself.
func problemOf(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		c := *p
		c.RequestID = RequestID(ctx)
		return &c
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = errBodyTooLarge
	}
	e, ok := errors.AsType[*errs.Error](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded):
		e = errs.New(errs.Unavailable, "request.timeout", "the request took too long")
	default:
		e = errs.New(errs.Internal, "internal", "")
	}
	p := NewProblem(status(e.Kind), e.Code, e.Msg)
	p.Errors = fields(err)
	p.Retryable = e.Kind.Retryable()
	p.RequestID = RequestID(ctx)
	p.retryAfter = e.RetryAfter
	if p.retryAfter <= 0 {
		p.retryAfter = defaultThrottleWait
		if e.Kind == errs.Unavailable {
			p.retryAfter = defaultUnavailableWait
		}
	}
	if e.Kind == errs.Internal {
		p.Detail, p.Errors = "something went wrong on our side; quote the request id", nil
	}
	return p
}

// fields gathers the wrong inputs of err, however many refusals were joined in it.
func fields(err error) []errs.Field {
	if e, ok := err.(*errs.Error); ok { //nolint:errorlint // one level at a time
		return e.Fields
	}
	var out []errs.Field
	switch u := err.(type) { //nolint:errorlint // one level at a time
	case interface{ Unwrap() []error }:
		for _, one := range u.Unwrap() {
			out = append(out, fields(one)...)
		}
	case interface{ Unwrap() error }:
		return fields(u.Unwrap())
	}
	return out
}

// report logs what the caller is not shown: once, here, and only for failures of ours.
func report(ctx context.Context, err error, p *Problem) {
	log := logger(ctx)
	switch {
	case errors.Is(err, context.Canceled):
	case p.Status == http.StatusInternalServerError:
		log.ErrorContext(ctx, "request failed", slog.String("code", p.Code), slog.Any("error", err))
	case p.Status == http.StatusServiceUnavailable:
		log.WarnContext(ctx, "dependency unavailable", slog.String("code", p.Code), slog.Any("error", err))
	}
}

// WriteError answers err as a problem document.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	report(r.Context(), err, p)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away: nobody is left to tell
}

// NotFound answers a path nobody serves, MethodNotAllowed a method a path does not have.
func NotFound(w http.ResponseWriter, r *http.Request) {
	WriteError(w, r, errs.New(errs.NotFound, "route.not_found", "no such resource"))
}

// MethodNotAllowed answers a method that a path does not have.
func MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	WriteError(w, r, NewProblem(http.StatusMethodNotAllowed, "route.method_not_allowed",
		"this resource does not take this method"))
}

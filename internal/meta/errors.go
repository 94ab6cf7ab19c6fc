package meta

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Class says what a failure calls for.
type Class = failure.Class

// The classes, under the names that this package's table uses.
const (
	Retry     = failure.Retry
	Later     = failure.Later
	Number    = failure.Number
	Pair      = failure.Pair
	App       = failure.App
	Recipient = failure.Recipient
	Hold      = failure.Hold
	Campaign  = failure.Campaign
	Account   = failure.Account
	Token     = failure.Token
	Request   = failure.Request
)

// Classes lists every class, for tests and documents.
func Classes() []Class { return failure.Classes() }

// Code is what we know about one error code of Meta's.
type Code struct {
	Class  Class
	Name   string        // for programs and reports: RATE_LIMIT_HIT
	Remedy string        // for the vendor: what it means and what to do
	Wait   time.Duration // the least wait. Zero: the class's own
	Tries  int           // of Retry and Later: the most tries. Zero: the class's own
	Scope  failure.Scope // what has to stop beside the message. "": as the class says
	Probe  time.Duration // what it stopped is tried again after so long. Zero: it waits for its event

	StopsMarketing bool   // the person wants no marketing from this vendor any more
	FinalIn        string // a country in which to wait with marketing is in vain
}

// Refusal is what the rules of failures need of c.
func (c Code) Refusal() failure.Refusal {
	return failure.Refusal{
		Class: c.Class, Scope: c.Scope, Wait: c.Wait, Tries: c.Tries, StopsMarketing: c.StopsMarketing, FinalIn: c.FinalIn,
	}
}

// Error is Meta's refusal of a request, or a failure that a webhook tells of.
type Error struct {
	Code, Subcode int
	HTTPStatus    int // 0 from a webhook
	Class         Class
	Name          string
	Title         string // Meta's short text; no personal data seen in it
	Details       string // Meta's long text: store it, never log it, it may name a recipient
	Remedy        string
	Transient     bool
	TraceID       string        // fbtrace_id, for Meta's support
	RetryAfter    time.Duration // from the table or Meta's header; zero: the caller's own
	Probe         time.Duration // see Code.Probe

	known Code
}

// Refusal is what the rules of failures need of e.
func (e *Error) Refusal() failure.Refusal {
	r := e.known.Refusal()
	r.Class, r.Wait = e.Class, e.RetryAfter
	return r
}

// Error implements error, without Details.
func (e *Error) Error() string {
	return fmt.Sprintf("meta %d/%d (%s, http %d, trace %s)", e.Code, e.Subcode, e.Name, e.HTTPStatus, e.TraceID)
}

// The two failures of a request that Meta did not answer.
var (
	// ErrNotSent: no byte of the request left this machine. It may be repeated.
	ErrNotSent = errs.New(errs.Unavailable, "meta.not_sent", "Meta cannot be reached")
	// ErrUnknownOutcome: the request left, its answer is missing or not Meta's. Meta may
	// have acted on it: a message must not be repeated blindly.
	ErrUnknownOutcome = errs.New(errs.Unavailable, "meta.unknown_outcome", "Meta's answer did not arrive")
)

type envelope struct {
	Error *struct {
		Message   string   `json:"message"`
		Type      string   `json:"type"`
		Code      *flexInt `json:"code"`
		Subcode   flexInt  `json:"error_subcode"`
		Transient bool     `json:"is_transient"`
		TraceID   string   `json:"fbtrace_id"`
		UserTitle string   `json:"error_user_title"`
		UserMsg   string   `json:"error_user_msg"`
		Data      struct {
			Details string `json:"details"`
		} `json:"error_data"`
	} `json:"error"`
}

// parseError returns the refusal in text, or nil if text is none.
func parseError(resp *http.Response, text []byte) *Error {
	var env envelope
	if json.Unmarshal(text, &env) != nil || env.Error == nil {
		return nil //nolint:nilerr // text that is no envelope is no refusal of Meta's: the caller says what it is
	}
	e := &Error{
		Subcode: int(env.Error.Subcode), HTTPStatus: resp.StatusCode,
		Title: Plain(or(env.Error.UserTitle, env.Error.Type)), Details: Plain(or(env.Error.Data.Details, or(env.Error.UserMsg, env.Error.Message))),
		Transient: env.Error.Transient, TraceID: env.Error.TraceID,
	}
	named := env.Error.Code != nil
	if named {
		e.Code = int(*env.Error.Code)
	}
	e.classify(named)
	e.RetryAfter = max(e.RetryAfter, retryAfter(resp))
	return e
}

// foreignError is a 4xx that did not come from Graph itself.
func foreignError(resp *http.Response) *Error {
	e := &Error{HTTPStatus: resp.StatusCode, Class: Request, Name: "HTTP_" + strconv.Itoa(resp.StatusCode), RetryAfter: retryAfter(resp)}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		e.Class = App
	case http.StatusRequestTimeout:
		e.Class = Retry
	}
	return e
}

// retryAfter honours the header where Meta sends it; it is not documented.
func retryAfter(resp *http.Response) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// WebhookError classifies an error of a status webhook. Code 0 stands for none: a failure
// that names no reason says nothing of the access token, whatever Graph means by 0.
func WebhookError(code int, title, details string) *Error {
	e := &Error{Code: code, Title: Plain(title), Details: Plain(details)}
	e.classify(code != 0)
	return e
}

// classify fills in what the table knows of a code that Meta named. One it does not know is
// judged by its number's block, then as Meta asks: transient or 5xx is tried again, the rest
// is ours.
func (e *Error) classify(named bool) {
	c, known := Lookup(e.Code, e.Subcode)
	switch {
	case named && known:
	case e.Transient || e.HTTPStatus >= http.StatusInternalServerError:
		c = Code{Class: Retry, Name: "UNKNOWN_TRANSIENT", Remedy: "Meta had a problem; it is tried again by itself."}
	default:
		c = Code{Class: Request, Name: "UNKNOWN", Remedy: "Meta refused this with a code we do not know. If many messages get it, tell support the code."}
	}
	e.Class, e.Name, e.Remedy, e.RetryAfter, e.Probe, e.known = c.Class, c.Name, c.Remedy, c.Wait, c.Probe, c
}

// Classify gives a failure of this package the kind that the edges of a process act on.
// What a vendor may read of it is the remedy; Meta's own words stay behind.
func Classify(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	out := &errs.Error{
		Kind: errs.Conflict, Code: "meta.refused", Msg: e.Remedy, RetryAfter: e.RetryAfter,
		Err: fmt.Errorf("meta code %d subcode %d http %d", e.Code, e.Subcode, e.HTTPStatus),
	}
	switch e.Class {
	case Number, Pair, App:
		out.Kind, out.Code = errs.Throttled, "meta.throttled"
	case Retry, Later:
		out.Kind, out.Code = errs.Unavailable, "meta.unavailable"
	case Token:
		out.Code = "meta.token_refused"
	case Recipient, Hold, Campaign, Account, Request:
	}
	return out
}

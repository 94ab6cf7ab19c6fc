// Package errs is the one error type of this code base: a failure classified
// where it happened, so that the edges (HTTP, Temporal, logs) only translate.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what a caller can do about an error. It is all the edges look at.
type Kind uint8

// The kinds, from the least known to the most.
const (
	Internal        Kind = iota // our bug, or unclassified: retried, never shown
	Invalid                     // the input must change
	Denied                      // known caller, not allowed
	NotFound                    // absent, or not this vendor's
	Conflict                    // the state moved under the caller
	Unfunded                    // the wallet cannot pay: pause, do not retry
	Throttled                   // rate or quota: retry after RetryAfter
	Unavailable                 // a dependency is down: retried
	Unauthenticated             // no caller known: missing, wrong or expired credentials
	TooLarge                    // the input is over a stated size limit
)

// Error is a classified failure. Code is public and permanent
// ("wallet.insufficient_funds"); Msg and Fields may be shown to a vendor; Err may not.
type Error struct {
	Kind       Kind
	Code, Msg  string
	Fields     []Field       // what to change, for Invalid
	RetryAfter time.Duration // zero: the edge's own backoff
	Err        error
}

// Field points at one wrong input: Pointer is a JSON pointer ("/mapping/phone")
// or a parameter name, Msg the fix. It never echoes the value given.
type Field struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Msg     string `json:"detail"`
}

// New makes an Error without a cause.
func New(kind Kind, code, msg string) *Error {
	return &Error{Kind: kind, Code: code, Msg: msg}
}

// Wrap classifies err. A nil err gives nil.
func Wrap(kind Kind, code, msg string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Code: code, Msg: msg, Err: err}
}

// InvalidField is the common refusal of one input.
func InvalidField(code, pointer, msg string) *Error {
	return &Error{Kind: Invalid, Code: code, Msg: msg, Fields: []Field{{Pointer: pointer, Code: code, Msg: msg}}}
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Msg, e.Err)
	}
	return e.Code + ": " + e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is compares codes, so that a package's sentinel finds its detailed copies.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) // Is is called per level of the chain
	return ok && t.Code == e.Code
}

// With returns a copy of e caused by err.
func (e *Error) With(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Detail returns a copy of e whose message is msg.
func (e *Error) Detail(format string, args ...any) *Error {
	c := *e
	c.Msg = fmt.Sprintf(format, args...)
	return &c
}

// Retryable tells whether the same call may succeed later without a change.
func (k Kind) Retryable() bool {
	switch k {
	case Internal, Throttled, Unavailable:
		return true
	case Invalid, Denied, NotFound, Conflict, Unfunded, Unauthenticated, TooLarge:
		return false
	}
	return false
}

// KindOf returns the kind of the first classified error in the chain,
// Internal when nobody classified it.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first classified error in the chain, or "internal".
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "internal"
}

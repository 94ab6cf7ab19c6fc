package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

// MaxJSONBody bounds a JSON request body, in bytes. A campaign with a thousand
// explicit contact ids is under 100 kB; files go through uploads, which stream.
const MaxJSONBody = 1 << 20

// maxIdempotencyKey is long enough for two UUIDs and a prefix.
const maxIdempotencyKey = 255

var errBodyTooLarge = errs.New(errs.TooLarge, "request.too_large", "the request body is over its size limit")

// HandlerFunc is a handler that returns its failure.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// Handle answers what h returns. An error after the answer began cannot be told to
// the client any more; it is logged.
func Handle(h HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tracked := &statusWriter{ResponseWriter: w}
		err := h(tracked, r)
		if err == nil {
			return
		}
		if tracked.status != 0 {
			report(r.Context(), err, problemOf(r.Context(), err))
			return
		}
		WriteError(tracked, r, err)
	}
}

// Authed is Handle for callers whose role is at least least.
func Authed(least vendor.Role, h HandlerFunc) http.HandlerFunc {
	return Handle(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := Caller(r.Context(), least); err != nil {
			return err
		}
		return h(w, r)
	})
}

// Write answers v as JSON.
func Write(w http.ResponseWriter, code int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// DecodeJSON reads exactly one JSON value of at most MaxJSONBody bytes into v.
// Unknown fields and anything after the value are refused.
//
// Errors: request.too_large, request.media_type, request.malformed, request.invalid.
func DecodeJSON[T any](r *http.Request, v *T) error {
	if ct := r.Header.Get("Content-Type"); ct != "" && !strings.HasPrefix(ct, "application/json") {
		return NewProblem(http.StatusUnsupportedMediaType, "request.media_type", "send application/json")
	}
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, MaxJSONBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed("the body goes on after its JSON value")
	}
	return nil
}

// decodeError tells what is wrong with a body without repeating any of it.
func decodeError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errBodyTooLarge
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errs.InvalidField("request.invalid", "/"+strings.ReplaceAll(t.Field, ".", "/"), "expected "+t.Type.String())
	}
	// encoding/json has no type for this one: the quoted name is the last word.
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return errs.InvalidField("request.invalid", "/"+strings.Trim(name, `"`), "unknown field")
	}
	return malformed("the body is not valid JSON")
}

func malformed(detail string) error {
	return NewProblem(http.StatusBadRequest, "request.malformed", detail)
}

// ErrNotFound is the one answer for an id that is absent, not yours, or no id at all.
var ErrNotFound = errs.New(errs.NotFound, "resource.not_found", "no such resource")

// PathID returns the id in the path under name. What is no UUID is not there: the same 404.
//
// Errors: resource.not_found.
func PathID[T ~string](r *http.Request, name string) (T, error) {
	return ID[T](chi.URLParam(r, name))
}

// ID checks an id that came in a path or a body.
//
// Errors: resource.not_found.
func ID[T ~string](text string) (T, error) {
	if !id.Valid(text) {
		return "", ErrNotFound
	}
	return T(text), nil
}

// IdempotencyKey returns the Idempotency-Key of a request that must have one.
//
// Errors: idempotency.key_missing, idempotency.key_invalid.
func IdempotencyKey(r *http.Request) (string, error) {
	return CheckIdempotencyKey(r.Header.Get("Idempotency-Key"))
}

// CheckIdempotencyKey accepts 1 to 255 printable ASCII characters.
//
// Errors: idempotency.key_missing, idempotency.key_invalid.
func CheckIdempotencyKey(key string) (string, error) {
	if key == "" {
		return "", NewProblem(http.StatusBadRequest, "idempotency.key_missing",
			"send an Idempotency-Key header, so that a repeat does nothing twice")
	}
	if len(key) > maxIdempotencyKey {
		return "", NewProblem(http.StatusBadRequest, "idempotency.key_invalid", "the Idempotency-Key is over 255 characters")
	}
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return "", NewProblem(http.StatusBadRequest, "idempotency.key_invalid", "the Idempotency-Key must be printable ASCII")
		}
	}
	return key, nil
}

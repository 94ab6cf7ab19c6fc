// Package id makes identifiers: UUIDv7 text, so that keys made together lie
// together in an index. They tell their time of making; where that matters
// (tokens, claims) use random bytes instead.
package id

import (
	"strings"

	"github.com/google/uuid"
)

// New returns a fresh UUIDv7 in canonical text form.
func New[T ~string]() T {
	return T(uuid.Must(uuid.NewV7()).String())
}

// Random returns a fresh random UUID (version 4), which tells nothing.
func Random() string { return uuid.NewString() }

// Valid tells whether s is a canonical, lower-case UUID.
func Valid(s string) bool {
	return len(s) == 36 && s == strings.ToLower(s) && uuid.Validate(s) == nil
}

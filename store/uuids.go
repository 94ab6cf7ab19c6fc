package store

import (
	"encoding/hex"

	"github.com/jackc/pgx/v5/pgtype"
)

// uuids is a uuid[] of ids kept as text. pgx would send them as text, quoted one by one; this
// sends sixteen bytes each. An id that is no UUID is sent as NULL, which every column refuses.
type uuids[T ~string] []T

// Dimensions implements pgtype.ArrayGetter.
func (u uuids[T]) Dimensions() []pgtype.ArrayDimension {
	if u == nil {
		return nil
	}
	return []pgtype.ArrayDimension{{Length: int32(len(u)), LowerBound: 1}} //nolint:gosec // a chunk's rows
}

// Index implements pgtype.ArrayGetter.
func (u uuids[T]) Index(i int) any { return parseUUID(string(u[i])) }

// IndexType implements pgtype.ArrayGetter.
func (u uuids[T]) IndexType() any { return pgtype.UUID{} }

func parseUUID(text string) pgtype.UUID {
	var u pgtype.UUID
	var digits [32]byte
	n := 0
	for i := range len(text) {
		if text[i] == '-' {
			continue
		}
		if n == len(digits) {
			return u
		}
		digits[n] = text[i]
		n++
	}
	_, err := hex.Decode(u.Bytes[:], digits[:])
	u.Valid = err == nil && n == len(digits)
	return u
}

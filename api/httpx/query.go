package httpx

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Query returns the query parameters of a raw handler, refusing any that is not in
// allowed: a filter spelt wrong must not silently list everything.
//
// Errors: request.unknown_parameter (400).
func Query(r *http.Request, allowed ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, NewProblem(http.StatusBadRequest, "request.malformed", "the query string cannot be read")
	}
	for name := range values {
		if !slices.Contains(allowed, name) {
			p := NewProblem(http.StatusBadRequest, "request.unknown_parameter", "a query parameter is not known here")
			p.Errors = []errs.Field{{Pointer: name, Code: "request.unknown_parameter", Msg: "unknown query parameter"}}
			return nil, p
		}
	}
	return values, nil
}

// Page asks for one page of a list. Embed it in a huma input.
type Page struct {
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"Rows of a page"`
	Cursor string `query:"cursor" maxLength:"512" doc:"next_cursor of the page before"`
}

// List is one page of a list. NextCursor is empty on the last one.
type List[T any] struct {
	Items      []T    `json:"items" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Give it as cursor to get the next page; absent on the last"`
}

// NewList makes a page out of up to limit+1 rows: one more than asked for says that
// there is a next page, which begins after the last row kept. key is what the store
// continues after.
func NewList[T, K any](rows []T, limit int, key func(T) K) List[T] {
	if rows == nil {
		rows = []T{}
	}
	if limit <= 0 || len(rows) <= limit {
		return List[T]{Items: rows}
	}
	rows = rows[:limit]
	return List[T]{Items: rows, NextCursor: EncodeCursor(key(rows[limit-1]))}
}

// EncodeCursor makes an opaque cursor of a small value. It is not secret.
func EncodeCursor(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("httpx: cursor of an unmarshallable type") // a programmer's error, met by the first call
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// DecodeCursor reads a cursor back. An empty one gives the zero value: the first page.
//
// Errors: request.bad_cursor (400).
func DecodeCursor[T any](cursor string) (T, error) {
	var v T
	if cursor == "" {
		return v, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return v, NewProblem(http.StatusBadRequest, "request.bad_cursor", "the cursor is not one of ours: begin with the first page")
	}
	return v, nil
}

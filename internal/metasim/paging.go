package metasim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Paging. Source: Meta, Graph API paged results, read 2026-09; the life of a
// cursor is not published.
const (
	defaultPage    = 25
	largestPage    = 1000
	cursorLifetime = 3600 * second
)

// list answers with one page of rows, in the order given. A cursor names the
// row it stands at, not a position: rows that go away do not shift a page.
func (c *call) list(kind string, rows []map[string]any, usual ...string) {
	limit := defaultPage
	if l := c.query.Get("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 {
			c.fail(&graphError{code: 100, details: "-", message: "(#100) Param limit must be a positive integer."})
			return
		}
		limit = min(n, largestPage)
	}
	from, to, err := c.window(rows, limit)
	if err != nil {
		c.fail(err)
		return
	}
	data := []any{}
	for _, row := range rows[from:to] {
		picked, err := selectFields(kind, row, c.query.Get("fields"), usual)
		if err != nil {
			c.fail(err)
			return
		}
		data = append(data, picked)
	}
	out := map[string]any{"data": data}
	if len(data) > 0 {
		before, after := c.cursor(rows[from]), c.cursor(rows[to-1])
		paging := map[string]any{"cursors": map[string]any{"before": before, "after": after}}
		if to < len(rows) {
			paging["next"] = c.pageURL("after", after, limit)
		}
		if from > 0 {
			paging["previous"] = c.pageURL("before", before, limit)
		}
		out["paging"] = paging
	}
	c.answer(http.StatusOK, out)
}

// window is the range of rows that after or before asks for.
func (c *call) window(rows []map[string]any, limit int) (from, to int, failure *graphError) {
	switch after, before := c.query.Get("after"), c.query.Get("before"); {
	case after != "":
		i, err := c.position(rows, after)
		if err != nil {
			return 0, 0, err
		}
		from = i + 1
	case before != "":
		i, err := c.position(rows, before)
		if err != nil {
			return 0, 0, err
		}
		from = max(0, i-limit)
		limit = i - from
	}
	return from, min(len(rows), from+limit), nil
}

// cursor is opaque to clients and dies after an hour.
func (c *call) cursor(row map[string]any) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "QVFI%v|%d", row["id"], c.arrived/second))
}

func (c *call) position(rows []map[string]any, cursor string) (int, *graphError) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	id, made, ok := strings.Cut(strings.TrimPrefix(string(raw), "QVFI"), "|")
	at, err2 := strconv.ParseInt(made, 10, 64)
	if err != nil || err2 != nil || !ok || c.arrived-at*second > cursorLifetime {
		return 0, refuse(131059)
	}
	i := slices.IndexFunc(rows, func(r map[string]any) bool { return fmt.Sprint(r["id"]) == id })
	if i < 0 {
		return 0, refuse(131059)
	}
	return i, nil
}

// pageURL is the full address of another page, with the token, as Graph
// writes it.
func (c *call) pageURL(key, cursor string, limit int) string {
	q := url.Values{}
	for k, v := range c.query {
		if k != "after" && k != "before" {
			q[k] = v
		}
	}
	q.Set(key, cursor)
	q.Set("limit", strconv.Itoa(limit))
	if q.Get("access_token") == "" {
		q.Set("access_token", c.token.text)
	}
	return c.baseURL() + c.r.URL.Path + "?" + q.Encode()
}

// baseURL is this simulator as the client called it.
func (c *call) baseURL() string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

package gateway_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/store"
)

// stream is an open event stream.
type stream struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

func (u user) stream(server *httptest.Server, path string, headers ...string) *stream {
	u.t.Helper()
	r, err := http.NewRequestWithContext(u.t.Context(), http.MethodGet, server.URL+path, http.NoBody)
	require.NoError(u.t, err)
	r.Header.Set("Authorization", "Bearer "+u.token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(u.t, err)
	u.t.Cleanup(func() { _ = resp.Body.Close() })
	return &stream{t: u.t, resp: resp, lines: bufio.NewScanner(resp.Body)}
}

// next is the next event's name, id and body.
func (s *stream) next() (name, id string, body object) {
	s.t.Helper()
	for s.lines.Scan() {
		key, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch key {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			require.NoError(s.t, json.Unmarshal([]byte(value), &body))
		case "":
			if name != "" {
				return name, id, body
			}
		}
	}
	return "", "", nil
}

func TestImportEvents_TellTheStateUntilItIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	job := importing.ID(as[string](t, u.upload(field{"file", contactsCSV}).is(http.StatusAccepted)["id"]))
	path := "/v1/contact-imports/" + string(job)

	s := u.stream(server, path+"/events")
	require.Equal(t, http.StatusOK, s.resp.StatusCode)
	require.Equal(t, "text/event-stream", s.resp.Header.Get("Content-Type"))
	require.Equal(t, "no", s.resp.Header.Get("X-Accel-Buffering"))
	name, _, body := s.next()
	require.Equal(t, "progress", name)
	require.Equal(t, "UPLOADED", body["status"])

	u.toProcessing(job, 4, 6)
	w.finishChunk(u, job, 1, importing.Counts{Created: 3, Invalid: 1})
	for body["status"] != "PROCESSING" || body["rows_done"] != 4.0 {
		name, _, body = s.next()
		require.Equal(t, "progress", name)
	}
	require.InDelta(t, 10, body["rows_total"], 0)
	require.Positive(t, body["rows_per_second"])
	require.Positive(t, body["eta_seconds"])
	polled := u.get(path).is(http.StatusOK)
	require.Positive(t, polled["rows_per_second"])
	require.Positive(t, polled["eta_seconds"])

	w.finishChunk(u, job, 2, importing.Counts{Created: 6})
	_, err := w.store.FinishImport(t.Context(), u.vendor, job)
	require.NoError(t, err)
	for name != "done" {
		name, _, body = s.next()
		require.NotEmpty(t, name)
	}
	require.Equal(t, "PARTIAL_SUCCESS", body["status"])
	require.Equal(t, object{"created": 9.0, "updated": 0.0, "unchanged": 0.0, "duplicate": 0.0, "invalid": 1.0, "suppressed": 0.0}, body["counts"])
	require.NotContains(t, body, "eta_seconds")
	name, _, _ = s.next()
	require.Empty(t, name, "the stream ended")

	again := u.stream(server, path+"/events", "Last-Event-ID", "final")
	require.Equal(t, http.StatusNoContent, again.resp.StatusCode)
	name, id, _ := u.stream(server, path+"/events").next()
	require.Equal(t, []string{"done", "final"}, []string{name, id})

	other := w.newUser("ravi@beta.example")
	other.get(path+"/events").refused(http.StatusNotFound, "import.not_found")
	u.get(path+"/events?since=1").refused(http.StatusBadRequest, "request.unknown_parameter")
	w.call("", "GET", path+"/events", nil).refused(http.StatusUnauthorized, "auth.token_missing")
}

func TestImportEvents_AreBoundedAndEndWithTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	path := "/v1/contact-imports/" + as[string](t, u.upload(field{"file", contactsCSV}).is(http.StatusAccepted)["id"]) + "/events"
	var open []*stream
	for range 20 {
		s := u.stream(server, path)
		require.Equal(t, http.StatusOK, s.resp.StatusCode)
		open = append(open, s)
	}
	a := u.get(path)
	a.refused(http.StatusTooManyRequests, "import.too_many_streams")
	require.Equal(t, "10", a.header.Get("Retry-After"))
	require.NoError(t, open[0].resp.Body.Close())
	require.Eventually(t, func() bool { return u.stream(server, path).resp.StatusCode == http.StatusOK }, 10*time.Second, 100*time.Millisecond)

	close(w.closing)
	for _, s := range open[1:] {
		name := "progress"
		for name != "" {
			name, _, _ = s.next()
		}
	}
}

// toProcessing brings an import to its chunks, of these sizes.
func (u user) toProcessing(job importing.ID, rows ...int) {
	u.t.Helper()
	h := store.ImportHeaders{
		DataKey: "k", Encoding: importing.UTF8, Suggested: importing.Mapping{Phone: "Mobile"},
		Shape: importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"Mobile"}},
	}
	for n, r := range rows {
		h.Chunks = append(h.Chunks, store.ImportChunk{No: n + 1, FirstRow: 2 + h.Rows, Rows: r, ByteFrom: int64(n), ByteTo: int64(n + 1)})
		h.Rows += r
	}
	require.NoError(u.t, u.store.SaveImportHeaders(u.t.Context(), u.vendor, job, h))
	require.NoError(u.t, u.store.MoveImport(u.t.Context(), u.vendor, job, importing.AwaitingMapping, store.Reason{}))
	require.NoError(u.t, u.store.ConfirmMapping(u.t.Context(), u.vendor, job, importing.Mapping{Phone: "Mobile"}))
	require.NoError(u.t, u.store.MoveImport(u.t.Context(), u.vendor, job, importing.Queued, store.Reason{}))
	require.NoError(u.t, u.store.MoveImport(u.t.Context(), u.vendor, job, importing.Processing, store.Reason{}))
}

// finishChunk counts a chunk as its activity would.
func (w *world) finishChunk(u user, job importing.ID, no int, c importing.Counts) {
	w.t.Helper()
	_, err := w.db.Super().Exec(w.t.Context(), `UPDATE contact_import_chunks SET status = 'COMPLETED', finished_at = now(),
		created_count = $4, invalid_count = $5 WHERE vendor_id = $1 AND import_id = $2 AND chunk_no = $3`, u.vendor, job, no, c.Created, c.Invalid)
	require.NoError(w.t, err)
}

func TestImports_ListFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	ids := map[string]string{}
	for n, name := range []string{"Spring list.csv", "100% of 'em.csv", "summer_list.CSV"} {
		ids[name] = as[string](t, u.upload(field{"file", contactsCSV + name}).is(http.StatusAccepted)["id"])
		_, err := w.db.Super().Exec(t.Context(), `UPDATE contact_import_jobs SET file_name = $2, created_at = $3 WHERE id = $1`,
			ids[name], name, time.Date(2026, 11, 10+n, 12, 0, 0, 0, time.UTC))
		require.NoError(t, err)
	}
	for query, want := range map[string][]string{
		"file_name=LIST":                   {"summer_list.CSV", "Spring list.csv"},
		"file_name=100%25":                 {"100% of 'em.csv"},
		"file_name=_":                      {"summer_list.CSV"},
		"file_name=winter":                 {},
		"from=2026-11-11T12:00:00Z":        {"summer_list.CSV", "100% of 'em.csv"},
		"to=2026-11-11T12:00:00Z":          {"Spring list.csv"},
		"status=UPLOADED&file_name=sp":     {"Spring list.csv"},
		"status=FAILED":                    {},
		"from=2026-11-11T00:00:00%2B05:30": {"summer_list.CSV", "100% of 'em.csv"},
	} {
		got := []string{}
		for _, item := range as[[]any](t, u.get("/v1/contact-imports?" + query).is(http.StatusOK)["items"]) {
			got = append(got, as[string](t, as[object](t, item)["file_name"]))
		}
		require.Equal(t, want, got, query)
	}
	u.get("/v1/contact-imports?state=FAILED").refused(http.StatusBadRequest, "request.unknown_parameter")
	u.get("/v1/contact-imports?status=DONE").refused(422, "request.invalid")
	u.get("/v1/contact-imports?from=yesterday").refused(422, "request.invalid")
}

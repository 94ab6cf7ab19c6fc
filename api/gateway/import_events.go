package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// The numbers of an event stream.
const (
	// eventsEvery is how often a stream looks at the database: a person sees a bar move,
	// and the look costs a millisecond by index.
	eventsEvery = time.Second
	// eventsAlive is how long a stream may be silent: below the minute after which proxies
	// take a connection for dead.
	eventsAlive = 15 * time.Second
	// eventsStall is how long a client may leave a written event in the way.
	eventsStall = 10 * time.Second
	// eventsPerVendor bounds a vendor's streams in one process: a tab each for a team.
	eventsPerVendor = 20
)

var errTooManyStreams = &errs.Error{
	Kind: errs.Throttled, Code: "import.too_many_streams", Msg: "too many event streams are open: close some, or poll the import",
	RetryAfter: 10 * time.Second,
}

// streams counts the event streams of each vendor in this process.
type streams struct {
	closing <-chan struct{}
	mu      sync.Mutex
	open    map[vendor.ID]int
}

func newStreams(closing <-chan struct{}) *streams {
	return &streams{closing: closing, open: map[vendor.ID]int{}}
}

// enter takes a place, which leave gives back.
//
// Errors: import.too_many_streams.
func (s *streams) enter(v vendor.ID) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[v] >= eventsPerVendor {
		return nil, errTooManyStreams
	}
	s.open[v]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[v]--; s.open[v] == 0 {
			delete(s.open, v)
		}
	}, nil
}

// paceBody is how fast an import goes.
type paceBody struct {
	RowsPerSecond *float64 `json:"rows_per_second,omitempty" doc:"Over the last 30 seconds; of an import that is over, over the whole time. Absent while nothing moves, and in lists"`
	ETASeconds    *int64   `json:"eta_seconds,omitempty" doc:"How long the rest takes at that pace"`
}

func newPaceBody(p importing.Pace) paceBody {
	var b paceBody
	if rate := p.RowsPerSecond(); rate > 0 {
		b.RowsPerSecond = new(math.Round(rate*10) / 10)
	}
	if left, known := p.Left(); known {
		b.ETASeconds = new(int64(math.Ceil(left.Seconds())))
	}
	return b
}

// progressBody is one event.
type progressBody struct {
	Status     importing.Status `json:"status"`
	ReasonCode string           `json:"reason_code,omitempty"`
	Reason     string           `json:"reason,omitempty"`
	RowsTotal  int              `json:"rows_total"`
	RowsDone   int              `json:"rows_done"`
	Counts     importing.Counts `json:"counts"`
	paceBody
}

func newProgressBody(p store.ImportProgress) progressBody {
	return progressBody{
		Status: p.Pace.Status, ReasonCode: p.Why.Code, Reason: p.Why.Text, RowsTotal: p.Pace.Total, RowsDone: p.Pace.Done,
		Counts: p.Counts, paceBody: newPaceBody(p.Pace),
	}
}

// events streams an import's progress until it is over. Every event is the whole state as
// the database has it, so one that is missed is no loss.
func (h *imports) events(w http.ResponseWriter, r *http.Request) error {
	key, err := httpx.PathID[importing.ID](r, "id")
	if err != nil {
		return err
	}
	if _, err := httpx.Query(r); err != nil {
		return err
	}
	v := httpx.Vendor(r)
	p, err := h.store.ImportProgress(r.Context(), v, key)
	if err != nil {
		return err
	}
	if p.Pace.Status.Final() && r.Header.Get("Last-Event-ID") == finalEvent {
		w.WriteHeader(http.StatusNoContent) // a browser that reconnects leaves it at that
		return nil
	}
	leave, err := h.streams.enter(v)
	if err != nil {
		return err
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies pass on what is written at once
	return h.follow(r.Context(), &eventWriter{w: w, rc: http.NewResponseController(w)}, p, func(ctx context.Context) (store.ImportProgress, error) {
		return h.store.ImportProgress(ctx, v, key)
	})
}

// follow tells p and what look finds after it, once a second, until the import is over or
// nobody listens.
func (h *imports) follow(ctx context.Context, out *eventWriter, p store.ImportProgress, look func(context.Context) (store.ImportProgress, error)) error {
	// The stream must not outlive the token it was opened with.
	end := time.NewTimer(httpx.AccessTTL)
	defer end.Stop()
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for {
		if over, err := out.tell(p); over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.streams.closing:
			return nil
		case <-end.C:
			return nil
		case <-tick.C:
		}
		now, err := look(ctx)
		switch {
		case err == nil:
			p = now
		case ctx.Err() != nil || errs.KindOf(err) == errs.NotFound: // nobody is left, or nothing to tell about
			return nil
		case errs.KindOf(err) != errs.Unavailable: // the database comes back; meanwhile the stream says that it lives
			return err
		}
	}
}

// finalEvent is the id of the event that tells the final state.
const finalEvent = "final"

// eventWriter writes server-sent events, each at once.
// Source: WHATWG HTML, "Server-sent events", read 2026-09.
type eventWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	last  string    // data of the last event
	wrote time.Time // when anything was written
}

// tell writes the progress if it is news, a sign of life if nothing was written for
// long, and tells whether that was the end: of the import, or of the client.
func (o *eventWriter) tell(p store.ImportProgress) (over bool, err error) {
	data, err := json.Marshal(newProgressBody(p))
	if err != nil {
		return false, err
	}
	switch text := string(data); {
	case p.Pace.Status.Final():
		o.write("event: done\nid: " + finalEvent + "\ndata: " + text + "\n\n")
		return true, nil
	case text != o.last:
		o.last = text
		return !o.write(fmt.Sprintf("event: progress\nid: %d\nretry: 2000\ndata: %s\n\n", p.Version, text)), nil
	case time.Since(o.wrote) >= eventsAlive:
		return !o.write(": alive\n\n"), nil
	}
	return false, nil
}

// write tells whether anybody took it.
func (o *eventWriter) write(text string) bool {
	o.wrote = time.Now()
	_ = o.rc.SetWriteDeadline(o.wrote.Add(eventsStall)) // not every writer has one
	if _, err := o.w.Write([]byte(text)); err != nil {
		return false
	}
	return o.rc.Flush() == nil
}

// documentEvents says in the API's document what events answers.
func documentEvents(op *huma.Operation) {
	op.Description = "Events named `progress` carry status, reason, rows_total, rows_done, counts, rows_per_second and eta_seconds " +
		"as JSON, at most one a second and each the whole state; the last one is named `done`, after which the stream ends. " +
		"Comments keep it alive. It ends after 15 minutes too: open it again with a fresh token."
	op.Responses["200"] = &huma.Response{
		Description: "The stream",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	op.Responses["204"] = &huma.Response{Description: "The import is over, and Last-Event-ID says that its end was told"}
}

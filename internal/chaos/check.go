package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/workflowservice/v1"
)

// Result is a run's last line.
type Result struct {
	Chaos       string `json:"chaos"`
	Seed        uint64 `json:"seed"`
	N           int    `json:"n"`
	Kills       int    `json:"kills"`      // processes killed or restarted
	Terminated  int    `json:"terminated"` // workflows ended by hand
	Duplicates  int    `json:"duplicates"` // acceptances on top of one that had not failed
	Accepted    int    `json:"accepted"`   // distinct messages that Meta took
	Sent        int    `json:"sent"`       // and delivered, and read
	Failed      int    `json:"failed"`
	Taken       int    `json:"failed_after_acceptance"`
	Suppressed  int    `json:"suppressed"`
	Cancelled   int    `json:"cancelled"`
	Unconfirmed int    `json:"unconfirmed"`
	Unknown     int    `json:"unknown"` // and queued, and sending: not final

	// LostAnswers are those of which no webhook tells either, by the simulator's count;
	// OnWire what was marked and not recorded when something died. Nothing else may stay
	// unconfirmed.
	LostAnswers int `json:"lost_answers"`
	OnWire      int `json:"on_wire"`

	Delivered     int `json:"delivered"`
	Read          int `json:"read"`
	MetaDelivered int `json:"meta_delivered"`
	MetaRead      int `json:"meta_read"`

	Completed int            `json:"completed"` // campaigns with closed books, of three
	Left      map[string]int `json:"left,omitempty"`
	Uncharged int            `json:"uncharged"` // sent messages whose price nobody booked
	Quoted    int64          `json:"quoted_micros"`
	Captured  int64          `json:"captured_micros"`
	Released  int64          `json:"released_micros"`
	Loss      int64          `json:"loss_micros"` // delivered after the books were closed
	Drift     int64          `json:"drift"`

	// Deadlocks that Postgres had to end since it last started: repeated, but a wait of a second.
	Deadlocks int `json:"deadlocks"`

	RecoverS float64 `json:"recover_s"` // from the last harm to the end of the last campaign
	PauseS   int     `json:"longest_pause_s"`
	WallS    float64 `json:"wall_s"`
}

// Check holds the result against what every run must keep.
func (res *Result) Check() error {
	var bad []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, errors.New("does not hold: "+fmt.Sprintf(format, args...)))
		}
	}
	must(res.Sent > 0, "something was sent")
	must(res.Duplicates == 0, "duplicates = 0, but %d", res.Duplicates)
	must(res.Unknown == 0, "every message is final, but %d", res.Unknown)
	must(res.Sent+res.Failed+res.Suppressed+res.Cancelled+res.Unconfirmed == res.N,
		"sent + failed + suppressed + cancelled + unconfirmed = n: %d + %d + %d + %d + %d = %d", res.Sent, res.Failed, res.Suppressed, res.Cancelled, res.Unconfirmed, res.N)
	must(res.Unconfirmed <= res.LostAnswers+res.OnWire, "unconfirmed %d only where an answer was lost (%d) or a process died (%d)", res.Unconfirmed, res.LostAnswers, res.OnWire)
	known := res.Sent + res.Taken
	must(res.Accepted >= known && res.Accepted <= known+res.Unconfirmed, "what Meta accepted (%d) is what we know (%d), and at most the unconfirmed", res.Accepted, known)
	must(res.Delivered == res.MetaDelivered && res.Read == res.MetaRead, "delivered %d and read %d as Meta told: %d, %d", res.Delivered, res.Read, res.MetaDelivered, res.MetaRead)
	must(res.Completed == vendors, "every campaign's books are closed, but %d", res.Completed)
	must(len(res.Left) == 0, "nothing is left open: %v", res.Left)
	must(res.Uncharged == 0, "every sent message is charged, but %d", res.Uncharged)
	must(res.Quoted == res.Captured+res.Released, "quoted %d = captured %d + released %d", res.Quoted, res.Captured, res.Released)
	must(res.Drift == 0, "ledger drift = 0, but %d", res.Drift)
	return errors.Join(bad...)
}

// simStats is what is read of the simulator's numbers.
type simStats struct {
	Unique     int `json:"meta_unique"`
	Duplicates int `json:"meta_duplicates"`
	Accepted   int `json:"accepted"`
	Scheduled  int `json:"scheduled"`
	Statuses   struct {
		Delivered int `json:"delivered"`
		Read      int `json:"read"`
	} `json:"statuses"`
	Webhooks struct {
		Pending int `json:"pending"`
		Dropped int `json:"dropped"`
	} `json:"webhooks"`
	Numbers []struct {
		PerSecond []struct {
			Second   int64 `json:"second"`
			Accepted int   `json:"accepted"`
		} `json:"per_second"`
	} `json:"numbers"`
}

// untilQuiet waits until the campaigns are over, Meta has told all, and nothing is left to do.
func (r *run) untilQuiet(ctx context.Context) error {
	r.mu.Lock()
	if r.last.IsZero() {
		r.last = time.Now()
	}
	last := r.last
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	var said, over time.Time
	for calm := 0; calm < 4; {
		done, err := r.completed(ctx)
		if err == nil && done == vendors && over.IsZero() {
			over = time.Now()
			r.result.RecoverS = over.Sub(last).Round(100 * time.Millisecond).Seconds()
			r.say("the campaigns are over, %.1fs after the last harm", r.result.RecoverS)
		}
		left, lerr := r.left(ctx)
		var s simStats
		serr := r.sim.call(ctx, http.MethodGet, "/_sim/stats", struct{}{}, &s)
		if err = errors.Join(err, lerr, serr); err == nil && done == vendors && len(left) == 0 && s.Scheduled == 0 && s.Webhooks.Pending == 0 {
			calm++
		} else {
			calm = 0
			if time.Since(said) > 5*time.Second {
				said = time.Now()
				r.say("%d of %d campaigns over, left %v, Meta %d accepted, %d scheduled, %d webhooks pending, %v", done, vendors, left, s.Accepted, s.Scheduled, s.Webhooks.Pending, err)
			}
		}
		if serr := sleep(ctx, 500*time.Millisecond); serr != nil {
			r.say("no quiet after %s", r.Patience)
			break // the check says what is wrong
		}
	}
	return nil
}

// completed counts the campaigns whose books are closed.
func (r *run) completed(ctx context.Context) (int, error) {
	var n int
	err := r.db.QueryRow(ctx, `SELECT count(*) FROM campaigns WHERE status IN ('COMPLETED', 'CANCELLED') AND finished_at IS NOT NULL`).Scan(&n)
	return n, err
}

// left is what must be empty once all is quiet, by table.
func (r *run) left(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for _, table := range []string{
		"outbox_events", "outbox_claims", "unknown_attempts", "settlements", "orphan_statuses", "outbox_lanes WHERE kind <> 'WORK'",
		"dead_letters WHERE source = 'EVENT'", "quotations WHERE pdf_status <> 'READY'",
	} {
		var n int
		if err := r.db.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			out[table] = n
		}
	}
	open, err := r.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: "kloyst", Query: "ExecutionStatus = 'Running'",
	})
	if err == nil && open.GetCount() > 0 {
		out["running workflows"] = int(open.GetCount())
	}
	return out, err
}

// look gathers the result once all is quiet, or patience is over.
func (r *run) look(ctx context.Context) error {
	res := &r.result
	res.WallS = time.Since(r.began).Round(100 * time.Millisecond).Seconds()
	var err error
	if res.Left, err = r.left(ctx); err != nil {
		return err
	}
	if res.Completed, err = r.completed(ctx); err != nil {
		return err
	}
	err = r.db.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&res.Deadlocks)
	return errors.Join(err, r.lookAtMessages(ctx), r.lookAtMeta(ctx), r.lookAtMoney(ctx))
}

func (r *run) lookAtMessages(ctx context.Context) error {
	res := &r.result
	rows, err := r.db.Query(ctx, `SELECT status, count(*), count(*) FILTER (WHERE wamid IS NOT NULL) FROM message_states GROUP BY 1`)
	if err != nil {
		return err
	}
	var (
		status   string
		n, taken int
	)
	_, err = pgx.ForEachRow(rows, []any{&status, &n, &taken}, func() error {
		switch status {
		case "SENT", "DELIVERED", "READ":
			res.Sent += n
		case "FAILED":
			res.Failed, res.Taken = n, taken
		case "SUPPRESSED":
			res.Suppressed = n
		case "CANCELLED":
			res.Cancelled = n
		case "UNCONFIRMED":
			res.Unconfirmed = n
		default:
			res.Unknown += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE delivered_at IS NOT NULL), count(*) FILTER (WHERE read_at IS NOT NULL),
		count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED', 'READ') AND captured_micros = 0) FROM message_attempts`).
		Scan(&res.Delivered, &res.Read, &res.Uncharged)
}

func (r *run) lookAtMeta(ctx context.Context) error {
	res := &r.result
	var s simStats
	if err := r.sim.call(ctx, http.MethodGet, "/_sim/stats?series=true", struct{}{}, &s); err != nil {
		return err
	}
	res.Duplicates, res.Accepted = s.Duplicates, s.Unique
	res.MetaDelivered, res.MetaRead = s.Statuses.Delivered, s.Statuses.Read
	seconds := map[int64]bool{}
	for _, n := range s.Numbers {
		for _, p := range n.PerSecond {
			if p.Accepted > 0 {
				seconds[p.Second] = true
			}
		}
	}
	res.PauseS = longestGap(seconds)
	var script struct {
		Rules []struct {
			Name string `json:"name"`
			Hits int    `json:"hits"`
		} `json:"rules"`
	}
	if err := r.sim.call(ctx, http.MethodGet, "/_sim/faults", struct{}{}, &script); err != nil {
		return err
	}
	for _, rule := range script.Rules {
		if rule.Name == ruleReset || rule.Name == ruleSilent {
			res.LostAnswers += rule.Hits
		}
	}
	return nil
}

// longestGap is the longest time without a second in the set, between its first and last.
func longestGap(seconds map[int64]bool) int {
	gap := int64(0)
	sorted := slices.Sorted(maps.Keys(seconds))
	for i := 1; i < len(sorted); i++ {
		gap = max(gap, sorted[i]-sorted[i-1]-1)
	}
	return int(gap)
}

func (r *run) lookAtMoney(ctx context.Context) error {
	res := &r.result
	for _, p := range r.parties {
		d, err := r.app.ReconcileWallet(ctx, p.vendor)
		if err != nil {
			return err
		}
		res.Drift += int64(d.Total()) + d.Unbalanced
		o, err := r.app.CampaignOverview(ctx, p.vendor, p.campaign)
		if err != nil {
			return err
		}
		if o.Campaign.State.Final() {
			res.Quoted += int64(o.Quoted)
		}
		res.Captured += int64(o.Money.Captured)
		res.Released += int64(o.Money.Released)
		res.Loss += int64(o.Money.Loss)
	}
	return nil
}

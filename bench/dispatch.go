package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// dispatchCmd is `bench dispatch`.
type dispatchCmd struct {
	common

	Scenarios []string `arg:"" optional:"" help:"tuned, webhooks, lone, fragmented, giant-and-small, paced; all without any."`
	Profile   bool     `help:"Keep CPU profiles of WORKER and OUTBOX and the costliest statements under .stack/profiles."`
	Latency   string   `help:"Of the simulator, e.g. 50ms; the scenarios' own by default."`
}

// Run runs the scenarios one after the other, each on a stack of its own.
func (c *dispatchCmd) Run(ctx context.Context) error {
	chosen, err := pick(c.Scenarios)
	if err != nil {
		return err
	}
	failed := false
	for _, s := range chosen {
		line, err := c.one(ctx, s.scaled(c.Scale))
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		failed = failed || !line.OK
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			return err
		}
	}
	if err := printBaseline(c.Baseline); err != nil {
		return err
	}
	if failed {
		return errNotOK
	}
	return nil
}

// dispatchLine is a scenario's figures. Times run from the first claim to the last recorded sent,
// CPU from just before the start to the last campaign's closed books.
type dispatchLine struct {
	Bench    string  `json:"bench"`
	Scenario string  `json:"scenario"`
	OK       bool    `json:"ok"`
	Wrong    string  `json:"wrong,omitempty"` // which checks failed
	Scale    float64 `json:"scale"`
	Vendors  int     `json:"vendors"`
	Messages int     `json:"messages"`

	PerSecond  float64  `json:"msg_per_s"`
	Wall       float64  `json:"wall_s"`
	SteadyRate float64  `json:"steady_msg_per_s"` // from a tenth of the messages to nine tenths
	Closed     float64  `json:"closed_s"`         // from the start until every campaign's books are closed
	Statuses   *float64 `json:"statuses_s,omitempty"`
	SmallP50   *float64 `json:"small_p50_s,omitempty"`
	SmallP95   *float64 `json:"small_p95_s,omitempty"`

	Duplicates  int64            `json:"duplicates"`
	Lost        int64            `json:"lost"`
	Unconfirmed int64            `json:"unconfirmed"`
	Refused     map[string]int64 `json:"refused,omitempty"` // by Meta's code
	Deferrals   int              `json:"deferred_rows"`     // went back to the outbox
	Rate        rateLine         `json:"rate_per_number"`

	CPU        map[string]float64 `json:"cpu_s"`
	OthersCPU  float64            `json:"others_cpu_s"`   // of everybody else on the machine
	CPUPerMsg  float64            `json:"cpu_us_per_msg"` // of the whole stack
	RSS        map[string]float64 `json:"rss_peak_mb"`
	RSSModes   float64            `json:"rss_modes_mb"` // the four modes together
	Transition float64            `json:"temporal_transitions_per_msg"`
	Workflows  map[string]int     `json:"workflows"`
	RowWrites  float64            `json:"row_writes_per_msg"`
	Writes     map[string]float64 `json:"row_writes"` // per message, by table
	Commits    float64            `json:"commits_per_msg"`
	WAL        float64            `json:"wal_bytes_per_msg"`

	Temporal   string    `json:"temporal"`
	LoadBefore []float64 `json:"load_before"`
	LoadAfter  []float64 `json:"load_avg"`
	At         time.Time `json:"at"`
}

// rateLine is the achieved rate of sender numbers, by arrival at the simulator.
type rateLine struct {
	MaxSliding int     `json:"max_in_sliding_second"` // of the worst number
	Mean       float64 `json:"mean"`                  // over the numbers, each between its first and last message
	MeanMin    float64 `json:"mean_min"`
	MeanMax    float64 `json:"mean_max"`
}

func (c *dispatchCmd) one(ctx context.Context, s scenario) (*dispatchLine, error) {
	only := []string{devstack.Nginx, devstack.Metasim, devstack.Gateway, devstack.Webhook, devstack.Worker, devstack.Outbox}
	progress("%s: %s; starting a stack", s.Name, s.Why)
	w, err := startWorld(ctx, s.Name, only, statementArgs(c.Profile))
	if err != nil {
		return nil, err
	}
	w.keep = c.Keep
	defer w.close()
	if err := w.behave(ctx, s, c.Latency); err != nil {
		return nil, err
	}
	vendors, messages := s.size()
	progress("%s: loading %d vendors, %d messages", s.Name, vendors, messages)
	parties, err := w.load(ctx, s)
	if err != nil {
		return nil, err
	}
	line := &dispatchLine{
		Bench: "dispatch", Scenario: s.Name, Scale: c.Scale, Vendors: vendors, Messages: messages, At: time.Now().UTC().Truncate(time.Second),
		LoadBefore: loadAverage(), Temporal: temporalKind(w.State()),
	}
	r := &run{world: w, scenario: s, parties: parties, line: line, memory: &peaks{mib: map[string]float64{}}, profile: c.Profile}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	return line, nil
}

// behave makes the simulator Meta without a fault: every message is accepted, after the latency.
func (w *world) behave(ctx context.Context, s scenario, override string) error {
	delay := latency
	if override != "" {
		var err error
		if delay, err = time.ParseDuration(override); err != nil {
			return err
		}
	}
	share := 0.0
	if s.Statuses {
		share = 1
	}
	high := rateHigh
	for _, g := range s.Groups {
		high = max(high, g.Rate)
	}
	return w.call(ctx, "PUT", "config", map[string]any{
		"latency_ms": delay.Milliseconds(), "failed_rate": 0, "delivered_rate": share, "read_rate": share, "high_rate": high,
	}, nil)
}

// temporalKind tells which server runs: the CLI's with SQLite, or the real one with Postgres.
func temporalKind(st *devstack.State) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.Services[devstack.Temporal].Proc.Pid))
	if err == nil && strings.Contains(string(raw), "start-dev") {
		return "dev-sqlite"
	}
	return "server-postgres"
}

// run is one measured run.
type run struct {
	*world

	scenario scenario
	parties  []*party
	line     *dispatchLine
	memory   *peaks
	profile  bool

	before  counters
	clocks  usage
	started time.Time
	late    time.Time
	claimed time.Time
}

func (r *run) all(ctx context.Context) error {
	var err error
	if r.before, err = r.counters(ctx); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	go r.memory.follow(following, r.State())
	r.clocks = measureCPU(r.State())
	kept := r.startProfiles(ctx)
	r.started = time.Now()
	if err := r.ring(ctx, false); err != nil {
		return err
	}
	if err := r.untilDone(ctx); err != nil {
		return err
	}
	stop()
	r.memory.sample(r.State())
	r.line.CPU, r.line.OthersCPU = r.clocks.since(measureCPU(r.State()))
	r.line.LoadAfter = loadAverage()
	for _, cpu := range r.line.CPU {
		r.line.CPUPerMsg += cpu
	}
	r.line.CPUPerMsg = round((r.line.CPUPerMsg-r.line.CPU["bench"])*1e6/float64(r.line.Messages), 1)
	r.line.RSS, r.line.RSSModes = r.memory.all(), r.memory.ours()
	if err := kept(); err != nil {
		return err
	}
	return r.examine(ctx)
}

// ring launches the campaigns: as an approval does, by one event each, all in one transaction.
func (r *run) ring(ctx context.Context, late bool) error {
	var vendors, campaigns []string
	for _, p := range r.parties {
		if p.late == late {
			vendors, campaigns = append(vendors, string(p.vendor)), append(campaigns, string(p.campaign))
		}
	}
	_, err := r.db.Exec(ctx, `SELECT outbox_enqueue(v, 'campaign.approved', c) FROM unnest($1::uuid[], $2::text[]) AS t(v, c)`, vendors, campaigns)
	return err
}

// untilDone waits until every campaign's books are closed, and with statuses until all have come.
func (r *run) untilDone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.scenario.Within)
	defer cancel()
	rang := r.scenario.Late == 0
	for beat := 0; ; beat++ {
		if r.claimed.IsZero() {
			// Claims live a second or more at first: the pace of a number begins after a full window.
			var at *time.Time
			if err := r.db.QueryRow(ctx, `SELECT min(claimed_at) FROM outbox_claims WHERE kind = 'CAMPAIGN'`).Scan(&at); err != nil {
				return err
			}
			if at != nil {
				r.claimed = *at
			}
			time.Sleep(5 * time.Millisecond)
			continue
		}
		time.Sleep(100 * time.Millisecond)
		if !rang {
			s, err := r.simStats(ctx)
			if err != nil {
				return err
			}
			if rang = s.Accepted > int64(r.line.Messages/10); rang {
				r.late = time.Now()
				if err := r.ring(ctx, true); err != nil {
					return err
				}
			}
			continue
		}
		var open int
		var halted *string
		err := r.db.QueryRow(ctx, `SELECT count(*), max(halt_reason) FROM campaigns WHERE finished_at IS NULL`).Scan(&open, &halted)
		switch {
		case err != nil:
			return r.inTime(ctx, err)
		case halted != nil:
			return fmt.Errorf("a campaign halted: %s", *halted)
		case open == 0:
			r.line.Closed = round(time.Since(r.started).Seconds(), 2)
			return r.untilStatuses(ctx)
		}
		if beat%100 == 99 {
			progress("%s: %d campaigns open after %.0fs", r.scenario.Name, open, time.Since(r.started).Seconds())
		}
	}
}

// inTime tells a timeout by its name.
func (r *run) inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("not done within %s", r.scenario.Within)
	}
	return err
}

// untilStatuses waits until the last read is recorded.
func (r *run) untilStatuses(ctx context.Context) error {
	if !r.scenario.Statuses {
		return nil
	}
	for {
		s, err := r.simStats(ctx)
		if err != nil {
			return r.inTime(ctx, err)
		}
		if s.Scheduled == 0 && s.Webhooks.Pending == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for {
		var left int
		err := r.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM message_attempts WHERE status <> 'READ') + (SELECT count(*) FROM settlements)`).Scan(&left)
		if err != nil {
			return r.inTime(ctx, err)
		}
		if left == 0 {
			took := round(time.Since(r.claimed).Seconds(), 2)
			r.line.Statuses = &took
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// examine compares the simulator with the database and works out what the run cost.
func (r *run) examine(ctx context.Context) error {
	sim, err := r.simStats(ctx)
	if err != nil {
		return err
	}
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	l := r.line
	l.Duplicates, l.Lost = sim.Duplicates, int64(l.Messages)-sim.Unique
	if len(sim.Refused) > 0 {
		l.Refused = sim.Refused
	}
	l.Rate = rates(sim)
	var sent, unsettled, left int64
	err = r.db.QueryRow(ctx, `SELECT count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED', 'READ')),
		count(*) FILTER (WHERE status IN ('SENDING', 'UNKNOWN')), count(*) FILTER (WHERE status = 'UNCONFIRMED'),
		(SELECT count(*) FROM outbox_events WHERE message_id IS NOT NULL) + (SELECT count(*) FROM outbox_claims WHERE kind <> 'WORK')
		FROM message_attempts`).Scan(&sent, &unsettled, &l.Unconfirmed, &left)
	if err != nil {
		return err
	}
	check(l.Duplicates == 0, "%d duplicates", l.Duplicates)
	check(l.Lost == 0, "%d lost", l.Lost)
	check(sent == sim.Unique, "%d sent in the database, %d accepted", sent, sim.Unique)
	check(unsettled == 0 && left == 0, "%d attempts unsettled, %d rows left in the outbox", unsettled, left)
	if err := r.timings(ctx); err != nil {
		return err
	}
	drift, err := r.drift(ctx)
	if err != nil {
		return err
	}
	check(drift == 0, "%d wallets do not add up", drift)
	if err := r.temporalCosts(ctx); err != nil {
		return err
	}
	if err := r.databaseCosts(ctx); err != nil {
		return err
	}
	l.Wrong, l.OK = strings.Join(wrong, "; "), len(wrong) == 0
	return nil
}

func rates(sim simStats) rateLine {
	out := rateLine{MeanMin: math.MaxFloat64}
	for _, n := range sim.Numbers {
		out.MaxSliding = max(out.MaxSliding, n.MaxInSlidingSecond)
		out.Mean += n.MeanRate
		out.MeanMin, out.MeanMax = min(out.MeanMin, n.MeanRate), max(out.MeanMax, n.MeanRate)
	}
	out.Mean = round(out.Mean/float64(max(1, len(sim.Numbers))), 2)
	out.MeanMin, out.MeanMax = round(out.MeanMin, 2), round(out.MeanMax, 2)
	return out
}

// timings reads the clock of the records: the last sent, the middle of the run, the small vendors.
func (r *run) timings(ctx context.Context) error {
	var last, tenth, nine time.Time
	err := r.db.QueryRow(ctx, `SELECT max(sent_at), to_timestamp(percentile_disc(0.1) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at))),
		to_timestamp(percentile_disc(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at))) FROM message_attempts WHERE sent_at IS NOT NULL`).
		Scan(&last, &tenth, &nine)
	if err != nil {
		return err
	}
	l := r.line
	wall := last.Sub(r.claimed).Seconds()
	l.Wall, l.PerSecond = round(wall, 2), round(float64(l.Messages)/wall, 1)
	if middle := nine.Sub(tenth).Seconds(); middle > 0 {
		l.SteadyRate = round(0.8*float64(l.Messages)/middle, 1)
	}
	if r.scenario.Late == 0 {
		return nil
	}
	var late []string
	for _, p := range r.parties {
		if p.late {
			late = append(late, string(p.vendor))
		}
	}
	rows, err := r.db.Query(ctx, `SELECT max(sent_at) FROM message_attempts WHERE vendor_id = ANY($1::uuid[]) GROUP BY vendor_id`, late)
	if err != nil {
		return err
	}
	var took []float64
	for rows.Next() {
		var at time.Time
		if err := rows.Scan(&at); err != nil {
			return err
		}
		took = append(took, at.Sub(r.late).Seconds())
	}
	slices.Sort(took)
	l.SmallP50, l.SmallP95 = new(quantile(took, 0.5)), new(quantile(took, 0.95))
	return rows.Err()
}

// quantile is the smallest value that the share q of sorted does not exceed.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return round(sorted[min(max(i, 0), len(sorted)-1)], 3)
}

// drift counts the vendors whose ledger does not add up.
func (r *run) drift(ctx context.Context) (int, error) {
	off := 0
	for _, p := range r.parties {
		d, err := r.app.ReconcileWallet(ctx, p.vendor)
		if err != nil {
			return 0, err
		}
		if !d.OK() {
			off++
		}
	}
	return off, nil
}

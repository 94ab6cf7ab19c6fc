package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// dispatchCmd is `bench dispatch`.
type dispatchCmd struct {
	common

	Scenarios []string `arg:"" optional:"" help:"tuned, webhooks, lone, fragmented, giant-and-small, paced; all without any."`
	Profile   bool     `help:"Keep CPU profiles of WORKER and OUTBOX and the costliest statements under .stack/profiles."`
	Latency   string   `help:"Of the simulator, e.g. 50ms; the scenarios' own by default."`
	Graph     string   `help:"URL of another stand-in for Meta to send to, which counts accepted, unique and duplicates at /stats."`
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

func (c *dispatchCmd) one(ctx context.Context, s scenario) (*dispatchLine, error) {
	only := []string{devstack.Nginx, devstack.Metasim, devstack.Gateway, devstack.Webhook, devstack.Worker, devstack.Outbox}
	progress("%s: %s; starting a stack", s.Name, s.Why)
	w, err := startWorld(ctx, s.Name, devstack.Options{
		Only: only, Args: map[string][]string{devstack.Postgres: statementArgs(c.Profile)},
		Env: map[string][]string{devstack.Worker: graphEnv(c.Graph)},
	})
	if err != nil {
		return nil, err
	}
	w.graph = c.Graph
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
		LoadBefore: loadAverage(), Temporal: temporalKind(w.State()), Graph: cmp.Or(c.Graph, "metasim"),
	}
	r := &run{world: w, scenario: s, parties: parties, line: line, memory: &peaks{mib: map[string]float64{}}, profile: c.Profile}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	return line, nil
}

// graphEnv sends the worker's messages elsewhere than to our simulator.
func graphEnv(graph string) []string {
	if graph == "" {
		return nil
	}
	return []string{"META_GRAPH_URL=" + graph}
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
	if st.Temporal == devstack.TemporalServer {
		return "server-postgres"
	}
	return "dev-sqlite"
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
	r.line.PSSModes = r.memory.shared
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

package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

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
	SteadyRate float64  `json:"steady_msg_per_s"`    // from a tenth of the messages to nine tenths
	Closed     float64  `json:"closed_s"`            // from the start until every campaign's books are closed
	Timeline   []int    `json:"sent_by_half_second"` // from the first claim on
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
	RSSModes   float64            `json:"rss_modes_mb"` // the four modes together, each with its own copy of shared pages
	PSSModes   float64            `json:"pss_modes_mb"` // pages of the one image that they share counted once
	Transition float64            `json:"temporal_transitions_per_msg"`
	Workflows  map[string]int     `json:"workflows"`
	RowWrites  float64            `json:"row_writes_per_msg"`
	Writes     map[string]float64 `json:"row_writes"` // per message, by table
	Commits    float64            `json:"commits_per_msg"`
	WAL        float64            `json:"wal_bytes_per_msg"`

	Temporal   string    `json:"temporal"`
	Graph      string    `json:"graph"` // what stood in for Meta
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
	if len(sim.Numbers) == 0 {
		return rateLine{}
	}
	out := rateLine{MeanMin: math.MaxFloat64}
	for _, n := range sim.Numbers {
		out.MaxSliding = max(out.MaxSliding, n.MaxInSlidingSecond)
		out.Mean += n.MeanRate
		out.MeanMin, out.MeanMax = min(out.MeanMin, n.MeanRate), max(out.MeanMax, n.MeanRate)
	}
	out.Mean = round(out.Mean/float64(len(sim.Numbers)), 2)
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
	if err := r.timeline(ctx); err != nil || r.scenario.Late == 0 {
		return err
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

// timeline shows how a run begins and ends: what is sent in each half second.
func (r *run) timeline(ctx context.Context) error {
	rows, err := r.db.Query(ctx, `SELECT floor(2 * extract(epoch FROM sent_at - $1))::int, count(*)::int
		FROM message_attempts WHERE sent_at IS NOT NULL GROUP BY 1 ORDER BY 1`, r.claimed)
	if err != nil {
		return err
	}
	var half, n int
	_, err = pgx.ForEachRow(rows, []any{&half, &n}, func() error {
		for len(r.line.Timeline) <= max(half, 0) {
			r.line.Timeline = append(r.line.Timeline, 0)
		}
		r.line.Timeline[max(half, 0)] += n
		return nil
	})
	return err
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

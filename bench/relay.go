package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// relayCmd is `bench relay`.
type relayCmd struct {
	common

	Claims  int   `default:"400" help:"Claims to measure in each cell."`
	Pending []int `help:"Only the cells with so many due rows."`
	Vendors []int `help:"Only the cells with so many vendors."`
}

// cell is one point of measurement.
type cell struct {
	Pending  int  `json:"pending"`
	Vendors  int  `json:"vendors"`
	Relays   int  `json:"relays"`
	Deferred int  `json:"deferred"` // rows that lie ahead in every lane's order of making, and are not due
	Snapshot bool `json:"snapshot_held"`
}

// relayLine is a cell's figures: times of one claim, from the call to its last row.
type relayLine struct {
	Bench string `json:"bench"`
	OK    bool   `json:"ok"`
	cell

	Claims    int     `json:"claims"` // that brought rows: the times are theirs
	Empty     int     `json:"empty"`  // another relay held every turn that was due
	RowsMean  float64 `json:"rows_mean"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	CPUMean   float64 `json:"cpu_ms_mean"` // of the server's process, empty ones included: what others do counts little
	PerSecond float64 `json:"rows_per_s"`  // claimed, by all relays, in the time spent claiming

	CPU       map[string]float64 `json:"cpu_s"`
	OthersCPU float64            `json:"others_cpu_s"`
	Load      []float64          `json:"load_avg"`
	At        time.Time          `json:"at"`
}

// claimGoal is the p99 to keep at a million pending rows, in milliseconds.
const claimGoal = 10

// The relay's own numbers (internal/outbox).
const (
	vendorsPerClaim = 10
	rowsPerVendor   = 50
	rowsPerClaim    = 500
)

// relayCells are grouped by what lies in the outbox, so that each backlog is loaded once.
func relayCells(scale float64) [][]cell {
	var out [][]cell
	for _, pending := range []int{1_000, 100_000, 1_000_000} {
		for _, vendors := range []int{1, 100, 10_000} {
			var group []cell
			for _, relays := range []int{1, 2, 4} {
				group = append(group, cell{Pending: shrink(pending, scale), Vendors: shrink(vendors, scale), Relays: relays})
			}
			group = append(group, cell{Pending: shrink(pending, scale), Vendors: shrink(vendors, scale), Relays: 1, Snapshot: true})
			out = append(out, group)
		}
	}
	for _, vendors := range []int{1, 100, 10_000} {
		out = append(out, []cell{{
			Pending: shrink(100_000, scale), Vendors: shrink(vendors, scale), Relays: 1, Deferred: shrink(900_000, scale),
		}})
	}
	return out
}

// wanted tells whether n is among only, where anything is.
func wanted(only []int, n int) bool { return len(only) == 0 || slices.Contains(only, n) }

func shrink(n int, by float64) int { return max(1, int(float64(n)*by)) }

// Run measures every cell on one server, as the role of the relay.
func (c *relayCmd) Run(ctx context.Context) error {
	progress("relay: starting Postgres")
	w, err := startWorld(ctx, "relay", devstack.Options{Only: []string{devstack.Migrate}})
	if err != nil {
		return err
	}
	w.keep = c.Keep
	defer w.close()
	relay, err := store.Open(ctx, w.State().DatabaseURL("kloyst_relay", devstack.Database), 8)
	if err != nil {
		return err
	}
	defer relay.Close()
	failed := false
	for _, group := range relayCells(c.Scale) {
		if !wanted(c.Pending, group[0].Pending) || !wanted(c.Vendors, group[0].Vendors) {
			continue
		}
		progress("relay: loading %d due and %d deferred rows of %d vendors", group[0].Pending, group[0].Deferred, group[0].Vendors)
		if err := w.fill(ctx, group[0]); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for _, at := range group {
			line, err := c.measure(ctx, w, relay, at)
			if err != nil {
				return err
			}
			failed = failed || !line.OK
			if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
				return err
			}
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

// fill empties the outbox and lays down the cell's backlog: each vendor has one lane with its
// share, the deferred rows first. Windows are wide, so that only the claim is measured.
func (w *world) fill(ctx context.Context, at cell) error {
	for _, sql := range []string{
		`TRUNCATE outbox_events, outbox_claims, outbox_lanes, outbox_turns, vendors CASCADE`,
		fmt.Sprintf(`INSERT INTO vendors (vendor_id, name, default_region, currency)
			SELECT gen_random_uuid(), 'Vendor', 'IN', 'USD' FROM generate_series(1, %d)`, at.Vendors),
		`INSERT INTO outbox_lanes (vendor_id, kind, campaign_id, sender_number_id, month, window_rows)
			SELECT vendor_id, 'CAMPAIGN', gen_random_uuid(), gen_random_uuid(), 202611, 2000000 FROM vendors`,
		fillSQL(at.Deferred, at.Vendors, 0, `now() + interval '1 hour' + g * interval '1 millisecond'`),
		fillSQL(at.Pending, at.Vendors, at.Deferred, `now() - interval '1 minute'`),
		`UPDATE outbox_turns SET wake_at = now()`,
	} {
		if _, err := w.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	for _, sql := range []string{"VACUUM ANALYZE outbox_events", "VACUUM ANALYZE outbox_turns", "VACUUM ANALYZE outbox_lanes", "CHECKPOINT"} {
		if _, err := w.db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// fillSQL spreads n rows over the lanes, vendor by vendor in turn.
func fillSQL(n, vendors, from int, at string) string {
	return fmt.Sprintf(`INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
		SELECT l.vendor_id, l.id, 'message', %d + g, %s
		FROM generate_series(1, %d) g
		JOIN (SELECT vendor_id, id, row_number() OVER (ORDER BY vendor_id) - 1 AS n FROM outbox_lanes WHERE kind = 'CAMPAIGN') l ON l.n = g %% %d`,
		from, at, n, vendors)
}

func (c *relayCmd) measure(ctx context.Context, w *world, relay *store.Store, at cell) (*relayLine, error) {
	if at.Snapshot {
		release, err := w.holdSnapshot(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	clocks := measureCPU(w.State())
	spentBefore, err := w.relayCPU(ctx)
	if err != nil {
		return nil, err
	}
	took := make([][]float64, at.Relays)
	rows := make([]int, at.Relays)
	g, gctx := errgroup.WithContext(ctx)
	for i := range at.Relays {
		g.Go(func() error {
			var err error
			took[i], rows[i], err = w.claims(gctx, relay, c.Claims/at.Relays)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	spentAfter, err := w.relayCPU(ctx)
	if err != nil {
		return nil, err
	}
	all, total, spent := slices.Concat(took...), 0, 0.0
	calls := c.Claims / at.Relays * at.Relays
	for _, n := range rows {
		total += n
	}
	for _, ms := range all {
		spent += ms / 1000
	}
	slices.Sort(all)
	line := &relayLine{
		Bench: "relay", cell: at, Claims: len(all), Empty: calls - len(all), RowsMean: round(float64(total)/float64(max(1, len(all))), 1),
		P50: quantile(all, 0.5), P99: quantile(all, 0.99), Max: quantile(all, 1),
		CPUMean:   round((spentAfter-spentBefore)/float64(calls), 2),
		PerSecond: round(float64(total)/max(spent/float64(at.Relays), 1e-9), 0), // others may have claimed all
		Load:      loadAverage(), At: time.Now().UTC().Truncate(time.Second),
	}
	line.CPU, line.OthersCPU = clocks.since(measureCPU(w.State()))
	line.OK = at.Pending < 1_000_000 || line.P99 <= claimGoal
	return line, nil
}

// relayCPU is the time, in milliseconds, that the relays' server processes have computed so far.
func (w *world) relayCPU(ctx context.Context) (float64, error) {
	rows, err := w.db.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE usename = 'kloyst_relay'`)
	if err != nil {
		return 0, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	sum := 0.0
	for _, pid := range pids {
		sum += procRunning(int(pid)).Seconds() * 1000
	}
	return sum, err
}

// claims claims n times and puts back, off the clock, what it took: the rows as due ones again, as
// a returned message is, and the turns as the worker that finishes a claim wakes them.
func (w *world) claims(ctx context.Context, relay *store.Store, n int) (took []float64, rows int, err error) {
	share := store.ClaimShare{Vendors: vendorsPerClaim, PerVendor: rowsPerVendor, Total: rowsPerClaim, Lease: time.Minute}
	for range n {
		batch := id.Random()
		began := time.Now()
		claims, err := relay.ClaimOutbox(ctx, batch, share)
		if err != nil {
			return nil, 0, err
		}
		if len(claims) == 0 {
			continue
		}
		took = append(took, float64(time.Since(began).Nanoseconds())/1e6)
		for _, c := range claims {
			rows += len(c.Messages)
		}
		if err := w.putBack(ctx, batch); err != nil {
			return nil, 0, err
		}
	}
	return took, rows, nil
}

func (w *world) putBack(ctx context.Context, batch string) error {
	return pgx.BeginFunc(ctx, w.db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `WITH gone AS (DELETE FROM outbox_claims WHERE batch_id = $1 RETURNING vendor_id, lane_id, message_ids)
			INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
			SELECT vendor_id, lane_id, 'message', unnest(message_ids), now() FROM gone`, batch)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE outbox_turns t SET wake_at = LEAST(wake_at, now()) FROM (
			SELECT t.vendor_id FROM outbox_turns t WHERE wake_at = 'infinity' ORDER BY t.vendor_id FOR UPDATE SKIP LOCKED) s
			WHERE t.vendor_id = s.vendor_id`)
		return err
	})
}

// holdSnapshot is a report that reads for long: rows deleted meanwhile cannot be cleared away.
func (w *world) holdSnapshot(ctx context.Context) (release func(), err error) {
	tx, err := w.db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `SELECT count(*) FROM vendors`); err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }, nil
}

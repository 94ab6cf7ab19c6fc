package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

const (
	// profileFor is how long a CPU profile runs, from the start of the scenario.
	profileFor = 20 * time.Second

	// heapAfter is when heaps and goroutines are looked at: sending is in full swing.
	heapAfter = 6 * time.Second
)

// statementArgs make Postgres count the cost of statements, which costs a little itself: only a
// profiled run does.
func statementArgs(profile bool) []string {
	if !profile {
		return nil
	}
	return []string{"-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.track=all", "-c", "track_io_timing=on"}
}

// startProfiles begins to record; what it returns waits for the end and writes the files.
func (r *run) startProfiles(ctx context.Context) func() error {
	if !r.profile {
		return func() error { return nil }
	}
	folder := filepath.Join(filepath.Dir(r.dir), "profiles")
	_, err := r.db.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_stat_statements`)
	if err == nil {
		_, err = r.db.Exec(ctx, `SELECT pg_stat_statements_reset()`)
	}
	if err == nil {
		err = os.MkdirAll(folder, 0o750)
	}
	keep := func(mode, profile, suffix string) error {
		return r.download(ctx, r.State().InternalURL(mode)+"/debug/pprof/"+profile, filepath.Join(folder, r.scenario.Name+"-"+mode+suffix))
	}
	var g errgroup.Group
	for _, mode := range []string{devstack.Worker, devstack.Outbox} {
		g.Go(func() error {
			return keep(mode, fmt.Sprintf("profile?seconds=%d", int(profileFor.Seconds())), ".cpu.pb.gz")
		})
	}
	g.Go(func() error {
		time.Sleep(heapAfter)
		var errs error
		for _, mode := range modes() {
			errs = errors.Join(errs, keep(mode, "heap", ".heap.pb.gz"), keep(mode, "goroutine?debug=1", ".goroutines.txt"))
		}
		return errs
	})
	return func() error {
		if err := errors.Join(err, g.Wait()); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		progress("%s: profiles of CPU and heap are in %s; read them with go tool pprof -top", r.scenario.Name, folder)
		return r.statements(ctx, filepath.Join(folder, r.scenario.Name+"-statements.txt"))
	}
}

func (r *run) download(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// statements writes the costliest statements of the run, those inside functions too.
func (r *run) statements(ctx context.Context, path string) error {
	rows, err := r.db.Query(ctx, `SELECT calls, total_exec_time, mean_exec_time, rows, shared_blks_hit, wal_bytes::bigint, toplevel, query
		FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 40`)
	if err != nil {
		return err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%9s %10s %9s %9s %11s %12s %s\n", "calls", "total_ms", "mean_ms", "rows", "blocks_hit", "wal_bytes", "statement (* inside a function)")
	for rows.Next() {
		var calls, n, hit, wal int64
		var total, mean float64
		var top bool
		var query string
		if err := rows.Scan(&calls, &total, &mean, &n, &hit, &wal, &top, &query); err != nil {
			return err
		}
		inside := ""
		if !top {
			inside = "* "
		}
		query = strings.Join(strings.Fields(query), " ")
		fmt.Fprintf(&out, "%9d %10.0f %9.3f %9d %11d %12d %s%.300s\n", calls, total, mean, n, hit, wal, inside, query)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(out.String()), 0o600)
}

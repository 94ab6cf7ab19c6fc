package main

import (
	"context"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/kloyst/kloyst-core/activities"
)

// counters are what Postgres has counted so far: rows written by table, commits, bytes of its log.
type counters struct {
	writes  map[string]int64
	commits int64
	wal     int64
}

func (w *world) counters(ctx context.Context) (counters, error) {
	c := counters{writes: map[string]int64{}}
	rows, err := w.db.Query(ctx, `SELECT regexp_replace(relname, '_[0-9]{6}$', ''), sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
		FROM pg_stat_user_tables GROUP BY 1`)
	if err != nil {
		return c, err
	}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return c, err
		}
		c.writes[name] = n
	}
	if err := rows.Err(); err != nil {
		return c, err
	}
	return c, w.db.QueryRow(ctx, `SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint
		FROM pg_stat_database WHERE datname = current_database()`).Scan(&c.commits, &c.wal)
}

// databaseCosts ends the modes first: a server process of Postgres tells its counts when its
// client is idle for ten seconds, or gone.
func (r *run) databaseCosts(ctx context.Context) error {
	for _, mode := range modes() {
		if err := r.StopService(mode); err != nil {
			return err
		}
	}
	r.app.Close()
	r.app = nil
	time.Sleep(1500 * time.Millisecond) // the last process' report
	after, err := r.counters(ctx)
	if err != nil {
		return err
	}
	l, per := r.line, float64(r.line.Messages)
	l.Writes = map[string]float64{}
	for name, n := range after.writes {
		if d := float64(n - r.before.writes[name]); d > 0 {
			l.RowWrites += d / per
			l.Writes[name] = round(d/per, 3)
		}
	}
	l.RowWrites = round(l.RowWrites, 2)
	l.Commits = round(float64(after.commits-r.before.commits)/per, 4)
	l.WAL = round(float64(after.wal-r.before.wal)/per, 0)
	return nil
}

// temporalCosts adds up the state transitions of every workflow of the run, and what the batches
// gave back to the outbox.
func (r *run) temporalCosts(ctx context.Context) error {
	c, err := r.temporal(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(time.Second) // what is listed lags a little behind what happened
	r.line.Workflows = map[string]int{}
	var transitions int64
	var page []byte
	for {
		list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: 500, NextPageToken: page})
		if err != nil {
			return err
		}
		for _, e := range list.GetExecutions() {
			kind := e.GetType().GetName()
			r.line.Workflows[kind]++
			n := e.GetStateTransitionCount()
			if n == 0 { // it still runs: only its own description knows
				d, err := c.DescribeWorkflowExecution(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
				if err != nil {
					return err
				}
				n = d.GetWorkflowExecutionInfo().GetStateTransitionCount()
			}
			transitions += n
			if kind != "DispatchBatch" || e.GetCloseTime() == nil {
				continue
			}
			var did activities.SendClaimResult
			run := c.GetWorkflow(ctx, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
			if err := run.Get(ctx, &did); err == nil { // a failed batch was started again
				r.line.Deferrals += did.Returned
			}
		}
		if page = list.GetNextPageToken(); len(page) == 0 {
			break
		}
	}
	r.line.Transition = round(float64(transitions)/float64(r.line.Messages), 4)
	return nil
}

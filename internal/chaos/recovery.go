package chaos

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// Recovery is what a worker's death costs: killed with -9 when half is accepted, Meta
// well-behaved, so that only the death shows.
type Recovery struct {
	Chaos       string  `json:"chaos"`
	N           int     `json:"n"`
	Workers     int     `json:"workers"`
	OnWire      int     `json:"on_wire"`      // marked and not recorded at the kill
	Claims      int     `json:"claims"`       // being sent at the kill
	ResumeS     float64 `json:"resume_s"`     // until Meta accepts something again
	TakenOverS  float64 `json:"taken_over_s"` // until every such claim is in other hands
	RecoverS    float64 `json:"recover_s"`    // until the last message of those claims is recorded
	DoneS       float64 `json:"done_s"`       // until the campaigns are over, the grace period included
	Duplicates  int     `json:"duplicates"`
	Unconfirmed int     `json:"unconfirmed"`
}

// Recover runs campaigns, kills one worker at half, and measures. The other processes,
// if o has several, go on.
func Recover(ctx context.Context, o Options) (Recovery, error) {
	o.Quiet, o.Harms = true, 0
	r := &run{Options: o, result: Result{Chaos: "failed", Seed: o.Seed, N: o.Recipients}}
	rec := Recovery{Chaos: "recovery failed", N: o.Recipients, Workers: o.Processes}
	if err := r.start(ctx); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	if err := r.approve(ctx); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	if err := r.killAtHalf(ctx, &rec); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	if err := r.untilQuiet(ctx); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	if err := r.look(ctx); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	rec.DoneS, rec.Duplicates, rec.Unconfirmed = r.result.RecoverS, r.result.Duplicates, r.result.Unconfirmed
	if err := r.result.Check(); err != nil {
		return rec, fmt.Errorf("recovery: %w", err)
	}
	rec.Chaos = "recovery"
	return rec, nil
}

// killAtHalf waits for half, kills the first worker, and watches what it held.
func (r *run) killAtHalf(ctx context.Context, rec *Recovery) error {
	for accepted := 0; accepted < r.Recipients/2; {
		s, err := r.stats(ctx)
		if err != nil {
			return err
		}
		accepted = s.Accepted
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if err := r.stack.Kill(devstack.Worker, syscall.SIGSTOP); err != nil {
		return err
	}
	var err error
	if rec.OnWire, err = r.countWire(ctx); err != nil {
		return err
	}
	// With one worker all open leases are its own; with several, those it marked with are
	// not told apart, and the figure is that of all.
	rows, err := r.db.Query(ctx, `SELECT id::text, lease FROM outbox_claims WHERE kind <> 'WORK' AND lease > 0`)
	if err != nil {
		return err
	}
	held := map[string]int{}
	for rows.Next() {
		var (
			claim string
			lease int
		)
		if err := rows.Scan(&claim, &lease); err != nil {
			return err
		}
		held[claim] = lease
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rec.Claims = len(held)
	before, err := r.stats(ctx)
	if err != nil {
		return err
	}
	killed := time.Now()
	if _, err := r.kill(devstack.Worker, syscall.SIGKILL); err != nil {
		return err
	}
	r.mu.Lock()
	r.last = killed
	r.mu.Unlock()
	return r.watch(ctx, rec, watched{held: held, accepted: before.Accepted, since: killed})
}

// watched is what the dead worker left.
type watched struct {
	held     map[string]int // claim → lease at the kill
	accepted int
	since    time.Time
}

func (r *run) watch(ctx context.Context, rec *Recovery, w watched) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	after := func() float64 { return time.Since(w.since).Round(10 * time.Millisecond).Seconds() }
	for rec.ResumeS == 0 || len(w.held) > 0 {
		s, err := r.stats(ctx)
		if err != nil {
			return err
		}
		if rec.ResumeS == 0 && s.Accepted > w.accepted {
			rec.ResumeS = after()
		}
		taken := true
		for claim, lease := range w.held {
			var now *int
			if err := r.db.QueryRow(ctx, `SELECT (SELECT lease FROM outbox_claims WHERE id = $1)`, claim).Scan(&now); err != nil {
				return err
			}
			if now == nil {
				delete(w.held, claim)
				continue
			}
			taken = taken && *now > lease
		}
		if taken && rec.TakenOverS == 0 {
			rec.TakenOverS = after()
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	rec.RecoverS = after()
	return nil
}

func (r *run) stats(ctx context.Context) (simStats, error) {
	var s simStats
	err := r.sim.call(ctx, http.MethodGet, "/_sim/stats", struct{}{}, &s)
	return s, err
}

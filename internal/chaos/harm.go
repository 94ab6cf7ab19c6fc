package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/workflows"
)

// doHarm carries out the schedule, each harm at its time, and returns when all are over.
func (r *run) doHarm(ctx context.Context, schedule []Harm) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, h := range schedule {
		g.Go(func() error {
			if err := sleep(gctx, time.Until(r.began.Add(h.At))); err != nil {
				return err
			}
			note, err := r.harm(gctx, h)
			if err != nil {
				return fmt.Errorf("%s: %w", h, err)
			}
			if note != "" {
				note = ": " + note
			}
			r.say("did %s%s", h, note)
			r.mu.Lock()
			r.last = time.Now()
			r.mu.Unlock()
			return nil
		})
	}
	return g.Wait()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// harm does one thing. What cannot be harmed now, because it is down already, is left.
func (r *run) harm(ctx context.Context, h Harm) (note string, err error) {
	switch h.Kind {
	case KillWorker:
		return r.killWorker(ctx, devstack.Instance(devstack.Worker, 1+h.Which%r.Processes))
	case KillRelay:
		return r.kill(devstack.Instance(devstack.Outbox, 1+h.Which%r.Processes), syscall.SIGKILL)
	case KillWebhook:
		return r.kill(devstack.Webhook, syscall.SIGKILL)
	case KillGateway:
		return r.kill(devstack.Gateway, syscall.SIGKILL)
	case KillTemporal:
		return r.kill(devstack.Temporal, syscall.SIGKILL)
	case RestartRedis:
		return r.kill(devstack.Redis, syscall.SIGKILL)
	case EmptyRedis:
		return "", r.emptyRedis(ctx)
	case CrashPostgres:
		return r.crashPostgres(ctx)
	case StallRelay:
		return r.stall(ctx, devstack.Instance(devstack.Outbox, 1+h.Which%r.Processes), h.For)
	case StallWorker:
		return r.stallWorker(ctx, devstack.Instance(devstack.Worker, 1+h.Which%r.Processes), h.For)
	case EndBatch:
		return r.endBatch(ctx)
	case EndCampaign:
		p := r.parties[h.Which]
		return r.terminate(ctx, workflows.CampaignID(p.vendor, p.campaign))
	case EndSettlement:
		return r.terminate(ctx, workflows.SettlementID(r.parties[h.Which].vendor))
	case PauseCampaign:
		return "", r.pause(ctx, r.parties[h.Which], h.For)
	case CancelCampaign:
		return "", r.steer(ctx, r.parties[h.Which], "cancel")
	case RefuseWebhooks:
		return "", r.refuseWebhooks(ctx, h.For)
	default:
		return "", r.burst(ctx, h)
	}
}

// downAlready is the note on a harm that found nothing to harm.
const downAlready = "down already"

// signal reports whether the process was there to be signalled.
func (r *run) signal(service string, sig syscall.Signal) bool {
	return r.stack.Kill(service, sig) == nil
}

// kill signals a process; its supervisor starts it again.
func (r *run) kill(service string, sig syscall.Signal) (string, error) {
	if !r.signal(service, sig) {
		return downAlready, nil
	}
	r.mu.Lock()
	r.result.Kills++
	r.mu.Unlock()
	return "", nil
}

// onWire counts the rows that are marked and not recorded: what a death may leave open.
func (r *run) onWire(ctx context.Context) (int, error) {
	var n int
	err := r.db.QueryRow(ctx, `SELECT count(*) FROM message_attempts WHERE status = 'SENDING'`).Scan(&n)
	return n, err
}

func (r *run) mayStayOpen(n int) {
	r.mu.Lock()
	r.result.OnWire += n
	r.mu.Unlock()
}

// killWorker stops the worker first, so that what it has on the wire can be counted.
func (r *run) killWorker(ctx context.Context, service string) (string, error) {
	if !r.signal(service, syscall.SIGSTOP) {
		return downAlready, nil
	}
	n, err := r.countWire(ctx)
	if err != nil {
		return "", err
	}
	note, err := r.kill(service, syscall.SIGKILL)
	return fmt.Sprintf("%d on the wire %s", n, note), err
}

// countWire adds what is on the wire to what may stay unconfirmed. A database that is
// away answers later: nothing was marked meanwhile.
func (r *run) countWire(ctx context.Context) (int, error) {
	var (
		n   int
		err error
	)
	for range 100 {
		if n, err = r.onWire(ctx); err == nil {
			r.mayStayOpen(n)
			return n, nil
		}
		if serr := sleep(ctx, 100*time.Millisecond); serr != nil {
			return 0, serr
		}
	}
	return 0, err
}

// stall stops a process for d, and lets it go on as if nothing had happened.
func (r *run) stall(ctx context.Context, service string, d time.Duration) (string, error) {
	pid := r.stack.Pid(service)
	if pid == 0 || !r.signal(service, syscall.SIGSTOP) {
		return downAlready, nil
	}
	err := sleep(ctx, d)
	if r.stack.Pid(service) != pid {
		return "died meanwhile", err
	}
	return "", errors.Join(err, r.stack.Kill(service, syscall.SIGCONT))
}

func (r *run) stallWorker(ctx context.Context, service string, d time.Duration) (string, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := sleep(gctx, 200*time.Millisecond); err != nil {
			return err
		}
		_, err := r.countWire(gctx)
		return err
	})
	note, err := r.stall(ctx, service, d)
	return note, errors.Join(err, g.Wait())
}

// crashPostgres ends it as a crash would: no checkpoint, recovery at the start. What is
// marked on either side of it may have lost its answer.
func (r *run) crashPostgres(ctx context.Context) (string, error) {
	before, err := r.countWire(ctx)
	if err != nil {
		return "", err
	}
	pid := r.stack.Pid(devstack.Postgres)
	note, err := r.kill(devstack.Postgres, syscall.SIGQUIT)
	if err != nil || note != "" {
		return note, err
	}
	if err := r.stack.WaitHealthy(ctx, devstack.Postgres, pid); err != nil {
		return "", err
	}
	after, err := r.countWire(ctx)
	return fmt.Sprintf("%d and %d on the wire", before, after), err
}

// emptyRedis restarts Redis without its data.
func (r *run) emptyRedis(ctx context.Context) error {
	if err := r.stack.StopService(devstack.Redis); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(r.stack.State().DataDirs[devstack.Redis], "*"))
	if err != nil {
		return err
	}
	for _, f := range found {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.result.Kills++
	r.mu.Unlock()
	return r.stack.StartService(ctx, devstack.Redis)
}

// refuseWebhooks takes the webhook mode away for d: the front door answers for it.
func (r *run) refuseWebhooks(ctx context.Context, d time.Duration) error {
	if err := r.stack.StopService(devstack.Webhook); err != nil {
		return err
	}
	err := sleep(ctx, d)
	return errors.Join(err, r.stack.StartService(ctx, devstack.Webhook))
}

// endBatch terminates the workflow of the oldest claim that holds messages.
func (r *run) endBatch(ctx context.Context) (string, error) {
	var batch string
	err := r.db.QueryRow(ctx, `SELECT batch_id::text FROM outbox_claims WHERE kind <> 'WORK' AND lease > 0 ORDER BY claimed_at DESC LIMIT 1`).Scan(&batch)
	if err != nil {
		return "none is open", nil //nolint:nilerr // or the database is away: the harm is left out
	}
	return r.terminate(ctx, workflows.DispatchID(batch))
}

// terminate ends a workflow by hand, as an operator might. A server that is away is
// asked again.
func (r *run) terminate(ctx context.Context, workflowID string) (string, error) {
	var err error
	for range 40 {
		callCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
		err = r.temporal.TerminateWorkflow(callCtx, workflowID, "", "chaos")
		cancel()
		if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
			return "does not run", nil
		}
		if err == nil {
			r.mu.Lock()
			r.result.Terminated++
			r.mu.Unlock()
			return workflowID, nil
		}
		if serr := sleep(ctx, 250*time.Millisecond); serr != nil {
			return "", serr
		}
	}
	return "", err
}

// pause stops a campaign through the vendors' API and lets it go on after d; a gateway
// that is away is asked again.
func (r *run) pause(ctx context.Context, p party, d time.Duration) error {
	if err := r.steer(ctx, p, "pause"); err != nil {
		return err
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	return r.steer(ctx, p, "resume")
}

// steer repeats until the gateway has answered; a campaign that is over, or not yet
// running, is left alone.
func (r *run) steer(ctx context.Context, p party, verb string) error {
	var err error
	for range 60 {
		var status string
		if err = r.db.QueryRow(ctx, `SELECT status FROM campaigns WHERE id = $1`, p.campaign).Scan(&status); err == nil {
			if status == "COMPLETED" || status == "CANCELLED" || verb == "pause" && status != "RUNNING" || verb == "resume" && status == "RUNNING" {
				return nil
			}
			front := *r.front
			front.token = p.token
			if err = front.call(ctx, http.MethodPost, "/campaigns/"+string(p.campaign)+"/"+verb, struct{}{}, nil); err == nil {
				return nil
			}
		}
		if serr := sleep(ctx, 500*time.Millisecond); serr != nil {
			return serr
		}
	}
	return err
}

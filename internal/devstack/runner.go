package devstack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startAttempts is how often a service may fail before it was healthy once; after that it is
// restarted for ever.
const startAttempts = 4

// Restarts wait longer each time, from minBackoff to maxBackoff; a service that stayed healthy for
// steady begins anew.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	steady     = 30 * time.Second
)

// runner keeps one service running.
type runner struct {
	stack   *Stack
	svc     *service
	healthy chan struct{} // closed when it was healthy for the first time
	stopped chan struct{} // closed when run has returned

	ctx  context.Context //nolint:containedctx // the runner's own life, ended by halt
	end  context.CancelFunc
	once sync.Once

	mu  sync.Mutex
	err error // why it was given up
}

func newRunner(s *Stack, v *service) *runner {
	//nolint:forbidigo // its life is the stack's, not that of the call that started it
	ctx, cancel := context.WithCancel(context.Background())
	return &runner{
		stack: s, svc: v, ctx: ctx, end: cancel,
		healthy: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// halt ends the service and waits for it. It may be called more than once.
func (r *runner) halt() {
	r.end()
	<-r.stopped
}

func (r *runner) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *runner) giveUp(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.stack.setState(r.svc.name, func(st *ServiceState) { st.Status, st.Error = Failed, err.Error() })
}

// run is the service's life: wait for what it needs, start, restart, until halt.
func (r *runner) run() {
	defer close(r.stopped)
	if !r.awaitNeeds() {
		r.set(Stopped)
		return
	}
	if r.svc.prepare != nil {
		if err := r.svc.prepare(r.ctx); err != nil {
			if r.ctx.Err() == nil {
				r.giveUp(err)
			}
			return
		}
	}
	backoff := minBackoff
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := r.runOnce()
		if r.ctx.Err() != nil {
			r.set(Stopped)
			return
		}
		if r.svc.oneOff && err == nil {
			r.set(Done)
			r.once.Do(func() { close(r.healthy) })
			return
		}
		if !r.wasHealthy() && (attempt >= startAttempts || r.svc.oneOff) {
			r.giveUp(r.withLog(err))
			return
		}
		if time.Since(began) > steady {
			backoff = minBackoff
		}
		r.stack.setState(r.svc.name, func(st *ServiceState) {
			st.Status, st.Error = Restarting, err.Error()
			st.Restarts++
		})
		select {
		case <-time.After(backoff):
		case <-r.ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// awaitNeeds waits for the services this one needs; false means that it was halted meanwhile.
func (r *runner) awaitNeeds() bool {
	for _, need := range r.svc.needs {
		select {
		case <-r.stack.runner(need).healthy:
		case <-r.ctx.Done():
			return false
		}
	}
	return true
}

func (r *runner) set(status Status) {
	r.stack.setState(r.svc.name, func(st *ServiceState) { st.Status = status })
}

func (r *runner) wasHealthy() bool {
	select {
	case <-r.healthy:
		return true
	default:
		return false
	}
}

// runOnce runs the child once, from its start to its end.
func (r *runner) runOnce() error {
	cmd, err := r.build()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(r.stack.logPath(r.svc.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("%s: %w", r.svc.name, err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := r.stack.spawn.start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", r.svc.name, err)
	}
	proc, _ := identify(cmd.Process.Pid) // our own unreaped child: it cannot be gone
	r.stack.setState(r.svc.name, func(st *ServiceState) { st.Proc, st.Status = proc, Starting })

	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // cmd.ProcessState tells how it ended
		// What it forked itself must not keep its port: the group is killed with its leader.
		_ = syscall.Kill(-proc.Pid, syscall.SIGKILL)
		close(exited)
	}()
	if r.svc.oneOff {
		return r.await(cmd, exited)
	}
	if err := r.becomeHealthy(cmd, exited); err != nil {
		r.terminate(proc, exited)
		return err
	}
	return r.await(cmd, exited)
}

// await waits for the child's end, or ends it when the runner is halted.
func (r *runner) await(cmd *exec.Cmd, exited <-chan struct{}) error {
	select {
	case <-exited:
		if r.svc.oneOff && cmd.ProcessState.Success() {
			return nil
		}
		return fmt.Errorf("%s ended by itself: %v", r.svc.name, cmd.ProcessState)
	case <-r.ctx.Done():
		proc, err := identify(cmd.Process.Pid)
		if err == nil {
			r.terminate(proc, exited)
		}
		return r.ctx.Err()
	}
}

// terminate ends a child and waits until it is reaped.
func (r *runner) terminate(proc Proc, exited <-chan struct{}) {
	select {
	case <-exited: // its number may belong to another process by now
		return
	default:
	}
	_ = syscall.Kill(proc.Pid, r.svc.stop)
	select {
	case <-exited:
	case <-time.After(r.svc.grace):
		_ = proc.signal(syscall.SIGKILL)
		<-exited
	}
}

// becomeHealthy probes the child until it answers, ends, or its time is up.
func (r *runner) becomeHealthy(cmd *exec.Cmd, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.svc.within)
	defer cancel()
	var last error
	for {
		select {
		case <-exited:
			return fmt.Errorf("%s ended before it was healthy: %v", r.svc.name, cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s was not healthy within %s: %w", r.svc.name, r.svc.within, last)
		case <-time.After(50 * time.Millisecond):
		}
		probe, done := context.WithTimeout(ctx, 3*time.Second)
		last = r.svc.probe(probe)
		done()
		if last == nil {
			break
		}
	}
	if r.svc.settle != nil {
		if err := r.svc.settle(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.svc.name, err)
		}
	}
	r.stack.setState(r.svc.name, func(st *ServiceState) { st.Status, st.Error = Healthy, "" })
	r.once.Do(func() { close(r.healthy) })
	return nil
}

// build makes the command with the environment that every child gets.
func (r *runner) build() (*exec.Cmd, error) {
	c, err := r.svc.command()
	if err != nil {
		return nil, err
	}
	o := r.stack.opts
	cmd := exec.Command(c.path, append(c.args, o.Args[r.svc.name]...)...) //nolint:noctx // the runner ends it
	cmd.Dir = c.dir
	cmd.Env = append(append(r.stack.baseEnv(), c.env...), o.Env[modeOf(r.svc.name)]...)
	cmd.SysProcAttr = childAttr(c.cred, r.svc.stop)
	return cmd, nil
}

// baseEnv is the environment of every child: little, so that a stack behaves alike everywhere.
func (s *Stack) baseEnv() []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + s.opts.Dir, "LANG=C.UTF-8", "TZ=UTC",
	}
	for _, kv := range s.opts.BaseEnv {
		name, _, _ := strings.Cut(kv, "=")
		if name == "TMPDIR" || name == "GOCOVERDIR" {
			env = append(env, kv)
		}
	}
	return env
}

func (s *Stack) logPath(name string) string { return LogPath(s.opts.Dir, name) }

// LogPath is the file that holds what a service wrote to its standard output and error.
func LogPath(dir, service string) string { return filepath.Join(dir, "logs", service+".log") }

// longLog is the size from which a log is put aside at the next start, replacing the one put aside
// before it.
const longLog = 32 << 20

func shortenLogs(dir string) {
	found, _ := filepath.Glob(LogPath(dir, "*")) // the pattern is valid
	for _, path := range found {
		if fi, err := os.Stat(path); err == nil && fi.Size() > longLog {
			_ = os.Rename(path, path+".old") // else it goes on growing: no reason not to start
		}
	}
}

// withLog adds the last lines of the service's log to an error.
func (r *runner) withLog(err error) error {
	path := r.stack.logPath(r.svc.name)
	lines := lastLines(path, 15)
	return fmt.Errorf("%w; the last lines of %s:\n%s", err, path, lines)
}

// lastLines returns the end of a file, "" when it cannot be read.
func lastLines(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	const tail = 16 << 10
	if fi, err := f.Stat(); err == nil && fi.Size() > tail {
		_, _ = f.Seek(-tail, 2)
	}
	var buf bytes.Buffer
	_, _ = buf.ReadFrom(f)
	lines := strings.Split(strings.TrimRight(buf.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Supervise runs a stack until ctx ends. It is what the detached process of Up does.
func Supervise(ctx context.Context, opts Options) error {
	s, err := Start(ctx, opts)
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Stop()
	return nil
}

// Up starts self, a program with the arguments args that calls Supervise for the folder dir, as a
// detached process, and returns when its stack is healthy. onChange is told of every change. If a
// healthy stack of the same binaries already runs there, Up returns at once; one of older binaries
// is stopped first.
func Up(ctx context.Context, dir string, self []string, onChange func(service string, st ServiceState)) (*State, error) {
	old, err := Load(dir)
	if err != nil && !errors.Is(err, ErrNoStack) {
		return nil, err
	}
	if err == nil && old.Running() {
		if old.Ready && old.Binaries == fingerprint(filepath.Join(old.Root, ".stack", "bin")) {
			return old, nil
		}
		if err := Down(ctx, dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o755); err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	out, err := os.OpenFile(LogPath(dir, "supervisor"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(self[0], self[1:]...) //nolint:noctx // it outlives this call
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // run.json and the log tell more than its exit status
		close(exited)
	}()
	return follow(ctx, dir, cmd.Process, exited, onChange)
}

// follow reads run.json until the new supervisor's stack is healthy or has failed.
func follow(ctx context.Context, dir string, supervisor *os.Process, exited <-chan struct{},
	onChange func(string, ServiceState),
) (*State, error) {
	seen := map[string]ServiceState{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := Load(dir)
		if err == nil && st.Supervisor.Pid == supervisor.Pid {
			for _, name := range st.Only {
				now := st.Services[name]
				if was := seen[name]; was.Status != now.Status || was.Restarts != now.Restarts {
					seen[name] = now
					onChange(name, now)
				}
			}
			if st.Ready {
				return st, nil
			}
		}
		select {
		case <-tick.C:
		case <-exited:
			if st, err := Load(dir); err == nil && st.Failure != "" {
				return nil, errors.New(st.Failure)
			}
			log := LogPath(dir, "supervisor")
			return nil, fmt.Errorf("the supervisor ended:\n%s\n(%s)", lastLines(log, 15), log)
		case <-ctx.Done():
			_ = supervisor.Signal(syscall.SIGTERM)
			<-exited
			return nil, fmt.Errorf("start stack: %w", context.Cause(ctx))
		}
	}
}

// Down stops the stack of a folder and returns when nothing of it is left, be its supervisor alive
// or not. Without a stack it does nothing.
func Down(ctx context.Context, dir string) error {
	st, err := Load(dir)
	if errors.Is(err, ErrNoStack) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscallKill(st.Supervisor, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop stack: %w", err)
	}
	// The slowest service has a minute to end; the supervisor itself needs nothing.
	deadline := time.Now().Add(90 * time.Second)
	for st.Supervisor.Alive() {
		if time.Now().After(deadline) {
			_ = syscallKill(st.Supervisor, syscall.SIGKILL)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("stop stack: %w", context.Cause(ctx))
		}
	}
	if st, err = Load(dir); err != nil {
		return err
	}
	st.endOrphans()
	return nil
}

// syscallKill signals one process, not its group: a supervisor leads no group of its children.
func syscallKill(p Proc, sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Purge removes everything a stopped stack has on disk.
func Purge(dir string) error {
	st, err := Load(dir)
	if errors.Is(err, ErrNoStack) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Running() {
		return fmt.Errorf("the stack in %s still runs: `make down` ends it", dir)
	}
	for _, d := range st.DataDirs {
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("purge stack: %w", err)
		}
		if parent := filepath.Dir(d); strings.HasPrefix(filepath.Base(parent), outsidePrefix) {
			if err := os.RemoveAll(parent); err != nil {
				return fmt.Errorf("purge stack: %w", err)
			}
		}
	}
	return os.RemoveAll(dir)
}

// Exec starts a stack, runs a program with the stack's TestEnv added to its environment, and stops
// the stack. The program's own failure is returned as it is, an *exec.ExitError.
func Exec(ctx context.Context, opts Options, cmd *exec.Cmd) error {
	s, err := Start(ctx, opts)
	if err != nil {
		return err
	}
	defer s.Stop()
	cmd.Env = append(cmd.Env, s.State().TestEnv()...)
	return cmd.Run()
}

// RestartService ends one service of a running stack, lets its supervisor start it again and
// returns when it is healthy.
func RestartService(ctx context.Context, dir, name string) error {
	st, err := Load(dir)
	if err != nil {
		return err
	}
	was, ok := st.Services[name]
	if !ok || !st.Running() {
		return fmt.Errorf("restart %s: it is not part of a running stack", name)
	}
	if err := syscallKill(was.Proc, syscall.SIGTERM); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	for {
		now, err := Load(dir)
		if err != nil {
			return err
		}
		if v := now.Services[name]; v.Status == Healthy && v.Proc != was.Proc {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("restart %s: %w", name, context.Cause(ctx))
		}
	}
}

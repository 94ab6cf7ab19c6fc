package devstack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options says what to start. Root is required; the zero value of the rest is a whole stack in
// the checkout's .stack/dev.
type Options struct {
	Root string // of the checkout
	Dir  string // of the stack; default <Root>/.stack/dev

	// BinDir holds our own binaries and the tools built from source. Default <Root>/.stack/bin.
	BinDir string

	// TemporalBin names a `temporal` program to use in place of the one in BinDir.
	TemporalBin string

	// Temporal is TemporalDev or TemporalServer. Empty means what KLOYST_TEMPORAL in BaseEnv says,
	// else what ran in this folder last time, else TemporalDev. Workflows do not move from one to
	// the other.
	Temporal string

	// Only names the services to start; what they need is started too. Empty means all.
	Only []string

	// Throwaway trades safety against a power cut for speed and gives every database role the
	// superuser's password: for tests.
	Throwaway bool

	// Instances says how many processes of a mode run where it is not one: of the modes that
	// nobody connects to, Worker and Outbox. The second is called worker-2, and so on.
	Instances map[string]int

	Ports map[string]int      // fixed ports by name; others are picked free and kept
	Env   map[string][]string // KEY=VALUE added to a service's environment, all its instances'
	Args  map[string][]string // added to a service's command line

	// BaseEnv is passed to every child. Only PATH, HOME, TMPDIR and GOCOVERDIR are taken from it.
	BaseEnv []string

	// Progress is told of every change of a service's state, from several goroutines.
	Progress func(service string, st ServiceState)
}

// Stack is a set of running servers, supervised by this process until Stop.
type Stack struct {
	opts     Options
	spawn    *spawner
	lock     *os.File
	services []*service

	mu      sync.Mutex
	state   *State
	runners map[string]*runner
}

// Start brings the services up and returns when all are healthy. The caller must call Stop; should
// its process die, the servers go with it. Cancelling ctx aborts the start, not a started stack.
//
// A folder serves one stack at a time. Ports, secrets and data in it are kept from one Start to
// the next.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	s, err := newStack(opts)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.fail(err)
		s.Stop()
		return nil, err
	}
	return s, nil
}

// newStack claims the folder, ends what an unclean stop left behind and lays out ports and secrets.
func newStack(opts Options) (*Stack, error) {
	if opts.Root == "" {
		return nil, errors.New("devstack: Options.Root is empty")
	}
	if opts.Dir == "" {
		opts.Dir = DefaultDir(opts.Root)
	}
	if opts.BinDir == "" {
		opts.BinDir = filepath.Join(opts.Root, ".stack", "bin")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	opts.Dir = dir
	for _, d := range []string{"data", "logs", "conf"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("start stack: %w", err)
		}
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	shortenLogs(dir)
	sweepOutside()
	s := &Stack{opts: opts, lock: lock, runners: map[string]*runner{}}
	if err := s.plan(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	s.spawn = newSpawner()
	return s, nil
}

// plan makes the state of the new run from that of the last one.
func (s *Stack) plan() error {
	old, err := Load(s.opts.Dir)
	switch {
	case errors.Is(err, ErrNoStack):
		old = &State{}
	case err != nil:
		return err
	}
	old.endOrphans()
	self, err := identify(os.Getpid())
	if err != nil {
		return fmt.Errorf("start stack: %w", err)
	}
	s.state = &State{
		Root: s.opts.Root, Dir: s.opts.Dir, Supervisor: self,
		Ports: map[string]int{}, DataDirs: map[string]string{}, Secrets: map[string]string{},
		Services: map[string]ServiceState{},
	}
	maps.Copy(s.state.Secrets, old.Secrets)
	maps.Copy(s.state.DataDirs, old.DataDirs)
	s.state.makeSecrets(s.opts.Throwaway)
	if s.state.Temporal, err = s.opts.temporalKind(old.Temporal); err != nil {
		return err
	}
	if s.services, err = choose(s.catalogue(), s.opts.Only); err != nil {
		return err
	}
	var names []string
	for _, v := range s.catalogue() {
		if slices.ContainsFunc(s.services, func(c *service) bool { return c.name == v.name }) {
			names = append(names, v.ports...)
		}
	}
	ports, notes, err := assignPorts(names, old.Ports, s.opts.Ports)
	if err != nil {
		return err
	}
	maps.Copy(s.state.Ports, old.Ports) // of services left out this time, too
	maps.Copy(s.state.Ports, ports)
	s.state.Notes = notes
	if old.Temporal != "" && old.Temporal != s.state.Temporal {
		s.state.Notes = append(s.state.Notes, fmt.Sprintf("Temporal was %q last time and is %q now: "+
			"workflows of the other one do not run", old.Temporal, s.state.Temporal))
	}
	s.state.Binaries = fingerprint(s.opts.BinDir)
	for _, v := range s.services {
		s.state.Only = append(s.state.Only, v.name)
		s.state.Services[v.name] = ServiceState{Status: Waiting, Since: time.Now()}
	}
	return s.state.save()
}

// start runs every service and waits until all are healthy or one is given up.
func (s *Stack) start(ctx context.Context) error {
	for _, v := range s.services { // a missing program is told before anything starts
		if v.prepare != nil {
			continue
		}
		if _, err := v.command(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, v := range s.services {
		s.runners[v.name] = newRunner(s, v)
	}
	s.mu.Unlock()
	for _, v := range s.services {
		go s.runner(v.name).run()
	}
	for _, v := range s.services {
		if err := s.firstFailure(ctx, s.runner(v.name)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Ready = true
	return s.state.save()
}

// runner returns the keeper of a service, nil for one that is not part of the stack.
func (s *Stack) runner(name string) *runner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runners[name]
}

// firstFailure waits for r to get healthy, and gives up as soon as any service is given up.
func (s *Stack) firstFailure(ctx context.Context, r *runner) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.healthy:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("start stack: %w", context.Cause(ctx))
		case <-tick.C:
			for _, v := range s.services {
				if err := s.runner(v.name).failure(); err != nil {
					return err
				}
			}
		}
	}
}

// fail notes in run.json why the stack did not come up, for Up to tell.
func (s *Stack) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Failure = err.Error()
	_ = s.state.save()
}

// Stop ends all services, those that others need last, and returns when none is left. It may be
// called more than once.
func (s *Stack) Stop() {
	running := slices.Clone(s.services)
	for len(running) > 0 {
		var wave, rest []*service
		for _, v := range running {
			needed := slices.ContainsFunc(running, func(o *service) bool { return slices.Contains(o.needs, v.name) })
			if needed {
				rest = append(rest, v)
			} else {
				wave = append(wave, v)
			}
		}
		var wg sync.WaitGroup
		for _, v := range wave {
			if r := s.runner(v.name); r != nil {
				wg.Go(r.halt)
			}
		}
		wg.Wait()
		running = rest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return
	}
	s.state.Supervisor, s.state.Ready = Proc{}, false
	_ = s.state.save()
	s.spawn.close()
	_ = s.lock.Close()
	s.lock = nil
}

// setState records a change of one service in run.json and tells Progress.
func (s *Stack) setState(name string, change func(*ServiceState)) {
	s.mu.Lock()
	st := s.state.Services[name]
	before := st.Status
	change(&st)
	if st.Status != before {
		st.Since = time.Now()
	}
	s.state.Services[name] = st
	err := s.state.save()
	s.mu.Unlock()
	if err != nil && st.Error == "" {
		st.Error = err.Error()
	}
	if s.opts.Progress != nil {
		s.opts.Progress(name, st)
	}
}

// State returns a copy of what run.json says now.
func (s *Stack) State() *State {
	st, err := Load(s.opts.Dir)
	if err != nil { // the file was taken away under a running stack: the memory still knows
		s.mu.Lock()
		defer s.mu.Unlock()
		c := *s.state
		return &c
	}
	return st
}

// Pid returns the process id of a service, 0 when it does not run.
func (s *Stack) Pid(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.state.Services[name].Proc; p.Alive() {
		return p.Pid
	}
	return 0
}

// Kill sends sig to the process of a service, not to the processes it forked itself. The
// supervisor starts again what ends by it.
func (s *Stack) Kill(name string, sig syscall.Signal) error {
	pid := s.Pid(name)
	if pid == 0 {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	return nil
}

// StopService ends one service and leaves it stopped until StartService.
func (s *Stack) StopService(name string) error {
	r := s.runner(name)
	if r == nil {
		return fmt.Errorf("stop %s: no such service in this stack", name)
	}
	r.halt()
	return nil
}

// StartService starts a service that StopService ended and returns when it is healthy.
func (s *Stack) StartService(ctx context.Context, name string) error {
	old := s.runner(name)
	if old == nil {
		return fmt.Errorf("start %s: no such service in this stack", name)
	}
	old.halt()
	r := newRunner(s, old.svc)
	s.mu.Lock()
	s.runners[name] = r
	s.mu.Unlock()
	go r.run()
	return s.firstFailure(ctx, r)
}

// WaitHealthy waits until a service runs under another process id than notPid (0: any) and its
// health check passed.
func (s *Stack) WaitHealthy(ctx context.Context, name string, notPid int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		st := s.state.Services[name]
		s.mu.Unlock()
		if (st.Status == Healthy || st.Status == Done) && st.Proc.Pid != notPid {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s (%s): %w", name, st.Status, context.Cause(ctx))
		}
	}
}

// DefaultDir is where the stack of a checkout lives.
func DefaultDir(root string) string { return filepath.Join(root, ".stack", "dev") }

// FindRoot returns the nearest folder from dir upwards that is a checkout of this project.
func FindRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find checkout: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "temporal-config", "namespace.yaml")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside a checkout of kloyst-core: change into one or name it with --root", dir)
		}
	}
}

// lockDir takes the folder for this process. The kernel lets go of it when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start stack: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("a stack already runs in %s: `make down` ends it", dir)
	}
	return f, nil
}

// fingerprint changes when one of our binaries became another. It reads their content, since every
// `go build` renews the time of a program that it leaves as it is.
func fingerprint(binDir string) string {
	var out strings.Builder
	for _, name := range []string{"kloyst", "metasim"} {
		f, err := os.Open(filepath.Join(binDir, name))
		if err != nil {
			continue // the service that needs it will say so
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		_ = f.Close()
		if err == nil {
			fmt.Fprintf(&out, "%s:%x ", name, sum.Sum(nil))
		}
	}
	return out.String()
}

// endOrphans ends the children of a supervisor that could not.
func (st *State) endOrphans() {
	var wg sync.WaitGroup
	for _, v := range st.Services {
		if v.Proc.Alive() {
			wg.Go(func() { v.Proc.end(syscall.SIGTERM, 5*time.Second) })
		}
	}
	wg.Wait()
}

package devstack

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The names of the services, as Options.Only, Kill, Env and the command line take them.
const (
	Postgres = "postgres"
	Redis    = "redis"
	Temporal = "temporal"
	UI       = "temporal_ui" // beside the real Temporal server; the development server has its own
	Codec    = "codec"       // opens payloads for Temporal Web UI
	Clamd    = "clamd"
	Mailpit  = "mailpit"
	Nginx    = "nginx"
	Metasim  = "metasim"
	Migrate  = "migrate" // a one-off job: brings the schema up to date
	Gateway  = "gateway"
	Webhook  = "webhook"
	Worker   = "worker"
	Outbox   = "outbox"
)

// The names of ports beyond a service's own.
const (
	temporalUI = UI
	mailHTTP   = "mailpit_http"
)

// command is how one child is started.
type command struct {
	path string
	args []string
	env  []string // beyond the base environment
	dir  string
	cred *syscall.Credential
}

// service is one child and what is known about it.
type service struct {
	name   string
	of     string   // the mode of which it is a further instance; else empty
	needs  []string // healthy before this one starts
	oneOff bool     // a job: healthy means it ended well
	ports  []string // the names of its ports

	prepare func(context.Context) error // before the first start
	command func() (command, error)     // before every start
	probe   func(context.Context) error // nil when healthy
	settle  func(context.Context) error // after every start, once the probe passed

	stop   syscall.Signal // asks for a clean stop; default SIGTERM
	grace  time.Duration  // for that stop before SIGKILL; default 15s
	within time.Duration  // from start to healthy; default 60s
}

func (v *service) withDefaults() *service {
	if v.stop == 0 {
		v.stop = syscall.SIGTERM
	}
	if v.grace == 0 {
		v.grace = 15 * time.Second
	}
	if v.within == 0 {
		v.within = time.Minute
	}
	if v.ports == nil && !v.oneOff {
		v.ports = []string{v.name}
	}
	return v
}

// catalogue lists every service in start order.
func (s *Stack) catalogue() []*service {
	all := append([]*service{s.postgres(), s.redis()}, s.temporalServices()...)
	all = append(
		all,
		s.clamd(), s.mailpit(), s.metasim(), s.migrate(),
		s.mode(Gateway, Migrate, Redis, Temporal),
		s.mode(Webhook, Migrate),
		s.mode(Worker, Migrate, Redis, Temporal),
		s.mode(Outbox, Migrate, Temporal),
		s.codec(),
		s.nginx(),
	)
	for _, v := range slices.Clone(all) {
		for n := 2; n <= s.opts.Instances[v.name]; n++ {
			more := s.mode(Instance(v.name, n), v.needs...)
			more.of = v.name
			all = append(all, more)
		}
	}
	for _, v := range all {
		v.withDefaults()
	}
	return all
}

// Instance is the name of the n-th process of a mode, counted from one.
func Instance(mode string, n int) string {
	if n <= 1 {
		return mode
	}
	return fmt.Sprintf("%s-%d", mode, n)
}

// modeOf is the mode that a service is an instance of: itself, mostly.
func modeOf(service string) string {
	mode, _, _ := strings.Cut(service, "-")
	return mode
}

// choose returns the named services and what they need, in start order; all for no name.
// A mode brings its further instances along.
func choose(all []*service, only []string) ([]*service, error) {
	byName := map[string]*service{}
	var names []string
	for _, v := range all {
		byName[v.name] = v
		names = append(names, v.name)
	}
	want := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		v, ok := byName[name]
		if !ok {
			return fmt.Errorf("no service is called %q; there are %v", name, names)
		}
		if want[name] {
			return nil
		}
		want[name] = true
		for _, n := range v.needs {
			if err := add(n); err != nil {
				return err
			}
		}
		return nil
	}
	if len(only) == 0 {
		only = names
	}
	for _, v := range all {
		if v.of != "" && slices.Contains(only, v.of) {
			only = append(slices.Clip(only), v.name)
		}
	}
	for _, name := range only {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(v *service) bool { return !want[v.name] }), nil
}

// MissingError means that a program the stack needs is not on this machine.
type MissingError struct {
	Service string
	Program string
	Looked  []string
	Package string // of Debian; empty for what the project builds itself
	Build   string // the make target that builds it; default "setup build"
}

// Error says what is missing, where it was looked for and what to do.
func (e *MissingError) Error() string {
	msg := fmt.Sprintf("%s: the program %s is missing (looked for %v)", e.Service, e.Program, e.Looked)
	if e.Package == "" {
		return msg + ": run `make " + cmp.Or(e.Build, "setup build") + "`"
	}
	return fmt.Sprintf("%s: run `make setup` as root, or `sudo apt-get install %s`", msg, e.Package)
}

// program returns the first of the places where a program may be that has it. Places are glob
// patterns; of several matches the last in order of names is taken.
func program(svc, pkg string, places ...string) (string, error) {
	for _, place := range places {
		found, err := filepath.Glob(place)
		if err != nil {
			return "", fmt.Errorf("look for %s: %w", place, err)
		}
		slices.Sort(found)
		for _, path := range slices.Backward(found) {
			if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	name := filepath.Base(places[len(places)-1])
	return "", &MissingError{Service: svc, Program: name, Looked: places, Package: pkg}
}

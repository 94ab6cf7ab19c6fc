// Package setup makes a Debian machine ready for the local stack: it installs the missing Debian
// packages without letting them start anything, now or at boot, and builds the tools that come from
// source. It uses the standard library only, so that it runs before any module was downloaded.
package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Options says where to set up. Root and Out are required.
type Options struct {
	Root    string    // of the checkout
	Out     io.Writer // progress, for people
	Environ []string  // of the programs that are run

	// Sysroot is put before every path of the machine; AptGet and Go name the programs. Their zero
	// values mean the machine itself, `apt-get` and `go`. Tests set them.
	Sysroot, AptGet, Go string

	// Unprivileged has set-up behave as without root. Tests set it; real users are asked of the system.
	Unprivileged bool

	// TemporalBin names an installed Temporal CLI; then none is built.
	TemporalBin string

	// TemporalServer adds the real Temporal server, its schema tool and its Web UI, which take many
	// minutes to build and which the local stack runs only when asked.
	TemporalServer bool
}

func (o Options) path(p string) string { return filepath.Join(o.Sysroot, p) }

func (o Options) say(format string, args ...any) { fmt.Fprintf(o.Out, "setup: "+format+"\n", args...) }

// Run does all of it. It is quick and needs no network when everything is there, and may be run any
// number of times.
func Run(ctx context.Context, o Options) error {
	if err := Packages(ctx, o); err != nil {
		return err
	}
	names := []string{"temporal", "mailpit"}
	if o.TemporalBin != "" {
		names = names[1:]
	}
	if o.TemporalServer {
		names = append(names, TemporalServerTools()...)
	}
	if err := Tools(ctx, o, names...); err != nil {
		return err
	}
	return hooks(ctx, o)
}

// TemporalServerTools are the programs of the real Temporal server.
func TemporalServerTools() []string {
	return []string{"temporal-server", "temporal-sql-tool", "temporal-ui"}
}

// hooks has git run the checkout's own hooks, unless its owner chose others.
func hooks(ctx context.Context, o Options) error {
	if _, err := os.Stat(filepath.Join(o.Root, ".git")); err != nil {
		return nil //nolint:nilerr // an unpacked archive has no hooks
	}
	get := exec.CommandContext(ctx, "git", "-C", o.Root, "config", "--get", "core.hooksPath")
	get.Env = o.Environ
	if out, err := get.Output(); err == nil && strings.TrimSpace(string(out)) != "" {
		return nil
	}
	set := exec.CommandContext(ctx, "git", "-C", o.Root, "config", "core.hooksPath", ".githooks")
	set.Env = o.Environ
	if out, err := set.CombinedOutput(); err != nil {
		o.say("git hooks were not set: %v %s", err, strings.TrimSpace(string(out))) // no reason to stop
	}
	return nil
}

// UnreachableError means that packages or modules could not be fetched.
type UnreachableError struct {
	What   string // "the Go module proxy", "the Debian mirror"
	Detail string // the tool's own words
	Remedy string
}

// Error says which registry did not answer and what to do.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("%s cannot be reached: %s\n%s", e.What, e.Remedy, indent(e.Detail))
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// run runs a program, shows that it is still at it every half minute, and returns what it wrote.
func (o Options) run(ctx context.Context, what, dir string, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(append([]string{}, o.Environ...), env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return out.String(), err
		case <-tick.C:
			o.say("%s: still at it after %s", what, time.Since(began).Round(time.Second))
		}
	}
}

// lastLines returns the end of a tool's output: the lines that say what went wrong.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// devCmd is `kloyst dev`: the local stack.
type devCmd struct {
	Up        devUpCmd        `cmd:"" help:"Start the local stack, or what is missing of it, and wait until it is healthy."`
	Down      devDownCmd      `cmd:"" help:"Stop the local stack."`
	Status    devStatusCmd    `cmd:"" help:"Show what runs, where, and the addresses."`
	Exec      devExecCmd      `cmd:"" help:"Run a program beside a stack of its own, then stop that stack."`
	Env       devEnvCmd       `cmd:"" help:"Print the environment of a service, or that of the tests, as shell lines."`
	Logs      devLogsCmd      `cmd:"" help:"Show the log of a service."`
	Restart   devRestartCmd   `cmd:"" help:"Restart services of the running stack."`
	Supervise devSuperviseCmd `cmd:"" hidden:"" help:"Run the stack in the foreground."`
}

// devFolder names a stack.
type devFolder struct {
	Root string `help:"The checkout. Default: the one around the working directory." type:"path"`
	Dir  string `help:"Folder of the stack. Default: .stack/dev of the checkout." type:"path"`
}

func (f devFolder) find() (root, dir string, err error) {
	root = f.Root
	if root == "" {
		if root, err = devstack.FindRoot("."); err != nil {
			return "", "", err
		}
	}
	dir = f.Dir
	if dir == "" {
		dir = devstack.DefaultDir(root)
	}
	return root, dir, nil
}

// devStackFlags say what a new stack holds.
type devStackFlags struct {
	devFolder
	Only      []string       `help:"Start these services only, and what they need." placeholder:"SERVICE"`
	Port      map[string]int `help:"A fixed port for a service; others are picked free and kept." placeholder:"SERVICE=PORT"`
	Temporal  string         `enum:",dev,server" default:"" env:"KLOYST_TEMPORAL" help:"Which Temporal runs: dev, the CLI's development server, or server, the real one on PostgreSQL. Default: as last time, at first dev."`
	Throwaway bool           `help:"Trade safety against a power cut for speed; for tests."`
}

func (f devStackFlags) options() (devstack.Options, error) {
	root, dir, err := f.find()
	return devstack.Options{
		Root: root, Dir: dir, Only: f.Only, Ports: f.Port, Throwaway: f.Throwaway,
		TemporalBin: os.Getenv("KLOYST_TEMPORAL_BIN"), Temporal: f.Temporal, BaseEnv: os.Environ(),
	}, err
}

// arguments are the flags again, for the supervisor process.
func (f devStackFlags) arguments(root, dir string) []string {
	args := []string{"--root", root, "--dir", dir}
	for _, name := range f.Only {
		args = append(args, "--only", name)
	}
	for name, port := range f.Port {
		args = append(args, "--port", fmt.Sprintf("%s=%d", name, port))
	}
	if f.Temporal != "" {
		args = append(args, "--temporal", f.Temporal)
	}
	if f.Throwaway {
		args = append(args, "--throwaway")
	}
	return args
}

type devUpCmd struct{ devStackFlags }

// Run is `kloyst dev up`.
func (c *devUpCmd) Run(ctx context.Context) error {
	root, dir, err := c.find()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("dev up: %w", err)
	}
	if st, err := devstack.Load(dir); err == nil && c.Temporal != "" && c.Temporal != cmp.Or(st.Temporal, devstack.TemporalDev) {
		if err := devstack.Down(ctx, dir); err != nil { // one with the other Temporal
			return err
		}
	}
	began := time.Now()
	args := append([]string{self, "dev", "supervise"}, c.arguments(root, dir)...)
	st, err := devstack.Up(ctx, dir, args, progress(os.Stderr, began))
	if err != nil {
		return err
	}
	return printStatus(os.Stdout, st)
}

// progress prints one line for every step that a person waits for.
func progress(w io.Writer, began time.Time) func(string, devstack.ServiceState) {
	return func(service string, st devstack.ServiceState) {
		line := fmt.Sprintf("%6.1fs  %-10s %s", time.Since(began).Seconds(), service, st.Status)
		if st.Error != "" {
			line += ": " + st.Error
		}
		switch st.Status {
		case devstack.Waiting, devstack.Stopped:
		case devstack.Starting, devstack.Healthy, devstack.Restarting, devstack.Done, devstack.Failed:
			fmt.Fprintln(w, line)
		}
	}
}

func printStatus(w io.Writer, st *devstack.State) error {
	for _, name := range st.Only {
		v := st.Services[name]
		pid := "-"
		if v.Proc.Alive() {
			pid = fmt.Sprint(v.Proc.Pid)
		}
		line := fmt.Sprintf("%-10s %-10s pid %-8s restarts %d  %s", name, v.Status, pid, v.Restarts, v.Error)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	fmt.Fprintln(w)
	for _, u := range st.URLs() {
		fmt.Fprintf(w, "%-18s %s\n", u.Name, u.URL)
	}
	fmt.Fprintf(w, "%-18s %s\n", "logs", filepath.Join(st.Dir, "logs"))
	for _, note := range st.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	return nil
}

type devDownCmd struct {
	devFolder

	Purge bool `help:"Remove the stack's data, logs and secrets too."`
}

// Run is `kloyst dev down`.
func (c *devDownCmd) Run(ctx context.Context) error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	if err := devstack.Down(ctx, dir); err != nil {
		return err
	}
	if c.Purge {
		if err := devstack.Purge(dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stdout, "stopped")
	return nil
}

type devStatusCmd struct {
	devFolder

	JSON bool `help:"As JSON, without the secrets."`
}

// Run is `kloyst dev status`. It fails when the stack does not run.
func (c *devStatusCmd) Run() error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	st, err := devstack.Load(dir)
	if err != nil {
		return err
	}
	if c.JSON {
		st.Secrets = nil
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(st); err != nil {
			return fmt.Errorf("dev status: %w", err)
		}
	} else if err := printStatus(os.Stdout, st); err != nil {
		return err
	}
	if !st.Running() {
		return errors.New("the stack does not run: `make demo` or `kloyst dev up` starts it")
	}
	return nil
}

type devEnvCmd struct {
	devFolder

	Service string `arg:"" optional:"" help:"A mode of ours; none prints the tests' variables."`
}

// Run is `kloyst dev env`.
func (c *devEnvCmd) Run() error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	st, err := devstack.Load(dir)
	if err != nil {
		return err
	}
	env := st.TestEnv()
	if c.Service != "" {
		env = st.Env(c.Service)
	}
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(os.Stdout, "export %s='%s'\n", key, strings.ReplaceAll(value, "'", `'\''`))
	}
	return nil
}

type devLogsCmd struct {
	devFolder

	Service string `arg:"" help:"A service, or supervisor."`
	Follow  bool   `short:"f" help:"Go on with what comes."`
}

// Run is `kloyst dev logs`.
func (c *devLogsCmd) Run(ctx context.Context) error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	f, err := os.Open(devstack.LogPath(dir, c.Service))
	if err != nil {
		return fmt.Errorf("dev logs: %w", err)
	}
	defer func() { _ = f.Close() }()
	for {
		if _, err := io.Copy(os.Stdout, f); err != nil {
			return fmt.Errorf("dev logs: %w", err)
		}
		if !c.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

type devRestartCmd struct {
	devFolder

	Services []string `arg:"" help:"The services to restart, one after the other."`
}

// Run is `kloyst dev restart`.
func (c *devRestartCmd) Run(ctx context.Context) error {
	_, dir, err := c.find()
	if err != nil {
		return err
	}
	for _, name := range c.Services {
		if err := devstack.RestartService(ctx, dir, name); err != nil {
			return err
		}
	}
	return nil
}

type devSuperviseCmd struct{ devStackFlags }

// Run is `kloyst dev supervise`, the process behind `kloyst dev up`.
func (c *devSuperviseCmd) Run(ctx context.Context) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	signal.Ignore(syscall.SIGHUP) // the terminal that started it may go
	opts.Progress = progress(os.Stderr, time.Now())
	return devstack.Supervise(ctx, opts)
}

type devExecCmd struct {
	devStackFlags

	Keep    bool     `help:"Keep the folder of the stack afterwards."`
	Command []string `arg:"" passthrough:"" help:"The program and its arguments, after --."`
}

// Run is `kloyst dev exec`. Without --dir the stack is a throw-away one in a folder of its own,
// whose logs stay when the program fails.
func (c *devExecCmd) Run(ctx context.Context) error {
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return errors.New("dev exec: name a program after --")
	}
	own := c.Dir == ""
	if own {
		root, _, err := c.find()
		if err != nil {
			return err
		}
		parent := filepath.Join(root, ".stack")
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return fmt.Errorf("dev exec: %w", err)
		}
		if c.Dir, err = os.MkdirTemp(parent, "exec-"); err != nil {
			return fmt.Errorf("dev exec: %w", err)
		}
		_ = os.Chmod(c.Dir, 0o755)
		c.Throwaway = true
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	opts.Progress = progress(os.Stderr, time.Now())
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Environ(), os.Stdin, os.Stdout, os.Stderr
	err = devstack.Exec(ctx, opts, cmd)
	switch {
	case !own || c.Keep:
	case err != nil:
		fmt.Fprintf(os.Stderr, "the servers' logs are in %s\n", filepath.Join(c.Dir, "logs"))
	default:
		return devstack.Purge(c.Dir)
	}
	return err
}

// Command bench measures the dispatch, the relay and imports on a throw-away stack of this machine and
// prints one line of JSON per scenario. What it loads goes straight into the database; what it
// measures is the built image, the four modes, as they are in production.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// commands are the benches.
type commands struct {
	Dispatch dispatchCmd `cmd:"" help:"Whole campaigns through outbox, Temporal, limiter and simulator."`
	Relay    relayCmd    `cmd:"" help:"The claim of the outbox alone, at growing backlogs."`
	Import   importCmd   `cmd:"" help:"Contact files, from the file to the address book, beside raw COPY."`
}

// common are the flags of every bench.
type common struct {
	Scale    float64 `default:"1" help:"Share of each scenario's size, for quick runs. Figures of different scales do not compare."`
	Baseline string  `type:"path" help:"A file of JSON lines to be printed beside ours."`
	Keep     bool    `help:"Keep the stack's folder afterwards."`
}

func main() {
	var c commands
	parser := kong.Must(&c, kong.Name("bench"), kong.Description("Benches of kloyst-core: one JSON line per scenario."))
	cmd, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	cmd.BindTo(ctx, (*context.Context)(nil))
	err = cmd.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errNotOK says that a scenario ran and one of its checks failed: its line tells which.
var errNotOK = errors.New("a scenario's checks failed")

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func root() (string, error) { return devstack.FindRoot(".") }

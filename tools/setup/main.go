// Command setup makes a machine ready for this project: `setup` does everything, `setup packages`
// installs the missing Debian packages only, `setup NAME...` builds programs into .stack/bin.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/kloyst/kloyst-core/internal/devstack/setup"
)

func main() {
	// An interrupt lets what was laid down for the time of an installation be taken back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1) // the context has nothing left to undo
	}
}

func run(ctx context.Context, args []string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	o := setup.Options{
		Root: root, Out: os.Stderr, Environ: os.Environ(), TemporalBin: os.Getenv("KLOYST_TEMPORAL_BIN"),
		TemporalServer: os.Getenv("KLOYST_TEMPORAL") == "server",
	}
	switch {
	case len(args) == 0:
		return setup.Run(ctx, o)
	case slices.Equal(args, []string{"packages"}):
		return setup.Packages(ctx, o)
	default:
		return setup.Tools(ctx, o, args...)
	}
}

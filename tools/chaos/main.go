// Command chaos runs package chaos: -runs seeds from -seed upwards, each on a stack of its
// own. It prints every schedule, one JSON line a run, and fails when one does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kloyst/kloyst-core/internal/chaos"
	"github.com/kloyst/kloyst-core/internal/devstack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1) //nolint:gocritic // the context has nothing left to undo
	}
}

func run(ctx context.Context) error {
	var (
		runs     = flag.Int("runs", 10, "how many, each with the seed after the one before")
		seed     = flag.Uint64("seed", 0, "of the first run; 0: from the clock")
		o        = chaos.Options{Out: os.Stderr, BaseEnv: os.Environ()}
		recovery = flag.Bool("recovery", false, "measure what the death of a worker at half costs, instead")
		keep     = flag.Bool("keep", false, "leave the stack's folder of a failed run, with its logs")
	)
	flag.IntVar(&o.Recipients, "n", 2000, "recipients of the three campaigns together")
	flag.IntVar(&o.Harms, "harms", 12, "how many harms a run does")
	flag.IntVar(&o.Processes, "processes", 2, "how many workers, and relays")
	flag.DurationVar(&o.Span, "span", 30*time.Second, "within which they are done")
	flag.DurationVar(&o.Patience, "patience", 4*time.Minute, "from the last harm to quiet")
	flag.Parse()
	root, err := devstack.FindRoot(".")
	if err != nil {
		return err
	}
	o.Root = root
	if *seed == 0 {
		*seed = uint64(time.Now().Unix()) //nolint:gosec // a seed
	}
	failed := 0
	for n := range *runs {
		o.Seed = *seed + uint64(n)
		if o.Dir, err = os.MkdirTemp(filepath.Join(root, ".stack"), "chaos-"); err != nil {
			return err
		}
		result, err := one(ctx, o, *recovery)
		if err != nil {
			failed++
			fmt.Fprintln(os.Stderr, err)
		}
		if err == nil || !*keep {
			if perr := devstack.Purge(o.Dir); perr != nil {
				fmt.Fprintln(os.Stderr, perr)
			}
		}
		line, jerr := json.Marshal(result)
		if jerr != nil {
			return jerr
		}
		fmt.Fprintln(os.Stdout, string(line))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed", failed, *runs)
	}
	return nil
}

// one is a run, or a measurement.
func one(ctx context.Context, o chaos.Options, recovery bool) (any, error) {
	if recovery {
		return chaos.Recover(ctx, o)
	}
	return chaos.Run(ctx, o)
}

// Command kloyst is the one image. With SERVICE_TYPE set and no arguments it runs that
// mode until it is told to stop; with arguments it is the operator's tool.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/migrations"
	"github.com/kloyst/kloyst-core/store"
)

// verbs are the operator's commands.
type verbs struct {
	Serve   serveCmd   `cmd:"" default:"1" help:"Run the mode named by SERVICE_TYPE."`
	Migrate migrateCmd `cmd:"" help:"Apply missing migrations to DATABASE_URL."`

	TemporalBootstrap temporalBootstrapCmd `cmd:"" help:"Make Temporal's namespace and search attributes where they are missing."`
	CodecServer       codecServerCmd       `cmd:"" help:"Open sealed payloads for Temporal Web UI."`

	Doctor doctorCmd `cmd:"" help:"Check everything the mode in SERVICE_TYPE needs, and say what to do."`

	RateCard rateCardCmd `cmd:"" help:"Prices: load, list, fees, taxes."`
	Wallet   walletCmd   `cmd:"" help:"Wallets: top-up, reconcile."`
	Campaign campaignCmd `cmd:"" help:"Campaigns: explain, pause, resume, cancel."`
	Dlq      dlqCmd      `cmd:"" help:"Dead letters: ls, show, replay."`
	Import   importCmd   `cmd:"" help:"Contact imports: ls, show, retry, abort, cancel."`
	Message  messageCmd  `cmd:"" help:"Messages: explain."`
	Vendor   vendorCmd   `cmd:"" help:"Vendors: ls, create."`
	Dev      devCmd      `cmd:"" help:"The local stack: up, down, status, exec, logs, restart."`
	Demo     demoCmd     `cmd:"" help:"Run one whole campaign on the running local stack."`
}

func main() {
	var v verbs
	parser := kong.Must(&v, kong.Name("kloyst"), kong.Description("WhatsApp campaigns for many vendors: one image, four modes, and the operator's verbs."), kong.UsageOnError())
	cmd, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cmd.BindTo(ctx, (*context.Context)(nil))
	if err := cmd.Run(&cliEnv{}); err != nil {
		fmt.Fprintln(os.Stderr, "kloyst:", err)
		stop()
		os.Exit(exitCode(err)) // stop has run
	}
}

// exitCode passes on the code of a program that a verb ran; any other failure is 1.
func exitCode(err error) int {
	if e, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok && e.ExitCode() > 0 {
		return e.ExitCode()
	}
	return 1
}

// cliEnv is what operator's verbs reach the world through.
type cliEnv struct{}

// Config reads the environment.
func (*cliEnv) Config() (config.Config, error) { return config.Load(os.Environ(), os.ReadFile) }

// Store opens the database as the role in DATABASE_URL; close it.
func (e *cliEnv) Store(ctx context.Context) (*store.Store, error) {
	cfg, err := e.Config()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, string(cfg.DatabaseURL), 4)
}

type migrateCmd struct{}

// Run applies what is missing; with nothing missing it does nothing.
func (migrateCmd) Run(ctx context.Context, env *cliEnv) error {
	cfg, err := env.Config()
	if err != nil {
		return err
	}
	n, err := migrations.Up(ctx, string(cfg.DatabaseURL))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "migrations applied: %d\n", n)
	return nil
}

type serveCmd struct{}

// Run runs one mode until ctx ends.
func (serveCmd) Run(ctx context.Context, env *cliEnv) error {
	cfg, err := env.Config()
	if err != nil {
		return fmt.Errorf("the environment is not right:\n%w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: cfg.LogLevel})).With("service", string(cfg.Mode))
	log.InfoContext(ctx, "starting")
	switch cfg.Mode {
	case config.APIGateway:
		return runGateway(ctx, &cfg, log)
	case config.Webhook:
		return runWebhook(ctx, &cfg, log)
	case config.Worker:
		return runWorker(ctx, &cfg, log)
	case config.Outbox:
		return runOutbox(ctx, &cfg, log)
	}
	return errors.New("SERVICE_TYPE: want API_GATEWAY, WEBHOOK, WORKER or OUTBOX (or give a command: kloyst --help)")
}

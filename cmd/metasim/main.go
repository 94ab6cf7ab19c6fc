// Command metasim runs the local simulator of Meta's Graph API; its engine and
// its laws are in internal/metasim.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/metasim"
)

// flags of the command; each may come from the environment instead.
type flags struct {
	Addr        string `default:"127.0.0.1:8090" env:"METASIM_ADDR" help:"Address to listen on."`
	AppID       string `default:"900000000000001" env:"METASIM_APP_ID" help:"Id of the app under test."`
	AppSecret   string `required:"" env:"METASIM_APP_SECRET" help:"Secret that signs webhooks."`
	VerifyToken string `env:"METASIM_VERIFY_TOKEN" help:"Verify token of the webhook handshake."`
	WebhookURL  string `env:"METASIM_WEBHOOK_URL" help:"The app's webhook; tried until it answers the handshake. Empty: set it later."`
	Seed        uint64 `default:"1" env:"METASIM_SEED" help:"Seed of everything that depends on chance."`

	Latency       time.Duration `default:"0s" env:"METASIM_LATENCY" help:"How long a send takes to be answered."`
	Jitter        time.Duration `default:"0s" env:"METASIM_JITTER" help:"Give or take this much."`
	DeliveredRate *float64      `env:"METASIM_DELIVERED_RATE" help:"Share of messages delivered (default 0.97)."`
	ReadRate      *float64      `env:"METASIM_READ_RATE" help:"Share of those read (default 0.6)."`
	FailedRate    *float64      `env:"METASIM_FAILED_RATE" help:"Share failing after acceptance (default 0.01)."`
	LogLevel      slog.Level    `default:"INFO" env:"METASIM_LOG_LEVEL" help:"DEBUG, INFO, WARN or ERROR."`
}

// gcPercent trades memory for speed, since the simulator shares two cores with
// what it measures; near memoryLimit bytes it collects as often as it must.
// GOGC and GOMEMLIMIT in the environment win.
const (
	gcPercent   = 400
	memoryLimit = 512 << 20
)

func main() {
	var f flags
	kong.Parse(&f, kong.Name("metasim"), kong.Description("A local simulator of Meta's Graph API for WhatsApp. Its own API is under /_sim/."))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "metasim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: f.LogLevel}))
	cfg := metasim.DefaultConfig()
	cfg.LatencyMS, cfg.JitterMS = int(f.Latency.Milliseconds()), int(f.Jitter.Milliseconds())
	for to, from := range map[*float64]*float64{
		&cfg.DeliveredRate: f.DeliveredRate, &cfg.ReadRate: f.ReadRate, &cfg.FailedRate: f.FailedRate,
	} {
		if from != nil {
			*to = *from
		}
	}
	sim, err := metasim.New(metasim.Options{
		AppID: f.AppID, AppSecret: f.AppSecret, VerifyToken: f.VerifyToken, WebhookURL: f.WebhookURL,
		Seed: f.Seed, Config: &cfg, Log: log,
	})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.Addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.InfoContext(ctx, "listening", "addr", listener.Addr().String())

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sim.Run(ctx) })
	g.Go(func() error {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		// Sends under way end on their own within a scripted hang; past two
		// seconds they are cut, which a client must survive anyway.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}

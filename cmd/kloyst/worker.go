package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
	_ "time/tzdata" // quiet hours ask for recipients' zones, and a bare image has none

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/internal/temporalx"
	"github.com/kloyst/kloyst-core/store"
	"github.com/kloyst/kloyst-core/workflows"
)

// runWorker wires the worker: one Temporal worker per task queue, each with its own
// concurrency, all in this process.
func runWorker(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	db, err := store.Open(ctx, string(cfg.DatabaseURL), cfg.DatabaseMaxConns)
	if err != nil {
		return err
	}
	defer db.Close()
	cache, err := openRedis(cfg)
	if err != nil {
		return err
	}
	defer cache.Close() // nothing is left to flush
	ring, err := crypt.NewRing(cfg.Master())
	if err != nil {
		return err
	}
	graph, err := meta.New(meta.Options{BaseURL: cfg.MetaGraphURL, Version: cfg.MetaGraphVersion, Timeout: cfg.MetaTimeout})
	if err != nil {
		return err
	}
	mails, err := mail.New(mail.Options{Addr: cfg.SMTPAddr, TLS: mail.TLS(cfg.SMTPTLS), From: cfg.MailFrom})
	if err != nil {
		return err
	}
	temporal, err := temporalx.Dial(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer temporal.Close()

	keys := crypt.NewKeys(ring, db.VendorKeys)
	watched := breaker.New(cache, "")
	core := newWorker(temporal, workflows.QueueCore, cfg.WorkerCore, cfg)
	workflows.Register(core)
	core.RegisterActivity(&activities.Dispatch{Store: db, Keys: keys, Breaker: watched, Log: log})
	core.RegisterActivity(&activities.Inbound{Store: db, Ring: ring, Keys: keys, Log: log})
	core.RegisterActivity(&activities.Templates{Store: db, Keys: keys, Meta: graph})
	core.RegisterActivity(&activities.Mail{Store: db, Sender: mails, PublicURL: cfg.PublicURL, APIPrefix: cfg.APIPrefix})
	internal := obs.NewInternal(workerChecks(db, cache, temporal))
	core.RegisterActivity(&activities.Wallets{Store: db, Keys: keys, Meta: graph, Sender: mails, Log: log, Metrics: activities.NewWalletMetrics(internal.Registry)})
	singles := newSingleLatency(internal.Registry)
	send := newWorker(temporal, workflows.QueueSend, cfg.WorkerSend, cfg)
	send.RegisterActivity(&activities.Sending{
		Store: db, Keys: keys, Limiter: ratelimit.New(cache, ""), Meta: graph, Breaker: watched, Log: log, UnknownGrace: cfg.UnknownGrace,
		Singles: singles, Bounds: activities.NewBounds(meta.KeptConns),
	})

	blobs, err := blob.Open(ctx, cfg.BlobURL)
	if err != nil {
		return err
	}
	defer blobs.Close() // nothing is left to flush
	importing := &activities.Importing{Store: db, Keys: keys, Blobs: blobs}
	core.RegisterActivity(importing)
	imports := newWorker(temporal, workflows.QueueImport, cfg.WorkerImport, cfg)
	imports.RegisterActivity(importing)

	// Fonts take megabytes: a worker that draws nothing reads none.
	renderer := sync.OnceValues(func() (*pdf.Renderer, error) { return pdf.New(cfg.FontDir) })
	quotations := &activities.Quotations{Store: db, Blobs: blobs, PDF: renderer}
	core.RegisterActivity(quotations)
	pdfs := newWorker(temporal, workflows.QueuePDF, cfg.WorkerPDF, cfg)
	pdfs.RegisterActivity(quotations)

	if err := ensureSchedules(ctx, temporal); err != nil {
		return err
	}
	return serve(ctx, cfg, internal, nil, func(ctx context.Context) error {
		return runWorkers(ctx, core, send, imports, pdfs)
	})
}

// workerChecks are what a worker cannot do without.
func workerChecks(db *store.Store, cache *redis.Client, temporal client.Client) map[string]obs.Check {
	return map[string]obs.Check{
		"postgres": db.Ping,
		"redis":    func(ctx context.Context) error { return cache.Ping(ctx).Err() },
		"temporal": func(ctx context.Context) error {
			_, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
			return err
		},
	}
}

func openRedis(cfg *config.Config) (*redis.Client, error) {
	options, err := redis.ParseURL(string(cfg.RedisURL))
	if err != nil {
		return nil, errBadRedisURL // the error would print the URL and with it the password
	}
	return redis.NewClient(options), nil
}

func newSingleLatency(to prometheus.Registerer) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "kloyst_single_latency_seconds", Help: "From the acceptance of a one-off message by us to that by Meta.",
		Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60},
	})
	to.MustRegister(h)
	return h
}

// newWorker makes the worker of one task queue with at most n activities at once.
func newWorker(c client.Client, queue string, n int, cfg *config.Config) worker.Worker {
	return worker.New(c, queue, worker.Options{
		MaxConcurrentActivityExecutionSize: n,
		// Activities get most of the grace period to record what they have on the wire.
		WorkerStopTimeout:           cfg.ShutdownGrace - 5*time.Second,
		DisableRegistrationAliasing: true,
		// Only the core queue has workflows; the others poll activities alone.
		DisableWorkflowWorker: queue != workflows.QueueCore,
		// Eager activities would bypass the send queue's fairness.
		DisableEagerActivities: true,
	})
}

// runWorkers starts every worker, and stops them together when ctx ends.
func runWorkers(ctx context.Context, ws ...worker.Worker) error {
	for i, w := range ws {
		if err := w.Start(); err != nil {
			stopWorkers(ws[:i])
			return err
		}
	}
	<-ctx.Done()
	stopWorkers(ws)
	return nil
}

func stopWorkers(ws []worker.Worker) {
	done := make(chan struct{})
	for _, w := range ws {
		go func() { w.Stop(); done <- struct{}{} }()
	}
	for range ws {
		<-done
	}
}

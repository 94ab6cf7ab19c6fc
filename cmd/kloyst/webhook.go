package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/kloyst/kloyst-core/api/webhook"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/store"
)

// runWebhook wires Meta's callback: Postgres as kloyst_webhook, and nothing else.
func runWebhook(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	db, err := store.Open(ctx, string(cfg.DatabaseURL), cfg.DatabaseMaxConns)
	if err != nil {
		return err
	}
	defer db.Close()
	ring, err := crypt.NewRing(cfg.Master())
	if err != nil {
		return err
	}
	internal := obs.NewInternal(map[string]obs.Check{"postgres": db.Ping})
	intake := webhook.NewIntake(db, ring, log, internal.Registry)
	srv := &http.Server{
		Addr: cfg.HTTPAddr, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		Handler: webhook.New(webhook.Deps{
			Secrets: cfg.AppSecrets(), VerifyToken: string(cfg.MetaVerifyToken), Intake: intake, Log: log,
		}),
	}
	return serve(ctx, cfg, internal, srv, intake.Run)
}

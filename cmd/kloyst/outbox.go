package main

import (
	"context"
	"log/slog"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/internal/outbox"
	"github.com/kloyst/kloyst-core/internal/temporalx"
	"github.com/kloyst/kloyst-core/store"
)

// runOutbox wires the relay: Postgres as kloyst_relay, and Temporal.
func runOutbox(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	db, err := store.Open(ctx, string(cfg.DatabaseURL), cfg.DatabaseMaxConns)
	if err != nil {
		return err
	}
	defer db.Close()
	temporal, err := temporalx.Dial(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	internal := obs.NewInternal(map[string]obs.Check{"postgres": db.Ping})
	relay := &outbox.Relay{Store: db, Temporal: temporal, Log: log, Metrics: outbox.NewMetrics(internal.Registry)}
	return serve(ctx, cfg, internal, nil, relay.Run)
}

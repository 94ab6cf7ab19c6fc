package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/kloyst/kloyst-core/api/gateway"
	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/store"
)

var errBadRedisURL = errors.New("REDIS_URL is not a Redis URL") //nolint:gochecknoglobals // sentinel; redis would print the URL

// runGateway wires the vendors' REST API.
func runGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	db, err := store.Open(ctx, string(cfg.DatabaseURL), cfg.DatabaseMaxConns)
	if err != nil {
		return err
	}
	defer db.Close()
	tokens, err := httpx.NewTokens(cfg.SigningKey().Seed())
	if err != nil {
		return err
	}
	api, err := gateway.New(gateway.Deps{Tokens: tokens, Log: log, Prefix: cfg.APIPrefix, Origins: cfg.CORSAllowedOrigins})
	if err != nil {
		return err
	}
	internal := obs.NewInternal(map[string]obs.Check{"postgres": db.Ping})
	srv := &http.Server{Addr: cfg.HTTPAddr, Handler: api, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	return serve(ctx, internal, cfg.InternalAddr, srv, cfg.ShutdownGrace, nil)
}

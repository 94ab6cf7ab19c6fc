package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a bare image has no time zones of its own

	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/api/gateway"
	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/internal/payment"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/internal/signedlink"
	"github.com/kloyst/kloyst-core/store"
)

var errBadRedisURL = errors.New("REDIS_URL is not a Redis URL") // redis would print the URL

// runGateway wires the vendors' REST API.
func runGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	db, err := store.Open(ctx, string(cfg.DatabaseURL), cfg.DatabaseMaxConns)
	if err != nil {
		return err
	}
	defer db.Close()
	redisOptions, err := redis.ParseURL(string(cfg.RedisURL))
	if err != nil {
		return errBadRedisURL
	}
	cache := redis.NewClient(redisOptions)
	defer cache.Close() // nothing is left to flush
	ring, err := crypt.NewRing(cfg.Master())
	if err != nil {
		return err
	}
	objects, err := blob.Open(ctx, cfg.BlobURL)
	if err != nil {
		return err
	}
	defer objects.Close() // nothing is left to flush
	graph, err := meta.New(meta.Options{BaseURL: cfg.MetaGraphURL, Version: cfg.MetaGraphVersion, Timeout: cfg.MetaTimeout})
	if err != nil {
		return err
	}
	tokens, err := httpx.NewTokens(cfg.SigningKey().Seed())
	if err != nil {
		return err
	}
	links, err := signedlink.New(cfg.Master())
	if err != nil {
		return err
	}
	closing := make(chan struct{})
	renderer := sync.OnceValues(func() (*pdf.Renderer, error) { return pdf.New(cfg.FontDir) })
	var provider gateway.PaymentProvider // nil: not set up
	if cfg.RazorpayKeyID != "" {
		if provider, err = payment.NewRazorpay(payment.RazorpayOptions{
			BaseURL: cfg.RazorpayURL, KeyID: cfg.RazorpayKeyID, Secret: string(cfg.RazorpayKeySecret),
			WebhookSecrets: strings.Split(string(cfg.RazorpayWebhookSecrets), ","),
		}); err != nil {
			return err
		}
	}
	api, err := gateway.New(gateway.Deps{
		Store: db, Tokens: tokens, Ring: ring, Keys: crypt.NewKeys(ring, db.VendorKeys), Meta: graph, Blob: objects, Redis: cache, PDF: renderer, Payments: provider,
		Clamd: &scan.Clamd{Addr: cfg.ClamdAddr, Timeout: 30 * time.Minute}, UploadMaxBytes: cfg.UploadMaxBytes, // an upload's own time limit
		Log: log, Prefix: cfg.APIPrefix, Origins: cfg.CORSAllowedOrigins, Links: links, PublicURL: cfg.PublicURL, Closing: closing,
	})
	if err != nil {
		return err
	}
	// Redis is no check: without it logins are not slowed down, and everything else works.
	internal := obs.NewInternal(map[string]obs.Check{"postgres": db.Ping})
	srv := &http.Server{Addr: cfg.HTTPAddr, Handler: api, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	srv.RegisterOnShutdown(sync.OnceFunc(func() { close(closing) })) // a stop waits for every answer, and streams do not end
	return serve(ctx, cfg, internal, srv, nil)
}

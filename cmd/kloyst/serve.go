package main

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/obs"
)

// serve runs a mode: its internal port, its public server (nil: none) and its loop, until
// ctx ends or one of them fails. Then readiness flips, and open requests and the loop have
// the shutdown grace in all to finish.
func serve(ctx context.Context, cfg *config.Config, internal *obs.Internal, public *http.Server, loop func(context.Context) error) error {
	if cfg.Development() {
		internal.ServeProfiles()
	}
	inner := internal.Server(cfg.InternalAddr)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return obs.Closed(inner.ListenAndServe()) })
	if public != nil {
		g.Go(func() error { return obs.Closed(public.ListenAndServe()) })
	}
	if loop != nil {
		g.Go(func() error { return loop(gctx) })
	}
	g.Go(func() error {
		<-gctx.Done()
		internal.Drain()
		// gctx is over: the grace period must not inherit its cancellation.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownGrace)
		defer cancel()
		if public != nil {
			if err := public.Shutdown(drain); err != nil {
				return err
			}
		}
		return inner.Shutdown(drain)
	})
	return g.Wait()
}

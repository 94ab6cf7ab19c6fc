package main

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/obs"
)

// serve runs a mode: its internal port, its public server (nil: none) and its loop, until
// ctx ends or one of them fails. Then readiness flips, and open requests and the loop have
// grace in all to finish.
func serve(ctx context.Context, internal *obs.Internal, internalAddr string, public *http.Server, grace time.Duration, loop func(context.Context) error) error {
	inner := internal.Server(internalAddr)
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
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
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

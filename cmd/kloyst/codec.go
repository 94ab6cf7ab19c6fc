package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/obs"
	"github.com/kloyst/kloyst-core/internal/temporalx"
)

// codecServerCmd is `kloyst codec-server`.
type codecServerCmd struct {
	Addr   string `help:"Where to listen." env:"CODEC_ADDR" default:"127.0.0.1:8234"`
	Origin string `help:"Address of Temporal Web UI, from which browsers may ask." env:"TEMPORAL_UI_ORIGIN" required:""`
	Keys   string `help:"As the modes have them: kid:base64(32 bytes), comma separated." env:"TEMPORAL_CODEC_KEYS" required:""`
}

// Run opens payloads for Temporal Web UI until it is told to stop. It has no sign-in of its own.
func (c *codecServerCmd) Run(ctx context.Context) error {
	keys, err := (&config.Config{TemporalCodecKeys: config.Secret(c.Keys)}).CodecKeys()
	if err != nil {
		return fmt.Errorf("TEMPORAL_CODEC_KEYS: %w", err)
	}
	codec, err := temporalx.NewCodec(keys)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: codec.DecodeHandler(c.Origin), ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "codec server at http://%s for %s\n", listener.Addr(), c.Origin)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return obs.Closed(srv.Serve(listener)) })
	g.Go(func() error {
		<-gctx.Done()
		// gctx is over: open answers get a moment all the same.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return srv.Shutdown(drain)
	})
	return g.Wait()
}

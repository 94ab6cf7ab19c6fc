// Package temporalx is our way to Temporal: one dial with the sealing payload codec,
// sealed failures, slog, and names of the search attributes.
package temporalx

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	tlog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Dial connects to the cluster of cfg. Payloads, and the messages and stack traces of
// failures, are sealed: Temporal's database learns ids and states, nothing else.
//
// Errors: temporal.unavailable, and a bad codec key as it is.
func Dial(ctx context.Context, cfg *config.Config, log *slog.Logger) (client.Client, error) {
	opts, err := Options(cfg, log)
	if err != nil {
		return nil, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, 30*time.Second) // a server that is still starting
	defer cancel()
	c, err := client.DialContext(dialCtx, opts)
	return c, errs.Wrap(errs.Unavailable, "temporal.unavailable", "cannot reach Temporal", err)
}

// Options are the client's options for cfg, shared by modes, tests and the replayer.
func Options(cfg *config.Config, log *slog.Logger) (client.Options, error) {
	keys, err := cfg.CodecKeys()
	if err != nil {
		return client.Options{}, err
	}
	codec, err := NewCodec(keys)
	if err != nil {
		return client.Options{}, err
	}
	dc := codec.DataConverter()
	return client.Options{
		HostPort:      cfg.TemporalAddress,
		Namespace:     cfg.TemporalNamespace,
		Logger:        tlog.NewStructuredLogger(log),
		DataConverter: dc,
		// Payloads are sealed and do not shrink; what little else there is costs both sides more than it saves.
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter: dc, EncodeCommonAttributes: true,
		}),
	}, nil
}

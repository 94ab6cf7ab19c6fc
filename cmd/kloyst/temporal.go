package main

import (
	"context"
	"fmt"
	"os"

	"go.temporal.io/sdk/client"

	temporalconfig "github.com/kloyst/kloyst-core/temporal-config"
)

// temporalBootstrapCmd is `kloyst temporal-bootstrap`.
type temporalBootstrapCmd struct {
	Address string `help:"Temporal's frontend." env:"TEMPORAL_ADDRESS" default:"127.0.0.1:7233"`
}

// Run makes the namespace and its search attributes where they are missing; it may be run again.
func (c *temporalBootstrapCmd) Run(ctx context.Context) error {
	n, err := temporalconfig.LoadNamespace()
	if err != nil {
		return err
	}
	if err := temporalconfig.Bootstrap(ctx, client.Options{HostPort: c.Address}, n); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "namespace %s is ready\n", n.Name)
	return nil
}

package devstack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	temporalconfig "github.com/kloyst/kloyst-core/temporal-config"
)

// The kinds of Temporal server that a stack can run.
const (
	TemporalDev    = "dev"    // the CLI's development server, with SQLite in a file
	TemporalServer = "server" // the server of production, on this stack's PostgreSQL
)

// temporalKind decides which of them runs; last is what ran before.
func (o *Options) temporalKind(last string) (string, error) {
	var asked string
	for _, kv := range o.BaseEnv {
		if value, ok := strings.CutPrefix(kv, "KLOYST_TEMPORAL="); ok {
			asked = value
		}
	}
	kind := cmp.Or(o.Temporal, asked, last, TemporalDev)
	if kind != TemporalDev && kind != TemporalServer {
		return "", fmt.Errorf("no Temporal is called %q: want %s or %s", kind, TemporalDev, TemporalServer)
	}
	return kind, nil
}

// temporalServices are the services that make up Temporal.
func (s *Stack) temporalServices() []*service {
	if s.state.Temporal == TemporalServer {
		return []*service{s.temporalServer(), s.temporalUI()}
	}
	return []*service{s.temporalDev()}
}

// temporalDev is the CLI's development server with its database in a file. Write-ahead logging lets
// its readers go on during a write.
func (s *Stack) temporalDev() *service {
	return &service{
		name: Temporal, ports: []string{Temporal, temporalUI}, within: 2 * time.Minute,
		command: func() (command, error) {
			bin := s.opts.TemporalBin
			if bin == "" {
				bin = filepath.Join(s.opts.BinDir, "temporal")
			}
			bin, err := program(Temporal, "", bin)
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Temporal, nil)
			if err != nil {
				return command{}, err
			}
			args, err := s.temporalArgs(data)
			return command{path: bin, args: args, dir: data, env: []string{"HOME=" + data}}, err
		},
		probe:  s.temporalAnswers,
		settle: s.temporalBootstrap,
	}
}

func (s *Stack) temporalAnswers(ctx context.Context) error {
	c, err := client.DialContext(ctx, s.temporalOptions())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

func (s *Stack) temporalBootstrap(ctx context.Context) error {
	n, err := temporalconfig.LoadNamespace()
	if err != nil {
		return err
	}
	return temporalconfig.Bootstrap(ctx, s.temporalOptions(), n)
}

func (s *Stack) temporalOptions() client.Options {
	return client.Options{
		HostPort: loopback(s.state.Ports[Temporal]), Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}
}

// codecEndpoint is where Web UI has payloads opened; "" in a stack that never had a codec server.
func (s *Stack) codecEndpoint() string {
	if s.state.Ports[Codec] == 0 {
		return ""
	}
	return s.state.CodecURL()
}

// temporalArgs also name the namespace and its attributes, which makes them there at once; the
// bootstrap then finds them, or adds what an older database lacks.
func (s *Stack) temporalArgs(data string) ([]string, error) {
	n, err := temporalconfig.LoadNamespace()
	if err != nil {
		return nil, err
	}
	args := []string{
		"server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn",
		"--port", strconv.Itoa(s.state.Ports[Temporal]),
		"--ui-port", strconv.Itoa(s.state.Ports[temporalUI]),
		"--db-filename", filepath.Join(data, "temporal.db"),
		"--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL",
		"--namespace", n.Name,
	}
	if endpoint := s.codecEndpoint(); endpoint != "" {
		args = append(args, "--ui-codec-endpoint", endpoint)
	}
	for _, name := range slices.Sorted(maps.Keys(n.SearchAttributes)) {
		args = append(args, "--search-attribute", name+"="+n.SearchAttributes[name])
	}
	dynamic, err := temporalconfig.DynamicConfig("development")
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(dynamic)) {
		value, err := json.Marshal(dynamic[key])
		if err != nil {
			return nil, fmt.Errorf("temporal dynamic config %s: %w", key, err)
		}
		args = append(args, "--dynamic-config-value", key+"="+string(value))
	}
	return args, nil
}

package devstack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// internalPort is the name of the port that holds a mode's health and metrics.
func internalPort(mode string) string { return mode + "_internal" }

// mode is one process of our own image.
func (s *Stack) mode(name string, needs ...string) *service {
	ports := []string{internalPort(name)}
	if name == Gateway || name == Webhook {
		ports = append(ports, name)
	}
	return &service{
		name: name, needs: needs, ports: ports,
		grace: 30 * time.Second, // above the modes' own SHUTDOWN_GRACE
		command: func() (command, error) {
			bin, err := program(name, "", filepath.Join(s.opts.BinDir, "kloyst"))
			if err != nil {
				return command{}, err
			}
			if err := os.MkdirAll(s.state.blobDir(), 0o700); err != nil {
				return command{}, fmt.Errorf("%s: %w", name, err)
			}
			return command{path: bin, dir: s.opts.Dir, env: s.state.Env(name)}, nil
		},
		probe: func(ctx context.Context) error {
			return getOK(ctx, "http://"+loopback(s.state.Ports[internalPort(name)])+"/readyz")
		},
	}
}

// migrate brings the schema up to date before any mode starts.
func (s *Stack) migrate() *service {
	return &service{
		name: Migrate, needs: []string{Postgres}, oneOff: true,
		command: func() (command, error) {
			bin, err := program(Migrate, "", filepath.Join(s.opts.BinDir, "kloyst"))
			return command{path: bin, args: []string{"migrate"}, dir: s.opts.Dir, env: s.state.Env(Migrate)}, err
		},
	}
}

// codec opens what our modes sealed for the people who look at Temporal Web UI.
func (s *Stack) codec() *service {
	return &service{
		name: Codec,
		command: func() (command, error) {
			bin, err := program(Codec, "", filepath.Join(s.opts.BinDir, "kloyst"))
			return command{path: bin, args: []string{"codec-server"}, dir: s.opts.Dir, env: s.state.Env(Codec)}, err
		},
		probe: func(ctx context.Context) error { return getOK(ctx, s.state.CodecURL()+"/healthz") },
	}
}

// metasim stands in for Meta. Its webhooks come in by the front door, as Meta's do.
func (s *Stack) metasim() *service {
	return &service{
		name: Metasim,
		command: func() (command, error) {
			bin, err := program(Metasim, "", filepath.Join(s.opts.BinDir, "metasim"))
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Metasim, nil)
			return command{path: bin, dir: data, args: []string{
				"--addr", loopback(s.state.Ports[Metasim]),
				"--app-secret", s.state.MetaAppSecret(),
				"--verify-token", s.state.MetaVerifyToken(),
				"--webhook-url", s.state.base(Nginx) + "/webhook/meta",
			}}, err
		},
		probe: func(ctx context.Context) error {
			return getOK(ctx, s.state.base(Metasim)+"/_sim/health")
		},
	}
}

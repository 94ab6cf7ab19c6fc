package devstack

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// temporalRole owns Temporal's two databases and nothing else.
const temporalRole = "temporal"

// temporalShards is few, as befits one small machine. A database keeps the number it was made with.
const temporalShards = 16

// temporalDatabases are the names that server.yaml and schema.sh know.
func temporalDatabases() []string { return []string{"temporal", "temporal_visibility"} }

// temporalPorts maps the variables of temporal-config/server.yaml that hold ports to names of ports.
func temporalPorts() map[string]string {
	return map[string]string{
		"TEMPORAL_FRONTEND_PORT":            Temporal,
		"TEMPORAL_FRONTEND_HTTP_PORT":       "temporal_http",
		"TEMPORAL_FRONTEND_MEMBERSHIP_PORT": "temporal_frontend_membership",
		"TEMPORAL_HISTORY_PORT":             "temporal_history",
		"TEMPORAL_HISTORY_MEMBERSHIP_PORT":  "temporal_history_membership",
		"TEMPORAL_MATCHING_PORT":            "temporal_matching",
		"TEMPORAL_MATCHING_MEMBERSHIP_PORT": "temporal_matching_membership",
		"TEMPORAL_WORKER_PORT":              "temporal_worker",
		"TEMPORAL_WORKER_MEMBERSHIP_PORT":   "temporal_worker_membership",
		"TEMPORAL_METRICS_PORT":             "temporal_metrics",
	}
}

// temporalServer is the server of production: its four services in one process, with the very
// files of temporal-config, on databases of its own in this stack's PostgreSQL.
func (s *Stack) temporalServer() *service {
	v := &service{
		name: Temporal, needs: []string{Postgres},
		// Visibility alone has some seventy indexes to make at the first start.
		within: 3 * time.Minute, grace: 30 * time.Second,
		prepare: s.prepareTemporal,
		command: func() (command, error) {
			bin, err := s.temporalProgram(Temporal, "temporal-server")
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Temporal, nil)
			return command{path: bin, dir: data, env: s.temporalEnv(data), args: []string{
				"--config-file", s.temporalFile("server.yaml"), "--allow-no-auth", "start",
			}}, err
		},
		probe:  s.temporalAnswers,
		settle: s.temporalBootstrap,
	}
	for _, name := range temporalPorts() {
		v.ports = append(v.ports, name)
	}
	return v
}

// temporalUI is the Web UI's own server.
func (s *Stack) temporalUI() *service {
	return &service{
		name: UI, needs: []string{Temporal},
		command: func() (command, error) {
			bin, err := s.temporalProgram(UI, "temporal-ui")
			if err != nil {
				return command{}, err
			}
			return command{
				path: bin, dir: s.opts.Dir,
				args: []string{"--root", s.opts.Root, "--config", "temporal-config", "--env", "ui", "start"},
				env: []string{
					"TEMPORAL_ADDRESS=" + loopback(s.state.Ports[Temporal]),
					"TEMPORAL_UI_PORT=" + strconv.Itoa(s.state.Ports[temporalUI]),
					"TEMPORAL_CODEC_ENDPOINT=" + s.codecEndpoint(),
				},
			}, nil
		},
		probe: func(ctx context.Context) error { return getOK(ctx, s.state.TemporalUIURL()+"/healthz") },
	}
}

func (s *Stack) temporalProgram(service, name string) (string, error) {
	bin, err := program(service, "", filepath.Join(s.opts.BinDir, name))
	if missing, ok := errors.AsType[*MissingError](err); ok {
		missing.Build = "temporal-server"
	}
	return bin, err
}

func (s *Stack) temporalFile(path ...string) string {
	return filepath.Join(append([]string{s.opts.Root, "temporal-config"}, path...)...)
}

// temporalEnv is the environment that server.yaml names.
func (s *Stack) temporalEnv(data string) []string {
	env := []string{
		"HOME=" + data,
		"TEMPORAL_LOG_LEVEL=warn",
		"TEMPORAL_HISTORY_SHARDS=" + strconv.Itoa(temporalShards),
		"TEMPORAL_DB_ADDR=" + loopback(s.state.Ports[Postgres]),
		"TEMPORAL_DB_USER=" + temporalRole,
		"TEMPORAL_DB_PASSWORD=" + s.state.Secrets["pg_"+temporalRole],
		"TEMPORAL_DYNAMIC_CONFIG=" + s.temporalFile("dynamicconfig", "production.yaml"),
	}
	for key, name := range temporalPorts() {
		env = append(env, key+"="+strconv.Itoa(s.state.Ports[name]))
	}
	return env
}

// prepareTemporal makes role, databases and schemas, as an operator does on a real cluster.
func (s *Stack) prepareTemporal(ctx context.Context) error {
	for _, name := range []string{"temporal-server", "temporal-sql-tool"} {
		if _, err := s.temporalProgram(Temporal, name); err != nil {
			return err
		}
	}
	if err := s.createTemporalDatabases(ctx); err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	s.mu.Lock()
	port, password := s.state.Ports[Postgres], s.state.Secrets["pg_"+temporalRole]
	s.mu.Unlock()
	cmd := exec.CommandContext(ctx, "/bin/sh", s.temporalFile("schema.sh"))
	cmd.Env = append(s.baseEnv(), "PATH="+s.opts.BinDir+":/usr/bin:/bin",
		"SQL_HOST=127.0.0.1", "SQL_PORT="+strconv.Itoa(port), "SQL_USER="+temporalRole, "SQL_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("temporal: schema.sh: %w\n%s", err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return nil
}

func (s *Stack) createTemporalDatabases(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.superuserURL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	s.mu.Lock()
	password := s.state.Secrets["pg_"+temporalRole]
	s.mu.Unlock()
	if err := ensureRole(ctx, conn, temporalRole, password); err != nil {
		return err
	}
	for _, name := range temporalDatabases() {
		if err := ensureDatabase(ctx, conn, name, temporalRole); err != nil {
			return err
		}
	}
	return nil
}

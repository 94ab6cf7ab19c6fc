// Package docker_test checks the container files by everything but an engine.
package docker_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/devstack"
)

// compose is what these tests read of compose.yaml.
type compose struct {
	Services map[string]service        `yaml:"services"`
	Networks map[string]map[string]any `yaml:"networks"`
	Volumes  map[string]any            `yaml:"volumes"`
	Configs  map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
}

type service struct {
	Image       string            `yaml:"image"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	Networks    []string          `yaml:"networks"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	SecurityOpt []string          `yaml:"security_opt"`
	Profiles    []string          `yaml:"profiles"`
	Restart     string            `yaml:"restart"`
	Healthcheck struct {
		Test    []string `yaml:"test"`
		Disable bool     `yaml:"disable"`
	} `yaml:"healthcheck"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
		Target     string `yaml:"target"`
	} `yaml:"build"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Configs []struct {
		Source string `yaml:"source"`
	} `yaml:"configs"`
}

// modes are the services that run a mode of the image, with the role of each.
func modes() map[string]string {
	return map[string]string{
		devstack.Gateway: "kloyst_app", devstack.Webhook: "kloyst_webhook",
		devstack.Worker: "kloyst_app", devstack.Outbox: "kloyst_relay",
		devstack.Migrate: "kloyst_owner", devstack.Operator: "kloyst_operator",
	}
}

func parse(t *testing.T, text string) compose {
	t.Helper()
	var c compose
	require.NoError(t, yaml.Unmarshal([]byte(text), &c))
	return c
}

func source(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	return string(raw)
}

// makeEnv runs make-env.sh in a folder of its own and returns what it wrote.
func makeEnv(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "make-env.sh", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, ".env")
	fi, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	vars := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		require.True(t, ok, line)
		require.NotEmpty(t, value, key)
		vars[key] = value
	}
	again, err := exec.CommandContext(t.Context(), "/bin/sh", "make-env.sh", dir).CombinedOutput()
	require.NoError(t, err, string(again))
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(raw), string(kept), "secrets in use are never replaced")
	return vars
}

var variable = regexp.MustCompile(`\$\$|\$\{([A-Z_]+):\?run make-env\.sh\}|\$`)

// render puts the variables in, as the engine does, and lets none be left out or have a default.
func render(t *testing.T, vars map[string]string) compose {
	t.Helper()
	used := map[string]bool{}
	text := variable.ReplaceAllStringFunc(source(t), func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		if found == "$$" {
			return "$"
		}
		require.NotEmpty(t, name, "a variable without `:?run make-env.sh`")
		require.Contains(t, vars, name, "make-env.sh does not write it")
		used[name] = true
		return vars[name]
	})
	for name := range vars {
		require.True(t, used[name], "make-env.sh writes %s, which nothing uses", name)
	}
	return parse(t, text)
}

func environ(s service) []string {
	var list []string
	for key, value := range s.Environment {
		list = append(list, key+"="+value)
	}
	return list
}

// known are the names of the variables that internal/config reads, and which of them are secret.
func known(t *testing.T) (names map[string]bool, secrets []string) {
	t.Helper()
	params, err := env.GetFieldParams(&config.Config{})
	require.NoError(t, err)
	names = map[string]bool{}
	for _, p := range params {
		names[p.OwnKey] = true
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Type == reflect.TypeFor[config.Secret]() {
			secrets = append(secrets, field.Tag.Get("env"))
		}
	}
	require.Contains(t, secrets, "MASTER_KEY")
	return names, secrets
}

func TestCompose_EveryModeStartsWithItsEnvironment(t *testing.T) {
	t.Parallel()
	c := render(t, makeEnv(t))
	names, _ := known(t)
	for name, role := range modes() {
		s, ok := c.Services[name]
		require.True(t, ok, name)
		for key := range s.Environment {
			require.True(t, names[key], "%s: internal/config knows no %s", name, key)
		}
		cfg, err := config.Load(environ(s), os.ReadFile)
		require.NoError(t, err, name)
		require.Equal(t, "production", cfg.Env, "%s: no weak secret is accepted", name)
		db, err := url.Parse(string(cfg.DatabaseURL))
		require.NoError(t, err)
		require.Equal(t, role, db.User.Username(), name)

		// The local stack, which runs in every test, gives a mode what it needs: here it is the same.
		local := map[string]bool{}
		for _, kv := range (&devstack.State{}).Env(name) {
			key, _, _ := strings.Cut(kv, "=")
			local[key] = true
		}
		delete(local, "APP_ENV")
		delete(local, "UNKNOWN_GRACE") // shorter there, for a person who watches
		if cfg.Mode == "" {
			delete(local, "LOG_LEVEL")
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(local)), slices.Collect(maps.Keys(s.Environment)),
			"%s: what internal/devstack/env.go sets belongs into compose.yaml, and the other way round", name)
	}
	for key := range c.Services["temporal-bootstrap"].Environment {
		require.True(t, names[key], key)
	}
}

func TestCompose_SecretsComeFromOutsideAndGoWhereTheyBelong(t *testing.T) {
	t.Parallel()
	vars := makeEnv(t)
	raw, rendered := parse(t, source(t)), render(t, vars)
	_, secrets := known(t)
	secret := regexp.MustCompile(`PASSWORD|SECRET|TOKEN|REDISCLI_AUTH|^(` + strings.Join(secrets, "|") + `)$`)
	for name, s := range raw.Services {
		for key, value := range s.Environment {
			if secret.MatchString(key) {
				require.Contains(t, value, ":?run make-env.sh}", "%s: %s has a value of its own", name, key)
			}
		}
	}
	require.Len(t, slices.Compact(slices.Sorted(maps.Values(vars))), len(vars), "no two secrets are equal")

	holders := map[string][]string{}
	for name, s := range rendered.Services {
		for _, value := range s.Environment {
			for key, v := range vars {
				if strings.Contains(value, v) {
					holders[key] = append(holders[key], name)
				}
			}
		}
	}
	for key, want := range map[string][]string{
		"POSTGRES_PASSWORD":        {"postgres"},
		"KLOYST_OWNER_PASSWORD":    {"migrate", "postgres"},
		"KLOYST_APP_PASSWORD":      {"gateway", "postgres", "worker"},
		"KLOYST_WEBHOOK_PASSWORD":  {"postgres", "webhook"},
		"KLOYST_RELAY_PASSWORD":    {"outbox", "postgres"},
		"KLOYST_OPERATOR_PASSWORD": {"operator", "postgres"},
		"TEMPORAL_PASSWORD":        {"postgres", "temporal", "temporal-schema"},
		"REDIS_PASSWORD":           {"gateway", "operator", "redis", "worker"},
		"MASTER_KEY":               {"gateway", "operator", "webhook", "worker"},
		"JWT_SIGNING_KEY":          {"gateway", "operator"},
		"TEMPORAL_CODEC_KEYS":      {"codec-server", "gateway", "operator", "outbox", "worker"},
		"META_APP_SECRET":          {"metasim", "webhook"},
		"META_VERIFY_TOKEN":        {"metasim", "webhook"},
	} {
		require.ElementsMatch(t, want, slices.Compact(slices.Sorted(slices.Values(holders[key]))), key)
	}
	require.JSONEq(t, `["`+vars["META_APP_SECRET"]+`"]`, rendered.Configs["webhook-secrets"].Content)
}

// address finds host:port in a value, also inside a URL.
var address = regexp.MustCompile(`(?:^|//|@)([a-z][a-z-]*):\d+`)

func TestCompose_WhatIsNamedIsThere(t *testing.T) {
	t.Parallel()
	c := render(t, makeEnv(t))
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(from, ".") {
				fi, err := os.Stat(from)
				require.NoError(t, err, name)
				require.True(t, fi.Mode().IsRegular(), v)
			} else {
				require.Contains(t, c.Volumes, from, name)
			}
		}
		require.NotEmpty(t, s.Networks, "%s: would land on the default network", name)
		for _, n := range s.Networks {
			require.Contains(t, c.Networks, n, name)
		}
		for _, p := range s.Ports {
			require.True(t, strings.HasPrefix(p, "127.0.0.1:"), "%s: %s is open to the network", name, p)
		}
		for _, conf := range s.Configs {
			require.Contains(t, c.Configs, conf.Source, name)
		}
		for need, how := range s.DependsOn {
			other, ok := c.Services[need]
			require.True(t, ok, "%s needs %s", name, need)
			switch how.Condition {
			case "service_healthy":
				require.NotEmpty(t, other.Healthcheck.Test, "%s has no health check", need)
				require.False(t, other.Healthcheck.Disable, need)
			case "service_completed_successfully":
				require.Equal(t, "on-failure", other.Restart, "%s is a job", need)
			default:
				require.Fail(t, "unknown condition", "%s: %q", name, how.Condition)
			}
		}
		for key, value := range s.Environment {
			for _, found := range address.FindAllStringSubmatch(value, -1) {
				requireReachable(t, c, name, key, found[1])
			}
		}
	}
	for _, name := range []string{"postgres", "redis", "temporal", "outbox", "migrate"} {
		require.Equal(t, []string{"data"}, c.Services[name].Networks, name)
	}
	require.Equal(t, true, c.Networks["data"]["internal"])
}

func requireReachable(t *testing.T, c compose, from, key, host string) {
	t.Helper()
	if host == "localhost" {
		require.Contains(t, []string{"PUBLIC_URL", "TEMPORAL_UI_ORIGIN", "TEMPORAL_CODEC_ENDPOINT"}, key,
			"%s: in a container localhost is the container, but to browsers it is this machine", from)
		return
	}
	to, ok := c.Services[host]
	require.True(t, ok, "%s: %s names %s", from, key, host)
	shared := slices.ContainsFunc(to.Networks, func(n string) bool { return slices.Contains(c.Services[from].Networks, n) })
	require.True(t, shared, "%s and %s share no network", from, host)
}

func TestCompose_OurContainersGetNoRights(t *testing.T) {
	t.Parallel()
	c := render(t, makeEnv(t))
	for name, s := range c.Services {
		if !strings.HasPrefix(s.Image, "kloyst") {
			_, tag, _ := strings.Cut(s.Image, ":")
			require.NotContains(t, []string{"", "latest"}, tag, "%s: pin the image", name)
			continue
		}
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
	}
}

func TestCompose_OtherProgramsKnowTheirVariables(t *testing.T) {
	t.Parallel()
	c := parse(t, source(t))
	for name, files := range map[string][]string{
		"temporal":        {"../../temporal-config/server.yaml"},
		"temporal-ui":     {"../../temporal-config/ui.yaml"},
		"temporal-schema": {"../../temporal-config/schema.sh"},
		"metasim":         {"../../cmd/metasim/main.go"},
		"codec-server":    {"../../cmd/kloyst/codec.go"},
		"postgres":        {"postgres-roles.sh"},
	} {
		text := ""
		for _, file := range files {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			text += string(raw)
		}
		for key := range c.Services[name].Environment {
			if key != "POSTGRES_PASSWORD" { // the image's own
				require.Regexp(t, `\b`+key+`\b`, text, name)
			}
		}
	}
}

func TestCompose_HealthCheckOfTheModes(t *testing.T) {
	t.Parallel()
	check := parse(t, source(t)).Services["gateway"].Healthcheck.Test
	require.Equal(t, "CMD", check[0])
	for status, healthy := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false} {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		srv := httptest.NewServer(mux)
		u, err := url.Parse(srv.URL)
		require.NoError(t, err)
		args := slices.Clone(check[1:])
		last := len(args) - 1
		require.Contains(t, args[last], "/127.0.0.1/9090")
		args[last] = strings.ReplaceAll(args[last], "9090", u.Port())
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		require.Equal(t, healthy, err == nil, fmt.Sprint(status, err, string(out)))
		srv.Close()
	}
}

// TestCompose_RedisCommand runs the command of compose.yaml with the machine's Redis, on a socket.
func TestCompose_RedisCommand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server")
	}
	vars := makeEnv(t)
	s := render(t, vars).Services["redis"]
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	args := slices.Clone(s.Command)
	last := len(args) - 1
	args[last] = strings.Replace(args[last], "redis-server - ", "redis-server - --port 0 --unixsocket "+socket+" --dir "+dir+" ", 1)
	server := exec.CommandContext(t.Context(), args[0], args[1:]...)
	server.Env = append(environ(s), "PATH=/usr/bin:/bin")
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill() })
	cli := func(password string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/redis-cli", append([]string{"-s", socket}, args...)...)
		cmd.Env = []string{"REDISCLI_AUTH=" + password}
		out, _ := cmd.CombinedOutput() // what it says is looked at
		return string(out)
	}
	password := vars["REDIS_PASSWORD"]
	require.Eventually(t, func() bool { return strings.Contains(cli(password, "ping"), "PONG") }, 10*time.Second, 20*time.Millisecond)
	require.Contains(t, cli("", "ping"), "NOAUTH")
	require.Contains(t, cli(password, "config", "get", "maxmemory-policy"), "noeviction")
	require.Contains(t, cli(password, "config", "get", "appendonly"), "yes")
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	require.NoError(t, server.Wait(), "Redis itself is told to stop, and saves")
}

package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// doctor runs `kloyst doctor` with an environment and returns what it said and its exit code.
func doctor(t *testing.T, st *devstack.State, env []string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(st.Root, ".stack", "bin", "kloyst"), "doctor", "--timeout", "5s")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	for name, secret := range st.Secrets {
		require.NotContains(t, string(out), secret, name)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	require.NoError(t, err)
	return string(out), 0
}

// with replaces variables; one without a value is left out.
func with(env []string, changes ...string) []string {
	for _, change := range changes {
		key, value, _ := strings.Cut(change, "=")
		env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
		if value != "" {
			env = append(env, change)
		}
	}
	return env
}

func TestDoctor(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	stack, err := devstack.Start(t.Context(), devstack.Options{
		Root: root, Dir: t.TempDir(), Throwaway: true, BaseEnv: os.Environ(),
		Only: []string{devstack.Migrate, devstack.Redis, devstack.Temporal, devstack.Clamd, devstack.Mailpit, devstack.Metasim},
	})
	require.NoError(t, err, "run `make setup build` first")
	t.Cleanup(stack.Stop)
	st := stack.State()

	for mode, checks := range map[string][]string{
		devstack.Gateway:  {"postgres", "schema", "redis", "objects", "clamd", "meta"},
		devstack.Webhook:  {"postgres", "schema"},
		devstack.Worker:   {"postgres", "schema", "redis", "temporal", "objects", "smtp", "meta"},
		devstack.Outbox:   {"postgres", "schema", "temporal"},
		devstack.Operator: {"postgres", "schema", "redis", "temporal", "objects", "clamd", "smtp", "meta"},
	} {
		out, code := doctor(t, st, st.Env(mode))
		require.Zero(t, code, "%s: %s", mode, out)
		var seen []string
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			require.Equal(t, "ok", fields[0], line)
			seen = append(seen, fields[1])
		}
		require.Equal(t, append([]string{"environment"}, checks...), seen, mode)
	}

	worker := st.Env(devstack.Worker)
	cache := redis.NewClient(&redis.Options{Addr: strings.TrimSuffix(strings.TrimPrefix(value(worker, "REDIS_URL"), "redis://"), "/0")})
	defer cache.Close()
	require.NoError(t, cache.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	requireFails(t, st, failure{worker, "redis", `maxmemory-policy is "allkeys-lru"`, "noeviction"})
	require.NoError(t, cache.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())

	const nobody = "127.0.0.1:1" // a port that no server of ours has
	for _, f := range []failure{
		{with(worker, "DATABASE_URL="+st.DatabaseURL("postgres", devstack.Database)), "postgres", "every vendor's rows", "DATABASE_URL"},
		{with(worker, "DATABASE_URL="+st.DatabaseURL("kloyst_webhook", devstack.Database)), "postgres", "WORKER wants kloyst_app", "DATABASE_URL"},
		{with(worker, "DATABASE_URL="+st.DatabaseURL("kloyst_app", "postgres")), "schema", "the schema is at step 0", "kloyst migrate"},
		{with(worker, "REDIS_URL=redis://"+nobody+"/0"), "redis", "refused", "REDIS_URL"},
		{with(worker, "TEMPORAL_NAMESPACE=none"), "temporal", "none", "kloyst temporal-bootstrap"},
		{with(worker, "TEMPORAL_ADDRESS="+nobody), "temporal", "", "TEMPORAL_ADDRESS"},
		{with(worker, "BLOB_URL=file:///proc/blobs"), "objects", "", "BLOB_URL"},
		{with(worker, "SMTP_ADDR="+nobody), "smtp", "refused", "SMTP_ADDR"},
		{with(worker, "SMTP_TLS=mandatory"), "smtp", "", "STARTTLS"},
		{with(worker, "META_GRAPH_URL=http://"+nobody), "meta", "refused", "META_GRAPH_URL"},
		{with(st.Env(devstack.Gateway), "CLAMD_ADDR="+nobody), "clamd", "refused", "freshclam"},
		{with(worker, "MASTER_KEY="), "environment", "MASTER_KEY", "internal/config"},
	} {
		requireFails(t, st, f)
	}
}

// failure is what the doctor says of an environment with one thing wrong.
type failure struct {
	env                  []string
	check, says, advises string
}

// requireFails wants exactly one check to fail, with its reason, its advice and a bad exit code.
func requireFails(t *testing.T, st *devstack.State, f failure) {
	t.Helper()
	out, code := doctor(t, st, f.env)
	require.Equal(t, 1, code, out)
	_, rest, found := strings.Cut(out, "FAIL  "+f.check)
	require.True(t, found, "%s: %s", f.check, out)
	require.Equal(t, 1, strings.Count(out, "FAIL"), out)
	reason, advice, found := strings.Cut(rest, "to do: ")
	require.True(t, found, out)
	require.Contains(t, reason, f.says)
	require.Contains(t, advice, f.advises)
}

func value(env []string, key string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

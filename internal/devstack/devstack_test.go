package devstack_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/scan"
)

// patience bounds every wait of these tests.
const patience = time.Minute

// TestMain lets the test program stand in for `kloyst dev supervise`.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "supervise" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := devstack.Supervise(ctx, options(os.Args[2])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func options(dir string) devstack.Options {
	root, _ := devstack.FindRoot(".") // Start tells what is wrong with an empty one
	return devstack.Options{
		Root: root, Dir: dir, Throwaway: true, Only: []string{devstack.Postgres, devstack.Redis},
	}
}

// needServers leaves the test out of -short, which runs what needs no servers.
func needServers(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, opts devstack.Options) *devstack.Stack {
	t.Helper()
	s, err := devstack.Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, devstack.Purge(opts.Dir))
	})
	return s
}

func query(ctx context.Context, st *devstack.State, role, sql string) (string, error) {
	conn, err := pgx.Connect(ctx, st.DatabaseURL(role, devstack.Database))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var got string
	err = conn.QueryRow(ctx, sql).Scan(&got)
	return got, err
}

func gone(t *testing.T, procs ...devstack.Proc) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, p := range procs {
			if p.Alive() {
				return false
			}
		}
		return true
	}, patience, 20*time.Millisecond)
}

func TestStart_TwoStacksSideBySide(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	a, b := start(t, options(t.TempDir())), start(t, options(t.TempDir()))
	for service, port := range a.State().Ports {
		require.NotEqual(t, port, b.State().Ports[service])
	}
	for _, s := range []*devstack.Stack{a, b} {
		got, err := query(ctx, s.State(), "kloyst_app", "SELECT current_user::text")
		require.NoError(t, err)
		require.Equal(t, "kloyst_app", got)
		got, err = query(ctx, s.State(), "kloyst_owner", "SHOW synchronous_commit")
		require.NoError(t, err)
		require.Equal(t, "on", got)
	}
	_, err := devstack.Start(ctx, options(a.State().Dir))
	require.ErrorContains(t, err, "already runs", "one folder, one stack")
}

func TestStack_RestartsWhatWasKilled(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	s := start(t, options(t.TempDir()))
	for _, service := range []string{devstack.Postgres, devstack.Redis} {
		pid := s.Pid(service)
		require.NotZero(t, pid)
		require.NoError(t, s.Kill(service, syscall.SIGKILL))
		require.NoError(t, s.WaitHealthy(ctx, service, pid))
		require.NotEqual(t, pid, s.Pid(service))
		require.Positive(t, s.State().Services[service].Restarts)
	}
	_, err := query(ctx, s.State(), "kloyst_app", "SELECT 'there'")
	require.NoError(t, err)

	require.NoError(t, s.StopService(devstack.Redis))
	require.Zero(t, s.Pid(devstack.Redis))
	require.NoError(t, s.StartService(ctx, devstack.Redis))
	require.NotZero(t, s.Pid(devstack.Redis))
}

func TestStart_CopesWithAnUncleanStop(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	opts := options(t.TempDir())
	s := start(t, opts)
	before := s.State()
	s.Stop()
	gone(t, before.Services[devstack.Postgres].Proc, before.Services[devstack.Redis].Proc)

	// A pid file whose number belongs to another living process by now: this test's.
	pidFile := filepath.Join(before.DataDirs[devstack.Postgres], "postmaster.pid")
	require.NoError(t, os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600))
	// A port that another server has taken meanwhile.
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", before.Ports[devstack.Redis]))
	require.NoError(t, err)
	defer func() { _ = l.Close() }()

	again := start(t, opts)
	after := again.State()
	require.Equal(t, before.Ports[devstack.Postgres], after.Ports[devstack.Postgres])
	require.NotEqual(t, before.Ports[devstack.Redis], after.Ports[devstack.Redis])
	require.Len(t, after.Notes, 1)
	require.Contains(t, after.Notes[0], "taken by another process")
	require.Equal(t, before.Secrets, after.Secrets)
	_, err = query(ctx, after, "kloyst_app", "SELECT 'there'")
	require.NoError(t, err)
}

func TestUp_SurvivesTheDeathOfItsSupervisor(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	dir := t.TempDir()
	self := []string{os.Args[0], "supervise", dir}
	quiet := func(string, devstack.ServiceState) {}
	st, err := devstack.Up(ctx, dir, self, quiet)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, devstack.Down(context.WithoutCancel(ctx), dir))
		require.NoError(t, devstack.Purge(dir))
	})
	same, err := devstack.Up(ctx, dir, self, quiet)
	require.NoError(t, err)
	require.Equal(t, st.Supervisor, same.Supervisor, "what runs is left alone")

	require.NoError(t, syscall.Kill(st.Supervisor.Pid, syscall.SIGKILL))
	gone(t, st.Supervisor, st.Services[devstack.Postgres].Proc, st.Services[devstack.Redis].Proc)

	again, err := devstack.Up(ctx, dir, self, quiet)
	require.NoError(t, err)
	require.NotEqual(t, st.Supervisor, again.Supervisor)
	require.Equal(t, st.Ports, again.Ports)
	require.NoError(t, devstack.Down(ctx, dir))
	gone(t, again.Supervisor, again.Services[devstack.Postgres].Proc, again.Services[devstack.Redis].Proc)
	require.NoError(t, devstack.Down(ctx, dir), "a second time there is nothing to do")
}

func TestStart_DataOfAnotherUserLieWhereItCanGo(t *testing.T) {
	t.Parallel()
	needServers(t)
	if os.Geteuid() != 0 {
		return // PostgreSQL runs as ourselves: it can go wherever we can
	}
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	dir := filepath.Join(closed, strings.Repeat("a-rather-long-name-", 6), "stack") // no room for a socket path
	s := start(t, options(dir))
	data := s.State().DataDirs[devstack.Postgres]
	require.NotContains(t, data, dir)
	fi, err := os.Stat(closed)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), fi.Mode().Perm(), "no folder was opened for it")
	s.Stop()
	require.NoError(t, devstack.Purge(dir))
	require.NoDirExists(t, filepath.Dir(data))
}

func TestStart_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	needServers(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	tests := map[string]struct {
		change func(*devstack.Options)
		want   []string
	}{
		"when a port that was asked for is taken": {
			change: func(o *devstack.Options) {
				o.Ports = map[string]int{devstack.Redis: l.Addr().(*net.TCPAddr).Port} //nolint:errcheck // TCP
			},
			want: []string{"asked for redis, is taken by another process", "stop that process", "--port redis=NUMBER"},
		},
		"when a program of ours was not built": {
			change: func(o *devstack.Options) { o.BinDir, o.Only = t.TempDir(), []string{devstack.Mailpit} },
			want:   []string{"the program mailpit is missing", "run `make setup build`"},
		},
		"when a service is unknown": {
			change: func(o *devstack.Options) { o.Only = []string{"postgras"} },
			want:   []string{`no service is called "postgras"`, "postgres"},
		},
	}
	for name, tt := range tests {
		opts := options(t.TempDir())
		tt.change(&opts)
		_, err := devstack.Start(t.Context(), opts)
		for _, want := range tt.want {
			require.ErrorContains(t, err, want, name)
		}
	}
	missing := devstack.MissingError{Service: "redis", Program: "redis-server", Package: "redis-server"}
	require.ErrorContains(t, &missing, "run `make setup` as root, or `sudo apt-get install redis-server`")
}

func TestStart_ShowsTheLogOfAServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	needServers(t)
	opts := options(t.TempDir())
	opts.Only, opts.Args = []string{devstack.Redis}, map[string][]string{devstack.Redis: {"--no-such-setting", "1"}}
	_, err := devstack.Start(t.Context(), opts)
	require.ErrorContains(t, err, "redis ended before it was healthy")
	require.ErrorContains(t, err, "no-such-setting", "Redis' own words")
}

func TestClamd_FindsTheTestVirusInsideATable(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	opts := options(t.TempDir())
	opts.Only = []string{devstack.Clamd}
	s := start(t, opts)
	clamd := scan.Clamd{Addr: fmt.Sprintf("127.0.0.1:%d", s.State().Ports[devstack.Clamd])}
	for text, infected := range map[string]bool{
		"mobile,name\n+919812345678,Asha\n":                                                             false,
		`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`:                     true,
		"mobile,name\n1,X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*,x\n": true,
	} {
		session, err := clamd.Start(ctx)
		require.NoError(t, err)
		_, err = session.Write([]byte(text))
		require.NoError(t, err)
		verdict, err := session.Verdict()
		require.NoError(t, err)
		require.Equal(t, infected, verdict != "")
		require.NoError(t, session.Close())
	}
}

func TestExec_PassesOnTheAddressesAndTheExitCode(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	opts := options(t.TempDir())
	opts.Only = []string{devstack.Redis}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `test -n "$KLOYST_TEST_REDIS_URL" || exit 1; exit 7`)
	err := devstack.Exec(ctx, opts, cmd)
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitCode())
	st, err := devstack.Load(opts.Dir)
	require.NoError(t, err)
	require.False(t, st.Running())
	gone(t, st.Services[devstack.Redis].Proc)
}

func TestOptions_FurtherInstancesHaveTheirOwnPortsAndTheModesSettings(t *testing.T) {
	t.Parallel()
	ctx := needServers(t)
	opts := options(t.TempDir())
	opts.Only, opts.Instances = []string{devstack.Outbox}, map[string]int{devstack.Outbox: 2}
	s := start(t, opts)
	second := devstack.Instance(devstack.Outbox, 2)
	require.Equal(t, "outbox-2", second)
	require.NotEqual(t, s.Pid(devstack.Outbox), s.Pid(second))
	pid := s.Pid(second)
	require.NoError(t, s.Kill(second, syscall.SIGKILL))
	require.NoError(t, s.WaitHealthy(ctx, second, pid))
	require.Contains(t, s.State().Env(second), "SERVICE_TYPE=OUTBOX")
	require.NotEqual(t, s.State().InternalURL(devstack.Outbox), s.State().InternalURL(second))
}

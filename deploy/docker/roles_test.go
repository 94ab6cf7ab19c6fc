package docker_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/migrations"
)

// cluster starts a PostgreSQL of its own, without what the local stack makes in it.
func cluster(t *testing.T) *devstack.State {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server")
	}
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	dir := t.TempDir()
	stack, err := devstack.Start(t.Context(), devstack.Options{
		Root: root, Dir: dir, Throwaway: true, Only: []string{devstack.Postgres},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		stack.Stop()
		require.NoError(t, devstack.Purge(dir))
	})
	st := stack.State()
	conn := connect(t, st.DatabaseURL("postgres", "postgres"))
	mustExec(t, conn, "DROP DATABASE "+devstack.Database)
	for _, role := range devstack.Roles() {
		mustExec(t, conn, "DROP ROLE "+role)
	}
	return st
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

// requireDenied wants PostgreSQL to refuse a statement for lack of rights.
func requireDenied(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	var refusal *pgconn.PgError
	require.ErrorAs(t, err, &refusal, sql)
	require.Equal(t, "42501", refusal.Code, "%s: %s", sql, refusal.Message) // insufficient_privilege
}

// at returns a URL of compose.yaml with the address of this machine's server, and another database.
func at(t *testing.T, dsn, address, database string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Host, u.Path = address, "/"+database
	return u.String()
}

// TestRoles runs the script of the postgres image against a PostgreSQL, and every role through the
// URL that compose.yaml gives it.
func TestRoles(t *testing.T) {
	t.Parallel()
	st := cluster(t)
	vars := makeEnv(t)
	c := render(t, vars)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(st.Ports[devstack.Postgres]))
	cmd := exec.CommandContext(t.Context(), "/bin/bash", "postgres-roles.sh")
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(st.Ports[devstack.Postgres]),
		"PGPASSWORD=" + st.Secrets["pg_postgres"],
	}
	cmd.Env = append(cmd.Env, environ(c.Services["postgres"])...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	owner := at(t, c.Services["migrate"].Environment["DATABASE_URL"], address, devstack.Database)
	applied, err := migrations.Up(t.Context(), owner)
	require.NoError(t, err)
	require.Positive(t, applied)
	applied, err = migrations.Up(t.Context(), owner)
	require.NoError(t, err)
	require.Zero(t, applied)

	urls := map[string]string{"temporal": fmt.Sprintf("postgres://temporal:%s@%s/temporal", vars["TEMPORAL_PASSWORD"], address)}
	for name, role := range modes() {
		urls[role] = at(t, c.Services[name].Environment["DATABASE_URL"], address, devstack.Database)
	}
	for role, dsn := range urls {
		requireLeast(t, role, dsn, address)
	}
	requireNarrow(t, urls)
	mustExec(t, connect(t, at(t, urls["temporal"], address, "temporal_visibility")), "CREATE EXTENSION btree_gin")
}

// requireLeast wants a role that can log in to its own database and has no right beyond it.
func requireLeast(t *testing.T, role, dsn, address string) {
	t.Helper()
	conn := connect(t, dsn)
	var attributes, memberships int
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT (rolsuper::int + rolcreatedb::int + rolcreaterole::int + rolbypassrls::int + rolreplication::int),
		       (SELECT count(*) FROM pg_auth_members WHERE member = r.oid OR roleid = r.oid)
		FROM pg_roles r WHERE rolname = current_user AND rolname = $1`, role).Scan(&attributes, &memberships))
	require.Zero(t, attributes, role)
	require.Zero(t, memberships, role)

	others := []string{"postgres", "template1", "temporal", "temporal_visibility"}
	if role == "temporal" {
		others = []string{"postgres", "template1", devstack.Database}
	}
	for _, database := range others {
		_, err := pgx.Connect(t.Context(), at(t, dsn, address, database))
		require.ErrorContains(t, err, "permission denied for database", "%s in %s", role, database)
	}
	requireDenied(t, conn, "SET ROLE postgres")
	requireDenied(t, conn, "COPY (SELECT 1) TO PROGRAM 'true'")
	requireDenied(t, conn, "CREATE ROLE another")
	requireDenied(t, conn, "CREATE DATABASE another")
	if role == "kloyst_owner" || role == "temporal" {
		return
	}
	requireDenied(t, conn, "SET ROLE kloyst_owner")
	requireDenied(t, conn, "CREATE TABLE another ()")
	requireDenied(t, conn, "CREATE TEMPORARY TABLE another ()")
	requireDenied(t, conn, "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY")
	requireDenied(t, conn, "DROP TABLE contacts")
	requireDenied(t, conn, "TRUNCATE vendors")
}

// requireNarrow samples what the migrations grant; store's tests look at all of it.
func requireNarrow(t *testing.T, urls map[string]string) {
	t.Helper()
	for role, denied := range map[string][]string{
		"kloyst_webhook": {"SELECT FROM contacts", "SELECT FROM users", "SELECT FROM ledger_entries", "SELECT FROM webhook_intakes"},
		"kloyst_relay":   {"SELECT FROM contacts", "SELECT FROM users", "SELECT FROM ledger_entries", "SELECT FROM vendors"},
		"kloyst_app":     {"UPDATE ledger_entries SET vendor_id = vendor_id", "DELETE FROM ledger_entries"},
	} {
		conn := connect(t, urls[role])
		for _, sql := range denied {
			requireDenied(t, conn, sql)
		}
	}
	conn := connect(t, urls["kloyst_app"])
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM contacts").Scan(&n))
	require.Zero(t, n, "without a vendor no row is seen")
}

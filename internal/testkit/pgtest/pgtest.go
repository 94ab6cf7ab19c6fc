// Package pgtest gives every test a database of its own, cloned from one that was migrated once.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/testkit/testenv"
	"github.com/kloyst/kloyst-core/migrations"
)

// The product's database roles.
const (
	owner    = "kloyst_owner"
	app      = "kloyst_app"
	webhook  = "kloyst_webhook"
	relay    = "kloyst_relay"
	operator = "kloyst_operator"
)

// advisoryKey serialises the making of templates by the test processes of one server. The number
// only has to differ from those of other programs.
const advisoryKey = 0x6b6c6f79737401

// stale is the age at which a clone of a test that was killed is dropped. No test runs that long.
const stale = 2 * time.Hour

// maxConns of each pool; the stack's PostgreSQL accepts 300 connections from all tests at once.
const maxConns = 8

// DB is one test's database, migrated and empty. It is dropped when the test ends.
type DB struct {
	Name string

	// Connection strings, one per role: OwnerURL migrates and sees past nothing but what
	// row-level security forces on it too; AppURL is that of gateway and worker.
	OwnerURL, AppURL, WebhookURL, RelayURL, OperatorURL string

	// SuperURL is the superuser's: row-level security does not hold for it.
	SuperURL string

	tb    testing.TB
	mu    sync.Mutex
	pools map[string]*pgxpool.Pool
}

// New clones the migrated template for tb. Without KLOYST_TEST_DATABASE_URL, the URL of a superuser,
// it fails the test.
func New(tb testing.TB) *DB {
	tb.Helper()
	super := testenv.Get(tb, "KLOYST_TEST_DATABASE_URL")
	ctx := tb.Context()
	conn, err := pgx.Connect(ctx, super)
	require.NoError(tb, err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	template := "kloyst_template_" + migrations.Hash()
	require.NoError(tb, ensureTemplate(ctx, conn, super, template))
	name := fmt.Sprintf("kloyst_test_%s_%s", strconv.FormatInt(time.Now().Unix(), 36), strings.ToLower(rand.Text()[:8]))
	_, err = conn.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s OWNER %s", name, template, owner))
	require.NoError(tb, err)

	db := &DB{
		Name: name, tb: tb, pools: map[string]*pgxpool.Pool{}, SuperURL: with(super, "", name),
		OwnerURL: with(super, owner, name), AppURL: with(super, app, name),
		WebhookURL: with(super, webhook, name), RelayURL: with(super, relay, name),
		OperatorURL: with(super, operator, name),
	}
	tb.Cleanup(func() { db.drop(context.WithoutCancel(ctx), super) })
	return db
}

// Owner is a pool of the role that migrates.
func (d *DB) Owner() *pgxpool.Pool { return d.pool(d.OwnerURL) }

// App is a pool of the role of gateway and worker.
func (d *DB) App() *pgxpool.Pool { return d.pool(d.AppURL) }

// Webhook is a pool of the webhook mode's role.
func (d *DB) Webhook() *pgxpool.Pool { return d.pool(d.WebhookURL) }

// Relay is a pool of the outbox relay's role.
func (d *DB) Relay() *pgxpool.Pool { return d.pool(d.RelayURL) }

// Operator is a pool of the operator's commands.
func (d *DB) Operator() *pgxpool.Pool { return d.pool(d.OperatorURL) }

// Super is a pool of the superuser, for what a test arranges or checks behind the product's back.
func (d *DB) Super() *pgxpool.Pool { return d.pool(d.SuperURL) }

// pool opens each pool once, at its first use.
func (d *DB) pool(dsn string) *pgxpool.Pool {
	d.tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.pools[dsn]; p != nil {
		return p
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	require.NoError(d.tb, err)
	cfg.MaxConns = maxConns
	p, err := pgxpool.NewWithConfig(context.WithoutCancel(d.tb.Context()), cfg)
	require.NoError(d.tb, err)
	d.pools[dsn] = p
	return p
}

func (d *DB) drop(ctx context.Context, super string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pools {
		p.Close()
	}
	conn, err := pgx.Connect(ctx, super)
	if err != nil {
		d.tb.Logf("drop %s: %v", d.Name, err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+d.Name+" WITH (FORCE)"); err != nil {
		d.tb.Logf("drop %s: %v", d.Name, err)
	}
}

// ensureTemplate makes and migrates the template unless it is there. Being marked as a template is
// the sign that its migration ended well.
func ensureTemplate(ctx context.Context, conn *pgx.Conn, super, template string) error {
	if ok, err := isTemplate(ctx, conn, template); ok || err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(advisoryKey)); err != nil {
		return fmt.Errorf("lock templates: %w", err)
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(advisoryKey))
	}()
	if ok, err := isTemplate(ctx, conn, template); ok || err != nil {
		return err // another process made it meanwhile
	}
	dropStale(ctx, conn)
	if err := ensureRoles(ctx, conn, super); err != nil {
		return err
	}
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + template + " WITH (FORCE)", // of a migration that failed
		"CREATE DATABASE " + template + " OWNER " + owner,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make template: %w", err)
		}
	}
	if _, err := migrations.Up(ctx, with(super, owner, template)); err != nil {
		return fmt.Errorf("migrate template: %w", err)
	}
	_, err := conn.Exec(ctx, "ALTER DATABASE "+template+" IS_TEMPLATE true ALLOW_CONNECTIONS false")
	if err != nil {
		return fmt.Errorf("mark template: %w", err)
	}
	return nil
}

func isTemplate(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	var ok bool
	err := conn.QueryRow(ctx,
		"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", name).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("look for template: %w", err)
	}
	return ok, nil
}

// ensureRoles makes the product's roles, with the superuser's password, on a server that the local
// stack did not set up.
func ensureRoles(ctx context.Context, conn *pgx.Conn, super string) error {
	u, err := url.Parse(super)
	if err != nil {
		return fmt.Errorf("KLOYST_TEST_DATABASE_URL: %w", err)
	}
	password, _ := u.User.Password()
	for _, role := range []string{owner, app, webhook, relay, operator} {
		var exists bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists)
		if err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		if exists {
			continue
		}
		quoted := "'" + strings.ReplaceAll(password, "'", "''") + "'"
		if _, err := conn.Exec(ctx, "CREATE ROLE "+role+" LOGIN PASSWORD "+quoted); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
	}
	return nil
}

// dropStale drops the clones of tests that were killed long ago. What it cannot drop stays.
func dropStale(ctx context.Context, conn *pgx.Conn) {
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'kloyst\_test\_%'`)
	if err != nil {
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, name := range names {
		parts := strings.Split(name, "_")
		made, err := strconv.ParseInt(parts[2], 36, 64)
		if err == nil && time.Since(time.Unix(made, 0)) > stale {
			_, _ = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	}
}

// with returns a connection string for another role, "" for the same, and database.
func with(dsn, role, database string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // ensureTemplate has told
	}
	if role != "" {
		password, _ := u.User.Password()
		u.User = url.UserPassword(role, password)
	}
	u.Path = "/" + database
	return u.String()
}

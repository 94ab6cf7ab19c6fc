// Package migrations holds the schema's steps and applies them. Steps are written to
// be run before or after the code that wants them: expand first, contract later.
package migrations

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/kloyst/kloyst-core/internal/errs"
)

//go:embed *.sql
var files embed.FS

// Up applies what is missing, as the owner role in url, under a session lock: any
// number of processes may call it at once. It returns how many steps it applied.
//
// Errors: migrations.bad_url, migrations.failed.
func Up(ctx context.Context, url string) (int, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, errs.New(errs.Invalid, "migrations.bad_url", "DATABASE_URL is not a Postgres URL")
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close() // nothing is left to flush
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return 0, fmt.Errorf("make migration lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), errs.Wrap(errs.Unavailable, "migrations.failed", "a migration did not apply", err)
	}
	if _, err := db.ExecContext(ctx, letRolesRead); err != nil {
		return len(done), errs.Wrap(errs.Unavailable, "migrations.failed", "cannot let the roles read the schema's version", err)
	}
	return len(done), nil
}

// letRolesRead lets every role ask how far the schema is. The lock is for the calls of other
// processes: two grants at once on one table fail.
const letRolesRead = `
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kloyst.schema_version'));
    IF NOT has_table_privilege('kloyst_relay', 'goose_db_version', 'SELECT') THEN
        GRANT SELECT ON goose_db_version TO kloyst_app, kloyst_webhook, kloyst_relay, kloyst_operator;
    END IF;
END $$`

// Status tells how far the schema behind url is and how far this program's files go: numbers of
// steps, 0 for a database without a schema. A schema may be ahead of a program. Any role may ask.
//
// Errors: migrations.bad_url, migrations.failed.
func Status(ctx context.Context, url string) (have, want int64, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, 0, fmt.Errorf("read migrations: %w", err)
	}
	for _, name := range names {
		number, err := goose.NumericComponent(name)
		if err != nil {
			return 0, 0, fmt.Errorf("read migrations: %w", err)
		}
		want = max(want, number)
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return 0, want, errs.New(errs.Invalid, "migrations.bad_url", "DATABASE_URL is not a Postgres URL")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, want, errs.Wrap(errs.Unavailable, "migrations.failed", "cannot ask for the schema's version", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // nothing is left to flush
	var exists bool
	if err = conn.QueryRow(ctx, "SELECT to_regclass('public.goose_db_version') IS NOT NULL").Scan(&exists); err == nil && exists {
		err = conn.QueryRow(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	}
	return have, want, errs.Wrap(errs.Unavailable, "migrations.failed", "cannot ask for the schema's version", err)
}

// Hash names the schema these files make: a test database made from the same hash
// can be cloned instead of migrated.
func Hash() string {
	names, _ := fs.Glob(files, "*.sql") // the pattern is constant and valid
	h := sha256.New()
	for _, name := range names {
		text, _ := fs.ReadFile(files, name) // embedded: cannot fail
		h.Write([]byte(name))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

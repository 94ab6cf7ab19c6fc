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
	return len(done), nil
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

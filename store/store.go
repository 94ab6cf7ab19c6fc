// Package store is Postgres: it opens the transaction, loads, asks the rule in
// internal/domain, and writes. Its law: the vendor is the second parameter of every
// method and of every key, and row-level security says it again below. It knows no
// workflow and no transport.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// Store is a pool of connections under one database role. Which methods work
// depends on the role's grants: each mode of the image has its own.
type Store struct {
	pool    *pgxpool.Pool
	queries map[string]string
	cards   sync.Map // pricing.SnapshotID to *pricing.Snapshot: immutable, and few
	bell    bell
}

// Open connects to url and checks that the database answers.
// maxConns bounds the pool; zero takes pgx's default (the larger of 4 and the cores).
//
// Errors: store.unavailable.
func Open(ctx context.Context, url string, maxConns int32) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The error would print the URL and with it the password.
		return nil, errs.New(errs.Invalid, "store.bad_url", "DATABASE_URL is not a Postgres URL")
	}
	if maxConns > 0 {
		cfg.MaxConns = maxConns
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, "store.unavailable", "cannot reach Postgres", err)
	}
	s, err := New(pool)
	if err != nil {
		pool.Close()
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// New wraps a pool; the caller closes it through Close.
func New(pool *pgxpool.Pool) (*Store, error) {
	queries, err := loadQueries(queryFiles)
	if err != nil {
		return nil, err
	}
	return &Store{pool: pool, queries: queries}, nil
}

// Close returns every connection.
func (s *Store) Close() { s.pool.Close() }

// Ping asks the database for an answer.
//
// Errors: store.unavailable.
func (s *Store) Ping(ctx context.Context) error {
	return errs.Wrap(errs.Unavailable, "store.unavailable", "cannot reach Postgres", s.pool.Ping(ctx))
}

// Queries returns every named statement, for the test that prepares them.
func (s *Store) Queries() map[string]string { return s.queries }

// sql returns the statement called name. An unknown name is a programmer's
// error, found by the test that prepares every statement.
func (s *Store) sql(name string) string {
	q, ok := s.queries[name]
	if !ok {
		panic("store: no statement " + name)
	}
	return q
}

// inTx runs fn in one READ COMMITTED transaction in which row-level security lets
// through v's rows only. The setting travels with BEGIN: one round trip.
func (s *Store) inTx(ctx context.Context, v vendor.ID, fn func(pgx.Tx) error) error {
	if !id.Valid(string(v)) {
		return vendor.ErrNotFound
	}
	// The id was checked to be a bare UUID, so it cannot leave its quotes.
	opts := pgx.TxOptions{BeginQuery: "begin; set local app.vendor_id = '" + string(v) + "'"}
	return classify(pgx.BeginTxFunc(ctx, s.pool, opts, fn))
}

// acrossTx runs fn without a vendor, for the few reviewed methods of the narrow
// cross-vendor roles (relay, webhook routing, operator, login by e-mail).
func (s *Store) acrossTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return classify(pgx.BeginFunc(ctx, s.pool, fn))
}

// classify gives a kind to what pgx reports; an error already classified passes.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*errs.Error](err); ok || isRepeat(err) {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		err := refusal{pg}
		switch {
		case pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03":
			return errs.Wrap(errs.Unavailable, "store.contention", "the database asked to try again", err)
		case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "53"):
			return errs.Wrap(errs.Unavailable, "store.unavailable", "cannot reach Postgres", err)
		}
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return errs.Wrap(errs.Unavailable, "store.unavailable", "cannot reach Postgres", err)
}

// refusal is an error of Postgres's that prints what was refused and where, but not its
// message: that may quote a row, and with it a person.
type refusal struct{ pg *pgconn.PgError }

func (r refusal) Error() string {
	parts := []string{"postgres", r.pg.Code}
	for _, part := range []struct{ name, value string }{
		{"table", r.pg.TableName}, {"column", r.pg.ColumnName}, {"constraint", r.pg.ConstraintName}, {"in", r.pg.Routine},
	} {
		if part.value != "" {
			parts = append(parts, part.name, part.value)
		}
	}
	return strings.Join(parts, " ")
}

func (r refusal) Unwrap() error { return r.pg }

// orNotFound turns "no row" into the given sentinel.
func orNotFound(err error, sentinel *errs.Error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return sentinel
	}
	return err
}

// violates tells whether err is a breach of the named constraint.
func violates(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.ConstraintName == constraint
}

// loadQueries reads "-- name: X" blocks from every file; a name given twice is an error.
func loadQueries(files fs.FS) (map[string]string, error) {
	names, err := fs.Glob(files, "queries/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	out := map[string]string{}
	for _, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		blocks := strings.Split("\n"+string(text), "\n-- name: ")
		for _, block := range blocks[1:] {
			name, body, _ := strings.Cut(block, "\n")
			name = strings.TrimSpace(name)
			if _, twice := out[name]; twice || name == "" {
				return nil, fmt.Errorf("statement %q in %s is unnamed or given twice", name, file)
			}
			out[name] = strings.TrimSpace(body)
		}
	}
	return out, nil
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/migrations"
	temporalconfig "github.com/kloyst/kloyst-core/temporal-config"
)

// doctorCmd is `kloyst doctor`.
type doctorCmd struct {
	Timeout time.Duration `help:"Longest time for one check." default:"10s"`
}

var errUnwell = errors.New("not everything is as it must be")

// Run checks the environment, then every dependency that its mode has; without SERVICE_TYPE, all
// there are. It fails when one check does. What it changes it takes back: one object in the store.
func (c *doctorCmd) Run(ctx context.Context, env *cliEnv) error {
	cfg, err := env.Config()
	if err != nil {
		report(os.Stdout, "environment", "", err, "set the variables; internal/config lists them all with their defaults")
		return errUnwell
	}
	report(os.Stdout, "environment", modeName(cfg.Mode), nil, "")
	unwell := false
	d := doctor{cfg: &cfg}
	checks := d.checks()
	for _, name := range needs(cfg.Mode) {
		check := checks[name]
		one, cancel := context.WithTimeout(ctx, c.Timeout)
		found, err := check.run(one)
		cancel()
		report(os.Stdout, name, found, err, check.remedy)
		unwell = unwell || err != nil
	}
	if unwell {
		return errUnwell
	}
	return nil
}

func modeName(m config.Mode) string {
	if m == "" {
		return "no SERVICE_TYPE: everything is checked"
	}
	return string(m)
}

// report prints one check. An error may have several lines, as that of the environment.
func report(w io.Writer, name, found string, err error, remedy string) {
	if err == nil {
		fmt.Fprintf(w, "ok    %-12s %s\n", name, found)
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "\n"+strings.Repeat(" ", 19))
	fmt.Fprintf(w, "FAIL  %-12s %s\n%19sto do: %s\n", name, text, "", remedy)
}

// The names of the checks.
const (
	onPostgres = "postgres"
	onSchema   = "schema"
	onRedis    = "redis"
	onTemporal = "temporal"
	onObjects  = "objects"
	onClamd    = "clamd"
	onSMTP     = "smtp"
	onMeta     = "meta"
)

// needs are the checks of a mode, in the order in which failures are worth mending.
func needs(m config.Mode) []string {
	switch m {
	case config.APIGateway:
		return []string{onPostgres, onSchema, onRedis, onObjects, onClamd, onMeta}
	case config.Webhook:
		return []string{onPostgres, onSchema}
	case config.Worker:
		return []string{onPostgres, onSchema, onRedis, onTemporal, onObjects, onSMTP, onMeta}
	case config.Outbox:
		return []string{onPostgres, onSchema, onTemporal}
	}
	return []string{onPostgres, onSchema, onRedis, onTemporal, onObjects, onClamd, onSMTP, onMeta}
}

// check is one look at one dependency: what was found, or what is wrong.
type check struct {
	run    func(context.Context) (string, error)
	remedy string
}

// doctor holds what its checks look at.
type doctor struct{ cfg *config.Config }

func (d *doctor) checks() map[string]check {
	return map[string]check{
		onPostgres: {d.postgres, "look at DATABASE_URL: its server runs version 15 or newer, its role is that of the mode " +
			"(ARCHITECTURE.md) and neither a superuser nor past row-level security"},
		onSchema: {d.schema, "run `kloyst migrate` of this version with kloyst_owner in DATABASE_URL"},
		onRedis: {d.redis, "look at REDIS_URL; start Redis with --maxmemory-policy noeviction, or the pace of sender " +
			"numbers is forgotten when memory gets short"},
		onTemporal: {d.temporal, "look at TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE; `kloyst temporal-bootstrap` makes what is missing"},
		onObjects: {d.objects, "look at BLOB_URL: this process must be able to write, read and delete there, and gateway " +
			"and worker must see the same store"},
		onClamd: {d.clamd, "look at CLAMD_ADDR; start clamd with TCPSocket and let freshclam fetch its signatures: " +
			"without it no upload is accepted"},
		onSMTP: {d.smtp, "look at SMTP_ADDR and SMTP_TLS (mandatory wants STARTTLS and a certificate of that name)"},
		onMeta: {d.meta, "look at META_GRAPH_URL and at the way out: DNS, proxy, firewall"},
	}
}

// role is the database role whose rights a mode is written for, "" for any.
func role(m config.Mode) string {
	switch m {
	case config.APIGateway, config.Worker:
		return "kloyst_app"
	case config.Webhook:
		return "kloyst_webhook"
	case config.Outbox:
		return "kloyst_relay"
	}
	return ""
}

const minPostgres = 150000 // server_version_num of the oldest release that tests run on

func (d *doctor) postgres(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, string(d.cfg.DatabaseURL))
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // nothing is left to flush
	var number int
	var version, user string
	var unbound, fits bool
	want := role(d.cfg.Mode)
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'), r.rolname,
		       r.rolsuper OR r.rolbypassrls,
		       $1 = '' OR EXISTS (SELECT FROM pg_roles w WHERE w.rolname = $1 AND pg_has_role(r.oid, w.oid, 'USAGE'))
		FROM pg_roles r WHERE r.rolname = current_user`, want).Scan(&number, &version, &user, &unbound, &fits)
	switch {
	case err != nil:
		return "", err
	case number < minPostgres:
		return "", fmt.Errorf("PostgreSQL %s is too old", version)
	case unbound:
		return "", fmt.Errorf("%s is not bound by row-level security: it sees every vendor's rows", user)
	case !fits:
		return "", fmt.Errorf("the role is %s; %s wants %s", user, d.cfg.Mode, want)
	}
	return fmt.Sprintf("PostgreSQL %s as %s", version, user), nil
}

func (d *doctor) schema(ctx context.Context) (string, error) {
	have, want, err := migrations.Status(ctx, string(d.cfg.DatabaseURL))
	switch {
	case err != nil:
		return "", err
	case have < want:
		return "", fmt.Errorf("the schema is at step %d, this program wants %d", have, want)
	case have > want:
		return fmt.Sprintf("step %d, ahead of this program's %d", have, want), nil
	}
	return fmt.Sprintf("step %d, the newest", have), nil
}

func (d *doctor) redis(ctx context.Context) (string, error) {
	if d.cfg.RedisURL == "" {
		return "", errors.New("REDIS_URL is not set")
	}
	opts, err := redis.ParseURL(string(d.cfg.RedisURL))
	if err != nil {
		return "", errBadRedisURL
	}
	cache := redis.NewClient(opts)
	defer cache.Close() // nothing is left to flush
	// Hosted servers often refuse CONFIG; INFO tells the same.
	info, err := cache.InfoMap(ctx, "server", "memory").Result()
	if err != nil {
		return "", err
	}
	if policy := info["Memory"]["maxmemory_policy"]; policy != "noeviction" {
		return "", fmt.Errorf("maxmemory-policy is %q", policy)
	}
	if err := cache.Eval(ctx, "return 1", nil).Err(); err != nil {
		return "", fmt.Errorf("scripts do not run: %w", err)
	}
	return fmt.Sprintf("Redis %s, noeviction", info["Server"]["redis_version"]), nil
}

func (d *doctor) temporal(ctx context.Context) (string, error) {
	n, err := temporalconfig.LoadNamespace()
	if err != nil {
		return "", err
	}
	n.Name = d.cfg.TemporalNamespace
	opts := client.Options{HostPort: d.cfg.TemporalAddress, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	if err := temporalconfig.Check(ctx, opts, n); err != nil {
		return "", err
	}
	return fmt.Sprintf("namespace %s with its search attributes", n.Name), nil
}

func (d *doctor) objects(ctx context.Context) (string, error) {
	store, err := blob.Open(ctx, d.cfg.BlobURL)
	if err != nil {
		return "", err
	}
	defer store.Close() // nothing is left to flush
	key, text := "doctor/"+rand.Text(), []byte("written by kloyst doctor")
	if err := store.Put(ctx, key, "text/plain", text); err != nil {
		return "", fmt.Errorf("write: %w", err)
	}
	got, err := store.Get(ctx, key)
	if err := errors.Join(err, store.Delete(context.WithoutCancel(ctx), key)); err != nil {
		return "", fmt.Errorf("read and delete: %w", err)
	}
	if !bytes.Equal(got, text) {
		return "", errors.New("what was read is not what was written")
	}
	return "written, read and deleted", nil
}

// testVirus is the EICAR test string, which every scanner finds. It is put together at run time, so
// that this program is not taken for a virus.
// Source: EICAR, "Anti-malware test file", read 2026-09.
func testVirus() string {
	return strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}`, `$EICAR-STANDARD-`, `ANTIVIRUS-TEST-`, `FILE!$H+H*`}, "")
}

func (d *doctor) clamd(ctx context.Context) (string, error) {
	clamd := &scan.Clamd{Addr: d.cfg.ClamdAddr}
	if err := clamd.Ping(ctx); err != nil {
		return "", err
	}
	s, err := clamd.Start(ctx)
	if err != nil {
		return "", err
	}
	defer s.Close() // the verdict is in
	if _, err := io.WriteString(s, testVirus()); err != nil {
		return "", err
	}
	verdict, err := s.Verdict()
	if err != nil {
		return "", err
	}
	if verdict == "" {
		return "", errors.New("the test virus was not found: no signatures")
	}
	return "found the test virus", nil
}

func (d *doctor) smtp(ctx context.Context) (string, error) {
	s, err := mail.New(mail.Options{Addr: d.cfg.SMTPAddr, TLS: mail.TLS(d.cfg.SMTPTLS), From: d.cfg.MailFrom})
	if err != nil {
		return "", err
	}
	return "greeted, TLS " + d.cfg.SMTPTLS, s.Ping(ctx)
}

func (d *doctor) meta(ctx context.Context) (string, error) {
	c, err := meta.New(meta.Options{BaseURL: d.cfg.MetaGraphURL, Version: d.cfg.MetaGraphVersion, Timeout: d.cfg.MetaTimeout})
	if err != nil {
		return "", err
	}
	return d.cfg.MetaGraphURL + " answers", c.Ping(ctx)
}

package devstack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database is the name of the product's database.
const Database = "kloyst"

// Roles are the database roles that the migrations grant rights to. The stack makes them with
// LOGIN and nothing else; kloyst_owner owns the database and runs the migrations.
func Roles() []string {
	return []string{"kloyst_owner", "kloyst_app", "kloyst_webhook", "kloyst_relay", "kloyst_operator"}
}

// DatabaseURL is the connection string for a role of Roles, or for "postgres", the superuser.
func (st *State) DatabaseURL(role, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, st.Secrets["pg_"+role]),
		Host: loopback(st.Ports[Postgres]), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// postgres is a cluster of our own, made by initdb, on TCP at 127.0.0.1 only: the path of a socket
// below a deep checkout would exceed the 107 bytes that the kernel allows.
func (s *Stack) postgres() *service {
	var bin, data string
	var who *account
	return &service{
		name: Postgres,
		stop: syscall.SIGINT, // "fast": closes connections and writes a checkpoint
		// A checkpoint of a big bench database takes its time; recovery after a crash too.
		grace: time.Minute, within: 2 * time.Minute,
		prepare: func(ctx context.Context) (err error) {
			if who, err = unprivileged(); err != nil {
				return err
			}
			if data, err = s.dataDir(Postgres, who); err != nil {
				return err
			}
			if bin, err = postgresBin(data); err != nil {
				return err
			}
			if err := s.initdb(ctx, bin, data, who); err != nil {
				return err
			}
			return clearPostmaster(data)
		},
		command: func() (command, error) {
			return command{
				path: filepath.Join(bin, "postgres"), args: s.postgresArgs(data), dir: data,
				cred: who.credential(),
			}, clearPostmaster(data)
		},
		probe: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, s.superuserURL("postgres"))
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
		settle: s.createRoles,
	}
}

// postgresArgs are settings that matter to the product (durability, time zone) or to a machine
// that runs everything at once (memory, connections).
func (s *Stack) postgresArgs(data string) []string {
	set := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.state.Ports[Postgres]),
		"unix_socket_directories=", "max_connections=300", "shared_buffers=256MB",
		"synchronous_commit=on", "timezone=UTC", "log_timezone=UTC",
		"log_line_prefix=%m [%p] %u@%d ", "max_locks_per_transaction=256",
		"max_wal_size=2GB", "jit=off",
	}
	if s.opts.Throwaway {
		set = append(set, "fsync=off", "full_page_writes=off", "autovacuum_naptime=10s")
	}
	args := []string{"-D", data}
	for _, kv := range set {
		args = append(args, "-c", kv)
	}
	return args
}

// postgresBin finds PostgreSQL's own programs, which Debian keeps off the PATH: those of the
// version that made the data, else the newest.
func postgresBin(data string) (string, error) {
	version := "*"
	if raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err == nil {
		version = strings.TrimSpace(string(raw))
	}
	path, err := program(Postgres, "postgresql", "/usr/lib/postgresql/"+version+"/bin/postgres")
	if err != nil && version != "*" {
		return "", fmt.Errorf("%w (the data in %s were made by PostgreSQL %s; `make clean` removes them)",
			err, data, version)
	}
	return filepath.Dir(path), err
}

func (s *Stack) superuserURL(database string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.DatabaseURL("postgres", database)
}

// initdb makes the cluster in a folder beside the final one and renames it, so that an interrupted
// initdb is never taken for a cluster.
func (s *Stack) initdb(ctx context.Context, bin, data string, who *account) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	pw := filepath.Join(data, "superuser-password")
	s.mu.Lock()
	secret := s.state.Secrets["pg_postgres"]
	s.mu.Unlock()
	if err := os.WriteFile(pw, []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if who != nil {
		if err := errors.Join(os.Chown(fresh, who.uid, who.gid), os.Chown(pw, who.uid, who.gid)); err != nil {
			return fmt.Errorf("initdb: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"),
		"-D", fresh, "--username=postgres", "--auth=scram-sha-256", "--pwfile="+pw,
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync")
	cmd.Dir, cmd.Env = data, s.baseEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who.credential()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if err := os.Rename(fresh, data); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return nil
}

// clearPostmaster copes with a postmaster.pid that an unclean stop left: a postmaster of this very
// folder is ended; a pid that meanwhile belongs to another program is forgotten. PostgreSQL itself
// deals with a pid that is free.
func clearPostmaster(data string) error {
	path := filepath.Join(data, "postmaster.pid")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // none: a clean stop
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return os.Remove(path)
	}
	proc, _ := identify(pid) // of no process: not alive
	if !proc.Alive() {
		return nil
	}
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if !strings.Contains(string(cmdline), data) {
		return os.Remove(path)
	}
	proc.end(syscall.SIGQUIT, 10*time.Second)
	return nil
}

// createRoles makes the product's roles and database, and sets the passwords to this stack's.
func (s *Stack) createRoles(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.superuserURL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, role := range Roles() {
		s.mu.Lock()
		password := s.state.Secrets["pg_"+role]
		s.mu.Unlock()
		if err := ensureRole(ctx, conn, role, password); err != nil {
			return err
		}
	}
	return ensureDatabase(ctx, conn, Database, "kloyst_owner")
}

// ensureRole makes a role that may log in and nothing else, or gives it this password.
func ensureRole(ctx context.Context, conn *pgx.Conn, role, password string) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists)
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	// Neither name nor password can be a parameter here; both are ours, without quotes.
	_, err = conn.Exec(ctx, fmt.Sprintf(
		"%s ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD '%s'", verb, role, password))
	if err != nil {
		return fmt.Errorf("role %s: %w", role, err)
	}
	return nil
}

// ensureDatabase makes a database where it is missing.
func ensureDatabase(ctx context.Context, conn *pgx.Conn, name, owner string) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

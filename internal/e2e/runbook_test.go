package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
)

// commandPatience is how long a command that only looks is repeated until it shows what it
// should: six attempts of an import's step take half a minute.
const commandPatience = 90 * time.Second

// step is one thing that the runbook makes happen: a scene, or a block of commands.
type step struct {
	line     int
	scene    string
	commands string
	once     bool // the commands change something: they are not repeated
	want     []string
}

// parseRunbook takes the scenes and the commands out of the text, in its order.
func parseRunbook(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	lines := strings.Split(text, "\n")
	block := func(i int) (body []string, next int) {
		end := i + slices.Index(lines[i:], "```")
		require.GreaterOrEqual(t, end, i, "line %d: a block without an end", i)
		return lines[i:end], end
	}
	for i := 0; i < len(lines); i++ {
		scene, isScene := strings.CutPrefix(lines[i], "<!-- scene: ")
		switch {
		case isScene:
			steps = append(steps, step{line: i + 1, scene: strings.TrimSuffix(scene, " -->")})
		case lines[i] == "```sh" || lines[i] == "```sh once":
			s := step{line: i + 1, once: lines[i] == "```sh once"}
			var body []string
			body, i = block(i + 1)
			s.commands = strings.Join(body, "\n")
			require.Equal(t, "```text", lines[i+1], "line %d: commands without what they print", s.line)
			s.want, i = block(i + 2)
			steps = append(steps, s)
		case strings.HasPrefix(lines[i], "```"):
			require.Fail(t, "a block that is neither commands nor what they print", "line %d", i+1)
		}
	}
	return steps
}

// runbook is a stack on which the runbook is gone through.
type runbook struct {
	*world
	t       *testing.T
	env     map[string]string
	dir     string
	api     caller
	people  int               // uploaded so far
	stashed map[string]string // files taken away, by where they were
}

// TestRunbook runs every command of docs/runbook.md, in its order, against a stack that
// has the fault it is about, and compares what is printed with what the text says.
func TestRunbook(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "docs", "runbook.md"))
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(root, ".stack", "bin", "tctl"))
	require.NoError(t, err, "run `make tctl` first")
	steps := parseRunbook(t, string(text))
	require.NotEmpty(t, steps)
	b := openRunbook(t, root)
	scenes := b.scenes()
	for _, s := range steps {
		began := time.Now()
		if s.scene == "" {
			b.run(s)
		} else {
			require.Contains(t, scenes, s.scene, "line %d", s.line)
			scenes[s.scene]()
			delete(scenes, s.scene)
		}
		t.Logf("line %d %s: %s", s.line, s.scene, time.Since(began).Round(time.Millisecond))
	}
	require.Empty(t, scenes, "no text is about these")
}

func openRunbook(t *testing.T, root string) *runbook {
	t.Helper()
	w := startWith(t, devstack.Options{Root: root, Dir: t.TempDir(), Throwaway: true, BaseEnv: os.Environ()})
	b := &runbook{world: w, t: t, env: map[string]string{}, dir: t.TempDir(), stashed: map[string]string{}}
	for _, kv := range w.State().Env(devstack.Runbook) {
		key, value, _ := strings.Cut(kv, "=")
		b.env[key] = value
	}
	seed, err := base64.StdEncoding.DecodeString(w.State().Secrets["jwt_signing_key"])
	require.NoError(t, err)
	tokens, err := httpx.NewTokens(seed)
	require.NoError(t, err)
	token, _, err := tokens.Issue(httpx.Principal{Vendor: w.vendor, User: id.New[vendor.UserID](), Role: vendor.Owner})
	require.NoError(t, err)
	b.api = caller{door: b.env["API"], token: token}
	b.env["TOKEN"], b.env["VENDOR"] = token, string(w.vendor)
	b.env["PATH"] = filepath.Join(root, ".stack", "bin") + ":" + os.Getenv("PATH")
	b.env["HOME"] = b.dir // tctl keeps a file there
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "contacts.csv"), []byte("Mobile,Name\n+919812345678,Asha\n"), 0o600))
	return b
}

// run runs a block and compares; one that only looks may look again.
func (b *runbook) run(s step) {
	b.t.Helper()
	deadline := time.Now().Add(commandPatience)
	for {
		out, err := b.bash(b.t.Context(), s.commands)
		missing := b.missing(out, s.want)
		if err == nil && missing == "" {
			return
		}
		if s.once || time.Now().After(deadline) {
			require.Fail(b.t, "not as the runbook says", "line %d: %v\nmissing: %s\nprinted:\n%s", s.line, err, missing, out)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (b *runbook) bash(ctx context.Context, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = b.dir
	for key, value := range b.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// missing returns the first wanted line that out has not, after the one before it.
func (b *runbook) missing(out string, want []string) string {
	lines := strings.Split(out, "\n")
	for _, w := range want {
		text := os.Expand(plain(w), func(name string) string { return b.env[name] })
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*") + "$")
		at := slices.IndexFunc(lines, func(line string) bool { return pattern.MatchString(plain(line)) })
		if at < 0 {
			return text
		}
		lines = lines[at+1:]
	}
	return ""
}

// plain is a line without the blanks that only set columns apart.
func plain(line string) string { return strings.Join(strings.Fields(line), " ") }

// scenes are the faults of the runbook and their mending, by the names its text gives them.
func (b *runbook) scenes() map[string]func() {
	stop := func(name string) func() {
		return func() { require.NoError(b.t, b.StopService(name)) }
	}
	begin := func(name string) func() {
		return func() { require.NoError(b.t, b.StartService(b.t.Context(), name)) }
	}
	return map[string]func(){
		"a poison chunk":              b.poison,
		"clamd is stopped":            stop(devstack.Clamd),
		"clamd is back":               begin(devstack.Clamd),
		"the stored file is gone":     b.loseFile,
		"the stored file is restored": b.restoreFile,
		"another file is gone":        b.loseFile,
		"the database refuses":        b.refuse,
		"the database accepts":        func() { b.exec(b.t, `ALTER DATABASE `+devstack.Database+` CONNECTION LIMIT -1`) },
		"the worker is down": func() {
			stop(devstack.Worker)()
			b.upload(1)
		},
		"the worker is back":       begin(devstack.Worker),
		"a campaign is halted":     b.halt,
		"the template is released": func() { b.faults(refusal("91980000000", 131026)) },
		"Redis is lost":            stop(devstack.Redis),
		"Redis is back":            begin(devstack.Redis),
		"an import waits for its mapping": func() {
			b.upload(1)
			b.waitFor("AWAITING_MAPPING")
		},
	}
}

// upload sends a file of n new contacts and names its import.
func (b *runbook) upload(n int) {
	b.t.Helper()
	var file strings.Builder
	file.WriteString("Mobile,Name\n")
	for i := range n {
		number := fmt.Sprintf("+9197%08d", b.people)
		b.people++
		if i == n-1 && n > 5000 {
			number = "+971501234567" // the row that poison waits for
		}
		fmt.Fprintf(&file, "%s,%s\n", number, id.Random())
	}
	b.env["IMPORT"] = b.api.upload(b.t, "contacts.csv", file.String()).field(b.t, "id")
	b.env["WORKFLOW"] = "contact-import/" + b.env["VENDOR"] + "/" + b.env["IMPORT"]
}

func (b *runbook) waitFor(status string) {
	b.t.Helper()
	until(b.t, "the import is "+status, time.Minute, func() bool {
		return b.api.ask(b.t, "GET", "/contact-imports/"+b.env["IMPORT"], nil).field(b.t, "status") == status
	})
}

func (b *runbook) confirm() {
	b.t.Helper()
	b.waitFor("AWAITING_MAPPING")
	b.api.ask(b.t, "POST", "/contact-imports/"+b.env["IMPORT"]+"/mapping", map[string]string{"phone": "Mobile", "name": "Name"}).field(b.t, "id")
}

// poison imports a file whose second chunk the database refuses, for one of its rows.
func (b *runbook) poison() {
	b.exec(b.t, `CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN RAISE EXCEPTION 'this one will not do'; END $$`)
	b.exec(b.t, `CREATE TRIGGER refuse_poison BEFORE INSERT ON contacts FOR EACH ROW WHEN (NEW.country = 'AE') EXECUTE FUNCTION refuse_poison()`)
	b.upload(10_000)
	b.confirm()
}

// loseFile takes an import's objects away just before they are needed.
func (b *runbook) loseFile() {
	b.upload(1)
	b.waitFor("AWAITING_MAPPING")
	require.NoError(b.t, filepath.WalkDir(filepath.Join(b.State().Dir, "data", "blobs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, b.env["IMPORT"]) {
			return err
		}
		b.stashed[path] = filepath.Join(b.dir, id.Random())
		return os.Rename(path, b.stashed[path])
	}))
	require.NotEmpty(b.t, b.stashed)
	b.confirm()
}

func (b *runbook) restoreFile() {
	for path, at := range b.stashed {
		require.NoError(b.t, os.Rename(at, path))
	}
	clear(b.stashed)
}

// refuse lets no role of ours connect any more, while a chunk is being written.
func (b *runbook) refuse() {
	b.upload(1)
	b.waitFor("AWAITING_MAPPING")
	tx, err := b.db.Begin(b.t.Context())
	require.NoError(b.t, err)
	defer func() { _ = tx.Rollback(b.t.Context()) }()
	_, err = tx.Exec(b.t.Context(), `LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE`)
	require.NoError(b.t, err)
	b.confirm()
	until(b.t, "the chunk waits for the lock", time.Minute, func() bool {
		var waits bool
		require.NoError(b.t, b.db.QueryRow(b.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE usename = 'kloyst_app' AND wait_event_type = 'Lock')`).Scan(&waits))
		return waits
	})
	b.exec(b.t, `ALTER DATABASE `+devstack.Database+` CONNECTION LIMIT 0`)
	b.exec(b.t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename <> 'postgres'`)
}

// halt begins a campaign whose template Meta pauses.
func (b *runbook) halt() {
	b.faults(refusal("9198", 132015))
	c, _, _ := b.approve(b.t, 13)
	b.env["CAMPAIGN"] = string(c)
	until(b.t, "the campaign is halted", time.Minute, func() bool { return b.status(b.t, c) == "HALTED" })
}

// faults are what the simulator refuses from now on.
func (b *runbook) faults(rules ...map[string]any) {
	b.t.Helper()
	call(b.t, "PUT", b.State().MetasimURL()+"/_sim/faults", map[string]any{"rules": rules}, nil)
}

func refusal(prefix string, code int) map[string]any {
	return map[string]any{"match": map[string]any{"to_prefix": prefix}, "effect": map[string]any{"error": code}}
}

package setup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tool is a program built from source into .stack/bin. Heavy ones have a module of their own, so
// that their dependencies stay out of the product's.
type tool struct {
	module string // folder of its module in the checkout; "." is the product's
	pkg    string
	note   string // how long a first build takes on two cores
}

func tools() map[string]tool {
	return map[string]tool{
		"temporal": {"tools/temporal", "github.com/temporalio/cli/cmd/temporal", "about 4 minutes the first time"},
		"tctl":     {"tools/tctl", "github.com/temporalio/tctl/cmd/tctl", "about 4 minutes the first time"},
		"mailpit":  {"tools/mailpit", "github.com/axllent/mailpit", "about 1 minute the first time"},
		"temporal-server": {
			"tools/temporal-server", "go.temporal.io/server/cmd/server", "about 6 minutes the first time",
		},
		"temporal-sql-tool": {"tools/temporal-server", "go.temporal.io/server/cmd/tools/sql", ""},
		"temporal-ui":       {"tools/temporal-server", "github.com/temporalio/ui-server/v2/cmd/server", ""},

		"golangci-lint": {"tools/lint", "github.com/golangci/golangci-lint/v2/cmd/golangci-lint", "about 4 minutes the first time"},
		"gofumpt":       {"tools/dev", "mvdan.cc/gofumpt", ""},
		"workflowcheck": {"tools/dev", "go.temporal.io/sdk/contrib/tools/workflowcheck", ""},
		"govulncheck":   {"tools/dev", "golang.org/x/vuln/cmd/govulncheck", ""},
		"gotestsum":     {"tools/dev", "gotest.tools/gotestsum", ""},
		"kloyst":        {".", "./cmd/kloyst", "about 2 minutes the first time"},
		"metasim":       {".", "./cmd/metasim", ""},
	}
}

// Tools builds the named programs into .stack/bin where they are missing or of another version.
// The product's own are always given to the compiler, which knows by itself what is new.
func Tools(ctx context.Context, o Options, names ...string) error {
	if o.Go == "" {
		o.Go = "go"
	}
	if _, err := exec.LookPath(o.Go); err != nil {
		return fmt.Errorf("the program %s is missing: install Go (the version is in go.mod) from https://go.dev/dl/ "+
			"or your distribution, and put its bin folder on the PATH", o.Go)
	}
	for _, name := range names {
		t, ok := tools()[name]
		if !ok {
			return fmt.Errorf("no program is called %q; there are %v", name, slices.Sorted(maps.Keys(tools())))
		}
		if err := o.build(ctx, name, t); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) build(ctx context.Context, name string, t tool) error {
	bin := filepath.Join(o.Root, ".stack", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	own := t.module == "."
	stamp, mark := filepath.Join(bin, "."+name+".stamp"), ""
	if !own {
		var err error
		if mark, err = o.mark(t); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		have, err := os.ReadFile(stamp)
		_, missing := os.Stat(filepath.Join(bin, name))
		if err == nil && missing == nil && string(have) == mark {
			return nil
		}
		o.say("building %s %s", name, t.note)
	}
	began := time.Now()
	args := []string{o.Go, "build", "-trimpath", "-o", filepath.Join(bin, name)}
	if !own {
		args = append(args, "-ldflags", "-s -w") // our own keep their symbols for debuggers
	}
	out, err := o.run(ctx, "building "+name, filepath.Join(o.Root, t.module), []string{"CGO_ENABLED=0"},
		append(args, t.pkg)...)
	if err != nil {
		return o.goError(ctx, name, err, out)
	}
	if took := time.Since(began); took > 5*time.Second {
		o.say("built %s in %s", name, took.Round(time.Second))
	}
	if own {
		return nil
	}
	return os.WriteFile(stamp, []byte(mark), 0o644)
}

// mark names what a tool was built from: its module's pins and the package.
func (o Options) mark(t tool) (string, error) {
	h := sha256.New()
	for _, f := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(o.Root, t.module, f))
		if err != nil {
			return "", err
		}
		_, _ = h.Write(raw)
	}
	_, _ = h.Write([]byte(t.pkg))
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (o Options) goError(ctx context.Context, name string, err error, out string) error {
	if !unreachable(out) {
		return fmt.Errorf("build %s: %w\n%s", name, err, indent(lastLines(out, 25)))
	}
	proxy := "its default"
	cmd := exec.CommandContext(ctx, o.Go, "env", "GOPROXY")
	cmd.Env = o.Environ
	if raw, err := cmd.Output(); err == nil {
		proxy = strings.TrimSpace(string(raw))
	}
	return &UnreachableError{
		What: "the Go module proxy", Detail: lastLines(out, 4),
		Remedy: "GOPROXY is " + proxy + ": check the network, or name a proxy that answers (GOPROXY=https://... make setup), " +
			"then run this command again",
	}
}

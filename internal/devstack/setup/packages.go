package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// debian is a package that the stack needs, and a file by which to tell that it is there. Packages
// are looked for by their files, since a machine may have a server from elsewhere.
type debian struct {
	name  string
	files []string // glob patterns, any of them will do
}

func wanted() []debian {
	return []debian{
		// 15 is the oldest version that has what the schema uses; Debian 12 has it.
		{"postgresql", []string{"/usr/lib/postgresql/1[5-9]/bin/postgres", "/usr/lib/postgresql/[2-9][0-9]/bin/postgres"}},
		{"redis-server", []string{"/usr/bin/redis-server", "/usr/local/bin/redis-server"}},
		{"nginx", []string{"/usr/sbin/nginx"}},
		{"libnginx-mod-http-js", []string{"/usr/lib/nginx/modules/ngx_http_js_module.so"}},
		{"clamav-daemon", []string{"/usr/sbin/clamd"}},
		{"fonts-noto-core", []string{"/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf"}},
		{"curl", []string{"/usr/bin/curl", "/usr/local/bin/curl"}}, // docs/runbook.md uses it
	}
}

// missing returns the names of the packages that are not there.
func (o Options) missing() ([]string, error) {
	var names []string
	for _, p := range wanted() {
		there := false
		for _, pattern := range p.files {
			found, err := filepath.Glob(o.path(pattern))
			if err != nil {
				return nil, fmt.Errorf("look for %s: %w", p.name, err)
			}
			there = there || len(found) > 0
		}
		if !there {
			names = append(names, p.name)
		}
	}
	return names, nil
}

// Packages installs the Debian packages that are missing. Nothing they hold is started, neither by
// their installation nor at the next boot, and what was there before is not touched. Without root
// it returns an error that names the command to run.
func Packages(ctx context.Context, o Options) (err error) {
	names, err := o.missing()
	if err != nil || len(names) == 0 {
		return err
	}
	if o.Unprivileged || o.Sysroot == "" && os.Geteuid() != 0 {
		return fmt.Errorf("the Debian packages %s are missing and only root may install them: run\n"+
			"    sudo make packages\n"+
			"(it starts no server; `sudo apt-get install %s` would), then run this command again",
			strings.Join(names, ", "), strings.Join(names, " "))
	}
	apt := o.AptGet
	if apt == "" {
		apt = "apt-get"
	}
	before := o.startLinks()
	calm, err := o.startNothing()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, calm(), o.disable(ctx, before)) }()

	env := []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	opts := []string{apt, "-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"}
	o.say("installing the Debian packages %s", strings.Join(names, ", "))
	// A mirror that is half away may still have what is needed: the installation decides.
	updated, _ := o.run(ctx, "apt-get update", "/", env, append(slices.Clone(opts), "update")...)
	out, err := o.run(ctx, "apt-get install", "/", env,
		append(append(slices.Clone(opts), "install", "--no-install-recommends"), names...)...)
	if err != nil {
		return aptError(err, names, updated+"\n"+out)
	}
	if left, err := o.missing(); err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("apt-get installed %v, but their files are not where Debian puts them: "+
			"is this Debian 12 or newer?", left))
	}
	return nil
}

// unreachable matches what apt and Go say when a server does not answer.
func unreachable(out string) bool {
	return regexp.MustCompile(`(?i)could not (resolve|connect)|unable to (connect|fetch)|failed to fetch|` +
		`temporary failure|no such host|dial tcp|connection (refused|timed out|reset)|i/o timeout|` +
		`network is unreachable|TLS handshake|proxyconnect|(502|503|504) |server misbehaving`).MatchString(out)
}

func aptError(err error, names []string, out string) error {
	if unreachable(out) {
		return &UnreachableError{
			What: "the Debian mirror", Detail: lastLines(out, 6),
			Remedy: "check the network and /etc/apt/sources.list (or Acquire::http::Proxy), try `apt-get update`, " +
				"then run this command again",
		}
	}
	return fmt.Errorf("apt-get install %s: %w\n%s", strings.Join(names, " "), err, indent(lastLines(out, 12)))
}

// ourMark is in the files that startNothing leaves for the time of an installation, so that the
// next run knows those of one that was killed.
const ourMark = "# made by kloyst's setup for the time of one installation"

// startNothing keeps the installation from starting servers: a policy-rc.d that denies, where the
// machine has none, and no cluster made by PostgreSQL's package. The function it returns takes both
// back.
func (o Options) startNothing() (undo func() error, err error) {
	files := map[string]string{
		o.path("/usr/sbin/policy-rc.d"):                              "#!/bin/sh\n" + ourMark + "\nexit 101\n",
		o.path("/etc/postgresql-common/createcluster.d/kloyst.conf"): ourMark + "\ncreate_main_cluster = false\n",
	}
	var made []string
	undo = func() error {
		var errs []error
		for _, path := range made {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("take back %s: %w", path, err))
			}
		}
		return errors.Join(errs...)
	}
	for path, text := range files {
		old, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(old), ourMark) {
			continue // the machine's own
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("keep packages from starting: %w", err), undo())
		}
		made = append(made, path)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("keep packages from starting: %w", err), undo())
		}
	}
	return undo, nil
}

// startLinks lists the links by which a machine starts things at boot: systemd's, with the second
// names of enabled units (redis.service), and those of System V.
func (o Options) startLinks() map[string]bool {
	links := map[string]bool{}
	for _, pattern := range []string{
		"/etc/systemd/system/*.wants/*", "/etc/systemd/system/*.requires/*", "/etc/systemd/system/*.service",
		"/etc/rc[2-5].d/S*",
	} {
		found, _ := filepath.Glob(o.path(pattern)) // the patterns are valid
		for _, path := range found {
			if to, err := os.Readlink(path); err == nil && to != os.DevNull { // that would be a masked unit
				links[path] = true
			}
		}
	}
	return links
}

// disable takes back every link that the installation added, which is what `systemctl disable` and
// `update-rc.d disable` do; neither has to be there for it. Units that were there before stay.
func (o Options) disable(ctx context.Context, before map[string]bool) error {
	var errs []error
	for path := range o.startLinks() {
		if before[path] {
			continue
		}
		if !strings.Contains(path, "/rc") {
			o.say("not started at boot: %s", filepath.Base(path))
			errs = append(errs, os.Remove(path))
			continue
		}
		// S01name → K01name: Debian's own mark for "disabled", which upgrades respect.
		base := filepath.Base(path)
		if err := os.Rename(path, filepath.Join(filepath.Dir(path), "K"+base[1:])); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("keep packages from starting at boot: %w", err)
	}
	return ctx.Err()
}

package setup_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack/setup"
)

// machine is a file tree that stands for a whole machine, and an apt-get for it.
type machine struct {
	t    *testing.T
	root string
	out  bytes.Buffer
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{t: t, root: t.TempDir()}
}

func (m *machine) path(p string) string { return filepath.Join(m.root, p) }

func (m *machine) write(p, text string, mode os.FileMode) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(p)), 0o755))
	require.NoError(m.t, os.WriteFile(m.path(p), []byte(text), mode))
}

func (m *machine) link(p, to string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(p)), 0o755))
	require.NoError(m.t, os.Symlink(to, m.path(p)))
}

func (m *machine) exists(p string) bool {
	_, err := os.Lstat(m.path(p))
	return err == nil
}

// apt makes an apt-get of a script, whose ROOT is the machine.
func (m *machine) apt(script string) setup.Options {
	m.t.Helper()
	m.write("/apt-get", "#!/bin/sh\nROOT='"+m.root+"'\n"+script, 0o755)
	return setup.Options{
		Root: m.root, Out: &m.out, Sysroot: m.root, AptGet: m.path("/apt-get"),
		Environ: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
	}
}

// install is what a Debian mirror that answers does: it lays down the files, and its maintainer
// scripts link services for the next boot. It notes whether services may start right now.
const install = `
case "$*" in *install*) ;; *) exit 0 ;; esac
[ -x "$ROOT/usr/sbin/policy-rc.d" ] && "$ROOT/usr/sbin/policy-rc.d"; echo $? > "$ROOT/policy"
cat "$ROOT"/etc/postgresql-common/createcluster.d/*.conf > "$ROOT/createcluster"
mkdir -p "$ROOT/usr/lib/postgresql/15/bin" "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/usr/lib/nginx/modules" \
	"$ROOT/usr/share/fonts/truetype/noto" "$ROOT/etc/systemd/system/multi-user.target.wants" "$ROOT/etc/rc2.d"
touch "$ROOT/usr/lib/postgresql/15/bin/postgres" "$ROOT/usr/bin/redis-server" "$ROOT/usr/sbin/nginx" \
	"$ROOT/usr/lib/nginx/modules/ngx_http_js_module.so" "$ROOT/usr/sbin/clamd" \
	"$ROOT/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf" "$ROOT/usr/bin/curl"
ln -s /lib/systemd/system/redis-server.service "$ROOT/etc/systemd/system/multi-user.target.wants/redis-server.service"
ln -s /lib/systemd/system/redis-server.service "$ROOT/etc/systemd/system/redis.service"
ln -s /dev/null "$ROOT/etc/systemd/system/masked.service"
ln -s ../init.d/redis-server "$ROOT/etc/rc2.d/S01redis-server"
`

func TestPackages_StartNothingNowOrAtBoot(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const wants = "/etc/systemd/system/multi-user.target.wants/"
	m.link(wants+"ssh.service", "/lib/systemd/system/ssh.service")
	m.link("/etc/systemd/system/sshd.service", "/lib/systemd/system/ssh.service")
	m.link("/etc/rc2.d/S01ssh", "../init.d/ssh")
	require.NoError(t, setup.Packages(t.Context(), m.apt(install)))

	policy, err := os.ReadFile(m.path("/policy"))
	require.NoError(t, err)
	require.Equal(t, "101\n", string(policy), "starting was denied while packages were installed")
	cluster, err := os.ReadFile(m.path("/createcluster"))
	require.NoError(t, err)
	require.Contains(t, string(cluster), "create_main_cluster = false")

	require.False(t, m.exists("/usr/sbin/policy-rc.d"), "taken back")
	require.False(t, m.exists("/etc/postgresql-common/createcluster.d/kloyst.conf"), "taken back")
	require.False(t, m.exists(wants+"redis-server.service"))
	require.False(t, m.exists("/etc/systemd/system/redis.service"), "with its second name a unit counts as enabled")
	require.True(t, m.exists("/etc/systemd/system/masked.service"), "what keeps a unit from starting stays")
	require.False(t, m.exists("/etc/rc2.d/S01redis-server"))
	require.True(t, m.exists("/etc/rc2.d/K01redis-server"))
	require.True(t, m.exists(wants+"ssh.service"), "what was there stays")
	require.True(t, m.exists("/etc/systemd/system/sshd.service"))
	require.True(t, m.exists("/etc/rc2.d/S01ssh"))
}

func TestPackages_LeaveTheMachinesOwnPolicyAlone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const own = "#!/bin/sh\nexit 104\n"
	m.write("/usr/sbin/policy-rc.d", own, 0o755)
	require.NoError(t, setup.Packages(t.Context(), m.apt(install)))
	got, err := os.ReadFile(m.path("/usr/sbin/policy-rc.d"))
	require.NoError(t, err)
	require.Equal(t, own, string(got))
}

func TestPackages_DoNothingWhenAllIsThere(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.NoError(t, setup.Packages(t.Context(), m.apt(install)))
	require.NoError(t, setup.Packages(t.Context(), m.apt("exit 1")), "apt-get is not asked")
}

func TestPackages_SayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		apt          string
		unprivileged bool
		want         []string
	}{
		"when a program is missing and only root could install it": {
			unprivileged: true,
			want: []string{
				"redis-server", "are missing and only root may install them", "sudo make packages",
				"sudo apt-get install postgresql redis-server nginx libnginx-mod-http-js clamav-daemon fonts-noto-core curl",
			},
		},
		"when the Debian mirror cannot be reached": {
			apt: `case "$*" in *install*)
				echo "Err:1 http://deb.debian.org/debian bookworm/main amd64 redis-server"
				echo "  Could not connect to deb.debian.org:80, connection timed out"
				echo "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"
				exit 100;; esac`,
			want: []string{
				"the Debian mirror cannot be reached", "check the network and /etc/apt/sources.list",
				"then run this command again", "Unable to fetch some archives",
			},
		},
		"when its index was never fetched": {
			apt: `case "$*" in *install*) echo "E: Unable to locate package redis-server"; exit 100;; esac
				echo "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'"`,
			want: []string{"the Debian mirror cannot be reached", "Temporary failure resolving"},
		},
		"when apt-get fails for another reason": {
			apt:  `case "$*" in *install*) echo "E: dpkg was interrupted, run 'dpkg --configure -a'"; exit 100;; esac`,
			want: []string{"apt-get install", "dpkg was interrupted"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			o := m.apt(tt.apt)
			o.Unprivileged = tt.unprivileged
			err := setup.Packages(t.Context(), o)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			require.False(t, m.exists("/usr/sbin/policy-rc.d"), "taken back after a failure, too")
		})
	}
}

func TestTools_SayWhatToDo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs the Go command")
	}
	tests := map[string]struct {
		options func(*setup.Options)
		tool    string
		want    []string
	}{
		"when Go is missing": {
			options: func(o *setup.Options) { o.Go = "go-that-is-not-here" },
			want:    []string{"the program go-that-is-not-here is missing", "https://go.dev/dl/"},
		},
		"when the module proxy cannot be reached": {
			options: func(o *setup.Options) {
				// Port 1 of this machine refuses every connection.
				o.Environ = append(os.Environ(), "GOPROXY=http://127.0.0.1:1", "GONOSUMDB=*", "GOTOOLCHAIN=local",
					"GOMODCACHE="+filepath.Join(o.Root, "empty"), "GOFLAGS=-modcacherw")
			},
			want: []string{
				"the Go module proxy cannot be reached", "GOPROXY is http://127.0.0.1:1", "check the network",
				"then run this command again", "connection refused",
			},
		},
		"when the source does not compile": {
			options: func(o *setup.Options) {
				require.NoError(t, os.MkdirAll(filepath.Join(o.Root, "cmd", "kloyst"), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(o.Root, "go.mod"), []byte("module x\n"), 0o600))
				require.NoError(t, os.WriteFile(filepath.Join(o.Root, "cmd", "kloyst", "main.go"), []byte("package main\nfunc"), 0o600))
			},
			tool: "kloyst",
			want: []string{"build kloyst", "main.go:2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			module := filepath.Join(root, "tools", "mailpit")
			require.NoError(t, os.MkdirAll(module, 0o755))
			for _, f := range []string{"go.mod", "go.sum"} {
				raw, err := os.ReadFile(filepath.Join("..", "..", "..", "tools", "mailpit", f))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(module, f), raw, 0o600))
			}
			o := setup.Options{Root: root, Out: &bytes.Buffer{}, Environ: os.Environ()}
			tt.options(&o)
			tool := tt.tool
			if tool == "" {
				tool = "mailpit"
			}
			err := setup.Tools(t.Context(), o, tool)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

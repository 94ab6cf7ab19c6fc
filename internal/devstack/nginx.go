package devstack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/kloyst/kloyst-core/deploy/nginx"
)

const nginxModule = "/usr/lib/nginx/modules/ngx_http_js_module.so"

// nginx is Debian's, with a configuration, a pid file and temporary folders of its own.
func (s *Stack) nginx() *service {
	dir := filepath.Join(s.opts.Dir, "conf", "nginx")
	return &service{
		name: Nginx, needs: []string{Gateway, Webhook},
		command: func() (command, error) {
			bin, err := program(Nginx, "nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx")
			if err != nil {
				return command{}, err
			}
			if _, err := os.Stat(nginxModule); err != nil {
				return command{}, &MissingError{
					Service: Nginx, Program: filepath.Base(nginxModule), Looked: []string{nginxModule},
					Package: "libnginx-mod-http-js",
				}
			}
			// -e comes first in time: before nginx reads its configuration it would otherwise open
			// the machine's own error log.
			return command{path: bin, dir: dir, args: []string{
				"-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
			}}, s.writeNginx(dir)
		},
		probe: func(ctx context.Context) error {
			return getOK(ctx, "http://"+loopback(s.state.Ports[Nginx])+"/healthz")
		},
	}
}

func (s *Stack) writeNginx(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	secrets, err := json.Marshal([]string{s.state.MetaAppSecret(), s.state.Secrets["meta_app_secret_old"]})
	if err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	p := nginx.Params{
		Module: nginxModule, Workers: "1", Dir: dir, ScriptDir: dir,
		SecretsFile: filepath.Join(dir, "webhook-secrets.json"),
		AccessLog:   filepath.Join(s.opts.Dir, "logs", "nginx-access.log"),
		Listen:      loopback(s.state.Ports[Nginx]),
		Gateway:     loopback(s.state.Ports[Gateway]), Webhook: loopback(s.state.Ports[Webhook]),
	}
	if os.Geteuid() == 0 {
		p.User = "root" // or its workers, as nobody, could not enter a checkout below root's home
	}
	conf, err := nginx.Render(p)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"nginx.conf": conf, "webhook.js": nginx.Script, "webhook-secrets.json": string(secrets),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("nginx: %w", err)
		}
	}
	return nil
}

// getOK succeeds when a GET answers 200.
func getOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// No connection is kept: a probe must not hold up a server's clean stop.
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}

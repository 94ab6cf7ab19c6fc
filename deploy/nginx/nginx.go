// Package nginx holds the configuration of the front door and renders it. It must not import
// anything of the product: the front door knows addresses only.
package nginx

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed nginx.conf.tmpl
var conf string

// Script is webhook.js, the signature check; it belongs into Params.ScriptDir under that name.
//
//go:embed webhook.js
var Script string

// Params are what differs between installations. All paths are absolute.
type Params struct {
	Module      string // path of ngx_http_js_module.so
	User        string // of the worker processes; empty leaves it to nginx
	Workers     string // a number or "auto"
	Dir         string // for the pid file and temporary bodies; writable
	ScriptDir   string // holds webhook.js
	SecretsFile string // JSON array of Meta app secrets
	AccessLog   string // file or /dev/stdout
	Listen      string // address of the front door
	Gateway     string // host:port of the gateway mode
	Webhook     string // host:port of the webhook mode
}

// Render returns nginx.conf.
func Render(p Params) (string, error) {
	t, err := template.New("nginx.conf").Option("missingkey=error").Parse(conf)
	if err != nil {
		return "", fmt.Errorf("nginx.conf: %w", err)
	}
	var out strings.Builder
	if err := t.Execute(&out, p); err != nil {
		return "", fmt.Errorf("nginx.conf: %w", err)
	}
	return out.String(), nil
}

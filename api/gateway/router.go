// Package gateway is the vendors' REST API. This file is its route table: one line
// per endpoint, with who may call it. What an endpoint does is in the file of its
// resource; how errors, callers and bodies work is in api/httpx.
package gateway

import (
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/api/httpx"
)

// Deps is what the API needs. Every field is required.
type Deps struct {
	Tokens  *httpx.Tokens
	Log     *slog.Logger
	Prefix  string   // API_PREFIX without slashes, "v1"
	Origins []string // CORS_ALLOWED_ORIGINS
}

// New returns the API.
func New(d Deps) (http.Handler, error) {
	root := chi.NewRouter()
	root.Use(httpx.Base(d.Log), httpx.CORS(d.Origins), httpx.Authenticate(d.Tokens))
	root.NotFound(httpx.NotFound)
	root.MethodNotAllowed(httpx.MethodNotAllowed)

	v1 := chi.NewRouter()
	api := httpx.NewAPI(v1, "/"+d.Prefix)
	if err := routes(api, d); err != nil {
		return nil, err
	}
	root.Mount("/"+d.Prefix, v1)
	return root, nil
}

// routes is the table.
func routes(api *httpx.API, d Deps) error {
	_, _ = api, d
	return nil
}

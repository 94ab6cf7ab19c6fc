package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/api/httpx"
)

// The docs page and its two files: Stoplight Elements 9.0.25 (Apache-2.0), unchanged but
// for the compression. Nothing is fetched from elsewhere: the page works offline.
//
//go:embed docs/index.html docs/*.gz
var docsFiles embed.FS

// docsPolicy keeps the page from talking to anybody but us. Elements sets styles from its
// script, hence 'unsafe-inline' for styles alone.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// serveDocs adds the OpenAPI document and the docs page. Call it after every endpoint.
func serveDocs(r chi.Router, api *httpx.API) error {
	document, err := api.Document()
	if err != nil {
		return err
	}
	page, err := docsFiles.ReadFile("docs/index.html")
	if err != nil {
		return err
	}
	files := []struct{ path, kind, name string }{
		{"/docs/web-components.min.js", "text/javascript; charset=utf-8", "docs/web-components.min.js.gz"},
		{"/docs/styles.min.css", "text/css; charset=utf-8", "docs/styles.min.css.gz"},
	}
	r.Get("/openapi.json", static("application/openapi+json", document, false))
	r.Get("/docs", static("text/html; charset=utf-8", page, false))
	for _, f := range files {
		packed, err := docsFiles.ReadFile(f.name)
		if err != nil {
			return err
		}
		r.Get(f.path, static(f.kind, packed, true))
	}
	return nil
}

// static serves bytes that do not change while the process lives. Packed ones are gzip,
// unpacked for the rare client that does not take it.
func static(kind string, content []byte, packed bool) http.HandlerFunc {
	sum := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return httpx.Handle(func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", docsPolicy)
		h.Set("Cache-Control", "public, max-age=300")
		h.Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		if !packed {
			_, err := w.Write(content)
			return err
		}
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			_, err := w.Write(content)
			return err
		}
		plain, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return err
		}
		_, err = io.Copy(w, plain) //nolint:gosec // our own file
		return err
	})
}

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/kloyst/kloyst-core/internal/id"
)

// api speaks JSON to one HTTP server, as the vendor's portal would.
type api struct {
	base  string
	token string
	http  *http.Client
}

func newAPI(base string) *api { return &api{base: base, http: &http.Client{Timeout: 2 * time.Minute}} }

// call sends in (nil: no body) and reads the answer into out (nil: dropped). Anything
// but 2xx is an error that says what the server said.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	return a.send(ctx, request{method, path, "application/json", body}, out)
}

// request is what send puts on the wire; a nil body is none.
type request struct {
	method, path, contentType string
	body                      io.Reader
}

func (a *api) send(ctx context.Context, r request, out any) error {
	req, err := http.NewRequestWithContext(ctx, r.method, a.base+r.path, r.body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.method == http.MethodPost {
		req.Header.Set("Idempotency-Key", id.Random())
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	defer resp.Body.Close() // read to its end below
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", r.method, r.path, resp.Status, bytes.TrimSpace(text))
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = text
		return nil
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

// upload posts file as a form, under the name contacts.csv.
func (a *api) upload(ctx context.Context, path string, file []byte, fields map[string]string, out any) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for k, v := range fields {
		if err := form.WriteField(k, v); err != nil {
			return fmt.Errorf("make form: %w", err)
		}
	}
	part, err := form.CreateFormFile("file", "contacts.csv")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return fmt.Errorf("make form: %w", err)
	}
	return a.send(ctx, request{http.MethodPost, path, form.FormDataContentType(), &body}, out)
}

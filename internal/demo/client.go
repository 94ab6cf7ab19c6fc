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

// api speaks JSON to one HTTP server, as the vendor's portal would. The zero login sends no
// token.
type api struct {
	base  string
	login login
	renew time.Duration // a token's use; zero: until a minute before its end
	http  *http.Client
}

// login is a pair of tokens and the moment to trade them for the next pair.
type login struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`

	until time.Time
}

// callTimeout bounds one call. Pricing a million recipients and uploading their file take
// some of it, on a machine with other things to do.
const callTimeout = 10 * time.Minute

func newAPI(base string) *api { return &api{base: base, http: &http.Client{Timeout: callTimeout}} }

// enter gets the first pair of tokens, or, by a refresh token, the next one.
func (a *api) enter(ctx context.Context, path string, in any) error {
	a.login = login{} // it goes without a token
	if err := a.call(ctx, http.MethodPost, path, in, &a.login); err != nil {
		return err
	}
	use := a.renew
	if use == 0 {
		use = time.Duration(a.login.ExpiresIn)*time.Second - time.Minute
	}
	a.login.until = time.Now().Add(use)
	return nil
}

// stayIn trades the tokens in time: a long step outlives an access token.
func (a *api) stayIn(ctx context.Context) error {
	if a.login.Access == "" || time.Now().Before(a.login.until) {
		return nil
	}
	return a.enter(ctx, "/auth/refresh", map[string]any{"refresh_token": a.login.Refresh})
}

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

// request is one call on its way; a nil body is none.
type request struct {
	method, path, contentType string
	body                      io.Reader
}

func (a *api) send(ctx context.Context, r request, out any) error {
	if err := a.stayIn(ctx); err != nil {
		return err
	}
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
	if a.login.Access != "" {
		req.Header.Set("Authorization", "Bearer "+a.login.Access)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	defer resp.Body.Close()
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

// upload sends a contact file as a form while write writes it: it is never whole in memory.
// write has returned when upload does.
func (a *api) upload(ctx context.Context, path string, fields map[string]string, write func(io.Writer) error, out any) error {
	body, to := io.Pipe()
	form := multipart.NewWriter(to)
	written := make(chan error, 1)
	go func() {
		err := fill(form, fields, write)
		_ = to.CloseWithError(err) // always nil
		written <- err
	}()
	err := a.send(ctx, request{http.MethodPost, path, form.FormDataContentType(), body}, out)
	_ = body.Close() // always nil; it ends a writer whose reader gave up
	if e := <-written; err == nil && e != nil {
		err = fmt.Errorf("make form: %w", e)
	}
	return err
}

func fill(form *multipart.Writer, fields map[string]string, write func(io.Writer) error) error {
	for k, v := range fields {
		if err := form.WriteField(k, v); err != nil {
			return err
		}
	}
	part, err := form.CreateFormFile("file", "contacts.csv")
	if err != nil {
		return err
	}
	if err := write(part); err != nil {
		return err
	}
	return form.Close()
}

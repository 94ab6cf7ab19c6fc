package nginx_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/deploy/nginx"
)

// seen is what an upstream received.
type seen struct {
	method, path, query, sum, requestID string
	length                              int
}

// front is a real nginx before two upstreams that record what they get.
type front struct {
	url              string
	gateway, webhook chan seen
}

func record(to chan seen, answer func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer != nil {
			answer(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		to <- seen{
			r.Method, r.URL.Path, r.URL.RawQuery, hex.EncodeToString(sum[:]), r.Header.Get("X-Request-Id"), len(body),
		}
		_, _ = io.WriteString(w, "answered")
	})
}

func start(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *front {
	t.Helper()
	if testing.Short() {
		t.Skip("needs nginx")
	}
	f := &front{gateway: make(chan seen, 16), webhook: make(chan seen, 16)}
	gateway := httptest.NewServer(record(f.gateway, answer))
	t.Cleanup(gateway.Close)
	webhook := httptest.NewServer(record(f.webhook, nil))
	t.Cleanup(webhook.Close)

	dir := t.TempDir()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	p := nginx.Params{
		Module: "/usr/lib/nginx/modules/ngx_http_js_module.so", Workers: "1", Dir: dir, ScriptDir: dir,
		SecretsFile: filepath.Join(dir, "secrets.json"), AccessLog: filepath.Join(dir, "access.log"), Listen: addr,
		Gateway: strings.TrimPrefix(gateway.URL, "http://"), Webhook: strings.TrimPrefix(webhook.URL, "http://"),
	}
	if os.Geteuid() == 0 {
		p.User = "root" // a test's folder is closed to others
	}
	conf, err := nginx.Render(p)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"nginx.conf": conf, "webhook.js": nginx.Script, "secrets.json": `["new-secret","old-secret"]`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var log bytes.Buffer
	cmd := exec.Command("/usr/sbin/nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stderr = &log
	require.NoError(t, cmd.Start(), "`make setup` installs nginx")
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	f.url = "http://" + addr
	require.Eventually(t, func() bool {
		res, err := http.Get(f.url + "/healthz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond)
	return f
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends a webhook; chunked hides its length.
func (f *front) post(t *testing.T, body []byte, signature string, chunked bool) *http.Response {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	if chunked {
		r = struct{ io.Reader }{r}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/webhook/meta", r)
	require.NoError(t, err)
	if signature != "" {
		req.Header.Set("X-Hub-Signature-256", signature)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func bodies() map[string][]byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return map[string][]byte{
		"a small JSON document": []byte(`{"object":"whatsapp_business_account","entry":[]}`),
		"text beyond ASCII":     []byte(`{"text":"नमस्ते 👋 \ud83d"}`),
		"every byte there is":   all,
		"almost 4 MB":           bytes.Repeat([]byte("0123456789abcdef"), 240<<10),
	}
}

func TestWebhook_PassesSignedBodiesOnByteForByte(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for name, body := range bodies() {
		for _, secret := range []string{"new-secret", "old-secret"} {
			for _, chunked := range []bool{false, true} {
				res := f.post(t, body, sign(secret, body), chunked)
				require.Equal(t, http.StatusOK, res.StatusCode, name)
				got := <-f.webhook
				sum := sha256.Sum256(body)
				require.Equal(t, hex.EncodeToString(sum[:]), got.sum, "%s, chunked %v", name, chunked)
				require.Equal(t, "/webhook/meta", got.path)
			}
		}
	}
}

func TestWebhook_RefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	body := []byte(`{"entry":[]}`)
	tests := map[string]struct {
		body      []byte
		signature string
		status    int
		code      string
	}{
		"no signature":                {body, "", 401, "webhook.bad_signature"},
		"an unknown secret":           {body, sign("guess", body), 401, "webhook.bad_signature"},
		"a signature of another body": {body, sign("new-secret", []byte("{}")), 401, "webhook.bad_signature"},
		"another algorithm's prefix":  {body, "sha1=" + sign("new-secret", body)[7:], 401, "webhook.bad_signature"},
		"half a signature":            {body, sign("new-secret", body)[:40], 401, "webhook.bad_signature"},
		"an empty body":               {nil, sign("new-secret", nil), 401, "webhook.bad_signature"},
		"more than 4 MB": {
			bytes.Repeat([]byte("x"), 4<<20+1), sign("new-secret", bytes.Repeat([]byte("x"), 4<<20+1)), 413, "front.too_large",
		},
	}
	for name, tt := range tests {
		res := f.post(t, tt.body, tt.signature, false)
		require.Equal(t, tt.status, res.StatusCode, name)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"), name)
		var problem struct {
			Code   string `json:"code"`
			Status int    `json:"status"`
		}
		require.NoError(t, json.NewDecoder(res.Body).Decode(&problem), name)
		require.Equal(t, tt.code, problem.Code, name)
		require.Equal(t, tt.status, problem.Status, name)
	}
	require.Empty(t, f.webhook)
}

func TestWebhook_LetsTheHandshakeThrough(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	res, err := http.Get(f.url + "/webhook/meta?hub.mode=subscribe&hub.verify_token=t&hub.challenge=42")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	got := <-f.webhook
	require.Equal(t, "GET", got.method)
	require.Equal(t, "hub.mode=subscribe&hub.verify_token=t&hub.challenge=42", got.query)
}

func TestFront_UploadsPassTheLimitOfOtherRequests(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	big := bytes.Repeat([]byte("0123456789\n"), 1<<20) // 11 MB
	res, err := http.Post(f.url+"/v1/contact-imports", "text/csv", bytes.NewReader(big))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, len(big), (<-f.gateway).length)

	res, err = http.Post(f.url+"/v1/campaigns", "application/json", bytes.NewReader(big))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
}

func TestFront_KeepsACallersRequestIDAndMakesOneWithout(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, id := range []string{"mine-1", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/v1/me", nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", id)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		got := <-f.gateway
		if id != "" {
			require.Equal(t, id, got.requestID)
		}
		require.NotEmpty(t, got.requestID)
	}
}

func TestFront_ServerSentEventsArriveOneByOne(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	f := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 2 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-more
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/v1/campaigns/1/events", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	for i := range 2 { // the second is sent only once the first was read
		line := make([]byte, len("data: 0\n\n"))
		_, err := io.ReadFull(res.Body, line)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("data: %d\n\n", i), string(line))
		more <- struct{}{}
	}
}

func TestFront_SaysWhenTheGatewayIsAway(t *testing.T) {
	t.Parallel()
	f := start(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	res, err := http.Get(f.url + "/v1/me")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.Equal(t, "2", res.Header.Get("Retry-After"))
}

// TestRender_DockersFileIsUpToDate keeps deploy/docker/nginx.conf, which containers mount, equal to
// what the template gives. UPDATE_GOLDEN=1 writes it.
func TestRender_DockersFileIsUpToDate(t *testing.T) {
	t.Parallel()
	conf, err := nginx.Render(nginx.Params{
		Module: "/usr/lib/nginx/modules/ngx_http_js_module.so", User: "nginx", Workers: "auto",
		Dir: "/var/cache/nginx", ScriptDir: "/etc/kloyst", SecretsFile: "/etc/kloyst/webhook-secrets.json",
		AccessLog: "/dev/stdout", Listen: "8080", Gateway: "gateway:3000", Webhook: "webhook:3000",
	})
	require.NoError(t, err)
	const golden = "../docker/nginx.conf"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(golden, []byte(conf), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), conf)
}

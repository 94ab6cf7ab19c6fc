package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/api/gateway"
	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/metasim"
	"github.com/kloyst/kloyst-core/internal/payment"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/internal/signedlink"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/razorpaytest"
	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
	"github.com/kloyst/kloyst-core/store"
)

// passphrase is what every user of these tests logs in with.
const passphrase = "correct horse battery"

// world is the real API over a real database and Redis, with the simulator for Meta.
type world struct {
	t     *testing.T
	db    *pgtest.DB
	store *store.Store
	keys  *crypt.Keys
	meta  *meta.Client
	blob  *blob.Store
	clamd *scan.Clamd // nobody answers until a test starts one
	files string      // the folder below blob
	graph string      // the simulator's address
	api   http.Handler
	log   *bytes.Buffer

	closing  chan struct{}        // the server stops
	razorpay *razorpaytest.Server // takes payments
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t), log: &bytes.Buffer{}, closing: make(chan struct{})}
	var err error
	w.store, err = store.New(w.db.App())
	require.NoError(t, err)
	ring, err := crypt.NewRing(bytes.Repeat([]byte{1}, crypt.MasterKeySize))
	require.NoError(t, err)
	w.keys = crypt.NewKeys(ring, w.store.VendorKeys)
	sim, err := metasim.New(metasim.Options{AppSecret: "app-secret", VerifyToken: "verify"})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	w.graph = server.URL
	w.meta, err = meta.New(meta.Options{BaseURL: w.graph, Timeout: 10 * time.Second})
	require.NoError(t, err)
	tokens, err := httpx.NewTokens(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	w.clamd, w.files = &scan.Clamd{Addr: "127.0.0.1:1"}, t.TempDir()
	w.blob, err = blob.Open(t.Context(), "file://"+w.files)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.blob.Close()) })
	cache, prefix := redistest.New(t)
	links, err := signedlink.New(bytes.Repeat([]byte{1}, crypt.MasterKeySize))
	require.NoError(t, err)
	w.razorpay = razorpaytest.New(t)
	provider, err := payment.NewRazorpay(payment.RazorpayOptions{
		BaseURL: w.razorpay.URL, KeyID: razorpaytest.KeyID, Secret: razorpaytest.KeySecret, WebhookSecrets: []string{razorpaytest.WebhookSecret},
	})
	require.NoError(t, err)
	fonts := sync.OnceValues(func() (*pdf.Renderer, error) { return pdf.New("/usr/share/fonts/truetype/noto") })
	w.api, err = gateway.New(gateway.Deps{
		Store: w.store, Tokens: tokens, Ring: ring, Keys: w.keys, Meta: w.meta, Blob: w.blob, PDF: fonts, Payments: provider, Redis: cache, RedisPrefix: prefix,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Prefix: "v1", Clamd: w.clamd, UploadMaxBytes: 1 << 20,
		Links: links, PublicURL: "https://kloyst.example/", Closing: w.closing,
	})
	require.NoError(t, err)
	return w
}

// answer is what a request got.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// is checks the status and returns the body as a JSON object.
func (a answer) is(status int) map[string]any {
	a.t.Helper()
	require.Equal(a.t, status, a.status, string(a.body))
	out := map[string]any{}
	if len(a.body) > 0 {
		require.NoError(a.t, json.Unmarshal(a.body, &out))
	}
	return out
}

// refused checks status and code of a problem.
func (a answer) refused(status int, code string) map[string]any {
	a.t.Helper()
	p := a.is(status)
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(a.t, code, p["code"], string(a.body))
	require.Equal(a.t, a.header.Get("X-Request-Id"), p["request_id"])
	return p
}

// call sends v as JSON; headers come in pairs of name and value.
func (w *world) call(token, method, path string, v any, headers ...string) answer {
	w.t.Helper()
	var body io.Reader = http.NoBody
	if v != nil {
		text, err := json.Marshal(v)
		require.NoError(w.t, err)
		body = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, body)
	if v != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	out := httptest.NewRecorder()
	w.api.ServeHTTP(out, r)
	return answer{t: w.t, status: out.Code, header: out.Header(), body: out.Body.Bytes()}
}

type object = map[string]any

// as is v as a T; a test whose answer has another shape ends there.
func as[T any](t *testing.T, v any) T {
	t.Helper()
	got, ok := v.(T)
	require.True(t, ok, "%v is a %T", v, v)
	return got
}

func registration(email string) object {
	return object{
		"vendor_name": "Acme Foods", "email": email, "password": passphrase, "name": "Asha Rao",
		"default_region": "IN", "currency": "INR", "time_zone": "Asia/Kolkata",
	}
}

// user is a vendor's owner who has logged in.
type user struct {
	*world

	vendor  vendor.ID
	id      vendor.UserID
	token   string
	refresh string
}

// newUser registers a vendor, confirms its owner's address and logs in.
func (w *world) newUser(email string) user {
	w.t.Helper()
	made := w.call("", "POST", "/v1/auth/register", registration(email)).is(http.StatusCreated)
	u := user{world: w, vendor: vendor.ID(as[string](w.t, made["vendor_id"])), id: vendor.UserID(as[string](w.t, made["user_id"]))}
	w.call("", "POST", "/v1/auth/verify-email", object{"token": w.mailed(u.vendor, u.id)}).is(http.StatusOK)
	tokens := w.call("", "POST", "/v1/auth/login", object{"email": email, "password": passphrase}).is(http.StatusOK)
	u.token, u.refresh = as[string](w.t, tokens["access_token"]), as[string](w.t, tokens["refresh_token"])
	return u
}

// mailed makes a verification token as the worker's mail would bring it.
func (w *world) mailed(v vendor.ID, u vendor.UserID) string {
	w.t.Helper()
	secret := rand.Text()
	hash := sha256.Sum256([]byte(secret))
	require.NoError(w.t, w.store.CreateVerification(w.t.Context(), v, u, hash[:], time.Now().Add(time.Hour)))
	return string(v) + "." + secret
}

func (u user) get(path string, headers ...string) answer {
	u.t.Helper()
	return u.call(u.token, "GET", path, nil, headers...)
}

func (u user) post(path string, v any, headers ...string) answer {
	u.t.Helper()
	return u.call(u.token, "POST", path, v, headers...)
}

// business is an account at the simulator.
type business struct {
	WABA    string `json:"waba_id"`
	Token   string `json:"access_token"`
	Numbers []struct {
		ID string `json:"id"`
	} `json:"phone_numbers"`
}

// newBusiness makes an account at the simulator, with one number of each level.
func (w *world) newBusiness() business {
	w.t.Helper()
	const spec = `{"name":"Acme","currency":"INR","numbers":[
		{"display_phone_number":"+1 555-078-3881","throughput_level":"STANDARD"},
		{"display_phone_number":"+1 555-078-3882","throughput_level":"HIGH"},
		{"display_phone_number":"+1 555-078-3883","coexistence":true}]}`
	var b business
	w.sim("wabas", spec, &b)
	return b
}

// sim posts to the simulator's own interface; "PUT path" puts.
func (w *world) sim(path, body string, out any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	method := http.MethodPost
	if rest, put := strings.CutPrefix(path, "PUT "); put {
		method, path = http.MethodPut, rest
	}
	r, err := http.NewRequestWithContext(ctx, method, w.graph+"/_sim/"+path, strings.NewReader(body))
	require.NoError(w.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close() // read to its end
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.Less(w.t, resp.StatusCode, 300, string(text))
	require.NoError(w.t, json.Unmarshal(text, out))
}

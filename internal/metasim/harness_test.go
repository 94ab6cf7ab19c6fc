package metasim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/metasim"
)

const (
	appSecret   = "an app secret"
	verifyToken = "a verify token"
	appID       = "900000000000001"
	// patience bounds every wait for something that happens in the background.
	patience = 10 * time.Second
)

// start is the simulated time at which tests begin: after October 2026, when
// Meta's newer pricing holds.
func start() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }

type object = map[string]any

// world is a running simulator on a frozen clock, a receiver of its webhooks,
// and one account to play with.
type world struct {
	t     *testing.T
	clock *metasim.Clock
	url   string
	hook  *receiver

	token, business, waba, phone string
	templates                    map[string]string // name → id
}

// newWorld starts a simulator whose messages are all delivered and read, at
// once; config changes that.
func newWorld(t *testing.T, config string) *world {
	t.Helper()
	w := &world{t: t, clock: metasim.NewFrozenClock(start()), hook: newReceiver(t), templates: map[string]string{}}
	sim, err := metasim.New(metasim.Options{
		AppID: appID, AppSecret: appSecret, VerifyToken: verifyToken,
		WebhookURL: w.hook.url, Seed: 7, Clock: w.clock,
	})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	w.admin(http.MethodPut, "config", `{"delivered_rate":1,"read_rate":1,"failed_rate":0,
		"sent_delay_ms":0,"delivered_delay_ms":1000,"read_delay_ms":1000,"delay_jitter":0}`)
	if config != "" {
		w.admin(http.MethodPut, "config", config)
	}
	made := w.admin(http.MethodPost, "wabas", `{"name":"Acme","subscribed":true,
		"numbers":[{"display_phone_number":"+1 555-078-3881","verified_name":"Acme","throughput_level":"HIGH"}]}`)
	w.token, w.business, w.waba = at[string](t, made["access_token"]), at[string](t, made["business_id"]), at[string](t, made["waba_id"])
	w.phone = at[string](t, made, "phone_numbers", 0, "id")
	for _, x := range at[[]any](t, made["templates"]) {
		w.templates[at[string](t, at[object](t, x)["name"])] = at[string](t, at[object](t, x)["id"])
	}
	return w
}

// admin calls the simulator's own API and wants success.
func (w *world) admin(method, path, body string) object {
	w.t.Helper()
	status, out := w.adminTry(method, path, body)
	require.Equal(w.t, http.StatusOK, status, "%v", out)
	return out
}

func (w *world) adminTry(method, path, body string) (int, object) {
	w.t.Helper()
	resp := w.do(method, "/_sim/"+path, body, "")
	return resp.status, resp.body
}

func (w *world) stats() object { return w.admin(http.MethodGet, "stats?phone_number_id="+w.phone, "") }

type answer struct {
	status int
	header http.Header
	raw    []byte
	body   object
}

// code and subcode of an error answer, 0 for success.
func (a answer) code() int    { return number(a.body, "error", "code") }
func (a answer) subcode() int { return number(a.body, "error", "error_subcode") }

func (a answer) details() string {
	inner, _ := a.body["error"].(object)
	data, _ := inner["error_data"].(object)
	s, _ := data["details"].(string)
	return s
}

func number(o object, outer, key string) int {
	inner, _ := o[outer].(object)
	n, _ := inner[key].(float64)
	return int(n)
}

// do makes one request; token "" sends none.
func (w *world) do(method, path, body, token string) answer {
	w.t.Helper()
	out, err := w.try(method, path, body, token)
	require.NoError(w.t, err)
	return out
}

func (w *world) try(method, path, body, token string) (answer, error) {
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return decode(resp, raw), nil
}

func decode(resp *http.Response, raw []byte) answer {
	out := answer{status: resp.StatusCode, header: resp.Header, raw: raw}
	_ = json.Unmarshal(raw, &out.body) // not every answer is an object
	return out
}

// graph calls the Graph API with the account's token.
func (w *world) graph(method, path, body string) answer {
	w.t.Helper()
	return w.do(method, "/v23.0/"+path, body, w.token)
}

// send posts a message built of the usual one and changes to it; nil removes.
func (w *world) send(changes object) answer {
	w.t.Helper()
	return w.graph(http.MethodPost, w.phone+"/messages", message(w.t, changes))
}

// sendTo wants an acceptance and returns the wamid.
func (w *world) sendTo(to, opaque string) string {
	w.t.Helper()
	a := w.send(object{"to": to, "biz_opaque_callback_data": opaque})
	require.Equal(w.t, http.StatusOK, a.status, "%s", a.raw)
	return at[string](w.t, a.body, "messages", 0, "id")
}

// message is a template message that Meta takes, changed.
func message(t *testing.T, changes object) string {
	t.Helper()
	m := object{
		"messaging_product": "whatsapp", "to": "+919876543210", "type": "template",
		"template": object{
			"name": "seasonal_promotion", "language": object{"code": "en_US"},
			"components": []any{object{"type": "body", "parameters": []any{object{"type": "text", "text": "Ravi"}}}},
		},
	}
	for k, v := range changes {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

// body is a template's body component with these texts.
func body(texts ...string) object {
	params := []any{}
	for _, s := range texts {
		params = append(params, object{"type": "text", "text": s})
	}
	return object{"type": "body", "parameters": params}
}

// template is the template part of a message.
func template(name, language string, components ...object) object {
	return object{"name": name, "language": object{"code": language}, "components": components}
}

// advance moves the simulated clock.
func (w *world) advance(d time.Duration) { w.clock.Advance(d) }

// eventually waits for a condition that background work brings about.
func (w *world) eventually(cond func() bool, msg string) {
	w.t.Helper()
	require.Eventually(w.t, cond, patience, 2*time.Millisecond, msg)
}

// at walks into decoded JSON by keys and indexes.
func at[T any](t *testing.T, v any, path ...any) T {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, ok := v.(object)
			require.True(t, ok, "no object at %v of %v", s, path)
			v = m[s]
		case int:
			l, ok := v.([]any)
			require.True(t, ok && s < len(l), "no element %d of %v", s, path)
			v = l[s]
		}
	}
	out, ok := v.(T)
	require.True(t, ok, "%v is %T at %v", v, v, path)
	return out
}

// posted is one webhook as it arrived.
type posted struct {
	header http.Header
	raw    []byte
	body   object
}

// receiver is a webhook endpoint that answers as it is told.
type receiver struct {
	url string

	mu     sync.Mutex
	posts  []posted
	gets   []string
	status int // of POSTs; 200 at first
	refuse bool
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/hook"
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method == http.MethodGet {
		r.gets = append(r.gets, req.URL.RawQuery)
		if r.refuse || req.URL.Query().Get("hub.verify_token") != verifyToken {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, req.URL.Query().Get("hub.challenge"))
		return
	}
	raw, _ := io.ReadAll(req.Body)
	p := posted{header: req.Header, raw: raw}
	_ = json.NewDecoder(bytes.NewReader(raw)).Decode(&p.body)
	r.posts = append(r.posts, p)
	w.WriteHeader(r.status)
}

func (r *receiver) answerWith(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) refuseHandshake(refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
}

func (r *receiver) all() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]posted(nil), r.posts...)
}

func (r *receiver) handshakes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.gets...)
}

// values lists the values of one field over all POSTs, in order of arrival.
func (r *receiver) values(t *testing.T, field string) []object {
	t.Helper()
	var out []object
	for _, p := range r.all() {
		for _, e := range at[[]any](t, p.body, "entry") {
			for _, c := range at[[]any](t, e, "changes") {
				if at[string](t, c, "field") == field {
					out = append(out, at[object](t, c, "value"))
				}
			}
		}
	}
	return out
}

// statuses lists every status over all POSTs, in order of arrival.
func (r *receiver) statuses(t *testing.T) []object {
	t.Helper()
	var out []object
	for _, v := range r.values(t, "messages") {
		list, _ := v["statuses"].([]any)
		for _, s := range list {
			out = append(out, at[object](t, s))
		}
	}
	return out
}

// kinds lists the statuses of one message in order of arrival.
func (r *receiver) kinds(t *testing.T, wamid string) []string {
	t.Helper()
	var out []string
	for _, s := range r.statuses(t) {
		if s["id"] == wamid {
			out = append(out, at[string](t, s["status"]))
		}
	}
	return out
}

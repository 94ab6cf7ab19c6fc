package meta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/meta"
)

const (
	token = "EAA-secret-token"
	phone = "+919800000001"
)

func client(t *testing.T, h http.HandlerFunc, timeout time.Duration) *meta.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := meta.New(meta.Options{BaseURL: server.URL, Version: "v23.0", Timeout: timeout})
	require.NoError(t, err)
	return c
}

func request(t *testing.T) meta.Body {
	t.Helper()
	body, err := meta.SendRequest{
		To: phone, Template: "order_update", Language: "en_US", Opaque: "1.202611.42.1",
		Components: []template.SendComponent{{Type: "body", Parameters: []template.SendParameter{{Type: "text", Text: "Asha"}}}},
	}.Encode()
	require.NoError(t, err)
	return body
}

func TestSend_SendsWhatMetaDocuments(t *testing.T) {
	t.Parallel()
	var got map[string]any
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v23.0/1234567/messages" || r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&got)
		_, _ = io.WriteString(w, `{"messaging_product":"whatsapp","contacts":[{"input":"x","wa_id":"919800000001"}],"messages":[{"id":"wamid.A","message_status":"accepted"}],"new_field":1}`)
	}, 0)
	r, err := c.Send(token, "1234567", request(t))
	require.NoError(t, err)
	require.Equal(t, meta.SendResult{Wamid: "wamid.A", WaID: "919800000001", Status: "accepted"}, r)
	want := map[string]any{
		"messaging_product": "whatsapp", "recipient_type": "individual", "to": phone, "type": "template", "biz_opaque_callback_data": "1.202611.42.1",
		"template": map[string]any{"name": "order_update", "language": map[string]any{"code": "en_US"}, "components": []any{
			map[string]any{"type": "body", "parameters": []any{map[string]any{"type": "text", "text": "Asha"}}},
		}},
	}
	require.Equal(t, want, got)
}

func TestSend_JudgesEveryFailure(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	refusal := func(code int) string {
		return fmt.Sprintf(`{"error":{"message":"(#%d) no","type":"OAuthException","code":%d,"error_data":{"details":"about %s"},"fbtrace_id":"T1"}}`, code, code, phone)
	}
	tests := map[string]struct {
		answer  http.HandlerFunc
		class   meta.Class // of a *meta.Error
		unknown bool
	}{
		"a throttle of the number":          {answer(400, refusal(130429)), meta.Number, false},
		"a throttle of the pair":            {answer(400, refusal(131056)), meta.Pair, false},
		"a recipient not on WhatsApp":       {answer(400, refusal(131026)), meta.Recipient, false},
		"an expired token":                  {answer(401, refusal(190)), meta.Token, false},
		"a code as text":                    {answer(400, `{"error":{"code":"132015"}}`), meta.Hold, false},
		"an unknown code below 500":         {answer(400, refusal(999999)), meta.Request, false},
		"an unknown code that is transient": {answer(400, `{"error":{"code":999999,"is_transient":true}}`), meta.Retry, false},
		"an unknown code with 503":          {answer(503, refusal(999999)), meta.Retry, false},
		"Graph's own 500":                   {answer(500, refusal(131000)), meta.Retry, false},
		"a permission of the 200 block":     {answer(403, refusal(294)), meta.Token, false},
		"a proxy's 429":                     {answer(429, "slow down"), meta.App, false},
		"a proxy's 413":                     {answer(413, "<html>"), meta.Request, false},
		"a proxy's 502":                     {answer(502, "<html>"), "", true},
		"a 200 that is not JSON":            {answer(200, "<html>"), "", true},
		"a 200 without a message":           {answer(200, `{}`), "", true},
		"an answer that never comes": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // net/http notices the client leaving only then
			<-r.Context().Done()
		}, "", true},
		"a connection that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", true},
		"a connection that breaks in the answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"messages":[`)
			panic(http.ErrAbortHandler)
		}, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, tt.answer, 300*time.Millisecond)
			_, err := c.Send(token, "1234567", request(t))
			require.Error(t, err)
			for _, secret := range []string{token, phone, "Asha"} {
				require.NotContains(t, err.Error(), secret)
			}
			if tt.unknown {
				require.ErrorIs(t, err, meta.ErrUnknownOutcome)
				return
			}
			e, ok := errors.AsType[*meta.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.class, e.Class)
		})
	}
}

func TestSend_KnowsWhatNeverLeft(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close()) // nobody listens there now
	c, err := meta.New(meta.Options{BaseURL: "http://" + l.Addr().String()})
	require.NoError(t, err)
	_, err = c.Send(token, "1234567", request(t))
	require.ErrorIs(t, err, meta.ErrNotSent)
	require.Equal(t, errs.Unavailable, errs.KindOf(err))

	_, err = c.Send(token, "../me", request(t))
	require.Equal(t, "meta.bad_id", errs.CodeOf(err))
	_, err = meta.New(meta.Options{BaseURL: "graph"})
	require.Error(t, err)
}

func TestTemplates_ReadsToTheLastPage(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("after") {
		case "":
			_, _ = io.WriteString(w, `{"data":[{"id":"1","name":"a","components":[{"type":"BODY","text":"x"}]}],"paging":{"cursors":{"after":"c1"},"next":"https://graph.example/?access_token=x"}}`)
		case "c1":
			_, _ = io.WriteString(w, `{"data":[{"id":"2","name":"b"}],"paging":{"cursors":{"before":"c1","after":"c2"}}}`)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}, 0)
	all, err := c.Templates(t.Context(), token, "42")
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.JSONEq(t, `[{"type":"BODY","text":"x"}]`, string(all[0].Components))
}

func TestCodes_AreWhole(t *testing.T) {
	t.Parallel()
	classes := map[meta.Class]int{}
	for code, c := range meta.Known() {
		require.NotEmpty(t, c.Name, code)
		require.NotEmpty(t, c.Remedy, code)
		require.Equal(t, strings.ToUpper(c.Name), c.Name)
		if c.Class == meta.Later {
			require.Positive(t, c.Wait, "%d has to say how long", code)
		}
		classes[c.Class]++
	}
	for _, class := range meta.Classes() {
		require.Positive(t, classes[class], "%s is used", class)
	}
	// The ones whose handling the laws of sending name.
	for code, want := range map[int]meta.Class{
		131049: meta.Later, 130429: meta.Number, 131056: meta.Pair, 131050: meta.Recipient,
		132015: meta.Hold, 131042: meta.Account, 190: meta.Token, 131000: meta.Retry, 132001: meta.Campaign,
	} {
		c, known := meta.Lookup(code, 0)
		require.True(t, known)
		require.Equal(t, want, c.Class, code)
		require.Equal(t, want == meta.Number || want == meta.Pair || want == meta.App, !want.CostsAttempt())
	}
	c, _ := meta.Lookup(100, 33)
	require.Equal(t, meta.Token, c.Class)
	_, known := meta.Lookup(424242, 0)
	require.False(t, known)
}

// Graph means an authorisation error by 0; a failure that names no code means nothing by it,
// and must not halt an account.
func TestErrors_WithoutACodeSayNothingOfTheToken(t *testing.T) {
	t.Parallel()
	require.Equal(t, meta.Request, meta.WebhookError(0, "", "").Class)
	require.Equal(t, failure.OwnMessage, failure.Judge(failure.Case{Refusal: meta.WebhookError(0, "", "").Refusal(), Accepted: true, Attempt: 1}).Halt)
	for body, want := range map[string]meta.Class{
		`{"error":{"message":"no"}}`: meta.Request, `{"error":{"message":"no","code":0}}`: meta.Token,
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		}, 0)
		_, err := c.Send(token, "42", request(t))
		refusal, ok := errors.AsType[*meta.Error](err)
		require.True(t, ok)
		require.Equal(t, want, refusal.Class, body)
	}
}

// Postgres keeps no U+0000: what Meta says must not cost the transaction it is written in.
func TestErrors_CarryNoZeroCharacter(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"type":"a\u0000b","code":131026,"error_data":{"details":"c\u0000d"}}}`)
	}, 0)
	_, err := c.Send(token, "42", request(t))
	refusal, ok := errors.AsType[*meta.Error](err)
	require.True(t, ok)
	require.Equal(t, "ab/cd", refusal.Title+"/"+refusal.Details)
	var id meta.Text
	require.NoError(t, json.Unmarshal([]byte(`"w\u0000amid"`), &id))
	require.Equal(t, meta.Text("wamid"), id)
}

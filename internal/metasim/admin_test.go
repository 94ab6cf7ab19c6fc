package metasim_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAdmin_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	tests := map[string]struct {
		method, path, body string
		status             int
	}{
		"an unknown path":                    {http.MethodGet, "nothing", "", 404},
		"a misspelt configuration key":       {http.MethodPut, "config", `{"latency":1}`, 400},
		"a rate above one":                   {http.MethodPut, "config", `{"read_rate":1.5}`, 400},
		"a throughput mode that is none":     {http.MethodPut, "config", `{"throughput_mode":"FAST"}`, 400},
		"an account without a name":          {http.MethodPost, "wabas", `{}`, 400},
		"an account with a bad number":       {http.MethodPost, "wabas", `{"name":"A","numbers":[{"display_phone_number":"12"}]}`, 400},
		"an account with a bad level":        {http.MethodPost, "wabas", `{"name":"A","numbers":[{"display_phone_number":"+15550001111","throughput_level":"FAST"}]}`, 400},
		"an account with a bad template":     {http.MethodPost, "wabas", `{"name":"A","templates":[{"name":"A","language":"en","category":"MARKETING"}]}`, 400},
		"an account of no such business":     {http.MethodPost, "wabas", `{"name":"A","business_id":"1"}`, 400},
		"a clock that goes back":             {http.MethodPost, "clock", `{"advance_seconds":-1}`, 400},
		"an inbound message to no number":    {http.MethodPost, "inbound", `{"phone_number_id":"1","from":"+15550001111"}`, 400},
		"a preference that is none":          {http.MethodPost, "user_preferences", `{"phone_number_id":"` + w.phone + `","from":"+15550001111","value":"maybe"}`, 400},
		"a status that is none":              {http.MethodPost, "templates/" + w.templates["hello_world"] + "/status", `{"status":"GONE"}`, 400},
		"a template that is not there":       {http.MethodPost, "templates/1/status", `{"status":"PAUSED"}`, 400},
		"a number that is not there":         {http.MethodPut, "numbers/1", `{}`, 400},
		"an account that is not there":       {http.MethodPut, "wabas/1", `{}`, 400},
		"a token that is not there":          {http.MethodPut, "tokens/x", `{}`, 400},
		"a code for an account not there":    {http.MethodPost, "codes", `{"waba_id":"1"}`, 400},
		"a webhook that nobody answers from": {http.MethodPut, "webhook", `{"url":"http://127.0.0.1:1/"}`, 400},
		"a webhook that is no address":       {http.MethodPut, "webhook", `{"url":"nowhere"}`, 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out := w.adminTry(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, status)
			require.NotEmpty(t, out["error"])
		})
	}
}

func TestAdmin_StatsByAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	other := w.admin(http.MethodPost, "wabas", `{"name":"Other","business_id":"`+w.business+`","numbers":[{"display_phone_number":"+15550001111"}]}`)
	require.Equal(t, w.business, other["business_id"])
	w.sendTo("+919876543210", "")
	require.InDelta(t, 1, w.admin(http.MethodGet, "stats?waba_id="+w.waba, "")["accepted"], 0)
	require.InDelta(t, 0, w.admin(http.MethodGet, "stats?waba_id="+at[string](t, other, "waba_id"), "")["accepted"], 0)
	all := w.admin(http.MethodGet, "stats", "")
	require.InDelta(t, 1, all["accepted"], 0)
	require.Len(t, all["numbers"], 2)
	require.Positive(t, all["cpu_seconds"])
	require.Positive(t, all["max_rss_bytes"])
}

func TestAdmin_ResetForgetsEverythingButTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.sendTo("+919876543210", "")
	w.faults(`{"match":{},"effect":{"error":131000}}`)
	w.admin(http.MethodPost, "reset", "")
	require.Equal(t, 190, w.send(nil).code())
	s := w.admin(http.MethodGet, "stats", "")
	require.InDelta(t, 0, s["accepted"], 0)
	require.InDelta(t, 0, s["scheduled"], 0)
	require.Empty(t, s["numbers"])
	require.Empty(t, w.admin(http.MethodGet, "faults", "")["rules"])
	require.InDelta(t, 1, w.admin(http.MethodGet, "config", "")["delivered_rate"], 0)
}

func TestAdmin_ClockAdvances(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	out := w.admin(http.MethodPost, "clock", `{"advance_seconds":90.5}`)
	require.Equal(t, start().Add(90500*time.Millisecond).Format(time.RFC3339Nano), out["now"])
}

func TestAdmin_NumberUpgradeIsPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.admin(http.MethodPut, "numbers/"+w.phone, `{"throughput_level":"STANDARD"}`)
	w.admin(http.MethodPut, "numbers/"+w.phone, `{"throughput_level":"HIGH"}`)
	w.eventually(func() bool { return len(w.hook.values(t, "phone_number_quality_update")) == 1 }, "the upgrade")
	require.Equal(t, "THROUGHPUT_UPGRADE", w.hook.values(t, "phone_number_quality_update")[0]["event"])
}

func TestLatency_IsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"latency_ms":30,"jitter_ms":10}`)
	from := time.Now()
	w.sendTo("+919876543210", "")
	require.GreaterOrEqual(t, time.Since(from), 20*time.Millisecond)
}

func TestNumbers_ListAndFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	row := at[object](t, w.graph(http.MethodGet, w.waba+"/phone_numbers", "").body, "data", 0)
	require.Equal(t, []any{w.phone, "+1 555-078-3881", "Acme", "GREEN", "VERIFIED"}, []any{
		row["id"], row["display_phone_number"], row["verified_name"], row["quality_rating"], row["code_verification_status"],
	})
	require.Equal(t, object{"level": "HIGH"}, row["throughput"])
	one := w.graph(http.MethodGet, w.phone+"?fields=throughput{level},whatsapp_business_manager_messaging_limit,name_status", "")
	require.Equal(t, object{
		"id": w.phone, "throughput": object{"level": "HIGH"}, "name_status": "APPROVED",
		"whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
	}, one.body)
	require.Equal(t, 100, w.graph(http.MethodGet, w.phone+"?fields=shoe_size", "").code())
}

func TestWaba_Fields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	got := w.graph(http.MethodGet, w.waba+"?fields=name,currency,owner_business_info,health_status", "").body
	require.Equal(t, "Acme", got["name"])
	require.Equal(t, "USD", got["currency"])
	require.Equal(t, w.business, at[string](t, got, "owner_business_info", "id"))
	require.Equal(t, "AVAILABLE", at[string](t, got, "health_status", "can_send_message"))
	list := w.graph(http.MethodGet, w.business+"/owned_whatsapp_business_accounts", "").body
	require.Equal(t, w.waba, at[string](t, list, "data", 0, "id"))
	require.Equal(t, w.business, w.graph(http.MethodGet, w.business, "").body["id"])
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	post := func(edge, body string) answer { return w.graph(http.MethodPost, w.phone+"/"+edge, body) }
	require.Equal(t, http.StatusOK, post("deregister", "").status)
	require.Equal(t, 133010, w.send(nil).code())
	require.Equal(t, 100, post("register", `{"messaging_product":"whatsapp","pin":"12"}`).code())
	require.Equal(t, http.StatusOK, post("register", `{"messaging_product":"whatsapp","pin":"123456"}`).status)
	require.Equal(t, 133005, post("register", `{"messaging_product":"whatsapp","pin":"654321"}`).code())
	require.Equal(t, http.StatusOK, w.send(nil).status)
	require.Equal(t, object{"success": true}, post("whatsapp_business_profile", `{"messaging_product":"whatsapp","about":"Shoes"}`).body)
	require.Equal(t, "Shoes", at[string](t, w.graph(http.MethodGet, w.phone+"/whatsapp_business_profile", "").body, "data", 0, "about"))
}

func TestSignup_CodeIsExchangedOnceAndSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	code := func() string {
		return at[string](t, w.admin(http.MethodPost, "codes", `{"waba_id":"`+w.waba+`"}`), "code")
	}
	exchange := func(code, secret string) answer {
		q := url.Values{"client_id": {appID}, "client_secret": {secret}, "code": {code}}
		return w.do(http.MethodGet, "/v23.0/oauth/access_token?"+q.Encode(), "", "")
	}
	one := code()
	require.Equal(t, 1, exchange(one, "wrong").code())
	got := exchange(one, appSecret)
	require.Equal(t, "bearer", got.body["token_type"])
	token := at[string](t, got.body, "access_token")
	require.NotEqual(t, w.token, token)
	require.Equal(t, http.StatusOK, w.do(http.MethodGet, "/v23.0/"+w.waba, "", token).status)
	require.Equal(t, 36009, exchange(one, appSecret).subcode())
	late := code()
	w.advance(30 * time.Second)
	require.Equal(t, 36007, exchange(late, appSecret).subcode())

	info := w.do(http.MethodGet, "/v23.0/debug_token?input_token="+token, "", appID+"|"+appSecret).body
	require.True(t, at[bool](t, info, "data", "is_valid"))
	require.Equal(t, []any{w.waba}, at[[]any](t, info, "data", "granular_scopes", 0, "target_ids"))
	require.Equal(t, 100, w.do(http.MethodGet, "/v23.0/debug_token?input_token="+token, "", w.token).code())
	gone := w.do(http.MethodGet, "/v23.0/debug_token?input_token=EAAx", "", appID+"|"+appSecret).body
	require.False(t, at[bool](t, gone, "data", "is_valid"))
	require.Equal(t, 190, w.do(http.MethodGet, "/v23.0/debug_token?input_token=x", "", appID+"|wrong").code())
}

func TestMedia_UploadLookUpDownloadDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	upload := func(kind string, data []byte) answer {
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		require.NoError(t, m.WriteField("messaging_product", "whatsapp"))
		part, err := m.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="f"`}, "Content-Type": {kind}})
		require.NoError(t, err)
		_, err = part.Write(data)
		require.NoError(t, err)
		require.NoError(t, m.Close())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v23.0/"+w.phone+"/media", &form)
		require.NoError(t, err)
		req.Header.Set("Content-Type", m.FormDataContentType())
		req.Header.Set("Authorization", "Bearer "+w.token)
		return w.decoded(req)
	}
	require.Equal(t, 100, upload("application/x-msdownload", []byte("MZ")).code())
	require.Equal(t, 100, upload("image/png", make([]byte, 5<<20+1)).code())
	id := at[string](t, upload("image/png", []byte("pixels")).body, "id")

	info := w.graph(http.MethodGet, id+"?phone_number_id="+w.phone, "")
	require.Equal(t, []any{"image/png", "6", id}, []any{info.body["mime_type"], info.body["file_size"], info.body["id"]})
	require.Equal(t, 33, w.graph(http.MethodGet, id+"?phone_number_id=1", "").subcode())
	path := strings.TrimPrefix(at[string](t, info.body, "url"), w.url)
	require.Equal(t, "pixels", string(w.do(http.MethodGet, path, "", w.token).raw))
	require.Equal(t, http.StatusUnauthorized, w.do(http.MethodGet, path, "", "").status)
	w.advance(6 * time.Minute)
	require.Equal(t, http.StatusNotFound, w.do(http.MethodGet, path, "", w.token).status, "five minutes")
	require.Equal(t, object{"success": true}, w.graph(http.MethodDelete, id, "").body)
	require.Equal(t, 33, w.graph(http.MethodGet, id, "").subcode())
}

func TestUpload_CanBeResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	started := w.graph(http.MethodPost, appID+"/uploads?file_length=10&file_type=image/png&file_name=a.png", "")
	id := at[string](t, started.body, "id")
	part := func(offset, data string) object {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v23.0/"+id, strings.NewReader(data))
		require.NoError(t, err)
		req.Header.Set("Authorization", "OAuth "+w.token)
		req.Header.Set("file_offset", offset)
		return w.decoded(req).body
	}
	require.InDelta(t, 4, part("0", "abcd")["file_offset"], 0)
	require.InDelta(t, 4, w.graph(http.MethodGet, id, "").body["file_offset"], 0)
	require.Contains(t, part("4", "efghij")["h"], "4::")
}

// decoded makes a request that do cannot make.
func (w *world) decoded(req *http.Request) answer {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return decode(resp, raw)
}

package metasim_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSend_AnswersAsMeta(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	a := w.send(object{"to": "+91 (987) 654-3210"})
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "application/json; charset=UTF-8", a.header.Get("Content-Type"))
	require.Equal(t, "v23.0", a.header.Get("Facebook-Api-Version"))
	require.Equal(t, "whatsapp", a.body["messaging_product"])
	require.Equal(t, object{"input": "+91 (987) 654-3210", "wa_id": "919876543210"}, at[object](t, a.body, "contacts", 0))
	require.Equal(t, "accepted", at[string](t, a.body, "messages", 0, "message_status"))

	id, found := strings.CutPrefix(at[string](t, a.body, "messages", 0, "id"), "wamid.")
	require.True(t, found)
	raw, err := base64.StdEncoding.DecodeString(id)
	require.NoError(t, err)
	require.Equal(t, "\x1c\x18\x0c919876543210\x15\x02\x00\x11\x18\x12", string(raw[:len(raw)-19]))
}

// Each case breaks its own rule and, where it can, every later one as well:
// what is reported is the earliest.
func TestSend_ChecksInMetasOrder(t *testing.T) {
	t.Parallel()
	bad := object{"messaging_product": "telegram", "template": template("gone", "xx")}
	tests := map[string]struct {
		prepare string // PUT /_sim/numbers/{id}
		lock    int
		token   string // "-": none; "": the account's
		phone   string
		body    object
		raw     string

		status, code, subcode int
		details               string
	}{
		"no token at all":                          {token: "-", phone: "1", body: bad, status: 401, code: 104},
		"a token that is no token":                 {token: "x", phone: "1", body: bad, status: 401, code: 190},
		"a token nobody issued":                    {token: "EAAunknown", phone: "1", body: bad, status: 401, code: 190},
		"a number that is not there":               {phone: "106540352242922", body: bad, status: 400, code: 100, subcode: 33},
		"a number that is not registered":          {prepare: `{"registered":false}`, lock: 131031, body: bad, status: 400, code: 133010},
		"an account that is locked":                {lock: 131031, body: bad, status: 403, code: 131031},
		"an account with a payment problem":        {lock: 131042, body: bad, status: 400, code: 131042},
		"another product":                          {body: bad, status: 400, code: 100},
		"no recipient":                             {body: object{"to": nil}, status: 400, code: 100},
		"a recipient that is no number":            {body: object{"to": "hello"}, status: 400, code: 131009},
		"a body that is not JSON":                  {raw: "to=1", status: 400, code: 100},
		"a field of another type":                  {raw: `{"messaging_product":["whatsapp"]}`, status: 400, code: 100},
		"oneself":                                  {body: object{"to": "+15550783881"}, status: 400, code: 131021},
		"a type that does not exist":               {body: object{"type": "hologram"}, status: 400, code: 131051},
		"a template message without its template":  {body: object{"template": nil}, status: 400, code: 100},
		"a text without a body":                    {body: object{"type": "text", "text": object{}}, status: 400, code: 100},
		"a text that is too long":                  {body: object{"type": "text", "text": object{"body": strings.Repeat("x", 4097)}}, status: 400, code: 100},
		"an image without source":                  {body: object{"type": "image", "image": object{"caption": "x"}}, status: 400, code: 131008},
		"an image with two sources":                {body: object{"type": "image", "image": object{"id": "1", "link": "https://x.example/a.png"}}, status: 400, code: 131009},
		"four reply buttons":                       {body: object{"type": "interactive", "interactive": replyButtons(4)}, status: 400, code: 131009},
		"callback data of 513 characters":          {body: object{"biz_opaque_callback_data": strings.Repeat("x", 513)}, status: 400, code: 131009},
		"a template that is not there":             {body: object{"template": template("gone", "en_US")}, status: 404, code: 132001, details: "template name (gone) does not exist in en_US"},
		"a template in another language":           {body: object{"template": template("seasonal_promotion", "en")}, status: 404, code: 132001},
		"too few parameters":                       {body: object{"template": template("order_update", "en_US", body("Ravi"))}, status: 400, code: 132000, details: "body: number of localizable_params (1) does not match the expected number of params (2)"},
		"parameters where there are none":          {body: object{"template": template("hello_world", "en_US", body("Ravi"))}, status: 400, code: 132000},
		"an empty parameter":                       {body: object{"template": template("order_update", "en_US", body("Ravi", ""))}, status: 400, code: 131008},
		"a parameter with a new line":              {body: object{"template": template("order_update", "en_US", body("Ravi", "a\nb"))}, status: 400, code: 132018},
		"an image where text belongs":              {body: object{"template": template("seasonal_promotion", "en_US", object{"type": "body", "parameters": []any{object{"type": "image", "image": object{"id": "1"}}}})}, status: 400, code: 132012},
		"a named template with nameless texts":     {body: object{"template": template("loyalty_offer", "en", body("Ravi", "120"))}, status: 400, code: 132018},
		"text that grows beyond the limit":         {body: object{"template": template("seasonal_promotion", "en_US", body(strings.Repeat("x", 1025)))}, status: 400, code: 132005},
		"a button the template does not have":      {body: object{"template": template("order_update", "en_US", body("Ravi", "1"), object{"type": "button", "sub_type": "url", "index": "0", "parameters": []any{object{"type": "text", "text": "x"}}})}, status: 400, code: 132018},
		"a component that does not exist":          {body: object{"template": template("hello_world", "en_US", object{"type": "tail"})}, status: 400, code: 100},
		"an authentication template to a user id":  {body: object{"to": nil, "recipient": "US.123", "template": template("login_code", "en_US")}, status: 400, code: 131062},
		"a code button without the code":           {body: object{"template": template("login_code", "en_US", body("123456"))}, status: 400, code: 131008, details: "buttons: Button at index 0 of type Url requires a parameter"},
		"a paused template":                        {body: object{"template": template("asleep", "en_US")}, status: 400, code: 132015},
		"a disabled template":                      {body: object{"template": template("dead", "en_US")}, status: 400, code: 132016},
		"a template that waits for its review":     {body: object{"template": template("waiting", "en_US")}, status: 404, code: 132001},
		"an image header that is missing":          {body: object{"template": template("picture", "en_US")}, status: 400, code: 132012, details: "header: Format mismatch, expected IMAGE, received UNKNOWN"},
		"an image header of the wrong kind":        {body: object{"template": template("picture", "en_US", object{"type": "header", "parameters": []any{object{"type": "video", "video": object{"id": "1"}}}})}, status: 400, code: 132012},
		"a marketing template by /messages passes": {status: 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			phone := checkAccount(w)
			if tt.prepare != "" {
				w.admin(http.MethodPut, "numbers/"+phone, tt.prepare)
			}
			if tt.lock != 0 {
				w.admin(http.MethodPut, "wabas/"+w.waba, fmt.Sprintf(`{"lock_code":%d}`, tt.lock))
			}
			if tt.phone != "" {
				phone = tt.phone
			}
			token := map[string]string{"": w.token, "-": ""}[tt.token]
			if tt.token != "" && tt.token != "-" {
				token = tt.token
			}
			raw := tt.raw
			if raw == "" {
				raw = message(t, tt.body)
			}
			a := w.do(http.MethodPost, "/v23.0/"+phone+"/messages", raw, token)
			require.Equal(t, tt.status, a.status, "%s", a.raw)
			require.Equal(t, tt.code, a.code(), "%s", a.raw)
			require.Equal(t, tt.subcode, a.subcode(), "%s", a.raw)
			if tt.details != "" {
				require.Equal(t, tt.details, a.details())
			}
			if tt.code != 0 {
				require.NotEmpty(t, at[string](t, a.body, "error", "fbtrace_id"))
			}
		})
	}
}

// checkAccount adds the account with a template in every state and makes it
// the world's; it returns the number.
func checkAccount(w *world) string {
	w.t.Helper()
	plain := func(name, status string) string {
		return fmt.Sprintf(`{"name":%q,"language":"en_US","category":"UTILITY","status":%q,"components":[{"type":"BODY","text":"Good morning."}]}`, name, status)
	}
	made := w.admin(http.MethodPost, "wabas", `{"name":"Checks","numbers":[{"display_phone_number":"+1 555 078 3881"}],"templates":[
		{"name":"seasonal_promotion","language":"en_US","category":"MARKETING","components":[
			{"type":"BODY","text":"Hi {{1}}, our sale is on today.","example":{"body_text":[["Ravi"]]}},{"type":"FOOTER","text":"Bye"}]},
		{"name":"order_update","language":"en_US","category":"UTILITY","components":[
			{"type":"BODY","text":"Hi {{1}}, your order {{2}} is on its way.","example":{"body_text":[["Ravi","A-1"]]}}]},
		{"name":"loyalty_offer","language":"en","category":"MARKETING","parameter_format":"NAMED","components":[
			{"type":"BODY","text":"Dear {{first_name}}, {{points}} points wait for you in store.","example":{"body_text_named_params":[
				{"param_name":"first_name","example":"Ravi"},{"param_name":"points","example":"12"}]}}]},
		{"name":"login_code","language":"en_US","category":"AUTHENTICATION","components":[
			{"type":"BODY","add_security_recommendation":true},{"type":"BUTTONS","buttons":[{"type":"OTP","otp_type":"COPY_CODE"}]}]},
		{"name":"picture","language":"en_US","category":"MARKETING","components":[
			{"type":"HEADER","format":"IMAGE","example":{"header_handle":["4::aW"]}},{"type":"BODY","text":"Look at this."}]},
		`+plain("hello_world", "APPROVED")+`,`+plain("asleep", "PAUSED")+`,`+plain("dead", "DISABLED")+`,`+plain("waiting", "PENDING")+`]}`)
	w.token, w.waba = at[string](w.t, made["access_token"]), at[string](w.t, made["waba_id"])
	w.phone = at[string](w.t, made, "phone_numbers", 0, "id")
	return w.phone
}

func replyButtons(n int) object {
	var list []any
	for i := range n {
		list = append(list, object{"type": "reply", "reply": object{"id": fmt.Sprint("id", i), "title": fmt.Sprint("title ", i)}})
	}
	return object{"type": "button", "body": object{"text": "choose"}, "action": object{"buttons": list}}
}

func TestSend_ThrottlesBeforeItReadsTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"high_rate":1,"throughput_mode":"SLIDING"}`)
	w.sendTo("+919876543210", "")
	a := w.send(object{"messaging_product": "telegram"})
	require.Equal(t, 130429, a.code())
	require.Equal(t, "Cloud API message throughput has been reached.", a.details())
	w.advance(time.Second)
	require.Equal(t, 100, w.send(object{"messaging_product": "telegram"}).code())
}

func TestSend_ChecksThePairBeforeTheTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range 45 {
		w.sendTo("+919876543210", "")
	}
	require.Equal(t, 131056, w.send(object{"template": template("gone", "en_US")}).code())
	require.Equal(t, 132001, w.send(object{"to": "+919876543211", "template": template("gone", "en_US")}).code())
}

func TestSend_TokenInManyPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	path := "/v23.0/" + w.phone + "/messages"
	require.Equal(t, http.StatusOK, w.do(http.MethodPost, path+"?access_token="+w.token, message(t, nil), "").status)
	require.Equal(t, http.StatusOK, w.do(http.MethodPost, "/"+w.phone+"/messages", message(t, nil), w.token).status, "no version")
	require.Equal(t, http.StatusOK, w.do(http.MethodPost, "/v12.0/"+w.phone+"/messages", message(t, nil), w.token).status, "a dead version")
	require.Equal(t, 2500, w.do(http.MethodPost, "/v99.0/"+w.phone+"/messages", message(t, nil), w.token).code())

	form := "messaging_product=whatsapp&to=%2B919876543210&type=text&text=%7B%22body%22%3A%22hi%22%7D&access_token=" + w.token
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(form))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestSend_TokenThatExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.admin(http.MethodPut, "tokens/"+w.token, `{"expires_in_seconds":60}`)
	require.Equal(t, http.StatusOK, w.send(nil).status)
	w.advance(time.Minute)
	a := w.send(nil)
	require.Equal(t, []int{401, 190, 463}, []int{a.status, a.code(), a.subcode()})
	require.Contains(t, at[string](t, a.body, "error", "message"), "Session has expired on Monday, 02-Nov-26 09:01:00 UTC")
}

func TestSend_ForeignObjectsAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	other := w.admin(http.MethodPost, "wabas", `{"name":"Other","numbers":[{"display_phone_number":"+15550001111"}]}`)
	theirs := at[string](t, other, "phone_numbers", 0, "id")
	for _, path := range []string{theirs, at[string](t, other["waba_id"]), at[string](t, other, "templates", 0, "id"), at[string](t, other["business_id"])} {
		a := w.graph(http.MethodGet, path, "")
		require.Equal(t, []int{400, 100, 33}, []int{a.status, a.code(), a.subcode()}, path)
	}
}

func TestSend_RewritesRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for input, want := range map[string]string{
		"+5531987654321": "553187654321",  // Brazil beyond area code 28 loses the ninth digit
		"+5511987654321": "5511987654321", // São Paulo keeps it
		"+525512345678":  "5215512345678", // Mexico gains a 1
		"919876543211":   "919876543211",
	} {
		a := w.send(object{"to": input})
		require.Equal(t, want, at[string](t, a.body, "contacts", 0, "wa_id"), input)
	}
	a := w.send(object{"to": nil, "recipient": "US.13491208655302741918"})
	require.Equal(t, object{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}, at[object](t, a.body, "contacts", 0))
}

func TestSend_MarketingMessagesAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	post := func(changes object) answer {
		return w.graph(http.MethodPost, w.phone+"/marketing_messages", message(t, changes))
	}
	require.Equal(t, http.StatusOK, post(nil).status)
	require.Equal(t, 131055, post(object{"template": template("hello_world", "en_US")}).code())
	require.Equal(t, 100, post(object{"type": "text", "text": object{"body": "hi"}}).code())
}

func TestSend_ReadReceipt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	a := w.graph(http.MethodPost, w.phone+"/messages", `{"messaging_product":"whatsapp","status":"read","message_id":"wamid.X"}`)
	require.Equal(t, object{"success": true}, a.body)
}

func TestSend_ThrottleStatusIsConfigurable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"high_rate":1,"throughput_mode":"SLIDING","throttle_status":429}`)
	w.sendTo("+919876543210", "")
	require.Equal(t, http.StatusTooManyRequests, w.send(nil).status)
}

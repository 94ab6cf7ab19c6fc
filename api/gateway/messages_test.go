package gateway_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/id"
)

const friend = "+919876543210"

func (u trader) offer(to string) object {
	return object{
		"to": to, "sender_number_id": u.number, "type": "template",
		"template": object{"name": "offer", "language": "en", "parameters": object{"body.1": "Asha Rao"}},
	}
}

func (u trader) text(body string) object {
	return object{"to": friend, "sender_number_id": u.number, "type": "text", "text": object{"body": body}}
}

// opens the window of a person to the number.
func (u trader) opens(number string, until time.Time) {
	u.t.Helper()
	keys, err := u.keys.For(u.t.Context(), u.vendor)
	require.NoError(u.t, err)
	index, err := keys.Index(contact.Identity(contact.WAID, strings.TrimPrefix(number, "+")))
	require.NoError(u.t, err)
	_, err = u.db.Super().Exec(u.t.Context(), `INSERT INTO conversation_windows VALUES ($1, $2, $3, $4)
		ON CONFLICT (vendor_id, sender_number_id, identity_hash) DO UPDATE SET open_until = EXCLUDED.open_until`, u.vendor, u.number, index, until)
	require.NoError(u.t, err)
}

func TestMessages_ATemplateToAnybody(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	u.post("/v1/messages", u.offer(friend)).is(http.StatusUnprocessableEntity)
	u.post("/v1/messages", u.offer(friend), key("m1")...).refused(http.StatusPaymentRequired, "wallet.insufficient_funds")
	u.topUp(money.Unit)
	made := u.post("/v1/messages", u.offer(friend), key("m1")...).is(http.StatusAccepted)
	require.Equal(t, "QUEUED", made["status"])
	require.Equal(t, "IN", made["country"])
	require.InDelta(t, 863_100, made["price_micros"], 0)
	require.Equal(t, made, u.post("/v1/messages", u.offer(friend), key("m1")...).is(http.StatusAccepted), "the same request, the same answer")
	u.post("/v1/messages", u.offer("+919876543211"), key("m1")...).refused(http.StatusUnprocessableEntity, "idempotency.key_reused")

	path := "/v1/messages/" + string(as[json.Number](t, number(made["id"])))
	require.Equal(t, "QUEUED", u.get(path).is(http.StatusOK)["status"])
	other := u.newTrader2("eve@other.example")
	other.get(path).refused(http.StatusNotFound, "message.not_found")
	u.get("/v1/messages/none").refused(http.StatusNotFound, "message.not_found")

	// What is kept tells nobody who it was or what was written, not even to who can guess.
	var rows []string
	for _, query := range []string{
		`SELECT string_agg(m::text, ' ') FROM message_logs m`, `SELECT string_agg(k::text, ' ') FROM idempotency_keys k`,
		`SELECT string_agg(e::text, ' ') FROM outbox_events e`,
	} {
		var text string
		require.NoError(t, u.db.Super().QueryRow(t.Context(), query).Scan(&text))
		rows = append(rows, text)
	}
	body, err := json.Marshal(u.offer(friend))
	require.NoError(t, err)
	guess := sha256.Sum256(body)
	for _, row := range append(rows, u.log.String()) {
		for _, secret := range []string{"9876543210", "Asha", string(guess[:])} {
			require.NotContains(t, row, secret)
		}
	}
	require.NotContains(t, strings.Join(rows, " "), "4173686120", "the name in hexadecimal")
}

// number keeps an id as it was printed.
func number(v any) any {
	text, _ := json.Marshal(v)
	return json.Number(text)
}

// newTrader2 is another vendor, who has a name and nothing else.
func (u trader) newTrader2(email string) user { return u.newUser(email) }

func TestMessages_FreeFormInsideTheWindowOnly(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	p := u.post("/v1/messages", u.text("hello"), key("t1")...).refused(http.StatusConflict, "message.window_closed")
	require.Contains(t, p["detail"], "template")
	u.opens(friend, time.Now().Add(-time.Second))
	u.post("/v1/messages", u.text("hello"), key("t1")...).refused(http.StatusConflict, "message.window_closed")
	u.opens(friend, time.Now().Add(time.Hour))
	made := u.post("/v1/messages", u.text("hello"), key("t1")...).is(http.StatusAccepted)
	require.InDelta(t, 0, made["price_micros"], 0, "the card has no price of service messages")

	// Sealed for its place: vendor, field, message.
	var content []byte
	require.NoError(t, u.db.Super().QueryRow(t.Context(), `SELECT content_ct FROM message_logs`).Scan(&content))
	keys, err := u.keys.For(t.Context(), u.vendor)
	require.NoError(t, err)
	plain, err := keys.Decrypt(crypt.Message, string(as[json.Number](t, number(made["id"]))), content)
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"text","text":{"body":"hello"}}`, string(plain))
}

func TestMessages_RefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	u.topUp(money.Unit)
	u.opens(friend, time.Now().Add(time.Hour))
	change := func(m object, key string, v any) object { m[key] = v; return m }
	tests := map[string]struct {
		body    object
		status  int
		code    string
		pointer string
	}{
		"a number that is none":      {u.offer("12345"), 422, "phone.too_short", "/to"},
		"another vendor's number":    {change(u.offer(friend), "sender_number_id", id.Random()), 404, "sender_number.not_found", ""},
		"a template of no one's":     {change(u.offer(friend), "template", object{"id": id.Random()}), 404, "template.not_found", ""},
		"a value missing":            {change(u.offer(friend), "template", object{"id": u.template}), 422, "template.value_missing", "/parameters/body.1"},
		"a type without its content": {change(u.text("a"), "type", "image"), 422, "message.bad_content", "/image"},
		"an unknown type":            {change(u.text("a"), "type", "fax"), 422, "request.invalid", "/type"},
	}
	for name, tt := range tests {
		p := u.post("/v1/messages", tt.body, key(id.Random())...).refused(tt.status, tt.code)
		if tt.pointer != "" {
			require.Equal(t, tt.pointer, as[object](t, as[[]any](t, p["errors"])[0])["pointer"], name)
		}
	}
	require.NotContains(t, u.log.String(), "12345")
}

func TestTestSends_WriteACampaignsMessageToAFew(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	path := "/v1/campaigns/" + as[string](t, made["id"]) + "/test-sends"
	few := object{"to": []string{friend, "98765 43211"}}
	u.post(path, few, key("s1")...).refused(http.StatusPaymentRequired, "wallet.insufficient_funds")
	u.topUp(863_100)
	u.post(path, few, key("s1")...).refused(http.StatusPaymentRequired, "wallet.insufficient_funds")
	var n int
	require.NoError(t, u.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM message_logs`).Scan(&n))
	require.Zero(t, n, "all or none")
	u.topUp(863_100)
	sent := as[[]any](t, u.post(path, few, key("s1")...).is(http.StatusAccepted)["messages"])
	require.Len(t, sent, 2)
	require.Equal(t, sent, u.post(path, few, key("s1")...).is(http.StatusAccepted)["messages"])
	row := as[object](t, sent[1])
	var content []byte
	require.NoError(t, u.db.Super().QueryRow(t.Context(), `SELECT content_ct FROM message_logs ORDER BY id DESC LIMIT 1`).Scan(&content))
	keys, err := u.keys.For(t.Context(), u.vendor)
	require.NoError(t, err)
	plain, err := keys.Decrypt(crypt.Message, string(as[json.Number](t, number(row["id"]))), content)
	require.NoError(t, err)
	require.Contains(t, string(plain), `"text":"friend"`, "the campaign's fallback")

	u.post(path, object{"to": []string{friend}, "parameters": object{"body.2": "x"}}, key("s2")...).refused(http.StatusUnprocessableEntity, "template.value_unknown")
	u.post(path, object{"to": []string{"1", "2", "3", "4", "5", "6"}}, key("s3")...).is(http.StatusUnprocessableEntity)
	u.post("/v1/campaigns/"+id.Random()+"/test-sends", few, key("s4")...).refused(http.StatusNotFound, "campaign.not_found")
	require.Equal(t, "DRAFT", u.get("/v1/campaigns/" + as[string](t, made["id"])).is(http.StatusOK)["status"])
}

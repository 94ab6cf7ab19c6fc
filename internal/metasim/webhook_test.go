package metasim_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func signature(name string, h func() hash.Hash, body []byte) string {
	mac := hmac.New(h, []byte(appSecret))
	mac.Write(body)
	return name + "=" + hex.EncodeToString(mac.Sum(nil))
}

func TestWebhook_IsSignedOverItsEscapedBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.sendTo("+919876543210", "zoë/🌻\"\\\n")
	w.eventually(func() bool { return len(w.hook.all()) == 1 }, "the sent status is posted")
	p := w.hook.all()[0]

	require.Equal(t, "application/json", p.header.Get("Content-Type"))
	require.Equal(t, signature("sha256", sha256.New, p.raw), p.header.Get("X-Hub-Signature-256"))
	require.Equal(t, signature("sha1", sha1.New, p.raw), p.header.Get("X-Hub-Signature"))
	for _, c := range p.raw {
		require.True(t, c >= 0x20 && c < 0x7f, "byte %x is not printable ASCII", c)
	}
	require.Contains(t, string(p.raw), `"biz_opaque_callback_data":"zo\u00eb\/\ud83c\udf3b\"\\\n"`)
	require.Equal(t, "zoë/🌻\"\\\n", w.hook.statuses(t)[0]["biz_opaque_callback_data"])
}

func TestWebhook_Lifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	id := w.sendTo("+919876543210", "k1.202611.m1.1")
	for n, want := range []string{"sent", "delivered", "read"} {
		w.eventually(func() bool { return len(w.hook.statuses(t)) == n+1 }, want)
		require.Equal(t, want, w.hook.kinds(t, id)[n])
		w.advance(time.Second)
	}
	entry := at[object](t, w.hook.all()[0].body, "entry", 0)
	require.Equal(t, w.waba, entry["id"])
	require.NotContains(t, entry, "time")

	value := w.hook.values(t, "messages")[0]
	require.Equal(t, object{"display_phone_number": "15550783881", "phone_number_id": w.phone}, value["metadata"])
	contact := at[object](t, value, "contacts", 0)
	require.Equal(t, "919876543210", contact["wa_id"])

	list := w.hook.statuses(t)
	sent, delivered, read := list[0], list[1], list[2]
	require.Equal(t, object{
		"id": id, "status": "sent", "timestamp": fmt.Sprint(start().Unix()), "recipient_id": "919876543210",
		"recipient_user_id": contact["user_id"], "biz_opaque_callback_data": "k1.202611.m1.1",
		"pricing": object{"billable": true, "pricing_model": "PMP", "type": "regular", "category": "marketing"},
	}, sent)
	require.Contains(t, delivered, "pricing")
	require.Equal(t, fmt.Sprint(start().Unix()+1), delivered["timestamp"])
	require.NotContains(t, read, "pricing")
	require.Equal(t, "k1.202611.m1.1", read["biz_opaque_callback_data"])
}

func TestWebhook_ReadWithoutDeliveredCarriesThePrice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"skip_delivered_rate":1}`)
	id := w.sendTo("+919876543210", "")
	w.advance(time.Minute)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 2 }, "sent and read")
	require.Equal(t, []string{"sent", "read"}, w.hook.kinds(t, id))
	require.Contains(t, w.hook.statuses(t)[1], "pricing")
}

func TestWebhook_FailedCarriesTheErrorAndNoContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"failed_rate":1,"failed_code":131026,"failed_after_sent_rate":0}`)
	w.sendTo("+919876543210", "k1.202611.m1.1")
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the failure is posted")
	s := w.hook.statuses(t)[0]
	require.Equal(t, "failed", s["status"])
	require.Equal(t, object{
		"code": 131026.0, "title": "Message undeliverable", "message": "Message undeliverable",
		"error_data": object{"details": "Message Undeliverable."},
		"href":       "/documentation/business-messaging/whatsapp/support/error-codes",
	}, at[object](t, s, "errors", 0))
	require.NotContains(t, s, "pricing")
	require.NotContains(t, s, "recipient_user_id")
	require.NotContains(t, w.hook.values(t, "messages")[0], "contacts")
	require.Equal(t, "k1.202611.m1.1", s["biz_opaque_callback_data"])
}

func TestWebhook_FailedMayOmitTheCallbackData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"failed_rate":1,"failed_after_sent_rate":1,"omit_callback_data_on_failed":true}`)
	w.sendTo("+919876543210", "k1.202611.m1.1")
	w.advance(time.Minute)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 2 }, "sent, then failed")
	require.Contains(t, w.hook.statuses(t)[0], "biz_opaque_callback_data")
	require.NotContains(t, w.hook.statuses(t)[1], "biz_opaque_callback_data")
}

func TestWebhook_NothingWithoutSubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	require.Equal(t, object{"success": true}, w.graph(http.MethodDelete, w.waba+"/subscribed_apps", "").body)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return number(w.stats(), "statuses", "unsubscribed") == 1 }, "the sent status fell due")
	require.Equal(t, object{"success": true}, w.graph(http.MethodPost, w.waba+"/subscribed_apps", "").body)
	w.advance(time.Second)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the delivered status is posted")
	require.Equal(t, "delivered", w.hook.statuses(t)[0]["status"])
	require.Equal(t, appID, at[string](t, w.graph(http.MethodGet, w.waba+"/subscribed_apps", "").body, "data", 0, "whatsapp_business_api_data", "id"))
}

func TestWebhook_IsRetriedUntil200(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0,"webhook_retry_ms":1000}`)
	w.hook.answerWith(http.StatusServiceUnavailable)
	w.sendTo("+919876543210", "")
	// The delay doubles from attempt to attempt, give or take a quarter.
	for n, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		w.eventually(func() bool { return number(w.stats(), "webhooks", "failures") == n+1 }, "the failure is booked")
		w.advance(wait * 74 / 100)
		require.Len(t, w.hook.all(), n+1, "not yet")
		w.advance(wait * 52 / 100)
		w.eventually(func() bool { return len(w.hook.all()) == n+2 }, "another attempt")
		require.Equal(t, w.hook.all()[0].raw, w.hook.all()[n+1].raw, "with the same bytes")
	}
	w.hook.answerWith(http.StatusOK)
	w.eventually(func() bool { return number(w.stats(), "webhooks", "failures") == 5 }, "the failure is booked")
	w.advance(time.Hour)
	w.eventually(func() bool { return number(w.stats(), "webhooks", "pending") == 0 }, "it is through")
	s := w.stats()
	require.Equal(t, 1, number(s, "webhooks", "delivered_updates"))
	require.Equal(t, 5, number(s, "webhooks", "retries"))
	require.Zero(t, number(s, "webhooks", "dropped"))
}

func TestWebhook_IsGivenUpAfterSevenDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0}`)
	w.hook.answerWith(http.StatusInternalServerError)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return number(w.stats(), "webhooks", "failures") == 1 }, "the first attempt")
	w.advance(8 * 24 * time.Hour)
	w.eventually(func() bool { return number(w.stats(), "webhooks", "dropped") == 1 }, "the last attempt")
}

func TestWebhook_BatchesUpToTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"webhook_batch":10,"sent_delay_ms":1000,"delivered_rate":0}`)
	for i := range 25 {
		w.sendTo(fmt.Sprintf("+9198%08d", i), "")
	}
	w.advance(2 * time.Second)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 25 }, "all statuses")
	require.Len(t, w.hook.all(), 3)
}

func TestWebhook_OneEntryPerAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"sent_delay_ms":1000,"delivered_rate":0}`)
	other := w.admin(http.MethodPost, "wabas", `{"name":"Other","subscribed":true,"numbers":[{"display_phone_number":"+15550001111"},{"display_phone_number":"+15550002222"}]}`)
	w.sendTo("+919876543210", "")
	for n := range 2 {
		a := w.do(http.MethodPost, "/v23.0/"+at[string](t, other, "phone_numbers", n, "id")+"/messages", message(t, nil), at[string](t, other["access_token"]))
		require.Equal(t, http.StatusOK, a.status)
	}
	w.advance(2 * time.Second)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 3 }, "all statuses")
	require.Len(t, w.hook.all(), 1)
	entries := at[[]any](t, w.hook.all()[0].body, "entry")
	require.Len(t, entries, 2)
	require.Len(t, at[[]any](t, entries, 1, "changes"), 2)
}

func TestWebhook_Reordered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"reorder_rate":1}`)
	id := w.sendTo("+919876543210", "")
	for n := 1; n <= 3; n++ {
		w.eventually(func() bool { return len(w.hook.statuses(t)) == n }, "one more status")
		w.advance(time.Second)
	}
	require.Equal(t, []string{"read", "delivered", "sent"}, w.hook.kinds(t, id))
	first, last := at[string](t, w.hook.statuses(t)[0]["timestamp"]), at[string](t, w.hook.statuses(t)[2]["timestamp"])
	require.Greater(t, first, last, "the times tell the truth")
}

func TestWebhook_DuplicatedStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"duplicate_rate":1}`)
	id := w.sendTo("+919876543210", "")
	w.advance(time.Minute)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 6 }, "every status twice")
	count := map[string]int{}
	for _, k := range w.hook.kinds(t, id) {
		count[k]++
	}
	require.Equal(t, map[string]int{"sent": 2, "delivered": 2, "read": 2}, count)
	require.Equal(t, 3, number(w.stats(), "statuses", "repeated"))
	require.Equal(t, 1, number(w.stats(), "statuses", "sent"))
}

func TestWebhook_RepeatedPosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"webhook_dup_rate":1,"delivered_rate":0}`)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return number(w.stats(), "webhooks", "repeated") == 1 }, "the first delivery")
	w.advance(time.Second)
	w.eventually(func() bool { return len(w.hook.all()) == 2 }, "the same bytes again")
	require.Equal(t, w.hook.all()[0].raw, w.hook.all()[1].raw)
}

func TestWebhook_ShuffleKeepsEveryStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"webhook_shuffle":true}`)
	for i := range 20 {
		w.sendTo(fmt.Sprintf("+9198%08d", i), "")
	}
	w.advance(time.Minute)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 60 }, "all statuses")
}

func TestHandshake_IsTriedUntilAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0}`)
	w.eventually(func() bool { return len(w.hook.handshakes()) == 1 }, "at boot")
	q, err := url.ParseQuery(w.hook.handshakes()[0])
	require.NoError(t, err)
	require.Equal(t, "subscribe", q.Get("hub.mode"))
	require.Equal(t, verifyToken, q.Get("hub.verify_token"))
	require.NotEmpty(t, q.Get("hub.challenge"))

	late := newReceiver(t)
	late.refuseHandshake(true)
	status, out := w.adminTry(http.MethodPut, "webhook", `{"url":"`+late.url+`","verify_token":"`+verifyToken+`"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, out["error"], "403")

	require.Equal(t, false, w.admin(http.MethodPut, "webhook", `{"url":"`+late.url+`","verify_token":"`+verifyToken+`","retry":true}`)["verified"])
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return number(w.stats(), "webhooks", "pending") == 1 }, "the status waits")
	late.refuseHandshake(false)
	require.Empty(t, late.all())
	w.advance(2 * time.Second)
	w.eventually(func() bool { return len(late.all()) == 1 }, "what waited is posted to the new callback")
	require.Empty(t, w.hook.all())
}

func TestHandshake_ChallengeMustComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	status, out := w.adminTry(http.MethodPut, "webhook", `{"url":"`+w.url+`/","verify_token":"x"}`) // answers 200 with other words
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, out["error"], "challenge")
}

func TestHandshake_SavedThroughTheGraphAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0}`)
	other := newReceiver(t)
	save := func(token, verify string) answer {
		q := url.Values{"object": {"whatsapp_business_account"}, "callback_url": {other.url}, "verify_token": {verify}, "fields": {"messages"}}
		return w.do(http.MethodPost, "/v23.0/"+appID+"/subscriptions?"+q.Encode(), "", token)
	}
	require.Equal(t, 15, save(w.token, verifyToken).code(), "only the app may")
	require.Equal(t, 2200, save(appID+"|"+appSecret, "wrong").code())
	require.Equal(t, http.StatusOK, save(appID+"|"+appSecret, verifyToken).status)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(other.all()) == 1 }, "webhooks go to the new callback")
}

func TestWebhook_Overrides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0,"pair_limit":false}`)
	account, phone := newReceiver(t), newReceiver(t)
	a := w.graph(http.MethodPost, w.waba+"/subscribed_apps", `{"override_callback_uri":"`+account.url+`","verify_token":"wrong"}`)
	require.Equal(t, 2200, a.code())
	a = w.graph(http.MethodPost, w.waba+"/subscribed_apps", `{"override_callback_uri":"`+account.url+`","verify_token":"`+verifyToken+`"}`)
	require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(account.all()) == 1 }, "the account's callback")

	set := func(u string) {
		body := `{"webhook_configuration":{"override_callback_uri":"` + u + `","verify_token":"` + verifyToken + `"}}`
		require.Equal(t, http.StatusOK, w.graph(http.MethodPost, w.phone, body).status)
	}
	set(phone.url)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(phone.all()) == 1 }, "the number's callback comes first")
	set("")
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(account.all()) == 2 }, "cleared again")
}

func TestWebhook_SecretCanBeRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0}`)
	w.admin(http.MethodPut, "webhook", `{"app_secret":"another"}`)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(w.hook.all()) == 1 }, "the status")
	p := w.hook.all()[0]
	mac := hmac.New(sha256.New, []byte("another"))
	mac.Write(p.raw)
	require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), p.header.Get("X-Hub-Signature-256"))
}

func TestPricing_FollowsTheRulesOfTheDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0,"pair_limit":false}`)
	price := func(changes object) object {
		before := len(w.hook.statuses(t))
		require.Equal(t, http.StatusOK, w.send(changes).status)
		w.eventually(func() bool { return len(w.hook.statuses(t)) == before+1 }, "the sent status")
		return at[object](t, w.hook.statuses(t)[before], "pricing")
	}
	text := object{"type": "text", "text": object{"body": "hello"}, "template": nil}
	w.admin(http.MethodPost, "inbound", `{"phone_number_id":"`+w.phone+`","from":"+919876543210","text":"hi"}`)
	for range 1000 {
		require.Equal(t, http.StatusOK, w.send(text).status)
		w.advance(time.Millisecond)
	}
	w.advance(time.Second)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1000 }, "the free thousand")
	require.Equal(t, "free_customer_service", at[string](t, w.hook.statuses(t)[999], "pricing", "type"))
	require.Equal(t, object{"billable": true, "pricing_model": "PMP", "type": "regular", "category": "service"}, price(text))
	require.Equal(t, "regular", price(object{"template": template("hello_world", "en_US")})["type"], "utility in the window, since 2026-10")
	require.Equal(t, "utility", price(object{"template": template("hello_world", "en_US")})["category"])
}

func TestWebhook_OlderVersionsCarryTheConversation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0,"webhook_version":23,"bsuid":false}`)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the sent status")
	s := w.hook.statuses(t)[0]
	require.Equal(t, "marketing", at[string](t, s, "conversation", "origin", "type"))
	require.NotContains(t, s, "recipient_user_id")
	require.NotContains(t, w.hook.values(t, "messages")[0], "contacts")
}

func TestInbound_IsPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	out := w.admin(http.MethodPost, "inbound", `{"phone_number_id":"`+w.phone+`","from":"+919876543210","text":"stop ✋","profile_name":"Zoë"}`)
	w.eventually(func() bool { return len(w.hook.all()) == 1 }, "the message")
	require.Contains(t, string(w.hook.all()[0].raw), `stop \u270b`)
	v := w.hook.values(t, "messages")[0]
	m := at[object](t, v, "messages", 0)
	require.Equal(t, out["message_id"], m["id"])
	require.Equal(t, "919876543210", m["from"])
	require.Equal(t, object{"body": "stop ✋"}, m["text"])
	require.Equal(t, "Zoë", at[string](t, v, "contacts", 0, "profile", "name"))
}

func TestServiceWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"pair_limit":false,"failed_after_sent_rate":0}`)
	text := object{"type": "text", "text": object{"body": "hello"}, "template": nil}
	last := func() string {
		n := len(w.hook.statuses(t))
		require.Equal(t, http.StatusOK, w.send(text).status, "Meta accepts and fails later")
		w.eventually(func() bool { return len(w.hook.statuses(t)) > n }, "a status")
		list := w.hook.statuses(t)
		return at[string](t, list[len(list)-1]["status"])
	}
	require.Equal(t, "failed", last())
	require.InDelta(t, 131047, at[float64](t, w.hook.statuses(t)[0], "errors", 0, "code"), 0)
	w.admin(http.MethodPost, "inbound", `{"phone_number_id":"`+w.phone+`","from":"+919876543210","text":"hi"}`)
	require.Equal(t, "sent", last())
}

func TestUserPreferences_StopMarketing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"failed_after_sent_rate":0}`)
	w.admin(http.MethodPost, "user_preferences", `{"phone_number_id":"`+w.phone+`","from":"+919876543210","value":"stop"}`)
	w.eventually(func() bool { return len(w.hook.values(t, "user_preferences")) == 1 }, "the preference")
	p := at[object](t, w.hook.values(t, "user_preferences")[0], "user_preferences", 0)
	require.Equal(t, []any{"stop", "marketing_messages", "919876543210"}, []any{p["value"], p["category"], p["wa_id"]})
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the failure")
	require.InDelta(t, 131050, at[float64](t, w.hook.statuses(t)[0], "errors", 0, "code"), 0)
	require.Equal(t, http.StatusOK, w.send(object{"template": template("hello_world", "en_US")}).status)
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 2 }, "utility still arrives")
	require.Equal(t, "sent", w.hook.statuses(t)[1]["status"])
}

func TestUSMarketingIsBlockedOnDemand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"us_marketing_block":true,"failed_after_sent_rate":0}`)
	us, canada := w.sendTo("+16505551234", ""), w.sendTo("+14165551234", "")
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 2 }, "both")
	require.Equal(t, []string{"failed"}, w.hook.kinds(t, us))
	require.Equal(t, []string{"sent"}, w.hook.kinds(t, canada))
}

func TestWebhook_BodyLimitDropsAndCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"delivered_rate":0,"webhook_max_pending_bytes":1500,"webhook_batch":1}`)
	w.hook.answerWith(http.StatusInternalServerError)
	w.sendTo("+919876543210", strings.Repeat("x", 400))
	w.sendTo("+919876543211", strings.Repeat("x", 400))
	w.eventually(func() bool { return number(w.stats(), "webhooks", "dropped_updates") == 1 }, "the second finds no room")
}

package gateway_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/id"
)

// failed is a campaign that is over, of whose n messages each failed for good (131026).
func (u trader) failed(n int) (campaign string) {
	u.t.Helper()
	campaign = id.New[string]()
	u.exec(`INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience, month, frozen_count, approved_at, frozen_at, started_at, finished_at)
		VALUES ($1, $2, 'Diwali', 'COMPLETED', $3, $4, 'MARKETING', '{}', to_char(now(), 'YYYYMM')::integer, $5, now(), now(), now(), now())`,
		u.vendor, campaign, u.template, u.number, n)
	keys, err := u.keys.For(u.t.Context(), u.vendor)
	require.NoError(u.t, err)
	for range n {
		contact := id.New[string]()
		sealed, err := keys.Encrypt(crypt.Mobile, contact, []byte("+919876543210"))
		require.NoError(u.t, err)
		u.exec(`WITH m AS (
				INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros)
				VALUES ($1, to_char(now(), 'YYYYMM')::integer, $2, $3, uuid_send(gen_random_uuid()), 'IN', $4, 1000) RETURNING id, month
			), a AS (
				INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status, failed_at, error_code, error_title)
				SELECT $1, id, 1, month, $2, gen_random_uuid(), 'FAILED', now(), 131026, 'Message undeliverable' FROM m
			)
			INSERT INTO dead_letters (vendor_id, id, source, campaign_id, message_id, attempt, month, cause_class, code, reason)
			SELECT $1, gen_random_uuid(), 'MESSAGE', $2, id, 1, month, 'RECIPIENT', 131026, 'Message undeliverable' FROM m`,
			u.vendor, campaign, contact, sealed)
	}
	return campaign
}

func TestDeadLetters_ListReadCount(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	c := u.failed(3)
	u.failed(1)

	page := u.get("/v1/dead-letters?limit=2&replayed=false&code=131026&cause_class=RECIPIENT&source=MESSAGE&campaign_id=" + c).is(http.StatusOK)
	require.Len(t, page["items"], 2)
	rest := u.get("/v1/dead-letters?campaign_id=" + c + "&cursor=" + as[string](t, page["next_cursor"])).is(http.StatusOK)
	require.Len(t, rest["items"], 1)
	require.NotContains(t, rest, "next_cursor")
	require.Empty(t, u.get("/v1/dead-letters?replayed=true").is(http.StatusOK)["items"])
	require.Empty(t, u.get("/v1/dead-letters?to=2020-01-01T00:00:00Z").is(http.StatusOK)["items"])
	u.get("/v1/dead-letters?colour=red").refused(http.StatusBadRequest, "request.unknown_parameter")
	u.get("/v1/dead-letters?cursor=x").refused(http.StatusBadRequest, "request.bad_cursor")
	u.get("/v1/dead-letters?source=PIGEON").refused(http.StatusUnprocessableEntity, "request.invalid")

	l := as[object](t, as[[]any](t, page["items"])[0])
	got := u.get("/v1/dead-letters/" + as[string](t, l["id"]))
	require.NotContains(t, string(got.body), "98765")
	detail := got.is(http.StatusOK)
	require.Contains(t, detail["remedy"], "not on WhatsApp")
	m := as[object](t, detail["message"])
	require.Equal(t, "+••••••••3210", m["phone"])
	require.Equal(t, "FAILED", m["status"])
	require.Equal(t, "Message undeliverable", m["meta_title"])

	sum := u.get("/v1/dead-letters/summary").is(http.StatusOK)
	require.InDelta(t, 4, sum["letters"], 0)
	cause := as[object](t, as[[]any](t, sum["causes"])[0])
	require.Equal(t, "UNDELIVERABLE", cause["title"])
	require.Equal(t, "RECIPIENT", cause["cause_class"])
	u.get("/v1/dead-letters/summary?limit=3").refused(http.StatusBadRequest, "request.unknown_parameter")

	stranger := u.newUser("eve@elsewhere.example")
	stranger.get("/v1/dead-letters/"+as[string](t, l["id"])).refused(http.StatusNotFound, "dead_letter.not_found")
	require.Empty(t, stranger.get("/v1/dead-letters").is(http.StatusOK)["items"])
	stranger.post("/v1/dead-letters/replays", object{"ids": []any{l["id"]}}, key("r")...).refused(http.StatusNotFound, "dead_letter.not_found")
	u.call("", "GET", "/v1/dead-letters", nil).refused(http.StatusUnauthorized, "auth.token_missing")
}

func TestDeadLetters_Replay(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	c := u.failed(3)
	ask := object{"filter": object{"campaign_id": c}, "rate_per_second": 5}
	dry := object{"filter": object{"campaign_id": c}, "dry_run": true}

	u.post("/v1/dead-letters/replays", ask).is(http.StatusUnprocessableEntity) // no key
	u.post("/v1/dead-letters/replays", object{}, key("r0")...).refused(http.StatusUnprocessableEntity, "dead_letter.bad_selection")
	u.post("/v1/dead-letters/replays", object{"ids": []string{"x"}}, key("r0")...).refused(http.StatusNotFound, "dead_letter.not_found")
	would := u.post("/v1/dead-letters/replays", dry, key("r1")...).is(http.StatusOK)
	require.InDelta(t, 3, would["messages"], 0)
	require.InDelta(t, 3000, would["price_micros"], 0)
	require.Equal(t, false, would["wallet_sufficient"])
	u.post("/v1/dead-letters/replays", ask, key("r1")...).refused(http.StatusPaymentRequired, "wallet.insufficient_funds")
	u.topUp(money.Unit)

	made := u.post("/v1/dead-letters/replays", ask, key("r1")...).is(http.StatusAccepted)
	require.Equal(t, made, u.post("/v1/dead-letters/replays", ask, key("r1")...).is(http.StatusAccepted), "a repeat is answered the same")
	u.post("/v1/dead-letters/replays", dry, key("r1")...).is(http.StatusOK)
	other := object{"filter": object{"campaign_id": c}, "rate_per_second": 6}
	u.post("/v1/dead-letters/replays", other, key("r1")...).refused(http.StatusUnprocessableEntity, "idempotency.key_reused")
	require.Equal(t, object{"currency": "INR", "balance_micros": 997_000.0, "held_micros": 3000.0, "low_balance_micros": nil}, u.get("/v1/wallet").is(http.StatusOK))

	replay := as[object](t, as[[]any](t, made["campaigns"])[0])
	require.Equal(t, c, replay["parent_id"])
	detail := u.get("/v1/campaigns/" + as[string](t, replay["campaign_id"])).is(http.StatusOK)
	require.Equal(t, "REPLAY", detail["kind"])
	require.Equal(t, "APPROVED", detail["status"])
	require.Equal(t, c, detail["parent_id"])
	require.InDelta(t, 3000, as[object](t, detail["money"])["held_micros"], 0)
	require.Len(t, u.get("/v1/campaigns").is(http.StatusOK)["items"], 1)
	require.Len(t, u.get("/v1/campaigns?kind=REPLAY").is(http.StatusOK)["items"], 1)

	l := as[object](t, as[[]any](t, u.get("/v1/dead-letters?replayed=true").is(http.StatusOK)["items"])[0])
	require.Equal(t, replay["campaign_id"], l["replay_campaign_id"])
}

func TestExplain_CampaignAndMessage(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	path := "/v1/campaigns/" + as[string](t, made["id"])
	waits := func() []any { return as[[]any](t, u.get(path + "/explain").is(http.StatusOK)["waits"]) }
	code := func(at int) any { return as[object](t, waits()[at])["code"] }

	require.Equal(t, "NOT_QUOTED", code(0))
	q := u.post(path+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	require.Equal(t, "AWAITING_APPROVAL", code(0))
	require.Equal(t, "WALLET_SHORT", code(2))
	u.topUp(10 * money.Unit)
	u.post(path+"/approve", object{"quotation_id": q["id"]}, key("a1")...).is(http.StatusAccepted)
	explained := u.get(path + "/explain").is(http.StatusOK)
	require.Equal(t, "STARTING", code(0))
	require.Equal(t, "APPROVED", explained["status"])
	require.NotEmpty(t, explained["finish_at"])

	u.failed(1)
	l := as[object](t, as[[]any](t, u.get("/v1/dead-letters").is(http.StatusOK)["items"])[0])
	message := "/v1/messages/" + strconv.Itoa(int(as[float64](t, l["message_id"])))
	got := u.get(message).is(http.StatusOK)
	require.Equal(t, "FAILED", got["status"])
	require.Equal(t, l["campaign_id"], got["campaign_id"])
	why := u.get(message + "/explain").is(http.StatusOK)
	require.Equal(t, "FAILED", as[object](t, as[[]any](t, why["waits"])[0])["code"])
	require.Equal(t, "DEAD_LETTER", as[object](t, as[[]any](t, why["waits"])[1])["code"])
	attempt := as[object](t, as[[]any](t, why["attempts"])[0])
	require.InDelta(t, 131026, attempt["code"], 0)
	require.NotEmpty(t, attempt["remedy"])

	stranger := u.newUser("eve@elsewhere.example")
	stranger.get(path+"/explain").refused(http.StatusNotFound, "campaign.not_found")
	for _, p := range []string{message, message + "/explain", "/v1/messages/x", "/v1/messages/-1"} {
		stranger.get(p).refused(http.StatusNotFound, "message.not_found")
	}
}

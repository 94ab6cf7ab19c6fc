package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// trader is a vendor with an approved template, a number, prices, and contacts.
type trader struct {
	user

	template, number string
}

func (w *world) newTrader(email string) trader {
	w.t.Helper()
	u := trader{user: w.newUser(email), template: id.New[string](), number: id.New[string]()}
	account := id.New[string]()
	exec := func(sql string, args ...any) {
		_, err := w.db.Super().Exec(w.t.Context(), sql, args...)
		require.NoError(w.t, err)
	}
	exec(`INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, $3, '')`, u.vendor, account, account)
	exec(`INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) VALUES ($1, $2, $3, $4)`, u.vendor, u.number, account, account)
	exec(`INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
		VALUES ($1, $2, $3, '1', 'offer', 'en', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi {{1}}"}]')`, u.vendor, u.template, account)
	label := id.New[string]()
	exec(`INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'VIP')`, u.vendor, label)
	exec(`WITH c AS (
			INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country)
			SELECT $1, gen_random_uuid(), uuid_send(gen_random_uuid()), '', 'IN' FROM generate_series(1, 10) RETURNING id)
		INSERT INTO contact_labels (vendor_id, label_id, contact_id) SELECT $1, $2, id FROM c`, u.vendor, label)
	operator, err := store.New(w.db.Operator())
	require.NoError(w.t, err)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: "market,currency,effective_from,marketing\nIndia,INR,2026-10-01,0.8631\n"})
	require.NoError(w.t, err)
	_, err = operator.LoadRateCard(w.t.Context(), cards)
	require.NoError(w.t, err)
	return u
}

func (u trader) topUp(amount money.Micros) {
	u.t.Helper()
	_, err := u.store.TopUp(u.t.Context(), u.vendor, "INR", wallet.TopUp(id.Random(), amount))
	require.NoError(u.t, err)
}

func (u trader) campaign() object {
	return object{
		"name": "Diwali", "template_id": u.template, "sender_number_id": u.number,
		"audience":   object{"any_labels": []string{"vip"}},
		"parameters": object{"body.1": object{"source": "FIELD", "name": "name", "fallback": "friend"}},
	}
}

func key(text string) []string { return []string{"Idempotency-Key", text} }

func TestCampaign_FromDraftToApproval(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")

	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	require.Equal(t, "DRAFT", made["status"])
	require.Equal(t, "Asia/Kolkata", made["time_zone"])
	require.Equal(t, object{"any_labels": []any{"vip"}}, made["audience"])
	again := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	require.Equal(t, made, again, "the same request is answered the same and makes nothing")
	path := "/v1/campaigns/" + as[string](t, made["id"])

	q := u.post(path+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	require.Equal(t, "Q-"+time.Now().UTC().Format("2006")+"-000001", q["number"])
	require.InDelta(t, 8_631_000, q["total_micros"], 0)
	require.Equal(t, false, q["wallet_sufficient"])
	require.Equal(t, "PENDING", q["pdf_status"])
	approval := object{"quotation_id": q["id"]}

	u.post(path+"/approve", approval).is(http.StatusUnprocessableEntity)
	p := u.post(path+"/approve", approval, key("a1")...).refused(http.StatusPaymentRequired, "wallet.insufficient_funds")
	require.Contains(t, p["detail"], "8.631")
	u.topUp(10 * money.Unit)
	for range 2 {
		approved := u.post(path+"/approve", approval, key("a1")...).is(http.StatusAccepted)
		require.Equal(t, "APPROVED", approved["status"])
	}
	u.post(path+"/approve", object{"quotation_id": id.Random()}, key("a1")...).refused(http.StatusUnprocessableEntity, "idempotency.key_reused")

	detail := u.get(path).is(http.StatusOK)
	require.Equal(t, "APPROVED", detail["status"])
	require.InDelta(t, 8_631_000, as[object](t, detail["money"])["held_micros"], 0)
	purse := u.get("/v1/wallet").is(http.StatusOK)
	require.Equal(t, object{"currency": "INR", "balance_micros": 1_369_000.0, "held_micros": 8_631_000.0, "low_balance_micros": nil}, purse)
	history := u.get("/v1/wallet/transactions?limit=1").is(http.StatusOK)
	require.Equal(t, "HOLD", as[object](t, as[[]any](t, history["items"])[0])["kind"])
	rest := u.get("/v1/wallet/transactions?cursor=" + as[string](t, history["next_cursor"])).is(http.StatusOK)
	require.Equal(t, "TOP_UP", as[object](t, as[[]any](t, rest["items"])[0])["kind"])
	require.Len(t, u.get("/v1/wallet/transactions?campaign_id=" + as[string](t, made["id"])).is(http.StatusOK)["items"], 1)

	u.post(path+"/pause", nil).refused(http.StatusConflict, "campaign.wrong_state")
	require.Equal(t, "CANCELLED", u.post(path+"/cancel", nil).is(http.StatusOK)["status"])
	require.Empty(t, u.get(path + "/messages").is(http.StatusOK)["items"])
}

func TestCampaign_List(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	for _, k := range []string{"1", "2", "3"} {
		u.post("/v1/campaigns", u.campaign(), key(k)...).is(http.StatusCreated)
	}
	first := u.get("/v1/campaigns?limit=2").is(http.StatusOK)
	require.Len(t, first["items"], 2)
	second := u.get("/v1/campaigns?limit=2&cursor=" + as[string](t, first["next_cursor"])).is(http.StatusOK)
	require.Len(t, second["items"], 1)
	require.NotContains(t, second, "next_cursor")
	require.Empty(t, u.get("/v1/campaigns?status=RUNNING").is(http.StatusOK)["items"])
	u.get("/v1/campaigns?colour=red").refused(http.StatusBadRequest, "request.unknown_parameter")
	u.get("/v1/campaigns?cursor=x").refused(http.StatusBadRequest, "request.bad_cursor")
}

func TestCampaign_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	tests := map[string]struct {
		field  string
		value  any
		status int
		code   string
	}{
		"a label that is not there":    {"audience", object{"any_labels": []string{"nobody"}}, 422, "campaign.bad_audience"},
		"nobody asked for":             {"audience", object{}, 422, "campaign.bad_audience"},
		"a variable left open":         {"parameters", object{}, 422, "campaign.bad_parameters"},
		"a template that is not there": {"template_id", id.Random(), 404, "template.not_found"},
		"a number that is not there":   {"sender_number_id", id.Random(), 404, "sender_number.not_found"},
		"a time that is over":          {"scheduled_at", "2020-01-01T00:00:00Z", 422, "campaign.bad_schedule"},
		"a zone that is none":          {"time_zone", "Mars/Olympus", 422, "campaign.bad_schedule"},
		"a field nobody knows":         {"colour", "red", 422, "request.invalid"},
	}
	for name, tt := range tests {
		t.Log(name)
		c := u.campaign()
		c[tt.field] = tt.value
		u.post("/v1/campaigns", c, key(id.Random())...).refused(tt.status, tt.code)
	}
}

func TestCampaign_OfAnotherVendorIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	path := "/v1/campaigns/" + as[string](t, made["id"])
	q := u.post(path+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	offer := "/v1/quotations/" + as[string](t, q["id"])

	stranger := w.newUser("eve@elsewhere.example")
	stranger.get(path).refused(http.StatusNotFound, "campaign.not_found")
	stranger.get(path+"/messages").refused(http.StatusNotFound, "campaign.not_found")
	stranger.post(path+"/quotations", nil, key("q")...).refused(http.StatusNotFound, "campaign.not_found")
	stranger.post(path+"/approve", object{"quotation_id": q["id"]}, key("a")...).refused(http.StatusNotFound, "campaign.not_found")
	for _, verb := range []string{"/pause", "/resume", "/cancel"} {
		stranger.post(path+verb, nil).refused(http.StatusNotFound, "campaign.not_found")
	}
	stranger.get(offer).refused(http.StatusNotFound, "quotation.not_found")
	stranger.get(offer+"/pdf").refused(http.StatusNotFound, "quotation.not_found")
	stranger.post(offer+"/pdf/retry", nil).refused(http.StatusNotFound, "quotation.not_found")
	stranger.post(offer+"/pdf/link", nil).refused(http.StatusNotFound, "quotation.not_found")
	stranger.get(offer+"/explain").refused(http.StatusNotFound, "quotation.not_found")
	require.Empty(t, stranger.get("/v1/campaigns").is(http.StatusOK)["items"])
	stranger.get("/v1/campaigns/nothing").refused(http.StatusNotFound, "resource.not_found")
	w.call("", "GET", path, nil).refused(http.StatusUnauthorized, "auth.token_missing")
}

func TestQuotation_ExplainAndDocument(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	q := u.post("/v1/campaigns/"+as[string](t, made["id"])+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	offer := "/v1/quotations/" + as[string](t, q["id"])
	offered := func() object { // what it foretells is reckoned from now, and passes with the seconds
		t.Helper()
		q := u.get(offer).is(http.StatusOK)
		require.NotEmpty(t, q["forecast"])
		delete(q, "forecast")
		return q
	}

	delete(q, "forecast")
	require.Equal(t, q, offered())
	explained := u.get(offer + "/explain").is(http.StatusOK)
	require.Equal(t, true, explained["matches"])
	require.Equal(t, q["fingerprint"], explained["fingerprint"])
	require.Contains(t, explained["steps"], "India: 10 messages at ₹0.8631.")

	u.get(offer+"/pdf").refused(http.StatusConflict, "quotation.pdf_not_ready")
	ctx, issued := t.Context(), quotation.ID(as[string](t, q["id"]))
	require.NoError(t, u.store.MoveQuotationPDF(ctx, u.vendor, issued, quotation.PDFFailed, "pdf.failed"))
	u.get(offer+"/pdf").refused(http.StatusConflict, "quotation.pdf_failed")
	require.NoError(t, u.blob.Put(ctx, "quotations/x.pdf", "application/pdf", []byte("%PDF-1.7")))
	require.NoError(t, u.store.MoveQuotationPDF(ctx, u.vendor, issued, quotation.PDFReady, "quotations/x.pdf"))
	got := u.get(offer + "/pdf")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "%PDF-1.7", string(got.body))
	require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
	require.Contains(t, got.header.Get("Content-Disposition"), as[string](t, q["number"])+".pdf")

	u.post(offer+"/pdf/retry", nil).refused(http.StatusConflict, "quotation.pdf_ready")
	u.exec(`UPDATE quotations SET inputs = jsonb_set(inputs, '{markets,0,unit_micros}', '1')`)
	u.get(offer+"/explain").refused(http.StatusInternalServerError, "quotation.fingerprint_mismatch")
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.db.Super().Exec(w.t.Context(), sql, args...)
	require.NoError(w.t, err)
}

package gateway_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/testkit/razorpaytest"
)

func TestStatement(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	u.topUp(5 * money.Unit)
	got := u.get("/v1/wallet/statement").is(http.StatusOK)
	require.InDelta(t, 5_000_000, as[object](t, got["closing"])["balance_micros"], 0)
	require.Len(t, as[[]any](t, got["entries"]), 1)
	for format, media := range map[string]string{
		"csv": "text/csv; charset=utf-8", "pdf": "application/pdf",
		"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	} {
		a := u.get("/v1/wallet/statement?format=" + format)
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, media, a.header.Get("Content-Type"))
		require.Contains(t, a.header.Get("Content-Disposition"), "."+format)
		require.NotEmpty(t, a.body)
	}
	u.get("/v1/wallet/statement?format=doc").refused(http.StatusUnprocessableEntity, "wallet.bad_format")
	u.get("/v1/wallet/statement?from=soon").refused(http.StatusUnprocessableEntity, "wallet.bad_period")
	u.get("/v1/wallet/statement?form=csv").refused(http.StatusBadRequest, "request.unknown_parameter")
	require.Equal(t, http.StatusUnauthorized, u.call("", http.MethodGet, "/v1/wallet/statement", nil).status)
}

func TestWallet_Threshold(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	u.topUp(5 * money.Unit)
	require.Nil(t, u.get("/v1/wallet").is(http.StatusOK)["low_balance_micros"])
	patch := func(body object) answer { return u.call(u.token, http.MethodPatch, "/v1/wallet", body) }
	got := patch(object{"low_balance_micros": 6_000_000}).is(http.StatusOK)
	require.InDelta(t, 6_000_000, got["low_balance_micros"], 0)
	require.NotNil(t, got["low_since"])
	require.Equal(t, got, patch(object{}).is(http.StatusOK))
	u.topUp(money.Unit)
	require.Nil(t, u.get("/v1/wallet").is(http.StatusOK)["low_since"])
	patch(object{"low_balance_micros": 0}).refused(http.StatusUnprocessableEntity, "wallet.bad_threshold")
	require.Nil(t, patch(object{"low_balance_micros": nil}).is(http.StatusOK)["low_balance_micros"])
}

func TestPayments_AProviderTopsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newTrader("asha@acme.example")
	const orders = "/v1/wallet/payment-orders"
	ask := object{"amount_micros": 250_500_000}
	u.post(orders, ask).is(http.StatusUnprocessableEntity) // without a key
	made := u.post(orders, ask, key("p1")...).is(http.StatusCreated)
	require.Equal(t, "CREATED", made["status"])
	require.Equal(t, razorpaytest.KeyID, made["provider_key"])
	require.Equal(t, made, u.post(orders, ask, key("p1")...).is(http.StatusCreated), "the same request, the same answer")
	u.post(orders, object{"amount_micros": 999_999}, key("p2")...).refused(http.StatusUnprocessableEntity, "payment.bad_amount")
	one := orders + "/" + as[string](t, made["id"])
	u.newTrader2("eve@other.example").get(one).refused(http.StatusNotFound, "payment.order_not_found")

	order := as[string](t, made["provider_order_id"])
	notices, err := w.razorpay.Pay(order, razorpaytest.Payment{})
	require.NoError(t, err)
	balance := func(want money.Micros) {
		t.Helper()
		require.InDelta(t, float64(want), u.get("/v1/wallet").is(http.StatusOK)["balance_micros"], 0)
	}
	for range 3 { // the provider repeats, and not in order
		for _, i := range []int{2, 1, 0} {
			require.Equal(t, http.StatusOK, w.notice(notices[i]).status, notices[i].Event)
		}
	}
	balance(250_500_000)
	got := u.get(one).is(http.StatusOK)
	require.Equal(t, "PAID", got["status"])
	require.NotEmpty(t, got["paid_at"])
	again, err := w.razorpay.Pay(order, razorpaytest.Payment{ID: notices[1].Payment})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.notice(again[1]).status, "the same payment under another event")
	balance(250_500_000)

	forged := notices[1]
	forged.Signature = razorpaytest.Sign("guessed", forged.Body)
	w.notice(forged).refused(http.StatusForbidden, "payment.bad_signature")
	require.NotContains(t, w.log.String(), "okbank", "who paid is in no log")
	require.NotContains(t, w.log.String(), "was not booked")
}

func TestPayments_WhatDoesNotFitIsNotBooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newTrader("asha@acme.example")
	made := u.post("/v1/wallet/payment-orders", object{"amount_micros": 5_000_000}, key("p1")...).is(http.StatusCreated)
	order := as[string](t, made["provider_order_id"])
	for name, p := range map[string]razorpaytest.Payment{
		"OTHER_AMOUNT": {Amount: 499}, "OTHER_CURRENCY": {Currency: "USD"},
	} {
		notices, err := w.razorpay.Pay(order, p)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, w.notice(notices[1]).status, "a repeat would not change it")
		require.Contains(t, w.log.String(), name)
	}
	require.InDelta(t, 0, u.get("/v1/wallet").is(http.StatusOK)["balance_micros"], 0)
	notices, err := w.razorpay.Pay(order, razorpaytest.Payment{})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.notice(notices[1]).status)
	second, err := w.razorpay.Pay(order, razorpaytest.Payment{})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.notice(second[1]).status)
	require.InDelta(t, 5_000_000, u.get("/v1/wallet").is(http.StatusOK)["balance_micros"], 0)
	require.Contains(t, w.log.String(), "ORDER_PAID_BEFORE")
	d, err := w.store.ReconcileWallet(t.Context(), u.vendor)
	require.NoError(t, err)
	require.True(t, d.OK(), "%+v", d)

	stray := notices[1]
	stray.Body = bytes.ReplaceAll(stray.Body, []byte(order), []byte("order_ofanother123"))
	stray.Signature = razorpaytest.Sign(razorpaytest.WebhookSecret, stray.Body)
	require.Equal(t, http.StatusOK, w.notice(stray).status, "an order of another product")
	_, err = w.db.Super().Exec(t.Context(), `BEGIN; SET LOCAL session_replication_role = replica;
		UPDATE payment_orders SET payment_id = 'pay_other'; COMMIT`)
	require.NoError(t, err)
	d, err = w.store.ReconcileWallet(t.Context(), u.vendor)
	require.NoError(t, err)
	require.Equal(t, int64(2), d.Payments)
}

// notice delivers one of the provider's.
func (w *world) notice(n razorpaytest.Notice) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/v1/payments/razorpay", bytes.NewReader(n.Body))
	r.Header = n.Header()
	return w.do(r)
}

func TestBilling(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	got := u.get("/v1/wallet/billing?month=2026-10").is(http.StatusOK)
	require.Equal(t, "INR", got["currency"])
	require.Empty(t, as[[]any](t, got["lines"]))
	u.get("/v1/wallet/billing?month=October").refused(http.StatusUnprocessableEntity, "wallet.bad_month")
	u.get("/v1/campaigns/0199a4a0-0000-7000-8000-000000000000/billing").refused(http.StatusNotFound, "campaign.not_found")
}

package payment_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/payment"
	"github.com/kloyst/kloyst-core/internal/testkit/razorpaytest"
)

func provider(t *testing.T, base, secret string, webhook ...string) *payment.Razorpay {
	t.Helper()
	p, err := payment.NewRazorpay(payment.RazorpayOptions{BaseURL: base, KeyID: razorpaytest.KeyID, Secret: secret, WebhookSecrets: webhook})
	require.NoError(t, err)
	return p
}

func TestRazorpay_Order(t *testing.T) {
	t.Parallel()
	ctx, sim := t.Context(), razorpaytest.New(t)
	p := provider(t, sim.URL, razorpaytest.KeySecret, razorpaytest.WebhookSecret)
	id, err := p.CreateOrder(ctx, "r1", "INR", 250_500_000)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(id, "order_"), id)

	_, err = p.CreateOrder(ctx, "r1", "INR", 250_500_000)
	require.ErrorIs(t, err, payment.ErrRefused, "a receipt is used once")
	_, err = p.CreateOrder(ctx, strings.Repeat("r", 41), "INR", 250_500_000)
	require.ErrorIs(t, err, payment.ErrRefused)
	for _, amount := range []money.Micros{0, -money.Unit, money.Unit - 10_000, 1_005_000} {
		_, err = p.CreateOrder(ctx, "r2", "INR", amount)
		require.ErrorIs(t, err, wallet.ErrPaymentAmount, amount)
	}
	_, err = p.CreateOrder(ctx, "r2", "CLP", money.Unit)
	require.ErrorIs(t, err, wallet.ErrPaymentMoney)
	_, err = provider(t, sim.URL, "another secret", "w").CreateOrder(ctx, "r3", "INR", money.Unit)
	require.ErrorIs(t, err, payment.ErrUnavailable, "our keys are no fault of the vendor's")
	require.NotContains(t, err.Error(), "another secret")
	_, err = provider(t, "http://127.0.0.1:1", "s", "w").CreateOrder(ctx, "r3", "INR", money.Unit)
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	_, err = payment.NewRazorpay(payment.RazorpayOptions{BaseURL: "x", KeyID: "k", Secret: "s"})
	require.Error(t, err)
}

func TestRazorpay_Notices(t *testing.T) {
	t.Parallel()
	sim := razorpaytest.New(t)
	p := provider(t, sim.URL, razorpaytest.KeySecret, razorpaytest.WebhookSecret, "the old one")
	order, err := p.CreateOrder(t.Context(), "r1", "INR", 250_500_000)
	require.NoError(t, err)
	notices, err := sim.Pay(order, razorpaytest.Payment{})
	require.NoError(t, err)
	require.Len(t, notices, 3)
	for _, n := range notices {
		got, ok, err := p.Read(n.Header(), n.Body)
		require.NoError(t, err)
		require.Equal(t, n.Event == "payment.captured", ok, n.Event)
		if ok {
			require.Equal(t, wallet.Payment{
				Event: n.ID, Kind: "payment.captured", ID: n.Payment, Order: order, Currency: "INR", Amount: 250_500_000,
			}, got)
		}
	}
	captured := notices[1]
	rotated := captured
	rotated.Signature = razorpaytest.Sign("the old one", captured.Body)
	_, ok, err := p.Read(rotated.Header(), rotated.Body)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestRazorpay_BelievesNothingUnsigned(t *testing.T) {
	t.Parallel()
	sim := razorpaytest.New(t)
	p := provider(t, sim.URL, razorpaytest.KeySecret, razorpaytest.WebhookSecret)
	order, err := p.CreateOrder(t.Context(), "r1", "INR", money.Unit)
	require.NoError(t, err)
	notices, err := sim.Pay(order, razorpaytest.Payment{})
	require.NoError(t, err)
	n := notices[1]
	for name, change := range map[string]func(http.Header, []byte) []byte{
		"no signature":    func(h http.Header, b []byte) []byte { h.Del("X-Razorpay-Signature"); return b },
		"not hexadecimal": func(h http.Header, b []byte) []byte { h.Set("X-Razorpay-Signature", "zz"); return b },
		"of another secret": func(h http.Header, b []byte) []byte {
			h.Set("X-Razorpay-Signature", razorpaytest.Sign("x", b))
			return b
		},
		"of another body": func(_ http.Header, b []byte) []byte { return append(b, ' ') },
		"half of it":      func(h http.Header, b []byte) []byte { h.Set("X-Razorpay-Signature", n.Signature[:32]); return b },
	} {
		h, body := n.Header(), append([]byte{}, n.Body...)
		body = change(h, body)
		_, ok, err := p.Read(h, body)
		require.ErrorIs(t, err, payment.ErrSignature, name)
		require.False(t, ok)
	}
	for name, body := range map[string]string{
		"no JSON":      `{`,
		"no event":     `{"entity":"order","event":"payment.captured"}`,
		"a fraction":   `{"entity":"event","event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","amount":100.5,"currency":"INR","status":"captured","order_id":"order_1"}}}}`,
		"not captured": `{"entity":"event","event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","amount":100,"currency":"INR","status":"authorized","order_id":"order_1"}}}}`,
		"overflow":     `{"entity":"event","event":"payment.captured","payload":{"payment":{"entity":{"id":"pay_1","amount":9223372036854775807,"currency":"INR","status":"captured","order_id":"order_1"}}}}`,
	} {
		h := n.Header()
		h.Set("X-Razorpay-Signature", razorpaytest.Sign(razorpaytest.WebhookSecret, []byte(body)))
		_, _, err := p.Read(h, []byte(body))
		require.ErrorIs(t, err, payment.ErrNotice, name)
	}
}

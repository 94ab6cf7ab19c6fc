package wallet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

func TestPaymentOrder_Take(t *testing.T) {
	t.Parallel()
	open := wallet.PaymentOrder{Currency: "INR", Amount: 500, Status: wallet.PaymentCreated}
	paid := wallet.PaymentOrder{Currency: "INR", Amount: 500, Status: wallet.PaymentPaid, Payment: "pay_1"}
	tests := map[string]struct {
		order   wallet.PaymentOrder
		payment wallet.Payment
		want    wallet.PaymentOutcome
		reason  string
	}{
		"books what was asked for":      {order: open, payment: wallet.Payment{ID: "pay_1", Currency: "INR", Amount: 500}, want: wallet.PaymentBooked},
		"knows a repeat":                {order: paid, payment: wallet.Payment{ID: "pay_1", Currency: "INR", Amount: 500}, want: wallet.PaymentRepeated},
		"refuses less":                  {order: open, payment: wallet.Payment{ID: "pay_1", Currency: "INR", Amount: 499}, want: wallet.PaymentRefused, reason: wallet.RefusedAmount},
		"refuses more":                  {order: open, payment: wallet.Payment{ID: "pay_1", Currency: "INR", Amount: 501}, want: wallet.PaymentRefused, reason: wallet.RefusedAmount},
		"refuses another currency":      {order: open, payment: wallet.Payment{ID: "pay_1", Currency: "USD", Amount: 500}, want: wallet.PaymentRefused, reason: wallet.RefusedCurrency},
		"refuses an order paid already": {order: paid, payment: wallet.Payment{ID: "pay_2", Currency: "INR", Amount: 500}, want: wallet.PaymentRefused, reason: wallet.RefusedPaid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, reason := tt.order.Take(tt.payment)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.reason, reason)
		})
	}
	require.Equal(t, "payment/RAZORPAY/pay_1", wallet.Payment{ID: "pay_1"}.Posting(wallet.Razorpay).Reference)
}

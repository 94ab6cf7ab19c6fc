package wallet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

func TestBillingLine_Verdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line wallet.BillingLine
		want wallet.Verdict
	}{
		"charged as Meta bills":        {wallet.BillingLine{ChargedAs: "MARKETING", MetaCategory: "marketing", MetaPricing: "regular", Arrived: true, Charged: true}, wallet.Agreed},
		"its newer way of marketing":   {wallet.BillingLine{ChargedAs: "MARKETING", MetaCategory: "marketing_lite", MetaPricing: "regular", Arrived: true, Charged: true}, wallet.Agreed},
		"international":                {wallet.BillingLine{ChargedAs: "AUTHENTICATION_INTERNATIONAL", MetaCategory: "authentication-international", MetaPricing: "regular", Arrived: true, Charged: true}, wallet.Agreed},
		"billed as another":            {wallet.BillingLine{ChargedAs: "UTILITY", MetaCategory: "marketing", MetaPricing: "regular", Arrived: true, Charged: true}, wallet.OtherCategory},
		"free at Meta":                 {wallet.BillingLine{ChargedAs: "SERVICE", MetaCategory: "service", MetaPricing: "free_customer_service", Arrived: true, Charged: true}, wallet.FreeAtMeta},
		"free, and given for nothing":  {wallet.BillingLine{ChargedAs: "SERVICE", MetaCategory: "service", MetaPricing: "free_customer_service", Arrived: true}, wallet.Agreed},
		"accepted and never delivered": {wallet.BillingLine{ChargedAs: "MARKETING", MetaCategory: "marketing", MetaPricing: "regular", Charged: true}, wallet.NotArrived},
		"Meta told no price":           {wallet.BillingLine{ChargedAs: "MARKETING", Arrived: true, Charged: true}, wallet.NotTold},
		"billed and not charged":       {wallet.BillingLine{ChargedAs: "MARKETING", MetaCategory: "marketing", MetaPricing: "regular", Arrived: true}, wallet.NotCharged},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.line.Verdict())
		})
	}
}

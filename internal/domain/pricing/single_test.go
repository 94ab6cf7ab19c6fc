package pricing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
)

func TestOne(t *testing.T) {
	t.Parallel()
	parse := func(rates string) *pricing.Snapshot {
		cards, err := pricing.ParseCard(pricing.CardFile{
			Rates: rates, Tiers: "market,category,from_quantity,rate\nIndia,UTILITY,1,0.0001\n",
		})
		require.NoError(t, err)
		return &cards[0]
	}
	now := parse("market,currency,effective_from,marketing,utility,service\nIndia,USD,2026-10-01,0.0118,0.0014,0.0014\nGermany,USD,2026-10-01,0.1365,0.0550,0\n")
	before := parse("market,currency,effective_from,marketing,utility\nIndia,USD,2026-07-01,0.0118,0.0014\n")
	fee := pricing.FeeRule{Fixed: 5_000_000, PerMessage: 1_000, Minimum: 9_000_000, PercentBPS: 1_000}
	tax := pricing.TaxRule{Name: "GST", BPS: 1_800}
	tests := map[string]struct {
		card     *pricing.Snapshot
		category pricing.Category
		country  string
		want     money.Micros
		wantErr  error
	}{
		// 11,800 + 10 % + 1,000, and 18 % tax; of the campaign's own fees nothing.
		"list price, fees of a message, tax": {now, pricing.Marketing, "IN", 16_496, nil},
		"tiers do not count":                 {now, pricing.Utility, "IN", 2_997, nil},
		"a service message that is billed":   {now, pricing.Service, "IN", 2_997, nil},
		"a service price of nothing is free": {now, pricing.Service, "DE", 0, nil},
		"a card without service prices too":  {before, pricing.Service, "IN", 0, nil},
		"no price is not free":               {now, pricing.Service, "BR", 0, pricing.ErrNoRate},
		"nor for others":                     {before, pricing.Authentication, "IN", 0, pricing.ErrNoRate},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pricing.One(tt.card, tt.category, tt.country, fee, tax)
			require.ErrorIs(t, err, tt.wantErr)
			require.Equal(t, tt.want, got)
		})
	}
}

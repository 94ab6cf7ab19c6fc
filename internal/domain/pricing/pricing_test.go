package pricing_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// card reads a rate card of deploy/.
func card(t require.TestingT, file string) *pricing.Snapshot {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "rate-cards", file))
	require.NoError(t, err)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: string(text), Source: file})
	require.NoError(t, err)
	require.Len(t, cards, 1)
	cards[0].ID = "00000000-0000-7000-8000-000000000001"
	return &cards[0]
}

func TestMarketOf(t *testing.T) {
	t.Parallel()
	october, july := card(t, "usd-2026-10-01.csv"), card(t, "usd-2026-07-01.csv")
	tests := map[string]struct {
		card    *pricing.Snapshot
		country string
		want    pricing.Market
	}{
		"a country that stands alone":              {october, "IN", "India"},
		"a country inside a rest":                  {october, "KE", "Rest of Africa"},
		"a new market after its first day":         {october, "BD", "Bangladesh"},
		"the same country before it":               {july, "BD", "Rest of Asia Pacific"},
		"both countries of plus one":               {october, "CA", "North America"},
		"a plus-one country that is named":         {october, "JM", "Rest of Latin America"},
		"a plus-one country that is not":           {october, "BB", "Other"},
		"Kazakhstan out of plus seven":             {october, "KZ", "Kazakhstan"},
		"Kazakhstan as plus seven before":          {july, "KZ", "Russia"},
		"an island on another country's code":      {october, "GG", "United Kingdom"},
		"a country that the card does not mention": {october, "CU", "Other"},
		"no country at all":                        {october, "", "Other"},
		"something that is no country":             {october, "ZZ", "Other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.card.MarketOf(tt.country))
		})
	}
}

func TestParseCard_Refuses(t *testing.T) {
	t.Parallel()
	const head = "market,currency,effective_from,marketing\n"
	tests := map[string]string{
		"an empty file":          "",
		"a header without rows":  head,
		"a missing column":       "market,currency\nIndia,USD\n",
		"a price in words":       head + "India,USD,2026-10-01,cheap\n",
		"a negative price":       head + "India,USD,2026-10-01,-1\n",
		"a market given twice":   head + "India,USD,2026-10-01,1\nIndia,USD,2026-10-01,2\n",
		"a row without a date":   head + "India,USD,,1\n",
		"a row without a market": head + ",USD,2026-10-01,1\n",
		"a row without a price":  head + "India,USD,2026-10-01,n/a\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pricing.ParseCard(pricing.CardFile{Rates: text})
			require.ErrorIs(t, err, pricing.ErrBadCard)
		})
	}
	_, err := pricing.ParseCard(pricing.CardFile{Rates: head + "India,XXX,2026-10-01,1\n"})
	require.ErrorIs(t, err, money.ErrCurrency)
}

func TestParseCard_SplitsByFirstDayAndReadsMetasHeader(t *testing.T) {
	t.Parallel()
	cards, err := pricing.ParseCard(pricing.CardFile{
		Rates: "Market,Currency,Effective From,Marketing,Utility,Authentication,Authentication-International,Service\n" +
			"India,INR,2026-10-01,0.8631,0.1150,0.1150,2.4971,0.1150\n" +
			"India,INR,2026-07-01,0.8631,0.1150,0.1150,2.4971,n/a\n",
	})
	require.NoError(t, err)
	require.Len(t, cards, 2)
	require.Equal(t, "2026-07-01", cards[0].From)
	require.Len(t, cards[0].Rates, 4, "n/a is no price, not a zero one")
	require.Contains(t, cards[1].Rates, pricing.Rate{Market: "India", Category: pricing.AuthenticationInternational, Unit: 2_497_100})
	require.NotEqual(t, cards[0].Fingerprint(), cards[1].Fingerprint())
}

func TestCardFingerprint_IgnoresTheOrderOfRows(t *testing.T) {
	t.Parallel()
	a := card(t, "usd-2026-10-01.csv")
	b := card(t, "usd-2026-10-01.csv")
	slices.Reverse(b.Rates)
	slices.Reverse(b.Prefixes)
	b.Source = "elsewhere"
	require.Equal(t, a.Fingerprint(), b.Fingerprint())
	b.Rates[0].Unit++
	require.NotEqual(t, a.Fingerprint(), b.Fingerprint())
}

func TestTiers_AreMarginal(t *testing.T) {
	t.Parallel()
	s := &pricing.Snapshot{
		Currency: "USD", From: "2026-10-01",
		Prefixes: []pricing.Prefix{{Digits: "55", Countries: "BR", Market: "Brazil"}},
		Rates:    []pricing.Rate{{Market: "Brazil", Category: pricing.Utility, Unit: 100}},
		Tiers: []pricing.Tier{
			{Market: "Brazil", Category: pricing.Utility, From: 21, Unit: 50},
			{Market: "Brazil", Category: pricing.Utility, From: 11, Unit: 80},
		},
	}
	tests := map[string]struct {
		used, n int64
		want    money.Micros
	}{
		"stays in the first tier":        {0, 10, 1_000},
		"crosses into the second":        {0, 11, 1_080},
		"crosses both":                   {0, 25, 1_000 + 800 + 250},
		"starts in the middle of one":    {15, 10, 5*80 + 5*50},
		"starts behind all":              {100, 3, 150},
		"starts at a boundary":           {10, 1, 80},
		"ends right before the boundary": {0, 20, 1_000 + 800},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := pricing.NewInputs(s, pricing.Utility, map[string]int64{"BR": tt.n}, pricing.FeeRule{}, pricing.TaxRule{})
			require.NoError(t, err)
			in.Markets[0].Used = tt.used
			q, err := pricing.Compute(in)
			require.NoError(t, err)
			require.Equal(t, tt.want, q.Messages)
		})
	}
}

func TestFees(t *testing.T) {
	t.Parallel()
	s := &pricing.Snapshot{
		Currency: "USD", From: "2026-10-01",
		Prefixes: []pricing.Prefix{{Digits: "91", Countries: "IN", Market: "India"}, {Digits: "49", Countries: "DE", Market: "Germany"}},
		Rates:    []pricing.Rate{{"India", pricing.Marketing, 1_000}, {"Germany", pricing.Marketing, 3_000}},
	}
	counts := map[string]int64{"IN": 10, "DE": 10} // 40,000 for the messages
	tests := map[string]struct {
		fee       pricing.FeeRule
		tax       pricing.TaxRule
		wantFees  money.Micros
		wantTax   money.Micros
		wantLines []pricing.Line
	}{
		"takes nothing by default":      {wantLines: []pricing.Line{}},
		"takes per message":             {fee: pricing.FeeRule{PerMessage: 7}, wantFees: 140, wantLines: []pricing.Line{}},
		"takes a percentage":            {fee: pricing.FeeRule{PercentBPS: 250}, wantFees: 1_000, wantLines: []pricing.Line{}},
		"takes a fixed fee as a line":   {fee: pricing.FeeRule{Fixed: 500}, wantFees: 500, wantLines: []pricing.Line{{pricing.FixedFee, 500}}},
		"fills up to the minimum":       {fee: pricing.FeeRule{PerMessage: 7, Minimum: 1_000}, wantFees: 1_000, wantLines: []pricing.Line{{pricing.MinimumFee, 860}}},
		"stops at the cap":              {fee: pricing.FeeRule{Fixed: 500, PercentBPS: 1_000, Cap: 900}, wantFees: 900, wantLines: []pricing.Line{{pricing.FixedFee, 500}}},
		"cuts even the fixed fee":       {fee: pricing.FeeRule{Fixed: 500, PercentBPS: 1_000, Cap: 300}, wantFees: 300, wantLines: []pricing.Line{{pricing.FixedFee, 300}}},
		"taxes messages, fee and lines": {fee: pricing.FeeRule{Fixed: 10_000}, tax: pricing.TaxRule{Name: "GST", BPS: 1_800}, wantFees: 10_000, wantTax: 9_000, wantLines: []pricing.Line{{pricing.FixedFee, 10_000}, {pricing.LineTax, 1_800}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := pricing.NewInputs(s, pricing.Marketing, counts, tt.fee, tt.tax)
			require.NoError(t, err)
			q, err := pricing.Compute(in)
			require.NoError(t, err)
			require.Equal(t, money.Micros(40_000), q.Messages)
			require.Equal(t, tt.wantFees, q.Fees)
			require.Equal(t, tt.wantTax, q.Tax)
			require.Equal(t, tt.wantLines, q.Lines)
			requireAddsUp(t, q)
		})
	}
}

func TestNewInputs_Refuses(t *testing.T) {
	t.Parallel()
	s := card(t, "usd-2026-07-01.csv")
	_, err := pricing.NewInputs(s, "GIFT", map[string]int64{"IN": 1}, pricing.FeeRule{}, pricing.TaxRule{})
	require.ErrorIs(t, err, pricing.ErrBadCategory)
	_, err = pricing.NewInputs(s, pricing.Marketing, map[string]int64{"IN": 0}, pricing.FeeRule{}, pricing.TaxRule{})
	require.ErrorIs(t, err, pricing.ErrEmptyAudience)
	_, err = pricing.NewInputs(s, pricing.Service, map[string]int64{"IN": 1}, pricing.FeeRule{}, pricing.TaxRule{})
	require.ErrorIs(t, err, pricing.ErrNoRate, "service messages had no price before October 2026")
	_, err = pricing.NewInputs(s, pricing.Marketing, map[string]int64{"IN": 1}, pricing.FeeRule{Cap: 1, Minimum: 2}, pricing.TaxRule{})
	require.ErrorIs(t, err, pricing.ErrBadRule)
	_, err = pricing.NewInputs(s, pricing.Marketing, map[string]int64{"IN": 1}, pricing.FeeRule{}, pricing.TaxRule{BPS: 10_001})
	require.ErrorIs(t, err, pricing.ErrBadRule)
	_, err = pricing.Compute(pricing.Inputs{Rule: 1, Audience: []pricing.Count{{"IN", "India", 1 << 62}}, Markets: []pricing.MarketRate{{Market: "India", Unit: 1 << 40}}})
	require.ErrorIs(t, err, money.ErrOverflow)
}

// requireAddsUp checks every sum a finance person would.
func requireAddsUp(t require.TestingT, q pricing.Quote) {
	var messages, shares money.Micros
	for _, item := range q.Items {
		messages += item.Amount
		require.Equal(t, item.Total, item.Amount+item.Fee+item.Tax)
		require.Less(t, item.Remainder, item.Quantity)
		shares += item.Share*money.Micros(item.Quantity) + money.Micros(item.Remainder)
	}
	require.Equal(t, q.Messages, messages)
	require.Equal(t, q.Total, q.Messages+q.Fees+q.Tax)
	require.Equal(t, q.Total, shares+q.Charge())
}

func drawFee(t *rapid.T) pricing.FeeRule {
	f := pricing.FeeRule{
		Fixed:      money.Micros(rapid.Int64Range(0, 50_000_000).Draw(t, "fixed")),
		PerMessage: money.Micros(rapid.Int64Range(0, 10_000).Draw(t, "per message")),
		PercentBPS: rapid.Int64Range(0, 3_000).Draw(t, "percent"),
		Minimum:    money.Micros(rapid.Int64Range(0, 20_000_000).Draw(t, "minimum")),
	}
	if rapid.Bool().Draw(t, "capped") {
		f.Cap = f.Minimum + money.Micros(rapid.Int64Range(1, 50_000_000).Draw(t, "cap"))
	}
	return f
}

func drawAudience(t *rapid.T) map[string]int64 {
	countries := rapid.SampledFrom([]string{"IN", "DE", "BR", "US", "CA", "KE", "NG", "BB", "AE", "", "NZ", "CO"})
	return rapid.MapOfN(countries, rapid.Int64Range(1, 2_000_000), 1, 10).Draw(t, "audience")
}

func TestQuote_Properties(t *testing.T) {
	t.Parallel()
	s := card(t, "usd-2026-10-01.csv")
	s.Tiers = []pricing.Tier{{"India", pricing.Utility, 100_001, 1_000}, {"India", pricing.Utility, 500_001, 700}}
	rapid.Check(t, func(t *rapid.T) {
		category := rapid.SampledFrom([]pricing.Category{pricing.Marketing, pricing.Utility}).Draw(t, "category")
		audience, fee := drawAudience(t), drawFee(t)
		tax := pricing.TaxRule{Name: "tax", BPS: rapid.Int64Range(0, 10_000).Draw(t, "tax")}
		in, err := pricing.NewInputs(s, category, audience, fee, tax)
		require.NoError(t, err)
		q, err := pricing.Compute(in)
		require.NoError(t, err)
		requireAddsUp(t, q)

		print1, err := pricing.Fingerprint(in, q)
		require.NoError(t, err)
		text, err := json.Marshal(in)
		require.NoError(t, err)
		var stored pricing.Inputs
		require.NoError(t, json.Unmarshal(text, &stored))
		again, err := pricing.Compute(stored)
		require.NoError(t, err)
		print2, err := pricing.Fingerprint(stored, again)
		require.NoError(t, err)
		require.Equal(t, print1, print2, "what was stored recomputes to the same bytes")

		more := maps.Clone(audience)
		more[slices.Sorted(maps.Keys(more))[0]]++
		in, err = pricing.NewInputs(s, category, more, fee, tax)
		require.NoError(t, err)
		larger, err := pricing.Compute(in)
		require.NoError(t, err)
		require.GreaterOrEqual(t, larger.Total, q.Total, "one more recipient never makes it cheaper")
		print3, err := pricing.Fingerprint(in, larger)
		require.NoError(t, err)
		require.NotEqual(t, print1, print3)
	})
}

func TestQuote_Golden(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"usd-2026-07-01", "usd-2026-10-01"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := card(t, file+".csv")
			in, err := pricing.NewInputs(s, pricing.Marketing,
				map[string]int64{"IN": 8_731, "US": 412, "CA": 88, "AE": 251, "BD": 97, "GB": 300, "BB": 3, "": 1},
				pricing.FeeRule{Fixed: 5_000_000, PerMessage: 1_500, PercentBPS: 250},
				pricing.TaxRule{Name: "GST", BPS: 1_800})
			require.NoError(t, err)
			q, err := pricing.Compute(in)
			require.NoError(t, err)
			requireAddsUp(t, q)
			sum, err := pricing.Fingerprint(in, q)
			require.NoError(t, err)
			got, err := json.MarshalIndent(map[string]any{
				"inputs": in, "quote": q, "fingerprint": sum, "steps": pricing.Explain(in, q),
			}, "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", file+".json")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		})
	}
}

func TestFeeRule_Further(t *testing.T) {
	t.Parallel()
	rule := pricing.FeeRule{Fixed: 100, PerMessage: 2, PercentBPS: 500, Minimum: 300, Cap: 1000}
	require.Equal(t, pricing.FeeRule{PerMessage: 2, PercentBPS: 500, Cap: 600}, rule.Further(400))
	require.Equal(t, pricing.FeeRule{}, rule.Further(1000), "the cap is reached")
	rule.Cap = 0
	require.Equal(t, pricing.FeeRule{PerMessage: 2, PercentBPS: 500}, rule.Further(5000))
}

func TestInputs_Behind(t *testing.T) {
	t.Parallel()
	first := pricing.Inputs{
		Audience: []pricing.Count{{Country: "IN", Market: "India", Messages: 90}, {Country: "US", Market: "North America", Messages: 5}, {Country: "CA", Market: "North America", Messages: 6}},
		Markets:  []pricing.MarketRate{{Market: "India", Used: 10}, {Market: "North America"}},
	}
	more := pricing.Inputs{Markets: []pricing.MarketRate{{Market: "India"}, {Market: "North America"}, {Market: "Rest"}}}
	got := more.Behind(first)
	require.Equal(t, []pricing.MarketRate{{Market: "India", Used: 100}, {Market: "North America", Used: 11}, {Market: "Rest"}}, got.Markets)
	require.Zero(t, more.Markets[0].Used, "the argument stays as it is")
}

package pricing

import (
	"slices"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

// One is the price of one message sent by itself to a country: Meta's list price, the
// platform's fees that go with a message, and the tax on both. What the platform takes
// of a campaign as a whole (fixed fee, minimum) is not in it, and volume tiers are not:
// they count from a campaign's first message.
//
// A service message costs nothing, the platform's fees included, where the card says so:
// by a price of zero, or by having no service prices at all, as cards from before
// 2026-10-01 have. Source: Meta, pricing of non-template messages, read 2026-09.
//
// Errors: pricing.unknown_category, pricing.no_rate, pricing.bad_rule, money.overflow.
func One(s *Snapshot, c Category, country string, fee FeeRule, tax TaxRule) (money.Micros, error) {
	if c == Service && s.freeService(country) {
		return 0, nil
	}
	fee.Fixed, fee.Minimum = 0, 0
	in, err := NewInputs(s, c, map[string]int64{country: 1}, fee, tax)
	if err != nil {
		return 0, err
	}
	for i := range in.Markets {
		in.Markets[i].Steps = nil
	}
	q, err := Compute(in)
	if err != nil {
		return 0, err
	}
	return q.Items[0].Total, nil
}

func (s *Snapshot) freeService(country string) bool {
	if unit, ok := s.rate(s.MarketOf(country), Service); ok {
		return unit == 0
	}
	return !slices.ContainsFunc(s.Rates, func(r Rate) bool { return r.Category == Service })
}

package pricing

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

// rule is the version of the arithmetic in Compute. Another arithmetic gets another
// number and keeps this one working: a stored quotation recomputes for ever.
const rule = 1

// Inputs is everything one quotation was computed from, complete in itself. It is
// stored as JSON: add fields with omitempty, never rename or drop one.
type Inputs struct {
	Rule     int            `json:"rule"`
	Snapshot SnapshotID     `json:"snapshot_id"`
	Card     string         `json:"card"` // first day of the card, YYYY-MM-DD
	Currency money.Currency `json:"currency"`
	Category Category       `json:"category"`
	Audience []Count        `json:"audience"` // by country
	Markets  []MarketRate   `json:"markets"`  // those of the audience, by name
	Fee      FeeRule        `json:"fee"`
	Tax      TaxRule        `json:"tax"`
}

// Count is how many messages go to one country.
type Count struct {
	Country  string `json:"country"` // ISO 3166-1 alpha-2; "" where unknown
	Market   Market `json:"market"`
	Messages int64  `json:"messages"`
}

// MarketRate is the price in one market: the list price, and the steps that replace it.
type MarketRate struct {
	Market Market       `json:"market"`
	Unit   money.Micros `json:"unit_micros"`
	Used   int64        `json:"used"` // messages of the month before this campaign
	Steps  []Step       `json:"steps"`
}

// Step is a tier of one market: message number From of the month and on cost Unit.
type Step struct {
	From int64        `json:"from"`
	Unit money.Micros `json:"unit_micros"`
}

// FeeRule is what the platform itself takes: Fixed per campaign, PerMessage, and
// PercentBPS (basis points) of the messages' price; at least Minimum, at most Cap (0:
// no cap). The zero value takes nothing.
type FeeRule struct {
	Fixed      money.Micros `json:"fixed_micros"`
	PerMessage money.Micros `json:"per_message_micros"`
	PercentBPS int64        `json:"percent_bps"`
	Minimum    money.Micros `json:"minimum_micros"`
	Cap        money.Micros `json:"cap_micros"`
}

// Further is the rule for more messages of a campaign whose fees so far came to charged:
// the fixed fee and the minimum are not asked for twice, and the cap is what is left of it.
func (f FeeRule) Further(charged money.Micros) FeeRule {
	if f.Cap > 0 && charged >= f.Cap {
		return FeeRule{} // it has paid all that it can
	}
	f.Fixed, f.Minimum = 0, 0
	if f.Cap > 0 {
		f.Cap -= charged
	}
	return f
}

// Behind makes in count its tiers on from where first ended: its messages are the same
// campaign's.
func (in Inputs) Behind(first Inputs) Inputs {
	in.Markets = slices.Clone(in.Markets)
	for i := range in.Markets {
		m := &in.Markets[i]
		for _, before := range first.Markets {
			if before.Market == m.Market {
				m.Used = before.Used
			}
		}
		for _, a := range first.Audience {
			if a.Market == m.Market {
				m.Used += a.Messages
			}
		}
	}
	return in
}

// Validate refuses a rule that contradicts itself.
//
// Errors: pricing.bad_rule.
func (f FeeRule) Validate() error {
	if f.Fixed < 0 || f.PerMessage < 0 || f.PercentBPS < 0 || f.Minimum < 0 || f.Cap < 0 {
		return ErrBadRule.Detail("a fee is negative")
	}
	if f.Cap > 0 && f.Cap < f.Minimum {
		return ErrBadRule.Detail("the fee's cap is below its minimum")
	}
	return nil
}

// TaxRule is the tax on the whole quotation, in basis points: 1,800 is 18 %. The zero
// value is no tax.
type TaxRule struct {
	Name string `json:"name"`
	BPS  int64  `json:"rate_bps"`
}

// Validate refuses a rate outside 0 to 100 %.
//
// Errors: pricing.bad_rule.
func (t TaxRule) Validate() error {
	if t.BPS < 0 || t.BPS > 10_000 {
		return ErrBadRule.Detail("a tax is outside 0 to 100 percent")
	}
	return nil
}

// NewInputs picks from the snapshot what a campaign of category to counts (messages by
// country) needs. Tiers count from the campaign's own first message; set Used of a
// market to count from what the month already had.
//
// Errors: pricing.unknown_category, pricing.empty_audience, pricing.no_rate,
// pricing.bad_rule.
func NewInputs(s *Snapshot, c Category, counts map[string]int64, fee FeeRule, tax TaxRule) (Inputs, error) {
	if !c.Valid() {
		return Inputs{}, ErrBadCategory
	}
	if err := fee.Validate(); err != nil {
		return Inputs{}, err
	}
	if err := tax.Validate(); err != nil {
		return Inputs{}, err
	}
	in := Inputs{
		Rule: rule, Snapshot: s.ID, Card: s.From, Currency: s.Currency, Category: c, Fee: fee, Tax: tax,
		Audience: []Count{}, Markets: []MarketRate{},
	}
	markets := map[Market]bool{}
	for _, country := range slices.Sorted(maps.Keys(counts)) {
		if counts[country] <= 0 {
			continue
		}
		m := s.MarketOf(country)
		markets[m] = true
		in.Audience = append(in.Audience, Count{Country: country, Market: m, Messages: counts[country]})
	}
	if len(in.Audience) == 0 {
		return Inputs{}, ErrEmptyAudience
	}
	for _, m := range slices.SortedFunc(maps.Keys(markets), cmp.Compare[Market]) {
		unit, ok := s.rate(m, c)
		if !ok {
			return Inputs{}, ErrNoRate.Detail("the rate card of %s has no %s price for %s", s.From, c, m)
		}
		in.Markets = append(in.Markets, MarketRate{Market: m, Unit: unit, Steps: s.tiers(m, c)})
	}
	return in, nil
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

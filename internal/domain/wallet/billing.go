package wallet

import (
	"strings"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

// BillingLine counts messages of one kind: charged as a category by us, and told of by
// Meta's statuses with a category and a pricing type, empty where they told nothing.
type BillingLine struct {
	ChargedAs    string
	MetaCategory string // marketing, utility, authentication-international …
	MetaPricing  string // regular, free_customer_service, free_entry_point
	Arrived      bool   // Meta bills what arrived
	Charged      bool
	Messages     int64
	Amount       money.Micros // that we charged and did not give back
}

// Verdict is how a line's charge compares with Meta's bill.
type Verdict string

// The verdicts. All but Agreed call for a look; none moves money.
const (
	Agreed        Verdict = "AGREED"         // billed by Meta in the category we charged, or neither
	OtherCategory Verdict = "OTHER_CATEGORY" // billed in another than we charged
	FreeAtMeta    Verdict = "FREE_AT_META"   // charged, and free at Meta
	NotArrived    Verdict = "NOT_ARRIVED"    // charged, and nothing says that it arrived: on its way, or never
	NotTold       Verdict = "NOT_TOLD"       // charged and arrived, and Meta told no price
	NotCharged    Verdict = "NOT_CHARGED"    // billed by Meta, and not charged
)

// Verdict compares the line.
func (l BillingLine) Verdict() Verdict {
	billed := l.Arrived && l.MetaPricing == "regular"
	switch {
	case billed && !l.Charged:
		return NotCharged
	case billed && !sameCategory(l.ChargedAs, l.MetaCategory):
		return OtherCategory
	case billed || !l.Charged:
		return Agreed
	case !l.Arrived:
		return NotArrived
	case l.MetaPricing == "":
		return NotTold
	}
	return FreeAtMeta
}

// sameCategory compares our name of a category with Meta's: marketing_lite is marketing
// sent its newer way.
func sameCategory(ours, metas string) bool {
	m := strings.ToUpper(strings.ReplaceAll(metas, "-", "_"))
	return m == ours || m == "MARKETING_LITE" && ours == "MARKETING"
}

// MetaLine is what Meta itself counted of a kind in a month, by its pricing_analytics.
type MetaLine struct {
	Category, Pricing string // MARKETING, REGULAR
	Currency          money.Currency
	Volume            int64
	Cost              *money.Micros // nil: Meta did not tell
}

// Billing is what was charged for a campaign's messages or a month's, against Meta.
type Billing struct {
	Currency money.Currency
	Lines    []BillingLine
	Meta     []MetaLine // of a month; approximate, says Meta
}

// Sum is how many messages a verdict has, and what we charged for them.
type Sum struct {
	Messages int64
	Amount   money.Micros
}

// Sums adds the lines up by verdict.
func (b Billing) Sums() map[Verdict]Sum {
	out := map[Verdict]Sum{}
	for _, l := range b.Lines {
		s := out[l.Verdict()]
		s.Messages, s.Amount = s.Messages+l.Messages, s.Amount+l.Amount
		out[l.Verdict()] = s
	}
	return out
}

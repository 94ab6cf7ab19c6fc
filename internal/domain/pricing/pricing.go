// Package pricing turns an audience into money: a rate card (market by category),
// marginal volume tiers, the platform's fee and a tax make one quotation, as a pure
// function of values that can be stored and computed again to the same bytes. Its law:
// integers only, one rounding rule (see Compute), and no order of inputs matters.
package pricing

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// SnapshotID names one immutable version of a rate card. The zero value names none.
type SnapshotID string

// Category is what a message is billed as.
type Category string

// The categories of a rate card.
// Source: Meta, WhatsApp Business Platform pricing, read 2026-09.
const (
	Marketing                   Category = "MARKETING"
	Utility                     Category = "UTILITY"
	Authentication              Category = "AUTHENTICATION"
	AuthenticationInternational Category = "AUTHENTICATION_INTERNATIONAL"
	Service                     Category = "SERVICE"
)

// Categories returns every category, in the order of Meta's card.
func Categories() []Category {
	return []Category{Marketing, Utility, Authentication, AuthenticationInternational, Service}
}

// Valid tells whether c is one of Categories.
func (c Category) Valid() bool { return slices.Contains(Categories(), c) }

// Market is a group of recipients with one price: a country or a "Rest of".
type Market string

// Other is the market of every calling code that the card does not name.
const Other Market = "Other"

// The errors of pricing.
var (
	ErrNoRateCard    = errs.New(errs.Conflict, "pricing.no_rate_card", "no rate card is in force for the currency")
	ErrNoRate        = errs.New(errs.Conflict, "pricing.no_rate", "the rate card has no price for this market and category")
	ErrEmptyAudience = errs.New(errs.Invalid, "pricing.empty_audience", "nobody is in the audience")
	ErrBadCategory   = errs.New(errs.Invalid, "pricing.unknown_category", "not a category that messages are billed in")
	ErrBadRule       = errs.New(errs.Invalid, "pricing.bad_rule", "a fee or tax rule contradicts itself")
)

// Rate is the price of one message of a category to a market.
type Rate struct {
	Market   Market
	Category Category
	Unit     money.Micros
}

// Tier is a volume discount: in one calendar month, the message numbered From (from 1)
// and those after it cost Unit, until the next tier begins.
type Tier struct {
	Market   Market
	Category Category
	From     int64
	Unit     money.Micros
}

// Prefix says which market the numbers under a calling-code prefix belong to.
// Countries are ISO 3166-1 alpha-2, several joined by "/" where they share the prefix.
type Prefix struct {
	Digits    string
	Countries string
	Market    Market
}

// Snapshot is one immutable version of a rate card with everything a quotation needs.
type Snapshot struct {
	ID       SnapshotID
	Currency money.Currency
	From     string // first day it is in force, YYYY-MM-DD
	Source   string // where it was read, for people
	Prefixes []Prefix
	Rates    []Rate
	Tiers    []Tier
}

// nanp is the calling code shared by some 25 countries: only those a card names belong
// to a named market there, the others are Other.
// Source: Meta, pricing page, country calling codes, read 2026-03.
const nanp = 1

// MarketOf returns the market of a number's country (ISO 3166-1 alpha-2): by its name
// in the card, else by its calling code (Guernsey's numbers are billed as +44), else
// Other. An unknown country is Other as well.
func (s *Snapshot) MarketOf(country string) Market {
	for _, p := range s.Prefixes {
		for name := range strings.SplitSeq(p.Countries, "/") {
			if name == country && country != "" {
				return p.Market
			}
		}
	}
	code := phonenumbers.GetCountryCodeForRegion(country)
	if code == 0 || code == nanp {
		return Other
	}
	digits := itoa(int64(code))
	for _, p := range s.Prefixes {
		if p.Digits == digits {
			return p.Market
		}
	}
	return Other
}

// rate finds a price.
func (s *Snapshot) rate(m Market, c Category) (money.Micros, bool) {
	for _, r := range s.Rates {
		if r.Market == m && r.Category == c {
			return r.Unit, true
		}
	}
	return 0, false
}

// tiers returns the discounts of a market and category by rising From.
func (s *Snapshot) tiers(m Market, c Category) []Step {
	steps := []Step{}
	for _, t := range s.Tiers {
		if t.Market == m && t.Category == c {
			steps = append(steps, Step{From: t.From, Unit: t.Unit})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.From, b.From) })
	return steps
}

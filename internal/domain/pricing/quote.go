package pricing

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

// Quote is what a campaign will cost at most. Total = Σ items' Total + Σ lines' Amount.
type Quote struct {
	Currency money.Currency `json:"currency"`
	Quantity int64          `json:"quantity"`
	Items    []Item         `json:"items"` // one per country, by country
	Lines    []Line         `json:"lines"` // of the campaign as a whole
	Messages money.Micros   `json:"messages_micros"`
	Fees     money.Micros   `json:"fees_micros"` // the platform's, fixed and minimum included
	Tax      money.Micros   `json:"tax_micros"`
	Total    money.Micros   `json:"total_micros"`
}

// Item is one country's messages. What they cost together, Total, is spread over them
// as integers: the first Remainder messages cost Share + 1 micro, the others Share.
type Item struct {
	Country   string       `json:"country"`
	Market    Market       `json:"market"`
	Category  Category     `json:"category"`
	Quantity  int64        `json:"quantity"`
	Unit      money.Micros `json:"unit_micros"` // the card's list price, before tiers
	Amount    money.Micros `json:"amount_micros"`
	Fee       money.Micros `json:"fee_micros"`
	Tax       money.Micros `json:"tax_micros"`
	Total     money.Micros `json:"total_micros"`
	Share     money.Micros `json:"share_micros"`
	Remainder int64        `json:"share_remainder"`
}

// LineKind says what a line of the campaign as a whole is for.
type LineKind string

// The kinds of lines. All are charged when the campaign's books are closed, by
// completion or by cancel alike, provided at least one message was accepted by Meta;
// otherwise they are released with the rest of the hold.
const (
	FixedFee   LineKind = "FIXED_FEE"
	MinimumFee LineKind = "MINIMUM_FEE" // what lacks to the platform's minimum
	LineTax    LineKind = "TAX"         // on the lines above; the messages' tax is in the items
)

// Line is a charge on the campaign as a whole.
type Line struct {
	Kind   LineKind     `json:"kind"`
	Amount money.Micros `json:"amount_micros"`
}

// Compute prices in. It is pure and total: the same inputs give the same bytes.
//
// The one rounding rule: a percentage is computed once, on the total it is of, rounded
// half up to a whole micro; an amount computed for several countries together is shared
// over them by the largest remainder, ties to the earlier country code. So every line
// adds up exactly, and a larger audience never costs less.
//
//  1. Messages: per market list price × quantity, each tier's price for the messages
//     that fall into it; shared over the market's countries by quantity.
//  2. Platform fee: per message, plus a percentage of 1; plus the fixed fee. Beyond the
//     cap the fixed fee stands first and the rest is cut in proportion; below the
//     minimum the difference becomes a line.
//  3. Tax on 1 + 2.
//
// Errors: pricing.empty_audience, pricing.bad_rule, pricing.no_rate, money.overflow.
func Compute(in Inputs) (Quote, error) {
	if len(in.Audience) == 0 {
		return Quote{}, ErrEmptyAudience
	}
	if in.Rule != rule {
		return Quote{}, ErrBadRule.Detail("quotation rule %d is not known", in.Rule)
	}
	c := computation{in: in, items: make([]Item, len(in.Audience))}
	for _, step := range []func() error{c.chargeMessages, c.chargeFees, c.chargeTax, c.addUp} {
		if err := step(); err != nil {
			return Quote{}, err
		}
	}
	return c.quote, nil
}

// computation carries one Compute through its steps.
type computation struct {
	in       Inputs
	items    []Item
	messages money.Micros
	variable money.Micros // fees that go with the messages
	fixed    money.Micros
	minimum  money.Micros
	tax      money.Micros
	quote    Quote
}

func (c *computation) chargeMessages() error {
	for i, a := range c.in.Audience {
		c.items[i] = Item{Country: a.Country, Market: a.Market, Category: c.in.Category, Quantity: a.Messages}
	}
	priced := 0
	for _, m := range c.in.Markets {
		var where []int
		var weights []money.Micros
		var n int64
		for i, a := range c.in.Audience {
			if a.Market == m.Market {
				where = append(where, i)
				weights = append(weights, money.Micros(a.Messages))
				n += a.Messages
			}
		}
		charge, err := m.charge(n)
		if err != nil {
			return err
		}
		parts, err := money.Allocate(charge, weights)
		if err != nil {
			return err
		}
		for k, i := range where {
			c.items[i].Unit, c.items[i].Amount = m.Unit, parts[k]
		}
		if c.messages, err = money.Add(c.messages, charge); err != nil {
			return err
		}
		priced += len(where)
	}
	if priced != len(c.items) {
		return ErrNoRate
	}
	return nil
}

// charge prices n messages of a market, tier by tier.
func (m MarketRate) charge(n int64) (money.Micros, error) {
	var total money.Micros
	unit, at := m.Unit, m.Used+1 // the next message's number in the month
	end := m.Used + n            // the last one's
	for i := 0; at <= end; i++ {
		until := end
		if i < len(m.Steps) && m.Steps[i].From-1 < until {
			until = m.Steps[i].From - 1
		}
		if until >= at {
			part, err := unit.Times(until - at + 1)
			if err != nil {
				return 0, err
			}
			if total, err = money.Add(total, part); err != nil {
				return 0, err
			}
			at = until + 1
		}
		if i < len(m.Steps) {
			unit = m.Steps[i].Unit
		}
	}
	return total, nil
}

func (c *computation) chargeFees() error {
	f := c.in.Fee
	if err := f.Validate(); err != nil {
		return err
	}
	percent, err := c.messages.BasisPoints(f.PercentBPS)
	if err != nil {
		return err
	}
	amounts := make([]money.Micros, len(c.items))
	for i, item := range c.items {
		amounts[i] = item.Amount
	}
	parts, err := money.Allocate(percent, amounts)
	if err != nil {
		return err
	}
	for i := range c.items {
		each, err := f.PerMessage.Times(c.items[i].Quantity)
		if err != nil {
			return err
		}
		if parts[i], err = money.Add(parts[i], each); err != nil {
			return err
		}
		if c.variable, err = money.Add(c.variable, parts[i]); err != nil {
			return err
		}
	}
	c.fixed = f.Fixed
	whole, err := money.Add(c.fixed, c.variable)
	switch {
	case err != nil:
		return err
	case f.Cap > 0 && whole > f.Cap:
		c.fixed = min(f.Fixed, f.Cap)
		c.variable = f.Cap - c.fixed
		if parts, err = money.Allocate(c.variable, parts); err != nil {
			return err
		}
	case whole < f.Minimum:
		c.minimum = f.Minimum - whole
	}
	for i := range c.items {
		c.items[i].Fee = parts[i]
	}
	return nil
}

func (c *computation) chargeTax() error {
	if err := c.in.Tax.Validate(); err != nil {
		return err
	}
	bases := make([]money.Micros, 0, len(c.items)+1)
	for _, item := range c.items {
		base, err := money.Add(item.Amount, item.Fee)
		if err != nil {
			return err
		}
		bases = append(bases, base)
	}
	lines, err := money.Add(c.fixed, c.minimum)
	if err != nil {
		return err
	}
	bases = append(bases, lines)
	base, err := money.Sum(bases...)
	if err != nil {
		return err
	}
	if c.tax, err = base.BasisPoints(c.in.Tax.BPS); err != nil {
		return err
	}
	parts, err := money.Allocate(c.tax, bases)
	if err != nil {
		return err
	}
	for i := range c.items {
		c.items[i].Tax = parts[i]
	}
	c.quote.Lines = []Line{}
	for _, l := range []Line{{FixedFee, c.fixed}, {MinimumFee, c.minimum}, {LineTax, parts[len(c.items)]}} {
		if l.Amount > 0 {
			c.quote.Lines = append(c.quote.Lines, l)
		}
	}
	return nil
}

func (c *computation) addUp() error {
	q := &c.quote
	var err error
	q.Currency, q.Items, q.Messages, q.Tax = c.in.Currency, c.items, c.messages, c.tax
	if q.Fees, err = money.Sum(c.variable, c.fixed, c.minimum); err != nil {
		return err
	}
	if q.Total, err = money.Sum(q.Messages, q.Fees, q.Tax); err != nil {
		return err
	}
	for i := range q.Items {
		item := &q.Items[i]
		q.Quantity += item.Quantity
		item.Total = item.Amount + item.Fee + item.Tax // each below q.Total, which fits
		if item.Share, item.Remainder, err = money.Shares(item.Total, item.Quantity); err != nil {
			return err
		}
	}
	return nil
}

// Charge is what the lines of the campaign as a whole come to.
func (q Quote) Charge() money.Micros {
	var sum money.Micros
	for _, l := range q.Lines {
		sum += l.Amount // part of Total, which fits
	}
	return sum
}

// Fingerprint is the SHA-256 over the canonical JSON of the inputs and of what they
// come to: it changes with any of them, and with nothing else.
func Fingerprint(in Inputs, q Quote) ([]byte, error) {
	h := sha256.New()
	for _, part := range []any{in, q} {
		text, err := json.Marshal(part) // struct order is the canonical order
		if err != nil {
			return nil, fmt.Errorf("encode quotation: %w", err)
		}
		h.Write(text)
		h.Write([]byte{'\n'})
	}
	return h.Sum(nil), nil
}

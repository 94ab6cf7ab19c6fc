package money

import (
	"math"
	"strconv"
	"strings"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Currency is an ISO 4217 code. The zero value is none.
type Currency string

// ErrCurrency is the refusal of a currency that no rate card can exist in.
var ErrCurrency = errs.New(errs.Invalid, "money.unknown_currency", "not a currency that WhatsApp messages are billed in")

// denomination is how a currency is written and said.
type denomination struct {
	symbol string
	one    string // one main unit in words
	many   string
	part   string // a hundredth in words, plural
	indian bool   // grouped 12,34,567 and said in lakh and crore
}

// denominationOf knows the currencies that rate cards exist in.
// Source: Meta, WhatsApp Business Platform pricing, billing currencies, read 2026-09.
func denominationOf(c Currency) (denomination, bool) {
	switch c {
	case "USD":
		return denomination{symbol: "$", one: "US dollar", many: "US dollars", part: "cents"}, true
	case "AED":
		return denomination{symbol: "AED ", one: "UAE dirham", many: "UAE dirhams", part: "fils"}, true
	case "ARS":
		return denomination{symbol: "ARS ", one: "Argentine peso", many: "Argentine pesos", part: "centavos"}, true
	case "AUD":
		return denomination{symbol: "A$", one: "Australian dollar", many: "Australian dollars", part: "cents"}, true
	case "BRL":
		return denomination{symbol: "R$", one: "Brazilian real", many: "Brazilian reais", part: "centavos"}, true
	case "CLP":
		return denomination{symbol: "CLP ", one: "Chilean peso", many: "Chilean pesos", part: "centavos"}, true
	case "COP":
		return denomination{symbol: "COP ", one: "Colombian peso", many: "Colombian pesos", part: "centavos"}, true
	case "EUR":
		return denomination{symbol: "€", one: "euro", many: "euros", part: "cents"}, true
	case "GBP":
		return denomination{symbol: "£", one: "pound sterling", many: "pounds sterling", part: "pence"}, true
	case "IDR":
		return denomination{symbol: "Rp", one: "Indonesian rupiah", many: "Indonesian rupiah", part: "sen"}, true
	case "INR":
		return denomination{symbol: "₹", one: "rupee", many: "rupees", part: "paise", indian: true}, true
	case "MXN":
		return denomination{symbol: "MX$", one: "Mexican peso", many: "Mexican pesos", part: "centavos"}, true
	case "MYR":
		return denomination{symbol: "RM", one: "Malaysian ringgit", many: "Malaysian ringgit", part: "sen"}, true
	case "PEN":
		return denomination{symbol: "S/", one: "Peruvian sol", many: "Peruvian soles", part: "céntimos"}, true
	case "SAR":
		return denomination{symbol: "SAR ", one: "Saudi riyal", many: "Saudi riyals", part: "halalas"}, true
	case "SGD":
		return denomination{symbol: "S$", one: "Singapore dollar", many: "Singapore dollars", part: "cents"}, true
	}
	return denomination{}, false
}

// ParseCurrency reads a code, in any case.
//
// Errors: money.unknown_currency.
func ParseCurrency(code string) (Currency, error) {
	c := Currency(strings.ToUpper(strings.TrimSpace(code)))
	if !c.Valid() {
		return "", ErrCurrency
	}
	return c, nil
}

// Valid tells whether rate cards can exist in c.
func (c Currency) Valid() bool {
	_, ok := denominationOf(c)
	return ok
}

// Format writes m for people: symbol, grouping, and decimals as many as are needed but
// at least two ("₹12,34,567.50", "$0.0118", "-€3.00").
func (c Currency) Format(m Micros) string {
	d, ok := denominationOf(c)
	if !ok {
		d.symbol = string(c) + " "
	}
	_, decimals, _ := strings.Cut(m.String(), ".")
	whole, _ := m.split()
	return m.sign() + d.symbol + group(whole, d.indian) + "." + decimals
}

// FormatRate writes a unit price for people: like Format, with at least four decimals,
// as rate cards are printed.
func (c Currency) FormatRate(m Micros) string {
	text := c.Format(m)
	if _, decimals, _ := strings.Cut(text, "."); len(decimals) < 4 {
		text += strings.Repeat("0", 4-len(decimals))
	}
	return text
}

// FormatRounded writes m for people with two decimals, rounded half up on the
// magnitude: for totals that are read, never for sums that are paid.
func (c Currency) FormatRounded(m Micros) string { return c.Format(m.roundToCents()) }

// FormatCount groups a plain number the way the currency's country does.
func (c Currency) FormatCount(n int64) string {
	d, _ := denominationOf(c)
	if n < 0 {
		return strconv.FormatInt(n, 10)
	}
	return group(strconv.FormatInt(n, 10), d.indian)
}

// roundToCents rounds to two decimals, halves away from zero. Amounts too close to the
// end of the range to be rounded up are cut instead.
func (m Micros) roundToCents() Micros {
	const cent = Unit / 100
	rest := m % cent
	m -= rest
	switch {
	case rest >= cent/2 && m <= math.MaxInt64-cent:
		return m + cent
	case rest <= -cent/2 && m >= math.MinInt64+cent:
		return m - cent
	}
	return m
}

// group puts commas into digits: by threes, or the Indian way, three and then twos.
func group(digits string, indian bool) string {
	if len(digits) <= 3 {
		return digits
	}
	step := 3
	if indian {
		step = 2
	}
	head, tail := digits[:len(digits)-3], digits[len(digits)-3:]
	for len(head) > step {
		head, tail = head[:len(head)-step], head[len(head)-step:]+","+tail
	}
	return head + "," + tail
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

package pricing

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the calling codes below
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// prefixTable maps calling codes to markets: prefix, countries, market, valid_from.
// Source: Meta, pricing page, "country calling codes", read 2026-03, with the markets
// that stand alone since 2026-07-01 and 2026-10-01. That +76 and +77 are Kazakhstan's
// is ITU's numbering plan, not Meta's word.
//
//go:embed prefixes.csv
var prefixTable string

// ErrBadCard is the refusal of a rate-card file; the message names the line.
var ErrBadCard = errs.New(errs.Invalid, "pricing.bad_card", "the rate card cannot be read")

// CardFile is what a rate card is loaded from, as CSV texts.
type CardFile struct {
	// Rates has Meta's own columns: market, currency, marketing, utility,
	// authentication, authentication-international, service ("n/a" or nothing: no
	// price), and optionally effective_from (YYYY-MM-DD) per row.
	Rates string

	// From is the first day of rows without effective_from.
	From string

	// Tiers is optional: market, category, from_quantity, rate.
	Tiers string

	// Prefixes is optional: prefix, countries, market, valid_from. "" takes the table
	// this package knows.
	Prefixes string

	// Source tells people where the card was read: the file's name.
	Source string
}

// ParseCard reads a file into one snapshot per currency and first day, oldest first.
// Their IDs are empty: who stores them names them.
//
// Errors: pricing.bad_card, money.unknown_currency.
func ParseCard(f CardFile) ([]Snapshot, error) {
	rows, err := table(f.Rates, "market", "currency", "marketing")
	if err != nil {
		return nil, err
	}
	var cards []Snapshot
	for _, row := range rows {
		from := cmp.Or(row.get("effective_from"), f.From)
		if _, err := time.Parse(time.DateOnly, from); err != nil {
			return nil, row.refuse("effective_from is not a date (YYYY-MM-DD)")
		}
		currency, err := money.ParseCurrency(row.get("currency"))
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(cards, func(s Snapshot) bool { return s.Currency == currency && s.From == from })
		if i < 0 {
			cards = append(cards, Snapshot{Currency: currency, From: from, Source: f.Source})
			i = len(cards) - 1
		}
		rates, err := rowRates(row)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(cards[i].Rates, func(r Rate) bool { return len(rates) > 0 && r.Market == rates[0].Market }) {
			return nil, row.refuse("the market is given twice")
		}
		cards[i].Rates = append(cards[i].Rates, rates...)
	}
	if len(cards) == 0 {
		return nil, ErrBadCard.Detail("the rate card has no rows")
	}
	tiers, err := parseTiers(f.Tiers)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(cards, func(a, b Snapshot) int { return strings.Compare(a.From, b.From) })
	for i := range cards {
		cards[i].Tiers = tiers
		if cards[i].Prefixes, err = ParsePrefixes(f.Prefixes, cards[i].From); err != nil {
			return nil, err
		}
	}
	return cards, nil
}

// rowRates reads the prices of one market.
func rowRates(row record) ([]Rate, error) {
	market := Market(row.get("market"))
	if market == "" {
		return nil, row.refuse("the market is missing")
	}
	var rates []Rate
	for _, c := range Categories() {
		text := row.get(strings.ToLower(string(c)))
		if text == "" || strings.EqualFold(text, "n/a") {
			continue
		}
		unit, err := money.Parse(text)
		if err != nil || unit < 0 {
			return nil, row.refuse("the " + string(c) + " price is not an amount")
		}
		rates = append(rates, Rate{Market: market, Category: c, Unit: unit})
	}
	if len(rates) == 0 {
		return nil, row.refuse("the market has no price at all")
	}
	return rates, nil
}

func parseTiers(text string) ([]Tier, error) {
	if text == "" {
		return nil, nil
	}
	rows, err := table(text, "market", "category", "from_quantity", "rate")
	if err != nil {
		return nil, err
	}
	var tiers []Tier
	for _, row := range rows {
		t := Tier{Market: Market(row.get("market")), Category: Category(strings.ToUpper(row.get("category")))}
		if t.From, err = strconv.ParseInt(row.get("from_quantity"), 10, 64); err != nil || t.From < 1 {
			return nil, row.refuse("from_quantity is not a number of messages")
		}
		if t.Unit, err = money.Parse(row.get("rate")); err != nil || t.Unit < 0 {
			return nil, row.refuse("the rate is not an amount")
		}
		if !t.Category.Valid() || t.Market == "" {
			return nil, row.refuse("market or category is not known")
		}
		tiers = append(tiers, t)
	}
	return tiers, nil
}

// ParsePrefixes reads the calling-code table as it holds on day (YYYY-MM-DD), longest
// prefix first. "" reads the table this package knows.
//
// Errors: pricing.bad_card.
func ParsePrefixes(text, day string) ([]Prefix, error) {
	rows, err := table(cmp.Or(text, prefixTable), "prefix", "countries", "market")
	if err != nil {
		return nil, err
	}
	since := map[string]string{}
	held := map[string]Prefix{}
	for _, row := range rows {
		p := Prefix{Digits: row.get("prefix"), Countries: row.get("countries"), Market: Market(row.get("market"))}
		if p.Digits == "" || strings.Trim(p.Digits, "0123456789") != "" || p.Market == "" {
			return nil, row.refuse("prefix or market is missing")
		}
		from := row.get("valid_from")
		if old, ok := since[p.Digits]; from > day || ok && from < old {
			continue
		}
		since[p.Digits], held[p.Digits] = from, p
	}
	prefixes := make([]Prefix, 0, len(held))
	for _, p := range held {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(a, b Prefix) int {
		return cmp.Or(cmp.Compare(len(b.Digits), len(a.Digits)), strings.Compare(a.Digits, b.Digits))
	})
	return prefixes, nil
}

// Fingerprint is the SHA-256 of what the card says, whatever the order of its rows and
// wherever it was read: the same card loaded again is recognised by it.
func (s *Snapshot) Fingerprint() []byte {
	var lines []string
	for _, r := range s.Rates {
		lines = append(lines, fmt.Sprintf("rate|%s|%s|%d", r.Market, r.Category, r.Unit))
	}
	for _, t := range s.Tiers {
		lines = append(lines, fmt.Sprintf("tier|%s|%s|%d|%d", t.Market, t.Category, t.From, t.Unit))
	}
	for _, p := range s.Prefixes {
		lines = append(lines, fmt.Sprintf("prefix|%s|%s|%s", p.Digits, p.Countries, p.Market))
	}
	slices.Sort(lines)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s\n%s", s.Currency, s.From, strings.Join(lines, "\n")))
	return sum[:]
}

// record is one row of a CSV with a header.
type record struct {
	line   int
	header map[string]int
	fields []string
}

func (r record) get(column string) string {
	if i, ok := r.header[column]; ok && i < len(r.fields) {
		return strings.TrimSpace(r.fields[i])
	}
	return ""
}

func (r record) refuse(reason string) error { return ErrBadCard.Detail("line %d: %s", r.line, reason) }

// table reads a CSV whose header has at least the required columns; names are compared
// in lower case with "_" for "-" and " ".
func table(text string, required ...string) ([]record, error) {
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	reader.FieldsPerRecord = -1
	all, err := reader.ReadAll()
	if err != nil {
		return nil, ErrBadCard.With(err)
	}
	if len(all) == 0 {
		return nil, ErrBadCard.Detail("the file is empty")
	}
	header := map[string]int{}
	for i, name := range all[0] {
		header[strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(strings.TrimSpace(name)))] = i
	}
	for _, name := range required {
		if _, ok := header[name]; !ok {
			return nil, ErrBadCard.Detail("the column %s is missing", name)
		}
	}
	rows := make([]record, 0, len(all)-1)
	for i, fields := range all[1:] {
		rows = append(rows, record{line: i + 2, header: header, fields: fields})
	}
	return rows, nil
}

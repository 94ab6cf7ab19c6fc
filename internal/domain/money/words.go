package money

import "strings"

// Words says m in English, rounded to two decimals, as cheques and quotations do:
// "US dollars one thousand two hundred five and fifty cents only". Rupees are counted
// in lakh and crore.
func (c Currency) Words(m Micros) string {
	d, ok := denominationOf(c)
	if !ok {
		d = denomination{one: string(c), many: string(c), part: "hundredths"}
	}
	m = m.roundToCents()
	cents := m.abs() / uint64(Unit/100)
	whole, part := cents/100, cents%100
	name := d.many
	if whole == 1 {
		name = d.one
	}
	words := name + " " + spell(whole, d.indian)
	if part > 0 {
		words += " and " + spell(part, false) + " " + d.part
	}
	if m < 0 {
		words = "minus " + words
	}
	return strings.ToUpper(words[:1]) + words[1:] + " only"
}

// spell says a whole number. Indian counting goes thousand, lakh (10^5), crore (10^7)
// and counts the crores themselves again.
func spell(n uint64, indian bool) string {
	switch {
	case n == 0:
		return "zero"
	case indian && n >= 10_000_000:
		return join(spell(n/10_000_000, true)+" crore", n%10_000_000, true)
	case indian && n >= 100_000:
		return join(spell(n/100_000, false)+" lakh", n%100_000, true)
	case n >= 1_000_000_000_000:
		return join(spell(n/1_000_000_000_000, false)+" trillion", n%1_000_000_000_000, false)
	case n >= 1_000_000_000:
		return join(spell(n/1_000_000_000, false)+" billion", n%1_000_000_000, false)
	case n >= 1_000_000:
		return join(spell(n/1_000_000, false)+" million", n%1_000_000, false)
	case n >= 1_000:
		return join(spell(n/1_000, false)+" thousand", n%1_000, indian)
	case n >= 100:
		return join(spell(n/100, false)+" hundred", n%100, false)
	case n >= 20:
		tens := [...]string{"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}[n/10-2]
		if n%10 == 0 {
			return tens
		}
		return tens + "-" + spell(n%10, false)
	}
	return [...]string{
		"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
		"thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
	}[n]
}

func join(head string, rest uint64, indian bool) string {
	if rest == 0 {
		return head
	}
	return head + " " + spell(rest, indian)
}

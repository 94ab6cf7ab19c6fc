package pricing

import (
	"fmt"
	"strings"
)

// Explain says the arithmetic of a quotation for people, step by step.
func Explain(in Inputs, q Quote) []string {
	c := in.Currency
	steps := []string{fmt.Sprintf("Rate card in %s of %s, category %s.", c, in.Card, in.Category)}
	counts := map[Market]int64{}
	for _, a := range in.Audience {
		counts[a.Market] += a.Messages
	}
	for _, m := range in.Markets {
		var step strings.Builder
		fmt.Fprintf(&step, "%s: %s messages at %s", m.Market, c.FormatCount(counts[m.Market]), c.Format(m.Unit))
		for _, s := range m.Steps {
			fmt.Fprintf(&step, ", from number %s on at %s", c.FormatCount(s.From), c.Format(s.Unit))
		}
		steps = append(steps, step.String()+".")
	}
	steps = append(steps, fmt.Sprintf("Messages: %s.", c.Format(q.Messages)))
	fee := fmt.Sprintf("Platform fee: %s per message, %s of the messages, %s per campaign", c.Format(in.Fee.PerMessage), Percent(in.Fee.PercentBPS), c.Format(in.Fee.Fixed))
	if in.Fee.Minimum > 0 {
		fee += ", at least " + c.Format(in.Fee.Minimum)
	}
	if in.Fee.Cap > 0 {
		fee += ", at most " + c.Format(in.Fee.Cap)
	}
	steps = append(steps, fmt.Sprintf("%s: %s.", fee, c.Format(q.Fees)))
	if in.Tax.BPS > 0 {
		steps = append(steps, fmt.Sprintf("%s, %s of %s: %s.", in.Tax.Name, Percent(in.Tax.BPS), c.Format(q.Messages+q.Fees), c.Format(q.Tax)))
	}
	return append(steps, fmt.Sprintf("Total for %s messages: %s, of which %s on the campaign as a whole.", c.FormatCount(q.Quantity), c.Format(q.Total), c.Format(q.Charge())))
}

// Percent writes basis points: 1850 is "18.5 %".
func Percent(bps int64) string {
	text := fmt.Sprintf("%d.%02d", bps/100, bps%100)
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	return text + " %"
}

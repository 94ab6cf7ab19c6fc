package pdf

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tdewolff/canvas"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
)

// Offer is a quotation with who it is for.
type Offer struct {
	Quotation quotation.Quotation
	Vendor    string // name, in any script
	Region    string // the vendor's country, ISO 3166-1 alpha-2
	Campaign  string // name, in any script
	Zone      *time.Location
}

// The looks of the document.
//
//nolint:gochecknoglobals // constants in all but kind
var (
	inkBody   = ink{size: 8.5, fill: colourInk}
	inkStrong = ink{size: 8.5, bold: true, fill: colourInk}
	inkSmall  = ink{size: 7, fill: colourMuted}
	inkLabel  = ink{size: 6.5, bold: true, fill: colourMuted}
	inkHead   = ink{size: 7, bold: true, fill: colourWhite}
)

// column is one right-aligned column of the table: where it ends, from the left margin,
// and how wide what stands in it may be.
type column struct{ end, wide float64 }

// The table's columns. Amounts of crores fit; larger ones get smaller letters.
//
//nolint:gochecknoglobals // constants in all but kind
var (
	columnCountry  = 9.0 // its beginning
	columnMessages = column{71, 17}
	columnRate     = column{88, 15}
	columnAmount   = column{111, 21}
	columnFee      = column{130, 17}
	columnTax      = column{148, 16}
	columnTotal    = column{content - 3, 21}
)

// The table's measures: a row, its head, and where a page's rows must end.
const (
	rowHeight  = 8.6
	headHeight = 7.5
	lowest     = pageHeight - 24
)

// Quotation draws an offer. The same offer gives the same bytes, whoever draws it and when.
func (r *Renderer) Quotation(o Offer) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	d := &offerSheet{sheet: sheet{r: r}, o: o, q: o.Quotation.Quote, currency: o.Quotation.Quote.Currency}
	d.page()
	y := d.letterhead()
	y = d.parties(y)
	y = d.headline(y)
	y = d.table(y)
	y = d.totals(y)
	d.terms(y)
	return d.write(title{
		title:   "Quotation " + o.Quotation.Number,
		subject: o.Campaign,
		author:  "Kloyst",
		lang:    "en",
	}, o.Quotation.CreatedAt, d.foot)
}

// offerSheet is one quotation being drawn.
type offerSheet struct {
	sheet

	o        Offer
	q        pricing.Quote
	currency money.Currency
}

// letterhead draws mark, name and title; it returns where the next part begins.
func (d *offerSheet) letterhead() float64 {
	d.box(rect{0, 0, pageWidth, 3}, 0, colourAccent)
	d.mark(margin, 14, 13)
	d.text(margin+17, 21.5, "Kloyst", ink{size: 17, bold: true, fill: colourInk}, canvas.Left)
	d.text(margin+17, 26, "WhatsApp campaigns for business", inkSmall, canvas.Left)
	d.text(pageWidth-margin, 21.5, "QUOTATION", ink{size: 20, bold: true, fill: colourAccent}, canvas.Right)
	d.text(pageWidth-margin, 26.5, d.o.Quotation.Number, ink{size: 9, fill: colourMuted}, canvas.Right)
	d.rule(margin, 33, content, 0.25, colourRule)
	return 41
}

// mark is the logo: a speech bubble with a K of three strokes.
func (d *offerSheet) mark(x, y, size float64) {
	d.draw(func(c *canvas.Context) {
		unit := size / 13
		at := func(dx, dy float64) (float64, float64) { return x + dx*unit, pageHeight - y - dy*unit }
		c.SetStrokeColor(canvas.Transparent)
		c.SetFillColor(canvas.Hex(colourAccent))
		bx, by := at(0, 11.5)
		c.DrawPath(bx, by, canvas.RoundedRectangle(13*unit, 11.5*unit, 3.2*unit))
		for i, p := range [][2]float64{{2.6, 10.5}, {2.2, 14}, {6.4, 11}} {
			px, py := at(p[0], p[1])
			if i == 0 {
				c.MoveTo(px, py)
			} else {
				c.LineTo(px, py)
			}
		}
		c.Close()
		c.Fill()
		c.SetFillColor(canvas.Transparent)
		c.SetStrokeColor(canvas.Hex(colourWhite))
		c.SetStrokeWidth(1.35 * unit)
		c.SetStrokeCapper(canvas.RoundCap)
		c.SetStrokeJoiner(canvas.RoundJoin)
		stroke := func(points ...[2]float64) {
			for i, p := range points {
				px, py := at(p[0], p[1])
				if i == 0 {
					c.MoveTo(px, py)
				} else {
					c.LineTo(px, py)
				}
			}
			c.Stroke()
		}
		stroke([2]float64{4.4, 2.8}, [2]float64{4.4, 8.7})
		stroke([2]float64{8.7, 2.8}, [2]float64{4.7, 5.9}, [2]float64{8.7, 8.7})
	})
}

// parties says who it is for, and when it was made.
func (d *offerSheet) parties(y float64) float64 {
	const right = margin + 112
	d.text(margin, y, "PREPARED FOR", inkLabel, canvas.Left)
	left := y + 2.4
	left += d.paragraph(margin, left, 102, d.o.Vendor, ink{size: 13, bold: true, fill: colourInk}) + 0.8
	if name := countryName(d.o.Region); name != "" {
		left += d.paragraph(margin, left, 102, name, inkSmall)
	}
	left += 6.2
	d.text(margin, left, "CAMPAIGN", inkLabel, canvas.Left)
	left += 2
	left += d.paragraph(margin, left, 102, d.o.Campaign, ink{size: 10, fill: colourInk})

	q, day := d.o.Quotation, "2 January 2006"
	at := y
	for _, row := range [][2]string{
		{"Issued", q.CreatedAt.In(d.o.Zone).Format(day)},
		{"Valid until", q.ExpiresAt.In(d.o.Zone).Format(day + ", 15:04 MST")},
		{"Currency", string(d.currency)},
		{"Category", titled(string(q.Inputs.Category))},
		{"Rate card of", dateText(q.Inputs.Card, day)},
		{"Messages", d.currency.FormatCount(d.q.Quantity)},
	} {
		d.text(right, at, row[0], inkSmall, canvas.Left)
		d.text(pageWidth-margin, at, row[1], d.fit(row[1], inkStrong, 42), canvas.Right)
		at += 5.2
	}
	return max(left, at-2) + 5
}

// headline is the one number that is looked for first, and its words.
func (d *offerSheet) headline(y float64) float64 {
	const height = 21.0
	d.box(rect{margin, y, content, height}, 2, colourTint)
	d.box(rect{margin, y, 1.4, height}, 0, colourAccent)
	d.text(margin+7, y+7, "TOTAL PAYABLE", inkLabel, canvas.Left)
	amount := d.currency.FormatRounded(d.q.Total)
	d.text(margin+7, y+15.6, amount, ink{size: 19, bold: true, fill: colourAccent}, canvas.Left)
	taken := d.width(amount, ink{size: 19, bold: true, fill: colourAccent})
	words := d.currency.Words(d.q.Total)
	wide := content - taken - 24
	d.text(margin+taken+17, y+7, "IN WORDS", inkLabel, canvas.Left)
	d.paragraph(margin+taken+17, y+9.4, wide, words, ink{size: 8, fill: colourInk})
	return y + height + 8
}

// table draws one row per country, with its head again on every page.
func (d *offerSheet) table(y float64) float64 {
	y = d.tableHead(y)
	for i, item := range d.q.Items {
		if y+rowHeight > lowest {
			y = d.tableHead(d.nextPage())
		}
		if i%2 == 1 {
			d.box(rect{margin, y, content, rowHeight}, 0, colourStripe)
		}
		d.row(y, i+1, item)
		y += rowHeight
	}
	d.rule(margin, y, content, 0.35, colourAccent)
	return y + 3
}

// nextPage begins a page that goes on, and returns where.
func (d *offerSheet) nextPage() float64 {
	d.page()
	d.box(rect{0, 0, pageWidth, 3}, 0, colourAccent)
	d.text(margin, 15, "Quotation "+d.o.Quotation.Number, inkStrong, canvas.Left)
	d.text(pageWidth-margin, 15, d.o.Vendor, d.fit(d.o.Vendor, inkSmall, 90), canvas.Right)
	return 21
}

func (d *offerSheet) tableHead(y float64) float64 {
	d.box(rect{margin, y, content, headHeight}, 1, colourAccent)
	base := y + 4.9
	d.text(margin+3, base, "#", inkHead, canvas.Left)
	d.text(margin+columnCountry, base, "Country", inkHead, canvas.Left)
	for _, c := range []struct {
		column
		name string
	}{
		{columnMessages, "Messages"},
		{columnRate, "Rate"},
		{columnAmount, "Charges"},
		{columnFee, "Service fee"},
		{columnTax, d.taxLabel("Tax")},
		{columnTotal, "Amount"},
	} {
		d.text(margin+c.end, base, c.name, d.fit(c.name, inkHead, c.wide), canvas.Right)
	}
	return y + headHeight
}

// taxLabel is what the tax is called here.
func (d *offerSheet) taxLabel(otherwise string) string {
	if name := d.o.Quotation.Inputs.Tax.Name; name != "" {
		return name
	}
	return otherwise
}

func (d *offerSheet) row(y float64, n int, item pricing.Item) {
	base := y + 3.9
	country := countryName(item.Country)
	if country == "" {
		country = "Country not known"
	}
	market := string(item.Market)
	if market == country {
		market = "Country rate"
	}
	d.text(margin+3, base, strconv.Itoa(n), inkSmall, canvas.Left)
	d.text(margin+columnCountry, base, country, d.fit(country, inkStrong, 43), canvas.Left)
	d.text(margin+columnCountry, base+3.2, market, ink{size: 6.2, fill: colourMuted}, canvas.Left)
	for _, c := range []struct {
		column
		text string
		ink  ink
	}{
		{columnMessages, d.currency.FormatCount(item.Quantity), inkBody},
		{columnRate, d.currency.FormatRate(item.Unit), inkBody},
		{columnAmount, d.currency.FormatRounded(item.Amount), inkBody},
		{columnFee, d.currency.FormatRounded(item.Fee), inkBody},
		{columnTax, d.currency.FormatRounded(item.Tax), inkBody},
		{columnTotal, d.currency.FormatRounded(item.Total), inkStrong},
	} {
		d.text(margin+c.end, base+1.2, c.text, d.fit(c.text, c.ink, c.wide), canvas.Right)
	}
}

// totals sums up, on one page.
func (d *offerSheet) totals(y float64) float64 {
	lines := d.totalLines()
	if y+float64(len(lines))*5.6+16 > lowest {
		y = d.nextPage()
	}
	const left = margin + 92
	y += 3
	for _, l := range lines {
		d.text(left, y+2, l[0], inkBody, canvas.Left)
		d.text(margin+columnTotal.end, y+2, l[1], inkBody, canvas.Right)
		y += 5.6
	}
	y += 0.6
	d.box(rect{left - 4, y, pageWidth - margin - left + 4, 10}, 1.2, colourAccent)
	d.text(left, y+6.6, "Total payable", ink{size: 10, bold: true, fill: colourWhite}, canvas.Left)
	total := d.currency.FormatRounded(d.q.Total)
	d.text(margin+columnTotal.end, y+6.6, total, d.fit(total, ink{size: 11, bold: true, fill: colourWhite}, 48), canvas.Right)
	y += 14.5
	exact := "Held from the wallet, exactly: " + d.currency.Format(d.q.Total)
	d.text(margin+columnTotal.end, y, exact, ink{size: 6.5, fill: colourMuted}, canvas.Right)
	return y + 6
}

// totalLines are the sums above the total, in the order in which they were computed.
func (d *offerSheet) totalLines() [][2]string {
	var fixed, minimum money.Micros
	for _, l := range d.q.Lines {
		switch l.Kind {
		case pricing.FixedFee:
			fixed = l.Amount
		case pricing.MinimumFee:
			minimum = l.Amount
		case pricing.LineTax: // a part of the tax below
		}
	}
	lines := [][2]string{{
		fmt.Sprintf("Messages (%s)", d.currency.FormatCount(d.q.Quantity)), d.currency.FormatRounded(d.q.Messages),
	}}
	if fee := d.q.Fees - fixed - minimum; fee > 0 {
		lines = append(lines, [2]string{"Service fee on messages", d.currency.FormatRounded(fee)})
	}
	if fixed > 0 {
		lines = append(lines, [2]string{"Service fee per campaign", d.currency.FormatRounded(fixed)})
	}
	if minimum > 0 {
		lines = append(lines, [2]string{"Up to the minimum fee", d.currency.FormatRounded(minimum)})
	}
	if tax := d.o.Quotation.Inputs.Tax; tax.BPS > 0 {
		lines = append(lines, [2]string{
			fmt.Sprintf("%s, %s of %s", d.taxLabel("Tax"), pricing.Percent(tax.BPS), d.currency.FormatRounded(d.q.Messages+d.q.Fees)),
			d.currency.FormatRounded(d.q.Tax),
		})
	}
	return lines
}

// terms are what both sides agree on by accepting.
func (d *offerSheet) terms(y float64) {
	until := d.o.Quotation.ExpiresAt.In(d.o.Zone).Format("2 January 2006, 15:04 MST")
	list := []string{
		"Prices hold for acceptance until " + until + ", for the audience as counted when this quotation was issued.",
		"On acceptance the total is held in the wallet. Each message is charged when WhatsApp accepts it; a message that then fails is refunded. What is not charged is released when the campaign ends.",
		"Fees per campaign, and the tax on them, are due once a campaign has sent at least one message, also when it is cancelled afterwards.",
		"People who opt out before their message is sent are left out and not charged.",
		"Amounts are shown rounded to two decimals; what is held and charged is exact to a millionth of the currency unit.",
	}
	if y+44 > lowest {
		y = d.nextPage()
	}
	d.text(margin, y+3, "TERMS", inkLabel, canvas.Left)
	y += 6
	for i, text := range list {
		d.text(margin, y+2.5, strconv.Itoa(i+1)+".", inkSmall, canvas.Left)
		y += d.paragraph(margin+5, y, content-5, text, inkSmall) + 1.2
	}
}

// foot is drawn on every page.
func (d *offerSheet) foot(page int) {
	const y = pageHeight - 12
	d.rule(margin, y-4.5, content, 0.25, colourRule)
	print := hex.EncodeToString(d.o.Quotation.Fingerprint)
	if len(print) > 16 {
		print = print[:16]
	}
	d.text(margin, y, "Kloyst  ·  "+d.o.Quotation.Number+"  ·  fingerprint "+print, inkSmall, canvas.Left)
	d.text(pageWidth-margin, y, fmt.Sprintf("Page %d of %d", page, d.total), inkSmall, canvas.Right)
}

// countryName is the English name of a country, "" for none.
func countryName(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil || code == "" {
		return ""
	}
	return display.English.Regions().Name(region)
}

// titled makes "Authentication international" of AUTHENTICATION_INTERNATIONAL.
func titled(constant string) string {
	words := strings.ToLower(strings.ReplaceAll(constant, "_", " "))
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// dateText writes a day (YYYY-MM-DD) out.
func dateText(day, layout string) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return at.Format(layout)
}

package pdf

import (
	"cmp"
	"fmt"

	"github.com/tdewolff/canvas"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// Account is a wallet's statement with its lines.
type Account struct {
	wallet.Statement

	Lines []AccountLine
}

// AccountLine is one movement and the balances after it.
type AccountLine struct {
	wallet.Movement

	After wallet.Balances
}

// The columns of a statement.
//
//nolint:gochecknoglobals // constants in all but kind
var (
	columnWhat      = 30.0 // its beginning
	columnChange    = column{108, 24}
	columnHeldBy    = column{129, 19}
	columnAvailable = column{152, 21}
	columnHeld      = column{content - 3, 19}
)

// Statement draws a statement. The same one in the same second gives the same bytes.
func (r *Renderer) Statement(a Account) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &accountSheet{sheet: sheet{r: r}, a: a}
	d.page()
	y := d.head()
	y = d.tableHead(y)
	y = d.edge(y, "Opening balance", a.Opening)
	for i, line := range a.Lines {
		if y+rowHeight > lowest {
			y = d.tableHead(d.nextPage())
		}
		if i%2 == 1 {
			d.box(rect{margin, y, content, rowHeight}, 0, colourStripe)
		}
		d.line(y, line)
		y += rowHeight
	}
	if y+rowHeight > lowest {
		y = d.tableHead(d.nextPage())
	}
	d.edge(y, "Closing balance", a.Closing)
	return d.write(title{title: "Statement " + d.period(), subject: a.Vendor, author: "Kloyst"}, a.Until, d.foot)
}

// accountSheet is one statement being drawn.
type accountSheet struct {
	sheet

	a Account
}

func (d *accountSheet) period() string {
	const day = "2 January 2006"
	// The last moment that is in it: a period ends at a midnight, or now.
	return d.a.From.In(d.a.Zone).Format(day) + " – " + d.a.Until.Add(-1).In(d.a.Zone).Format(day)
}

// head draws who and when, and both ends; it returns where the table begins.
func (d *accountSheet) head() float64 {
	d.box(rect{0, 0, pageWidth, 3}, 0, colourAccent)
	d.text(margin, 21.5, "Kloyst", ink{size: 17, bold: true, fill: colourInk}, canvas.Left)
	d.text(pageWidth-margin, 21.5, "STATEMENT", ink{size: 20, bold: true, fill: colourAccent}, canvas.Right)
	d.text(pageWidth-margin, 26.5, d.period(), ink{size: 9, fill: colourMuted}, canvas.Right)
	d.box(rect{margin, 33, content, 0.25}, 0, colourRule)
	d.text(margin, 41, "WALLET OF", inkLabel, canvas.Left)
	y := 43.4 + d.paragraph(margin, 43.4, 102, d.a.Vendor, ink{size: 13, bold: true, fill: colourInk}) + 3
	d.text(margin, y+3, fmt.Sprintf("Kept in %s. Times are those of %s.", d.a.Currency, d.a.Zone), inkSmall, canvas.Left)
	at := 41.0
	for _, row := range [][2]string{
		{"Opening balance", d.amount(d.a.Opening.Available)},
		{"Closing balance", d.amount(d.a.Closing.Available)},
		{"Held at the end", d.amount(d.a.Closing.Held)},
		{"Entries", d.a.Currency.FormatCount(int64(len(d.a.Lines)))},
	} {
		d.text(margin+112, at, row[0], inkSmall, canvas.Left)
		d.text(pageWidth-margin, at, row[1], d.fit(row[1], inkStrong, 42), canvas.Right)
		at += 5.2
	}
	return max(y+6, at) + 3
}

func (d *accountSheet) amount(m money.Micros) string { return d.a.Currency.Format(m) }

// nextPage begins a page that goes on, and returns where.
func (d *accountSheet) nextPage() float64 {
	d.page()
	d.box(rect{0, 0, pageWidth, 3}, 0, colourAccent)
	d.text(margin, 15, "Statement "+d.period(), inkStrong, canvas.Left)
	d.text(pageWidth-margin, 15, d.a.Vendor, d.fit(d.a.Vendor, inkSmall, 90), canvas.Right)
	return 21
}

func (d *accountSheet) tableHead(y float64) float64 {
	d.box(rect{margin, y, content, headHeight}, 1, colourAccent)
	base := y + 4.9
	d.text(margin+3, base, "Time", inkHead, canvas.Left)
	d.text(margin+columnWhat, base, "Entry", inkHead, canvas.Left)
	for _, c := range []struct {
		column
		name string
	}{
		{columnChange, "Amount"}, {columnHeldBy, "To hold"}, {columnAvailable, "Balance"}, {columnHeld, "Held"},
	} {
		d.text(margin+c.end, base, c.name, d.fit(c.name, inkHead, c.wide), canvas.Right)
	}
	return y + headHeight
}

// edge draws a row of balances alone.
func (d *accountSheet) edge(y float64, name string, b wallet.Balances) float64 {
	d.box(rect{margin, y, content, rowHeight}, 0, colourTint)
	d.text(margin+columnWhat, y+5.4, name, inkStrong, canvas.Left)
	d.sum(y+5.4, columnAvailable, b.Available, inkStrong)
	d.sum(y+5.4, columnHeld, b.Held, inkStrong)
	return y + rowHeight
}

func (d *accountSheet) sum(base float64, c column, m money.Micros, i ink) {
	text := d.amount(m)
	d.text(margin+c.end, base, text, d.fit(text, i, c.wide), canvas.Right)
}

func (d *accountSheet) line(y float64, l AccountLine) {
	base := y + 3.9
	at := l.At.In(d.a.Zone)
	d.text(margin+3, base, at.Format("2 Jan 2006"), inkBody, canvas.Left)
	d.text(margin+3, y+7, at.Format("15:04:05"), inkSmall, canvas.Left)
	what := titled(string(l.Kind))
	if about := cmp.Or(l.Name, l.Reason); about != "" { // what was booked by hand is no campaign's
		what += " · " + about
	}
	const wide = 54
	d.text(margin+columnWhat, base, d.cut(what, inkBody, wide), inkBody, canvas.Left)
	d.text(margin+columnWhat, y+7, d.cut(l.Reference, inkSmall, wide), inkSmall, canvas.Left)
	for _, c := range []struct {
		column
		amount money.Micros
	}{{columnChange, l.Change.Available}, {columnHeldBy, l.Change.Held}} {
		if c.amount != 0 {
			d.sum(base, c.column, c.amount, inkBody)
		}
	}
	d.sum(base, columnAvailable, l.After.Available, inkBody)
	d.sum(base, columnHeld, l.After.Held, inkBody)
}

// cut takes from the end of text until it is as narrow as wide.
func (d *accountSheet) cut(text string, i ink, wide float64) string {
	for whole := []rune(text); len(whole) > 1 && d.width(text, i) > wide; {
		whole = whole[:len(whole)*9/10]
		text = string(whole) + "…"
	}
	return text
}

// foot is drawn on every page.
func (d *accountSheet) foot(page int) {
	const y = pageHeight - 12
	d.box(rect{margin, y - 4.5, content, 0.25}, 0, colourRule)
	d.text(margin, y, "Kloyst  ·  statement of "+d.a.Vendor, d.fit("Kloyst  ·  statement of "+d.a.Vendor, inkSmall, 130), canvas.Left)
	d.text(pageWidth-margin, y, fmt.Sprintf("Page %d of %d", page, d.total), inkSmall, canvas.Right)
}

package statement

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/pdf"
)

// Body is a statement as JSON; the document of the API is made of it.
type Body struct {
	Vendor   string         `json:"vendor" doc:"Its name"`
	Currency money.Currency `json:"currency"`
	TimeZone string         `json:"time_zone" doc:"Whose midnights cut the period"`
	From     time.Time      `json:"from" doc:"Included"`
	Until    time.Time      `json:"until" doc:"Not included; now where the period is not over"`
	Opening  BalanceBody    `json:"opening"`
	Closing  BalanceBody    `json:"closing" doc:"The opening balances and all entries"`
	Entries  []EntryBody    `json:"entries" nullable:"false" doc:"By time"`
}

// BalanceBody is what a vendor had at a moment.
type BalanceBody struct {
	BalanceMicros money.Micros `json:"balance_micros" doc:"What could be spent"`
	HeldMicros    money.Micros `json:"held_micros" doc:"Promised to campaigns"`
}

// EntryBody is one line of a statement.
type EntryBody struct {
	ID           string       `json:"id"`
	At           time.Time    `json:"at"`
	Kind         wallet.Kind  `json:"kind" enum:"TOP_UP,HOLD,CAPTURE,RELEASE,REFUND,ADJUST,RESTORE"`
	Reference    string       `json:"reference" doc:"Unique: what it was booked for"`
	CampaignID   string       `json:"campaign_id,omitempty"`
	Campaign     string       `json:"campaign,omitempty" doc:"Its name"`
	Actor        string       `json:"actor"`
	Reason       string       `json:"reason,omitempty" doc:"Of what was booked by hand"`
	AmountMicros money.Micros `json:"amount_micros" doc:"What the balance gained, negative where it lost"`
	HeldMicros   money.Micros `json:"held_amount_micros" doc:"What the money held gained, negative where it lost"`
	After        BalanceBody  `json:"after"`
}

func balanceBody(b wallet.Balances) BalanceBody { return BalanceBody{b.Available, b.Held} }

// jsonWriter writes Body by hand, so that its entries need no memory.
type jsonWriter struct {
	out  io.Writer
	next string
}

// Begin writes everything but the entries.
func (w *jsonWriter) Begin(s wallet.Statement) error {
	head, err := json.Marshal(Body{
		Vendor: s.Vendor, Currency: s.Currency, TimeZone: s.Zone.String(), From: s.From, Until: s.Until,
		Opening: balanceBody(s.Opening), Closing: balanceBody(s.Closing), Entries: []EntryBody{},
	})
	if err != nil {
		return err
	}
	_, err = w.out.Write(head[:len(head)-len("]}")])
	return err
}

// Entry writes one line.
func (w *jsonWriter) Entry(m wallet.Movement, after wallet.Balances) error {
	line, err := json.Marshal(EntryBody{
		ID: m.ID, At: m.At, Kind: m.Kind, Reference: m.Reference, CampaignID: m.Campaign, Campaign: m.Name, Actor: m.Actor, Reason: m.Reason,
		AmountMicros: m.Change.Available, HeldMicros: m.Change.Held, After: balanceBody(after),
	})
	if err != nil {
		return err
	}
	_, err = w.out.Write(append([]byte(w.next), line...))
	w.next = ","
	return err
}

// End closes the object.
func (w *jsonWriter) End() error {
	_, err := io.WriteString(w.out, "]}\n")
	return err
}

// columns are the heads of the tables; amounts are in the statement's currency.
func columns() []string {
	return []string{"time", "kind", "reference", "campaign", "actor", "reason", "amount", "held_amount", "balance", "held", "currency"}
}

// cells are one line of the tables but its amounts, harmless to a spreadsheet.
func cells(m wallet.Movement, zone *time.Location) []string {
	return []string{
		m.At.In(zone).Format(time.RFC3339), string(m.Kind), importing.Inert(m.Reference), importing.Inert(m.Name),
		importing.Inert(m.Actor), importing.Inert(m.Reason),
	}
}

// csvWriter writes a table with the opening and closing balances as its first and last rows.
type csvWriter struct {
	table *csv.Writer
	s     wallet.Statement
}

func newCSV(out io.Writer) *csvWriter { return &csvWriter{table: csv.NewWriter(out)} }

// Begin writes the heads and the opening balance.
func (w *csvWriter) Begin(s wallet.Statement) error {
	w.s = s
	if err := w.table.Write(columns()); err != nil {
		return err
	}
	return w.edge(s.From, "OPENING", s.Opening)
}

func (w *csvWriter) edge(at time.Time, kind string, b wallet.Balances) error {
	return w.table.Write([]string{
		at.In(w.s.Zone).Format(time.RFC3339), kind, "", "", "", "", "", "", b.Available.String(), b.Held.String(), string(w.s.Currency),
	})
}

// Entry writes one line.
func (w *csvWriter) Entry(m wallet.Movement, after wallet.Balances) error {
	return w.table.Write(append(cells(m, w.s.Zone), m.Change.Available.String(), m.Change.Held.String(),
		after.Available.String(), after.Held.String(), string(w.s.Currency)))
}

// End writes the closing balance.
func (w *csvWriter) End() error {
	if err := w.edge(w.s.Until, "CLOSING", w.s.Closing); err != nil {
		return err
	}
	w.table.Flush()
	return w.table.Error()
}

// xlsxWriter streams the same table into a sheet.
type xlsxWriter struct {
	out   io.Writer
	file  *excelize.File
	table *excelize.StreamWriter
	s     wallet.Statement
	row   int
	bold  int
	sums  int
}

// maxRows is what a sheet holds, less its heads and balances.
// Source: Microsoft, Excel specifications and limits: 1,048,576 rows.
const maxRows = 1_048_576 - 3

// Begin opens the sheet.
func (w *xlsxWriter) Begin(s wallet.Statement) error {
	if s.Entries > maxRows {
		return wallet.ErrTooLong
	}
	w.s, w.file = s, excelize.NewFile()
	const sheet = "Statement"
	var err error
	if err = w.file.SetSheetName("Sheet1", sheet); err != nil {
		return err
	}
	if w.bold, err = w.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}}); err != nil {
		return err
	}
	format := "#,##0.00####"
	if w.sums, err = w.file.NewStyle(&excelize.Style{CustomNumFmt: &format}); err != nil {
		return err
	}
	if w.table, err = w.file.NewStreamWriter(sheet); err != nil {
		return err
	}
	for from, width := range map[int]float64{1: 26, 3: 44, 4: 28, 7: 16, 8: 16, 9: 16, 10: 16} {
		if err := w.table.SetColWidth(from, from, width); err != nil {
			return err
		}
	}
	heads := make([]any, 0, len(columns()))
	for _, name := range columns() {
		heads = append(heads, excelize.Cell{StyleID: w.bold, Value: name})
	}
	if err := w.add(heads); err != nil {
		return err
	}
	return w.edge(s.From, "OPENING", s.Opening)
}

func (w *xlsxWriter) add(cells []any) error {
	w.row++
	return w.table.SetRow("A"+strconv.Itoa(w.row), cells)
}

// amount is a number where a spreadsheet's fifteen digits hold it exactly, else text.
func (w *xlsxWriter) amount(m money.Micros) any {
	const exact = 1_000_000_000_000_000
	if m <= -exact || m >= exact {
		return m.String()
	}
	number, err := strconv.ParseFloat(m.String(), 64) // the file's own form; it prints the same digits
	if err != nil {
		return m.String()
	}
	return excelize.Cell{StyleID: w.sums, Value: number}
}

func (w *xlsxWriter) edge(at time.Time, kind string, b wallet.Balances) error {
	return w.add([]any{
		at.In(w.s.Zone).Format(time.RFC3339),
		excelize.Cell{StyleID: w.bold, Value: kind},
		nil, nil, nil, nil, nil, nil,
		w.amount(b.Available), w.amount(b.Held), string(w.s.Currency),
	})
}

// Entry writes one row.
func (w *xlsxWriter) Entry(m wallet.Movement, after wallet.Balances) error {
	row := make([]any, 0, len(columns()))
	for _, text := range cells(m, w.s.Zone) {
		row = append(row, text)
	}
	return w.add(append(row, w.amount(m.Change.Available), w.amount(m.Change.Held), w.amount(after.Available), w.amount(after.Held), string(w.s.Currency)))
}

// End writes the closing balance and the file.
func (w *xlsxWriter) End() error {
	defer w.file.Close() // removes its temporary files
	if err := w.edge(w.s.Until, "CLOSING", w.s.Closing); err != nil {
		return err
	}
	if err := w.table.Flush(); err != nil {
		return fmt.Errorf("finish the sheet: %w", err)
	}
	_, err := w.file.WriteTo(w.out)
	return err
}

// maxPDF is how many entries a PDF takes: a hundred and fifty pages, drawn in seconds.
const maxPDF = 5_000

// pdfWriter gathers what is drawn at the end.
type pdfWriter struct {
	out   io.Writer
	fonts *pdf.Renderer
	doc   pdf.Account
}

// Begin notes the head.
func (w *pdfWriter) Begin(s wallet.Statement) error {
	if s.Entries > maxPDF {
		return wallet.ErrTooLong
	}
	w.doc.Statement = s
	return nil
}

// Entry notes one line.
func (w *pdfWriter) Entry(m wallet.Movement, after wallet.Balances) error {
	w.doc.Lines = append(w.doc.Lines, pdf.AccountLine{Movement: m, After: after})
	return nil
}

// End draws the document.
func (w *pdfWriter) End() error {
	file, err := w.fonts.Statement(w.doc)
	if err != nil {
		return err
	}
	_, err = w.out.Write(file)
	return err
}

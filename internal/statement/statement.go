// Package statement writes a wallet's statement as JSON, CSV, XLSX or PDF, entry by entry:
// all but the PDF take the same memory however many there are. It decides nothing about
// money.
package statement

import (
	"io"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/pdf"
)

// Format is a kind of file.
type Format string

// The formats.
const (
	JSON Format = "json"
	CSV  Format = "csv"
	XLSX Format = "xlsx"
	PDF  Format = "pdf"
)

// ErrFormat refuses a format that is none.
var ErrFormat = errs.New(errs.Invalid, "wallet.bad_format", "a statement is made as json, csv, xlsx or pdf")

// ParseFormat reads a format; "" is JSON.
//
// Errors: wallet.bad_format.
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case "":
		return JSON, nil
	case JSON, CSV, XLSX, PDF:
		return f, nil
	}
	return "", ErrFormat
}

// ContentType is the format's media type.
func (f Format) ContentType() string {
	switch f {
	case JSON:
		return "application/json"
	case CSV:
		return "text/csv; charset=utf-8"
	case XLSX:
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case PDF:
		return "application/pdf"
	}
	return ""
}

// FileName is what a file of the period is called, by the days of its zone.
func FileName(p wallet.Period, zone *time.Location, f Format) string {
	const day = "20060102"
	return "statement-" + p.From.In(zone).Format(day) + "-" + p.Until.Add(-1).In(zone).Format(day) + "." + string(f)
}

// Writer is a statement being written: Begin, each Entry, then End.
type Writer interface {
	Begin(wallet.Statement) error
	Entry(wallet.Movement, wallet.Balances) error
	End() error
}

// New returns a writer of the format into out. fonts draws the PDF and may be nil else.
func New(f Format, fonts *pdf.Renderer, out io.Writer) Writer {
	switch f {
	case CSV:
		return newCSV(out)
	case XLSX:
		return &xlsxWriter{out: out}
	case PDF:
		return &pdfWriter{out: out, fonts: fonts}
	case JSON:
	}
	return &jsonWriter{out: out}
}

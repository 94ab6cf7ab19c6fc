package importing

import (
	"fmt"
	"strings"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Fault says why a row is not imported. The numbers are stored between the two passes
// over a file; they are only ever added to.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota
	FaultEmpty
	FaultScientific
	FaultNotANumber
	FaultSeveral
	FaultCountry
	FaultTooShort
	FaultTooLong
	FaultNotAssigned
	FaultExtraCells
	FaultNameTooLong
	FaultTooManyLabels
	FaultLabelTooLong
	FaultValueTooLong
	FaultSkipped    // an operator skipped the row's chunk
	FaultDuplicate  // counted as duplicate, not as invalid
	FaultSuppressed // counted as suppressed
)

// faultTexts gives each fault its public code and what to do about it. Those of phone
// numbers come from package phone.
func faultTexts(f Fault) (code, text string) {
	switch f {
	case FaultExtraCells:
		return "row.extra_cells", "the row has more cells than there are columns: a cell with the delimiter in it needs quotes"
	case FaultNameTooLong:
		return "row.name_too_long", "the name is over 200 characters"
	case FaultTooManyLabels:
		return "row.too_many_labels", "the row has over 50 labels"
	case FaultLabelTooLong:
		return "row.label_too_long", "a label is over 100 characters"
	case FaultValueTooLong:
		return "row.value_too_long", "the value is over 1000 characters"
	case FaultSkipped:
		return "row.skipped", "an operator skipped this part of the file"
	case FaultDuplicate:
		return "row.duplicate", "the same number is in an earlier row"
	case FaultSuppressed:
		return "row.suppressed", "this person has asked not to be written to, or must not be"
	case FaultEmpty, FaultScientific, FaultNotANumber, FaultSeveral, FaultCountry, FaultTooShort, FaultTooLong, FaultNotAssigned:
		e := phoneError(f)
		return e.Code, e.Msg
	case NoFault:
	}
	return "row.invalid", "the row cannot be read"
}

func phoneError(f Fault) *errs.Error {
	for _, pair := range phoneFaults() {
		if pair.fault == f {
			return pair.err
		}
	}
	return nil
}

type phoneFault struct {
	fault Fault
	err   *errs.Error
}

func phoneFaults() []phoneFault {
	return []phoneFault{
		{FaultEmpty, phone.ErrEmpty},
		{FaultScientific, phone.ErrScientific},
		{FaultNotANumber, phone.ErrNotANumber},
		{FaultSeveral, phone.ErrSeveral},
		{FaultCountry, phone.ErrCountry},
		{FaultTooShort, phone.ErrTooShort},
		{FaultTooLong, phone.ErrTooLong},
		{FaultNotAssigned, phone.ErrInvalid},
	}
}

// faultOf maps phone's errors; the store keeps numbers, not texts.
func faultOf(err error) Fault {
	code := errs.CodeOf(err)
	for _, pair := range phoneFaults() {
		if pair.err.Code == code {
			return pair.fault
		}
	}
	return FaultNotANumber
}

// RowError is one line of an import's error file.
type RowError struct {
	Row    int    `json:"row"`    // as a spreadsheet counts: the header is row 1
	Column string `json:"column"` // its name
	Value  string `json:"value"`  // as given
	Code   string `json:"code"`
	Text   string `json:"text"`
}

// NewRowError describes a fault. firstRow is the earlier row of a duplicate.
func NewRowError(row int, column, value string, f Fault, firstRow int) RowError {
	code, text := faultTexts(f)
	if f == FaultDuplicate && firstRow > 0 {
		text = fmt.Sprintf("the same number is in row %d", firstRow)
	}
	return RowError{Row: row, Column: column, Value: value, Code: code, Text: text}
}

// Inert makes a cell harmless to a spreadsheet: what would begin a formula is marked
// as text. Source: OWASP, CSV injection, read 2026-09.
func Inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

package importing

import (
	"bytes"
	"strings"
)

// Limits of one record (one row of the table, which may span lines in quotes).
const (
	// MaxRecord is the longest record, in bytes: four of Excel's longest cells
	// (32,767 characters; source: Microsoft, Excel specifications and limits, read 2026-09).
	MaxRecord = 128 << 10
	// maxQuotedLines is how many lines a quoted cell may span. A quote that never
	// closes is then taken for a character, so that it cannot swallow the file.
	maxQuotedLines = 100
)

// Records returns a split function for bufio.Scanner that yields one record a token,
// without its line end. It decides by a record's own bytes alone, so that a part of
// the file that begins and ends between records gives the same records as the whole.
// The scanner's buffer must hold MaxRecord+1 bytes.
//
// Errors: import.line_too_long.
func Records(delim byte) func(data []byte, atEOF bool) (int, []byte, error) {
	return func(data []byte, atEOF bool) (int, []byte, error) {
		if len(data) == 0 {
			return 0, nil, nil
		}
		line := bytes.IndexByte(data, '\n')
		if line < 0 {
			return lastLine(data, atEOF)
		}
		if line > MaxRecord {
			return 0, nil, ErrLineTooLong
		}
		end := line
		if bytes.IndexByte(data[:line], '"') >= 0 {
			closed, found := quotedEnd(data, delim, atEOF)
			if found < 0 {
				return 0, nil, nil // more may close the quote
			}
			if closed {
				end = found
			}
		}
		next := min(end+1, len(data))
		return next, trimCR(data[:end]), nil
	}
}

func lastLine(data []byte, atEOF bool) (int, []byte, error) {
	switch {
	case len(data) > MaxRecord:
		return 0, nil, ErrLineTooLong
	case !atEOF:
		return 0, nil, nil
	}
	return len(data), trimCR(data), nil
}

func trimCR(rec []byte) []byte { return bytes.TrimSuffix(rec, []byte{'\r'}) }

// quotedEnd walks a record that has a quote in its first line. It returns where the
// record ends; closed is false when a quote stays open for too long, and found is -1
// when the data end before that is known.
func quotedEnd(data []byte, delim byte, atEOF bool) (closed bool, found int) {
	state, lines := fieldStart, 0
	for i, c := range data {
		if c == '\n' {
			if state != inQuotes {
				return true, i
			}
			if lines++; lines >= maxQuotedLines {
				return false, 0
			}
		}
		if i >= MaxRecord {
			return false, 0
		}
		state = state.next(c, delim)
	}
	switch {
	case !atEOF:
		return false, -1
	case state == inQuotes:
		return false, 0
	}
	return true, len(data)
}

// cellState is where the reader is inside a record.
type cellState uint8

const (
	fieldStart cellState = iota // before the first character of a cell
	bare                        // in a cell without quotes
	inQuotes                    // between quotes
	quoteSeen                   // after a quote inside quotes: an end, or half of a doubled one
)

// next is the one table of quoting rules; Records and Fields both walk it. A quote in
// the middle of a bare cell is a character; so is one inside quotes that is followed
// by neither a quote nor the end of the cell.
func (s cellState) next(c, delim byte) cellState {
	switch s {
	case fieldStart:
		switch c {
		case delim, ' ', '\r', '\n':
			return fieldStart
		case '"':
			return inQuotes
		}
		return bare
	case bare:
		if c == delim {
			return fieldStart
		}
		return bare
	case inQuotes:
		if c == '"' {
			return quoteSeen
		}
		return inQuotes
	case quoteSeen:
		switch c {
		case delim:
			return fieldStart
		case ' ', '\r':
			return quoteSeen
		}
	}
	return inQuotes
}

// Fields cuts a record into its cells, appending to dst[:0]. The cells own their bytes.
func Fields(rec []byte, delim byte, dst []string) []string {
	dst = dst[:0]
	text := string(rec) // one allocation a row; bare cells are slices of it
	if strings.IndexByte(text, '"') < 0 {
		for {
			i := strings.IndexByte(text, delim)
			if i < 0 {
				return append(dst, text)
			}
			dst = append(dst, text[:i])
			text = text[i+1:]
		}
	}
	for start := 0; ; {
		end := cellEnd(text, start, delim)
		dst = append(dst, unquote(text[start:end]))
		if end == len(text) {
			return dst
		}
		start = end + 1
	}
}

// cellEnd finds the delimiter that ends the cell at start, or the record's end. A
// quote left open makes the cell a bare one.
func cellEnd(text string, start int, delim byte) int {
	state := fieldStart
	for i := start; i < len(text); i++ {
		if text[i] == delim && state != inQuotes {
			return i
		}
		state = state.next(text[i], delim)
	}
	if state == inQuotes {
		if i := strings.IndexByte(text[start:], delim); i >= 0 {
			return start + i
		}
	}
	return len(text)
}

func unquote(cell string) string {
	trimmed := strings.Trim(cell, " \r")
	if len(trimmed) < 2 || trimmed[0] != '"' || trimmed[len(trimmed)-1] != '"' {
		return cell
	}
	return strings.ReplaceAll(trimmed[1:len(trimmed)-1], `""`, `"`)
}

// Blank tells whether a record has no content: empty lines and the rows of bare
// delimiters that spreadsheets leave at the end. Blank records are not rows.
func Blank(rec []byte, delim byte) bool {
	for _, c := range rec {
		if c != delim && c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '"' {
			return false
		}
	}
	return true
}

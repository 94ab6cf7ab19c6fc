package importing

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

// Encoding is how a file's bytes spell characters.
type Encoding string

// The encodings understood. Windows-1252 is what is left when nothing else fits: it
// has a character for nearly every byte, so the vendor sees a preview before it counts.
const (
	UTF8        Encoding = "UTF-8"
	UTF16LE     Encoding = "UTF-16LE"
	UTF16BE     Encoding = "UTF-16BE"
	Windows1252 Encoding = "WINDOWS-1252"
)

// SampleBytes is how much of a file's beginning is looked at to guess its form.
const SampleBytes = 64 << 10

// maxColumns bounds the width of a table.
const maxColumns = 500

// DetectEncoding guesses from the first bytes of a file. bom is the length of the byte
// order mark to skip. A UTF-8 guess holds only for the sample: later bytes may break it.
func DetectEncoding(sample []byte) (enc Encoding, bom int) {
	switch {
	case bytes.HasPrefix(sample, []byte{0xEF, 0xBB, 0xBF}):
		return UTF8, 3
	case bytes.HasPrefix(sample, []byte{0xFF, 0xFE}):
		return UTF16LE, 2
	case bytes.HasPrefix(sample, []byte{0xFE, 0xFF}):
		return UTF16BE, 2
	}
	// Text has no NUL; in UTF-16 most characters of a table (digits, delimiters) have one
	// in their high byte, first or second.
	even, odd := 0, 0
	for i, c := range sample {
		if c != 0 {
			continue
		}
		if i%2 == 0 {
			even++
		} else {
			odd++
		}
	}
	quarter := len(sample) / 4
	switch {
	case odd > quarter && even < odd/4:
		return UTF16LE, 0
	case even > quarter && odd < even/4:
		return UTF16BE, 0
	case ValidUTF8Prefix(sample):
		return UTF8, 0
	}
	return Windows1252, 0
}

// ValidUTF8Prefix tells whether b is UTF-8, but for a character cut off at its end.
func ValidUTF8Prefix(b []byte) bool {
	for range utf8.UTFMax - 1 {
		if utf8.Valid(b) {
			return true
		}
		if len(b) == 0 || utf8.RuneStart(b[len(b)-1]) && b[len(b)-1] < utf8.RuneSelf {
			return false
		}
		b = b[:len(b)-1]
	}
	return utf8.Valid(b)
}

// Shape is what was found out about a table's form.
type Shape struct {
	Delimiter byte
	Skip      int  // bytes before the first record: Excel's "sep=;" line
	HasHeader bool // false: the first record is a row already
	Headers   []string
}

// DetectShape guesses delimiter and header row from the beginning of the decoded text.
//
// Errors: import.no_rows, import.line_too_long, import.too_many_columns.
func DetectShape(sample []byte, atEOF bool) (Shape, error) {
	var s Shape
	s.Delimiter, s.Skip = separatorLine(sample)
	if s.Delimiter == 0 {
		s.Delimiter = guessDelimiter(sample, atEOF)
	}
	rows, err := firstRecords(sample[s.Skip:], s.Delimiter, atEOF, 1)
	if err != nil {
		return Shape{}, err
	}
	if len(rows) == 0 {
		if !atEOF && bytes.IndexByte(sample, '\n') < 0 {
			return Shape{}, ErrLineTooLong
		}
		return Shape{}, ErrNoRows
	}
	if len(rows[0]) > maxColumns {
		return Shape{}, ErrTooManyColumns
	}
	s.HasHeader = looksLikeHeader(rows[0])
	s.Headers = headerNames(rows[0], s.HasHeader)
	return s, nil
}

// separatorLine reads Excel's own hint, a first line "sep=;".
func separatorLine(sample []byte) (delim byte, skip int) {
	line, _, found := bytes.Cut(sample, []byte{'\n'})
	text := strings.TrimRight(strings.Trim(string(line), "\""), "\r\"")
	if !found || len(text) != 5 || !strings.EqualFold(text[:4], "sep=") || !strings.Contains(",;\t|:^~#", text[4:]) {
		return 0, 0
	}
	return text[4], len(line) + 1
}

// guessDelimiter takes the candidate that cuts most of the first records into the same
// number of cells, more cells winning; a comma when none cuts anything.
func guessDelimiter(sample []byte, atEOF bool) byte {
	best, bestScore := byte(','), 0
	for _, d := range []byte{',', ';', '\t', '|'} {
		rows, err := firstRecords(sample, d, atEOF, 25)
		if err != nil || len(rows) == 0 || len(rows[0]) < 2 {
			continue
		}
		same := 0
		for _, r := range rows {
			if len(r) == len(rows[0]) {
				same++
			}
		}
		// Agreement first: a name list with commas in it also "has" commas.
		if score := same*1000/len(rows)*100 + min(len(rows[0]), 99); score > bestScore {
			best, bestScore = d, score
		}
	}
	return best
}

// firstRecords cuts up to limit records that are not blank; a last one that the sample
// cuts off is left out.
func firstRecords(sample []byte, delim byte, atEOF bool, limit int) ([][]string, error) {
	split := Records(delim)
	var rows [][]string
	for len(sample) > 0 && len(rows) < limit {
		n, rec, err := split(sample, atEOF)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		if !Blank(rec, delim) {
			rows = append(rows, Fields(rec, delim, nil))
		}
		sample = sample[n:]
	}
	return rows, nil
}

// looksLikeHeader tells a row of column names from a row of data: names hold no number
// long enough to be somebody's and no mail address.
func looksLikeHeader(cells []string) bool {
	named := false
	for _, c := range cells {
		digits := 0
		for _, r := range c {
			if unicode.IsDigit(r) {
				digits++
			}
		}
		if digits >= 6 || strings.Contains(c, "@") {
			return false
		}
		named = named || digits < len(strings.TrimSpace(c))
	}
	return named
}

// headerNames gives every column a name of its own: blank ones by position, repeated
// ones with a number.
func headerNames(cells []string, hasHeader bool) []string {
	names := make([]string, len(cells))
	seen := map[string]bool{}
	for i, c := range cells {
		name := ""
		if hasHeader {
			name = contact.CleanText(c)
			if r := []rune(name); len(r) > contact.MaxLabel {
				name = string(r[:contact.MaxLabel])
			}
		}
		if name == "" {
			name = fmt.Sprintf("Column %d", i+1)
		}
		base := name
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("%s (%d)", base, n)
		}
		seen[name] = true
		names[i] = name
	}
	return names
}

// Suggest guesses what the columns mean, from their names and from sample rows. What
// it cannot tell it leaves empty; a suggestion is never applied by itself.
func Suggest(headers []string, sample [][]string, region string) Mapping {
	var m Mapping
	taken := map[int]bool{}
	pick := func(words []string) string {
		for _, w := range words {
			for i, h := range headers {
				if !taken[i] && columnKey(h) == w {
					taken[i] = true
					return h
				}
			}
		}
		return ""
	}
	m.Phone = pick(phoneWords())
	if m.Phone == "" {
		if i := mostlyPhones(headers, sample, region); i >= 0 {
			m.Phone, taken[i] = headers[i], true
		}
	}
	m.Name = pick([]string{"name", "fullname", "contactname", "customername", "displayname", "firstname", "nombre", "nome", "nom", "naam", "नाम", "الاسم"})
	m.Labels = pick([]string{"labels", "label", "tags", "tag", "groups", "group", "segment", "segments", "category", "lists", "list"})
	for i, h := range headers {
		if key := attributeKey(h); !taken[i] && key != "" && len(m.Attributes) < contact.MaxAttributes {
			if m.Attributes == nil {
				m.Attributes = map[string]string{}
			}
			if _, twice := m.Attributes[key]; !twice {
				m.Attributes[key] = h
			}
		}
	}
	return m
}

func phoneWords() []string {
	return []string{
		"phone", "mobile", "phonenumber", "mobilenumber", "mobileno", "phoneno", "whatsapp", "whatsappnumber", "whatsappno",
		"contactnumber", "contactno", "cell", "cellphone", "msisdn", "telephone", "tel", "telefono", "teléfono", "telefone", "celular",
		"handy", "number", "waid", "मोबाइल", "फ़ोन", "الجوال", "الهاتف",
	}
}

// mostlyPhones finds the column in which most sample cells are telephone numbers.
func mostlyPhones(headers []string, sample [][]string, region string) int {
	best, bestHits := -1, 0
	for i := range headers {
		hits, filled := 0, 0
		for _, row := range sample {
			if i >= len(row) || row[i] == "" {
				continue
			}
			filled++
			if _, err := phone.Parse(row[i], region); err == nil {
				hits++
			}
		}
		if hits*2 > filled && hits > bestHits {
			best, bestHits = i, hits
		}
	}
	return best
}

// columnKey is what "Mobile No." and "mobile_no" share.
func columnKey(header string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, header)
}

// attributeKey makes an attribute's name of a column's: lower case, words joined by
// an underscore; "" when nothing is left.
func attributeKey(header string) string {
	words := strings.FieldsFunc(strings.ToLower(header), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	key := strings.Join(words, "_")
	if len(key) > contact.MaxAttributeName {
		return ""
	}
	return key
}

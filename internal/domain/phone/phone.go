// Package phone turns what people type into a cell into one canonical number in
// E.164 form, or says why it cannot. Its law: Parse of a Number's text gives the same
// Number, so that the text can be a person's identity. It must not import anything
// that does I/O: numbers are decided by the library's tables alone.
package phone

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Number is a telephone number that the numbering plan of its country knows.
// The zero value is no number. Two Numbers are the same line exactly when they are ==.
type Number struct {
	e164   string
	region string
}

// Why a cell holds no number. The messages are shown to vendors and never repeat the cell.
var (
	ErrEmpty      = errs.New(errs.Invalid, "phone.empty", "the cell is empty")
	ErrScientific = errs.New(errs.Invalid, "phone.scientific_notation",
		"the spreadsheet has rounded this number (as in 9.19E+11): format the column as text and export again")
	ErrNotANumber = errs.New(errs.Invalid, "phone.not_a_number", "the cell holds something else than a telephone number")
	ErrSeveral    = errs.New(errs.Invalid, "phone.several_numbers", "the cell holds more than one number")
	ErrCountry    = errs.New(errs.Invalid, "phone.unknown_country",
		"no country has this calling code, or a national number came without a default country")
	ErrTooShort = errs.New(errs.Invalid, "phone.too_short", "too few digits for its country")
	ErrTooLong  = errs.New(errs.Invalid, "phone.too_long", "too many digits for its country")
	ErrInvalid  = errs.New(errs.Invalid, "phone.not_assigned", "its country's numbering plan has no such number")
)

// MaxRaw is the longest cell, in bytes, that is looked at at all.
const MaxRaw = 200

// Limits of E.164: at most 15 digits with the calling code; the shortest subscriber
// numbers in use have four digits. Source: ITU-T E.164 (11/2010), clause 6.
const (
	maxDigits = 15
	minDigits = 4
)

// Parse reads one cell. A number without calling code is taken as a national number of
// region (ISO 3166-1 alpha-2, upper case); with an empty region only international
// numbers are understood, with or without their plus sign.
//
// Errors: phone.empty, phone.scientific_notation, phone.not_a_number,
// phone.several_numbers, phone.unknown_country, phone.too_short, phone.too_long,
// phone.not_assigned.
func Parse(raw, region string) (Number, error) {
	if n, ok := quick(raw, region); ok {
		return n, nil
	}
	return parse(raw, region)
}

// parse is Parse by the library alone: some 20 µs a number.
func parse(raw, region string) (Number, error) {
	dial, err := clean(raw)
	if err != nil {
		return Number{}, err
	}
	if region == "" && dial[0] != '+' {
		dial = "+" + dial
	}
	var n phonenumbers.PhoneNumber
	if err := phonenumbers.ParseToNumber(dial, region, &n); err != nil {
		return Number{}, reason(err)
	}
	if !phonenumbers.IsValidNumber(&n) {
		return Number{}, whyInvalid(&n)
	}
	where := phonenumbers.GetRegionCodeForNumber(&n)
	if len(where) != 2 || where == "ZZ" {
		return Number{}, ErrCountry // satellite and other networks of no country
	}
	return Number{e164: format(&n), region: where}, nil
}

// Restore rebuilds a Number from its own text and region, as the store keeps them,
// without looking at the numbering plan again.
func Restore(e164, region string) Number { return Number{e164: e164, region: region} }

// String returns the E.164 text, "+919876543210"; empty for the zero value.
// It is personal data: never in a log, an error or a workflow.
func (n Number) String() string { return n.e164 }

// Digits returns the E.164 text without its plus sign, the form Meta's API uses.
func (n Number) Digits() string { return strings.TrimPrefix(n.e164, "+") }

// Region returns the ISO 3166-1 alpha-2 code of the number's country.
func (n Number) Region() string { return n.region }

// IsZero tells whether n is no number.
func (n Number) IsZero() bool { return n.e164 == "" }

// LogValue keeps the number out of logs; the country may be known.
func (n Number) LogValue() slog.Value { return slog.StringValue("[number " + n.region + "]") }

// GoString keeps the number out of %#v.
func (n Number) GoString() string { return "phone.Number[" + n.region + "]" }

// Mask hides all but the last four digits of a number in E.164 form: enough to know it
// again, too little to write to it. A number too short for that is hidden whole.
func Mask(e164 string) string {
	digits := strings.TrimPrefix(e164, "+")
	kept := ""
	if len(digits) > 2*maskKeeps {
		kept = digits[len(digits)-maskKeeps:]
	}
	return "+" + strings.Repeat("•", len(digits)-len(kept)) + kept
}

// maskKeeps is how many digits a masked number shows.
const maskKeeps = 4

// KnownRegion tells whether region can be a default country.
func KnownRegion(region string) bool { return phonenumbers.GetCountryCodeForRegion(region) != 0 }

func format(n *phonenumbers.PhoneNumber) string {
	b := make([]byte, 0, 1+maxDigits)
	b = append(b, '+')
	b = strconv.AppendInt(b, int64(n.GetCountryCode()), 10)
	if n.GetItalianLeadingZero() {
		for range max(n.GetNumberOfLeadingZeros(), 1) {
			b = append(b, '0')
		}
	}
	return string(strconv.AppendUint(b, n.GetNationalNumber(), 10))
}

func reason(err error) error {
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return ErrCountry
	case errors.Is(err, phonenumbers.ErrTooShortNSN), errors.Is(err, phonenumbers.ErrTooShortAfterIDD):
		return ErrTooShort
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return ErrTooLong
	}
	return ErrNotANumber
}

func whyInvalid(n *phonenumbers.PhoneNumber) error {
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.TOO_SHORT, phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return ErrTooShort
	case phonenumbers.TOO_LONG:
		return ErrTooLong
	case phonenumbers.INVALID_COUNTRY_CODE:
		return ErrCountry
	case phonenumbers.IS_POSSIBLE, phonenumbers.INVALID_LENGTH:
	}
	return ErrInvalid
}

// clean reduces a cell to an optional plus sign and ASCII digits. It undoes what
// spreadsheets and forms add: non-breaking spaces, digits of other scripts, the
// apostrophe or ="…" that keeps a cell text, a float's ".0", tel:, and 00 for plus.
func clean(raw string) (string, error) {
	if len(raw) > MaxRaw {
		return "", ErrTooLong
	}
	s := unwrap(strings.TrimFunc(raw, blank))
	if s == "" {
		return "", ErrEmpty
	}
	if scientific(s) {
		return "", ErrScientific
	}
	if several(s) {
		return "", ErrSeveral
	}
	digits := make([]byte, 0, len(s)+1)
	plus := false
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case r == '+' || r == '＋':
			if len(digits) > 0 {
				return "", ErrNotANumber
			}
			plus = true
		case blank(r) || strings.ContainsRune("-.()/[]~", r) || unicode.Is(unicode.Pd, r) || r == '−':
		case unicode.IsDigit(r):
			digits = append(digits, '0'+digitValue(r))
		default:
			return "", ErrNotANumber
		}
	}
	return withPrefix(plus, string(digits))
}

// withPrefix turns 00 into the plus sign and checks the number of digits.
func withPrefix(plus bool, digits string) (string, error) {
	if !plus && strings.HasPrefix(digits, "00") {
		plus, digits = true, strings.TrimLeft(digits, "0")
	}
	switch {
	case digits == "":
		return "", ErrNotANumber
	case len(digits) < minDigits:
		return "", ErrTooShort
	case len(digits) > maxDigits+2: // room for a trunk zero written inside: +44 (0) …
		return "", ErrTooLong
	case plus:
		return "+" + digits, nil
	}
	return digits, nil
}

// unwrap takes off what marks a cell as text.
func unwrap(s string) string {
	if inner, ok := strings.CutPrefix(s, `="`); ok {
		s = strings.TrimSuffix(inner, `"`)
	}
	s = strings.Trim(s, "'\"`’=")
	if len(s) > 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	s = strings.TrimFunc(s, blank)
	// 919876543210.0: a table program read the column as fractions.
	if head, tail, ok := strings.Cut(s, "."); ok && tail != "" && strings.Trim(tail, "0") == "" && onlyDigits(head) {
		return head
	}
	return s
}

func onlyDigits(s string) bool {
	s = strings.TrimPrefix(s, "+")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// scientific finds 9.19E+11 and its relatives: digits are lost, so it is never guessed.
func scientific(s string) bool {
	i := strings.IndexAny(s, "eE")
	if i <= 0 || strings.Trim(s[:i], "0123456789.,") != "" {
		return false
	}
	exp := strings.TrimLeft(s[i+1:], "+-")
	return exp != "" && strings.Trim(exp, "0123456789") == ""
}

// several finds two numbers in one cell: a separator with a number's worth of digits
// on both sides.
func several(s string) bool {
	i := strings.IndexAny(s, ",;|/\n&")
	return i > 0 && countDigits(s[:i]) >= 7 && countDigits(s[i+1:]) >= 7
}

func countDigits(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsDigit(r) {
			n++
		}
	}
	return n
}

// blank is white space and the invisible format marks that copying brings along.
func blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// digitValue gives the value of a decimal digit of any script: Unicode lays each
// script's digits out in runs of ten that start at zero.
func digitValue(r rune) byte {
	v := byte(0)
	for v < 9 && unicode.IsDigit(r-1-rune(v)) {
		v++
	}
	return v
}

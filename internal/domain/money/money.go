// Package money is amounts: whole micro-units of one ISO 4217 currency (a millionth
// of a dollar, rupee, euro), as integers. Its law: nothing here or above it passes
// through a float, and arithmetic that does not fit is refused, never wrapped.
package money

import (
	"math"
	"math/bits"
	"strings"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Micros is an amount in millionths of the currency's main unit: 1_500_000 is 1.50.
// The zero value is nothing. Which currency it is stands beside it.
type Micros int64

// Unit is one main unit (one dollar) in micros.
const Unit Micros = 1_000_000

// scale is the number of decimals a Micros has.
const scale = 6

// The errors of amounts.
var (
	ErrSyntax   = errs.New(errs.Invalid, "money.bad_amount", "not an amount: digits with at most six decimals, such as 12.50")
	ErrOverflow = errs.New(errs.Invalid, "money.overflow", "the amount is too large to be kept exactly")
)

// Parse reads a decimal such as "12.5", "-0.000001" or "100". There is no exponent, no
// grouping, no sign but a leading minus, and more than six decimals are refused rather
// than rounded.
//
// Errors: money.bad_amount, money.overflow.
func Parse(text string) (Micros, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || len(fraction) > scale || dotted && fraction == "" {
		return 0, ErrSyntax
	}
	fraction += strings.Repeat("0", scale-len(fraction))
	var sum uint64
	for _, c := range []byte(whole + fraction) {
		if c < '0' || c > '9' {
			return 0, ErrSyntax
		}
		// One digit more than fits an int64 still fits a uint64: nothing wraps here.
		if sum > math.MaxInt64/10 {
			return 0, ErrOverflow
		}
		sum = sum*10 + uint64(c-'0')
	}
	if sum > math.MaxInt64 {
		return 0, ErrOverflow
	}
	if negative {
		return -Micros(sum), nil // bounded above
	}
	return Micros(sum), nil // bounded above
}

// String is the plain decimal with at least two and at most six decimals: "12.50",
// "0.0118". Parse reads it back to the same value.
func (m Micros) String() string {
	whole, fraction := m.split()
	for len(fraction) > 2 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	return m.sign() + whole + "." + fraction
}

// split returns the digits before and the six digits behind the point.
func (m Micros) split() (whole, fraction string) {
	digits := utoa(m.abs())
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	return digits[:len(digits)-scale], digits[len(digits)-scale:]
}

func (m Micros) sign() string {
	if m < 0 {
		return "-"
	}
	return ""
}

// abs is the magnitude; it holds for the smallest int64 as well.
func (m Micros) abs() uint64 {
	if m < 0 {
		return -uint64(m) //nolint:gosec // two's complement, meant
	}
	return uint64(m)
}

// Add returns a + b.
//
// Errors: money.overflow.
func Add(a, b Micros) (Micros, error) {
	sum := a + b
	if (b > 0 && sum < a) || (b < 0 && sum > a) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Sum adds any number of amounts.
//
// Errors: money.overflow.
func Sum(amounts ...Micros) (Micros, error) {
	var total Micros
	var err error
	for _, a := range amounts {
		if total, err = Add(total, a); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// Times returns n × m for n ≥ 0.
//
// Errors: money.overflow.
func (m Micros) Times(n int64) (Micros, error) {
	if n < 0 {
		return 0, ErrOverflow
	}
	high, low := bits.Mul64(m.abs(), uint64(n))
	if high != 0 || low > math.MaxInt64 {
		return 0, ErrOverflow
	}
	if m < 0 {
		return -Micros(low), nil // bounded above
	}
	return Micros(low), nil // bounded above
}

// BasisPoints returns m × bps ÷ 10,000, rounded half up to a whole micro: the one
// rounding rule of this code base. m and bps are not negative.
//
// Errors: money.overflow.
func (m Micros) BasisPoints(bps int64) (Micros, error) {
	if m < 0 || bps < 0 {
		return 0, ErrOverflow
	}
	high, low := bits.Mul64(uint64(m), uint64(bps))
	low, carry := bits.Add64(low, 5_000, 0)
	high += carry
	if high >= 10_000 {
		return 0, ErrOverflow
	}
	quotient, _ := bits.Div64(high, low, 10_000)
	if quotient > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return Micros(quotient), nil // bounded above
}

package money

import (
	"math/big"
)

// maxDigits bounds what Rounded reads: a number has no more than some twenty.
const maxDigits = 40

// Rounded reads a JSON number, exponent and all, and rounds it to the nearest micro, halves
// away from zero: for figures that others print from floats and that nobody pays by.
//
// Errors: money.bad_amount, money.overflow.
func Rounded(text string) (Micros, error) {
	if len(text) > maxDigits {
		return 0, ErrSyntax
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, ErrSyntax
	}
	r.Mul(r, big.NewRat(int64(Unit), 1))
	half := big.NewRat(1, 2)
	if r.Sign() < 0 {
		half.Neg(half)
	}
	r.Add(r, half)
	whole := new(big.Int).Quo(r.Num(), r.Denom()) // toward zero
	if !whole.IsInt64() {
		return 0, ErrOverflow
	}
	return Micros(whole.Int64()), nil
}

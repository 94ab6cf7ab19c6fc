package money

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// ErrShare is the refusal to share what cannot be shared.
var ErrShare = errs.New(errs.Invalid, "money.bad_share", "an amount is shared over nothing")

// Shares cuts total (not negative) into n equal parts that add up to it: the first extra parts
// are floor + 1 micro, the others floor.
//
// Errors: money.bad_share when n is not positive while there is something to share.
func Shares(total Micros, n int64) (floor Micros, extra int64, err error) {
	if n <= 0 || total < 0 {
		if total == 0 {
			return 0, 0, nil
		}
		return 0, 0, ErrShare
	}
	return total / Micros(n), int64(total) % n, nil
}

// Allocate cuts total (not negative) over weights in proportion, by the largest
// remainder: every part is its exact share rounded down, and the micros left over go
// one each to the largest fractions, ties to the earlier weight. The parts add up to
// total. When every weight is zero the first takes all.
//
// Errors: money.bad_share (no weight, or a negative one), money.overflow.
func Allocate(total Micros, weights []Micros) ([]Micros, error) {
	if total < 0 || len(weights) == 0 {
		if total == 0 {
			return []Micros{}, nil
		}
		return nil, ErrShare
	}
	var sum Micros
	var err error
	for _, w := range weights {
		if w < 0 {
			return nil, ErrShare
		}
		if sum, err = Add(sum, w); err != nil {
			return nil, err
		}
	}
	parts := make([]Micros, len(weights))
	if sum == 0 {
		parts[0] = total
		return parts, nil
	}
	type fraction struct {
		index int
		rest  uint64
	}
	rests := make([]fraction, len(weights))
	left := total
	for i, w := range weights {
		high, low := bits.Mul64(uint64(total), uint64(w)) //nolint:gosec // neither is negative: checked above
		// high < sum because w ≤ sum and total < 2^63, so the division cannot overflow.
		quotient, rest := bits.Div64(high, low, uint64(sum))
		if quotient > math.MaxInt64 {
			return nil, ErrOverflow
		}
		parts[i] = Micros(quotient) // bounded above
		left -= parts[i]
		rests[i] = fraction{index: i, rest: rest}
	}
	slices.SortStableFunc(rests, func(a, b fraction) int { return cmp.Compare(b.rest, a.rest) })
	for i := range int(left) { // fewer than len(weights)
		parts[rests[i].index]++
	}
	return parts, nil
}

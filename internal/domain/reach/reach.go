// Package reach is the budget of people that a business portfolio may write to first:
// Meta's messaging limit, unique people in any 24 hours. It counts by slots of a few
// minutes, and a slot counts until its last moment is over, so that the limit is kept
// exactly and room is seen a few minutes late.
package reach

import "time"

// Window is what Meta counts over. Source: Meta, messaging limits page, read 2026-09: unique people
// outside a service window in a rolling 24 hours, per business portfolio.
const Window = 24 * time.Hour

// Slot is the grain of the count.
const Slot = 5 * time.Minute

// Count is how many people were written to last within the slot that begins at From.
type Count struct {
	From   time.Time
	People int
}

// gone is when nobody of the slot counts any more.
func (c Count) gone() time.Time { return c.From.Add(Slot + Window) }

// Budget is a portfolio's limit and what is used of it. The zero value is unlimited.
type Budget struct {
	Limit  int     // people in a window; 0: unlimited
	Counts []Count // by slot, oldest first
}

// Limited tells whether there is a limit at all.
func (b Budget) Limited() bool { return b.Limit > 0 }

// Reached is how many people count at now.
func (b Budget) Reached(now time.Time) int {
	n := 0
	for _, c := range b.Counts {
		if c.gone().After(now) {
			n += c.People
		}
	}
	return n
}

// Left is how many people more may be written to at now. Ask Limited first.
func (b Budget) Left(now time.Time) int { return max(b.Limit-b.Reached(now), 0) }

// RoomAt is when the n-th person from now on may be written to, as if every one were
// written to at once: now, while there is room.
func (b Budget) RoomAt(now time.Time, n int) time.Time { return b.sentAt(now, n, 0) }

// Finish is when the last of need people will have been written to at rate messages a
// second, if nothing else is sent from the portfolio meanwhile.
func (b Budget) Finish(now time.Time, need, rate int) time.Time {
	if need <= 0 {
		return now
	}
	each := time.Duration(0)
	if rate > 0 {
		each = time.Second / time.Duration(rate)
	}
	return b.sentAt(now, need, each)
}

// sentAt is when the n-th person gets a message, each apart from the one before. The
// place of one more than the limit is that of an earlier one of ours, a window later.
func (b Budget) sentAt(now time.Time, n int, each time.Duration) time.Time {
	paced := now.Add(time.Duration(n) * each)
	if !b.Limited() {
		return paced
	}
	round, first := (n-1)/b.Limit, (n-1)%b.Limit+1
	at := latest(b.freed(now, first), now.Add(time.Duration(first)*each))
	for i := range round {
		at = latest(at.Add(Window+Slot), now.Add(time.Duration(first+(i+1)*b.Limit)*each))
	}
	return at
}

// freed is when the n-th place is free, n at most the limit.
func (b Budget) freed(now time.Time, n int) time.Time {
	missing := n - b.Left(now)
	if missing <= 0 {
		return now
	}
	// More may count than the limit, when Meta has lowered it.
	missing += max(b.Reached(now)-b.Limit, 0)
	for _, c := range b.Counts {
		if !c.gone().After(now) {
			continue
		}
		if missing -= c.People; missing <= 0 {
			return c.gone()
		}
	}
	return now.Add(Window + Slot) // not reached: what counts is at least what is missing
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

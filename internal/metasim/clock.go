package metasim

import (
	"sync/atomic"
	"time"
)

// Clock is the simulator's only source of time. A live clock runs with the
// machine's plus what it was advanced by; a frozen one moves only by Advance.
type Clock struct {
	base   int64 // unix nanoseconds of a frozen clock; 0: live
	offset atomic.Int64
	moved  chan struct{} // holds one token after an Advance
}

// NewClock returns a clock that runs.
func NewClock() *Clock { return &Clock{moved: make(chan struct{}, 1)} }

// NewFrozenClock returns a clock that stands at the given time.
func NewFrozenClock(at time.Time) *Clock {
	return &Clock{base: at.UnixNano(), moved: make(chan struct{}, 1)}
}

// Now is the simulated time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nanos()).UTC() }

// Advance moves the clock forward and wakes whoever waits for it; windows of
// hours and days pass at once, and whatever falls due meanwhile happens.
func (c *Clock) Advance(d time.Duration) {
	c.offset.Add(int64(d))
	select {
	case c.moved <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

func (c *Clock) nanos() int64 {
	if c.base != 0 {
		return c.base + c.offset.Load()
	}
	return time.Now().UnixNano() + c.offset.Load()
}

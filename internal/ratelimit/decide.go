package ratelimit

// window is how long a restarted Redis waits before the first grant, in microseconds:
// the second over which Meta counts.
const window = 1_000_000

// state is what is kept of one number, in microseconds of Redis's clock. Zero: nothing.
type state struct {
	next  int64 // when the next message is due
	since int64 // since when this Redis has kept count
}

// grant is what one call may send, its times in microseconds.
type grant struct {
	count int64 // how many messages
	delay int64 // until the first is due
	gap   int64 // from one to the next
}

// decide grants up to n messages at rate per second, due at most horizon from now. It
// is take.lua in Go: a test holds the two together on random sequences.
//
// Messages are spaced evenly, with no burst: in any second at most rate+1 leave.
func decide(s state, now, rate, n, horizon int64) (state, grant) {
	gap := (window + rate - 1) / rate // rounded up: never faster than the rate
	if s.since == 0 {
		s.since = now
	}
	start := max(s.next, now, s.since+window)
	delay := start - now
	count := int64(0)
	if delay <= horizon {
		count = min(n, (horizon-delay)/gap+1)
	}
	if count > 0 {
		s.next = start + count*gap
	}
	return s, grant{count: count, delay: delay, gap: gap}
}

package ratelimit

import "time"

// All times below are microseconds, those of the clock Redis's.
const (
	// window is how long a restarted Redis waits before the first grant: the second over
	// which Meta counts. Due times handed out before must lie within it, see Take.
	window = 1_000_000

	// cutEvery is the least time between two cuts of a number's rate: messages that were
	// granted before the first one are refused for a while yet, and say nothing new.
	cutEvery = 2_000_000

	// quietStep is how long a number must go without a refusal for each step back up.
	quietStep = 1_000_000

	// togetherFor is how long two senders of one number count as mixed after the last time
	// they alternated: the longest that Meta remembers a burst to one person.
	togetherFor = pairInterval*PairBurst + pairSlack

	// sharedFor is how long a number counts as shared after the last time two workers
	// alternated: twice the second over which Meta counts.
	sharedFor = 2 * window
)

// A refusal leaves a number seven tenths of its rate; each quiet second brings a twentieth
// of the full rate back; a tenth is the floor. So the full rate is back after at most
// eighteen quiet seconds. Rates are counted in thousandths of a message a second.
//
// One and a half percent of Meta's rate is left alone: messages due evenly arrive less evenly, and a
// second that begins with late ones and ends with early ones holds more than its share. Those
// that catch up after a stall (Space) use one of them, and so never leave faster than Meta takes.
const (
	perMessage  = 1000
	usedOf1000  = 985
	keptTenths  = 7
	stepShare   = 20
	floorShare  = 10
	fullyBackIn = 18 * time.Second
)

// state is what is kept of one number. Zero: nothing.
type state struct {
	next  int64  // when the next message is due
	since int64  // since when this Redis has kept count
	run   string // which run of Redis that was

	base int64 // the rate after the last cut; 0: never cut, or fully restored
	cut  int64 // when it was cut last
	hit  int64 // when Meta refused last

	lane  string // who sent last
	mixed int64  // until when several senders count as alternating

	worker string // which worker asked last
	shared int64  // until when several workers count as alternating
}

// ask is one call's part.
type ask struct {
	run        string // of the Redis that decides
	limit      int64  // Meta's rate, messages a second
	n, horizon int64
	lane       string // who sends; "": does not say
	worker     string // which worker asks; "": does not say
}

// grant is what it gets.
type grant struct {
	count, delay, gap int64
	mixed, shared     bool
}

// decide grants up to n messages, due at most horizon from now. It is pace.lua in Go: a
// test holds the two together on random sequences.
//
// Messages are spaced evenly, with no burst: in any second at most rate+1 are due.
func decide(s state, now int64, a ask) (state, grant) {
	s = s.remember(now, a.run)
	g := grant{gap: gapAt(s.rate(now, a.limit))}
	start := max(s.next, now, s.since+window)
	g.delay = start - now
	if g.delay <= a.horizon {
		g.count = min(a.n, (a.horizon-g.delay)/g.gap+1)
	}
	if g.count > 0 {
		s = s.meet(now, a)
		s.next = start + g.count*g.gap
	}
	g.mixed, g.shared = now < s.mixed, now < s.shared
	return s, g
}

// slow takes note of a refusal by Meta (130429) and cuts the rate, once for what one burst
// of refusals tells.
func slow(s state, now int64, run string, limit int64) state {
	s = s.remember(now, run)
	if s.cut == 0 || now-s.cut >= cutEvery {
		s.base = max(s.rate(now, limit)*keptTenths/10, share(full(limit), floorShare))
		s.cut = now
	}
	s.hit = now
	return s
}

// remember starts the count anew when this is another run of Redis than the one that kept
// it: what was granted in between may be lost.
func (s state) remember(now int64, run string) state {
	if s.since == 0 || s.run != run {
		s.since, s.run = now, run
	}
	return s
}

// rate is how fast the number may send now.
func (s state) rate(now, limit int64) int64 {
	most := full(limit)
	if s.cut == 0 {
		return most
	}
	steps := max(now-s.hit, 0) / quietStep
	return min(most, s.base+steps*share(most, stepShare))
}

// full is the rate that is used of Meta's.
func full(limit int64) int64 { return limit * perMessage * usedOf1000 / 1000 }

// share is a part of a rate, rounded up.
func share(rate, of int64) int64 { return (rate + of - 1) / of }

// gapAt is the time between two messages, rounded up: never faster than the rate.
func gapAt(rate int64) int64 { return (window*perMessage + rate - 1) / rate }

// meet notes who sends and which worker asks. Lanes that follow each other within Meta's
// memory of a person are mixed, workers within its second share the number.
func (s state) meet(now int64, a ask) state {
	if a.lane != "" && a.lane != s.lane {
		if s.lane != "" && now < s.next+togetherFor {
			s.mixed = now + togetherFor
		}
		s.lane = a.lane
	}
	if a.worker != "" && a.worker != s.worker {
		if s.worker != "" && now < s.next+window {
			s.shared = now + sharedFor
		}
		s.worker = a.worker
	}
	return s
}

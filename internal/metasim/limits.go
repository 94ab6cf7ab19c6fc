package metasim

const second = int64(1e9)

// Pair limit. Source: Meta, Cloud API throughput page, read 2026-09: one
// message per 6 s to the same person, up to 45 in a burst of 6 s, after which
// as long must be waited as the burst would have taken at the normal pace.
const (
	pairInterval = 6 * second
	pairBurst    = 45
	pairMemory   = pairInterval * pairBurst // the longest debt there is
)

// throughput decides whether a number may take one more message in this second.
type throughput struct {
	tokens float64
	last   int64
	recent window // of what passed, for SLIDING
}

func (t *throughput) take(now int64, rate int, cfg *Config) bool {
	if cfg.ThroughputMode == ThroughputSliding {
		t.recent.dropUntil(now - second)
		if t.recent.len() >= rate {
			return false
		}
		t.recent.push(now)
		return true
	}
	burst := max(1, float64(rate)*cfg.ThroughputBurst)
	if t.last == 0 {
		t.tokens = burst
	} else if now > t.last {
		t.tokens = min(burst, t.tokens+float64(now-t.last)*float64(rate)/float64(second))
	}
	t.last = max(t.last, now)
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

// pairState is one burst to one person: its start and how many it held.
type pairState struct {
	start int64
	count int32
}

// pairs keeps the bursts of one number in two generations, so that people
// whose debt is over cost nothing.
type pairs struct {
	cur, old map[uint64]pairState
	turned   int64
}

func (p *pairs) take(now int64, who uint64) bool {
	if p.cur == nil || now-p.turned > pairMemory {
		p.old, p.cur, p.turned = p.cur, map[uint64]pairState{}, now
	}
	st, ok := p.cur[who]
	if !ok {
		st, ok = p.old[who]
	}
	switch {
	case !ok || now >= st.start+int64(st.count)*pairInterval && now >= st.start+pairInterval:
		st = pairState{start: now, count: 1}
	case now < st.start+pairInterval && st.count < pairBurst:
		st.count++
	default:
		return false
	}
	p.cur[who] = st
	return true
}

// giveBack undoes a take whose message was refused by a later check.
func (p *pairs) giveBack(who uint64) {
	if st, ok := p.cur[who]; ok && st.count > 0 {
		st.count--
		p.cur[who] = st
	}
}

// window is a queue of times in order.
type window struct {
	ring       []int64
	head, size int
}

func (w *window) len() int { return w.size }

func (w *window) push(t int64) {
	if w.size == len(w.ring) {
		grown := make([]int64, max(64, 2*len(w.ring)))
		for i := range w.size {
			grown[i] = w.ring[(w.head+i)%len(w.ring)]
		}
		w.ring, w.head = grown, 0
	}
	w.ring[(w.head+w.size)%len(w.ring)] = t
	w.size++
}

// dropUntil forgets everything up to and including t.
func (w *window) dropUntil(t int64) {
	for w.size > 0 && w.ring[w.head] <= t {
		w.head = (w.head + 1) % len(w.ring)
		w.size--
	}
}

// seriesSeconds is how far back the rate by calendar second is kept.
const seriesSeconds = 3600

// meter measures the achieved rate of one number by arrival time.
type meter struct {
	first, last int64
	n           uint64
	recent      window
	maxSliding  int
	maxCalendar int
	at          int64 // the newest calendar second
	series      []uint32
}

func (m *meter) add(t int64) {
	if m.n == 0 {
		m.first, m.at = t, t/second
	}
	t = max(t, m.last) // handlers may come here out of order by microseconds
	m.last = t
	m.n++
	m.recent.dropUntil(t - second)
	m.recent.push(t)
	m.maxSliding = max(m.maxSliding, m.recent.len())

	if m.series == nil {
		m.series = make([]uint32, seriesSeconds)
	}
	sec := t / second
	if sec-m.at >= seriesSeconds {
		clear(m.series)
		m.at = sec
	}
	for m.at < sec {
		m.at++
		m.series[m.at%seriesSeconds] = 0
	}
	m.series[sec%seriesSeconds]++
	m.maxCalendar = max(m.maxCalendar, int(m.series[sec%seriesSeconds]))
}

// mean is messages per second between the first and the last one.
func (m *meter) mean() float64 {
	if m.n < 2 || m.last == m.first {
		return 0
	}
	return float64(m.n-1) * float64(second) / float64(m.last-m.first)
}

// perSecond lists the last hour by calendar second, oldest first.
func (m *meter) perSecond() []ratePoint {
	if m.n == 0 {
		return nil
	}
	from := max(m.first/second, m.at-seriesSeconds+1)
	out := make([]ratePoint, 0, m.at-from+1)
	for sec := from; sec <= m.at; sec++ {
		out = append(out, ratePoint{Second: sec, Accepted: m.series[sec%seriesSeconds]})
	}
	return out
}

type ratePoint struct {
	Second   int64  `json:"second"` // unix time
	Accepted uint32 `json:"accepted"`
}

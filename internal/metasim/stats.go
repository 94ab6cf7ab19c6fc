package metasim

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// totals are counts over the whole simulator.
type totals struct {
	requests, accepted atomic.Int64

	mu      sync.Mutex
	refused map[int]int64
}

func (t *totals) refuse(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = map[int]int64{}
	}
	t.refused[code]++
}

func (t *totals) reset() {
	t.requests.Store(0)
	t.accepted.Store(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = nil
}

// counts of one number; guarded by its mu.
type counts struct {
	requests, accepted, unique, duplicates int64
	refused                                map[int]int64
	statuses                               [4]int64 // by kind, without repetitions
	repeated                               int64    // statuses emitted again
	unsubscribed                           int64    // statuses nobody was subscribed to
	inbound                                int64
	firstRequest                           int64
}

func (n *number) noteRequest(at int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts.requests == 0 {
		n.counts.firstRequest = at
	}
	n.counts.requests++
}

func (n *number) refused(code int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts.refused == nil {
		n.counts.refused = map[int]int64{}
	}
	n.counts.refused[code]++
}

func (n *number) accepted(at int64, unique, duplicate bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts.accepted++
	if unique {
		n.counts.unique++
	}
	if duplicate {
		n.counts.duplicates++
	}
	n.meter.add(at)
}

func (n *number) countStatus(j *job, subscribed bool) {
	n.bill(j)
	n.mu.Lock()
	defer n.mu.Unlock()
	if j.again {
		n.counts.repeated++
	} else {
		n.counts.statuses[j.kind]++
	}
	if !subscribed {
		n.counts.unsubscribed++
	}
}

// Stats is the answer of GET /_sim/stats.
type Stats struct {
	Requests int64 `json:"requests"` // of the whole simulator: all Graph calls; filtered: sends
	Accepted int64 `json:"accepted"`
	// MetaUnique is how many distinct messages were accepted, by
	// biz_opaque_callback_data without its attempt. MetaDuplicates is how many
	// acceptances came on top while an earlier one had not failed.
	MetaUnique     int64            `json:"meta_unique"`
	MetaDuplicates int64            `json:"meta_duplicates"`
	Refused        map[string]int64 `json:"refused"` // by code; "reset" for scripted connection resets
	Statuses       StatusCounts     `json:"statuses"`
	Inbound        int64            `json:"inbound"`
	Numbers        []NumberStats    `json:"numbers"`
	Webhooks       webhookStats     `json:"webhooks"` // of the whole simulator
	Scheduled      int              `json:"scheduled"`
	Now            time.Time        `json:"now"` // of the simulated clock
	UptimeSeconds  float64          `json:"uptime_seconds"`
	CPUSeconds     float64          `json:"cpu_seconds"` // of this process, user and system
	MaxRSSBytes    int64            `json:"max_rss_bytes"`
}

// StatusCounts are statuses that fell due, each message's once.
type StatusCounts struct {
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Read         int64 `json:"read"`
	Failed       int64 `json:"failed"`
	Repeated     int64 `json:"repeated"`
	Unsubscribed int64 `json:"unsubscribed"` // of the above: not posted, for want of a subscription
}

// NumberStats is one number's part, with its achieved rate by arrival time.
type NumberStats struct {
	PhoneNumberID      string           `json:"phone_number_id"`
	WabaID             string           `json:"waba_id"`
	Requests           int64            `json:"requests"`
	Accepted           int64            `json:"accepted"`
	MetaUnique         int64            `json:"meta_unique"`
	MetaDuplicates     int64            `json:"meta_duplicates"`
	Refused            map[string]int64 `json:"refused"`
	Statuses           StatusCounts     `json:"statuses"`
	Inbound            int64            `json:"inbound"`
	AllowedRate        int              `json:"allowed_rate"` // messages per second
	MeanRate           float64          `json:"mean_rate"`    // between the first and the last acceptance
	MaxPerSecond       int              `json:"max_per_calendar_second"`
	MaxInSlidingSecond int              `json:"max_per_sliding_second"`
	FirstAcceptedAt    *time.Time       `json:"first_accepted_at,omitempty"`
	LastAcceptedAt     *time.Time       `json:"last_accepted_at,omitempty"`
	PerSecond          []ratePoint      `json:"per_second,omitempty"` // with ?series=true
}

// webhookStats count POSTs and the updates (statuses, messages, changes) in them.
type webhookStats struct {
	Verified         bool       `json:"verified"` // the app's callback answered the handshake
	Handshakes       int64      `json:"handshakes"`
	Posts            int64      `json:"posts"` // attempts
	Delivered        int64      `json:"delivered"`
	DeliveredUpdates int64      `json:"delivered_updates"`
	Failures         int64      `json:"failures"`
	Retries          int64      `json:"retries"`
	Repeated         int64      `json:"repeated"` // made again after a 200, on demand
	Dropped          int64      `json:"dropped"`
	DroppedUpdates   int64      `json:"dropped_updates"`
	Pending          int        `json:"pending"`
	PendingBytes     int        `json:"pending_bytes"`
	Latency          latencyBin `json:"latency"`
	LastError        string     `json:"last_error,omitempty"`
}

// latencyBin sorts answer times by Meta's expectation: median at most 250 ms,
// less than 1 % over a second.
type latencyBin struct {
	To50ms  int64 `json:"to_50ms"`
	To250ms int64 `json:"to_250ms"`
	To1s    int64 `json:"to_1s"`
	Over1s  int64 `json:"over_1s"`
	MaxMS   int64 `json:"max_ms"`
}

func (l *latencyBin) add(d time.Duration) {
	switch {
	case d <= 50*time.Millisecond:
		l.To50ms++
	case d <= 250*time.Millisecond:
		l.To250ms++
	case d <= time.Second:
		l.To1s++
	default:
		l.Over1s++
	}
	l.MaxMS = max(l.MaxMS, d.Milliseconds())
}

// statsFilter narrows stats down; empty fields match everything.
type statsFilter struct {
	phoneNumberID, wabaID string
	series                bool
}

// Stats reports what happened since the start or the last reset.
func (s *Sim) stats(f statsFilter) Stats {
	cfg := s.config()
	// What is scheduled is read before what is pending: a status on its way
	// from one to the other is seen at least once.
	scheduled := s.sched.len()
	out := Stats{
		Refused: map[string]int64{}, Numbers: []NumberStats{}, Webhooks: s.hooks.snapshot(), Scheduled: scheduled,
		Now: s.clock.Now(), UptimeSeconds: float64(s.clock.nanos()-s.started) / float64(second),
	}
	out.CPUSeconds, out.MaxRSSBytes = usage()
	for _, n := range s.reg.allNumbers() {
		if f.phoneNumberID != "" && n.id != f.phoneNumberID || f.wabaID != "" && n.waba.id != f.wabaID {
			continue
		}
		ns := n.stats(cfg, f.series)
		out.Numbers = append(out.Numbers, ns)
		out.Requests += ns.Requests
		out.Accepted += ns.Accepted
		out.MetaUnique += ns.MetaUnique
		out.MetaDuplicates += ns.MetaDuplicates
		out.Inbound += ns.Inbound
		out.Statuses.add(ns.Statuses)
		for code, k := range ns.Refused {
			out.Refused[code] += k
		}
	}
	if f.phoneNumberID == "" && f.wabaID == "" {
		out.Requests = s.total.requests.Load()
		s.total.mu.Lock()
		maps.Copy(out.Refused, byCode(s.total.refused))
		s.total.mu.Unlock()
	}
	return out
}

func (c *StatusCounts) add(o StatusCounts) {
	c.Sent += o.Sent
	c.Delivered += o.Delivered
	c.Read += o.Read
	c.Failed += o.Failed
	c.Repeated += o.Repeated
	c.Unsubscribed += o.Unsubscribed
}

func (n *number) stats(cfg *Config, series bool) NumberStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.counts
	out := NumberStats{
		PhoneNumberID: n.id, WabaID: n.waba.id, Requests: c.requests, Accepted: c.accepted,
		MetaUnique: c.unique, MetaDuplicates: c.duplicates, Refused: byCode(c.refused), Inbound: c.inbound,
		Statuses: StatusCounts{
			Sent: c.statuses[statusSent], Delivered: c.statuses[statusDelivered],
			Read: c.statuses[statusRead], Failed: c.statuses[statusFailed],
			Repeated: c.repeated, Unsubscribed: c.unsubscribed,
		},
		AllowedRate: n.rate(cfg), MeanRate: n.meter.mean(),
		MaxPerSecond: n.meter.maxCalendar, MaxInSlidingSecond: n.meter.maxSliding,
	}
	if n.meter.n > 0 {
		out.FirstAcceptedAt = new(time.Unix(0, n.meter.first).UTC())
		out.LastAcceptedAt = new(time.Unix(0, n.meter.last).UTC())
	}
	if series {
		out.PerSecond = n.meter.perSecond()
	}
	return out
}

func byCode(in map[int]int64) map[string]int64 {
	out := make(map[string]int64, len(in))
	for code, k := range in {
		name := strconv.Itoa(code)
		if code == faultReset {
			name = "reset"
		}
		out[name] = k
	}
	return out
}

// usage is this process's CPU time and its largest resident size.
func usage() (cpuSeconds float64, maxRSS int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return cpu.Seconds(), u.Maxrss * 1024 // Linux counts in kilobytes
}

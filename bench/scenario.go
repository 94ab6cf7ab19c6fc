package main

import (
	"fmt"
	"time"
)

// Rates of a sender number, messages per second.
const (
	rateStandard = 80   // Meta's throughput level STANDARD
	rateHigh     = 1000 // and HIGH
	rateOpen     = 8000 // beyond what two cores send: the pace decides nothing
)

// scenario is one load. All its campaigns start at once; Late ones do when a tenth of the
// others' messages has been sent.
type scenario struct {
	Name, Why string

	Groups   []group
	Late     int // this many groups at the end of Groups arrive later
	Statuses bool
	Within   time.Duration
}

// group is a number of like vendors with one campaign each.
type group struct{ Vendors, Messages, Rate int }

// latency is how long the simulator takes to answer a send, as a call to Meta does.
const latency = 50 * time.Millisecond

func scenarios() []scenario {
	return []scenario{
		{
			Name: "tuned", Why: "limits do not bind, no status comes back",
			Groups: []group{{20, 5_000, rateHigh}}, Within: 10 * time.Minute,
		},
		{
			Name: "webhooks", Why: "the same with sent, delivered and read of each message",
			Groups: []group{{20, 5_000, rateHigh}}, Statuses: true, Within: 15 * time.Minute,
		},
		{
			Name: "lone", Why: "one vendor, whose wallet every batch must pass",
			Groups: []group{{1, 100_000, rateOpen}}, Within: 15 * time.Minute,
		},
		{
			Name: "fragmented", Why: "a thousand vendors with little each",
			Groups: []group{{1_000, 50, rateHigh}}, Within: 15 * time.Minute,
		},
		{
			Name: "giant-and-small", Why: "whether a giant holds up those that come after it",
			Groups: []group{{1, 100_000, rateOpen}, {100, 100, rateHigh}}, Late: 1, Within: 15 * time.Minute,
		},
		{
			Name: "paced", Why: "whether the numbers' rate is kept: a minute at 80 a second",
			Groups: []group{{20, 60 * rateStandard, rateStandard}}, Within: 5 * time.Minute,
		},
	}
}

// pick returns the named scenarios, all for none.
func pick(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios(), nil
	}
	var out []scenario
	for _, name := range names {
		found := false
		for _, s := range scenarios() {
			if s.Name == name {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q; there are tuned, webhooks, lone, fragmented, giant-and-small, paced", name)
		}
	}
	return out, nil
}

// scaled shrinks the messages of few vendors, and the vendors of many.
func (s scenario) scaled(by float64) scenario {
	groups := make([]group, len(s.Groups))
	for i, g := range s.Groups {
		if g.Vendors >= 100 {
			g.Vendors = max(1, int(float64(g.Vendors)*by))
		} else {
			g.Messages = max(10, int(float64(g.Messages)*by))
		}
		groups[i] = g
	}
	s.Groups = groups
	return s
}

func (s scenario) size() (vendors, messages int) {
	for _, g := range s.Groups {
		vendors += g.Vendors
		messages += g.Vendors * g.Messages
	}
	return vendors, messages
}

package ratelimit

import (
	"sync"
	"time"
)

// gates keep messages of one number apart inside this process: a late wake-up must not
// let several leave at once. They catch up by a hundredth of the gap, within what Meta's
// second has room for.
type gates struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const catchUp = 100

// gatesKept bounds the memory: numbers silent for a minute are forgotten when there are more.
const gatesKept = 1024

// Space returns when a message of number that is ready now may leave, and books it. The
// caller waits until then.
func (l *Limiter) Space(number string, gap time.Duration) time.Time {
	return l.gates.pass(number, gap, time.Now())
}

func (g *gates) pass(number string, gap time.Duration, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := now
	if next := g.last[number].Add(gap - gap/catchUp); next.After(at) {
		at = next
	}
	if g.last == nil {
		g.last = map[string]time.Time{}
	}
	g.last[number] = at
	if len(g.last) > gatesKept {
		for n, t := range g.last {
			if now.Sub(t) > time.Minute {
				delete(g.last, n)
			}
		}
	}
	return at
}

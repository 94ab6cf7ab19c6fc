package metasim

import "time"

// Verdicts on a paced template, as POST /_sim/templates/{id}/status writes them.
const (
	pacingGood = "good"
	pacingBad  = "bad"
)

// pacing is where a template stands in Meta's quality assessment: a first
// slice goes out, the rest is held until people's reactions are known. Source:
// Meta, template pacing, read 2026-09; the size of the slice is not published.
type pacing struct {
	sent   int
	judged bool
	held   []heldSend
}

// heldSend is an accepted message that waits for the verdict.
type heldSend struct {
	p *sending
	f *flight
}

// take settles what the template means for an accepted message: its price
// category, and whether it is held. A held one gets its statuses from judge.
func (t *template) take(p *sending, f *flight) (held bool) {
	t.waba.mu.Lock()
	defer t.waba.mu.Unlock()
	f.category = pricingCategory(t.category)
	if p.cfg.PacingFirst == 0 || t.pacing.judged {
		return false
	}
	t.pacing.sent++
	if t.pacing.sent <= p.cfg.PacingFirst {
		return false
	}
	f.held = true
	kept := *p
	kept.call = nil // the request is over by then
	t.pacing.held = append(t.pacing.held, heldSend{&kept, f})
	if len(t.pacing.held) == 1 {
		s := p.s
		delay := int64(p.cfg.PacingDelayMS) * int64(time.Millisecond)
		s.sched.push(p.arrived+delay, job{do: func() { s.judge(t, true) }})
	}
	return true
}

// judge ends the assessment: the held messages go out, or fail with 132015
// while the template is paused. A second verdict changes nothing.
func (s *Sim) judge(t *template, good bool) {
	t.waba.mu.Lock()
	held := t.pacing.held
	done := t.pacing.judged
	t.pacing.held, t.pacing.judged = nil, true
	t.waba.mu.Unlock()
	if done {
		return
	}
	now := s.clock.nanos()
	for _, h := range held {
		if good {
			s.plan(h.p, h.f, now)
			continue
		}
		h.f.failCode, h.f.silent = 132015, h.p.eff.NoWebhook
		s.schedule(h.p, h.f, []statusKind{statusFailed}, now)
	}
	if !good {
		s.setStatus(t, statusPaused, "NONE")
	}
}

package metasim

import "time"

// status kinds of an outbound message.
type statusKind uint8

const (
	statusSent statusKind = iota
	statusDelivered
	statusRead
	statusFailed
)

func (k statusKind) String() string {
	return [...]string{"sent", "delivered", "read", "failed"}[k]
}

// pricing categories as statuses write them.
const (
	pricingMarketing      = "marketing"
	pricingUtility        = "utility"
	pricingAuthentication = "authentication"
	pricingService        = "service"
)

func pricingCategory(template string) string {
	switch template {
	case categoryMarketing:
		return pricingMarketing
	case categoryAuthentication:
		return pricingAuthentication
	default:
		return pricingUtility
	}
}

// Pricing types. Source: Meta, pricing on WhatsApp, read 2026-09.
const (
	typeRegular     = "regular"
	typeFreeService = "free_customer_service"
	// freeServiceMessages a number has per month since 2026-10-01; how Meta
	// marks them is not documented, here they are free_customer_service.
	freeServiceMessages = 1000
)

// flight is a message between acceptance and its last status.
type flight struct {
	n        *number
	to       recipient
	wamid    string
	opaque   string
	category string
	priceAs  string // pricing type, decided at acceptance
	failCode int
	pricedOn statusKind // delivered or read: the second status that carries pricing
	silent   bool       // no webhook at all
	held     bool       // for quality assessment
}

// plan decides the message's fate and schedules its statuses.
func (s *Sim) plan(p *sending, f *flight, now int64) {
	cfg, eff, key := p.cfg, &p.eff, f.to.key
	f.silent = eff.NoWebhook
	f.priceAs = s.priceType(f, now)
	f.failCode = s.failure(p, f, now)

	fate := roll(s.seed, saltFate, key)
	deliveredRate, readRate := cfg.DeliveredRate, cfg.ReadRate
	if eff.DeliveredRate != nil {
		deliveredRate = *eff.DeliveredRate
	}
	if eff.ReadRate != nil {
		readRate = *eff.ReadRate
	}
	var kinds []statusKind
	switch {
	case f.failCode != 0 && (eff.FailAfterDelivered || roll(s.seed, saltSentFirst, key) < cfg.FailedAfterSentRate):
		kinds = []statusKind{statusSent}
		if eff.FailAfterDelivered {
			kinds = append(kinds, statusDelivered)
		}
		kinds = append(kinds, statusFailed)
	case f.failCode != 0:
		kinds = []statusKind{statusFailed}
	// The failing share lies at the low end of fate, so that both rates are
	// shares of all messages.
	case fate < cfg.FailedRate+deliveredRate:
		kinds = []statusKind{statusSent, statusDelivered}
		if roll(s.seed, saltRead, key) < readRate {
			if eff.SkipDelivered || roll(s.seed, saltSkip, key) < cfg.SkipDeliveredRate {
				kinds = kinds[:1]
			}
			kinds = append(kinds, statusRead)
		}
	default:
		kinds = []statusKind{statusSent}
	}
	f.pricedOn = statusRead
	for _, k := range kinds {
		if k == statusDelivered {
			f.pricedOn = statusDelivered
		}
	}
	s.schedule(p, f, kinds, now)
}

// failure is the code the message will fail with, or 0.
func (s *Sim) failure(p *sending, f *flight, now int64) int {
	cfg := p.cfg
	key, marketing := f.to.key, f.category == pricingMarketing
	switch {
	case p.eff.FailedCode != 0:
		return p.eff.FailedCode
	case marketing && f.n.waba.biz.hasStopped(key):
		return 131050
	case marketing && cfg.USMarketingBlock && isUS(f.to.waID):
		return 131049
	case cfg.ServiceWindow && p.template == nil && !f.n.inWindow(key, now):
		return 131047
	case cfg.PortfolioLimit > 0 && cfg.PortfolioEffect == PortfolioAsync && !s.reach(cfg, f.n, &f.to, now):
		return 131048
	case roll(s.seed, saltFate, key) < cfg.FailedRate:
		return cfg.FailedCode
	}
	return 0
}

func (b *business) hasStopped(key uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped[key]
}

// inWindow says whether the person wrote to this number within 24 hours.
func (n *number) inWindow(key uint64, now int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.windows[key]
	return ok && now-at < 24*3600*second
}

// priceType follows Meta's rules by date: until 2026-09-30 service messages
// and utility inside the window are free, from 2026-10-01 only the first 1,000
// service messages per number and month.
func (s *Sim) priceType(f *flight, now int64) string {
	at := time.Unix(0, now).UTC()
	newRules := !at.Before(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC))
	switch {
	case f.category == pricingUtility && !newRules && f.n.inWindow(f.to.key, now):
		return typeFreeService
	case f.category != pricingService:
		return typeRegular
	case !newRules:
		return typeFreeService
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if month := at.Year()*12 + int(at.Month()); month != f.n.freeMonth {
		f.n.freeMonth, f.n.freeService = month, 0
	}
	if f.n.freeService >= freeServiceMessages {
		return typeRegular
	}
	f.n.freeService++
	return typeFreeService
}

// delays from one status to the next, by kind.
func (s *Sim) delays(cfg *Config, key uint64, eff *effect) [4]int64 {
	spread := func(ms int, own *int, salt uint64) int64 {
		if own != nil {
			ms = *own
		}
		d := float64(ms) * (1 + cfg.DelayJitter*(2*roll(s.seed, salt, key)-1))
		return int64(d * 1e6)
	}
	sent := spread(cfg.SentDelayMS, eff.SentDelayMS, saltSentDelay)
	delivered := spread(cfg.DeliveredDelayMS, eff.DeliveredDelayMS, saltDeliveredDelay)
	read := spread(cfg.ReadDelayMS, eff.ReadDelayMS, saltReadDelay)
	return [4]int64{statusSent: sent, statusDelivered: delivered, statusRead: read, statusFailed: delivered}
}

// schedule lays the statuses out in time; reordered ones keep the times of the
// line but swap their places in it, duplicates follow a little later.
func (s *Sim) schedule(p *sending, f *flight, kinds []statusKind, now int64) {
	cfg, eff := p.cfg, &p.eff
	delays := s.delays(cfg, f.to.key, eff)
	due := now
	times := make([]int64, len(kinds))
	for i, k := range kinds {
		if i == 0 && k == statusFailed {
			k = statusSent
		}
		due += delays[k]
		times[i] = due
	}
	copies := 1 + eff.Duplicates
	if eff.Duplicates == 0 && roll(s.seed, saltDuplicate, f.to.key) < cfg.DuplicateRate {
		copies++
	}
	reorder := eff.Reorder || cfg.ReorderRate > 0 && roll(s.seed, saltReorder, f.to.key) < cfg.ReorderRate
	for i, k := range kinds {
		at := times[i]
		if reorder {
			at = times[len(times)-1-i]
		}
		for c := range copies {
			s.sched.push(at+int64(c)*duplicateDelay, job{f: f, kind: k, at: times[i], again: c > 0})
		}
	}
}

// duplicateDelay keeps a repeated status out of the POST of the first.
const duplicateDelay = 50 * int64(time.Millisecond)

package metasim

import (
	"strconv"
	"strings"
	"time"
)

// flushInterval is how long updates gather before they are posted together.
const flushInterval = 20 * time.Millisecond

// maxPayload ends a batch early. Source: Meta, webhooks overview, read
// 2026-09: payloads up to 3 MB; a status takes at most a few KB more.
const maxPayload = 3<<20 - 64<<10

// emitDue turns everything that has fallen due into webhooks.
func (s *Sim) emitDue() {
	jobs := s.sched.due(s.clock.nanos())
	if len(jobs) == 0 {
		return
	}
	defer s.sched.done(len(jobs))
	cfg := s.config()
	if cfg.WebhookShuffle {
		for i := len(jobs) - 1; i > 0; i-- {
			k := int(roll(s.seed, saltShuffle, s.seq.Add(1)) * float64(i+1))
			jobs[i], jobs[k] = jobs[k], jobs[i]
		}
	}
	b := batcher{s: s, cfg: cfg, open: map[string]*batch{}}
	for i := range jobs {
		if jobs[i].do != nil {
			jobs[i].do()
			continue
		}
		b.add(&jobs[i])
	}
	for dest := range b.open {
		b.flush(dest)
	}
}

// batcher gathers statuses by callback, account and number.
type batcher struct {
	s    *Sim
	cfg  *Config
	open map[string]*batch // by callback; "" is the app's
}

type batch struct {
	changes []*change
	byNum   map[*number]*change
	updates int
	bytes   int
}

// change is the value of one number in one POST.
type change struct {
	n        *number
	contacts []byte
	known    map[uint64]struct{}
	statuses []byte
}

func (b *batcher) add(j *job) {
	f := j.f
	if j.kind == statusFailed && !j.again && f.opaque != "" {
		f.n.waba.fail(b.s.hash, identityOf(f.opaque))
	}
	dest, subscribed := f.n.destination()
	f.n.countStatus(j, subscribed)
	if f.silent || !subscribed {
		return
	}
	p := b.open[dest]
	if p == nil {
		p = &batch{byNum: map[*number]*change{}}
		b.open[dest] = p
	}
	c := p.byNum[f.n]
	if c == nil {
		c = &change{n: f.n, known: map[uint64]struct{}{}}
		p.byNum[f.n] = c
		p.changes = append(p.changes, c)
	}
	before := len(c.contacts) + len(c.statuses)
	if _, ok := c.known[f.to.key]; !ok && b.cfg.BSUID && j.kind != statusFailed {
		c.known[f.to.key] = struct{}{}
		c.contacts = b.s.appendContact(c.contacts, f)
	}
	c.statuses = b.s.appendStatus(c.statuses, b.cfg, j)
	p.updates++
	p.bytes += len(c.contacts) + len(c.statuses) - before
	if p.updates >= b.cfg.WebhookBatch || p.bytes >= maxPayload {
		b.flush(dest)
	}
}

// flush hands the batch of one callback to the courier.
func (b *batcher) flush(dest string) {
	p := b.open[dest]
	delete(b.open, dest)
	body := make([]byte, 0, p.bytes+512*len(p.changes)+64)
	body = append(body, `{"object":"whatsapp_business_account","entry":[`...)
	done := map[*waba]bool{}
	for _, first := range p.changes {
		w := first.n.waba
		if done[w] {
			continue
		}
		if len(done) > 0 {
			body = append(body, ',')
		}
		done[w] = true
		body = append(append(append(body, `{"id":"`...), w.id...), `","changes":[`...)
		comma := false
		for _, c := range p.changes {
			if c.n.waba != w {
				continue
			}
			if comma {
				body = append(body, ',')
			}
			comma = true
			body = c.append(body)
		}
		body = append(body, "]}"...)
	}
	body = append(body, "]}"...)
	b.s.hooks.enqueue(dest, body, p.updates)
}

func (c *change) append(b []byte) []byte {
	b = append(b, `{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"`...)
	b = append(b, c.n.digits...)
	b = append(append(append(b, `","phone_number_id":"`...), c.n.id...), `"}`...)
	if len(c.contacts) > 0 {
		b = append(append(append(b, `,"contacts":[`...), c.contacts...), ']')
	}
	b = append(append(append(b, `,"statuses":[`...), c.statuses...), "]}"...)
	return append(b, `,"field":"messages"}`...)
}

func (s *Sim) appendContact(b []byte, f *flight) []byte {
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = appendString(append(b, `{"profile":{"name":`...), s.profileName(f.to.key))
	b = append(b, '}')
	if f.to.waID != "" {
		b = append(append(append(b, `,"wa_id":"`...), f.to.waID...), '"')
	}
	b = appendString(append(b, `,"user_id":`...), s.userID(f.n.waba.biz, &f.to))
	return append(b, '}')
}

func (s *Sim) appendStatus(b []byte, cfg *Config, j *job) []byte {
	f := j.f
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = appendString(append(b, `{"id":`...), f.wamid)
	b = append(append(append(b, `,"status":"`...), j.kind.String()...), `","timestamp":"`...)
	b = strconv.AppendInt(b, j.at/second, 10)
	b = append(b, '"')
	if f.to.waID != "" {
		b = append(append(append(b, `,"recipient_id":"`...), f.to.waID...), '"')
	}
	// A failed status to a phone leaves the user id out.
	if cfg.BSUID && (j.kind != statusFailed || f.to.bsuid != "") {
		b = appendString(append(b, `,"recipient_user_id":`...), s.userID(f.n.waba.biz, &f.to))
	}
	if f.opaque != "" && (j.kind != statusFailed || !cfg.OmitCallbackDataOnFailed) {
		b = appendString(append(b, `,"biz_opaque_callback_data":`...), f.opaque)
	}
	if j.kind == statusSent && cfg.WebhookVersion < 24 {
		b = s.appendConversation(b, j)
	}
	if j.kind == statusSent || j.kind == f.pricedOn {
		b = append(b, `,"pricing":{"billable":`...)
		b = strconv.AppendBool(b, f.priceAs == typeRegular)
		b = append(append(b, `,"pricing_model":"PMP","type":"`...), f.priceAs...)
		b = append(append(append(b, `","category":"`...), f.category...), `"}`...)
	}
	if j.kind == statusFailed {
		b = s.appendErrors(b, f.failCode)
	}
	return append(b, '}')
}

func (s *Sim) appendConversation(b []byte, j *job) []byte {
	const hexLength = 16
	b = append(b, `,"conversation":{"id":"`...)
	for _, x := range []uint64{mix(j.f.to.key), mix(j.f.to.key ^ hashString(j.f.n.id))} {
		part := strconv.FormatUint(x, 16)
		b = append(append(b, strings.Repeat("0", hexLength-len(part))...), part...)
	}
	b = append(b, `","expiration_timestamp":"`...)
	b = strconv.AppendInt(b, j.at/second+24*3600, 10)
	return append(append(append(b, `","origin":{"type":"`...), j.f.category...), `"}}`...)
}

func (s *Sim) appendErrors(b []byte, code int) []byte {
	spec := s.errs.spec(code)
	b = append(b, `,"errors":[{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = appendString(append(b, `,"title":`...), spec.title)
	b = appendString(append(b, `,"message":`...), spec.title)
	if spec.details != "" {
		b = append(appendString(append(b, `,"error_data":{"details":`...), spec.details), '}')
	}
	b = appendString(append(b, `,"href":`...), "/documentation/business-messaging/whatsapp/support/error-codes")
	return append(b, "}]"...)
}

// destination is where the number's messages go: its own callback, its
// account's, or the app's (""); nothing comes without a subscription.
func (n *number) destination() (dest string, subscribed bool) {
	n.mu.Lock()
	own := n.override.url
	n.mu.Unlock()
	n.waba.mu.Lock()
	defer n.waba.mu.Unlock()
	if own == "" {
		own = n.waba.override.url
	}
	return own, n.waba.subscribed
}

// emit posts one change of any field at once. Only messages can be sent to a
// callback other than the app's.
func (s *Sim) emit(w *waba, dest, field string, value any) {
	w.mu.Lock()
	subscribed := w.subscribed
	w.mu.Unlock()
	if !subscribed {
		return
	}
	entry := map[string]any{"id": w.id, "changes": []any{map[string]any{"field": field, "value": value}}}
	if field != "messages" && field != "user_preferences" {
		entry["time"] = s.clock.nanos() / second
		dest = ""
	}
	s.hooks.enqueue(dest, asciiJSON(map[string]any{"object": "whatsapp_business_account", "entry": []any{entry}}), 1)
}

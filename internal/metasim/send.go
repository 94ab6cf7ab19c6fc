package metasim

import (
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"time"
)

// sending is one POST /messages on its way through the checks.
type sending struct {
	*call
	cfg       *Config
	n         *number
	m         sendRequest
	to        recipient // key 0: not known
	marketing bool      // came by /marketing_messages
	eff       effect
	template  *template // nil for other types
}

// send handles POST /{phone-number-id}/messages, and /marketing_messages when
// marketing is set. The order of the checks is Meta's: token and object are
// settled by the caller, then registration, account locks, the number's
// throughput, the pair limit, the body, the template, its parameters.
func (c *call) send(n *number, marketing bool) {
	p := &sending{call: c, cfg: c.s.config(), n: n, marketing: marketing}
	var requestErr *graphError
	if !quickDecode(c.body, &p.m) {
		p.m = sendRequest{}
		requestErr = c.decode(&p.m)
	}
	if requestErr == nil && p.m.Status != "" {
		c.readReceipt(&p.m)
		return
	}
	n.noteRequest(c.arrived)
	if requestErr == nil && (p.m.To != "" || p.m.Recipient != "") {
		p.to, requestErr = parseRecipient(&p.m, n, p.cfg)
	}
	if p.to.key != 0 {
		p.eff = c.s.faults.match(true, c.s.seed, n, &p.m, &p.to)
	}
	switch {
	case p.eff.ResetBefore:
		n.refused(faultReset)
		c.reset()
	case p.eff.HTTPStatus != 0:
		p.refuse(&graphError{
			code: 2, http: p.eff.HTTPStatus, transient: true, details: "-",
			message: "An unexpected error has occurred. Please retry your request later.",
		})
	default:
		if err := p.admit(requestErr); err != nil {
			p.refuse(err)
			return
		}
		p.accept()
	}
}

func (p *sending) refuse(err *graphError) {
	p.n.refused(err.code)
	p.pause()
	p.fail(err)
}

// accept books the message and answers, unless the script cuts the answer off.
func (p *sending) accept() {
	f := p.book()
	switch {
	case p.eff.ResetAfter:
		p.pause()
		p.reset()
	case p.eff.HangMS > 0:
		p.hang(time.Duration(p.eff.HangMS) * time.Millisecond)
		p.reset()
	default:
		p.pause()
		p.write(http.StatusOK, p.acceptedBody(f))
	}
}

// admit runs the checks and takes what a message takes from the limits.
// requestErr is a mistake in body or recipient, which Meta only reports after
// the limits.
func (p *sending) admit(requestErr *graphError) *graphError {
	if err := p.takeLimits(); err != nil {
		return err
	}
	err := p.checkContent(requestErr)
	if err == nil {
		p.eff = p.s.faults.match(false, p.s.seed, p.n, &p.m, &p.to)
		switch {
		case p.eff.Error != 0:
			err = refuse(p.eff.Error)
		case p.cfg.PortfolioLimit > 0 && p.cfg.PortfolioEffect == PortfolioSync && !p.s.reach(p.cfg, p.n, &p.to, p.arrived):
			err = refuse(131048)
		}
	}
	if err != nil && p.cfg.PairLimit && p.to.key != 0 {
		p.n.mu.Lock()
		p.n.pairs.giveBack(p.to.key)
		p.n.mu.Unlock()
	}
	return err
}

func (p *sending) takeLimits() *graphError {
	p.n.waba.mu.Lock()
	lock := p.n.waba.lockCode
	p.n.waba.mu.Unlock()
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	switch {
	case p.n.deleted:
		return refuse(33)
	case !p.n.registered:
		return refuse(133010)
	case lock != 0:
		return refuse(lock)
	case !p.n.throughput.take(p.arrived, p.n.rate(p.cfg), p.cfg):
		return &graphError{code: 130429, subcode: 2494055}
	case p.cfg.PairLimit && p.to.key != 0 && !p.n.pairs.take(p.arrived, p.to.key):
		return refuse(131056)
	}
	return nil
}

func (p *sending) checkContent(requestErr *graphError) *graphError {
	if requestErr != nil && p.m.To == "" && p.m.Recipient == "" {
		return requestErr // the body could not be read at all
	}
	if err := p.m.checkBody(); err != nil {
		return err
	}
	switch {
	case requestErr != nil:
		return requestErr
	case p.to.waID != "" && p.to.waID == rewrite(p.n.digits):
		return refuse(131021)
	case p.m.Type == "template":
		return p.checkTemplate(p.n.waba, p.m.Template)
	case p.marketing:
		return refusef(100, "Message must be a template message.")
	}
	return nil
}

func (p *sending) checkTemplate(w *waba, sent *templateToSend) *graphError {
	w.mu.Lock()
	t := w.byName[templateKey{sent.Name, sent.Language.Code}]
	var status, category string
	var sh *shape
	if t != nil {
		status, category, sh = t.status, t.category, t.shape
	}
	w.mu.Unlock()
	switch {
	case t == nil:
		return refusef(132001, "template name (%s) does not exist in %s", sent.Name, sent.Language.Code)
	case status == statusPaused:
		return refuse(132015)
	case status == statusDisabled:
		return refuse(132016)
	case status != statusApproved && status != statusPendingDeletion:
		return refusef(132001, "template name (%s) does not exist in %s", sent.Name, sent.Language.Code)
	case p.to.bsuid != "" && category == categoryAuthentication:
		return refuse(131062)
	}
	if err := sh.checkParameters(sent.Components, p.version); err != nil {
		return err
	}
	if p.marketing && category != categoryMarketing {
		return refuse(131055)
	}
	p.template = t
	return nil
}

// reach books a person against the portfolio's limit of 24 hours and says
// whether there was room. People inside a service window do not count.
func (s *Sim) reach(cfg *Config, n *number, to *recipient, now int64) bool {
	if n.inWindow(to.key, now) {
		return true
	}
	b := n.waba.biz
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.reached[to.key]; ok && now-at < 24*3600*second {
		return true
	}
	if len(b.reached) >= cfg.PortfolioLimit {
		for who, at := range b.reached {
			if now-at >= 24*3600*second {
				delete(b.reached, who)
			}
		}
	}
	if len(b.reached) >= cfg.PortfolioLimit {
		return false
	}
	if b.reached == nil {
		b.reached = map[uint64]int64{}
	}
	b.reached[to.key] = now
	return true
}

// book counts the message as accepted and plans its statuses.
func (p *sending) book() *flight {
	f := &flight{n: p.n, to: p.to, opaque: p.m.Opaque, category: pricingService}
	f.wamid = p.s.wamid(&p.to, p.s.seq.Add(1))
	unique, duplicate := true, false
	if f.opaque != "" {
		unique, duplicate = p.n.waba.accept(p.s.hash, identityOf(f.opaque))
	}
	p.n.accepted(p.arrived, unique, duplicate)
	p.s.total.accepted.Add(1)
	if p.template == nil || !p.template.take(p, f) {
		p.s.plan(p, f, p.arrived)
	}
	return f
}

// wamid is an id of Meta's looks: the person's digits and an id of 18
// hexadecimal digits, here the run's nonce and a counter.
func (s *Sim) wamid(to *recipient, seq uint64) string {
	who := to.waID
	if who == "" {
		who = "0"
	}
	var id [9]byte
	binary.BigEndian.PutUint32(id[:4], s.nonce)
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], seq)
	copy(id[4:], n[3:]) // 40 bits: a trillion messages
	raw := make([]byte, 0, 48)
	raw = append(raw, 0x1c, 0x18, byte(len(who))) //nolint:gosec // at most 16 digits
	raw = append(raw, who...)
	raw = append(raw, 0x15, 0x02, 0x00, 0x11, 0x18, 18)
	for _, b := range id {
		const upper = "0123456789ABCDEF"
		raw = append(raw, upper[b>>4], upper[b&15])
	}
	raw = append(raw, 0)
	return "wamid." + base64.StdEncoding.EncodeToString(raw)
}

func (p *sending) acceptedBody(f *flight) []byte {
	to := &p.to
	b := make([]byte, 0, 256)
	b = append(b, `{"messaging_product":"whatsapp","contacts":[{"input":`...)
	b = appendString(b, to.input)
	if to.bsuid != "" {
		b = appendString(append(b, `,"user_id":`...), to.bsuid)
	} else {
		b = appendString(append(b, `,"wa_id":`...), to.waID)
	}
	b = appendString(append(b, `}],"messages":[{"id":`...), f.wamid)
	if p.template != nil && p.cfg.MessageStatus {
		if f.held {
			b = append(b, `,"message_status":"held_for_quality_assessment"`...)
		} else {
			b = append(b, `,"message_status":"accepted"`...)
		}
	}
	return append(b, "}]}"...)
}

// readReceipt handles {"status":"read"}: the id must be one of ours.
func (c *call) readReceipt(m *sendRequest) {
	switch {
	case m.Status != "read":
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Param status must be one of {READ} - got \"" + m.Status + "\"."})
	case !strings.HasPrefix(m.MessageID, "wamid."):
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Invalid post identifier"})
	default:
		c.success()
	}
}

// pause is the time Meta takes to answer.
func (p *sending) pause() {
	ms := float64(p.cfg.LatencyMS)
	if p.eff.LatencyMS != nil {
		ms = float64(*p.eff.LatencyMS)
	}
	if p.cfg.JitterMS > 0 {
		ms += float64(p.cfg.JitterMS) * (2*roll(p.s.seed, saltLatency, p.to.key^uint64(p.arrived)) - 1) //nolint:gosec // only hashed
	}
	if ms > 0 {
		p.hang(time.Duration(ms * float64(time.Millisecond)))
	}
}

// hang waits in real time, or until the client gives up.
func (c *call) hang(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.r.Context().Done():
	}
}

// reset cuts the connection without an answer, as a dying proxy would.
func (c *call) reset() {
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: net/http resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // RST instead of FIN; failing that, FIN will do
	}
	_ = conn.Close()
}

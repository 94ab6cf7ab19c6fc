package metasim

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Rule is one line of the fault script. A message meets every rule it
// matches; of what several rules say about one thing, the first rule's counts.
type Rule struct {
	Name  string `json:"name,omitempty"`
	Match Match  `json:"match"`
	// Times bounds how often the rule applies at all, TimesPerRecipient how
	// often to one person; 0: always. A fault that a retry should get over
	// has times_per_recipient 1.
	Times             int    `json:"times,omitempty"`
	TimesPerRecipient int    `json:"times_per_recipient,omitempty"`
	Effect            effect `json:"effect"`
	Hits              int64  `json:"hits"` // read only
}

// Match says whom a rule is for; an empty field matches everyone.
type Match struct {
	ToPrefix      string `json:"to_prefix,omitempty"` // digits, of the number as sent or as rewritten
	PhoneNumberID string `json:"phone_number_id,omitempty"`
	WabaID        string `json:"waba_id,omitempty"`
	Template      string `json:"template,omitempty"`
	// Probability picks a share of the recipients, always the same ones for
	// the same seed and rule name; 0: all.
	Probability float64 `json:"probability,omitempty"`
}

// effect is what a rule does. Zero fields do nothing.
type effect struct {
	// Before acceptance.
	ResetBefore bool `json:"reset_before,omitempty"` // connection reset, nothing accepted
	HTTPStatus  int  `json:"http_status,omitempty"`  // a 5xx with code 2, nothing accepted
	Error       int  `json:"error,omitempty"`        // Meta's code, after all validation
	LatencyMS   *int `json:"latency_ms,omitempty"`   // instead of the configured latency

	// After acceptance, in the answer.
	HangMS     int  `json:"hang_ms,omitempty"`     // accept, answer nothing for so long, then reset
	ResetAfter bool `json:"reset_after,omitempty"` // accept, then reset

	// After acceptance, in the webhooks.
	FailedCode         int      `json:"failed_code,omitempty"`
	FailAfterDelivered bool     `json:"fail_after_delivered,omitempty"` // with failed_code: sent, delivered, failed
	NoWebhook          bool     `json:"no_webhook,omitempty"`
	SkipDelivered      bool     `json:"skip_delivered,omitempty"`
	Duplicates         int      `json:"duplicates,omitempty"` // extra copies of every status
	Reorder            bool     `json:"reorder,omitempty"`
	DeliveredRate      *float64 `json:"delivered_rate,omitempty"`
	ReadRate           *float64 `json:"read_rate,omitempty"`
	SentDelayMS        *int     `json:"sent_delay_ms,omitempty"`
	DeliveredDelayMS   *int     `json:"delivered_delay_ms,omitempty"`
	ReadDelayMS        *int     `json:"read_delay_ms,omitempty"`
}

// faultReset is the key under which connection resets are counted as refused.
const faultReset = -1

// merge fills what e does not say yet from a later rule.
func (e *effect) merge(o *effect) {
	e.ResetBefore = e.ResetBefore || o.ResetBefore
	e.HTTPStatus = first(e.HTTPStatus, o.HTTPStatus)
	e.Error = first(e.Error, o.Error)
	e.LatencyMS = first(e.LatencyMS, o.LatencyMS)
	e.HangMS = first(e.HangMS, o.HangMS)
	e.ResetAfter = e.ResetAfter || o.ResetAfter
	e.FailedCode = first(e.FailedCode, o.FailedCode)
	e.FailAfterDelivered = e.FailAfterDelivered || o.FailAfterDelivered
	e.NoWebhook = e.NoWebhook || o.NoWebhook
	e.SkipDelivered = e.SkipDelivered || o.SkipDelivered
	e.Duplicates = first(e.Duplicates, o.Duplicates)
	e.Reorder = e.Reorder || o.Reorder
	e.DeliveredRate = first(e.DeliveredRate, o.DeliveredRate)
	e.ReadRate = first(e.ReadRate, o.ReadRate)
	e.SentDelayMS = first(e.SentDelayMS, o.SentDelayMS)
	e.DeliveredDelayMS = first(e.DeliveredDelayMS, o.DeliveredDelayMS)
	e.ReadDelayMS = first(e.ReadDelayMS, o.ReadDelayMS)
}

func first[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

// liveRule is a rule in force.
type liveRule struct {
	Rule
	salt uint64
	hits atomic.Int64

	mu    sync.Mutex
	perTo map[uint64]int
}

// faultScript is the rules in force, in order. The zero value has none.
type faultScript struct {
	rules atomic.Pointer[[]*liveRule]
}

// parseRules reads {"rules":[…]}.
func parseRules(body []byte) ([]*liveRule, error) {
	var in struct {
		Rules []Rule `json:"rules"`
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	out := make([]*liveRule, 0, len(in.Rules))
	for i, r := range in.Rules {
		e := r.Effect
		switch {
		case r.Match.Probability < 0 || r.Match.Probability > 1:
			return nil, fmt.Errorf("faults: rule %d: probability %v is not between 0 and 1", i, r.Match.Probability)
		case e.HTTPStatus != 0 && (e.HTTPStatus < 500 || e.HTTPStatus > 599):
			return nil, fmt.Errorf("faults: rule %d: http_status %d is not a 5xx; use error for Meta's codes", i, e.HTTPStatus)
		case e.FailAfterDelivered && e.FailedCode == 0:
			return nil, fmt.Errorf("faults: rule %d: fail_after_delivered needs failed_code", i)
		}
		r.Match.ToPrefix = strings.TrimPrefix(r.Match.ToPrefix, "+")
		salt := hashString(r.Name)
		if r.Name == "" {
			salt = uint64(i) + 1
		}
		out = append(out, &liveRule{Rule: r, salt: mix(salt ^ mix(saltRule))})
	}
	return out, nil
}

func (f *faultScript) set(rules []*liveRule) { f.rules.Store(&rules) }

// list is the rules with their hits.
func (f *faultScript) list() []Rule {
	out := []Rule{}
	if rules := f.rules.Load(); rules != nil {
		for _, r := range *rules {
			shown := r.Rule
			shown.Hits = r.hits.Load()
			out = append(out, shown)
		}
	}
	return out
}

// early tells rules that act before any check from those that act on a
// message Meta would otherwise accept: a rule is only used up where it acts.
func (e *effect) early() bool { return e.ResetBefore || e.HTTPStatus != 0 }

// match gathers what the early, or the other, rules have in store for a send.
func (f *faultScript) match(early bool, seed uint64, n *number, m *sendRequest, to *recipient) effect {
	var e effect
	rules := f.rules.Load()
	if rules == nil {
		return e
	}
	for _, r := range *rules {
		if r.Effect.early() == early && r.matches(seed, n, m, to) && r.take(to.key) {
			e.merge(&r.Effect)
		}
	}
	return e
}

func (r *liveRule) matches(seed uint64, n *number, m *sendRequest, to *recipient) bool {
	w := &r.Match
	switch {
	case w.PhoneNumberID != "" && w.PhoneNumberID != n.id,
		w.WabaID != "" && w.WabaID != n.waba.id,
		w.Template != "" && (m.Template == nil || m.Template.Name != w.Template):
		return false
	case w.ToPrefix != "" && !strings.HasPrefix(to.waID, w.ToPrefix) && !strings.HasPrefix(strings.TrimPrefix(to.input, "+"), w.ToPrefix):
		return false
	}
	return w.Probability == 0 || roll(seed, r.salt, to.key) < w.Probability
}

// take uses the rule once, if its bounds allow.
func (r *liveRule) take(key uint64) bool {
	if r.TimesPerRecipient > 0 {
		r.mu.Lock()
		if r.perTo == nil {
			r.perTo = map[uint64]int{}
		}
		used := r.perTo[key]
		if used < r.TimesPerRecipient {
			r.perTo[key] = used + 1
		}
		r.mu.Unlock()
		if used >= r.TimesPerRecipient {
			return false
		}
	}
	if n := r.hits.Add(1); r.Times > 0 && n > int64(r.Times) {
		r.hits.Add(-1)
		return false
	}
	return true
}

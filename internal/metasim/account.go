package metasim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// newWaba is the body of POST /_sim/wabas.
type newWaba struct {
	Name       string          `json:"name"`
	Currency   string          `json:"currency"`    // default USD
	BusinessID string          `json:"business_id"` // an existing portfolio; empty: a new one
	Token      string          `json:"access_token"`
	Subscribed bool            `json:"subscribed"` // as if POST /{waba}/subscribed_apps had been called
	Numbers    []newNumber     `json:"numbers"`
	Templates  []templateInput `json:"templates"` // nil: a standard set; approved unless status says otherwise
}

type newNumber struct {
	DisplayPhoneNumber string `json:"display_phone_number"`
	VerifiedName       string `json:"verified_name"`
	ThroughputLevel    string `json:"throughput_level"` // STANDARD (default) or HIGH
	Coexistence        bool   `json:"coexistence"`
	Unregistered       bool   `json:"unregistered"` // POST /{id}/register first
}

// createWaba makes a business with one account, its numbers, templates and a
// token that may do everything to them.
func (s *Sim) createWaba(body []byte) (any, error) {
	var in newWaba
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, fmt.Errorf("wabas: name is empty")
	}
	for i, n := range in.Numbers {
		if d := onlyDigits(n.DisplayPhoneNumber); len(d) < 7 || len(d) > 15 {
			return nil, fmt.Errorf("wabas: numbers[%d]: display_phone_number is not an international number", i)
		}
		if l := n.ThroughputLevel; l != "" && l != LevelStandard && l != LevelHigh {
			return nil, fmt.Errorf("wabas: numbers[%d]: throughput_level %q is neither STANDARD nor HIGH", i, l)
		}
	}
	if in.Templates == nil {
		in.Templates = standardTemplates()
	}
	comps := make([][]component, len(in.Templates))
	for i := range in.Templates {
		c, e := in.Templates[i].check()
		if e != nil {
			return nil, fmt.Errorf("wabas: templates[%d]: %s%s %s", i, e.message, e.details, e.userMsg)
		}
		comps[i] = c
	}
	b, err := s.businessFor(in.BusinessID, in.Name)
	if err != nil {
		return nil, err
	}
	if in.Currency == "" {
		in.Currency = "USD"
	}
	w := &waba{
		id: s.newID(), name: in.Name, currency: strings.ToUpper(in.Currency), timezone: "1", biz: b,
		namespace: fmt.Sprintf("%08x_%016x", uint32(mix(s.seed)), mix(uint64(s.ids.Load()))), //nolint:gosec // looks only
		byName:    map[templateKey]*template{}, subscribed: in.Subscribed,
	}
	t := s.newToken(b, in.Token, w.id)
	s.reg.mu.Lock()
	s.reg.wabas[w.id] = w
	s.reg.mu.Unlock()
	for _, n := range in.Numbers {
		s.newNumber(w, n)
	}
	for i := range in.Templates {
		made := s.newTemplate(w, &in.Templates[i], comps[i])
		made.status = first(in.Templates[i].Status, statusApproved)
	}
	return s.describe(w, t), nil
}

func (s *Sim) businessFor(id, name string) (*business, error) {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	if id == "" {
		b := &business{id: s.newID(), name: name}
		s.reg.businesses[b.id] = b
		return b, nil
	}
	if b := s.reg.businesses[id]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("wabas: no business %s", id)
}

func (s *Sim) newToken(b *business, text string, wabas ...string) *token {
	if text == "" {
		text = fmt.Sprintf("EAAM%016x%016xZDZD", mix(s.seed^uint64(s.ids.Add(1))), mix(uint64(s.started)^uint64(s.ids.Load()))) //nolint:gosec // only hashed
	}
	t := &token{text: text, business: b, wabas: map[string]bool{}, scopes: []string{
		"whatsapp_business_management", "whatsapp_business_messaging", "business_management",
	}}
	for _, id := range wabas {
		t.wabas[id] = true
	}
	s.reg.mu.Lock()
	s.reg.tokens[text] = t
	s.reg.mu.Unlock()
	return t
}

func (s *Sim) newNumber(w *waba, in newNumber) *number {
	n := &number{
		id: s.newID(), digits: onlyDigits(in.DisplayPhoneNumber), display: in.DisplayPhoneNumber,
		verified: first(in.VerifiedName, w.name), waba: w, level: first(in.ThroughputLevel, LevelStandard),
		coexistence: in.Coexistence, registered: !in.Unregistered, quality: "GREEN", windows: map[uint64]int64{},
		profile: map[string]any{"messaging_product": "whatsapp"},
	}
	if !strings.HasPrefix(n.display, "+") {
		n.display = "+" + n.display
	}
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	s.reg.numbers[n.id] = n
	w.phoneIDs = append(w.phoneIDs, n.id)
	return n
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// describe is the answer of POST /_sim/wabas.
func (s *Sim) describe(w *waba, t *token) any {
	phones := []any{}
	for _, n := range s.reg.numbersOf(w) {
		phones = append(phones, map[string]any{
			"id": n.id, "display_phone_number": n.display, "verified_name": n.verified,
			"throughput_level": n.level, "coexistence": n.coexistence,
		})
	}
	templates := []any{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.templates {
		templates = append(templates, map[string]any{
			"id": x.id, "name": x.key.name, "language": x.key.language, "category": x.category, "status": x.status,
		})
	}
	a := s.reg.application()
	return map[string]any{
		"business_id": w.biz.id, "waba_id": w.id, "access_token": t.text, "app_id": a.id,
		"phone_numbers": phones, "templates": templates,
	}
}

// allNumbers lists every number by id, which is the order of making.
func (r *registry) allNumbers() []*number {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*number, 0, len(r.numbers))
	for _, n := range r.numbers {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *number) int { return strings.Compare(a.id, b.id) })
	return out
}

// setNumber changes a number: PUT /_sim/numbers/{id}.
func (s *Sim) setNumber(id string, body []byte) (any, error) {
	n := s.reg.number(id)
	if n == nil {
		return nil, fmt.Errorf("numbers: no number %s", id)
	}
	var in struct {
		ThroughputLevel *string `json:"throughput_level"`
		Coexistence     *bool   `json:"coexistence"`
		Registered      *bool   `json:"registered"`
		Deleted         *bool   `json:"deleted"`
		Quality         *string `json:"quality_rating"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	n.mu.Lock()
	upgraded := in.ThroughputLevel != nil && *in.ThroughputLevel == LevelHigh && n.level != LevelHigh
	set(&n.level, in.ThroughputLevel)
	set(&n.coexistence, in.Coexistence)
	set(&n.registered, in.Registered)
	set(&n.deleted, in.Deleted)
	set(&n.quality, in.Quality)
	n.mu.Unlock()
	if upgraded {
		s.emit(n.waba, "", "phone_number_quality_update", map[string]any{
			"display_phone_number": n.digits, "event": "THROUGHPUT_UPGRADE",
			"max_daily_conversations_per_business": "TIER_UNLIMITED",
		})
	}
	return s.numberFields(n), nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// setWaba locks an account (every send refused with the code: 131031, 368,
// 131042) or opens it again with 0, and tells so: PUT /_sim/wabas/{id}.
func (s *Sim) setWaba(id string, body []byte) (any, error) {
	w := s.reg.waba(id)
	if w == nil {
		return nil, fmt.Errorf("wabas: no account %s", id)
	}
	var in struct {
		LockCode   *int  `json:"lock_code"`
		Subscribed *bool `json:"subscribed"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	w.mu.Lock()
	before := w.lockCode
	set(&w.lockCode, in.LockCode)
	set(&w.subscribed, in.Subscribed)
	after := w.lockCode
	w.mu.Unlock()
	if before != after {
		state := "DISABLE"
		if after == 0 {
			state = "REINSTATE"
		}
		s.emit(w, "", "account_update", map[string]any{
			"event": "DISABLED_UPDATE", "ban_info": map[string]any{"waba_ban_state": state, "waba_ban_date": s.clock.Now().Format("January 2, 2006")},
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[string]any{"waba_id": w.id, "lock_code": w.lockCode, "subscribed": w.subscribed}, nil
}

// setToken expires or revokes a token: PUT /_sim/tokens/{token}.
func (s *Sim) setToken(text string, body []byte) (any, error) {
	var in struct {
		ExpiresInSeconds float64 `json:"expires_in_seconds"` // 0: now
		Revoked          bool    `json:"revoked"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	t := s.reg.tokens[text]
	if t == nil {
		return nil, fmt.Errorf("tokens: no such token")
	}
	if in.Revoked {
		delete(s.reg.tokens, text)
		return map[string]any{"revoked": true}, nil
	}
	changed := *t // requests under way keep the old one
	changed.expiresAt = s.clock.nanos() + int64(in.ExpiresInSeconds*float64(time.Second))
	s.reg.tokens[text] = &changed
	return map[string]any{"expires_at": time.Unix(0, changed.expiresAt).UTC()}, nil
}

// inbound makes a person write to a number: POST /_sim/inbound. The message
// opens the service window, counts against the throughput and is posted.
func (s *Sim) inbound(body []byte) (any, error) {
	var in struct {
		PhoneNumberID string          `json:"phone_number_id"`
		From          string          `json:"from"`
		Type          string          `json:"type"` // default text
		Text          string          `json:"text"`
		Content       json.RawMessage `json:"content"` // the object of another type
		Context       string          `json:"context_message_id"`
		ProfileName   string          `json:"profile_name"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	n := s.reg.number(in.PhoneNumberID)
	if n == nil {
		return nil, fmt.Errorf("inbound: no number %s", in.PhoneNumberID)
	}
	cfg := s.config()
	from, gerr := parseRecipient(&sendRequest{To: flexString(in.From)}, n, cfg)
	if gerr != nil {
		return nil, fmt.Errorf("inbound: from: %s", gerr.details)
	}
	now := s.clock.nanos()
	n.mu.Lock()
	n.windows[from.key] = now
	n.throughput.take(now, n.rate(cfg), cfg) // inbound counts too, but is never refused
	n.counts.inbound++
	n.mu.Unlock()

	kind := first(in.Type, "text")
	id := s.wamid(&from, s.seq.Add(1))
	message := map[string]any{
		"from": from.waID, "from_user_id": s.userID(n.waba.biz, &from), "id": id,
		"timestamp": fmt.Sprint(now / second), "type": kind,
	}
	switch {
	case kind == "text" && in.Content == nil:
		message["text"] = map[string]any{"body": in.Text}
	case in.Content != nil:
		message[kind] = in.Content
	}
	if in.Context != "" {
		message["context"] = map[string]any{"from": n.digits, "id": in.Context}
	}
	dest, _ := n.destination()
	s.emit(n.waba, dest, "messages", map[string]any{
		"messaging_product": "whatsapp", "metadata": n.metadata(),
		"contacts": []any{s.contact(n, &from, in.ProfileName)}, "messages": []any{message},
	})
	return map[string]any{"message_id": id}, nil
}

func (n *number) metadata() map[string]any {
	return map[string]any{"display_phone_number": n.digits, "phone_number_id": n.id}
}

func (s *Sim) contact(n *number, who *recipient, name string) map[string]any {
	return map[string]any{
		"profile": map[string]any{"name": first(name, s.profileName(who.key))},
		"wa_id":   who.waID, "user_id": s.userID(n.waba.biz, who),
	}
}

// userPreference makes a person stop or resume a business's marketing: POST
// /_sim/user_preferences.
func (s *Sim) userPreference(body []byte) (any, error) {
	var in struct {
		PhoneNumberID string `json:"phone_number_id"`
		From          string `json:"from"`
		Value         string `json:"value"` // stop or resume
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	n := s.reg.number(in.PhoneNumberID)
	if n == nil {
		return nil, fmt.Errorf("user_preferences: no number %s", in.PhoneNumberID)
	}
	if in.Value != "stop" && in.Value != "resume" {
		return nil, fmt.Errorf("user_preferences: value %q is neither stop nor resume", in.Value)
	}
	from, gerr := parseRecipient(&sendRequest{To: flexString(in.From)}, n, s.config())
	if gerr != nil {
		return nil, fmt.Errorf("user_preferences: from: %s", gerr.details)
	}
	b := n.waba.biz
	b.mu.Lock()
	if b.stopped == nil {
		b.stopped = map[uint64]bool{}
	}
	b.stopped[from.key] = in.Value == "stop"
	b.mu.Unlock()
	dest, _ := n.destination()
	s.emit(n.waba, dest, "user_preferences", map[string]any{
		"messaging_product": "whatsapp", "metadata": n.metadata(),
		"contacts": []any{s.contact(n, &from, "")},
		"user_preferences": []any{map[string]any{
			"wa_id": from.waID, "user_id": s.userID(b, &from), "category": "marketing_messages", "value": in.Value,
			"detail": "User requested to " + in.Value + " marketing messages", "timestamp": s.clock.nanos() / second,
		}},
	})
	return map[string]any{"value": in.Value}, nil
}

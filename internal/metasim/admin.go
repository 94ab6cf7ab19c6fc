package metasim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// serveAdmin is the API under /_sim/: what a test or a demonstration does to
// Meta's side. Errors are {"error":"…"} with status 400 or 404.
func (s *Sim) serveAdmin(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		adminFail(w, http.StatusBadRequest, err)
		return
	}
	var out any
	switch r.Method + " " + path {
	case "GET health":
		out = map[string]any{"status": "ok"}
	case "GET stats":
		q := r.URL.Query()
		out = s.stats(statsFilter{q.Get("phone_number_id"), q.Get("waba_id"), q.Get("series") == "true"})
	case "GET config":
		out = s.config()
	case "PUT config":
		out, err = s.configure(body)
	case "GET faults":
		out = map[string]any{"rules": s.faults.list()}
	case "PUT faults", "POST faults":
		out, err = s.script(body, r.Method == http.MethodPost)
	case "DELETE faults":
		s.faults.set(nil)
		out = map[string]any{"rules": []Rule{}}
	case "POST wabas":
		out, err = s.createWaba(body)
	case "POST inbound":
		out, err = s.inbound(body)
	case "POST user_preferences":
		out, err = s.userPreference(body)
	case "POST clock":
		out, err = s.advance(body)
	case "PUT webhook":
		out, err = s.setWebhook(r, body)
	case "POST codes":
		out, err = s.createCode(body)
	case "POST reset":
		out = s.resetAll()
	default:
		out, err = s.adminObject(r.Method, strings.Split(path, "/"), body)
	}
	switch {
	case err != nil:
		adminFail(w, http.StatusBadRequest, err)
	case out == nil:
		adminFail(w, http.StatusNotFound, fmt.Errorf("no %s /_sim/%s", r.Method, path))
	default:
		adminAnswer(w, http.StatusOK, out)
	}
}

func adminFail(w http.ResponseWriter, status int, err error) {
	adminAnswer(w, status, map[string]string{"error": err.Error()})
}

func adminAnswer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a client that is gone misses its answer
}

// adminObject handles the paths with an id in them.
func (s *Sim) adminObject(method string, path []string, body []byte) (any, error) {
	switch {
	case method == http.MethodPost && len(path) == 3 && path[0] == "templates" && path[2] == "status":
		return s.setTemplateStatus(path[1], body)
	case method == http.MethodPut && len(path) == 2 && path[0] == "numbers":
		return s.setNumber(path[1], body)
	case method == http.MethodPut && len(path) == 2 && path[0] == "wabas":
		return s.setWaba(path[1], body)
	case method == http.MethodPut && len(path) == 2 && path[0] == "tokens":
		return s.setToken(path[1], body)
	}
	return nil, nil // the caller answers 404
}

func (s *Sim) configure(body []byte) (any, error) {
	next, err := s.config().with(body)
	if err != nil {
		return nil, err
	}
	s.cfg.Store(&next)
	return next, nil
}

func (s *Sim) script(body []byte, add bool) (any, error) {
	rules, err := parseRules(body)
	if err != nil {
		return nil, err
	}
	if old := s.faults.rules.Load(); add && old != nil {
		rules = append(slices.Clone(*old), rules...)
	}
	s.faults.set(rules)
	return map[string]any{"rules": s.faults.list()}, nil
}

func (s *Sim) advance(body []byte) (any, error) {
	var in struct {
		AdvanceSeconds float64 `json:"advance_seconds"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	if in.AdvanceSeconds < 0 {
		return nil, fmt.Errorf("clock: time does not go back")
	}
	s.clock.Advance(time.Duration(in.AdvanceSeconds * float64(time.Second)))
	return map[string]any{"now": s.clock.Now()}, nil
}

// setWebhook saves the app's callback as its dashboard does: only if the
// handshake succeeds, or, with "retry", as soon as it does.
func (s *Sim) setWebhook(r *http.Request, body []byte) (any, error) {
	var in struct {
		URL         string `json:"url"`
		VerifyToken string `json:"verify_token"`
		AppSecret   string `json:"app_secret"` // changes the secret; empty keeps it
		Retry       bool   `json:"retry"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	if in.AppSecret != "" {
		s.reg.mu.Lock()
		s.reg.app.secret = in.AppSecret
		s.reg.mu.Unlock()
	}
	if in.URL == "" {
		return map[string]any{"verified": s.hooks.snapshot().Verified}, nil
	}
	cb := callback{in.URL, in.VerifyToken}
	if err := s.hooks.handshake(r.Context(), cb); err != nil {
		if in.Retry {
			s.hooks.expect(in.URL, in.VerifyToken)
			return map[string]any{"verified": false}, nil
		}
		return nil, fmt.Errorf("webhook: %w", err)
	}
	s.hooks.saved(cb)
	return map[string]any{"verified": true}, nil
}

// resetAll forgets accounts, messages, faults, counts and pending webhooks;
// configuration, callback and clock stay.
func (s *Sim) resetAll() any {
	s.sched.clear()
	s.hooks.clear()
	s.faults.set(nil)
	s.reg.reset()
	s.total.reset()
	return map[string]any{"reset": true}
}

// strict decodes an admin body and refuses what it does not know.
func strict(body []byte, v any) error {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

package metasim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// signupCode is what Embedded Signup hands to the front end: exchangeable once
// and for 30 s. Source: Meta, Embedded Signup, read 2026-09.
type signupCode struct {
	token   *token
	expires int64
	used    bool
}

const signupCodeLife = 30 * second

// createCode is POST /_sim/codes {"waba_id"}: a person finished the signup.
func (s *Sim) createCode(body []byte) (any, error) {
	var in struct {
		WabaID string `json:"waba_id"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	w := s.reg.waba(in.WabaID)
	if w == nil {
		return nil, fmt.Errorf("codes: no account %s", in.WabaID)
	}
	code := fmt.Sprintf("AQ%032x", mix(s.seed^uint64(s.ids.Add(1)))) //nolint:gosec // only hashed
	t := s.newToken(w.biz, "", w.id)
	s.reg.mu.Lock()
	s.reg.codes[code] = signupCode{token: t, expires: s.clock.nanos() + signupCodeLife}
	s.reg.mu.Unlock()
	return map[string]any{"code": code}, nil
}

// accessToken is GET or POST /oauth/access_token: a signup code, or the app's
// own credentials, for a token.
func (c *call) accessToken() {
	a := c.s.reg.application()
	if c.param("client_id") != a.id || c.param("client_secret") != a.secret {
		c.fail(&graphError{code: 1, http: 400, details: "-", message: "Error validating client secret."})
		return
	}
	if c.param("grant_type") == "client_credentials" {
		c.answer(http.StatusOK, map[string]any{"access_token": a.id + "|" + a.secret, "token_type": "bearer"})
		return
	}
	text := c.param("code")
	reg := c.s.reg
	reg.mu.Lock()
	code, ok := reg.codes[text]
	fresh := ok && !code.used && c.arrived < code.expires
	if fresh {
		used := code
		used.used = true
		reg.codes[text] = used
	}
	reg.mu.Unlock()
	switch {
	case fresh:
		c.answer(http.StatusOK, map[string]any{"access_token": code.token.text, "token_type": "bearer"})
	case ok && code.used:
		c.fail(&graphError{code: 100, subcode: 36009, details: "-", message: "This authorization code has been used."})
	case ok:
		c.fail(&graphError{code: 100, subcode: 36007, details: "-", message: "This authorization code has expired."})
	default:
		c.fail(&graphError{code: 100, details: "-", message: "Invalid verification code format."})
	}
}

// debugToken is GET /debug_token?input_token=: only the app may ask, or a
// token about itself.
func (c *call) debugToken() {
	input := c.query.Get("input_token")
	if input == "" {
		c.fail(&graphError{code: 100, details: "-", message: "(#100) The parameter input_token is required"})
		return
	}
	if !c.isApp && input != c.token.text {
		c.fail(&graphError{code: 100, details: "-", message: "(#100) You must provide an app access token, or a user access token that is an owner or developer of the app"})
		return
	}
	t := c.s.reg.token(input)
	if t == nil {
		c.answer(http.StatusOK, map[string]any{"data": map[string]any{
			"is_valid": false, "scopes": []any{},
			"error": map[string]any{"code": 190, "message": "Invalid OAuth access token."},
		}})
		return
	}
	targets := []string{}
	for id := range t.wabas {
		targets = append(targets, id)
	}
	granular := []any{}
	for _, scope := range t.scopes {
		if strings.HasPrefix(scope, "whatsapp_") {
			granular = append(granular, map[string]any{"scope": scope, "target_ids": targets})
		}
	}
	c.answer(http.StatusOK, map[string]any{"data": map[string]any{
		"app_id": c.s.reg.application().id, "type": "SYSTEM_USER", "application": "metasim",
		"data_access_expires_at": 0, "expires_at": t.expiresAt / second,
		"is_valid": t.expiresAt == 0 || c.arrived < t.expiresAt,
		"scopes":   t.scopes, "granular_scopes": granular, "user_id": t.business.id,
	}})
}

// appEdge serves the app itself: webhook subscriptions and resumable uploads.
func (c *call) appEdge(edge string) {
	a := c.s.reg.application()
	switch c.r.Method + " " + edge {
	case "GET ":
		c.node("Application", map[string]any{"id": a.id, "name": "metasim", "link": c.baseURL()}, "id", "name", "link")
	case "GET subscriptions":
		data := []any{}
		if a.callback != "" {
			fields := []any{}
			for _, f := range a.fields {
				fields = append(fields, map[string]any{"name": f, "version": "v26.0"})
			}
			data = append(data, map[string]any{
				"object": "whatsapp_business_account", "callback_url": a.callback, "active": true, "fields": fields,
			})
		}
		c.answer(http.StatusOK, map[string]any{"data": data})
	case "POST subscriptions":
		c.saveCallback()
	case "POST uploads":
		c.startUpload()
	default:
		c.fail(unknownObject(c.r.Method, a.id+"/"+edge))
	}
}

// saveCallback is POST /{app-id}/subscriptions with the app's own token: the
// callback must answer the handshake before it is saved.
func (c *call) saveCallback() {
	if !c.isApp {
		c.fail(&graphError{code: 15, http: 400, details: "-", message: "(#15) This method must be called with an app access_token."})
		return
	}
	cb := callback{c.param("callback_url"), c.param("verify_token")}
	if c.param("object") != "whatsapp_business_account" || cb.url == "" {
		c.fail(missingParameter("callback_url"))
		return
	}
	if err := c.s.hooks.handshake(c.r.Context(), cb); err != nil {
		c.fail(callbackRefused())
		return
	}
	var fields []string
	for f := range strings.SplitSeq(strings.Trim(c.param("fields"), `[]`), ",") {
		fields = append(fields, strings.Trim(f, `" `))
	}
	c.s.reg.mu.Lock()
	c.s.reg.app.fields = fields
	c.s.reg.mu.Unlock()
	c.s.hooks.saved(cb)
	c.success()
}

func callbackRefused() *graphError {
	return &graphError{
		code: 2200, details: "-",
		message: "(#2200) Callback verification failed: the callback URL or verify token couldn't be validated. Please verify the provided information or try again later.",
	}
}

// subscribe is POST /{waba}/subscribed_apps, with or without a callback of the
// account's own.
func (c *call) subscribe(w *waba) {
	override := callback{c.param("override_callback_uri"), c.param("verify_token")}
	if len(override.url) > 200 {
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Param override_callback_uri must be at most 200 characters long."})
		return
	}
	if override.url != "" {
		if err := c.s.hooks.handshake(c.r.Context(), override); err != nil {
			c.fail(callbackRefused())
			return
		}
	}
	w.mu.Lock()
	w.subscribed, w.override = true, override
	w.mu.Unlock()
	c.success()
}

func (c *call) subscriptions(w *waba) {
	w.mu.Lock()
	subscribed, override := w.subscribed, w.override
	w.mu.Unlock()
	data := []any{}
	if subscribed {
		a := c.s.reg.application()
		row := map[string]any{"whatsapp_business_api_data": map[string]any{
			"id": a.id, "name": "metasim", "link": "https://www.facebook.com/games/?app_id=" + a.id,
		}}
		if override.url != "" {
			row["override_callback_uri"] = override.url
		}
		data = append(data, row)
	}
	c.answer(http.StatusOK, map[string]any{"data": data})
}

// register is POST /{phone-number-id}/register: the PIN is set by the first
// registration and asked for by every later one.
func (c *call) register(n *number) {
	if c.param("messaging_product") != "whatsapp" {
		c.fail(missingParameter("messaging_product"))
		return
	}
	pin := c.param("pin")
	if !regexp.MustCompile(`^\d{6}$`).MatchString(pin) {
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Param pin must be 6 characters long."})
		return
	}
	n.mu.Lock()
	wrong := n.pin != "" && n.pin != pin
	if !wrong {
		n.pin, n.registered = pin, true
	}
	n.mu.Unlock()
	if wrong {
		c.fail(refuse(133005))
		return
	}
	c.success()
}

// editNumber is POST /{phone-number-id}: the PIN, or a callback of the
// number's own (an empty address clears it).
func (c *call) editNumber(n *number) {
	var in struct {
		Pin     string `json:"pin"`
		Webhook *struct {
			URL         string `json:"override_callback_uri"`
			VerifyToken string `json:"verify_token"`
		} `json:"webhook_configuration"`
	}
	if err := c.decode(&in); err != nil {
		c.fail(err)
		return
	}
	if in.Webhook != nil && in.Webhook.URL != "" {
		if err := c.s.hooks.handshake(c.r.Context(), callback{in.Webhook.URL, in.Webhook.VerifyToken}); err != nil {
			c.fail(callbackRefused())
			return
		}
	}
	n.mu.Lock()
	if in.Pin != "" {
		n.pin = in.Pin
	}
	if in.Webhook != nil {
		n.override = callback{in.Webhook.URL, in.Webhook.VerifyToken}
	}
	n.mu.Unlock()
	c.success()
}

// editProfile is POST /{phone-number-id}/whatsapp_business_profile.
func (c *call) editProfile(n *number) {
	in := map[string]any{}
	if err := json.Unmarshal(c.body, &in); err != nil || in["messaging_product"] != "whatsapp" {
		c.fail(missingParameter("messaging_product"))
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range []string{"about", "address", "description", "email", "vertical", "websites"} {
		if v, ok := in[k]; ok {
			n.profile[k] = v
		}
	}
	c.success()
}

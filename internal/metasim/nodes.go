package metasim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// route finds the object of the path. Ids of all kinds share one name space,
// as at Meta; what a token may not touch does not exist for it.
func (c *call) route() {
	head, edge := c.path[0], ""
	if len(c.path) > 1 {
		edge = strings.Join(c.path[1:], "/")
	}
	if head == "oauth" && edge == "access_token" {
		c.accessToken()
		return
	}
	if err := c.authenticate(); err != nil {
		c.fail(err)
		return
	}
	reg := c.s.reg
	switch {
	case head == "debug_token":
		c.debugToken()
	case strings.HasPrefix(head, "upload:"):
		c.resumeUpload(head)
	case head == reg.application().id:
		c.appEdge(edge)
	case reg.number(head) != nil:
		c.routeNumber(head, edge)
	case reg.waba(head) != nil:
		c.routeWaba(head, edge)
	case reg.template(head) != nil:
		c.routeTemplate(head, edge)
	default:
		c.routeOther(head, edge)
	}
}

func (c *call) routeNumber(id, edge string) {
	n, err := c.number(id)
	if err != nil {
		c.fail(err)
		return
	}
	switch c.r.Method + " " + edge {
	case "POST messages":
		c.send(n, false)
	case "POST marketing_messages":
		c.send(n, true)
	case "GET ":
		c.node("WhatsAppBusinessPhoneNumber", c.s.numberFields(n), "id", "display_phone_number", "verified_name", "quality_rating")
	case "POST ":
		c.editNumber(n)
	case "POST register":
		c.register(n)
	case "POST deregister":
		n.mu.Lock()
		n.registered = false
		n.mu.Unlock()
		c.success()
	case "GET whatsapp_business_profile":
		n.mu.Lock()
		defer n.mu.Unlock()
		c.answer(http.StatusOK, map[string]any{"data": []any{n.profile}})
	case "POST whatsapp_business_profile":
		c.editProfile(n)
	case "POST request_code", "POST verify_code":
		c.success()
	case "POST media":
		c.uploadMedia(n)
	default:
		c.fail(unknownObject(c.r.Method, id+"/"+edge))
	}
}

func (c *call) routeWaba(id, edge string) {
	w := c.s.reg.waba(id)
	if !c.token.wabas[id] {
		c.fail(unknownObject(c.r.Method, id))
		return
	}
	if err := c.manage(w); err != nil {
		c.fail(err)
		return
	}
	switch c.r.Method + " " + edge {
	case "GET ":
		if field, rest := analyticsField(c.query.Get("fields")); field != "" && len(rest) == 0 {
			c.pricingAnalytics(w, field)
			return
		}
		c.node("WhatsAppBusinessAccount", c.wabaFields(w), "id", "name", "currency", "timezone_id", "message_template_namespace")
	case "GET phone_numbers":
		c.listNumbers(w)
	case "GET message_templates":
		c.listTemplates(w)
	case "POST message_templates":
		c.createTemplate(w)
	case "DELETE message_templates":
		c.deleteTemplates(w)
	case "GET subscribed_apps":
		c.subscriptions(w)
	case "POST subscribed_apps":
		c.subscribe(w)
	case "DELETE subscribed_apps":
		w.mu.Lock()
		w.subscribed, w.override = false, callback{}
		w.mu.Unlock()
		c.success()
	default:
		c.fail(unknownObject(c.r.Method, id+"/"+edge))
	}
}

// routeOther serves media and portfolios.
func (c *call) routeOther(id, edge string) {
	reg := c.s.reg
	reg.mu.RLock()
	m, b := reg.media[id], reg.businesses[id]
	reg.mu.RUnlock()
	switch {
	case m != nil && edge == "" && c.token.wabas[m.n.waba.id]:
		c.mediaNode(m)
	case b != nil && c.token.business == b && c.r.Method == http.MethodGet &&
		(edge == "owned_whatsapp_business_accounts" || edge == "client_whatsapp_business_accounts"):
		c.listWabas(b)
	case b != nil && c.token.business == b && c.r.Method == http.MethodGet && edge == "":
		c.node("Business", map[string]any{"id": b.id, "name": b.name}, "id", "name")
	default:
		c.fail(unknownObject(c.r.Method, id))
	}
}

// node answers with the asked fields of an object, or its usual ones.
func (c *call) node(kind string, all map[string]any, usual ...string) {
	out, err := selectFields(kind, all, c.query.Get("fields"), usual)
	if err != nil {
		c.fail(err)
		return
	}
	c.answer(http.StatusOK, out)
}

// selectFields picks fields=a,b{c}; the id always comes along, an unknown
// field is code 100.
func selectFields(kind string, all map[string]any, fields string, usual []string) (map[string]any, *graphError) {
	wanted := splitFields(fields)
	if len(wanted) == 0 {
		wanted = usual
	}
	out := map[string]any{"id": all["id"]}
	for _, f := range wanted {
		name, sub, nested := strings.Cut(f, "{")
		name, _, _ = strings.Cut(name, ".")
		v, ok := all[name]
		if !ok {
			return nil, &graphError{code: 100, details: "-", message: fmt.Sprintf(
				"(#100) Tried accessing nonexisting field (%s) on node type (%s)", name, kind,
			)}
		}
		if inner, isMap := v.(map[string]any); nested && isMap {
			picked := map[string]any{}
			for _, k := range splitFields(strings.TrimSuffix(sub, "}")) {
				picked[k] = inner[k]
			}
			v = picked
		}
		if v != nil {
			out[name] = v
		}
	}
	return out, nil
}

// splitFields splits at commas outside braces and parentheses.
func splitFields(s string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',' && depth == 0:
			if f := strings.TrimSpace(s[from:i]); f != "" {
				out = append(out, f)
			}
			from = i + 1
		case s[i] == '{' || s[i] == '(':
			depth++
		case s[i] == '}' || s[i] == ')':
			depth--
		}
	}
	return out
}

// numberFields is everything a phone number shows.
func (s *Sim) numberFields(n *number) map[string]any {
	cfg := s.config()
	app := s.reg.application()
	n.waba.mu.Lock()
	wabaURL := n.waba.override.url
	n.waba.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	status := "CONNECTED"
	if !n.registered {
		status = "DISCONNECTED"
	}
	hooks := map[string]any{"application": app.callback}
	if wabaURL != "" {
		hooks["whatsapp_business_account"] = wabaURL
	}
	if n.override.url != "" {
		hooks["phone_number"] = n.override.url
	}
	return map[string]any{
		"id": n.id, "display_phone_number": n.display, "verified_name": n.verified, "quality_rating": n.quality,
		"code_verification_status": "VERIFIED", "name_status": "APPROVED", "new_name_status": "NONE", "status": status,
		"platform_type": "CLOUD_API", "account_mode": "LIVE", "is_official_business_account": false,
		"is_pin_enabled": n.pin != "", "throughput": map[string]any{"level": n.level},
		"webhook_configuration": hooks, "whatsapp_business_manager_messaging_limit": tier(cfg.PortfolioLimit),
		"messaging_limit_tier": tier(cfg.PortfolioLimit), "last_onboarded_time": "2026-01-01T00:00:00+0000",
		"health_status":     map[string]any{"can_send_message": "AVAILABLE", "entities": []any{}},
		"is_on_biz_app":     n.coexistence,
		"country_dial_code": callingCode(n.digits),
	}
}

// tier names a messaging limit.
func tier(limit int) string {
	switch {
	case limit == 0 || limit > 100_000:
		return "TIER_UNLIMITED"
	case limit > 10_000:
		return "TIER_100K"
	case limit > 2000:
		return "TIER_10K"
	case limit > 250:
		return "TIER_2K"
	default:
		return "TIER_250"
	}
}

func (c *call) wabaFields(w *waba) map[string]any {
	w.mu.Lock()
	locked := w.lockCode != 0
	w.mu.Unlock()
	can := "AVAILABLE"
	if locked {
		can = "BLOCKED"
	}
	return map[string]any{
		"id": w.id, "name": w.name, "currency": w.currency, "timezone_id": w.timezone, "country": "US",
		"message_template_namespace": w.namespace, "account_review_status": "APPROVED",
		"business_verification_status": "verified", "ownership_type": "SELF", "primary_business_location": nil,
		"owner_business_info":                map[string]any{"id": w.biz.id, "name": w.biz.name},
		"marketing_messages_lite_api_status": "ONBOARDED",
		"health_status": map[string]any{"can_send_message": can, "entities": []any{
			map[string]any{"entity_type": "WABA", "id": w.id, "can_send_message": can},
		}},
	}
}

func (c *call) listNumbers(w *waba) {
	rows := []map[string]any{}
	for _, n := range c.s.reg.numbersOf(w) {
		rows = append(rows, c.s.numberFields(n))
	}
	c.list("WhatsAppBusinessPhoneNumber", rows, "verified_name", "code_verification_status", "display_phone_number",
		"quality_rating", "platform_type", "throughput", "webhook_configuration", "last_onboarded_time", "id")
}

func (c *call) listWabas(b *business) {
	rows := []map[string]any{}
	c.s.reg.mu.RLock()
	for _, w := range c.s.reg.wabas {
		if w.biz == b && c.token.wabas[w.id] {
			rows = append(rows, map[string]any{
				"id": w.id, "name": w.name, "currency": w.currency, "timezone_id": w.timezone,
				"message_template_namespace": w.namespace,
			})
		}
	}
	c.s.reg.mu.RUnlock()
	slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"])) })
	c.list("WhatsAppBusinessAccount", rows, "id", "name", "currency", "timezone_id", "message_template_namespace")
}

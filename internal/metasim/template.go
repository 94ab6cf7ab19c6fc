package metasim

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// Template states. Source: Meta, template management, read 2026-09.
const (
	statusPending         = "PENDING"
	statusApproved        = "APPROVED"
	statusRejected        = "REJECTED"
	statusPaused          = "PAUSED"
	statusDisabled        = "DISABLED"
	statusPendingDeletion = "PENDING_DELETION"
)

const (
	categoryMarketing      = "MARKETING"
	categoryUtility        = "UTILITY"
	categoryAuthentication = "AUTHENTICATION"

	formatNamed      = "NAMED"
	formatPositional = "POSITIONAL"
)

type templateKey struct{ name, language string }

// template is one name in one language. Guarded by its account's mu, but for
// id, key and waba, which do not change.
type template struct {
	id   string
	key  templateKey
	waba *waba

	category, previousCategory string
	format, subCategory        string
	status, rejectedReason     string
	quality                    string
	ttl                        int // seconds; 0: not given
	components                 json.RawMessage
	shape                      *shape
	pauses                     int
	edits                      []int64 // of the approved template
	pacing                     pacing
	review                     int // how often it went to review; outdates an older review's verdict
}

// templateInput is the body of template creation and edition.
type templateInput struct {
	Name                string          `json:"name"`
	Language            string          `json:"language"`
	Category            string          `json:"category"`
	SubCategory         string          `json:"sub_category"`
	ParameterFormat     string          `json:"parameter_format"`
	TTL                 int             `json:"message_send_ttl_seconds"`
	AllowCategoryChange *bool           `json:"allow_category_change"`
	Components          json.RawMessage `json:"components"`
	LibraryTemplateName string          `json:"library_template_name"`

	// Status is for POST /_sim/wabas only.
	Status string `json:"status"`
}

type component struct {
	Type     string           `json:"type"`
	Format   string           `json:"format"`
	Text     string           `json:"text"`
	Example  *componentSample `json:"example"`
	Buttons  []templateButton `json:"buttons"`
	Cards    []card           `json:"cards"`
	Security bool             `json:"add_security_recommendation"`
	Expires  *int             `json:"code_expiration_minutes"`
	Offer    *struct {
		Text       string `json:"text"`
		Expiration bool   `json:"has_expiration"`
	} `json:"limited_time_offer"`
}

type card struct {
	Components []component `json:"components"`
}

type componentSample struct {
	HeaderText   []string        `json:"header_text"`
	BodyText     json.RawMessage `json:"body_text"` // [["a","b"]]; a flat list is taken too
	HeaderHandle []string        `json:"header_handle"`
	HeaderNamed  []namedSample   `json:"header_text_named_params"`
	BodyNamed    []namedSample   `json:"body_text_named_params"`
}

type namedSample struct {
	ParamName string `json:"param_name"`
	Example   string `json:"example"`
}

type templateButton struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	URL       string          `json:"url"`
	Phone     string          `json:"phone_number"`
	Example   json.RawMessage `json:"example"` // a list, or one string
	OTPType   string          `json:"otp_type"`
	FlowID    flexString      `json:"flow_id"`
	FlowName  string          `json:"flow_name"`
	FlowJSON  string          `json:"flow_json"`
	TTL       int             `json:"ttl_minutes"`
	ZeroTapOK bool            `json:"zero_tap_terms_accepted"`
	Apps      []struct {
		PackageName   string `json:"package_name"`
		SignatureHash string `json:"signature_hash"`
	} `json:"supported_apps"`
}

// shape is what a send needs to know about a template.
type shape struct {
	named      bool
	auth       bool
	header     string // format, "" without a header
	headerText string
	headerVars []string
	bodyText   string
	bodyVars   []string
	footer     bool
	offer      bool
	buttons    []buttonShape
	cards      []*shape
}

type buttonShape struct {
	subType string // as sends write it
	label   string // as error details write it
	needs   bool   // a parameter is required
}

// newShape reads validated components.
func newShape(category, format string, comps []component) *shape {
	sh := &shape{named: format == formatNamed, auth: category == categoryAuthentication}
	for i := range comps {
		c := &comps[i]
		switch strings.ToUpper(c.Type) {
		case "HEADER":
			sh.header, sh.headerText = strings.ToUpper(c.Format), c.Text
			sh.headerVars = variables(c.Text)
		case "BODY":
			sh.bodyText, sh.bodyVars = c.Text, variables(c.Text)
			if sh.auth && c.Text == "" {
				sh.bodyText, sh.bodyVars = "*{{1}}* is your verification code.", []string{"1"}
			}
		case "FOOTER":
			sh.footer = true
		case "LIMITED_TIME_OFFER":
			sh.offer = c.Offer != nil && c.Offer.Expiration
		case "BUTTONS":
			for j := range c.Buttons {
				sh.buttons = append(sh.buttons, c.Buttons[j].shape())
			}
		case "CAROUSEL":
			for j := range c.Cards {
				sh.cards = append(sh.cards, newShape(category, format, c.Cards[j].Components))
			}
		}
	}
	return sh
}

func (b *templateButton) shape() buttonShape {
	switch strings.ToUpper(b.Type) {
	case "URL":
		return buttonShape{subType: "url", label: "Url", needs: len(variables(b.URL)) > 0}
	case "OTP":
		// Copy-code and one-tap alike are sent as a url button with the code.
		return buttonShape{subType: "url", label: "Url", needs: true}
	case "COPY_CODE":
		return buttonShape{subType: "copy_code", label: "CopyCode", needs: true}
	case "QUICK_REPLY":
		return buttonShape{subType: "quick_reply", label: "QuickReply"}
	case "FLOW":
		return buttonShape{subType: "flow", label: "Flow"}
	case "MPM":
		return buttonShape{subType: "mpm", label: "Mpm", needs: true}
	default:
		return buttonShape{subType: strings.ToLower(b.Type), label: b.Type}
	}
}

// variables lists what stands in {{…}}, in order, each once.
func variables(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`).FindAllStringSubmatch(text, -1) {
		seen := false
		for _, v := range out {
			seen = seen || v == m[1]
		}
		if !seen {
			out = append(out, m[1])
		}
	}
	return out
}

// standardTemplates is what an account gets that asks for none: Meta's
// hello_world and one of each kind that a demonstration needs.
func standardTemplates() []templateInput {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	return []templateInput{
		{
			Name: "hello_world", Language: "en_US", Category: categoryUtility,
			Components: raw(`[{"type":"HEADER","format":"TEXT","text":"Hello World"},` +
				`{"type":"BODY","text":"Welcome and congratulations! This message demonstrates your ability to send a message notification."},` +
				`{"type":"FOOTER","text":"WhatsApp Business Platform sample message"}]`),
		},
		{
			Name: "order_update", Language: "en_US", Category: categoryUtility,
			Components: raw(`[{"type":"BODY","text":"Hi {{1}}, your order {{2}} is on its way.",` +
				`"example":{"body_text":[["Ravi","A-1001"]]}}]`),
		},
		{
			Name: "seasonal_promotion", Language: "en_US", Category: categoryMarketing,
			Components: raw(`[{"type":"BODY","text":"Hi {{1}}, our sale is on: take a look today.","example":{"body_text":[["Ravi"]]}},` +
				`{"type":"FOOTER","text":"Reply STOP to opt out"},` +
				`{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Stop promotions"}]}]`),
		},
		{
			Name: "loyalty_offer", Language: "en", Category: categoryMarketing, ParameterFormat: formatNamed,
			Components: raw(`[{"type":"BODY","text":"Dear {{first_name}}, {{points}} points are waiting for you in store.",` +
				`"example":{"body_text_named_params":[{"param_name":"first_name","example":"Ravi"},{"param_name":"points","example":"120"}]}}]`),
		},
	}
}

func (s *Sim) newTemplate(w *waba, in *templateInput, comps []component) *template {
	format := in.ParameterFormat
	if format == "" {
		format = formatPositional
	}
	format = strings.ToUpper(format)
	t := &template{
		id: s.newID(), key: templateKey{in.Name, in.Language}, waba: w,
		category: in.Category, subCategory: in.SubCategory, format: format,
		status: statusPending, quality: "UNKNOWN", ttl: in.TTL, components: in.Components,
		shape: newShape(in.Category, format, comps),
	}
	w.mu.Lock()
	w.templates = append(w.templates, t)
	w.byName[t.key] = t
	w.mu.Unlock()
	s.reg.mu.Lock()
	s.reg.templates[t.id] = t
	s.reg.mu.Unlock()
	return t
}

// fields is the template as REST shows it. The caller holds the account's mu.
func (t *template) fields() map[string]any {
	out := map[string]any{
		"id": t.id, "name": t.key.name, "language": t.key.language, "status": t.status, "category": t.category,
		"parameter_format": t.format, "components": t.components, "quality_score": map[string]any{"score": t.quality},
		"rejected_reason": "NONE", "previous_category": nil, "correct_category": nil, "library_template_name": nil,
		"sub_category": nil, "message_send_ttl_seconds": nil, "cta_url_link_tracking_opted_out": nil,
	}
	if t.rejectedReason != "" {
		out["rejected_reason"] = t.rejectedReason
	}
	if t.previousCategory != "" {
		out["previous_category"] = t.previousCategory
	}
	if t.subCategory != "" {
		out["sub_category"] = t.subCategory
	}
	if t.ttl != 0 {
		out["message_send_ttl_seconds"] = t.ttl
	}
	return out
}

// webhookID is the template's id as webhooks write it: a number.
func (t *template) webhookID() int64 {
	n, _ := strconv.ParseInt(t.id, 10, 64)
	return n
}

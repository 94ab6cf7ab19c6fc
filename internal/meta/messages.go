package meta

import (
	"encoding/json"
	"net/http"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// SendRequest is one message: a template, or whatever Content says.
type SendRequest struct {
	To         string // E.164 with its plus sign: without it Meta puts the business's own country before it
	Template   string
	Language   string
	Components []template.SendComponent

	// Content is sent in place of a template: the message as the API takes it, with its
	// type, but without recipient and opaque data. An object of JSON.
	Content json.RawMessage

	// Opaque comes back in the status webhooks of the message: the one key by which an
	// unknown outcome can be settled. At most 512 characters.
	Opaque string
}

// SendResult is Meta's acceptance of a message: accepted, not yet sent.
type SendResult struct {
	Wamid  string
	WaID   string // the recipient as WhatsApp knows it: may differ from the number sent to (BR, MX)
	Status string // accepted, held_for_quality_assessment, paused; "" stands for accepted
}

type sendBody struct {
	Product       string       `json:"messaging_product"`
	RecipientType string       `json:"recipient_type"`
	To            string       `json:"to"`
	Type          string       `json:"type"`
	Opaque        string       `json:"biz_opaque_callback_data,omitempty"`
	Template      sendTemplate `json:"template"`
}

// withContent is a body that is not a template.
func withContent(m SendRequest) (map[string]any, error) {
	var body map[string]any
	if err := json.Unmarshal(m.Content, &body); err != nil || body == nil {
		return nil, errs.New(errs.Invalid, "meta.bad_content", "the message is not an object of JSON")
	}
	body["messaging_product"], body["recipient_type"], body["to"] = "whatsapp", "individual", m.To
	if m.Opaque != "" {
		body["biz_opaque_callback_data"] = m.Opaque
	}
	return body, nil
}

type sendTemplate struct {
	Name       string                   `json:"name"`
	Language   sendLanguage             `json:"language"`
	Components []template.SendComponent `json:"components,omitempty"`
}

type sendLanguage struct {
	Code string `json:"code"`
}

// Body is a message as it goes over the wire.
type Body []byte

// Encode is done before a message is due, apart from Send: then only the POST is left.
//
// Errors: meta.bad_content.
func (m SendRequest) Encode() (Body, error) {
	var body any = sendBody{
		Product: "whatsapp", RecipientType: "individual", To: m.To, Type: "template", Opaque: m.Opaque,
		Template: sendTemplate{Name: m.Template, Language: sendLanguage{Code: m.Language}, Components: m.Components},
	}
	if m.Content != nil {
		var err error
		if body, err = withContent(m); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, errs.New(errs.Invalid, "meta.bad_content", "the message cannot be written as JSON")
	}
	return text, nil
}

// Send sends one message from a number. It is not idempotent: Meta has no key
// for that. A POST that has begun is not torn off, since its answer is worth more: no
// context ends it, the client's timeout does, or an eighth later.
//
// Errors: *Error for a refusal; ErrNotSent, after which it may be repeated;
// ErrUnknownOutcome, after which it must not.
func (c *Client) Send(token, phoneNumberID string, m Body) (SendResult, error) {
	path, err := segment(phoneNumberID)
	if err != nil {
		return SendResult{}, err
	}
	var out struct {
		Contacts []struct {
			WaID string `json:"wa_id"`
		} `json:"contacts"`
		Messages []struct {
			ID     string `json:"id"`
			Status string `json:"message_status"`
		} `json:"messages"`
	}
	err = c.exchange(c.sends.after(c.timeout), call{method: http.MethodPost, token: token, path: path + "/messages", body: m}, &out)
	if err != nil {
		return SendResult{}, err
	}
	if len(out.Messages) == 0 || out.Messages[0].ID == "" {
		return SendResult{}, ErrUnknownOutcome.Detail("Meta accepted a message without naming it")
	}
	r := SendResult{Wamid: Plain(out.Messages[0].ID), Status: out.Messages[0].Status}
	if len(out.Contacts) > 0 {
		r.WaID = out.Contacts[0].WaID
	}
	return r, nil
}

// flexInt reads a number that may come as text.
type flexInt int

// UnmarshalJSON implements json.Unmarshaler. What is no number reads as 0.
func (n *flexInt) UnmarshalJSON(text []byte) error {
	var num json.Number
	if err := json.Unmarshal(text, &num); err != nil {
		*n = 0
		return nil //nolint:nilerr // Meta's slip must not hide the rest of its answer
	}
	v, err := num.Int64()
	if err != nil {
		v = 0
	}
	*n = flexInt(v)
	return nil
}

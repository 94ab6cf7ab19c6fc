package meta

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Notification is the body of a webhook: any number of entries (accounts), changes,
// messages and statuses. Fields we do not know are ignored here; whoever takes the
// webhook in keeps the raw body.
type Notification struct {
	Object string  `json:"object"`
	Entry  []Entry `json:"entry"`
}

// Entry is what happened at one account.
type Entry struct {
	ID      Text     `json:"id"` // WABA id; of PARTNER_* account updates the partner's portfolio
	Time    Unix     `json:"time"`
	Changes []Change `json:"changes"`
}

// Change is one event. Field decides what Value holds; Messages reads the common one.
type Change struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

// Value is the value of the fields "messages", "smb_message_echoes" and
// "user_preferences", which name a phone number.
type Value struct {
	Metadata    Metadata     `json:"metadata"`
	Contacts    []Contact    `json:"contacts"`
	Messages    []Inbound    `json:"messages"`
	Statuses    []Status     `json:"statuses"`
	Errors      []StatusErr  `json:"errors"`
	Preferences []Preference `json:"user_preferences"`
}

// Metadata says which number a change belongs to: the only thing routing trusts.
type Metadata struct {
	DisplayPhoneNumber Text `json:"display_phone_number"`
	PhoneNumberID      Text `json:"phone_number_id"`
}

// Contact is who wrote or was written to. The phone (WaID) may be missing.
type Contact struct {
	WaID    Text `json:"wa_id"`
	UserID  Text `json:"user_id"`
	Profile struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"profile"`
}

// Status is one step in the life of a message of ours.
type Status struct {
	ID              Text        `json:"id"`     // wamid
	Status          string      `json:"status"` // sent, delivered, read, failed, played, …
	Timestamp       Unix        `json:"timestamp"`
	RecipientID     Text        `json:"recipient_id"`      // digits; may be missing
	RecipientUserID Text        `json:"recipient_user_id"` // BSUID; may be missing
	Opaque          string      `json:"biz_opaque_callback_data"`
	Pricing         *Pricing    `json:"pricing"`
	Errors          []StatusErr `json:"errors"`
}

// Pricing is what Meta bills for a message. It comes with sent and with exactly one of
// delivered and read.
type Pricing struct {
	Billable *bool  `json:"billable"` // going away: Type and Category decide
	Model    string `json:"pricing_model"`
	Type     string `json:"type"`     // regular, free_customer_service, free_entry_point
	Category string `json:"category"` // marketing, marketing_lite, utility, authentication, authentication-international, service, …
}

// StatusErr is an error as webhooks print it.
type StatusErr struct {
	Code    flexInt `json:"code"`
	Title   string  `json:"title"`
	Message string  `json:"message"`
	Data    struct {
		Details string `json:"details"`
	} `json:"error_data"`
}

// Error classifies e.
func (e StatusErr) Error() *Error {
	return WebhookError(int(e.Code), or(e.Title, e.Message), or(e.Data.Details, e.Message))
}

// Inbound is a message from a person. Only what routing and opt-out need is read.
type Inbound struct {
	ID         Text   `json:"id"`
	From       Text   `json:"from"`         // digits; may be missing
	FromUserID Text   `json:"from_user_id"` // BSUID
	Timestamp  Unix   `json:"timestamp"`
	Type       string `json:"type"`
	Text       struct {
		Body string `json:"body"`
	} `json:"text"`
	Button struct {
		Payload string `json:"payload"`
		Text    string `json:"text"`
	} `json:"button"`
	Context struct {
		ID Text `json:"id"` // wamid of the message answered
	} `json:"context"`
}

// Preference is a person's word about marketing.
type Preference struct {
	WaID      Text   `json:"wa_id"`
	UserID    Text   `json:"user_id"`
	Category  string `json:"category"` // marketing_messages
	Value     string `json:"value"`    // stop, resume
	Timestamp Unix   `json:"timestamp"`
}

// TemplateStatus is the value of message_template_status_update.
type TemplateStatus struct {
	Event    string `json:"event"`
	ID       Text   `json:"message_template_id"`
	Name     string `json:"message_template_name"`
	Language string `json:"message_template_language"` // prints en-US where REST prints en_US
	Category string `json:"message_template_category"`
	Reason   string `json:"reason"`
}

// ParseNotification reads a webhook's body.
func ParseNotification(body []byte) (Notification, error) {
	var n Notification
	err := json.Unmarshal(body, &n)
	return n, err
}

// News says what a change tells of an account, beside its messages.
type News int

// The kinds of news.
const (
	NoNews       News = iota // nothing that anything waits for
	TemplateNews             // a template's status, category or text changed
	AccountNews              // the account's or a number's standing changed, maybe for the better
)

// News tells what c says of its account. What takes a right away is no news: the next
// refusal says it better.
// Source: Meta, webhook reference pages of these fields, read 2026-09.
func (c Change) News() News {
	switch c.Field {
	case "message_template_status_update", "message_template_components_update", "template_category_update":
		return TemplateNews
	case "account_review_update", "business_capability_update", "payment_configuration_update",
		"phone_number_name_update", "phone_number_quality_update":
		return AccountNews
	case "account_update":
		var v struct {
			Event string `json:"event"`
			Ban   struct {
				State string `json:"waba_ban_state"`
			} `json:"ban_info"`
		}
		if err := json.Unmarshal(c.Value, &v); err != nil {
			return NoNews
		}
		switch v.Event {
		case "DISABLED_UPDATE":
			if v.Ban.State == "REINSTATE" {
				return AccountNews
			}
		case "ACCOUNT_RECONNECTED", "ACCOUNT_RESTRICTION": // a restriction is told again when it ends
			return AccountNews
		}
	}
	return NoNews
}

// Messages reads the value of a change that names a phone number.
func (c Change) Messages() (Value, error) {
	var v Value
	err := json.Unmarshal(c.Value, &v)
	return v, err
}

// Written returns what persons wrote in a change of the field "messages", each message as
// Meta prints it: readable as an Inbound, and whole for whoever keeps it.
func (c Change) Written() ([]json.RawMessage, error) {
	var v struct {
		Messages []json.RawMessage `json:"messages"`
	}
	err := json.Unmarshal(c.Value, &v)
	return v.Messages, err
}

// Text is an id that comes as text in one field and as a number in another.
type Text string

// UnmarshalJSON implements json.Unmarshaler. null, objects and lists read as "".
func (t *Text) UnmarshalJSON(text []byte) error {
	switch {
	case len(text) == 0 || bytes.ContainsAny(text[:1], "n{["):
		*t = ""
		return nil
	case text[0] == '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		*t = Text(Plain(s))
		return nil
	}
	*t = Text(text)
	return nil
}

// Plain is s without the character U+0000, which JSON can carry and Postgres cannot keep:
// one such text would cost all that is written in its transaction.
func Plain(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// Unix is a time in Unix seconds, as text or as a number.
type Unix struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler. What is no time reads as the zero time.
func (u *Unix) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	if err != nil || n <= 0 {
		u.Time = time.Time{}
		return nil //nolint:nilerr // a status without its time is still a status
	}
	u.Time = time.Unix(n, 0).UTC()
	return nil
}

package metasim

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// sendRequest is the body of POST /{phone-number-id}/messages.
type sendRequest struct {
	MessagingProduct string          `json:"messaging_product"`
	RecipientType    string          `json:"recipient_type"`
	To               flexString      `json:"to"`
	Recipient        string          `json:"recipient"`
	Type             string          `json:"type"`
	Opaque           string          `json:"biz_opaque_callback_data"`
	Status           string          `json:"status"` // "read": a read receipt, not a message
	MessageID        string          `json:"message_id"`
	Context          *messageContext `json:"context"`
	IdentityHash     string          `json:"recipient_identity_key_hash"`
	ProductPolicy    string          `json:"product_policy"`

	Text        *textBody       `json:"text"`
	Image       *mediaRef       `json:"image"`
	Video       *mediaRef       `json:"video"`
	Audio       *mediaRef       `json:"audio"`
	Sticker     *mediaRef       `json:"sticker"`
	Document    *mediaRef       `json:"document"`
	Location    *locationBody   `json:"location"`
	Contacts    []contactCard   `json:"contacts"`
	Reaction    *reactionBody   `json:"reaction"`
	Interactive *interactive    `json:"interactive"`
	Template    *templateToSend `json:"template"`
}

type messageContext struct {
	MessageID string `json:"message_id"`
}

type textBody struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url"`
}

type mediaRef struct {
	ID       flexString `json:"id"`
	Link     string     `json:"link"`
	Caption  string     `json:"caption"`
	Filename string     `json:"filename"`
}

type locationBody struct {
	Latitude  flexString `json:"latitude"`
	Longitude flexString `json:"longitude"`
}

type contactCard struct {
	Name struct {
		FormattedName string `json:"formatted_name"`
	} `json:"name"`
}

type reactionBody struct {
	MessageID string `json:"message_id"`
	Emoji     string `json:"emoji"`
}

type interactive struct {
	Type string `json:"type"`
	Body struct {
		Text string `json:"text"`
	} `json:"body"`
	Footer struct {
		Text string `json:"text"`
	} `json:"footer"`
	Action interactiveAction `json:"action"`
}

type interactiveAction struct {
	Name    string `json:"name"`
	Button  string `json:"button"`
	Buttons []struct {
		Type  string `json:"type"`
		Reply struct {
			ID    string `json:"id"`
			Title string `json:"title"`
		} `json:"reply"`
	} `json:"buttons"`
	Sections []struct {
		Title string `json:"title"`
		Rows  []struct {
			ID          string `json:"id"`
			Title       string `json:"title"`
			Description string `json:"description"`
		} `json:"rows"`
	} `json:"sections"`
	Parameters json.RawMessage `json:"parameters"`
}

type templateToSend struct {
	Name     string `json:"name"`
	Language struct {
		Code   string `json:"code"`
		Policy string `json:"policy"`
	} `json:"language"`
	Components []sentComponent `json:"components"`
}

// flexString takes a JSON string or number: Graph coerces one to the other.
type flexString string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexString) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		if string(b) == "null" {
			return nil
		}
		var n json.Number
		err := json.Unmarshal(b, &n)
		*f = flexString(n)
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	*f = flexString(s)
	return err
}

// Lengths in characters. Source: Meta, messages reference and OpenAPI file
// v23.0, read 2026-09.
const (
	maxTextBody        = 4096
	maxCaption         = 1024
	maxInteractiveBody = 1024
	maxFooter          = 60
	maxOpaque          = 512
	maxReplyTitle      = 20
	maxReplyID         = 256
	maxRowTitle        = 24
	maxRowID           = 200
	maxRowDescription  = 72
	maxRows            = 10
)

// checkBody is Meta's validation of everything but the template's content.
func (m *sendRequest) checkBody() *graphError {
	switch {
	case m.MessagingProduct == "":
		return missingParameter("messaging_product")
	case m.MessagingProduct != "whatsapp":
		return &graphError{code: 100, details: "-", message: "(#100) Param messaging_product must be one of {WHATSAPP} - got \"" + m.MessagingProduct + "\"."}
	case m.RecipientType != "" && m.RecipientType != "individual" && m.RecipientType != "group":
		return &graphError{code: 100, details: "-", message: "(#100) Param recipient_type must be one of {INDIVIDUAL, GROUP} - got \"" + m.RecipientType + "\"."}
	case m.To == "" && m.Recipient == "":
		return missingParameter("to")
	case utf8.RuneCountInString(m.Opaque) > maxOpaque:
		return refusef(131009, "biz_opaque_callback_data must be at most %d characters long", maxOpaque)
	case m.Context != nil && m.Context.MessageID != "" && !strings.HasPrefix(m.Context.MessageID, "wamid."):
		return refusef(131009, "context.message_id is not a message id")
	}
	switch m.Type {
	case "template":
		return m.checkTemplateHead()
	case "", "text":
		return m.checkText()
	case "image", "video", "audio", "sticker", "document":
		return m.checkMedia()
	case "location":
		if m.Location == nil || m.Location.Latitude == "" || m.Location.Longitude == "" {
			return refusef(131008, "location requires latitude and longitude")
		}
	case "contacts":
		if len(m.Contacts) == 0 || m.Contacts[0].Name.FormattedName == "" {
			return refusef(131008, "contacts['0']['name']['formatted_name'] is required")
		}
	case "reaction":
		if m.Reaction == nil || m.Reaction.MessageID == "" {
			return refusef(131008, "reaction['message_id'] is required")
		}
	case "interactive":
		return m.Interactive.check()
	default:
		return refusef(131051, "Message type %q is not supported", m.Type)
	}
	return nil
}

func (m *sendRequest) checkTemplateHead() *graphError {
	switch t := m.Template; {
	case t == nil:
		return missingParameter("template")
	case t.Name == "":
		return missingParameter("template['name']")
	case t.Language.Code == "":
		return missingParameter("template['language']['code']")
	case t.Language.Policy != "" && t.Language.Policy != "deterministic":
		return refusef(131009, "template['language']['policy'] must be deterministic")
	}
	return nil
}

func (m *sendRequest) checkText() *graphError {
	switch {
	case m.Text == nil:
		return missingParameter("text")
	case m.Text.Body == "":
		return missingParameter("text['body']")
	case utf8.RuneCountInString(m.Text.Body) > maxTextBody:
		return &graphError{code: 100, details: "-", message: "(#100) Param text['body'] must be at most 4096 characters long."}
	}
	return nil
}

func (m *sendRequest) checkMedia() *graphError {
	ref := map[string]*mediaRef{
		"image": m.Image, "video": m.Video, "audio": m.Audio, "sticker": m.Sticker, "document": m.Document,
	}[m.Type]
	switch {
	case ref == nil:
		return missingParameter(m.Type)
	case ref.ID == "" && ref.Link == "":
		return refusef(131008, "%s requires an id or a link", m.Type)
	case ref.ID != "" && ref.Link != "":
		return refusef(131009, "%s takes an id or a link, not both", m.Type)
	case ref.Link != "" && !strings.HasPrefix(ref.Link, "https://") && !strings.HasPrefix(ref.Link, "http://"):
		return refusef(131009, "%s['link'] is not a valid URI", m.Type)
	case utf8.RuneCountInString(ref.Caption) > maxCaption:
		return refusef(131009, "%s['caption'] must be at most %d characters long", m.Type, maxCaption)
	}
	return nil
}

func (i *interactive) check() *graphError {
	if i == nil {
		return missingParameter("interactive")
	}
	switch {
	case i.Body.Text == "" && !slices.Contains([]string{"product", "carousel"}, i.Type):
		return refusef(131008, "interactive['body'] is required")
	case utf8.RuneCountInString(i.Body.Text) > maxInteractiveBody:
		return refusef(131009, "Body text length invalid. Min length: 1, Max length: %d", maxInteractiveBody)
	case utf8.RuneCountInString(i.Footer.Text) > maxFooter:
		return refusef(131009, "Footer text length invalid. Max length: %d", maxFooter)
	}
	switch i.Type {
	case "button":
		return i.Action.checkButtons()
	case "list":
		return i.Action.checkList()
	case "cta_url", "flow", "location_request_message", "contact_request", "product", "product_list",
		"catalog_message", "address_message", "call_permission_request", "voice_call", "carousel":
		return nil
	default:
		return refusef(131009, "Interactive type %q is not valid", i.Type)
	}
}

func (a *interactiveAction) checkButtons() *graphError {
	if len(a.Buttons) < 1 || len(a.Buttons) > 3 {
		return refusef(131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
	}
	seen := map[string]bool{}
	for _, b := range a.Buttons {
		switch title, id := utf8.RuneCountInString(b.Reply.Title), utf8.RuneCountInString(b.Reply.ID); {
		case title < 1 || title > maxReplyTitle:
			return refusef(131009, "Button title length invalid. Min length: 1, Max length: %d", maxReplyTitle)
		case id < 1 || id > maxReplyID:
			return refusef(131009, "Button id length invalid. Min length: 1, Max length: %d", maxReplyID)
		case seen[b.Reply.ID] || seen[b.Reply.Title]:
			return refusef(131009, "Duplicate button ids or titles")
		}
		seen[b.Reply.ID], seen[b.Reply.Title] = true, true
	}
	return nil
}

func (a *interactiveAction) checkList() *graphError {
	if n := utf8.RuneCountInString(a.Button); n < 1 || n > maxReplyTitle {
		return refusef(131009, "List button length invalid. Min length: 1, Max length: %d", maxReplyTitle)
	}
	rows := 0
	for _, s := range a.Sections {
		if len(a.Sections) > 1 && s.Title == "" {
			return refusef(131009, "Section title is required with more than one section")
		}
		for _, r := range s.Rows {
			rows++
			switch title := utf8.RuneCountInString(r.Title); {
			case title < 1 || title > maxRowTitle:
				return refusef(131009, "Row title is too long. Max length: %d", maxRowTitle)
			case r.ID == "" || utf8.RuneCountInString(r.ID) > maxRowID:
				return refusef(131009, "Row id length invalid. Min length: 1, Max length: %d", maxRowID)
			case utf8.RuneCountInString(r.Description) > maxRowDescription:
				return refusef(131009, "Row description is too long. Max length: %d", maxRowDescription)
			}
		}
	}
	if rows < 1 || rows > maxRows {
		return refusef(131009, "Total row count exceed max allowed count: %d", maxRows)
	}
	return nil
}

// Package single is the rules of one-off messages: what may be written to one person, in
// the form Meta takes it, and when it may be. Its law: what Compose returns holds the
// whole message but its recipient, and is refused here when Meta would refuse it.
package single

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Type is what a message consists of.
type Type string

// The types that can be sent one by one.
// Source: Meta, Cloud API messages reference, read 2026-09.
const (
	Template    Type = "template"
	Text        Type = "text"
	Image       Type = "image"
	Video       Type = "video"
	Audio       Type = "audio"
	Document    Type = "document"
	Sticker     Type = "sticker"
	Location    Type = "location"
	Contacts    Type = "contacts"
	Reaction    Type = "reaction"
	Interactive Type = "interactive"
)

// Types returns every type.
func Types() []Type {
	return []Type{Template, Text, Image, Video, Audio, Document, Sticker, Location, Contacts, Reaction, Interactive}
}

// FreeForm tells whether a message of the type needs an open window: only templates may
// begin a conversation.
func (t Type) FreeForm() bool { return t != Template }

// The errors of one-off messages.
var (
	ErrWindowClosed = errs.New(errs.Conflict, "message.window_closed",
		"this person has not written to the number in the last 24 hours: send a template, and write freely once they answer")
	ErrSuppressed = errs.New(errs.Conflict, "message.recipient_suppressed", "this person does not want such messages from the vendor any more")
	ErrHalted     = errs.New(errs.Conflict, "message.sender_halted", "nothing is sent from this number at present")
)

// TextBody is a message of plain text.
type TextBody struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url,omitempty"`
}

// Media is a file: one that was uploaded to Meta, by its ID, or one that Meta fetches from
// Link.
type Media struct {
	ID       string `json:"id,omitempty"`
	Link     string `json:"link,omitempty"`
	Caption  string `json:"caption,omitempty"`  // of images, videos and documents
	Filename string `json:"filename,omitempty"` // of documents
	Voice    bool   `json:"voice,omitempty"`    // of audio: shown as a voice message
}

// Place is a point on the map, in degrees.
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// Emoji answers a message with one emoji; an empty one takes it back.
type Emoji struct {
	MessageID string `json:"message_id"`
	Emoji     string `json:"emoji"`
}

// Content is a message without its recipient. Type says which of the others is set.
type Content struct {
	Type        Type
	Template    *Filled
	Text        *TextBody
	Media       *Media // of the five types of files
	Location    *Place
	Contacts    []map[string]any // cards, as Meta's reference prints them
	Reaction    *Emoji
	Interactive map[string]any // as Meta's reference prints it

	ReplyTo string // wamid of the message that is answered; "" answers none
}

// Filled is an approved template with its variables filled in.
type Filled struct {
	Name       string                   `json:"name"`
	Language   Language                 `json:"language"`
	Components []template.SendComponent `json:"components,omitempty"`
}

// Language is how Meta's send API spells a language.
type Language struct {
	Code string `json:"code"`
}

// NewFilled fills a template.
//
// Errors: template.not_approved, template.malformed, template.unsupported,
// template.value_missing, template.value_unknown, template.value_invalid,
// template.text_too_long.
func NewFilled(t template.Template, values map[string]string) (*Filled, error) {
	if t.Status != template.Approved {
		return nil, template.ErrNotApproved
	}
	spec, err := template.Parse(t)
	if err != nil {
		return nil, err
	}
	components, err := spec.Fill(values)
	return &Filled{Name: t.Name, Language: Language{t.Language}, Components: components}, err
}

// Compose checks c and returns it as Meta's send API takes it, without the recipient.
//
// Errors: message.bad_content, which names the place.
func Compose(c Content) (json.RawMessage, error) {
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	out := map[string]any{"type": c.Type, string(c.Type): body}
	if c.ReplyTo != "" {
		if !strings.HasPrefix(c.ReplyTo, "wamid.") {
			return nil, bad("/context/message_id", "not the id of a message at Meta")
		}
		out["context"] = map[string]any{"message_id": c.ReplyTo}
	}
	return json.Marshal(out)
}

func bad(pointer, msg string) error { return errs.InvalidField("message.bad_content", pointer, msg) }

func (c Content) body() (any, error) {
	switch c.Type {
	case Template:
		if c.Template == nil {
			return nil, c.missing()
		}
		return c.Template, nil
	case Text:
		if c.Text == nil {
			return nil, c.missing()
		}
		return c.Text, c.Text.check()
	case Image, Video, Audio, Document, Sticker:
		if c.Media == nil {
			return nil, c.missing()
		}
		return c.Media, c.Media.check(c.Type)
	case Location:
		if c.Location == nil {
			return nil, c.missing()
		}
		return c.Location, c.Location.check()
	case Contacts:
		return c.Contacts, checkCards(c.Contacts)
	case Reaction:
		if c.Reaction == nil {
			return nil, c.missing()
		}
		return c.Reaction, c.Reaction.check()
	case Interactive:
		if c.Interactive == nil {
			return nil, c.missing()
		}
		return c.Interactive, checkInteractive(c.Interactive)
	}
	return nil, bad("/type", "not a type of message that can be sent")
}

func (c Content) missing() error {
	return bad("/"+string(c.Type), "a message of type "+string(c.Type)+" needs it")
}

// Lengths in characters.
// Source: Meta, Cloud API messages reference and OpenAPI file v23.0, read 2026-09.
const (
	maxText    = 4096
	maxCaption = 1024
)

func (t *TextBody) check() error {
	if strings.TrimSpace(t.Body) == "" {
		return bad("/text/body", "the text is empty")
	}
	return atMost("/text/body", t.Body, maxText)
}

func (m *Media) check(t Type) error {
	at := "/" + string(t)
	switch {
	case (m.ID == "") == (m.Link == ""):
		return bad(at, "give either the id of an uploaded file or a link")
	case m.Link != "" && !strings.HasPrefix(m.Link, "https://") && !strings.HasPrefix(m.Link, "http://"):
		return bad(at+"/link", "not a web address")
	case m.Caption != "" && (t == Audio || t == Sticker):
		return bad(at+"/caption", "files of this type have no caption")
	case m.Filename != "" && t != Document:
		return bad(at+"/filename", "only documents have a file name")
	case m.Voice && t != Audio:
		return bad(at+"/voice", "only audio can be a voice message")
	}
	return atMost(at+"/caption", m.Caption, maxCaption)
}

func (p *Place) check() error {
	if p.Latitude < -90 || p.Latitude > 90 {
		return bad("/location/latitude", "outside -90 to 90 degrees")
	}
	if p.Longitude < -180 || p.Longitude > 180 {
		return bad("/location/longitude", "outside -180 to 180 degrees")
	}
	return nil
}

func (e *Emoji) check() error {
	if !strings.HasPrefix(e.MessageID, "wamid.") {
		return bad("/reaction/message_id", "not the id of a message at Meta")
	}
	return nil
}

func checkCards(cards []map[string]any) error {
	if len(cards) == 0 {
		return bad("/contacts", "a message of type contacts needs a card")
	}
	for _, card := range cards {
		name, _ := card["name"].(map[string]any)
		if formatted, _ := name["formatted_name"].(string); formatted == "" {
			return bad("/contacts/0/name/formatted_name", "a card needs a name")
		}
	}
	return nil
}

// atMost refuses a text over most characters.
func atMost(pointer, text string, most int) error {
	if utf8.RuneCountInString(text) > most {
		return bad(pointer, "longer than Meta allows")
	}
	return nil
}

// Window is how long a person may be written to freely after they wrote.
// Source: Meta, customer service windows, read 2026-09.
const Window = 24 * time.Hour

// WindowEnd tells until when a message of type kind, written at at and looked at at now,
// opens the window; zero if it opens none. A time in the future, a clock that goes
// wrong, counts as now.
func WindowEnd(kind string, at, now time.Time) time.Time {
	// "system" tells of a changed number or id, "errors" of nothing a person did.
	if slices.Contains([]string{"", "system", "errors"}, kind) || at.IsZero() {
		return time.Time{}
	}
	if at.After(now) {
		at = now
	}
	return at.Add(Window)
}

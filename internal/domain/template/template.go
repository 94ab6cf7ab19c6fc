// Package template holds the rules of message templates: which variables one has, what
// a value for them may look like, and what Meta is sent for them. Templates are made
// and reviewed at Meta; here they are copies, replaced by every sync.
package template

import (
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a template of ours: a UUID, not Meta's id.
type ID string

// The errors of templates.
var (
	ErrNotFound    = errs.New(errs.NotFound, "template.not_found", "no such template")
	ErrMalformed   = errs.New(errs.Invalid, "template.malformed", "the template's components cannot be read")
	ErrUnsupported = errs.New(errs.Invalid, "template.unsupported", "the template needs something that campaigns cannot fill in yet")
	ErrNotApproved = errs.New(errs.Conflict, "template.not_approved", "Meta has not approved this template, or has paused it")
)

// Category decides price and rules of a message.
type Category string

// The categories that Meta bills.
const (
	Marketing      Category = "MARKETING"
	Utility        Category = "UTILITY"
	Authentication Category = "AUTHENTICATION"
)

// Approved is the one status in which Meta sends a template. The others (PENDING,
// REJECTED, PAUSED, DISABLED, IN_APPEAL, ARCHIVED, …) grow with Meta's mood and are
// kept as they come; Deleted is ours, for a template that a sync did not find any more.
const (
	Approved = "APPROVED"
	Deleted  = "DELETED"
)

// The two ways a template counts its variables.
const (
	Positional = "POSITIONAL" // {{1}}, {{2}}, …
	Named      = "NAMED"      // {{first_name}}
)

// Template is our copy of a template in one language.
type Template struct {
	ID         ID
	WABA       waba.ID
	MetaID     string
	Name       string
	Language   string // as REST prints it: en_US
	Category   Category
	Status     string
	Format     string // Positional or Named
	Components []Component
	SyncedAt   time.Time
}

// Component is one part of a template, as Meta's template API prints it. What is not
// named here is of no use to a sender.
type Component struct {
	Type    string   `json:"type"`             // HEADER, BODY, FOOTER, BUTTONS, CAROUSEL, LIMITED_TIME_OFFER, …
	Format  string   `json:"format,omitempty"` // of a HEADER: TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION, …
	Text    string   `json:"text,omitempty"`
	Buttons []Button `json:"buttons,omitempty"`
}

// Button is one button of a template.
type Button struct {
	Type    string `json:"type"` // QUICK_REPLY, URL, PHONE_NUMBER, COPY_CODE, OTP, …
	Text    string `json:"text,omitempty"`
	URL     string `json:"url,omitempty"`
	OTPType string `json:"otp_type,omitempty"`
}

// Place says which part of a template a variable stands in.
type Place string

// The places of variables.
const (
	Header    Place = "header"
	Body      Place = "body"
	URLButton Place = "button"
)

// Variable is one gap in a template. Its Key is what a campaign maps contact fields to:
// "header.1", "body.2", "body.first_name", "button.0".
type Variable struct {
	Place  Place
	Name   string // "1" or "first_name"; of a button: its index, counted from 0
	button int
}

// Key names the variable within its template.
func (v Variable) Key() string { return string(v.Place) + "." + v.Name }

// Spec is what a sender has to know about a template: read once per campaign, used for
// every message.
type Spec struct {
	Name, Language string
	Category       Category
	named          bool
	header, body   []Variable
	buttons        []Variable
	otp            bool // the code of an authentication template goes into body and button
	headerText     string
	bodyText       string
	footerText     string
	allButtons     []Button
}

// Parse reads a template. It refuses what a campaign cannot fill in (media headers,
// carousels, coupon codes, …) rather than let Meta refuse every message.
//
// Errors: template.malformed, template.unsupported.
func Parse(t Template) (*Spec, error) {
	s := &Spec{Name: t.Name, Language: t.Language, Category: t.Category, named: t.Format == Named}
	for _, c := range t.Components {
		var err error
		switch c.Type {
		case "HEADER":
			err = s.readHeader(c)
		case "BODY":
			s.bodyText = c.Text
			s.body, err = gaps(Body, c.Text, s.named)
			if t.Category == Authentication {
				s.otp = true // Meta writes the text; its only variable is the code
				s.body = []Variable{{Place: Body, Name: "1"}}
			}
		case "BUTTONS":
			err = s.readButtons(c.Buttons)
		case "FOOTER":
			s.footerText = c.Text
		default:
			err = ErrUnsupported.Detail("the template has a %s part, which campaigns cannot fill in yet", known(c.Type))
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// known keeps foreign text out of messages.
func known(word string) string {
	for _, c := range []byte(word) {
		if (c < 'A' || c > 'Z') && c != '_' || len(word) > 40 {
			return "special"
		}
	}
	return word
}

func (s *Spec) readHeader(c Component) error {
	if c.Format != "TEXT" && c.Format != "" {
		return ErrUnsupported.Detail("the template has a %s header, which campaigns cannot fill in yet", known(c.Format))
	}
	s.headerText = c.Text
	var err error
	s.header, err = gaps(Header, c.Text, s.named)
	return err
}

func (s *Spec) readButtons(buttons []Button) error {
	s.allButtons = buttons
	for i, b := range buttons {
		switch b.Type {
		case "URL":
			vars, err := gaps(URLButton, b.URL, false)
			if err != nil {
				return err
			}
			if len(vars) > 1 {
				return ErrMalformed.Detail("a button's URL has more than one variable")
			}
			if len(vars) == 1 {
				s.buttons = append(s.buttons, Variable{Place: URLButton, Name: strconv.Itoa(i), button: i})
			}
		case "OTP":
			s.otp = true
		case "QUICK_REPLY", "PHONE_NUMBER", "VOICE_CALL", "REQUEST_CONTACT_INFO":
			// Nothing to fill in: a quick reply without a payload answers its own text.
		default:
			return ErrUnsupported.Detail("the template has a %s button, which campaigns cannot fill in yet", known(b.Type))
		}
	}
	return nil
}

// Variables returns every gap, header first, each once.
func (s *Spec) Variables() []Variable {
	out := make([]Variable, 0, len(s.header)+len(s.body)+len(s.buttons))
	out = append(out, s.header...)
	out = append(out, s.body...)
	return append(out, s.buttons...)
}

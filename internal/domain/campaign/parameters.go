package campaign

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Source says where a variable's text comes from.
type Source string

// The sources.
const (
	FromField     Source = "FIELD"     // of the contact: name or mobile
	FromAttribute Source = "ATTRIBUTE" // of the contact, by its name
	FromText      Source = "TEXT"      // the same for everybody
)

// The fields of a contact that FromField can name.
const (
	FieldName   = "name"
	FieldMobile = "mobile"
)

// Parameter says what fills one variable of the template. It is stored as JSON: add
// fields with omitempty, never rename one.
type Parameter struct {
	Source   Source `json:"source"`
	Name     string `json:"name,omitempty"`     // of the field or attribute
	Text     string `json:"text,omitempty"`     // of FromText
	Fallback string `json:"fallback,omitempty"` // where the contact has nothing: Meta refuses an empty text
}

// Parameters is a campaign's whole mapping, by the template's variable keys ("body.1").
type Parameters map[string]Parameter

// ParseParameters reads a stored mapping.
//
// Errors: campaign.bad_parameters.
func ParseParameters(stored []byte) (Parameters, error) {
	ps := Parameters{}
	err := json.Unmarshal(stored, &ps)
	return ps, errs.Wrap(errs.Internal, "campaign.bad_parameters", "a stored mapping cannot be read", err)
}

// Cover checks that ps fills every variable, and nothing else, from something that exists.
//
// Errors: campaign.bad_parameters.
func (ps Parameters) Cover(variables []template.Variable) error {
	for _, v := range variables {
		p, ok := ps[v.Key()]
		if !ok {
			return refuseParameter("/parameters/"+v.Key(), "a variable of the template is not filled")
		}
		if err := p.validate("/parameters/" + v.Key()); err != nil {
			return err
		}
	}
	if len(ps) > len(variables) {
		return refuseParameter("/parameters", "something is given for a variable that the template does not have")
	}
	return nil
}

// validate checks one parameter by itself. A text or a fallback must be what Meta takes.
func (p Parameter) validate(pointer string) error {
	switch p.Source {
	case FromText:
		if template.CheckValue("", p.Text) != nil {
			return refuseParameter(pointer+"/text", "a text on one line, not empty, of at most 32,768 characters")
		}
		return nil
	case FromField:
		if p.Name != FieldName && p.Name != FieldMobile {
			return refuseParameter(pointer+"/name", "name or mobile")
		}
		if p.Name == FieldMobile {
			return nil // every contact has one
		}
	case FromAttribute:
		if strings.TrimSpace(p.Name) == "" {
			return refuseParameter(pointer+"/name", "name an attribute")
		}
	default:
		return refuseParameter(pointer+"/source", "FIELD, ATTRIBUTE or TEXT")
	}
	if template.CheckValue("", p.Fallback) != nil {
		return refuseParameter(pointer+"/fallback", "say on one line what to write where the contact has nothing")
	}
	return nil
}

func refuseParameter(pointer, msg string) error {
	return errs.InvalidField("campaign.bad_parameters", pointer, msg)
}

// Attributes lists the attribute names that ps reads, sorted: those are frozen with
// the audience.
func (ps Parameters) Attributes() []string {
	out := []string{}
	for _, p := range ps {
		if p.Source == FromAttribute {
			out = append(out, p.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// UsesName tells whether ps reads the contact's name, UsesMobile whether its number.
func (ps Parameters) UsesName() bool { return ps.reads(FieldName) }

// UsesMobile tells whether ps reads the contact's number.
func (ps Parameters) UsesMobile() bool { return ps.reads(FieldMobile) }

func (ps Parameters) reads(field string) bool {
	for _, p := range ps {
		if p.Source == FromField && p.Name == field {
			return true
		}
	}
	return false
}

// Recipient is what one frozen recipient can fill variables with.
type Recipient struct {
	Name, Mobile string
	Attributes   map[string]string
}

// Values are the texts for one recipient, by variable key: what template.Spec.Fill takes.
func (ps Parameters) Values(r Recipient) map[string]string {
	out := make(map[string]string, len(ps))
	for key, p := range maps.All(ps) {
		out[key] = p.value(r)
	}
	return out
}

func (p Parameter) value(r Recipient) string {
	text := ""
	switch p.Source {
	case FromText:
		return p.Text
	case FromAttribute:
		text = r.Attributes[p.Name]
	case FromField:
		if text = r.Name; p.Name == FieldMobile {
			text = r.Mobile
		}
	}
	if text = template.Clean(text); text == "" {
		return p.Fallback
	}
	return text
}

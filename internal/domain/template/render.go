package template

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Meta's limits for a value and for the text it goes into, in characters.
// Source: Meta, Cloud API template components reference and OpenAPI file, read 2026-09.
const (
	maxValue  = 32768
	maxHeader = 60
	maxBody   = 1024
	maxCode   = 15 // of an authentication code
	maxSpaces = 4  // in a row
)

var gap = regexp.MustCompile(`\{\{\s*([^{}\s]*)\s*\}\}`)

// gaps lists the variables of a text in the order Meta wants them: positional ones
// ascending and without a hole, named ones in order of appearance. Repeats count once.
//
// Errors: template.malformed.
func gaps(place Place, text string, named bool) ([]Variable, error) {
	var names []string
	for _, m := range gap.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	if !named {
		sorted := make([]string, len(names))
		for _, name := range names {
			n, err := strconv.Atoi(name)
			if err != nil || n < 1 || n > len(names) {
				return nil, ErrMalformed.Detail("the variables of the %s are not {{1}}, {{2}} and so on", place)
			}
			sorted[n-1] = name
		}
		names = sorted
	}
	out := make([]Variable, len(names))
	for i, name := range names {
		out[i] = Variable{Place: place, Name: name}
	}
	return out, nil
}

// CheckValue refuses what Meta refuses in a parameter: nothing at all, line breaks,
// tabs, more than four spaces in a row. The message does not repeat the value.
//
// Errors: template.value_invalid.
func CheckValue(key, value string) error {
	var reason string
	switch {
	case strings.TrimSpace(value) == "":
		reason = "is empty"
	case strings.ContainsAny(value, "\n\r\t\v\f\u0085\u2028\u2029"):
		reason = "has a line break or a tab"
	case strings.Contains(value, strings.Repeat(" ", maxSpaces+1)):
		reason = "has more than four spaces in a row"
	case !utf8.ValidString(value):
		reason = "is not UTF-8"
	case utf8.RuneCountInString(value) > maxValue:
		reason = "is too long"
	default:
		return nil
	}
	return errs.InvalidField("template.value_invalid", "/parameters/"+key, "the value of "+key+" "+reason)
}

// Clean makes a contact's text fit for a parameter: every run of white space becomes one
// space, and the ends are trimmed. It may come out empty.
func Clean(value string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(value, "")), " ")
}

// SendComponent is one filled part of a template in the form the send API takes.
type SendComponent struct {
	Type       string          `json:"type"` // header, body, button
	SubType    string          `json:"sub_type,omitempty"`
	Index      string          `json:"index,omitempty"`
	Parameters []SendParameter `json:"parameters"`
}

// SendParameter is one filled variable.
type SendParameter struct {
	Type string `json:"type"` // text
	Name string `json:"parameter_name,omitempty"`
	Text string `json:"text"`
}

// Fill builds what Meta is sent, from values by Variable.Key. Every variable needs a
// value; a value that no variable has is refused too: it is a mapping spelt wrong.
//
// Errors: template.value_missing, template.value_unknown, template.value_invalid,
// template.text_too_long.
func (s *Spec) Fill(values map[string]string) ([]SendComponent, error) {
	vars := s.Variables()
	for _, v := range vars {
		value, ok := values[v.Key()]
		if !ok {
			return nil, errs.InvalidField("template.value_missing", "/parameters/"+v.Key(), "the template needs a value for "+v.Key())
		}
		if err := CheckValue(v.Key(), value); err != nil {
			return nil, err
		}
	}
	if len(values) > len(vars) {
		return nil, unknownValue(vars, values)
	}
	if err := s.checkLengths(values); err != nil {
		return nil, err
	}
	var out []SendComponent
	if len(s.header) > 0 {
		out = append(out, SendComponent{Type: "header", Parameters: s.texts(s.header, values)})
	}
	if len(s.body) > 0 {
		out = append(out, SendComponent{Type: "body", Parameters: s.texts(s.body, values)})
	}
	for _, v := range s.buttons {
		suffix := urlSuffix(values[v.Key()])
		out = append(out, SendComponent{
			Type: "button", SubType: "url", Index: strconv.Itoa(v.button),
			Parameters: []SendParameter{{Type: "text", Text: suffix}},
		})
	}
	if s.otp {
		// Copy-code and one-tap alike: the code once more, as a URL button.
		out = append(out, SendComponent{
			Type: "button", SubType: "url", Index: "0",
			Parameters: []SendParameter{{Type: "text", Text: values[s.body[0].Key()]}},
		})
	}
	return out, nil
}

// urlSuffix is the end of a button's URL: percent-encoded by the sender, but that slashes
// and queries stay.
func urlSuffix(value string) string {
	return strings.NewReplacer("%2F", "/", "%3F", "?", "%3D", "=", "%26", "&").Replace(url.PathEscape(value))
}

func unknownValue(vars []Variable, values map[string]string) error {
	for key := range values {
		if !slices.ContainsFunc(vars, func(v Variable) bool { return v.Key() == key }) {
			return errs.InvalidField("template.value_unknown", "/parameters", "a value is given for a variable the template does not have")
		}
	}
	return nil
}

func (s *Spec) checkLengths(values map[string]string) error {
	if s.otp {
		if utf8.RuneCountInString(values[s.body[0].Key()]) > maxCode {
			return tooLong("body.1", maxCode)
		}
		return nil
	}
	if utf8.RuneCountInString(s.render(Header, s.headerText, values)) > maxHeader {
		return tooLong("header", maxHeader)
	}
	if utf8.RuneCountInString(s.render(Body, s.bodyText, values)) > maxBody {
		return tooLong("body", maxBody)
	}
	return nil
}

func tooLong(part string, most int) error {
	return errs.InvalidField("template.text_too_long", "/parameters", fmt.Sprintf("the %s with its values is over %d characters", part, most))
}

func (s *Spec) texts(vars []Variable, values map[string]string) []SendParameter {
	out := make([]SendParameter, len(vars))
	for i, v := range vars {
		out[i] = SendParameter{Type: "text", Text: values[v.Key()]}
		if s.named {
			out[i].Name = v.Name
		}
	}
	return out
}

// Rendered is a filled template as its recipient sees it. Parts that it does not have are empty.
type Rendered struct {
	Header, Body, Footer string
	Buttons              []Button
}

// Render is what a recipient gets to see with values, which Fill must have taken.
func (s *Spec) Render(values map[string]string) Rendered {
	out := Rendered{Footer: s.footerText, Buttons: slices.Clone(s.allButtons)}
	out.Header, out.Body = s.Preview(values)
	for _, v := range s.buttons {
		out.Buttons[v.button].URL = gap.ReplaceAllLiteralString(out.Buttons[v.button].URL, urlSuffix(values[v.Key()]))
	}
	return out
}

// Preview renders header and body as a recipient would read them. A variable without a
// value stays as it is written.
func (s *Spec) Preview(values map[string]string) (header, body string) {
	return s.render(Header, s.headerText, values), s.render(Body, s.bodyText, values)
}

func (s *Spec) render(place Place, text string, values map[string]string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return gap.ReplaceAllStringFunc(text, func(m string) string {
		name := strings.TrimSpace(strings.Trim(m, "{}"))
		if value, ok := values[string(place)+"."+name]; ok {
			return value
		}
		return m
	})
}

package metasim

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

type sentComponent struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type"`
	Index      flexString  `json:"index"`
	Parameters []parameter `json:"parameters"`
	Cards      []struct {
		CardIndex  int             `json:"card_index"`
		Components []sentComponent `json:"components"`
	} `json:"cards"`
}

type parameter struct {
	Type          string          `json:"type"`
	ParameterName string          `json:"parameter_name"`
	Text          *flexString     `json:"text"`
	Currency      *fallback       `json:"currency"`
	DateTime      *fallback       `json:"date_time"`
	Image         *mediaRef       `json:"image"`
	Video         *mediaRef       `json:"video"`
	Document      *mediaRef       `json:"document"`
	Location      *locationBody   `json:"location"`
	Product       json.RawMessage `json:"product"`
	Payload       string          `json:"payload"`
	CouponCode    string          `json:"coupon_code"`
	Action        json.RawMessage `json:"action"`
	Offer         json.RawMessage `json:"limited_time_offer"`
}

type fallback struct {
	FallbackValue string `json:"fallback_value"`
}

// Lengths of filled-in text. Source: Meta, messages reference, read 2026-09.
const (
	maxHeaderText   = 60
	maxBodyText     = 1024
	maxLoneBodyText = 32768 // of a template that is a body and nothing else
	maxOTP          = 15
)

// structural is how problems of structure at send time are reported: from
// v23 on with a code of their own.
func structural(version int, format string, args ...any) *graphError {
	if version >= 23 {
		return refusef(132018, format, args...)
	}
	return refusef(132012, format, args...)
}

// checkParameters compares what was sent with what the template needs.
func (sh *shape) checkParameters(comps []sentComponent, version int) *graphError {
	var header, body, offer, carousel *sentComponent
	buttons := map[int]*sentComponent{}
	for i := range comps {
		c := &comps[i]
		switch strings.ToLower(c.Type) {
		case "header":
			header = c
		case "body":
			body = c
		case "button":
			n, err := strconv.Atoi(string(c.Index))
			if err != nil || n < 0 || n >= len(sh.buttons) {
				return structural(version, "buttons: Template does not contain a button at index %s", c.Index)
			}
			buttons[n] = c
		case "limited_time_offer":
			offer = c
		case "carousel":
			carousel = c
		default:
			return &graphError{code: 100, details: "Unexpected component type " + c.Type}
		}
	}
	if e := sh.checkHeader(header, version); e != nil {
		return e
	}
	if e := sh.checkText(textPart{"body", sh.bodyText, sh.bodyVars, sh.bodyLimit()}, body, version); e != nil {
		return e
	}
	if sh.offer && (offer == nil || len(offer.Parameters) == 0) {
		return refusef(131008, "limited_time_offer: the component requires a parameter")
	}
	if e := sh.checkButtons(buttons, version); e != nil {
		return e
	}
	return sh.checkCards(carousel, version)
}

func (sh *shape) bodyLimit() int {
	if sh.header == "" && !sh.footer && len(sh.buttons) == 0 {
		return maxLoneBodyText
	}
	return maxBodyText
}

func (sh *shape) checkHeader(c *sentComponent, version int) *graphError {
	switch sh.header {
	case "", "TEXT":
		return sh.checkText(textPart{"header", sh.headerText, sh.headerVars, maxHeaderText}, c, version)
	}
	if c == nil || len(c.Parameters) != 1 {
		return refusef(132012, "header: Format mismatch, expected %s, received UNKNOWN", sh.header)
	}
	p := &c.Parameters[0]
	if want := strings.ToLower(sh.header); !strings.EqualFold(p.Type, want) && (sh.header != "GIF" || p.Type != "video") {
		return refusef(132012, "header: Format mismatch, expected %s, received %s", sh.header, strings.ToUpper(p.Type))
	}
	var ref *mediaRef
	switch sh.header {
	case "IMAGE":
		ref = p.Image
	case "VIDEO", "GIF":
		ref = p.Video
	case "DOCUMENT":
		ref = p.Document
	case "LOCATION":
		if p.Location == nil || p.Location.Latitude == "" || p.Location.Longitude == "" {
			return refusef(131008, "header: location requires latitude and longitude")
		}
		return nil
	default:
		return nil
	}
	if ref == nil || (ref.ID == "") == (ref.Link == "") {
		return refusef(131008, "header: %s requires an id or a link", strings.ToLower(sh.header))
	}
	return nil
}

// textPart is a text of the template with its variables; limit is in
// characters, with the variables filled in.
type textPart struct {
	where string
	text  string
	vars  []string
	limit int
}

// checkText fills the variables in and watches counts, names and lengths.
func (sh *shape) checkText(part textPart, c *sentComponent, version int) *graphError {
	where, vars := part.where, part.vars
	var params []parameter
	if c != nil {
		params = c.Parameters
	}
	if len(params) != len(vars) {
		return refusef(132000, "%s: number of localizable_params (%d) does not match the expected number of params (%d)", where, len(params), len(vars))
	}
	length := utf8.RuneCountInString(part.text)
	given := make([]string, 0, 8)
	for i := range params {
		value, e := sh.parameterText(where, &params[i], version)
		if e != nil {
			return e
		}
		length += utf8.RuneCountInString(value) - len(vars[i]) - len("{{}}")
		given = append(given, params[i].ParameterName)
	}
	if sh.named {
		for _, name := range vars {
			if !slices.Contains(given, name) {
				return structural(version, "%s: Parameter name %s is missing or empty", where, name)
			}
		}
	}
	if length > part.limit {
		return refusef(132005, "%s: Translated text too long. It has %d characters of %d", where, length, part.limit)
	}
	return nil
}

// parameterText is the text a parameter puts in, if it may.
func (sh *shape) parameterText(where string, p *parameter, version int) (string, *graphError) {
	var value string
	switch p.Type {
	case "text":
		if p.Text == nil || *p.Text == "" {
			return "", refusef(131008, "Parameter of type text is missing text value")
		}
		value = string(*p.Text)
	case "currency":
		if p.Currency == nil || p.Currency.FallbackValue == "" {
			return "", refusef(131008, "Parameter of type currency is missing its fallback_value")
		}
		value = p.Currency.FallbackValue
	case "date_time":
		if p.DateTime == nil || p.DateTime.FallbackValue == "" {
			return "", refusef(131008, "Parameter of type date_time is missing its fallback_value")
		}
		value = p.DateTime.FallbackValue
	case "":
		return "", refusef(131008, "%s: a parameter is missing its type", where)
	default:
		return "", refusef(132012, "%s: Format mismatch, expected TEXT, received %s", where, strings.ToUpper(p.Type))
	}
	if sh.named && p.ParameterName == "" {
		return "", structural(version, "%s: Parameter name is missing or empty", where)
	}
	if strings.ContainsAny(value, "\n\r\t") || strings.Contains(value, "     ") {
		return "", structural(version, "%s: Param text cannot have new-line/tab characters or more than 4 consecutive spaces", where)
	}
	return value, nil
}

func (sh *shape) checkButtons(sent map[int]*sentComponent, version int) *graphError {
	for i := range sh.buttons {
		b, c := &sh.buttons[i], sent[i]
		if c == nil || len(c.Parameters) == 0 {
			if b.needs {
				return refusef(131008, "buttons: Button at index %d of type %s requires a parameter", i, b.label)
			}
			continue
		}
		if !strings.EqualFold(c.SubType, b.subType) {
			return structural(version, "buttons: Button at index %d is of type %s, not %s", i, b.subType, c.SubType)
		}
		if e := b.checkParameter(i, &c.Parameters[0], sh.auth, version); e != nil {
			return e
		}
	}
	return nil
}

func (b *buttonShape) checkParameter(i int, p *parameter, auth bool, version int) *graphError {
	switch b.subType {
	case "url":
		switch {
		case !b.needs:
			return structural(version, "buttons: Button at index %d of type Url does not take a parameter", i)
		case p.Type != "text":
			return refusef(132012, "buttons: Format mismatch, expected TEXT, received %s", strings.ToUpper(p.Type))
		case p.Text == nil || *p.Text == "":
			return refusef(131008, "buttons: Button at index %d of type Url requires a parameter", i)
		case auth && utf8.RuneCountInString(string(*p.Text)) > maxOTP:
			return refusef(131009, "buttons: The one-time password must be at most %d characters long", maxOTP)
		}
	case "copy_code":
		if p.Type != "coupon_code" || p.CouponCode == "" || utf8.RuneCountInString(p.CouponCode) > 20 {
			return refusef(131009, "buttons: Button at index %d requires a coupon_code of at most 20 characters", i)
		}
	case "quick_reply":
		if p.Type != "payload" {
			return refusef(132012, "buttons: Format mismatch, expected PAYLOAD, received %s", strings.ToUpper(p.Type))
		}
	}
	return nil
}

func (sh *shape) checkCards(c *sentComponent, version int) *graphError {
	if len(sh.cards) == 0 {
		if c != nil {
			return structural(version, "carousel: the template has no carousel")
		}
		return nil
	}
	if c == nil || len(c.Cards) != len(sh.cards) {
		n := 0
		if c != nil {
			n = len(c.Cards)
		}
		return refusef(132000, "carousel: number of cards (%d) does not match the expected number of cards (%d)", n, len(sh.cards))
	}
	for i := range c.Cards {
		if c.Cards[i].CardIndex != i {
			return structural(version, "carousel: card_index must be %d", i)
		}
		if e := sh.cards[i].checkParameters(c.Cards[i].Components, version); e != nil {
			return e
		}
	}
	return nil
}

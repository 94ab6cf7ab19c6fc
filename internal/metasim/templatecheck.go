package metasim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sub-codes of code 100 at template creation. Source: Meta, error codes and
// OpenAPI file, read 2026-09.
const (
	subDuplicate  = 2388024
	subLimit      = 2388019
	subLocked     = 2388039
	subLength     = 2388040
	subMissing    = 2388043
	subHeader     = 2388047
	subBody       = 2388072
	subFooter     = 2388073
	subTooMany    = 2388293
	subEdge       = 2388299
	maxName       = 512
	maxButtons    = 10
	maxButtonText = 25
)

// invalidTemplate is the envelope template creation answers with.
func invalidTemplate(subcode int, title, format string, args ...any) *graphError {
	return &graphError{
		code: 100, subcode: subcode, details: "-", message: "Invalid parameter",
		userTitle: title, userMsg: fmt.Sprintf(format, args...),
	}
}

// check validates a template as Meta does before review and returns its
// components. On an edit, what is absent stays as it was.
func (in *templateInput) check() ([]component, *graphError) {
	if !regexp.MustCompile(`^[a-z0-9_]+$`).MatchString(in.Name) || len(in.Name) > maxName {
		return nil, &graphError{code: 100, details: "-", message: "(#100) Param name must consist of lower-case letters, digits and underscores and have at most 512 characters."}
	}
	if !regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2})?$`).MatchString(in.Language) {
		return nil, &graphError{code: 100, details: "-", message: "(#100) Param language must be a supported language code - got \"" + in.Language + "\"."}
	}
	return in.checkContent()
}

func (in *templateInput) checkContent() ([]component, *graphError) {
	if !slices.Contains([]string{categoryMarketing, categoryUtility, categoryAuthentication}, in.Category) {
		return nil, &graphError{code: 100, details: "-", message: "(#100) Param category must be one of {UTILITY, MARKETING, AUTHENTICATION} - got \"" + in.Category + "\"."}
	}
	if f := strings.ToUpper(in.ParameterFormat); f != "" && f != formatNamed && f != formatPositional {
		return nil, &graphError{code: 100, details: "-", message: "(#100) Param parameter_format must be one of {NAMED, POSITIONAL} - got \"" + in.ParameterFormat + "\"."}
	}
	if e := in.checkTTL(); e != nil {
		return nil, e
	}
	var comps []component
	if len(in.Components) == 0 {
		return nil, missingParameter("components")
	}
	if err := json.Unmarshal(in.Components, &comps); err != nil {
		return nil, decodeError(err)
	}
	k := contentCheck{named: strings.EqualFold(in.ParameterFormat, formatNamed), category: in.Category}
	return comps, k.components(comps)
}

// checkTTL knows the ranges by category. Source: Meta, time-to-live, read 2026-09.
func (in *templateInput) checkTTL() *graphError {
	if in.TTL == 0 {
		return nil
	}
	low, high := 30, 900
	switch in.Category {
	case categoryUtility:
		high = 43_200
	case categoryMarketing:
		low, high = 43_200, 2_592_000
	}
	if in.TTL == -1 && in.Category != categoryMarketing || in.TTL >= low && in.TTL <= high {
		return nil
	}
	return invalidTemplate(0, "Invalid time to live", "message_send_ttl_seconds must be between %d and %d for %s.", low, high, in.Category)
}

type contentCheck struct {
	named    bool
	card     bool
	category string
}

func (k contentCheck) components(comps []component) *graphError {
	bodies := 0
	seen := map[string]bool{}
	for i := range comps {
		c := &comps[i]
		kind := strings.ToUpper(c.Type)
		if seen[kind] {
			return invalidTemplate(0, "Duplicate component", "A template has at most one %s component.", kind)
		}
		seen[kind] = true
		var e *graphError
		switch kind {
		case "HEADER":
			e = k.header(c)
		case "BODY":
			bodies++
			e = k.body(c)
		case "FOOTER":
			e = k.footer(c)
		case "BUTTONS":
			e = k.buttons(c.Buttons)
		case "CAROUSEL":
			e = k.carousel(c.Cards)
		case "LIMITED_TIME_OFFER":
			e = k.offer(c)
		case "CALL_PERMISSION_REQUEST":
		default:
			e = &graphError{code: 100, details: "-", message: "(#100) Param components[" + strconv.Itoa(i) + "]['type'] is not valid - got \"" + c.Type + "\"."}
		}
		if e != nil {
			return e
		}
	}
	if bodies != 1 {
		return invalidTemplate(subMissing, "Message template is missing a component", "A template needs exactly one BODY component.")
	}
	return nil
}

func (k contentCheck) header(c *component) *graphError {
	switch format := strings.ToUpper(c.Format); format {
	case "TEXT":
		if n := utf8.RuneCountInString(c.Text); n < 1 || n > maxHeaderText {
			return invalidTemplate(subHeader, "Message header format is incorrect", "The header text must have 1 to %d characters.", maxHeaderText)
		}
		vars := variables(c.Text)
		if len(vars) > 1 || strings.ContainsAny(c.Text, "\n\r") {
			return invalidTemplate(subHeader, "Message header format is incorrect", "The header takes one variable and no new line.")
		}
		if e := k.names(vars); e != nil {
			return e
		}
		return k.headerSample(c, vars)
	case "IMAGE", "VIDEO", "DOCUMENT", "GIF":
		if c.Example == nil || len(c.Example.HeaderHandle) == 0 || c.Example.HeaderHandle[0] == "" {
			return missingSample("HEADER", "header_handle")
		}
	case "LOCATION":
		if k.category == categoryAuthentication {
			return invalidTemplate(subHeader, "Message header format is incorrect", "LOCATION headers are for UTILITY and MARKETING.")
		}
	case "PRODUCT":
	default:
		return invalidTemplate(subHeader, "Message header format is incorrect", "%q is not a header format.", c.Format)
	}
	if k.category == categoryAuthentication {
		return invalidTemplate(subHeader, "Message header format is incorrect", "Authentication templates have no media header.")
	}
	return nil
}

func missingSample(kind, field string) *graphError {
	return invalidTemplate(subMissing, "Message template \"components\" param is missing expected field(s)",
		"component of type %s is missing expected field(s) (example: %s)", kind, field)
}

func (k contentCheck) headerSample(c *component, vars []string) *graphError {
	if len(vars) == 0 {
		return nil
	}
	if c.Example == nil || k.named && !k.hasNamed(c.Example.HeaderNamed, vars) || !k.named && len(c.Example.HeaderText) == 0 {
		return missingSample("HEADER", "header_text")
	}
	return nil
}

func (k contentCheck) hasNamed(samples []namedSample, vars []string) bool {
	for _, v := range vars {
		if !slices.ContainsFunc(samples, func(n namedSample) bool { return n.ParamName == v && n.Example != "" }) {
			return false
		}
	}
	return true
}

// names wants {{1}}, {{2}}, … without gaps, or names of a-z and _.
func (k contentCheck) names(vars []string) *graphError {
	for i, v := range vars {
		if k.named {
			if !regexp.MustCompile(`^[a-z_]+$`).MatchString(v) {
				return invalidTemplate(subBody, "Variable names are incorrect", "{{%s}} is not a name of lower-case letters and underscores.", v)
			}
			continue
		}
		if v != strconv.Itoa(i+1) {
			return invalidTemplate(subBody, "Variables are not in order", "Variables must be {{1}}, {{2}} and so on without gaps; found {{%s}}.", v)
		}
	}
	return nil
}

func (k contentCheck) body(c *component) *graphError {
	if k.category == categoryAuthentication {
		if c.Text != "" {
			return invalidTemplate(subBody, "Message body format is incorrect", "Authentication templates have no text of their own.")
		}
		return nil
	}
	limit := maxBodyText
	if k.card {
		limit = 160
	}
	n := utf8.RuneCountInString(c.Text)
	if n < 1 || n > limit {
		return invalidTemplate(subLength, "Message is too long or empty", "The body must have 1 to %d characters, it has %d.", limit, n)
	}
	if regexp.MustCompile(`\n{3,}`).MatchString(c.Text) {
		return invalidTemplate(subBody, "Message body format is incorrect", "The body has more than two new lines in a row.")
	}
	vars := variables(c.Text)
	if e := k.names(vars); e != nil {
		return e
	}
	text := strings.TrimSpace(c.Text)
	switch {
	case strings.HasPrefix(text, "{{") || strings.HasSuffix(text, "}}"):
		return invalidTemplate(subEdge, "Variables can't be at the start or end of the template", "Variables can't be at the start or end of the template.")
	case regexp.MustCompile(`\}\}\s*\{\{`).MatchString(text):
		return invalidTemplate(subBody, "Message body format is incorrect", "Parameters are placed next to each other without text or punctuation between them.")
	case len(vars) > 0 && len(strings.Fields(text)) < 2*len(vars)+1:
		return invalidTemplate(subTooMany, "This template has too many variables for its length", "Reduce the number of variables or increase the message length.")
	}
	return k.bodySample(c, vars)
}

func (k contentCheck) bodySample(c *component, vars []string) *graphError {
	if len(vars) == 0 {
		return nil
	}
	if k.named {
		if c.Example == nil || !k.hasNamed(c.Example.BodyNamed, vars) {
			return missingSample("BODY", "body_text_named_params")
		}
		return nil
	}
	var nested [][]string
	var flat []string
	if c.Example != nil {
		if json.Unmarshal(c.Example.BodyText, &nested) == nil && len(nested) > 0 {
			flat = nested[0]
		} else {
			_ = json.Unmarshal(c.Example.BodyText, &flat) // stays empty: reported below
		}
	}
	if len(flat) != len(vars) {
		return missingSample("BODY", "body_text")
	}
	return nil
}

func (k contentCheck) footer(c *component) *graphError {
	if k.category == categoryAuthentication {
		if c.Expires != nil && (*c.Expires < 1 || *c.Expires > 90) {
			return invalidTemplate(subFooter, "Message footer format is incorrect", "code_expiration_minutes must be between 1 and 90.")
		}
		return nil
	}
	if n := utf8.RuneCountInString(c.Text); n < 1 || n > maxFooter || len(variables(c.Text)) > 0 || strings.Contains(c.Text, "\n") {
		return invalidTemplate(subFooter, "Message footer format is incorrect", "The footer has 1 to %d characters, no variable and no new line.", maxFooter)
	}
	return nil
}

func (k contentCheck) carousel(cards []card) *graphError {
	if k.category != categoryMarketing || len(cards) < 2 || len(cards) > 10 {
		return invalidTemplate(0, "Carousel is incorrect", "A carousel is for MARKETING and has 2 to 10 cards.")
	}
	inner := k
	inner.card = true
	var first []string
	for i := range cards {
		if e := inner.components(cards[i].Components); e != nil {
			return e
		}
		var kinds []string
		for _, c := range cards[i].Components {
			kinds = append(kinds, strings.ToUpper(c.Type+"/"+c.Format+"/"+strconv.Itoa(len(c.Buttons))))
		}
		slices.Sort(kinds)
		if i == 0 {
			first = kinds
		}
		if !slices.Equal(first, kinds) {
			return invalidTemplate(0, "Carousel is incorrect", "All cards must have the same components.")
		}
	}
	return nil
}

func (k contentCheck) offer(c *component) *graphError {
	if k.category != categoryMarketing || c.Offer == nil || utf8.RuneCountInString(c.Offer.Text) > 16 {
		return invalidTemplate(0, "Limited time offer is incorrect", "A limited time offer is for MARKETING; its text has at most 16 characters.")
	}
	return nil
}

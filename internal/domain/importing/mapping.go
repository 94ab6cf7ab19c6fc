package importing

import (
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Mapping says which column means what, by the column's name among the import's
// headers. Columns that are not named are not imported. It is stored as JSON: fields
// are only ever added.
type Mapping struct {
	Phone      string            `json:"phone"`                // required
	Name       string            `json:"name,omitempty"`       //
	Labels     string            `json:"labels,omitempty"`     // cells may hold several, see contact.SplitLabels
	Attributes map[string]string `json:"attributes,omitempty"` // attribute's name → column
	AddLabels  []string          `json:"add_labels,omitempty"` // given to every row
}

// Validate checks a mapping against the headers it was made for.
//
// Errors: import.phone_column_required, import.invalid_mapping.
func (m Mapping) Validate(headers []string) error {
	if m.Phone == "" {
		return errs.InvalidField("import.phone_column_required", "/phone", "say which column holds the phone number")
	}
	var fields []errs.Field
	wrong := func(pointer, msg string) {
		fields = append(fields, errs.Field{Pointer: pointer, Code: "import.invalid_mapping", Msg: msg})
	}
	column := func(pointer, name string) {
		if name != "" && !slices.Contains(headers, name) {
			wrong(pointer, "the file has no column of this name")
		}
	}
	column("/phone", m.Phone)
	column("/name", m.Name)
	column("/labels", m.Labels)
	if len(m.Attributes) > contact.MaxAttributes {
		wrong("/attributes", fmt.Sprintf("at most %d attributes", contact.MaxAttributes))
	}
	for name, col := range m.Attributes {
		if !attributeName(name) {
			wrong("/attributes", "an attribute's name has letters, digits and underscores, at most 64 bytes")
		}
		column("/attributes", col)
	}
	if len(contact.UniqueLabels(m.AddLabels)) > contact.MaxLabels {
		wrong("/add_labels", fmt.Sprintf("at most %d labels", contact.MaxLabels))
	}
	for _, l := range m.AddLabels {
		if utf8.RuneCountInString(l) > contact.MaxLabel {
			wrong("/add_labels", fmt.Sprintf("a label has at most %d characters", contact.MaxLabel))
		}
	}
	if len(fields) > 0 {
		return &errs.Error{Kind: errs.Invalid, Code: "import.invalid_mapping", Msg: "the mapping does not fit the file", Fields: fields}
	}
	return nil
}

func attributeName(name string) bool {
	if name == "" || len(name) > contact.MaxAttributeName {
		return false
	}
	for _, r := range name {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			return false
		}
	}
	return true
}

// Plan is a mapping compiled for reading rows. Make one with NewPlan. It is read-only
// and safe for concurrent use.
type Plan struct {
	Headers    []string
	Region     string // default country of national numbers; may be empty
	phone      int
	name       int // -1 when not mapped, likewise below
	labels     int
	attributes []attributeColumn
	addLabels  []string
}

type attributeColumn struct {
	name   string
	column int
}

// NewPlan compiles a mapping that Validate accepts.
//
// Errors: those of Validate.
func NewPlan(headers []string, m Mapping, region string) (*Plan, error) {
	if err := m.Validate(headers); err != nil {
		return nil, err
	}
	at := func(name string) int {
		if name == "" {
			return -1
		}
		return slices.Index(headers, name)
	}
	p := &Plan{
		Headers: headers, Region: region, phone: at(m.Phone), name: at(m.Name), labels: at(m.Labels),
		addLabels: contact.UniqueLabels(m.AddLabels),
	}
	for name, col := range m.Attributes {
		p.attributes = append(p.attributes, attributeColumn{name: name, column: at(col)})
	}
	slices.SortFunc(p.attributes, func(a, b attributeColumn) int { return cmpString(a.name, b.name) })
	return p, nil
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Mapped tells which fields the file speaks about at all: under FULL_REPLACE an empty
// cell clears a field, a missing column does not.
func (p *Plan) Mapped() Mapped {
	return Mapped{Name: p.name >= 0, Labels: p.labels >= 0 || len(p.addLabels) > 0, Attributes: len(p.attributes) > 0}
}

// Profile is what a row, or a contact, says about a person beside the number.
type Profile struct {
	Name       string
	Labels     []string
	Attributes map[string]string // no empty values
}

// Check decides whether a row can be imported, and parses its number: the one place
// where a number of the file is parsed. It does everything that can refuse a row, so
// that a row without fault stays without fault.
func (p *Plan) Check(cells []string) (phone.Number, Fault) {
	if f := p.checkCells(cells); f != NoFault {
		return phone.Number{}, f
	}
	n, err := phone.Parse(p.cell(cells, p.phone), p.Region)
	if err != nil {
		return phone.Number{}, faultOf(err)
	}
	return n, NoFault
}

func (p *Plan) checkCells(cells []string) Fault {
	if len(cells) > len(p.Headers) {
		for _, extra := range cells[len(p.Headers):] {
			if contact.CleanText(extra) != "" {
				return FaultExtraCells // the columns may have shifted: nothing in the row can be trusted
			}
		}
	}
	if tooLong(p.cell(cells, p.name), contact.MaxName) {
		return FaultNameTooLong
	}
	if cell := p.cell(cells, p.labels); cell != "" {
		labels := contact.SplitLabels(cell)
		if len(labels) > contact.MaxLabels {
			return FaultTooManyLabels
		}
		for _, l := range labels {
			if tooLong(l, contact.MaxLabel) {
				return FaultLabelTooLong
			}
		}
	}
	for _, a := range p.attributes {
		if tooLong(p.cell(cells, a.column), contact.MaxAttributeValue) {
			return FaultValueTooLong
		}
	}
	return NoFault
}

func tooLong(s string, runes int) bool {
	return len(s) > runes && utf8.RuneCountInString(contact.CleanText(s)) > runes
}

// Profile reads the rest of a row that Check found without fault.
func (p *Plan) Profile(cells []string) Profile {
	var out Profile
	out.Name = contact.CleanText(p.cell(cells, p.name))
	if cell := p.cell(cells, p.labels); cell != "" {
		out.Labels = contact.SplitLabels(cell)
	}
	if len(p.addLabels) > 0 {
		out.Labels = contact.UniqueLabels(append(out.Labels, p.addLabels...))
	}
	for _, a := range p.attributes {
		if value := contact.CleanText(p.cell(cells, a.column)); value != "" {
			if out.Attributes == nil {
				out.Attributes = make(map[string]string, len(p.attributes))
			}
			out.Attributes[a.name] = value
		}
	}
	return out
}

// cell is "" for a column that is not mapped and for a row that ends before it.
func (p *Plan) cell(cells []string, column int) string {
	if column < 0 || column >= len(cells) {
		return ""
	}
	return cells[column]
}

// Blame returns the column and the value as given that a fault is about.
func (p *Plan) Blame(cells []string, f Fault) (column, value string) {
	switch f {
	case FaultNameTooLong:
		return p.Headers[p.name], p.cell(cells, p.name)
	case FaultTooManyLabels, FaultLabelTooLong:
		return p.Headers[p.labels], p.cell(cells, p.labels)
	case FaultExtraCells:
		return fmt.Sprintf("Column %d", len(p.Headers)+1), cells[len(p.Headers)]
	case FaultValueTooLong:
		for _, a := range p.attributes {
			if tooLong(p.cell(cells, a.column), contact.MaxAttributeValue) {
				return p.Headers[a.column], p.cell(cells, a.column)
			}
		}
	case NoFault, FaultEmpty, FaultScientific, FaultNotANumber, FaultSeveral, FaultCountry, FaultTooShort, FaultTooLong,
		FaultNotAssigned, FaultSkipped, FaultDuplicate, FaultSuppressed: // about the number
	}
	return p.Headers[p.phone], p.cell(cells, p.phone)
}

package importing

import (
	"maps"
	"slices"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
)

// Mapped says which fields a file has a column for.
type Mapped struct{ Name, Labels, Attributes bool }

// Change is what a row does to a contact that is there already. The zero value changes
// nothing.
type Change struct {
	SetName        bool
	Name           string // with SetName; "" clears
	AddLabels      []string
	DropLabels     []string
	SetAttributes  map[string]string
	DropAttributes []string
}

// Empty tells whether nothing changes.
func (c Change) Empty() bool {
	return !c.SetName && len(c.AddLabels) == 0 && len(c.DropLabels) == 0 && len(c.SetAttributes) == 0 && len(c.DropAttributes) == 0
}

// Fields names what changes, for the audit log, sorted.
func (c Change) Fields() []string {
	var out []string
	if len(c.SetAttributes)+len(c.DropAttributes) > 0 {
		out = append(out, "attributes")
	}
	if len(c.AddLabels)+len(c.DropLabels) > 0 {
		out = append(out, "labels")
	}
	if c.SetName {
		out = append(out, "name")
	}
	return out
}

// Merge decides what a row changes in a contact that has the same number:
//
//	            SKIP_DUPLICATES  MERGE_LABELS  UPDATE_METADATA           FULL_REPLACE
//	name        kept             kept          the row's, if not empty   the row's; an empty cell clears
//	labels      kept             union         kept                      the row's
//	attributes  kept             kept          the row's that are not    the row's; others are dropped
//	                                           empty; others are kept
//
// A field the file has no column for is kept under every strategy. The number never
// changes (it is what was matched), and neither do opt-in and suppressions.
func Merge(s Strategy, has, row Profile, m Mapped) Change {
	switch s {
	case MergeLabels:
		return Change{AddLabels: missing(row.Labels, has.Labels)}
	case UpdateMetadata:
		c := Change{SetAttributes: differing(row.Attributes, has.Attributes)}
		if row.Name != "" && row.Name != has.Name {
			c.SetName, c.Name = true, row.Name
		}
		return c
	case FullReplace:
		var c Change
		if m.Name && row.Name != has.Name {
			c.SetName, c.Name = true, row.Name
		}
		if m.Labels {
			c.AddLabels, c.DropLabels = missing(row.Labels, has.Labels), missing(has.Labels, row.Labels)
		}
		if m.Attributes {
			c.SetAttributes = differing(row.Attributes, has.Attributes)
			for _, name := range slices.Sorted(maps.Keys(has.Attributes)) {
				if _, stays := row.Attributes[name]; !stays {
					c.DropAttributes = append(c.DropAttributes, name)
				}
			}
		}
		return c
	case SkipDuplicates:
	}
	return Change{}
}

// Apply returns the profile after a change.
func (c Change) Apply(has Profile) Profile {
	out := Profile{Name: has.Name, Labels: append(missing(has.Labels, c.DropLabels), c.AddLabels...), Attributes: maps.Clone(has.Attributes)}
	if c.SetName {
		out.Name = c.Name
	}
	if out.Attributes == nil && len(c.SetAttributes) > 0 {
		out.Attributes = map[string]string{}
	}
	maps.Copy(out.Attributes, c.SetAttributes)
	for _, name := range c.DropAttributes {
		delete(out.Attributes, name)
	}
	return out
}

// missing returns the labels of a that b has not, without regard to case.
func missing(a, b []string) []string {
	var out []string
	for _, l := range a {
		if !slices.ContainsFunc(b, func(o string) bool { return contact.LabelKey(o) == contact.LabelKey(l) }) {
			out = append(out, l)
		}
	}
	return out
}

func differing(want, has map[string]string) map[string]string {
	var out map[string]string
	for name, value := range want {
		if old, ok := has[name]; ok && old == value {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out
}

package campaign

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// LabelID names a label of the vendor.
type LabelID string

// Audience says whom a campaign is for, by labels: contacts with at least one of
// AnyLabels (where any are named), all of AllLabels, and none of ExcludedLabels.
// Suppressed people are never part of it. It is stored as JSON: add fields with
// omitempty, never rename one.
type Audience struct {
	AnyLabels      []LabelID `json:"any_labels,omitempty"`
	AllLabels      []LabelID `json:"all_labels,omitempty"`
	ExcludedLabels []LabelID `json:"excluded_labels,omitempty"`

	// Names are the labels' names when the campaign was written, for people.
	Names map[LabelID]string `json:"names,omitempty"`
}

// ParseAudience reads a stored audience.
//
// Errors: campaign.bad_audience.
func ParseAudience(stored []byte) (Audience, error) {
	var a Audience
	err := json.Unmarshal(stored, &a)
	return a, errs.Wrap(errs.Internal, "campaign.bad_audience", "a stored audience cannot be read", err)
}

// NamedAudience is an audience as a vendor writes it: by the labels' names, compared
// without case.
type NamedAudience struct {
	AnyLabels      []string
	AllLabels      []string
	ExcludedLabels []string
}

// maxLabels bounds an audience; each label is one index range of the count's query.
const maxLabels = 50

// Normalize returns a with trimmed, lower-case, distinct, sorted names.
//
// Errors: campaign.bad_audience.
func (a NamedAudience) Normalize() (NamedAudience, error) {
	a.AnyLabels, a.AllLabels, a.ExcludedLabels = names(a.AnyLabels), names(a.AllLabels), names(a.ExcludedLabels)
	wanted := slices.Concat(a.AnyLabels, a.AllLabels)
	switch {
	case len(wanted) == 0:
		return a, refuseAudience("/audience", "name at least one label in any_labels or all_labels")
	case len(wanted)+len(a.ExcludedLabels) > maxLabels:
		return a, refuseAudience("/audience", "name at most 50 labels")
	case slices.ContainsFunc(wanted, func(l string) bool { return slices.Contains(a.ExcludedLabels, l) }):
		return a, refuseAudience("/audience/excluded_labels", "a label is asked for and excluded at once")
	}
	return a, nil
}

// Resolve replaces the names of a normalized audience by the labels' ids; ids is by
// name in lower case.
//
// Errors: campaign.bad_audience.
func (a NamedAudience) Resolve(ids map[string]LabelID) (Audience, error) {
	out := Audience{Names: map[LabelID]string{}}
	for _, part := range []struct {
		pointer string
		names   []string
		ids     *[]LabelID
	}{
		{"/audience/any_labels", a.AnyLabels, &out.AnyLabels},
		{"/audience/all_labels", a.AllLabels, &out.AllLabels},
		{"/audience/excluded_labels", a.ExcludedLabels, &out.ExcludedLabels},
	} {
		for _, name := range part.names {
			id, ok := ids[name]
			if !ok {
				return out, refuseAudience(part.pointer, "a label does not exist")
			}
			*part.ids = append(*part.ids, id)
			out.Names[id] = name
		}
	}
	return out, nil
}

func refuseAudience(pointer, msg string) error {
	return errs.InvalidField("campaign.bad_audience", pointer, msg)
}

func names(in []string) []string {
	out := make([]string, 0, len(in))
	for _, n := range in {
		if n = strings.ToLower(strings.TrimSpace(n)); n != "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

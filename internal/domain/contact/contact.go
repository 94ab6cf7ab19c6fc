// Package contact is a vendor's address book: who a person is, under which names Meta
// may know them, and the limits of what is kept about them. Its law: a person is one
// identity text, however a file or a webhook spells it.
package contact

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a contact of a vendor; LabelID one of its labels. The zero values name nobody.
type (
	ID      string
	LabelID string
)

// ErrNotFound is the answer for absent and for not yours alike.
var ErrNotFound = errs.New(errs.NotFound, "contact.not_found", "no such contact")

// Limits of what one contact may carry. They are ours: generous for people, small
// enough that a page of contacts stays a page.
const (
	MaxName           = 200  // runes
	MaxLabel          = 100  // runes
	MaxLabels         = 50   // labels of one contact in one file
	MaxAttributes     = 50   // attributes of one contact in one file
	MaxAttributeName  = 64   // bytes
	MaxAttributeValue = 1000 // runes
)

// IdentityKind says which of a person's names an identity is.
type IdentityKind string

// The kinds. WAID is the number as Meta writes it, which for Brazil and Mexico may
// differ from E.164; BSUID is Meta's business-scoped user id, of people who hide
// their number. Source: Meta, Cloud API webhooks reference, read 2026-09.
const (
	PhoneIdentity IdentityKind = "PHONE"
	WAID          IdentityKind = "WA_ID"
	BSUID         IdentityKind = "BSUID"
)

// Identity returns the canonical text of an identity, to be indexed under the
// vendor's key. A phone number and a wa_id of the same digits are the same person.
func Identity(kind IdentityKind, value string) string {
	if kind == BSUID {
		return "bsuid:" + value
	}
	return "+" + strings.TrimPrefix(value, "+")
}

// Contact is one person of a vendor's address book.
type Contact struct {
	ID         ID
	Phone      phone.Number
	Name       string // "" when unknown
	Labels     []Label
	Attributes map[string]string
	OptedInAt  time.Time // zero when not told
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Label groups contacts. Names are unique without regard to case.
type Label struct {
	ID   LabelID
	Name string
}

// CleanText takes out what does not belong into a name, label or value: control and
// format characters, doubled and exotic spaces, broken UTF-8.
func CleanText(s string) string {
	if plain(s) {
		return strings.TrimSpace(s)
	}
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case unicode.IsControl(r), r == utf8.RuneError, r == '\ufeff', r == '\u200b':
			continue // joiners stay: Indic scripts and emoji are spelt with them
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// plain finds the common case without allocating: printable ASCII, no doubled space.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == ' ' && i > 0 && s[i-1] == ' ' {
			return false
		}
	}
	return true
}

// SplitLabels reads a cell of labels separated by semicolon, bar or comma: trimmed,
// each once without regard to case, in the order written.
func SplitLabels(cell string) []string {
	return UniqueLabels(strings.FieldsFunc(cell, func(r rune) bool { return r == ';' || r == '|' || r == ',' || r == '\n' }))
}

// UniqueLabels cleans label names and drops empty and repeated ones.
func UniqueLabels(names []string) []string {
	var out []string
	for _, name := range names {
		name = CleanText(name)
		if name == "" || slices.ContainsFunc(out, func(o string) bool { return LabelKey(o) == LabelKey(name) }) {
			continue
		}
		out = append(out, name)
	}
	return out
}

// LabelKey is what two spellings of one label share. Postgres compares by lower(name),
// which maps as strings.ToLower does for every script that has case.
func LabelKey(name string) string { return strings.ToLower(name) }

// Package letter is the rules of dead letters: what failed for good, what may be asked of
// them, and which of them a replay may take. Its law: a letter is replayed once; what
// fails again is a new letter, which only somebody who asks for it replays.
package letter

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a dead letter. The zero value names none.
type ID string

// Source says what ended here.
type Source string

// The sources.
const (
	Message Source = "MESSAGE" // of a campaign, to a person
	Event   Source = "EVENT"   // of the outbox, that Temporal refused
)

// Sources returns every source.
func Sources() []Source { return []Source{Message, Event} }

// ErrNotFound says that a letter does not exist, or is another vendor's.
var ErrNotFound = errs.New(errs.NotFound, "dead_letter.not_found", "no such dead letter")

// errSelect is the code of a replay that names its letters wrongly.
const errSelect = "dead_letter.bad_selection"

// Filter narrows letters down. The zero value lets all of a vendor's through.
type Filter struct {
	Campaign   campaign.ID
	CauseClass string
	Code       int // Meta's; 0: any
	Source     Source
	From, To   time.Time // of their making: From on, before To; zero: open
}

// IsZero tells whether f lets everything through.
func (f Filter) IsZero() bool { return f == Filter{} }

const (
	// MaxIDs bounds the letters that a replay names one by one.
	MaxIDs = 1000

	// MaxReplay bounds the letters of one replay: its transaction stays within a few
	// seconds. Whoever has more replays again.
	MaxReplay = 50_000

	// MaxRate bounds a replay's own rate: Meta's highest for one number.
	// Source: Meta, throughput, read 2026-09: up to 1,000 messages a second.
	MaxRate = 1000
)

// Replay asks for letters to go out again. Letters are named by IDs or by Filter.
type Replay struct {
	IDs    []ID
	Filter Filter

	// RatePerSecond spreads the messages; 0: the sender number's own pace.
	RatePerSecond int
	// IncludeUnconfirmed takes messages that may have arrived: a person may get them twice.
	IncludeUnconfirmed bool
	// IncludeReplayed has Filter take letters that come from a replay as well.
	IncludeReplayed bool
	// DryRun counts and prices, and changes nothing.
	DryRun bool

	By vendor.UserID // who asks; "": an operator
}

// Validate checks that r names letters in one way, and its rate.
//
// Errors: dead_letter.bad_selection.
func (r Replay) Validate() error {
	switch {
	case len(r.IDs) == 0 && r.Filter.IsZero():
		return errs.InvalidField(errSelect, "/ids", "name letters by ids, or by a filter with at least one condition")
	case len(r.IDs) > 0 && !r.Filter.IsZero():
		return errs.InvalidField(errSelect, "/filter", "name letters by ids or by a filter, not by both")
	case len(r.IDs) > MaxIDs:
		return errs.InvalidField(errSelect, "/ids", "at most 1,000 ids: take a filter for more")
	case r.RatePerSecond < 0 || r.RatePerSecond > MaxRate:
		return errs.InvalidField(errSelect, "/rate_per_second", "1 to 1,000 messages a second")
	case !r.Filter.To.IsZero() && !r.Filter.From.Before(r.Filter.To):
		return errs.InvalidField(errSelect, "/filter/to", "a time after from")
	}
	return nil
}

// Package campaign is the rules of a campaign: where it stands and what may happen
// next, whom it is for, and how a recipient's data fill the template's variables.
package campaign

import (
	"slices"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a campaign. The zero value names none.
type ID string

// State is where a campaign stands.
type State string

// The states of a campaign.
const (
	Draft     State = "DRAFT"
	Quoted    State = "QUOTED"    // a quotation stands and can be approved
	Approved  State = "APPROVED"  // paid for by a hold; its workflow is on the way
	Scheduled State = "SCHEDULED" // waits for its time
	Preparing State = "PREPARING" // its audience is being frozen into messages
	Running   State = "RUNNING"
	Paused    State = "PAUSED"    // by a person
	Halted    State = "HALTED"    // by the system, with a reason
	Completed State = "COMPLETED" // every message is final, the books are closed
	Cancelled State = "CANCELLED"
)

// States returns every state.
func States() []State {
	return []State{Draft, Quoted, Approved, Scheduled, Preparing, Running, Paused, Halted, Completed, Cancelled}
}

// Final tells whether nothing can happen to a campaign in s any more.
func (s State) Final() bool { return s == Completed || s == Cancelled }

// Event is what happens to a campaign.
type Event string

// The events.
const (
	Edit     Event = "EDIT"     // the vendor changes it; a quotation no longer fits
	Quote    Event = "QUOTE"    // a quotation was issued
	Approve  Event = "APPROVE"  // the vendor accepted it and the money is held
	Schedule Event = "SCHEDULE" // its workflow waits for its time
	Prepare  Event = "PREPARE"  // its workflow begins to freeze the audience
	Launch   Event = "LAUNCH"   // the audience is frozen
	Pause    Event = "PAUSE"
	Resume   Event = "RESUME"
	Halt     Event = "HALT"
	Complete Event = "COMPLETE" // no message is left pending
	Cancel   Event = "CANCEL"
	Withdraw Event = "WITHDRAW" // before it began, its vendor takes the approval back
	Restart  Event = "RESTART"  // its vendor lets a campaign start that missed its time
)

// Events returns every event.
func Events() []Event {
	return []Event{Edit, Quote, Approve, Schedule, Prepare, Launch, Pause, Resume, Halt, Complete, Cancel, Withdraw, Restart}
}

// ErrTransition is the refusal of an event in the wrong state.
var ErrTransition = errs.New(errs.Conflict, "campaign.wrong_state", "the campaign is not in a state for this")

// Next returns the state after event e in state s. An event that has already happened
// leads back to the same state: all of them may be repeated. A campaign paused or halted
// while its last messages are on the wire may complete.
//
// Errors: campaign.wrong_state.
func Next(s State, e Event) (State, error) {
	from, to := rule(e)
	if to != "" && (s == to || slices.Contains(from, s)) {
		return to, nil
	}
	return s, ErrTransition.Detail("a campaign that is %s cannot take %s", s, e)
}

// rule gives the states in which an event may happen and where it leads.
func rule(e Event) (from []State, to State) {
	switch e {
	case Edit:
		return []State{Quoted}, Draft
	case Quote:
		return []State{Draft}, Quoted
	case Approve:
		return []State{Quoted}, Approved
	case Schedule:
		return []State{Approved}, Scheduled
	case Prepare:
		return []State{Approved, Scheduled}, Preparing
	case Launch:
		return []State{Preparing}, Running
	case Pause:
		return []State{Running, Halted}, Paused
	case Resume:
		return []State{Paused, Halted}, Running
	case Halt:
		return []State{Approved, Scheduled, Preparing, Running}, Halted
	case Complete:
		return []State{Running, Paused, Halted}, Completed
	case Cancel:
		return []State{Draft, Quoted, Approved, Scheduled, Preparing, Running, Paused, Halted}, Cancelled
	case Withdraw:
		return []State{Approved, Scheduled}, Draft
	case Restart:
		return []State{Halted, Paused}, Approved
	}
	return nil, ""
}

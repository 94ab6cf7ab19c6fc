package campaign

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
)

// Waker is the event that lets a halted campaign go on without a person.
type Waker string

// The wakers. What a halt waits for is looked at again when the event comes: the event
// itself decides nothing.
const (
	ByTemplate Waker = "TEMPLATE" // Meta released or approved the template
	ByNumber   Waker = "NUMBER"   // Meta told something of the sender number
	ByAccount  Waker = "ACCOUNT"  // Meta told something of the account
	ByToken    Waker = "TOKEN"    // the account was connected again
	ByWallet   Waker = "WALLET"   // money came in
)

// Wakers returns every waker.
func Wakers() []Waker { return []Waker{ByTemplate, ByNumber, ByAccount, ByToken, ByWallet} }

// Stop is why the system halts campaigns, and what lets them go on.
type Stop struct {
	Reason string        // for programs: META_TEMPLATE_PAUSED, FAILURE_RATE
	Remedy string        // for the vendor: what it means and what to do; "": nothing is known
	Scope  failure.Scope // how far it reaches
	Wakes  Waker         // "": a person only

	// Probe has the campaign go on by itself after so long, to be halted again if nothing
	// has changed: no event may tell that it has. Zero: never.
	Probe time.Duration

	pause bool // Meta has paused the template for a time it told
}

// The reasons of halts that are not Meta's.
const (
	// HaltAudienceGrew is told when the frozen audience goes beyond the quotation. Such a
	// campaign cannot be resumed: its hold does not cover it.
	HaltAudienceGrew = "AUDIENCE_GREW"

	// HaltWalletEmpty is told when the hold does not cover what is sent any more: what goes
	// on would be at the platform's loss.
	HaltWalletEmpty = "WALLET_EMPTY"

	// HaltFailureRate is told by the circuit breaker.
	HaltFailureRate = "FAILURE_RATE"

	// HaltTemplateChanged is told when Meta's list shows the template as no longer usable.
	HaltTemplateChanged = "TEMPLATE_NOT_APPROVED"
)

// MetaStop is the stop that a refusal of Meta's calls for. name and remedy are those of the
// table of codes.
func MetaStop(class failure.Class, scope failure.Scope, name, remedy string) Stop {
	h := Stop{Reason: "META_" + name, Remedy: remedy, Scope: scope}
	switch class {
	case failure.Hold:
		h.Wakes, h.pause = ByTemplate, true
	case failure.Campaign:
		if scope == failure.OwnTemplate {
			h.Wakes = ByTemplate
		}
	case failure.Account:
		h.Wakes = ByAccount
		if scope == failure.OwnNumber {
			h.Wakes = ByNumber
		}
	case failure.Token:
		h.Wakes = ByToken
	case failure.Retry, failure.Later, failure.Number, failure.Pair, failure.App, failure.Recipient, failure.Request:
	}
	return h
}

// WalletStop is the stop of a campaign whose hold is used up. It goes on when the wallet
// can cover the rest.
func WalletStop() Stop {
	return Stop{
		Reason: HaltWalletEmpty, Scope: failure.OwnCampaign, Wakes: ByWallet,
		Remedy: "The money held for the campaign does not cover its messages any more. Top up the wallet; the campaign goes on when the rest can be held.",
	}
}

// TemplateStop is the stop of a campaign whose template is in status at Meta, which is not
// the approved one.
func TemplateStop(status string) Stop {
	s := Stop{Reason: HaltTemplateChanged, Scope: failure.OwnTemplate, Wakes: ByTemplate}
	switch status {
	case "PAUSED":
		s.Reason, s.pause = "META_TEMPLATE_PAUSED", true
		s.Remedy = "Meta has paused the template for low quality, for 3 hours the first time and 6 the second. The campaign goes on when it is released."
	case "DISABLED":
		s.Reason = "META_TEMPLATE_DISABLED"
		s.Remedy = "Meta has disabled the template for good. Make another one."
	default:
		s.Remedy = "Meta does not take the template any more. Look at its status in WhatsApp Manager; the campaign goes on when it is approved again."
	}
	return s
}

// Pauses tells whether s counts as a pause of the template by Meta.
func (s Stop) Pauses() bool { return s.pause }

// templatePauses are how long Meta pauses a template of low quality, the first time and
// the second; the third time it is disabled.
// Source: Meta, template pausing, read 2026-09.
func templatePauses() []time.Duration { return []time.Duration{3 * time.Hour, 6 * time.Hour} }

// PauseEnds tells when a campaign halted at now by s goes on by itself, if no event comes
// first; zero: never. pauses is how often its template had been paused before.
func (s Stop) PauseEnds(pauses int, now time.Time) time.Time {
	if waits := templatePauses(); s.pause && pauses < len(waits) {
		return now.Add(waits[pauses])
	}
	if s.Probe > 0 {
		return now.Add(s.Probe)
	}
	return time.Time{}
}

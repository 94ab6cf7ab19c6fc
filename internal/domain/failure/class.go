// Package failure is the rules of what a failed message calls for: which class a refusal
// is of, whether and when the message is tried again, what must stop beside it, and when
// too many of them are reason to stop a campaign. It knows no code of Meta's: whoever
// reads Meta's answer says which class it is.
package failure

// Class says what a failure calls for. Everything that decides about a failure looks
// at the class, and nothing else at the code.
type Class string

// The classes.
const (
	Retry     Class = "RETRY"     // again soon, with exponential backoff and jitter, a few times
	Later     Class = "LATER"     // again, not before the wait that was asked for
	Number    Class = "NUMBER"    // this sender number is too fast: slow it down; costs no attempt
	Pair      Class = "PAIR"      // this sender and recipient only: wait 4^n seconds; costs no attempt
	App       Class = "APP"       // our app calls too often: slow all calls down; costs no attempt
	Recipient Class = "RECIPIENT" // this recipient, for good
	Hold      Class = "HOLD"      // the campaign waits for an event (template unpaused)
	Campaign  Class = "CAMPAIGN"  // the campaign is broken: stop it and say why
	Account   Class = "ACCOUNT"   // stop the number or WABA and tell the vendor
	Token     Class = "TOKEN"     // credentials or permissions: stop the WABA until renewed
	Request   Class = "REQUEST"   // our request is wrong: never again unchanged
)

// Classes lists every class, for tests and documents.
func Classes() []Class {
	return []Class{Retry, Later, Number, Pair, App, Recipient, Hold, Campaign, Account, Token, Request}
}

// Retryable tells whether the same request may succeed later by itself.
func (c Class) Retryable() bool {
	switch c {
	case Retry, Later, Number, Pair, App:
		return true
	case Recipient, Hold, Campaign, Account, Token, Request:
		return false
	}
	return false
}

// CostsAttempt tells whether a refusal of this class uses up one of a message's tries. A
// throttle says nothing about the message.
func (c Class) CostsAttempt() bool {
	switch c {
	case Number, Pair, App:
		return false
	case Retry, Later, Recipient, Hold, Campaign, Account, Token, Request:
		return true
	}
	return true
}

// Scope says how far a refusal reaches beyond its own message.
type Scope string

// The scopes, from none to wide. Every running campaign within the scope stops.
const (
	OwnMessage   Scope = ""         // nobody else is concerned
	OwnCampaign  Scope = "CAMPAIGN" // what this campaign sends
	OwnTemplate  Scope = "TEMPLATE" // every campaign with this template
	OwnNumber    Scope = "NUMBER"   // every campaign from this sender number
	WholeAccount Scope = "ACCOUNT"  // every campaign of this WABA
)

// scope is how far a class reaches unless the refusal says otherwise.
func (c Class) scope() Scope {
	switch c {
	case Hold:
		return OwnTemplate
	case Campaign:
		return OwnCampaign
	case Account, Token:
		return WholeAccount
	case Retry, Later, Number, Pair, App, Recipient, Request:
		return OwnMessage
	}
	return OwnMessage
}

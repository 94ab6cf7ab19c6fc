package failure

import "fmt"

// Tally counts what became of a campaign's messages in the last minutes.
type Tally struct {
	Outcomes int           // messages that Meta accepted, or refused for good
	Failed   map[Class]int // failed for good, at once or after acceptance, by class
	Total    int           // outcomes since the campaign began
}

// Trip says why a campaign's circuit breaker opens.
type Trip struct {
	Class            Class
	Failed, Outcomes int
}

// The bounds of the breaker. They are the product's own: Meta publishes none.
const (
	// fewest outcomes say something: below, five bad numbers in a row would halt a campaign.
	fewest = 50

	// otherPercent is the share of one class that has nothing to do with the recipients.
	// Those fail for a reason that the rest of the audience shares.
	otherPercent = 30

	// recipientPercent is the share of bad recipients at a campaign's start, that is within
	// its first startOutcomes: a list that bad costs the sender number its quality.
	recipientPercent = 60
	startOutcomes    = 1000
)

// Trip tells whether t is reason to halt the campaign instead of burning its audience.
func (t Tally) Trip() (Trip, bool) {
	if t.Outcomes < fewest {
		return Trip{}, false
	}
	recipients := 0
	for _, class := range Classes() {
		n := t.Failed[class]
		if class == Recipient || class == Later { // Later: Meta keeps marketing from the person
			recipients += n
			continue
		}
		if n*100 > t.Outcomes*otherPercent {
			return Trip{Class: class, Failed: n, Outcomes: t.Outcomes}, true
		}
	}
	if t.Total <= startOutcomes && recipients*100 > t.Outcomes*recipientPercent {
		return Trip{Class: Recipient, Failed: recipients, Outcomes: t.Outcomes}, true
	}
	return Trip{}, false
}

// Remedy is for the vendor: what happened, in numbers, and what to do.
func (t Trip) Remedy() string {
	what := "for a reason that is not the recipients' (" + string(t.Class) + ")"
	then := "Look at the failed messages and their codes, and resume when the cause is gone."
	if t.Class == Recipient {
		what = "because they cannot be delivered to these recipients"
		then = "Look at where the numbers came from; resume to go on all the same."
	}
	return fmt.Sprintf("%d of the last %d messages failed, %s. %s", t.Failed, t.Outcomes, what, then)
}

package failure

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/template"
)

// Policy is what a vendor wants done with a message whose outcome Meta never told.
type Policy string

// The policies.
const (
	AtMostOnce  Policy = "UNCONFIRMED" // leave it: it may have arrived
	AtLeastOnce Policy = "RETRY"       // send it again: it may arrive twice
)

// Policies returns every policy.
func Policies() []Policy { return []Policy{AtMostOnce, AtLeastOnce} }

// Default is the policy of a vendor who has set none. Marketing that comes twice annoys;
// a code or a receipt that never comes costs more than one that comes twice.
func Default(c template.Category) Policy {
	if c == template.Marketing {
		return AtMostOnce
	}
	return AtLeastOnce
}

// unknownTries bounds the attempts of a message none of which Meta ever spoke of: then
// it is the way to Meta that is broken, and more of the same helps nobody.
const unknownTries = 3

// Silence decides about an attempt whose grace period ended without a word: Final leaves
// it unconfirmed, Again makes another one at once.
func Silence(p Policy, attempt int, now, expires time.Time) Verdict {
	if p != AtLeastOnce || attempt >= unknownTries || !expires.IsZero() && !now.Before(expires) {
		return Verdict{Action: Final}
	}
	return Verdict{Action: Again, At: now}
}

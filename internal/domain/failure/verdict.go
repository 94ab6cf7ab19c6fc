package failure

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/template"
)

// Refusal is what is known of one failure, whoever told it.
type Refusal struct {
	Class Class
	Scope Scope         // how far it reaches; "": as its class says
	Wait  time.Duration // the least wait that was asked for; zero: the class's own
	Tries int           // most tries of a class that is tried again; zero: the class's own

	// StopsMarketing: the person wants no marketing from this vendor any more.
	StopsMarketing bool
	// FinalIn is a country in which waiting for marketing is in vain; "": none.
	FinalIn string
}

// Case is a refusal of one message at one moment.
type Case struct {
	Refusal

	Accepted bool // Meta had accepted the message: the failure came later, by webhook
	Attempt  int  // the number of the attempt that failed, from 1
	Waits    int  // how many of its attempts were put off (Later) before this one

	Category template.Category
	Country  string // of the recipient, ISO 3166-1 alpha-2
	Now      time.Time
	Expires  time.Time // of the campaign; zero: never

	// Roll spreads what was refused together: uniform in [0, 1).
	Roll float64
}

// Action is what becomes of the attempt and its message.
type Action string

// The actions.
const (
	Forget Action = "FORGET" // the attempt did not happen; the message goes on at Verdict.At
	Again  Action = "AGAIN"  // the attempt failed; another one is made at Verdict.At
	Final  Action = "FINAL"  // the message has failed for good
)

// Verdict is what a case calls for.
type Verdict struct {
	Action Action
	At     time.Time // of Forget and Again: not before

	// Waited: the attempt was put off, which is not one of the message's few tries.
	Waited bool
	// Halt is what has to stop; OwnMessage: nothing.
	Halt Scope
	// Suppress: the person gets no marketing from this vendor any more.
	Suppress bool
}

// Alone is v for a message that stands by itself: what would stop a template or a campaign
// is the message's own end, and stops nothing else.
func (v Verdict) Alone() Verdict {
	if v.Halt == OwnTemplate || v.Halt == OwnCampaign {
		return Verdict{Action: Final, Suppress: v.Suppress}
	}
	return v
}

const (
	// retryTries are the tries of a message that Meta answers with an error of its own.
	// Source: Meta, Cloud API error codes, read 2026-09: try again, without a number; five
	// spread over some minutes outlast the short ones.
	retryTries = 5

	// retryBase doubles with each try, up to retryCap.
	retryBase = 2 * time.Second
	retryCap  = 10 * time.Minute

	// laterTries are the tries of what Meta wants put off for minutes or an hour.
	laterTries = 5

	// laterCap bounds the doubling of a wait.
	laterCap = 7 * 24 * time.Hour

	// laterSpread bounds what is added to a wait, which is a tenth of it.
	laterSpread = time.Hour

	// throttleWait is the shortest wait after a throttle.
	throttleWait = 2 * time.Second

	// refallTries bounds how often a message that Meta accepted may fall back for a reason
	// that is not its own (a throttle, a paused template): each time it goes out once more.
	refallTries = 10
)

// Judge decides one case. It is the one place where a failure becomes a decision: the
// class, the tries so far and the campaign's end are all it looks at. A message that
// could only go out after its campaign's end has failed now.
func Judge(c Case) Verdict {
	v := c.byClass()
	v.Suppress = c.StopsMarketing
	if v.Action != Final && !c.Expires.IsZero() && v.At.After(c.Now) && !v.At.Before(c.Expires) {
		v = Verdict{Action: Final, Halt: v.Halt, Suppress: v.Suppress}
	}
	return v
}

func (c *Case) byClass() Verdict {
	switch c.Class {
	case Number, Pair, App:
		return c.forgiven(max(c.Wait, throttleWait), OwnMessage)
	case Hold, Campaign, Account, Token:
		scope := c.Scope
		if scope == OwnMessage {
			scope = c.Class.scope()
		}
		return c.forgiven(0, scope)
	case Retry:
		return c.retry()
	case Later:
		return c.later()
	case Recipient, Request:
	}
	return Verdict{Action: Final}
}

// forgiven is for what is not the message's fault. Refused at once, the attempt did not
// happen. Accepted first, it did: it may be followed by others, not without end.
func (c *Case) forgiven(wait time.Duration, halt Scope) Verdict {
	if !c.Accepted {
		return Verdict{Action: Forget, At: c.Now.Add(wait + part(wait/2, c.Roll)), Halt: halt}
	}
	if c.Attempt >= refallTries {
		return Verdict{Action: Final, Halt: halt}
	}
	return Verdict{Action: Again, At: c.Now.Add(wait + part(wait/2, c.Roll)), Waited: true, Halt: halt}
}

func (c *Case) retry() Verdict {
	tries, most := c.Attempt-c.Waits, c.Tries
	if most == 0 {
		most = retryTries
	}
	if tries >= most {
		return Verdict{Action: Final}
	}
	return Verdict{Action: Again, At: c.Now.Add(c.Wait + Backoff(tries, c.Roll))}
}

// Backoff is exponential with full jitter: uniform between nothing and a bound that
// doubles with each try, up to ten minutes. tries counts from 1.
func Backoff(tries int, roll float64) time.Duration {
	return part(doubled(retryBase, tries, retryCap), roll)
}

func (c *Case) later() Verdict {
	most := c.Tries
	if most == 0 {
		most = laterTries
	}
	inVain := c.FinalIn != "" && c.FinalIn == c.Country && c.Category == template.Marketing
	if inVain || c.Waits+1 >= most {
		return Verdict{Action: Final}
	}
	wait := doubled(c.Wait, c.Waits, laterCap)
	return Verdict{Action: Again, At: c.Now.Add(wait + part(min(wait/10, laterSpread), c.Roll)), Waited: true}
}

// doubled is d doubled n times, at most bound (and never less than d).
func doubled(d time.Duration, n int, bound time.Duration) time.Duration {
	for ; n > 0 && d < bound; n-- {
		d = min(2*d, max(bound, d))
	}
	return d
}

// part is the share roll, in [0, 1), of d.
func part(d time.Duration, roll float64) time.Duration {
	return time.Duration(float64(d) * roll)
}

// Package explain says why a campaign or a message waits: a pure rule from facts to lines,
// the most telling first. Its law: a line's code is permanent, its text plain, and every
// claim in it is a number of the facts.
package explain

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Code names a reason. Codes are permanent: programs go by them.
type Code string

// The reasons, in the order of a campaign's life.
const (
	NotQuoted        Code = "NOT_QUOTED"         // a draft without a price
	AwaitingApproval Code = "AWAITING_APPROVAL"  // its quotation stands
	QuotationExpired Code = "QUOTATION_EXPIRED"  // it has to be priced again
	QuotationPDF     Code = "QUOTATION_DOCUMENT" // the document is being made, or failed
	WalletShort      Code = "WALLET_SHORT"       // the wallet does not cover the quotation
	Starting         Code = "STARTING"           // approved, its workflow is on the way
	Scheduled        Code = "SCHEDULED"          // for a time to come
	Preparing        Code = "PREPARING"          // its audience is being frozen
	Paused           Code = "PAUSED"             // by a person
	Halted           Code = "HALTED"             // by the system
	WorkerAbsent     Code = "WORKER_ABSENT"      // claimed, and nobody works on it
	RelayBehind      Code = "RELAY_BEHIND"       // due, and no relay has come for it
	WindowFull       Code = "WINDOW_FULL"        // as much of the number is in flight as may be
	FairnessTurn     Code = "FAIRNESS_TURN"      // other vendors are before it
	Rate             Code = "RATE"               // the number's pace
	QuietHours       Code = "QUIET_HOURS"        // of the recipients
	PairLimit        Code = "PAIR_LIMIT"         // Meta's, of messages to one person
	PortfolioLimit   Code = "PORTFOLIO_LIMIT"    // Meta's, of people in 24 hours
	RetryWait        Code = "RETRY"              // a failed attempt is made again
	ReplayRate       Code = "REPLAY_RATE"        // a replay's own rate
	Deferred         Code = "DEFERRED"           // put off, for a reason nobody noted
	InFlight         Code = "IN_FLIGHT"          // with a worker
	UnknownOutcome   Code = "UNKNOWN_OUTCOME"    // Meta has not told
	Settling         Code = "SETTLEMENT"         // what Meta told is being booked
	Closing          Code = "CLOSING"            // nothing is left, its books are being closed
	Ending           Code = "EXPIRES"            // what has not left by then does not
	Finished         Code = "FINISHED"           // nothing is waited for

	Sent       Code = "SENT"        // of a message: it went out
	Failed     Code = "FAILED"      // of a message, for good
	Ended      Code = "ENDED"       // of a message, before it went out
	CampaignIs Code = "CAMPAIGN"    // of a message: it waits with its campaign
	Queued     Code = "QUEUED"      // of a message: others are before it
	DeadLetter Code = "DEAD_LETTER" // of a message: it is listed there
)

// Codes returns every code.
func Codes() []Code {
	return []Code{
		NotQuoted, AwaitingApproval, QuotationExpired, QuotationPDF, WalletShort, Starting, Scheduled, Preparing, Paused, Halted,
		WorkerAbsent, RelayBehind, WindowFull, FairnessTurn, Rate, QuietHours, PairLimit, PortfolioLimit, RetryWait, ReplayRate, Deferred,
		InFlight, UnknownOutcome, Settling, Closing, Ending, Finished, Sent, Failed, Ended, CampaignIs, Queued, DeadLetter,
	}
}

// Line is one reason with its numbers. Zero times are not known, or not bounded.
type Line struct {
	Code         Code
	Text         string
	Since, Until time.Time
	Numbers      map[string]int64
}

// n are a line's numbers.
type n = map[string]int64

const (
	// workerPatience is how long a claim may wait for a worker's first sign before that is
	// worth a line: well above the time Temporal takes, well below a person's patience.
	workerPatience = 10 * time.Second

	// relayPatience is the same of due rows that no relay claims: it sweeps every 5 seconds.
	relayPatience = 15 * time.Second
)

// lasting is the time, in whole seconds, that messages take at a rate per second; zero where nothing paces them.
func lasting(messages int64, rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(float64(messages)/rate)) * time.Second
}

// count is a number of messages in words.
func count(messages int64) string {
	if messages == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", messages)
}

// sentence joins what is not empty.
func sentence(parts ...string) string {
	kept := parts[:0]
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " ")
}

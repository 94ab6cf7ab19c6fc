// Package waba holds a vendor's WhatsApp Business Accounts and their sender numbers:
// what they are, and how fast a number may send.
package waba

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a WABA of ours, NumberID a sender number: UUIDs, not Meta's ids.
type (
	ID       string
	NumberID string
)

// The errors of accounts and numbers.
var (
	ErrNotFound       = errs.New(errs.NotFound, "waba.not_found", "no such WhatsApp Business Account")
	ErrNumberNotFound = errs.New(errs.NotFound, "sender_number.not_found", "no such sender number")
	ErrTaken          = errs.New(errs.Conflict, "waba.connected_elsewhere", "this WhatsApp Business Account is connected to another vendor")
	ErrNumberTaken    = errs.New(errs.Conflict, "sender_number.connected_elsewhere", "this number is connected to another vendor")
)

// Status of a WABA, as far as sending goes.
type Status string

// The states of a WABA.
const (
	Connected    Status = "CONNECTED"
	TokenExpired Status = "TOKEN_EXPIRED"
	Locked       Status = "LOCKED"
	Disconnected Status = "DISCONNECTED"
)

// Account is a connected WABA. The access token is not in it: it is read by whoever
// calls Meta, and by nobody else.
type Account struct {
	ID        ID
	MetaID    string // Meta's WABA id
	Name      string
	Currency  string
	Status    Status
	Portfolio string    // Meta's id of the business portfolio, whose messaging limit it shares
	SyncedAt  time.Time // of its templates; zero: never
	CreatedAt time.Time
}

// Number is a phone number that a vendor sends from.
type Number struct {
	ID            NumberID
	WABA          ID
	MetaID        string // Meta's phone_number_id
	Display       string // formatted by Meta
	VerifiedName  string
	Quality       string // GREEN, YELLOW, RED, NA, UNKNOWN
	Throughput    string // STANDARD, HIGH, NOT_APPLICABLE
	RatePerSecond int    // messages a second that Meta takes from it
	RateSource    RateSource
	Tier          string // of its portfolio's messaging limit, when just read from Meta
	Status        string
	CreatedAt     time.Time
	LearntAt      time.Time // when Meta was asked last; zero: never
}

// RateSource says from what a number's rate was concluded.
type RateSource string

// Where a rate comes from.
const (
	RateAssumed   RateSource = "ASSUMED"          // Meta said nothing that we know
	RateLevel     RateSource = "THROUGHPUT_LEVEL" // of the number, at Meta
	RateCoexisted RateSource = "COEXISTENCE"      // the number is in the WhatsApp Business app too
)

// Portfolio is the business at Meta that owns accounts: all their numbers share its
// messaging limit.
type Portfolio struct {
	ID    string // Meta's; an account whose portfolio is not told stands for it
	Tier  string // Meta's word for the limit, TIER_2K; "": not told
	Limit int    // people outside a service window in 24 hours; 0: unlimited, or not known
}

// ForAccount is the portfolio of an account of which Meta does not say it.
func ForAccount(metaID string) string { return "account/" + metaID }

// What Meta takes from one number, in messages a second, inbound and outbound together.
// Source: Meta, Cloud API throughput page, read 2026-09. A number that is also used in
// the WhatsApp Business app (coexistence) is fixed at 20.
const (
	standardRate    = 80
	highRate        = 1000
	coexistenceRate = 20
)

// RateFor tells how fast a number may send, from what Meta says about it. An unknown
// level is taken for the standard one.
func RateFor(throughput string, coexistence bool) int {
	switch {
	case coexistence:
		return coexistenceRate
	case throughput == "HIGH":
		return highRate
	default:
		return standardRate
	}
}

// RateSourceFor tells from what RateFor concludes.
func RateSourceFor(throughput string, coexistence bool) RateSource {
	switch {
	case coexistence:
		return RateCoexisted
	case throughput == "HIGH" || throughput == "STANDARD":
		return RateLevel
	default:
		return RateAssumed
	}
}

// TierLimit is how many people a messaging limit tier allows in 24 hours; 0 is unlimited.
// known is false for a word we do not know. Source: Meta, messaging limits page, read
// 2026-09; TIER_50 and TIER_1K are of the limits before October 2025.
func TierLimit(tier string) (limit int, known bool) {
	limit, known = map[string]int{
		"TIER_50": 50, "TIER_250": 250, "TIER_1K": 1000, "TIER_2K": 2000, "TIER_10K": 10_000, "TIER_100K": 100_000, "TIER_UNLIMITED": 0,
	}[tier]
	return limit, known
}

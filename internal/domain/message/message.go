// Package message holds the rules of one message: its statuses as a lattice, the
// opaque data that finds it again in Meta's webhooks, and what is final.
package message

import (
	"strconv"
	"strings"
)

// ID names a message within its vendor and month. The zero value names none.
type ID int64

// Month is a partition, yyyymm: the month in which the message's campaign was frozen.
type Month int32

// Status of a message or of one attempt.
type Status string

// The statuses of an attempt, in the order of the merge.
const (
	Sending     Status = "SENDING"     // marked, on the wire or about to be
	Unknown     Status = "UNKNOWN"     // left, and no answer came
	Unconfirmed Status = "UNCONFIRMED" // the grace period ended without a word
	Sent        Status = "SENT"        // accepted by Meta
	Failed      Status = "FAILED"
	Delivered   Status = "DELIVERED"
	Read        Status = "READ"
)

// The statuses that only a message has.
const (
	Queued     Status = "QUEUED"
	Suppressed Status = "SUPPRESSED"
	Cancelled  Status = "CANCELLED"
	Expired    Status = "EXPIRED"
)

// Statuses are an attempt's, lowest first. delivered and read beat failed: a person
// with two devices can give both.
func Statuses() []Status {
	return []Status{Sending, Unknown, Unconfirmed, Sent, Failed, Delivered, Read}
}

// Rank orders an attempt's statuses; -1 for a status an attempt cannot have.
func Rank(s Status) int {
	for i, known := range Statuses() {
		if s == known {
			return i
		}
	}
	return -1
}

// Merge returns the status of an attempt of which both a and b are known. It is
// commutative, associative and idempotent: late, repeated and reordered webhooks
// cannot move an attempt backwards.
func Merge(a, b Status) Status {
	if Rank(a) >= Rank(b) {
		return a
	}
	return b
}

// Final tells whether a message in s is done as far as sending goes. A later status
// may still raise it (sent to delivered, unconfirmed to read).
func Final(s Status) bool {
	switch s {
	case Sent, Failed, Delivered, Read, Unconfirmed, Suppressed, Cancelled, Expired:
		return true
	case Queued, Sending, Unknown:
		return false
	}
	return false
}

// Chargeable tells whether Meta has accepted the message and not taken it back.
func Chargeable(s Status) bool {
	return s == Sent || s == Delivered || s == Read
}

// Ref finds one attempt again: what biz_opaque_callback_data carries.
type Ref struct {
	Month   Month
	Message ID
	Attempt int16
}

// refVersion is the first part of the opaque data; another layout takes another.
const refVersion = "k1"

// String is the opaque data: "k1.202611.42.1". It holds nothing of the recipient.
func (r Ref) String() string {
	var b [48]byte
	out := append(b[:0], refVersion...)
	out = strconv.AppendInt(append(out, '.'), int64(r.Month), 10)
	out = strconv.AppendInt(append(out, '.'), int64(r.Message), 10)
	out = strconv.AppendInt(append(out, '.'), int64(r.Attempt), 10)
	return string(out)
}

// ParseRef reads what String wrote; false for anything else, since others may send
// from the same number with data of their own.
func ParseRef(s string) (Ref, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 || parts[0] != refVersion {
		return Ref{}, false
	}
	month, err1 := strconv.ParseInt(parts[1], 10, 32)
	msg, err2 := strconv.ParseInt(parts[2], 10, 64)
	attempt, err3 := strconv.ParseInt(parts[3], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || month < 202601 || msg <= 0 || attempt <= 0 {
		return Ref{}, false
	}
	return Ref{Month: Month(month), Message: ID(msg), Attempt: int16(attempt)}, true
}

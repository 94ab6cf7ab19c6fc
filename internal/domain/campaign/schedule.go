package campaign

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// WallClock is the form of a local time without a zone: 2026-11-25T09:30 (seconds may follow).
const WallClock = "2006-01-02T15:04"

// AtLocal returns the moment at which the clocks of zone (IANA) show wall.
//
// A time that the clocks skip (the hour lost in spring) is moved on by as much as they
// skip: 02:30 becomes 03:30. Of a time that they show twice (autumn) the first one is
// meant. It is the rule of RFC 5545 and of calendars people know.
//
// Errors: campaign.bad_schedule.
func AtLocal(wall, zone string) (time.Time, error) {
	loc, err := location(zone)
	if err != nil {
		return time.Time{}, err
	}
	for _, form := range []string{WallClock, WallClock + ":05"} {
		if t, err := time.Parse(form, wall); err == nil {
			return onClock(t, loc), nil
		}
	}
	return time.Time{}, errs.InvalidField("campaign.bad_schedule", "/scheduled_local", "a date and time like 2026-11-25T09:30")
}

func location(zone string) (*time.Location, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, errs.InvalidField("campaign.bad_schedule", "/time_zone", "an IANA time zone like Asia/Kolkata")
	}
	return loc, nil
}

// onClock is AtLocal for a wall clock that was read as UTC.
func onClock(wall time.Time, loc *time.Location) time.Time {
	// No zone changes its offset twice within two days.
	_, before := wall.Add(-24 * time.Hour).In(loc).Zone()
	_, after := wall.Add(24 * time.Hour).In(loc).Zone()
	first := wall.Add(-time.Duration(before) * time.Second)
	second := wall.Add(-time.Duration(after) * time.Second)
	if !shows(first, wall, loc) && shows(second, wall, loc) {
		return second
	}
	// The first of two, the only one, or, in a gap, what the old offset makes of it.
	return first
}

func shows(t, wall time.Time, loc *time.Location) bool {
	local := t.In(loc)
	_, offset := local.Zone()
	return local.Add(time.Duration(offset) * time.Second).UTC().Equal(wall)
}

// Misfire says what becomes of a campaign that could not start at its time: the platform
// was down, or it was approved late.
type Misfire string

// The policies.
const (
	MisfireSend Misfire = "SEND" // send late
	MisfireSkip Misfire = "SKIP" // cancel it, with the reason, and give the money back
	MisfireAsk  Misfire = "ASK"  // halt until a person resumes or cancels it
)

// Misfires returns every policy.
func Misfires() []Misfire { return []Misfire{MisfireSend, MisfireSkip, MisfireAsk} }

// DefaultTolerance is how late a start is no misfire unless the vendor says otherwise:
// a deploy or a restart passes within it.
const DefaultTolerance = 15 * time.Minute

// maxTolerance bounds what a vendor may say.
const maxTolerance = 7 * 24 * time.Hour

// HaltStartMissed is the reason of a campaign that was too late to start and waits for a
// person (HALTED), or was given up (CANCELLED).
const HaltStartMissed = "START_MISSED"

// Starting returns what a campaign due at scheduled (zero: at once) comes to at now:
// Prepare, Halt or Cancel.
func Starting(scheduled, now time.Time, policy Misfire, tolerance time.Duration) Event {
	if scheduled.IsZero() || now.Sub(scheduled) <= tolerance {
		return Prepare
	}
	switch policy {
	case MisfireSkip:
		return Cancel
	case MisfireAsk:
		return Halt
	case MisfireSend:
	}
	return Prepare
}

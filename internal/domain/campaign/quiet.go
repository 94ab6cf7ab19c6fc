package campaign

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// QuietHours is the part of each day in which nobody is written to, by the recipient's
// own clock: from From (inclusive) to To (exclusive), in minutes after midnight. To may
// be the smaller one: the hours then run over midnight. The zero value is none.
type QuietHours struct{ From, To int }

const dayMinutes = 24 * 60

// ParseQuietHours reads "21:00" and "08:00". Two empty texts are no quiet hours.
//
// Errors: campaign.bad_quiet_hours.
func ParseQuietHours(from, to string) (QuietHours, error) {
	if from == "" && to == "" {
		return QuietHours{}, nil
	}
	var q QuietHours
	for _, part := range []struct {
		text, pointer string
		minutes       *int
	}{{from, "/quiet_hours/from", &q.From}, {to, "/quiet_hours/to", &q.To}} {
		t, err := time.Parse("15:04", part.text)
		if err != nil {
			return QuietHours{}, errs.InvalidField("campaign.bad_quiet_hours", part.pointer, "a time of day like 21:00")
		}
		*part.minutes = t.Hour()*60 + t.Minute()
	}
	if q.From == q.To {
		return QuietHours{}, errs.InvalidField("campaign.bad_quiet_hours", "/quiet_hours", "from and to are the same: no time of day would be left")
	}
	return q, nil
}

// Clock writes the two times of day as ParseQuietHours reads them.
func (q QuietHours) Clock() (from, to string) {
	if q.IsZero() {
		return "", ""
	}
	write := func(m int) string { return fmt.Sprintf("%02d:%02d", m/60, m%60) }
	return write(q.From), write(q.To)
}

// IsZero tells whether there are none.
func (q QuietHours) IsZero() bool { return q == QuietHours{} }

// Quiet tells whether t falls into them on zone's clock.
func (q QuietHours) Quiet(t time.Time, zone *time.Location) bool {
	if q.IsZero() {
		return false
	}
	local := t.In(zone)
	m := local.Hour()*60 + local.Minute()
	if q.From < q.To {
		return q.From <= m && m < q.To
	}
	return m >= q.From || m < q.To
}

// Next returns the first moment, t or later, at which somebody may be written to who is
// in one of zones, nobody knows in which. It is a moment that is quiet in none of them.
// Where zones lie so far apart that no such moment exists (a number of the whole North
// American plan), it is the first one that is quiet in the fewest. Without zones it is t.
//
// Summer time: what counts is what the clock shows. An end that the clock skips comes
// when the clock has jumped; hours that it shows twice are quiet both times.
func (q QuietHours) Next(t time.Time, zones []*time.Location) time.Time {
	if q.IsZero() {
		return t
	}
	// The number of zones in which it is quiet falls only where quiet hours end.
	moments := []time.Time{t}
	for _, z := range zones {
		moments = append(moments, q.end(t, z))
	}
	slices.SortFunc(moments, time.Time.Compare)
	best, fewest := t, len(zones)+1
	for _, m := range moments {
		n := 0
		for _, z := range zones {
			if q.Quiet(m, z) {
				n++
			}
		}
		if n < fewest {
			best, fewest = m, n
		}
	}
	return best
}

// end returns when quiet hours next end on zone's clock, after t.
func (q QuietHours) end(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	for days := range 3 {
		wall := time.Date(local.Year(), local.Month(), local.Day()+days, 0, q.To, 0, 0, time.UTC)
		if end := onClock(wall, zone); end.After(t) {
			return end
		}
		// The clock was set back between: it shows the end a second time.
		_, offset := local.Zone()
		if again := wall.Add(-time.Duration(offset) * time.Second); again.After(t) {
			return again
		}
	}
	return t.Add(dayMinutes * time.Minute) // no zone skips three days
}

// Zones turns what the store keeps of a recipient, IANA names with commas between them,
// into clocks. It is not safe for concurrent use: one value serves one page or claim.
type Zones struct{ known map[string][]*time.Location }

// JoinZones is the form in which a recipient's zones are stored.
func JoinZones(names []string) string { return strings.Join(names, ",") }

// Locations reads what JoinZones wrote. Names that this build does not know are left out.
func (z *Zones) Locations(joined string) []*time.Location {
	if joined == "" {
		return nil
	}
	if out, ok := z.known[joined]; ok {
		return out
	}
	var out []*time.Location
	for name := range strings.SplitSeq(joined, ",") {
		if l, err := time.LoadLocation(name); err == nil {
			out = append(out, l)
		}
	}
	if z.known == nil {
		z.known = map[string][]*time.Location{}
	}
	z.known[joined] = out
	return out
}

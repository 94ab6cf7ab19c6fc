package campaign

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// The errors of campaigns.
var (
	ErrNotFound     = errs.New(errs.NotFound, "campaign.not_found", "no such campaign")
	ErrVersion      = errs.New(errs.Conflict, "campaign.version_conflict", "the campaign has changed since: read it again")
	ErrQuotedBefore = errs.New(errs.Conflict, "campaign.has_quotations", "quotations were issued for the campaign: cancel it instead")
	ErrAudienceGrew = errs.New(errs.Conflict, "campaign.audience_grew",
		"more people are in the audience than were quoted: accept a further quotation or cancel the campaign")
)

// NewCampaign is a campaign as a vendor writes it.
type NewCampaign struct {
	Name         string
	Template     template.ID
	SenderNumber waba.NumberID
	Audience     NamedAudience
	Parameters   Parameters
	ScheduledAt  time.Time // zero: as soon as it is approved
	Wall         string    // instead of ScheduledAt: what the clocks of TimeZone show then
	TimeZone     string    // IANA; "": the vendor's
	Misfire      Misfire   // "": MisfireSend
	Tolerance    time.Duration
	Quiet        QuietHours
	Lifetime     time.Duration // from its start to its end; zero: DefaultLifetime
	By           vendor.UserID
}

// Campaign is one message to many people.
type Campaign struct {
	ID           ID
	Kind         Kind
	Parent       ID // of a replay: the campaign whose messages failed
	Name         string
	State        State
	HaltReason   string    // why it is HALTED, else ""
	HaltRemedy   string    // what the vendor can do about it
	HaltUntil    time.Time // when it goes on by itself; zero: not by time
	ExpiresAt    time.Time // what has not left by then does not; zero: not started, or no end
	Lifetime     time.Duration
	Template     template.ID
	SenderNumber waba.NumberID
	Category     pricing.Category
	Audience     Audience
	Parameters   Parameters
	ScheduledAt  time.Time
	TimeZone     string // IANA, of what is shown to the vendor
	Misfire      Misfire
	Tolerance    time.Duration // how late its start is no misfire
	Quiet        QuietHours
	Further      string // the quotation of what the audience grew by, once accepted
	Quotation    string // the standing or accepted quotation's id, "" before one
	Month        int32  // yyyymm of its messages' partition, 0 before they are made
	Frozen       int64  // messages made from the audience so far
	Version      int64
	CreatedBy    vendor.UserID
	CreatedAt    time.Time
	ApprovedAt   time.Time // zero, as those below, until it happens
	FrozenAt     time.Time
	StartedAt    time.Time
	FinishedAt   time.Time
}

// Grew tells whether c waits for a further hold: its frozen audience goes beyond its
// quotation.
func (c Campaign) Grew() bool {
	return (c.State == Halted || c.State == Paused) && c.HaltReason == HaltAudienceGrew
}

// How long a campaign lasts from its start: what has not left by then does not. The bounds
// are the product's own; the longest wait that Meta asks for takes seven days.
const (
	DefaultLifetime = 72 * time.Hour
	minLifetime     = time.Hour
	maxLifetime     = 30 * 24 * time.Hour
)

// maxName bounds a campaign's name, in characters.
const maxName = 120

// Validate returns n in the form in which it is stored, or what to change. variables
// are those of its template.
//
// Errors: campaign.bad_name, campaign.bad_audience, campaign.bad_parameters,
// campaign.bad_schedule, campaign.bad_misfire, campaign.bad_lifetime.
func (n NewCampaign) Validate(variables []template.Variable, now time.Time) (NewCampaign, error) {
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" || utf8.RuneCountInString(n.Name) > maxName {
		return n, errs.InvalidField("campaign.bad_name", "/name", "1 to 120 characters")
	}
	var err error
	if n.Audience, err = n.Audience.Normalize(); err != nil {
		return n, err
	}
	if err := n.Parameters.Cover(variables); err != nil {
		return n, err
	}
	if n.Misfire == "" {
		n.Misfire = MisfireSend
	}
	if !slices.Contains(Misfires(), n.Misfire) {
		return n, errs.InvalidField("campaign.bad_misfire", "/misfire_policy", "SEND, SKIP or ASK")
	}
	if n.Tolerance < 0 || n.Tolerance > maxTolerance {
		return n, errs.InvalidField("campaign.bad_misfire", "/misfire_tolerance_seconds", "0 to 604,800 seconds")
	}
	if n.Lifetime == 0 {
		n.Lifetime = DefaultLifetime
	}
	if n.Lifetime < minLifetime || n.Lifetime > maxLifetime {
		return n, errs.InvalidField("campaign.bad_lifetime", "/expires_after_hours", "1 to 720 hours")
	}
	n.ScheduledAt, err = StartTime(n.ScheduledAt, n.Wall, n.TimeZone, now)
	n.Wall = ""
	return n, err
}

// StartTime returns the moment a vendor means by at, or by wall on zone's clocks; zero when
// both are empty: as soon as possible.
//
// Errors: campaign.bad_schedule.
func StartTime(at time.Time, wall, zone string, now time.Time) (time.Time, error) {
	if _, err := location(zone); err != nil {
		return at, err
	}
	if wall != "" {
		if !at.IsZero() {
			return at, errs.InvalidField("campaign.bad_schedule", "/scheduled_local", "give scheduled_at or scheduled_local, not both")
		}
		var err error
		if at, err = AtLocal(wall, zone); err != nil {
			return at, err
		}
	}
	if !at.IsZero() && at.Before(now) {
		return at, errs.InvalidField("campaign.bad_schedule", "/scheduled_at", "a time to come")
	}
	return at, nil
}

// Spec is c as its vendor would write it again, for an edit or a copy.
func (c Campaign) Spec() NewCampaign {
	named := func(ids []LabelID) []string {
		out := make([]string, len(ids))
		for i, l := range ids {
			out[i] = c.Audience.Names[l]
		}
		return out
	}
	return NewCampaign{
		Name: c.Name, Template: c.Template, SenderNumber: c.SenderNumber, Parameters: c.Parameters,
		Audience: NamedAudience{
			AnyLabels: named(c.Audience.AnyLabels), AllLabels: named(c.Audience.AllLabels), ExcludedLabels: named(c.Audience.ExcludedLabels),
		},
		ScheduledAt: c.ScheduledAt, TimeZone: c.TimeZone, Misfire: c.Misfire, Tolerance: c.Tolerance, Quiet: c.Quiet,
		Lifetime: c.Lifetime, By: c.CreatedBy,
	}
}

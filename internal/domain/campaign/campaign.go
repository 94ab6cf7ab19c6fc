package campaign

import (
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
	ErrAudienceGrew = errs.New(errs.Conflict, "campaign.audience_grew",
		"more people are in the audience than were quoted: cancel the campaign and have a new one quoted")
)

// NewCampaign is a campaign as a vendor writes it.
type NewCampaign struct {
	Name         string
	Template     template.ID
	SenderNumber waba.NumberID
	Audience     NamedAudience
	Parameters   Parameters
	ScheduledAt  time.Time // zero: as soon as it is approved
	TimeZone     string    // IANA; "": the vendor's
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
	Template     template.ID
	SenderNumber waba.NumberID
	Category     pricing.Category
	Audience     Audience
	Parameters   Parameters
	ScheduledAt  time.Time
	TimeZone     string // IANA, of what is shown to the vendor
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

// maxName bounds a campaign's name, in characters.
const maxName = 120

// Validate returns n in the form in which it is stored, or what to change. variables
// are those of its template.
//
// Errors: campaign.bad_name, campaign.bad_audience, campaign.bad_parameters,
// campaign.bad_schedule.
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
	if _, err := time.LoadLocation(n.TimeZone); err != nil || n.TimeZone == "Local" {
		return n, errs.InvalidField("campaign.bad_schedule", "/time_zone", "an IANA time zone like Asia/Kolkata")
	}
	if !n.ScheduledAt.IsZero() && n.ScheduledAt.Before(now) {
		return n, errs.InvalidField("campaign.bad_schedule", "/scheduled_at", "a time to come")
	}
	return n, nil
}

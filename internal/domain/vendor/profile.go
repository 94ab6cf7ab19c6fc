package vendor

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Vendor is a tenant and its settings.
type Vendor struct {
	ID            ID
	Name          string
	Plan          string // which platform fees apply
	Status        Status
	DefaultRegion string // ISO 3166-1 alpha-2: how national phone numbers are read
	Currency      string // ISO 4217: of the wallet, fixed at registration
	TimeZone      string // IANA: how schedules and quiet hours are read
	Version       int64  // grows with every change
	CreatedAt     time.Time

	// What becomes of messages whose outcome Meta never told, marketing ones and all others:
	// the names of failure.Policy; "": as the platform does.
	UnknownMarketing, UnknownUtility string
}

// User is a person who works for a vendor.
type User struct {
	ID            UserID
	Vendor        ID
	Email         string // lower case
	Name          string
	PasswordHash  string // argon2id, PHC string
	Role          Role
	Disabled      bool
	EmailVerified bool
	CreatedAt     time.Time
}

// Limits of what a vendor types in, in characters. A name longer than a hundred does
// not fit the quotation's head; a password's upper bound keeps hashing cheap.
const (
	maxName     = 100
	minPassword = 10
	maxPassword = 128
)

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// Check tells what is wrong with the settings.
//
// Errors: vendor.name_invalid, vendor.region_unknown, vendor.currency_unknown,
// vendor.time_zone_unknown.
func (v Vendor) Check() error {
	switch {
	case !printable(v.Name):
		return errs.InvalidField("vendor.name_invalid", "/name", "give a name of 1 to 100 printable characters")
	case !phonenumbers.GetSupportedRegions()[v.DefaultRegion]:
		return errs.InvalidField("vendor.region_unknown", "/default_region", "give an ISO 3166 country code like IN")
	case !currencyCode.MatchString(v.Currency):
		return errs.InvalidField("vendor.currency_unknown", "/currency", "give an ISO 4217 currency code like INR")
	}
	if _, err := time.LoadLocation(v.TimeZone); err != nil || v.TimeZone == "" || v.TimeZone == "Local" {
		return errs.InvalidField("vendor.time_zone_unknown", "/time_zone", "give an IANA time zone like Asia/Kolkata")
	}
	return nil
}

// CheckPassword refuses passwords that are too easy or too long. It must differ from
// the e-mail address; beyond that length is what counts.
//
// Errors: auth.password_weak.
func CheckPassword(password, email string) error {
	n := utf8.RuneCountInString(password)
	if n < minPassword || n > maxPassword || strings.EqualFold(password, email) {
		return errs.InvalidField("auth.password_weak", "/password", "take 10 to 128 characters that are not your e-mail address")
	}
	return nil
}

// CheckPersonName accepts what people are called, and nothing that breaks a mail's head.
//
// Errors: auth.name_invalid.
func CheckPersonName(name string) error {
	if !printable(name) {
		return errs.InvalidField("auth.name_invalid", "/name", "give a name of 1 to 100 printable characters")
	}
	return nil
}

// printable tells whether s is 1 to maxName characters without controls, not all blank.
func printable(s string) bool {
	if n := utf8.RuneCountInString(s); n < 1 || n > maxName || strings.TrimSpace(s) == "" || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// The errors of a vendor's settings and keys.
var (
	ErrVersion       = errs.New(errs.Conflict, "vendor.version_conflict", "the settings have changed since: read them again")
	ErrKeysDestroyed = errs.New(errs.NotFound, "vendor.keys_destroyed", "this vendor's keys are gone, and what they sealed with them")
)

package wallet

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Balances is what a vendor has: Available can be spent, Held is promised to campaigns.
type Balances struct{ Available, Held money.Micros }

// Movement is one posting as a statement shows it: what both balances gained by it,
// negative where they lost. One that moved neither (the platform's own loss) is in none.
type Movement struct {
	ID        string
	Kind      Kind
	Reference string
	Campaign  string // "" where none is concerned
	Name      string // of the campaign
	Actor     string
	Reason    string // of what was booked by hand
	At        time.Time
	Change    Balances
}

// After is b once m has happened.
//
// Errors: money.overflow.
func (b Balances) After(m Movement) (Balances, error) {
	var err error
	if b.Available, err = money.Add(b.Available, m.Change.Available); err != nil {
		return b, err
	}
	b.Held, err = money.Add(b.Held, m.Change.Held)
	return b, err
}

// Period is what a statement covers: from From on, before Until, both in UTC, cut at the
// midnights of the vendor's zone.
type Period struct {
	From, Until time.Time
}

// maxPeriod is how long a statement may be: a leap year.
const maxPeriod = 366 * 24 * time.Hour

// The errors of statements.
var (
	ErrPeriod  = errs.New(errs.Invalid, "wallet.bad_period", "give from and to as dates (2026-10-01), in order, not in the future, a year apart at most")
	ErrTooLong = errs.New(errs.Invalid, "wallet.statement_too_long", "too many entries for this format: take a shorter period, CSV or XLSX")
)

// NewPeriod reads two dates, both included, in the vendor's zone; empty is the month of now
// so far. What is still to come is cut off at now.
//
// Errors: wallet.bad_period.
func NewPeriod(from, to string, zone *time.Location, now time.Time) (Period, error) {
	local := now.In(zone)
	first := time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, zone)
	last := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone)
	var err error
	if from != "" {
		if first, err = time.ParseInLocation(time.DateOnly, from, zone); err != nil {
			return Period{}, ErrPeriod
		}
	}
	if to != "" {
		if last, err = time.ParseInLocation(time.DateOnly, to, zone); err != nil {
			return Period{}, ErrPeriod
		}
	}
	p := Period{From: first.UTC(), Until: last.AddDate(0, 0, 1).UTC()}
	if p.Until.After(now) {
		p.Until = now.UTC()
	}
	if !p.From.Before(p.Until) || p.Until.Sub(p.From) > maxPeriod {
		return Period{}, ErrPeriod
	}
	return p, nil
}

// Statement is the head of a vendor's account of a period. Opening and the movements come
// to Closing.
type Statement struct {
	Vendor   string // its name
	Currency money.Currency
	Zone     *time.Location // of its dates
	Period

	Opening, Closing Balances
	Entries          int // how many movements follow
}

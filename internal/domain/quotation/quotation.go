// Package quotation is what a vendor is offered for a campaign: the priced lines, how
// long they hold, and where their PDF stands. How they are priced is package pricing's.
package quotation

import (
	"fmt"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names a quotation. The zero value names none.
type ID string

// Status is what has become of a quotation.
type Status string

// The states of a quotation. EXPIRED is written by whoever finds it out; an ISSUED one
// past its time is no better.
const (
	Issued     Status = "ISSUED"
	Accepted   Status = "ACCEPTED"
	Expired    Status = "EXPIRED"
	Superseded Status = "SUPERSEDED" // by a later one of the same campaign
)

// Statuses returns every status.
func Statuses() []Status { return []Status{Issued, Accepted, Expired, Superseded} }

// PDFStatus is where a quotation's document stands.
type PDFStatus string

// The states of a document.
const (
	PDFPending    PDFStatus = "PENDING"
	PDFGenerating PDFStatus = "GENERATING"
	PDFReady      PDFStatus = "READY"
	PDFFailed     PDFStatus = "FAILED"
)

// PDFStatuses returns every state of a document.
func PDFStatuses() []PDFStatus { return []PDFStatus{PDFPending, PDFGenerating, PDFReady, PDFFailed} }

// Again tells whether a document is to be made again when somebody asks for that: one that
// failed is, one that is on its way is not, and needs no second one.
//
// Errors: quotation.pdf_ready.
func (s PDFStatus) Again() (bool, error) {
	switch s {
	case PDFFailed:
		return true, nil
	case PDFReady:
		return false, ErrPDFReady
	case PDFPending, PDFGenerating:
	}
	return false, nil
}

// PDFReason says for people what the code of a document's failure means. A code it does not
// know is ours to look into.
func PDFReason(code string) string {
	switch code {
	case "blob.unavailable", "quotation.timeout":
		return "the store for documents did not answer for an hour: have it made again"
	case "quotation.stopped":
		return "the making of the document was stopped: have it made again"
	case "blob.not_found":
		return "the logo is gone: upload it again, then have the document made again"
	}
	return "the document could not be drawn: have it made again, and tell us if that fails"
}

// Validity is how long a quotation can be accepted. A week: prices change on the first
// of a quarter only, audiences daily.
const Validity = 7 * 24 * time.Hour

// The errors of quotations.
var (
	ErrNotFound      = errs.New(errs.NotFound, "quotation.not_found", "no such quotation")
	ErrExpired       = errs.New(errs.Conflict, "quotation.expired", "the quotation is not valid any more: have a new one issued")
	ErrNotStanding   = errs.New(errs.Conflict, "quotation.not_standing", "the quotation was replaced or accepted before")
	ErrOtherCampaign = errs.New(errs.Conflict, "quotation.other_campaign", "the quotation is for another campaign")
	ErrPDFNotReady   = errs.New(errs.Conflict, "quotation.pdf_not_ready", "the document is not ready")
	ErrPDFFailed     = errs.New(errs.Conflict, "quotation.pdf_failed", "the document could not be made: pdf_reason of the quotation says why; have it made again")
	ErrPDFReady      = errs.New(errs.Conflict, "quotation.pdf_ready", "the document is there: it need not be made again")
	ErrTampered      = errs.New(errs.Internal, "quotation.fingerprint_mismatch", "the stored quotation does not recompute to its fingerprint")
)

// Quotation is an offer as it was issued.
type Quotation struct {
	ID               ID
	Campaign         campaign.ID
	Number           string // for people: Q-2026-000123
	Status           Status
	Inputs           pricing.Inputs
	Quote            pricing.Quote
	Fingerprint      []byte
	WalletSufficient bool // when it was issued
	ExpiresAt        time.Time
	PDF              PDFStatus
	PDFKey           string // in the object store, once READY
	PDFError         string // code, once FAILED
	CreatedAt        time.Time
}

// Number makes the number that people see, from how many the vendor had before in all.
func Number(year, before int) string { return fmt.Sprintf("Q-%04d-%06d", year, before+1) }

// CheckAccept tells whether c may be approved on q at now.
//
// Errors: quotation.other_campaign, quotation.not_standing, quotation.expired.
func (q Quotation) CheckAccept(c campaign.ID, now time.Time) error {
	switch {
	case q.Campaign != c:
		return ErrOtherCampaign
	case q.Status != Issued:
		return ErrNotStanding
	case !now.Before(q.ExpiresAt):
		return ErrExpired
	}
	return nil
}

// Missing is how much balance lacks to pay q, nothing when it suffices.
func (q Quotation) Missing(balance money.Micros) money.Micros { return max(q.Quote.Total-balance, 0) }

// Verify computes the quotation again from its stored inputs and compares.
//
// Errors: quotation.fingerprint_mismatch, and those of pricing.Compute.
func (q Quotation) Verify() (pricing.Quote, error) {
	again, err := pricing.Compute(q.Inputs)
	if err != nil {
		return again, err
	}
	print, err := pricing.Fingerprint(q.Inputs, again)
	if err != nil {
		return again, err
	}
	if string(print) != string(q.Fingerprint) {
		return again, ErrTampered
	}
	return again, nil
}

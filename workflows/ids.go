// Package workflows is deterministic code only: it holds order and patience, decides
// nothing a rule in internal/domain decides, and acts through activities. Inputs are
// ids; histories are an API: input structs only grow.
package workflows

import (
	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// Task queues. Each has a worker of its own concurrency.
const (
	QueueCore   = "core"   // workflows, and activities that only touch the database
	QueueSend   = "send"   // activities that call Meta
	QueueImport = "import" // chunks
	QueuePDF    = "pdf"    // rendering: processor-bound
)

// Signals. All are doorbells without state: the workflow re-reads its row.
const (
	SignalChanged = "changed" // the campaign's row changed, or it is drained
	SignalMapping = "mapping" // the import's mapping was confirmed, or it was cancelled
	SignalRetry   = "retry"   // an operator's word on a parked import: {"mode": "resume" | "skip_chunk" | "restart"}
	SignalAbort   = "abort"
	SignalSettle  = "settle"
	SignalInbound = "inbound"
	SignalSync    = "sync" // the templates are to be read (again)
)

// The wait reasons of a campaign that is not halted; a halt's reason is its own.
const (
	WaitSchedule   = "SCHEDULE"    // for its time
	WaitPaused     = "PAUSED"      // for a person
	WaitRetryLater = "RETRY_LATER" // running, and all of whose messages left are put off for long
)

// CampaignID is the workflow id of a campaign's CampaignDispatch.
func CampaignID(v vendor.ID, c campaign.ID) string { return "campaign/" + string(v) + "/" + string(c) }

// DispatchID is the workflow id of a batch of claims.
func DispatchID(batch string) string { return "dispatch/" + batch }

// SettlementID is the workflow id of a vendor's Settlement.
func SettlementID(v vendor.ID) string { return "settlement/" + string(v) }

// InboundID is the workflow id of what is written to a vendor.
func InboundID(v vendor.ID) string { return "inbound/" + string(v) }

// ImportID is the workflow id of a contact import.
func ImportID(v vendor.ID, job string) string { return "contact-import/" + string(v) + "/" + job }

// QuotationID is the workflow id of a quotation's PDF.
func QuotationID(v vendor.ID, quotation string) string {
	return "quotation/" + string(v) + "/" + quotation
}

// TemplateSyncID is the workflow id of a WABA's template sync.
func TemplateSyncID(v vendor.ID, waba string) string {
	return "template-sync/" + string(v) + "/" + waba
}

// UserMailID is the workflow id of a user's verification mail.
func UserMailID(v vendor.ID, user string) string { return "user-mail/" + string(v) + "/" + user }

// WalletAlertID is the workflow id of the mail that a vendor's wallet runs low.
func WalletAlertID(v vendor.ID) string { return "wallet-alert/" + string(v) }

// The schedules, whose runs have their ids with the time behind them.
const (
	ScheduleReconcile   = "wallet-reconcile"
	ScheduleMetaBilling = "meta-billing"
)

// Search attributes, as temporal-config registers them.
//
//nolint:gochecknoglobals // typed keys are constants that Go cannot spell as such
var (
	VendorIDKey   = temporal.NewSearchAttributeKeyKeywordList("VendorId")
	CampaignIDKey = temporal.NewSearchAttributeKeyKeyword("CampaignId")
	ImportIDKey   = temporal.NewSearchAttributeKeyKeyword("ImportId")
	JobStatusKey  = temporal.NewSearchAttributeKeyKeyword("JobStatus")
	WaitReasonKey = temporal.NewSearchAttributeKeyKeyword("WaitReason")
)

package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// QuotationPDFInput names a quotation. It lives in histories: add fields, never rename one.
type QuotationPDFInput struct {
	Vendor    vendor.ID    `json:"vendor"`
	Quotation quotation.ID `json:"quotation"`
}

// quotationPatience is how long the object store may be away before the document is
// given up: a vendor who waits longer has had a new quotation issued.
const quotationPatience = time.Hour

// QuotationPDF makes a quotation's document. Its row goes from PENDING over GENERATING to
// READY, or to FAILED when the document cannot be made; a failure to note that is the
// workflow's own.
func QuotationPDF(ctx workflow.Context, in QuotationPDFInput) (activities.QuotationPDF, error) {
	var quotations *activities.Quotations // nil: only its method names are used
	ref := activities.QuotationRef{Vendor: in.Vendor, Quotation: in.Quotation}
	retry := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	render := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              QueuePDF,
		StartToCloseTimeout:    time.Minute, // a document of a hundred countries takes a tenth of a second
		ScheduleToCloseTimeout: quotationPatience,
		RetryPolicy:            retry,
		Summary:                "draw and store the document",
	})
	var made activities.QuotationPDF
	err := workflow.ExecuteActivity(render, quotations.RenderQuotation, ref).Get(ctx, &made)
	if err == nil {
		return made, workflow.UpsertTypedSearchAttributes(ctx, JobStatusKey.ValueSet(string(quotation.PDFReady)))
	}
	// Also when the workflow was cancelled: the vendor must not wait for ever.
	after, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	note := workflow.WithActivityOptions(after, workflow.ActivityOptions{
		TaskQueue: QueueCore, StartToCloseTimeout: 30 * time.Second, RetryPolicy: retry, Summary: "note the failure",
	})
	failure := activities.QuotationFailure{QuotationRef: ref, Code: failureCode(err)}
	if err := workflow.ExecuteActivity(note, quotations.FailQuotation, failure).Get(after, nil); err != nil {
		return made, err
	}
	return made, errors.Join(err, workflow.UpsertTypedSearchAttributes(after, JobStatusKey.ValueSet(string(quotation.PDFFailed))))
}

// failureCode is the permanent code of an activity's failure.
func failureCode(err error) string {
	if e, ok := errors.AsType[*temporal.ApplicationError](err); ok && e.Type() != "" {
		return e.Type()
	}
	if temporal.IsTimeoutError(err) {
		return "quotation.timeout"
	}
	return "quotation.stopped"
}

package outbox

import (
	"context"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
	"github.com/kloyst/kloyst-core/workflows"
)

// work does what one event asks for. The kinds are the outbox's vocabulary: whoever
// enqueues a new one adds its line here.
func (r *Relay) work(ctx context.Context, v vendor.ID, e store.Event) error {
	switch e.Kind {
	case "campaign.approved":
		// Approved again after its approval was taken back, the first run may still be there:
		// the doorbell makes it read the row again, or a second run begins.
		return r.signalWithStart(ctx, v, workflows.SignalChanged, r.startingOf(e, v))
	case "quotation.issued", "user.registered", "import.uploaded", "wallet.low":
		return r.start(ctx, v, r.startingOf(e, v))
	case "campaign.changed", "campaign.drained":
		return r.signal(ctx, workflows.CampaignID(v, campaign.ID(e.Subject)), workflows.SignalChanged)
	case "inbound.received":
		return r.signalWithStart(ctx, v, workflows.SignalInbound, starting{
			id: workflows.InboundID(v), summary: "What persons wrote", workflow: workflows.Inbound,
			input: workflows.InboundInput{Vendor: v},
		})
	case "settlement.due", "singles.month_over", "singles.halt_over": // a standing campaign is settled with the rest
		return r.signalWithStart(ctx, v, workflows.SignalSettle, starting{
			id: workflows.SettlementID(v), summary: "Settlement of webhooks", workflow: workflows.Settlement,
			input: workflows.SettlementInput{Vendor: v},
		})
	case "waba.template_sync":
		return r.signalWithStart(ctx, v, workflows.SignalSync, starting{
			id: workflows.TemplateSyncID(v, e.Subject), summary: "Template sync", workflow: workflows.TemplateSync,
			input: workflows.TemplateSyncInput{Vendor: v, WABA: waba.ID(e.Subject)},
		})
	case "import.mapping_confirmed", "import.cancelled", "import.operator":
		return r.signal(ctx, workflows.ImportID(v, e.Subject), workflows.SignalMapping)
	default:
		return errs.New(errs.Invalid, "outbox.unknown_kind", "no workflow for events of kind "+e.Kind)
	}
}

// startingOf is the workflow that an event of a starting kind asks for.
func (r *Relay) startingOf(e store.Event, v vendor.ID) starting {
	switch e.Kind {
	case "campaign.approved":
		c := campaign.ID(e.Subject)
		return starting{
			id: workflows.CampaignID(v, c), summary: "Campaign dispatch", workflow: workflows.CampaignDispatch,
			input: workflows.CampaignDispatchInput{Vendor: v, Campaign: c},
			attrs: []temporal.SearchAttributeUpdate{workflows.CampaignIDKey.ValueSet(e.Subject)},
		}
	case "quotation.issued":
		return starting{
			id: workflows.QuotationID(v, e.Subject), summary: "Quotation document", workflow: workflows.QuotationPDF,
			input: workflows.QuotationPDFInput{Vendor: v, Quotation: quotation.ID(e.Subject)},
			reuse: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY, // a document that failed may be asked for again
		}
	case "user.registered":
		return starting{
			id: workflows.UserMailID(v, e.Subject), summary: "Verification mail", workflow: workflows.UserMail,
			input: workflows.UserMailInput{Vendor: v, User: vendor.UserID(e.Subject)},
			reuse: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, // a user may ask for another one
		}
	case "wallet.low":
		return starting{
			id: workflows.WalletAlertID(v), summary: "Low balance mail", workflow: workflows.WalletAlert,
			input: workflows.WalletAlertInput{Vendor: v},
			reuse: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, // once a crossing; the wallet says which
		}
	default: // import.uploaded
		return starting{
			id: workflows.ImportID(v, e.Subject), summary: "Contact import", workflow: workflows.ContactImport,
			input: workflows.ContactImportInput{Vendor: v, Import: importing.ID(e.Subject)},
			attrs: []temporal.SearchAttributeUpdate{workflows.ImportIDKey.ValueSet(e.Subject)},
		}
	}
}

// starting is one workflow to be started from an event.
type starting struct {
	id, summary string
	workflow    any
	input       any
	attrs       []temporal.SearchAttributeUpdate
	reuse       enumspb.WorkflowIdReusePolicy // zero: never again under this id
}

// start starts a workflow once: one that runs or has run under the id is success.
func (r *Relay) start(ctx context.Context, v vendor.ID, s starting) error {
	_, err := r.startNew(ctx, v, s)
	return err
}

// startNew is start, and tells whether it was this call that started the workflow.
func (r *Relay) startNew(ctx context.Context, v vendor.ID, s starting) (started bool, err error) {
	reuse := s.reuse
	if reuse == enumspb.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED {
		reuse = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	}
	_, err = r.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: s.id, TaskQueue: workflows.QueueCore, StaticSummary: s.summary,
		WorkflowIDReusePolicy:                    reuse,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL, // so that it says so
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    attributes(v, s.attrs),
	}, s.workflow, s.input)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return false, nil
	}
	return err == nil, err
}

func attributes(v vendor.ID, more []temporal.SearchAttributeUpdate) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(append([]temporal.SearchAttributeUpdate{workflows.VendorIDKey.ValueSet([]string{string(v)})}, more...)...)
}

// signal rings a workflow's doorbell. One that is over, or not there yet, needs none:
// it reads its row when it starts.
func (r *Relay) signal(ctx context.Context, workflowID, name string) error {
	err := r.Temporal.SignalWorkflow(ctx, workflowID, "", name, nil)
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return nil
	}
	return err
}

// signalWithStart rings a workflow's doorbell and starts the workflow if it does not run.
func (r *Relay) signalWithStart(ctx context.Context, v vendor.ID, name string, s starting) error {
	_, err := r.Temporal.SignalWithStartWorkflow(ctx, s.id, name, nil, client.StartWorkflowOptions{
		ID: s.id, TaskQueue: workflows.QueueCore, StaticSummary: s.summary, TypedSearchAttributes: attributes(v, s.attrs),
	}, s.workflow, s.input)
	return err
}

// startDispatch starts the workflow of one batch of claims. A batch whose workflow is
// running is left to it; one whose workflow is over, with claims still open, runs again
// under the same id: the claim rows tell it what is left.
func (r *Relay) startDispatch(ctx context.Context, claims []store.Claim) error {
	in := workflows.DispatchBatchInput{Batch: claims[0].Batch}
	vendors := []string{}
	for _, c := range claims {
		in.Groups = append(in.Groups, workflows.DispatchGroup{Vendor: c.Vendor, Claim: string(c.ID), Rows: len(c.Messages), Single: c.Kind == store.SingleLane})
		vendors = append(vendors, string(c.Vendor))
	}
	attrs := []temporal.SearchAttributeUpdate{workflows.VendorIDKey.ValueSet(vendors)}
	if len(claims) == 1 {
		attrs = append(attrs, workflows.CampaignIDKey.ValueSet(string(claims[0].Campaign)))
	}
	callCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := r.Temporal.ExecuteWorkflow(callCtx, client.StartWorkflowOptions{
		ID: workflows.DispatchID(in.Batch), TaskQueue: workflows.QueueCore,
		StaticSummary:            fmt.Sprintf("%d messages of %d vendors", rows(claims), len(claims)),
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(attrs...),
	}, workflows.DispatchBatch, in)
	return err
}

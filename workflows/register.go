package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Register names every workflow to a worker or a replayer. Names are part of histories.
func Register(r worker.WorkflowRegistry) {
	for name, wf := range map[string]any{
		"CampaignDispatch": CampaignDispatch,
		"ContactImport":    ContactImport,
		"DispatchBatch":    DispatchBatch,
		"Inbound":          Inbound,
		"MetaBilling":      MetaBilling,
		"QuotationPDF":     QuotationPDF,
		"Settlement":       Settlement,
		"TemplateSync":     TemplateSync,
		"UserMail":         UserMail,
		"WalletAlert":      WalletAlert,
		"WalletReconcile":  WalletReconcile,
	} {
		r.RegisterWorkflowWithOptions(wf, workflow.RegisterOptions{Name: name})
	}
}

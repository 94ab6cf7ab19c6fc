package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/workflows"
)

func pdfInput() workflows.QuotationPDFInput {
	return workflows.QuotationPDFInput{Vendor: aVendor, Quotation: "0190b0a0-0000-7000-8000-000000000009"}
}

func TestQuotationPDF_TriesUntilItIsMade(t *testing.T) {
	t.Parallel()
	env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
	var quotations *activities.Quotations
	runs := 0
	env.OnActivity(quotations.RenderQuotation, mock.Anything, activities.QuotationRef(pdfInput())).Return(
		func(context.Context, activities.QuotationRef) (activities.QuotationPDF, error) {
			if runs++; runs < 4 {
				return activities.QuotationPDF{}, temporal.NewApplicationError("away", "blob.unavailable")
			}
			return activities.QuotationPDF{Key: "quotations/x.pdf", Bytes: 7}, nil
		})
	env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Once()
	env.ExecuteWorkflow(workflows.QuotationPDF, pdfInput())
	require.NoError(t, env.GetWorkflowError())
	var got activities.QuotationPDF
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, activities.QuotationPDF{Key: "quotations/x.pdf", Bytes: 7}, got)
	require.Equal(t, 4, runs)
	env.AssertExpectations(t)
}

func TestQuotationPDF_NotesWhyItCannotBeMade(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err    error
		cancel bool
		code   string
	}{
		"refused for good":      {temporal.NewNonRetryableApplicationError("gone", "quotation.not_found", nil), false, "quotation.not_found"},
		"away for too long":     {temporal.NewApplicationError("away", "blob.unavailable"), false, "blob.unavailable"},
		"cancelled meanwhile":   {temporal.NewApplicationError("away", "blob.unavailable"), true, "quotation.stopped"},
		"no code of our making": {temporal.NewNonRetryableApplicationError("?", "", nil), false, "quotation.stopped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := new(testsuite.WorkflowTestSuite).NewTestWorkflowEnvironment()
			var quotations *activities.Quotations
			env.OnActivity(quotations.RenderQuotation, mock.Anything, mock.Anything).Return(activities.QuotationPDF{}, tt.err)
			env.OnActivity(quotations.FailQuotation, mock.Anything, activities.QuotationFailure{
				QuotationRef: activities.QuotationRef(pdfInput()), Code: tt.code,
			}).Return(nil).Once()
			env.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Once()
			if tt.cancel {
				env.RegisterDelayedCallback(env.CancelWorkflow, 5*time.Second)
			}
			env.ExecuteWorkflow(workflows.QuotationPDF, pdfInput())
			require.Error(t, env.GetWorkflowError())
			env.AssertExpectations(t)
		})
	}
}

package quotation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/quotation"
)

func TestPDFStatus_Again(t *testing.T) {
	t.Parallel()
	for _, s := range quotation.PDFStatuses() {
		again, err := s.Again()
		require.Equal(t, s == quotation.PDFFailed, again, s)
		if s == quotation.PDFReady {
			require.ErrorIs(t, err, quotation.ErrPDFReady)
		} else {
			require.NoError(t, err, s)
		}
	}
}

func TestPDFReason_SaysSomethingOfEveryCode(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, quotation.PDFReason("blob.unavailable"), quotation.PDFReason("pdf.fonts"))
	require.NotEmpty(t, quotation.PDFReason(""))
}

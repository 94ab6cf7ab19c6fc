package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

func TestImportOperator_WordsAreTakenOnlyWhileItIsParked(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 10, 10)
	events := func() (n int) {
		t.Helper()
		require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE kind = 'import.operator' AND subject_id = $1`, i).Scan(&n))
		return n
	}
	asked := func() importing.RetryMode {
		t.Helper()
		mode, err := b.ImportRetryMode(t.Context(), b.v, i)
		require.NoError(t, err)
		return mode
	}
	why := store.Reason{Code: "import.aborted", Text: "given up"}
	require.ErrorIs(t, b.RetryImport(t.Context(), b.v, i, importing.Resume), importing.ErrNotParked)
	require.ErrorIs(t, b.AbortImport(t.Context(), b.v, i, why), importing.ErrNotParked)

	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.NeedsOperator, store.Reason{Code: "blob.unavailable", Text: "away"}))
	require.ErrorIs(t, b.RetryImport(t.Context(), b.v, i, "all"), importing.ErrRetryMode)
	require.ErrorIs(t, b.RetryImport(t.Context(), b.v, i, importing.SkipChunk), importing.ErrNothingToSkip)
	require.ErrorIs(t, b.RetryImport(t.Context(), addVendor(t, b.db), i, importing.Resume), importing.ErrNotFound)
	require.Zero(t, events())
	require.NoError(t, b.FailChunk(t.Context(), b.v, i, 2, "blob.unavailable"))
	require.NoError(t, b.RetryImport(t.Context(), b.v, i, importing.Restart))
	require.NoError(t, b.RetryImport(t.Context(), b.v, i, importing.SkipChunk))
	require.Equal(t, importing.SkipChunk, asked(), "the last word counts")
	require.Equal(t, 1, events())

	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.Processing, store.Reason{}))
	require.Empty(t, asked(), "it was heeded")
	require.NoError(t, b.SkipChunk(t.Context(), b.v, i, 2, ""))
	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.NeedsOperator, store.Reason{Code: "blob.unavailable", Text: "away"}))
	require.NoError(t, b.AbortImport(t.Context(), b.v, i, why))
	job, err := b.Import(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, importing.Failed, job.Status)
	require.Equal(t, "import.aborted", job.ReasonCode)
	require.Equal(t, importing.Counts{Invalid: 10}, job.Counts)
	var kept int
	require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT invalid_count FROM contact_import_jobs WHERE id = $1`, i).Scan(&kept))
	require.Equal(t, 10, kept, "what was done is counted with the job")
	require.ErrorIs(t, b.RetryImport(t.Context(), b.v, i, importing.Resume), importing.ErrNotParked)
	_, err = b.ImportRetryMode(t.Context(), b.v, id.New[importing.ID]())
	require.ErrorIs(t, err, importing.ErrNotFound)
}

package blob_test

import (
	"io"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/blob"
)

func open(t *testing.T) (*blob.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	s, err := blob.Open(t.Context(), "file://"+dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, dir
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestStore_WritesReadsAndDeletes(t *testing.T) {
	t.Parallel()
	s, dir := open(t)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Put(t.Context(), "imports/v/1/file", "text/csv", []byte("0123456789")))
	got, err := s.Get(t.Context(), "imports/v/1/file")
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(got))
	n, err := s.Size(t.Context(), "imports/v/1/file")
	require.NoError(t, err)
	require.EqualValues(t, 10, n)
	r, err := s.Range(t.Context(), "imports/v/1/file", 3, 4)
	require.NoError(t, err)
	part, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, "3456", string(part))
	require.Len(t, files(t, dir), 1, "no sidecar and no temporary file")
	require.NoError(t, s.Delete(t.Context(), "imports/v/1/file"))
	require.NoError(t, s.Delete(t.Context(), "imports/v/1/file"), "twice is fine")
	_, err = s.Get(t.Context(), "imports/v/1/file")
	require.ErrorIs(t, err, blob.ErrNotFound)
	_, err = s.Reader(t.Context(), "imports/v/1/file")
	require.ErrorIs(t, err, blob.ErrNotFound)
	_, err = s.Size(t.Context(), "imports/v/1/file")
	require.ErrorIs(t, err, blob.ErrNotFound)
}

func TestWriter_AbortLeavesNothing(t *testing.T) {
	t.Parallel()
	s, dir := open(t)
	w, err := s.NewWriter(t.Context(), "x/y", "text/csv")
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 100_000))
	require.NoError(t, err)
	w.Abort()
	require.Empty(t, files(t, dir))
	_, err = s.Get(t.Context(), "x/y")
	require.ErrorIs(t, err, blob.ErrNotFound)
}

func TestOpen_RefusesOtherURLs(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "folder", "http://x", "file://host/path", "ftp://x/y", "%"} {
		_, err := blob.Open(t.Context(), u)
		require.ErrorIs(t, err, blob.ErrURL, u)
	}
}

package devstack

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFingerprint_TellsAnotherProgramFromOneTouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin := filepath.Join(dir, "kloyst")
	require.NoError(t, os.WriteFile(bin, []byte("one"), 0o600))
	was := fingerprint(dir)
	require.NotEmpty(t, was)

	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(bin, later, later))
	require.Equal(t, was, fingerprint(dir), "a build that changes nothing renews the time")

	require.NoError(t, os.WriteFile(bin, []byte("two"), 0o600))
	require.NotEqual(t, was, fingerprint(dir), "another program of the same size")
}

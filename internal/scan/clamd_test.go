package scan_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/internal/testkit/testenv"
)

// eicar is the anti-virus test file, put together here so that this source is not taken
// for a virus itself. Source: EICAR, "Anti-malware test file", read 2026-09.
func eicar() string {
	return strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR`, "STANDARD", "ANTIVIRUS", "TEST", "FILE!$H+H*"}, "-")
}

// uploadLimit is UPLOAD_MAX_BYTES where nothing else is configured.
const uploadLimit = 100 << 20

func TestScan_ByARealClamd(t *testing.T) {
	t.Parallel()
	c := &scan.Clamd{Addr: testenv.Get(t, "KLOYST_TEST_CLAMD_ADDR"), Timeout: 2 * time.Minute}
	require.NoError(t, c.Ping(t.Context()))
	const row = "+919812345678,Asha Rao,Pune\n"
	rows := func(bytes int) io.Reader {
		return io.LimitReader(&repeated{text: row}, int64(bytes))
	}
	const frame = 64 << 10 // of one INSTREAM chunk
	for name, tt := range map[string]struct {
		file     io.Reader
		infected bool
	}{
		"a list":                     {rows(1000 * len(row)), false},
		"one cell of it":             {strings.NewReader(row + "+919812345679," + eicar() + ",Pune\n" + row), true},
		"over the edge of two sends": {io.MultiReader(rows(frame-30), strings.NewReader(eicar()), rows(1000)), true},
		"the end of the largest":     {io.MultiReader(rows(uploadLimit-len(eicar())), strings.NewReader(eicar())), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session, err := c.Start(t.Context())
			require.NoError(t, err)
			defer session.Close()
			_, err = io.Copy(session, tt.file)
			require.NoError(t, err)
			found, err := session.Verdict()
			require.NoError(t, err)
			if tt.infected {
				require.Contains(t, found, "Kloyst.Test.EICAR")
				return
			}
			require.Empty(t, found)
		})
	}
}

// repeated reads as its text, over and over.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return len(p), nil
}

// Package temporaltest connects a test to a real Temporal server.
package temporaltest

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/kloyst/kloyst-core/internal/testkit/testenv"
)

// Options are the client's options for the test server and its namespace, without logs. Without
// KLOYST_TEST_TEMPORAL_ADDRESS the test fails.
func Options(tb testing.TB) client.Options {
	tb.Helper()
	return client.Options{
		HostPort:  testenv.Get(tb, "KLOYST_TEST_TEMPORAL_ADDRESS"),
		Namespace: testenv.Get(tb, "KLOYST_TEST_TEMPORAL_NAMESPACE"),
		Logger:    log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	}
}

// New returns a client and a suffix for task queues and workflow ids that no other test uses.
func New(tb testing.TB) (client.Client, string) {
	tb.Helper()
	c, err := client.DialContext(tb.Context(), Options(tb))
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c, strings.ToLower(rand.Text()[:12])
}

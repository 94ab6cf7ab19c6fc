// Package redistest gives a test a corner of its own on a shared Redis server.
package redistest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/testkit/testenv"
)

// New returns a client and a prefix that no other test uses. Keys under the prefix are deleted when
// the test ends. Without KLOYST_TEST_REDIS_URL it fails the test.
func New(tb testing.TB) (*redis.Client, string) {
	tb.Helper()
	opts, err := redis.ParseURL(testenv.Get(tb, "KLOYST_TEST_REDIS_URL"))
	require.NoError(tb, err)
	client := redis.NewClient(opts)
	require.NoError(tb, client.Ping(tb.Context()).Err())
	prefix := "test:" + strings.ToLower(rand.Text()[:12]) + ":"
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		for it := client.Scan(ctx, 0, prefix+"*", 1000).Iterator(); it.Next(ctx); {
			_ = client.Del(ctx, it.Val()).Err()
		}
		_ = client.Close()
	})
	return client, prefix
}

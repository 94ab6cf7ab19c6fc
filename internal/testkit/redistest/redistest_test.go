package redistest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
)

func TestNew_PrefixesDiffer(t *testing.T) {
	t.Parallel()
	a, p := redistest.New(t)
	_, q := redistest.New(t)
	require.NotEqual(t, p, q)
	require.NoError(t, a.Set(t.Context(), p+"k", "v", 0).Err())
	require.Equal(t, "v", a.Get(t.Context(), p+"k").Val())
}

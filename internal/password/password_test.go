package password_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/password"
)

func TestHasher(t *testing.T) {
	t.Parallel()
	h := password.New(2)
	hash, err := h.Hash(t.Context(), "correct horse")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
	for text, want := range map[string]bool{"correct horse": true, "correct hors": false, "": false} {
		ok, err := h.Check(t.Context(), text, hash)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	ok, err := h.Check(t.Context(), "a password that nobody has", "")
	require.NoError(t, err)
	require.False(t, ok, "a user who is not there has no password")
	_, err = h.Check(t.Context(), "x", "not a hash")
	require.Error(t, err)
}

func TestHasher_WaitsForASlot(t *testing.T) {
	t.Parallel()
	h := password.New(0) // never a slot
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Hash(ctx, "x")
	require.ErrorIs(t, err, context.Canceled)
}

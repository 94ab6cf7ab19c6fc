package message_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/message"
)

func TestMerge_IsALattice(t *testing.T) {
	t.Parallel()
	status := rapid.SampledFrom(message.Statuses())
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := status.Draw(t, "a"), status.Draw(t, "b"), status.Draw(t, "c")
		require.Equal(t, message.Merge(a, b), message.Merge(b, a), "commutative")
		require.Equal(t, message.Merge(a, message.Merge(b, c)), message.Merge(message.Merge(a, b), c), "associative")
		require.Equal(t, a, message.Merge(a, a), "idempotent")
	})
}

func TestMerge_AnyOrderOfWebhooksEndsAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := rapid.SliceOfN(rapid.SampledFrom(message.Statuses()), 1, 8).Draw(t, "seen")
		fold := func(ss []message.Status) message.Status {
			out := message.Sending
			for _, s := range ss {
				out = message.Merge(out, s)
			}
			return out
		}
		require.Equal(t, fold(seen), fold(rapid.Permutation(seen).Draw(t, "order")))
	})
}

func TestMerge_DeliveredBeatsFailed(t *testing.T) {
	t.Parallel()
	require.Equal(t, message.Delivered, message.Merge(message.Failed, message.Delivered))
	require.Equal(t, message.Failed, message.Merge(message.Sent, message.Failed))
	require.Equal(t, message.Sent, message.Merge(message.Unconfirmed, message.Sent))
}

func TestRef_RoundTrips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := message.Ref{
			Month:   message.Month(rapid.Int32Range(202601, 299912).Draw(t, "month")),
			Message: message.ID(rapid.Int64Range(1, 1<<62).Draw(t, "message")),
			Attempt: rapid.Int16Range(1, 100).Draw(t, "attempt"),
		}
		got, ok := message.ParseRef(want.String())
		require.True(t, ok)
		require.Equal(t, want, got)
	})
}

func TestParseRef_RefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "k1", "k1.202611.5", "k2.202611.5.1", "k1.x.5.1", "k1.202611.0.1", "k1.202611.5.0", "k1.202611.5.1.2"} {
		_, ok := message.ParseRef(s)
		require.False(t, ok, s)
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("k1.202611.42.1")
	f.Fuzz(func(t *testing.T, s string) {
		if ref, ok := message.ParseRef(s); ok {
			again, ok := message.ParseRef(ref.String())
			require.True(t, ok)
			require.Equal(t, ref, again)
		}
	})
}

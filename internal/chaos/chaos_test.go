package chaos_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/chaos"
)

func TestSchedule_FollowsFromItsSeed(t *testing.T) {
	t.Parallel()
	a, b := chaos.Schedule(7, 12, 30*time.Second), chaos.Schedule(7, 12, 30*time.Second)
	require.Equal(t, a, b)
	require.NotEqual(t, a, chaos.Schedule(8, 12, 30*time.Second))
	require.Len(t, a, 12)
	for i, h := range a {
		require.Contains(t, chaos.Kinds(), h.Kind)
		require.LessOrEqual(t, h.At, 31*time.Second)
		if i > 0 {
			require.GreaterOrEqual(t, h.At, a[i-1].At)
		}
	}
}

func TestSchedule_TenSeedsDoEveryKindOfHarm(t *testing.T) {
	t.Parallel()
	for first := uint64(1); first < 200; first += 10 {
		seen := map[chaos.Kind]bool{}
		for seed := first; seed < first+10; seed++ {
			for _, h := range chaos.Schedule(seed, 12, 30*time.Second) {
				seen[h.Kind] = true
			}
		}
		require.Len(t, seen, len(chaos.Kinds()), "from seed %d", first)
	}
}

func TestCheck_NamesWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	good := chaos.Result{
		N: 100, Accepted: 97, Sent: 90, Failed: 6, Taken: 5, Suppressed: 1, Unconfirmed: 3, LostAnswers: 1, OnWire: 2,
		Delivered: 80, Read: 40, MetaDelivered: 80, MetaRead: 40, Completed: 3, Quoted: 100, Captured: 95, Released: 5,
	}
	require.NoError(t, good.Check())
	for name, tt := range map[string]struct {
		spoil func(*chaos.Result)
		want  string
	}{
		"nothing happened":                  {func(r *chaos.Result) { *r = chaos.Result{} }, "something was sent"},
		"a person got it twice":             {func(r *chaos.Result) { r.Duplicates = 1 }, "duplicates = 0"},
		"a message is not final":            {func(r *chaos.Result) { r.Unknown, r.Failed = 1, 5 }, "every message is final"},
		"a message was lost":                {func(r *chaos.Result) { r.Failed-- }, "= n"},
		"unconfirmed without a lost answer": {func(r *chaos.Result) { r.OnWire = 1 }, "unconfirmed 3 only where"},
		"Meta accepted what we do not know": {func(r *chaos.Result) { r.Accepted = 99 }, "what Meta accepted"},
		"we know what Meta did not accept":  {func(r *chaos.Result) { r.Accepted = 94 }, "what Meta accepted"},
		"a status was lost":                 {func(r *chaos.Result) { r.Delivered-- }, "as Meta told"},
		"a status was made up":              {func(r *chaos.Result) { r.Read++ }, "as Meta told"},
		"a campaign did not end":            {func(r *chaos.Result) { r.Completed = 2 }, "every campaign's books are closed"},
		"something is left":                 {func(r *chaos.Result) { r.Left = map[string]int{"outbox_claims": 1} }, "nothing is left open"},
		"a message was not charged":         {func(r *chaos.Result) { r.Uncharged = 1 }, "every sent message is charged"},
		"held money is left":                {func(r *chaos.Result) { r.Released-- }, "quoted 100 ="},
		"the ledger drifts":                 {func(r *chaos.Result) { r.Drift = 2 }, "ledger drift"},
	} {
		r := good
		tt.spoil(&r)
		require.ErrorContains(t, r.Check(), tt.want, name)
	}
}

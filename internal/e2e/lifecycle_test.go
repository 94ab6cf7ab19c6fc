package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/store"
)

// TestLifecycle_PauseAndCancelTakeEffectWithinASecond steers a campaign on a slow number,
// where much is granted a due time ahead, and on an ordinary one: a second after the
// answer nothing leaves any more, a resume goes on exactly, and every message is counted.
func TestLifecycle_PauseAndCancelTakeEffectWithinASecond(t *testing.T) {
	for _, tt := range []struct{ rate, people int }{{4, 40}, {80, 900}} {
		w := start(t)
		c, number, _ := w.approveAt(t, tt.people, tt.rate)
		leaves := func() int { return w.stats(t, number).Accepted }
		for _, share := range []int{5, 3} { // a fifth is sent, a third is sent
			until(t, "some have left", time.Minute, func() bool { return leaves() >= tt.people/share })
			asked := time.Now()
			for range 2 {
				_, err := w.app.PauseCampaign(t.Context(), w.vendor, c)
				require.NoError(t, err)
			}
			answered, at := time.Since(asked), leaves()
			last, quietSince := at, time.Now()
			for time.Since(asked) < 4*time.Second {
				if n := leaves(); n != last {
					last, quietSince = n, time.Now()
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("rate %d: paused in %s, %d left after the answer, the last one %s after the request",
				tt.rate, answered.Round(time.Millisecond), last-at, quietSince.Sub(asked).Round(time.Millisecond))
			require.Less(t, quietSince.Sub(asked), time.Second)
			require.Equal(t, "PAUSED", w.status(t, c))
			_, err := w.app.ResumeCampaign(t.Context(), w.vendor, c)
			require.NoError(t, err)
		}
		until(t, "half have left", time.Minute, func() bool { return leaves() >= tt.people/2 })
		asked := time.Now()
		_, err := w.app.CancelCampaign(t.Context(), w.vendor, c)
		require.NoError(t, err)
		until(t, "the books are closed", time.Minute, func() bool {
			var closed bool
			require.NoError(t, w.db.QueryRow(t.Context(), `SELECT finished_at IS NOT NULL FROM campaigns WHERE id = $1`, c).Scan(&closed))
			return closed
		})
		t.Logf("rate %d: cancelled and closed in %s", tt.rate, time.Since(asked).Round(time.Millisecond))
		until(t, "the wallet is settled", time.Minute, func() bool {
			d, err := w.app.ReconcileWallet(t.Context(), w.vendor)
			require.NoError(t, err)
			return d.OK() && w.stats(t, number).Scheduled == 0
		})
		s, counts := w.stats(t, number), w.counts(t, c)
		total := 0
		for _, n := range counts {
			total += n
		}
		require.Equal(t, tt.people, total)
		require.Zero(t, s.Duplicates)
		require.Equal(t, s.Unique, total-counts["CANCELLED"], "what did not leave is cancelled, and nothing else: %v", counts)
		require.Positive(t, counts["CANCELLED"])
	}
}

// TestLifecycle_AnApprovalTakenBackAndGivenAgain schedules a campaign, takes the approval
// back and gives it again before its workflow has ended, and moves its time: it runs once.
func TestLifecycle_AnApprovalTakenBackAndGivenAgain(t *testing.T) {
	const n = 30
	w := start(t)
	w.startsIn = time.Hour
	c, number, _ := w.approve(t, n)
	until(t, "its workflow waits", time.Minute, func() bool {
		var left int
		require.NoError(t, w.db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM outbox_events) + (SELECT count(*) FROM outbox_claims)`).Scan(&left))
		return left == 0
	})
	for range 2 {
		back, err := w.app.UnscheduleCampaign(t.Context(), w.vendor, c, store.Once[campaign.Campaign]{})
		require.NoError(t, err)
		require.Equal(t, campaign.Draft, back.State)
		w.exec(t, `UPDATE campaigns SET status = 'SCHEDULED', approved_at = now(), scheduled_at = now() + interval '1 hour',
			quotation_id = (SELECT id FROM quotations WHERE campaign_id = $1) WHERE id = $1`, c)
		w.hold(t, c, n*messagePrice)
		w.exec(t, `SELECT outbox_enqueue($1, 'campaign.approved', $2)`, w.vendor, c)
	}
	_, err := w.app.RescheduleCampaign(t.Context(), w.vendor, c, store.StartTime{At: time.Now().Add(2 * time.Second)}, store.Once[campaign.Campaign]{})
	require.NoError(t, err)
	until(t, "the campaign completes", time.Minute, func() bool { return w.status(t, c) == "COMPLETED" })
	until(t, "the wallet is settled", time.Minute, func() bool {
		d, err := w.app.ReconcileWallet(t.Context(), w.vendor)
		require.NoError(t, err)
		return d.OK() && w.stats(t, number).Scheduled == 0
	})
	s := w.stats(t, number)
	require.Zero(t, s.Duplicates)
	require.Equal(t, n, s.Unique)
	purse, err := w.app.Wallet(t.Context(), w.vendor)
	require.NoError(t, err)
	require.Zero(t, purse.Held)
}

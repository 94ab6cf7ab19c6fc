package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
)

func TestCampaignOverview_CountsALargeCampaignNowAndThen(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 30).running(t)
	// As if it were large, and counting it dear.
	exec := func(sql string) {
		_, err := c.db.Super().Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	exec(`UPDATE campaigns SET frozen_count = 1000000`)
	read := func() int64 {
		o, err := c.CampaignOverview(t.Context(), c.v, c.campaign)
		require.NoError(t, err)
		require.Equal(t, int64(30), o.Counts.Total)
		require.WithinDuration(t, time.Now(), o.Counted, time.Minute)
		return o.Counts.Cancelled
	}
	require.Zero(t, read())
	exec(`UPDATE campaign_counts SET cost = interval '2 seconds'`)
	exec(`UPDATE message_logs SET outcome = 'CANCELLED' WHERE id IN (SELECT id FROM message_logs LIMIT 7)`)
	require.Zero(t, read(), "what was counted is shown for a while")
	exec(`UPDATE campaign_counts SET counted_at = now() - interval '41 seconds'`)
	require.Equal(t, int64(7), read(), "twenty times what counting took is over")
	exec(`UPDATE campaign_counts SET cost = interval '2 seconds'`)
	exec(`UPDATE message_logs SET outcome = 'CANCELLED' WHERE id IN (SELECT id FROM message_logs WHERE outcome IS NULL LIMIT 3)`)
	require.Equal(t, int64(7), read())
	_, err := c.SteerCampaign(t.Context(), c.v, c.campaign, campaign.Pause, none())
	require.NoError(t, err)
	require.Equal(t, int64(10), read(), "a campaign that moved is counted afresh")
}

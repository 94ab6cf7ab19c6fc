package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/store"
)

func (c campaigner) facts(t *testing.T) explain.Facts {
	t.Helper()
	f, err := c.CampaignFacts(t.Context(), c.v, c.campaign, time.Now())
	require.NoError(t, err)
	return f
}

func TestExplain_ACampaignsFactsFollowIt(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 100)
	f := c.facts(t)
	require.Equal(t, campaign.Approved, f.State)
	require.Equal(t, 100*price, f.Quotation.Total)
	require.Equal(t, 80, f.RatePerSecond)

	c.running(t)
	f = c.facts(t)
	require.Equal(t, int64(100), f.Due)
	require.Equal(t, int64(160), f.Window)
	require.False(t, f.Estimated)
	require.Zero(t, f.Claims.Count)

	job := c.claim(t)
	marked, _, err := c.MarkSending(t.Context(), c.v, job, job.Messages)
	require.NoError(t, err)
	f = c.facts(t)
	require.Zero(t, f.Due)
	require.Equal(t, int64(100), f.NumberOpen)
	require.Equal(t, int64(100), f.Claims.Messages)
	require.Zero(t, f.Claims.Untouched, "a worker has taken its lease")

	later := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	c.answer(t, job, marked, func(i int, r *store.SendResult) {
		switch {
		case i < 30:
			r.Status, r.Wamid, r.Code, r.RetryAt = message.Failed, "", 131000, later
		case i < 35:
			r.Status, r.Wamid = message.Unknown, ""
		}
	})
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	f = c.facts(t)
	require.Len(t, f.Deferred, 1)
	require.True(t, f.Deferred[0].Retry)
	require.Equal(t, 131000, f.Deferred[0].ErrorCode)
	require.Equal(t, int64(30), f.Deferred[0].Messages)
	require.WithinDuration(t, later, f.DeferredLast, time.Millisecond)
	require.Equal(t, int64(5), f.Unknown.Count)
	require.Zero(t, f.Claims.Count)
	require.Zero(t, f.DeferredMore)

	m, err := c.MessageFacts(t.Context(), c.v, marked[0].ID, time.Now())
	require.NoError(t, err)
	require.Equal(t, message.Queued, m.Status)
	require.Len(t, m.Attempts, 1)
	require.Equal(t, 131000, m.Attempts[0].Code)
	require.WithinDuration(t, later, m.Row.DueAt, time.Millisecond)
	m, err = c.MessageFacts(t.Context(), c.v, marked[31].ID, time.Now())
	require.NoError(t, err)
	require.Equal(t, message.Unknown, m.Status)
	require.False(t, m.SettleAt.IsZero())
}

func TestExplain_AMessagesPlace(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 120).running(t)
	var last message.ID
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT max(message_id) FROM outbox_events`).Scan(&last))
	m, err := c.MessageFacts(t.Context(), c.v, last, time.Now())
	require.NoError(t, err)
	require.Equal(t, int64(119), m.Row.Before)
	require.Empty(t, m.Claim.ID)

	claim := c.claimID(t)
	m, err = c.MessageFacts(t.Context(), c.v, last, time.Now())
	require.NoError(t, err)
	require.True(t, m.Row.DueAt.IsZero())
	require.Equal(t, string(claim), m.Claim.ID)
	require.False(t, m.Claim.Begun)
	got, err := c.Message(t.Context(), c.v, last)
	require.NoError(t, err)
	require.Equal(t, c.campaign, got.Campaign)
	require.Equal(t, message.Queued, got.Status)

	stranger := addVendor(t, c.db)
	_, err = c.MessageFacts(t.Context(), stranger, last, time.Now())
	require.ErrorIs(t, err, message.ErrNotFound)
	_, err = c.Message(t.Context(), stranger, last)
	require.ErrorIs(t, err, message.ErrNotFound)
	_, err = c.CampaignFacts(t.Context(), stranger, c.campaign, time.Now())
	require.ErrorIs(t, err, campaign.ErrNotFound)
}

func TestExplain_CountsRivalsAndNamesNone(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 10).running(t)
	require.Zero(t, c.facts(t).Rivals)
	for range 3 {
		rival := addVendor(t, c.db)
		c.exec(t, `UPDATE outbox_turns SET wake_at = now() - interval '1 hour' WHERE vendor_id = $1`, rival)
	}
	asleep := addVendor(t, c.db)
	c.exec(t, `UPDATE outbox_turns SET wake_at = now() + interval '1 hour' WHERE vendor_id = $1`, asleep)
	require.Equal(t, int64(3), c.facts(t).Rivals)
}

func TestExplain_EstimatesWhatIsTooMuchToCount(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 0).running(t)
	// Thirty thousand messages, of which twenty thousand are queued, half of those put off.
	c.exec(t, `WITH m AS (
			INSERT INTO message_logs (vendor_id, month, campaign_id, contact_id, recipient_hash, country, mobile_ct, price_micros)
			SELECT $1, c.month, c.id, gen_random_uuid(), sha256(n::text::bytea), 'IN', 'ct', 1000
			FROM campaigns c, generate_series(1, 30000) n WHERE c.id = $2 RETURNING id
		)
		INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
		SELECT $1, l.id, 'message', x.id, now() + CASE WHEN x.n % 3 = 0 THEN interval '0' ELSE interval '1 hour' END
		FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM m) x, outbox_lanes l WHERE l.campaign_id = $2 AND x.n % 3 <> 2`, c.v, c.campaign)
	c.exec(t, `UPDATE campaigns SET frozen_count = 30000 WHERE id = $1`, c.campaign)
	c.exec(t, `UPDATE outbox_events SET available_at = now() - interval '1 minute' WHERE message_id IN (
		SELECT message_id FROM outbox_events WHERE message_id IS NOT NULL AND available_at > now() ORDER BY message_id LIMIT 4000)`)
	f := c.facts(t)
	require.True(t, f.Estimated)
	require.InEpsilon(t, 14_000, f.Due, 0.2)
	var grouped int64
	for _, g := range f.Deferred {
		grouped += g.Messages
	}
	require.Equal(t, int64(2000), grouped)
	require.Equal(t, int64(4000), f.DeferredMore, "few enough to count")
}

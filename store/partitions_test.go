package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/store"
)

// The first campaign of a month, while others are being sent: it waits for none of them,
// and none for it.
func TestPrepare_MakesPartitionsBesideWhatIsRunning(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3)
	busy, err := c.db.App().Begin(t.Context())
	require.NoError(t, err)
	defer busy.Rollback(context.WithoutCancel(t.Context())) //nolint:errcheck // only held open
	_, err = busy.Exec(t.Context(), `SELECT set_config('app.vendor_id', $1, true)`, string(c.v))
	require.NoError(t, err)
	_, err = busy.Exec(t.Context(), `INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status)
		SELECT $1::uuid, COALESCE(max(id), 0) + 1, 1, 202611, $2::uuid, gen_random_uuid(), 'SENDING' FROM message_logs`, c.v, c.campaign)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	state, err := c.PrepareCampaign(ctx, c.v, c.campaign, time.Date(2031, 12, 31, 23, 59, 0, 0, time.UTC))
	require.NoError(t, err)
	require.Equal(t, campaign.Preparing, state)
	for done := false; !done; {
		_, done, err = c.FreezePage(t.Context(), c.v, c.campaign, 40)
		require.NoError(t, err)
	}
	for _, table := range []string{"message_logs", "message_attempts"} {
		shape := func(partition string) (out [2]string) {
			require.NoError(t, c.db.Super().QueryRow(t.Context(), `
				SELECT (SELECT string_agg(d.def, E'\n' ORDER BY d.def) FROM (
				            SELECT indisunique::text || ' ' || (SELECT count(*) FROM pg_inherits WHERE inhrelid = indexrelid) || regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') AS def
				            FROM pg_index WHERE indrelid = $1::text::regclass) d),
				       (SELECT string_agg(contype::text || pg_get_constraintdef(oid), E'\n' ORDER BY contype, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = $1::text::regclass)`,
				partition).Scan(&out[0], &out[1]))
			return out
		}
		first := shape(table + "_202611")
		for _, made := range []string{"_203112", "_203201"} { // the next month's too
			require.Equal(t, first, shape(table+made), "indexes and constraints")
			var walled bool
			require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = $1::text::regclass`, table+made).Scan(&walled))
			require.True(t, walled)
		}
	}
}

// A webhook that comes by wamid alone while its record waits for the money is parked behind
// nobody's back: the record takes it, whatever the settlement has looked at before.
func TestRecord_TakesAStatusParkedWhileItWaited(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job := c.claim(t)
	marked := c.mark(t, job)
	purse, err := c.db.Super().Begin(t.Context())
	require.NoError(t, err)
	_, err = purse.Exec(t.Context(), `SELECT 1 FROM ledger_accounts WHERE campaign_id = $1 FOR UPDATE`, c.campaign)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		done <- c.RecordSends(t.Context(), c.v, job, []store.SendResult{{
			ID: marked[0].ID, Attempt: 1, Price: marked[0].Price, Status: message.Sent, Wamid: "w",
		}}, store.Recording{Keep: keep, Grace: grace})
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		err := c.db.Super().QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'kloyst_app' AND wait_event_type = 'Lock')`).Scan(&waiting)
		return err == nil && waiting
	}, 5*time.Second, 5*time.Millisecond)
	c.hear(t, store.StatusUpdate{Wamid: "w", Status: message.Failed, Code: 131026})
	c.settle(t)
	c.exec(t, `DELETE FROM outbox_events WHERE kind = 'settlement.due'`) // that was its ring
	require.NoError(t, purse.Commit(t.Context()))
	require.NoError(t, <-done)
	require.Equal(t, map[string]int{"FAILED": 1}, c.statuses(t))
	var rung bool
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM outbox_events WHERE kind = 'settlement.due')`).Scan(&rung))
	require.True(t, rung, "its money is to be given back")
}

func TestSweep_ForgetsStatusesThatFoundNoMessageForAWeek(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 0)
	c.hear(t, store.StatusUpdate{Wamid: "old", Status: message.Sent}, store.StatusUpdate{Wamid: "young", Status: message.Sent})
	c.exec(t, `UPDATE orphan_statuses SET received_at = now() - interval '7 days 1 minute' WHERE wamid = 'old'`)
	c.exec(t, `UPDATE orphan_statuses SET received_at = now() - interval '6 days 23 hours' WHERE wamid = 'young'`)
	require.NoError(t, c.relay.SweepOutbox(t.Context()))
	var left string
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT string_agg(wamid, ' ') FROM orphan_statuses`).Scan(&left))
	require.Equal(t, "young", left)
	tag, err := c.db.Relay().Exec(t.Context(), `DELETE FROM orphan_statuses`)
	require.NoError(t, err)
	require.Zero(t, tag.RowsAffected(), "the relay cannot forget younger ones")
}

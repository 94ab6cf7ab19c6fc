package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// The answers of a batch are in this process only: they must outlive a database that is
// away for a while.
func TestRecord_WaitsForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := store.New(db.App())
	require.NoError(t, err)
	v, c, claim := id.New[vendor.ID](), id.New[campaign.ID](), id.Random()
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := db.Super().Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(`INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'A', 'IN', 'USD')`, v)
	exec(`SELECT message_partitions_ensure(202611)`)
	exec(`INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status)
	      SELECT $1, n, 1, 202611, $2, $3, 'SENDING' FROM generate_series(7, 10) n`, v, c, claim)
	r := &sendRun{
		Sending: &Sending{Store: s, UnknownGrace: time.Minute}, vendor: v,
		job: store.SendJob{Claim: store.ClaimID(claim), Lease: 1, Campaign: c, Month: 202611, Lane: id.Random()},
	}
	results := []store.SendResult{{ID: 7, Attempt: 1, Status: message.Sent, Wamid: "w"}}

	exec(`ALTER DATABASE ` + db.Name + ` CONNECTION LIMIT 0`) // of all but the superuser
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kloyst_app'`)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = r.write(short, []recording{{results: results}}, 0)
	require.Equal(t, errs.Unavailable, errs.KindOf(err), "its patience ends with the context")

	// The first batch waits; those that come meanwhile share the commit after its own.
	done := make(chan error, 4)
	go func() { done <- r.record(t.Context(), results) }()
	require.Eventually(t, func() bool { return r.records.written() > 0 }, time.Second, time.Millisecond)
	for m := range 3 {
		go func() {
			done <- r.record(t.Context(), []store.SendResult{{ID: message.ID(8 + m), Attempt: 1, Status: message.Sent, Wamid: "w"}})
		}()
	}
	select {
	case err := <-done:
		require.Fail(t, "it gave up", err)
	case <-time.After(300 * time.Millisecond):
	}
	exec(`ALTER DATABASE ` + db.Name + ` CONNECTION LIMIT -1`)
	for range 4 {
		require.NoError(t, <-done)
	}
	var sent int
	require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT count(*) FROM message_attempts WHERE status = 'SENT'`).Scan(&sent))
	require.Equal(t, 4, sent)
	require.Equal(t, 2, r.records.written())
}

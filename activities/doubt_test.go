package activities_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// deafConn loses Postgres's answer to one commit, the one after a mark, and breaks then: the
// server has committed, and the client cannot know.
type deafConn struct {
	net.Conn

	left         *atomic.Int32 // commits yet to be lost, of all connections
	marked, deaf bool
}

func (c *deafConn) Write(p []byte) (int, error) {
	c.marked = c.marked || bytes.Contains(p, []byte("'SENDING', due.waits FROM due"))
	c.deaf = c.deaf || c.marked && bytes.Contains(p, []byte("commit\x00")) && c.left.Add(-1) >= 0
	return c.Conn.Write(p)
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p) // by now it has committed
	if c.deaf {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Nothing was posted, so nothing is unknown: the messages leave with the next run.
func TestSendClaim_AMarkOfUncertainCommitLosesNobody(t *testing.T) {
	t.Parallel()
	b := newOutcomeBench(t, 3)
	cfg, err := pgxpool.ParseConfig(b.db.AppURL)
	require.NoError(t, err)
	left := &atomic.Int32{}
	left.Store(1)
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &deafConn{Conn: conn, left: left}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b.sending.Store, err = store.New(pool)
	require.NoError(t, err)

	claims, err := b.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: time.Minute})
	require.NoError(t, err)
	claim := claims[len(claims)-1]
	require.Len(t, claim.Messages, 3)
	in := activities.SendClaimInput{Vendor: b.v, Claim: string(claim.ID)}
	_, err = b.env.ExecuteActivity(b.sending.SendClaim, in)
	require.ErrorContains(t, err, "cannot reach Postgres")
	require.Negative(t, left.Add(-1), "a mark's answer was lost")

	_, err = b.env.ExecuteActivity(b.sending.SendClaim, in) // as Temporal does
	require.NoError(t, err)
	b.exec(t, `UPDATE outbox_turns SET wake_at = now()`)
	b.pass(t)
	b.eventually(t, func() bool {
		all, err := b.app.ListMessages(t.Context(), b.v, b.campaign, store.MessagePage{Limit: 10, Status: message.Delivered})
		return err == nil && len(all) == 3
	}, "everybody gets the message")
}

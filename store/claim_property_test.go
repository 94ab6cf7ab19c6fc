package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// backlog is a random outbox: what each vendor has due, by lane, held beside the database.
type backlog struct {
	db    *pgtest.DB
	relay *store.Store
	rt    *rapid.T

	vendors []string
	lanes   []lane
	due     map[string]int     // vendor → rows due and not claimed
	taken   map[int64]string   // row (or event) → the claim that took it
	waits   map[string]int     // vendor → claims since it was served, while it had rows due
	open    map[string][]int64 // claim → its rows
}

type lane struct {
	vendor, id, kind, number string
	window, rows, later      int
}

// newBacklog fills an emptied outbox. wide lanes never block by their window.
func newBacklog(t *testing.T, rt *rapid.T, db *pgtest.DB, relay *store.Store, wide bool) *backlog {
	t.Helper()
	b := &backlog{
		db: db, relay: relay, rt: rt, due: map[string]int{}, taken: map[int64]string{}, waits: map[string]int{}, open: map[string][]int64{},
	}
	b.exec(`TRUNCATE outbox_claims, outbox_events`)
	b.exec(`DELETE FROM outbox_lanes`)
	b.exec(`DELETE FROM outbox_turns`)
	b.exec(`DELETE FROM vendors`)
	row := int64(0)
	for n := range rapid.IntRange(1, 6).Draw(rt, "vendors") {
		v := id.Random()
		b.vendors = append(b.vendors, v)
		b.exec(`INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'A', 'IN', 'USD')`, v)
		work := rapid.IntRange(0, 70).Draw(rt, fmt.Sprint("work of ", n))
		b.lanes = append(b.lanes, lane{vendor: v, id: v, kind: "WORK", rows: work})
		number := id.Random()
		for range rapid.IntRange(0, 2).Draw(rt, fmt.Sprint("lanes of ", n)) {
			l := lane{
				vendor: v, id: id.Random(), kind: rapid.SampledFrom([]string{"SINGLE", "CAMPAIGN"}).Draw(rt, "kind"), number: number, window: 5000,
				rows: rapid.IntRange(0, 100).Draw(rt, "rows"), later: rapid.IntRange(0, 40).Draw(rt, "deferred"),
			}
			b.lanes = append(b.lanes, l)
		}
		if !wide {
			window := rapid.IntRange(1, 120).Draw(rt, "window") // of the number: the same for its lanes
			for i := range b.lanes {
				if b.lanes[i].vendor == v {
					b.lanes[i].window = window
				}
			}
		}
	}
	for _, l := range b.lanes {
		b.fill(l, &row)
		b.due[l.vendor] += l.rows
	}
	b.exec(`UPDATE outbox_turns SET wake_at = now()`)
	return b
}

func (b *backlog) exec(sql string, args ...any) {
	_, err := b.db.Super().Exec(b.rt.Context(), sql, args...)
	require.NoError(b.rt, err)
}

func (b *backlog) fill(l lane, row *int64) {
	from := *row + 1
	*row += int64(l.rows + l.later)
	if l.kind == "WORK" {
		b.exec(`INSERT INTO outbox_events (vendor_id, lane_id, kind, subject_id) SELECT $1, $1, 'x', n::text FROM generate_series($2::bigint, $3::bigint) n`, l.vendor, from, *row)
		return
	}
	b.exec(`INSERT INTO outbox_lanes (vendor_id, id, kind, campaign_id, sender_number_id, month, window_rows) VALUES ($1, $2, $3, gen_random_uuid(), $4, 202611, $5)`,
		l.vendor, l.id, l.kind, l.number, l.window)
	b.exec(`INSERT INTO outbox_events (vendor_id, lane_id, kind, message_id, available_at)
		SELECT $1, $2, 'message', n, now() + CASE WHEN n >= $3::bigint + $4 THEN interval '1 hour' ELSE interval '0' END
		FROM generate_series($3::bigint, $5::bigint) n`, l.vendor, l.id, from, l.rows, *row)
}

// claim takes once and holds the answer against what every claim must keep.
func (b *backlog) claim(share store.ClaimShare) []store.Claim {
	competing := b.awake()
	claims, err := b.relay.ClaimOutbox(b.rt.Context(), id.Random(), share)
	require.NoError(b.rt, err)
	quota := max(share.PerVendor, share.Total/max(1, min(share.Vendors, competing)))
	messages, served := map[string]int{}, map[string]bool{}
	for _, c := range claims {
		rows := b.rowsOf(c)
		require.NotEmpty(b.rt, rows, "a claim holds something")
		served[string(c.Vendor)] = true
		for _, r := range rows {
			require.NotContains(b.rt, b.taken, r, "claimed twice")
			b.taken[r] = string(c.ID)
		}
		b.open[string(c.ID)] = rows
		b.due[string(c.Vendor)] -= len(rows)
		if c.Kind == "WORK" {
			require.LessOrEqual(b.rt, len(rows), share.PerVendor)
		} else {
			messages[string(c.Vendor)] += len(rows)
		}
	}
	require.LessOrEqual(b.rt, len(served), share.Vendors)
	for _, n := range messages {
		require.LessOrEqual(b.rt, n, quota, "the fair share")
	}
	for _, v := range b.vendors {
		require.GreaterOrEqual(b.rt, b.due[v], 0, "nothing was claimed before its time")
		if b.waits[v]++; served[v] || b.due[v] == 0 {
			b.waits[v] = 0
		}
	}
	return claims
}

// awake counts the vendors whose turn it may be.
func (b *backlog) awake() int {
	var n int
	require.NoError(b.rt, b.db.Super().QueryRow(b.rt.Context(), `SELECT count(*) FROM outbox_turns WHERE wake_at <= clock_timestamp()`).Scan(&n))
	return n
}

func (b *backlog) rowsOf(c store.Claim) []int64 {
	var rows []int64
	for _, m := range c.Messages {
		rows = append(rows, int64(m))
	}
	for _, e := range c.Events {
		var n int64
		_, err := fmt.Sscan(e.Subject, &n)
		require.NoError(b.rt, err)
		rows = append(rows, n)
	}
	return rows
}

// finish ends a claim as its worker does: its number has room again.
func (b *backlog) finish(claim string) {
	b.exec(`WITH done AS (DELETE FROM outbox_claims WHERE id = $1 RETURNING vendor_id) SELECT outbox_touch(vendor_id, now()) FROM done`, claim)
	delete(b.open, claim)
}

// windows holds every number's open rows against its window.
func (b *backlog) windows() {
	rows, err := b.db.Super().Query(b.rt.Context(), `SELECT l.window_rows, sum(c.open_rows)::int FROM outbox_claims c
		JOIN outbox_lanes l ON l.vendor_id = c.vendor_id AND l.id = c.lane_id WHERE l.kind <> 'WORK' GROUP BY l.vendor_id, l.sender_number_id, l.window_rows`)
	require.NoError(b.rt, err)
	var window, open int
	_, err = pgx.ForEachRow(rows, []any{&window, &open}, func() error {
		require.LessOrEqual(b.rt, open, window)
		return nil
	})
	require.NoError(b.rt, err)
}

func (b *backlog) left() int {
	n := 0
	for _, v := range b.vendors {
		n += b.due[v]
	}
	return n
}

func propertyShare(rt *rapid.T) store.ClaimShare {
	return store.ClaimShare{
		Vendors: rapid.IntRange(1, 5).Draw(rt, "k"), PerVendor: rapid.IntRange(5, 50).Draw(rt, "per vendor"),
		Total: rapid.IntRange(20, 300).Draw(rt, "total"), Lease: time.Minute,
	}
}

// Numbers with room for everything: each vendor that has something due is served within as
// many claims as it takes to go once around, whatever the others have.
func TestClaimProperty_EveryVendorHasItsTurn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay, err := store.New(db.Relay())
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		b, share := newBacklog(t, rt, db, relay, true), propertyShare(rt)
		around := (len(b.vendors) + share.Vendors - 1) / share.Vendors
		for empty := 0; b.left() > 0; {
			if empty++; len(b.claim(share)) > 0 {
				empty = 0
			}
			require.Less(rt, empty, around, "turns with nothing due are passed once")
			for v, n := range b.waits {
				require.LessOrEqual(rt, n, around, "vendor %s waits", v)
			}
		}
		for range around {
			require.Empty(rt, b.claim(share), "what is deferred waits for its time")
		}
	})
}

// Narrow windows and workers that finish in any order: no window is overrun, nothing is
// taken twice, and in the end nothing that was due is left.
func TestClaimProperty_WindowsHoldAndNothingIsLost(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay, err := store.New(db.Relay())
	require.NoError(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		b, share := newBacklog(t, rt, db, relay, false), propertyShare(rt)
		all := b.left()
		for idle := 0; b.left() > 0; {
			if len(b.claim(share)) > 0 {
				idle = 0
			} else {
				idle++
			}
			b.windows()
			open := make([]string, 0, len(b.open))
			for c := range b.open {
				open = append(open, c)
			}
			slices.Sort(open)
			done := rapid.IntRange(0, 3).Draw(rt, "finished")
			if idle > 0 {
				done = len(open) // every number is full: its workers finish
			}
			for _, c := range open[:min(done, len(open))] {
				b.finish(c)
			}
			require.Less(rt, idle, 3+len(b.vendors), "%d due rows are not claimed though every number has room", b.left())
		}
		require.Len(rt, b.taken, all)
	})
}

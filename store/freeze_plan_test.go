package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/store"
)

// explain returns the plan of a statement as the application's role gets it.
func (c campaigner) explain(t *testing.T, name string, args pgx.StrictNamedArgs) string {
	t.Helper()
	s, err := store.New(c.db.App())
	require.NoError(t, err)
	tx, err := c.db.App().Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // only looked at
	_, err = tx.Exec(t.Context(), `SELECT set_config('app.vendor_id', $1, true)`, string(c.v))
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), "EXPLAIN "+s.Queries()[name], args)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}

// The freeze of a page must not look at the rest of the audience: under the application's
// role its contacts are found by index behind the cursor, and everything else of them by
// their ids.
func TestFreeze_APageIsFoundByIndex(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3000)
	_, err := c.PrepareCampaign(t.Context(), c.v, c.campaign, time.Now())
	require.NoError(t, err)
	var (
		label string
		ids   []string
		month int
	)
	require.NoError(t, c.db.Super().QueryRow(t.Context(), `SELECT l.id::text, c.month, ARRAY(SELECT id FROM contacts ORDER BY id OFFSET 1500 LIMIT 50)
		FROM labels l, campaigns c`).Scan(&label, &month, &ids))
	for _, statistics := range []string{"none", "fresh"} { // right after an import there are none
		if statistics == "fresh" {
			_, err := c.db.Super().Exec(t.Context(), `ANALYZE`)
			require.NoError(t, err)
		}
		walk := c.explain(t, "FreezeWalk", pgx.StrictNamedArgs{
			"vendor_id": c.v, "driving": []string{label}, "all_labels": []string{label}, "excluded_labels": []string{label},
			"category": "MARKETING", "cursor": ids[0], "page_rows": 50,
		})
		page := c.explain(t, "FreezePage", pgx.StrictNamedArgs{
			"vendor_id": c.v, "campaign_id": c.campaign, "month": month, "cursor": ids[49], "contact_ids": ids, "attributes": []string{"city"},
			"zones": []string{}, "zone_names": []string{}, "zone_at": []time.Time{},
		})
		require.Regexp(t, `contact_labels_pkey on contact_labels l\b.*\n.*contact_id > `, walk, "the walk begins at the cursor")
		require.Contains(t, walk, "contact_identities_contact_idx on contact_identities", statistics)
		for _, plan := range []string{walk, page} {
			for _, table := range []string{"contacts", "contact_labels", "contact_identities", "message_logs", "outbox_events"} {
				require.NotRegexp(t, `Seq Scan on `+table+`\b`, plan, statistics)
			}
		}
	}
}

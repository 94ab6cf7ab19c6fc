package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// crossVendor are the methods that may work across vendors, each reviewed: the relay's,
// the webhook's, the operator's, and login's one question.
func crossVendor() []string {
	return []string{
		"Close", "Ping", "Queries", // the connection itself
		"ClaimOutbox", "ExpiredClaims", "PublishBatch", "SweepOutbox", "NextWake", "OutboxBacklog", "ListenOutbox", "ListOpenWork", // relay
		"TakeIn",                     // webhook: routed inside by phone number id
		"ListVendors", "UserByEmail", // operator; login
		"PaymentVendor",                                             // a provider's notice: whose order it is
		"VendorPage",                                                // scheduled work: ids alone
		"LoadRateCard", "ListRateCards", "SetPlatformFee", "SetTax", // prices: the same for every vendor
	}
}

func TestStore_EveryMethodNamesItsVendor(t *testing.T) {
	t.Parallel()
	typ := reflect.TypeFor[*store.Store]()
	for m := range typ.Methods() {
		if slices.Contains(crossVendor(), m.Name) {
			continue
		}
		require.Greater(t, m.Type.NumIn(), 2, m.Name)
		require.Equal(t, reflect.TypeFor[vendor.ID](), m.Type.In(2), m.Name)
	}
}

func TestSchema_EveryVendorTableIsBehindItsWall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	// Prices are the same for all; a raw webhook body may be several vendors'.
	shared := []string{
		"pricing_snapshots", "pricing_markets", "pricing_rates", "pricing_tiers", "platform_fee_rules", "tax_rules", "pricing_policies",
		"webhook_intakes", "goose_db_version",
	}
	rows, err := db.Super().Query(t.Context(), `
		SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, c.relispartition,
		       EXISTS (SELECT 1 FROM pg_policies p WHERE p.tablename = c.relname AND p.qual LIKE '%current_vendor%' AND p.with_check LIKE '%current_vendor%'),
		       COALESCE((SELECT a.attname = 'vendor_id' FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
		                 WHERE i.indrelid = c.oid AND i.indisprimary), false)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')`)
	require.NoError(t, err)
	type table struct {
		Name                         string
		Forced, Partition, Wall, Key bool
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	require.NoError(t, err)
	require.Greater(t, len(tables), 40)
	for _, tab := range tables {
		if tab.Name == "goose_db_version" {
			continue
		}
		require.True(t, tab.Forced, "row-level security of %s is forced", tab.Name)
		if slices.Contains(shared, tab.Name) || tab.Partition { // a partition is reached through its parent only
			continue
		}
		require.True(t, tab.Wall, "%s has the vendor policy", tab.Name)
		require.True(t, tab.Key, "%s's primary key begins with vendor_id", tab.Name)
	}
}

// A second index that begins with vendor_id is taken for look-ups by primary key when the
// planner expects one row a vendor, and then walks all of the vendor's rows.
func TestSchema_BusyTablesHaveOneIndexThatBeginsWithTheVendor(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	rows, err := db.Super().Query(t.Context(), `
		SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
		WHERE a.attname = 'vendor_id' AND NOT i.indisprimary AND c.relname IN ('message_logs', 'message_attempts', 'outbox_events',
			'unknown_attempts', 'settlements', 'contact_labels', 'contact_identities')`)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestRoles_CannotBypassTheWall(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var n int
	require.NoError(t, db.Super().QueryRow(t.Context(),
		`SELECT count(*) FROM pg_roles WHERE rolname LIKE 'kloyst%' AND (rolsuper OR rolbypassrls)`).Scan(&n))
	require.Zero(t, n)
	require.NoError(t, db.Super().QueryRow(t.Context(), `
		SELECT count(*) FROM information_schema.role_table_grants g JOIN pg_class c ON c.relname = g.table_name
		WHERE c.relispartition AND g.grantee IN ('kloyst_app', 'kloyst_webhook', 'kloyst_relay', 'kloyst_operator')`).Scan(&n))
	require.Zero(t, n, "no role reaches a partition past its parent's policies")
}

func TestApp_SeesNothingOfAnotherVendor(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	other := addVendor(t, c.db)
	tx, err := c.db.App().Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // only read
	_, err = tx.Exec(t.Context(), `SELECT set_config('app.vendor_id', $1, true)`, string(other))
	require.NoError(t, err)
	for _, table := range []string{
		"contacts", "contact_identities", "labels", "contact_labels", "campaigns", "quotations", "quotation_items", "message_logs",
		"message_states", "wabas", "sender_numbers", "templates", "ledger_entries", "outbox_events", "outbox_lanes WHERE kind <> 'WORK'",
	} {
		var n int
		require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		require.Zero(t, n, table)
	}
	_, err = c.DispatchState(t.Context(), other, c.campaign)
	require.ErrorContains(t, err, "campaign.not_found")
}

func TestWebhookRole_CannotTouchMoneyOrPeople(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, sql := range []string{
		`SELECT 1 FROM contacts`, `SELECT 1 FROM message_logs`, `SELECT 1 FROM ledger_entries`, `SELECT token_ct FROM wabas`,
		`UPDATE message_attempts SET captured_micros = 1`, `DELETE FROM message_attempts`, `UPDATE ledger_accounts SET balance_micros = 1`,
		`SELECT 1 FROM inbound_intakes`, `DELETE FROM inbound_intakes`, `SELECT 1 FROM inbound_messages`,
		`SELECT 1 FROM conversation_windows`, `INSERT INTO conversation_windows DEFAULT VALUES`, `SELECT 1 FROM standing_campaigns`,
	} {
		_, err := db.Webhook().Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
}

func TestRelayRole_LearnsIdsAndStatesOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, sql := range []string{
		`SELECT 1 FROM contacts`, `SELECT 1 FROM message_logs`, `SELECT 1 FROM ledger_entries`, `SELECT 1 FROM wabas`,
		`SELECT name FROM campaigns`, `SELECT audience FROM campaigns`, `UPDATE campaigns SET status = 'CANCELLED'`,
		`SELECT file_name FROM contact_import_jobs`, `SELECT sample_ct FROM contact_import_jobs`, `UPDATE contact_import_jobs SET status = 'FAILED'`,
		`SELECT total_micros FROM quotations`, `UPDATE quotations SET pdf_status = 'READY'`, `DELETE FROM settlements`,
	} {
		_, err := db.Relay().Exec(t.Context(), sql)
		require.ErrorContains(t, err, "permission denied", sql)
	}
}

func TestStatements_AllPrepareAndAllAreUsed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, err := store.New(db.Super())
	require.NoError(t, err)
	used := goSource(t)
	conn, err := db.Super().Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	named := regexp.MustCompile(`@[a-z0-9_]+`)
	for name, sql := range s.Queries() {
		require.Contains(t, used, `"`+name+`"`, "statement %s is used nowhere", name)
		seen := map[string]string{}
		sql = named.ReplaceAllStringFunc(sql, func(arg string) string {
			if seen[arg] == "" {
				seen[arg] = fmt.Sprintf("$%d", len(seen)+1)
			}
			return seen[arg]
		})
		_, err := conn.Conn().Prepare(t.Context(), name, sql)
		require.NoError(t, err, name)
	}
}

func goSource(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	all := ""
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		all += string(text)
	}
	return all
}

func TestMessageRank_IsTheLatticeOfTheDomain(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for i, status := range message.Statuses() {
		var rank int
		require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT message_rank($1)`, string(status)).Scan(&rank))
		require.Equal(t, i+1, rank, status)
	}
}

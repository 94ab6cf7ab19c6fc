package store_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// books is a vendor with money in its wallet and in a campaign's hold, and the accounts' ids.
type books struct {
	purse

	campaign                              string
	funding, purseID, hold, revenue, loss string
	other                                 string // WALLET of another vendor, kept in dollars too
}

func newBooks(t *testing.T) books {
	t.Helper()
	b := books{purse: newPurse(t), campaign: id.New[string]()}
	b.topUp(t, 100)
	_, err := b.PostAll(t.Context(), b.v, wallet.Hold(b.campaign, "hold", 60), wallet.Capture(b.campaign, "c", 20), wallet.Loss(b.campaign, "l", 5))
	require.NoError(t, err)
	rows, err := b.db.Super().Query(t.Context(), `SELECT kind, id::text FROM ledger_accounts WHERE vendor_id = $1`, b.v)
	require.NoError(t, err)
	var kind wallet.AccountKind
	var account string
	at := map[wallet.AccountKind]*string{
		wallet.AccountFunding: &b.funding, wallet.AccountWallet: &b.purseID, wallet.AccountHold: &b.hold,
		wallet.AccountRevenue: &b.revenue, wallet.AccountLoss: &b.loss,
	}
	_, err = pgx.ForEachRow(rows, []any{&kind, &account}, func() error { *at[kind] = account; return nil })
	require.NoError(t, err)
	stranger := purse{b.Store, b.db, addVendor(t, b.db)}
	stranger.topUp(t, 100)
	require.NoError(t, b.db.Super().QueryRow(t.Context(),
		`SELECT id FROM ledger_accounts WHERE vendor_id = $1 AND kind = 'WALLET'`, stranger.v).Scan(&b.other))
	return b
}

// as runs SQL in a transaction of a role that names b's vendor, and commits.
func (b books) as(t *testing.T, pool *pgxpool.Pool, statements ...string) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT set_config('app.vendor_id', $1, true)`, string(b.v)); err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// transaction and entry write ledger rows by hand.
func (b books) transaction(kind, ref, campaign string) (string, string) {
	tx := id.Random()
	of := "NULL"
	if campaign != "" {
		of = "'" + campaign + "'"
	}
	return tx, fmt.Sprintf(`INSERT INTO ledger_transactions (vendor_id, id, kind, reference, campaign_id, reason) VALUES ('%s', '%s', '%s', '%s', %s, 'why')`,
		b.v, tx, kind, ref, of)
}

func (b books) entries(tx, from, to string, taken, given int) string {
	return fmt.Sprintf(`INSERT INTO ledger_entries (vendor_id, transaction_id, line, account_id, amount_micros)
		VALUES ('%[1]s', '%[2]s', 0, '%[3]s', %[5]d), ('%[1]s', '%[2]s', 1, '%[4]s', %[6]d)`, b.v, tx, from, to, taken, given)
}

func (b books) roles() map[string]*pgxpool.Pool {
	return map[string]*pgxpool.Pool{
		"app": b.db.App(), "operator": b.db.Operator(), "webhook": b.db.Webhook(), "relay": b.db.Relay(),
		"owner": b.db.Owner(), "superuser": b.db.Super(),
	}
}

// TestLedger_TakesNoWrongEntry writes by hand, as every role, what the rules would refuse:
// the database refuses it too, and the books are as they were.
func TestLedger_TakesNoWrongEntry(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	stray := id.New[string]()
	cases := map[string]func() []string{
		"unbalanced": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{head, b.entries(tx, b.funding, b.purseID, -10, 11)}
		},
		"one side only": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{head, fmt.Sprintf(`INSERT INTO ledger_entries VALUES ('%s', '%s', 1, '%s', 10)`, b.v, tx, b.purseID)}
		},
		"one side after the other": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{
				head, fmt.Sprintf(`INSERT INTO ledger_entries VALUES ('%s', '%s', 0, '%s', -10)`, b.v, tx, b.funding),
				fmt.Sprintf(`INSERT INTO ledger_entries VALUES ('%s', '%s', 1, '%s', 10)`, b.v, tx, b.purseID),
			}
		},
		"a third line": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{
				head, b.entries(tx, b.funding, b.purseID, -10, 10),
				fmt.Sprintf(`INSERT INTO ledger_entries VALUES ('%s', '%s', 2, '%s', 10)`, b.v, tx, b.purseID),
			}
		},
		"no entries": func() []string { _, head := b.transaction("TOP_UP", id.Random(), ""); return []string{head} },
		"an amount of nothing": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{head, b.entries(tx, b.funding, b.purseID, 0, 0)}
		},
		"from the wrong account": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), b.campaign)
			return []string{head, b.entries(tx, b.revenue, b.purseID, -10, 10)}
		},
		"backwards": func() []string {
			tx, head := b.transaction("HOLD", id.Random(), b.campaign)
			return []string{head, b.entries(tx, b.hold, b.purseID, -10, 10)}
		},
		"of another campaign": func() []string {
			tx, head := b.transaction("CAPTURE", id.Random(), stray)
			return []string{head, b.entries(tx, b.hold, b.revenue, -10, 10)}
		},
		"into another vendor's wallet": func() []string {
			tx, head := b.transaction("TOP_UP", id.Random(), "")
			return []string{head, b.entries(tx, b.funding, b.other, -10, 10)}
		},
		"more than the wallet has": func() []string {
			tx, head := b.transaction("HOLD", id.Random(), b.campaign)
			return []string{head, b.entries(tx, b.purseID, b.hold, -41, 41)}
		},
		"more than is held": func() []string {
			tx, head := b.transaction("CAPTURE", id.Random(), b.campaign)
			return []string{head, b.entries(tx, b.hold, b.revenue, -41, 41)}
		},
		"more than was earned": func() []string {
			tx, head := b.transaction("REFUND", id.Random(), b.campaign)
			return []string{head, b.entries(tx, b.revenue, b.purseID, -26, 26)}
		},
		"a reference again": func() []string {
			tx, head := b.transaction("HOLD", "hold", b.campaign)
			return []string{head, b.entries(tx, b.purseID, b.hold, -1, 1)}
		},
		"no reference": func() []string {
			tx, head := b.transaction("TOP_UP", "", "")
			return []string{head, b.entries(tx, b.funding, b.purseID, -1, 1)}
		},
		"an adjustment without a reason": func() []string {
			tx := id.Random()
			return []string{
				fmt.Sprintf(`INSERT INTO ledger_transactions (vendor_id, id, kind, reference, actor) VALUES ('%s', '%s', 'ADJUST', '%s', 'me')`, b.v, tx, id.Random()),
				b.entries(tx, b.funding, b.purseID, -1, 1),
			}
		},
		"an unknown kind": func() []string {
			tx, head := b.transaction("GIFT", id.Random(), "")
			return []string{head, b.entries(tx, b.funding, b.purseID, -1, 1)}
		},
		"entries of an old transaction": func() []string {
			return []string{fmt.Sprintf(`INSERT INTO ledger_entries SELECT vendor_id, transaction_id, line, account_id, amount_micros FROM ledger_entries WHERE vendor_id = '%s'`, b.v)}
		},
		"an account in another currency": func() []string {
			return []string{fmt.Sprintf(`INSERT INTO ledger_accounts (vendor_id, id, kind, campaign_id, currency) VALUES ('%s', '%s', 'HOLD', '%s', 'EUR')`, b.v, id.Random(), stray)}
		},
		"an account that begins full": func() []string {
			return []string{fmt.Sprintf(`INSERT INTO ledger_accounts (vendor_id, id, kind, campaign_id, currency, balance_micros) VALUES ('%s', '%s', 'HOLD', '%s', 'USD', 5)`, b.v, id.Random(), stray)}
		},
		"a hold of no campaign": func() []string {
			return []string{fmt.Sprintf(`INSERT INTO ledger_accounts (vendor_id, id, kind, currency) VALUES ('%s', '%s', 'HOLD', 'USD')`, b.v, id.Random())}
		},
		"a second wallet": func() []string {
			return []string{fmt.Sprintf(`INSERT INTO ledger_accounts (vendor_id, id, kind, currency) VALUES ('%s', '%s', 'WALLET', 'USD')`, b.v, id.Random())}
		},
	}
	for what, statements := range cases {
		for role, pool := range b.roles() {
			require.Error(t, b.as(t, pool, statements()...), "%s as %s", what, role)
		}
	}
	b.requireSound(t)
}

// TestLedger_NothingIsEdited tries to change what was booked, as every role. Where a role
// sees no row, nothing is refused and nothing happens.
func TestLedger_NothingIsEdited(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	before := b.contents(t)
	for _, sql := range []string{
		`UPDATE ledger_entries SET amount_micros = amount_micros * 2`, `DELETE FROM ledger_entries`, `TRUNCATE ledger_entries`,
		`UPDATE ledger_transactions SET reference = reference || 'x'`, `UPDATE ledger_transactions SET created_at = now() - interval '1 day'`,
		`DELETE FROM ledger_transactions`, `TRUNCATE ledger_transactions CASCADE`,
		`UPDATE ledger_accounts SET balance_micros = balance_micros + 1`, `UPDATE ledger_accounts SET currency = 'EUR'`,
		`UPDATE ledger_accounts SET campaign_id = gen_random_uuid() WHERE kind = 'HOLD'`,
		`DELETE FROM ledger_accounts`, `TRUNCATE ledger_accounts CASCADE`,
		`UPDATE wallets SET currency = 'EUR'`, `DELETE FROM wallets`, `TRUNCATE wallets CASCADE`,
	} {
		for role, pool := range b.roles() {
			err := b.as(t, pool, sql)
			if role != "owner" { // who sees no rows, since row-level security is forced
				require.Error(t, err, "%s as %s", sql, role)
			}
			require.Equal(t, before, b.contents(t), "%s as %s", sql, role)
		}
	}
	b.requireSound(t)
}

func (b books) contents(t *testing.T) string {
	t.Helper()
	var all string
	require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT md5(
		(SELECT string_agg(e::text, '|' ORDER BY e::text) FROM ledger_entries e) ||
		(SELECT string_agg(x::text, '|' ORDER BY x::text) FROM ledger_transactions x) ||
		(SELECT string_agg(a::text, '|' ORDER BY a::text) FROM ledger_accounts a) ||
		(SELECT string_agg(w::text, '|' ORDER BY w::text) FROM wallets w))`).Scan(&all))
	return all
}

// TestLedger_ForgedDepthMovesNoBalance lets the application's role try the guard's own way
// in: a trigger of its own, from which the update seems to come from a trigger.
func TestLedger_ForgedDepthMovesNoBalance(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	err := b.as(t, b.db.App(),
		`CREATE TEMP TABLE lever (n int)`,
		`CREATE FUNCTION pg_temp.pull() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			UPDATE ledger_accounts SET balance_micros = balance_micros + 1 WHERE kind = 'WALLET'; RETURN NULL; END $$`,
		`CREATE TRIGGER pull AFTER INSERT ON lever FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.pull()`,
		`INSERT INTO lever VALUES (1)`)
	require.ErrorContains(t, err, "a balance is changed by entries alone")
	b.requireSound(t)
}

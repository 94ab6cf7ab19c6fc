package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

const messagePrice = 1500 // micros

// world is a running stack with one vendor in it.
type world struct {
	*devstack.Stack
	db     *pgxpool.Pool // superuser: the test's eye
	app    *store.Store
	vendor vendor.ID
	keys   *crypt.VendorKeys

	startsIn time.Duration // when approve's campaigns are due; zero: at once
}

func start(t *testing.T) *world {
	t.Helper()
	return startFrom(t, "")
}

// startFrom starts the stack of the programs in a folder; "" is the checkout's own.
func startFrom(t *testing.T, bin string) *world {
	t.Helper()
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	return startWith(t, devstack.Options{
		Root: root, Dir: t.TempDir(), BinDir: bin, Throwaway: true, BaseEnv: os.Environ(),
		Only: []string{devstack.Nginx, devstack.Metasim, devstack.Gateway, devstack.Webhook, devstack.Worker, devstack.Outbox},
	})
}

func startWith(t *testing.T, o devstack.Options) *world {
	t.Helper()
	stack, err := devstack.Start(t.Context(), o)
	require.NoError(t, err, "run `make setup build` first; logs are in the stack's folder")
	t.Cleanup(stack.Stop)
	w := &world{Stack: stack}
	w.db, err = pgxpool.New(t.Context(), stack.State().DatabaseURL("postgres", devstack.Database))
	require.NoError(t, err)
	t.Cleanup(w.db.Close)
	w.app, err = store.Open(t.Context(), stack.State().DatabaseURL("kloyst_app", devstack.Database), 4)
	require.NoError(t, err)
	t.Cleanup(w.app.Close)
	w.newVendor(t)
	return w
}

// newVendor puts a vendor into the world, with keys and a wallet.
func (w *world) newVendor(t *testing.T) {
	t.Helper()
	w.vendor = id.New[vendor.ID]()
	master, err := base64.StdEncoding.DecodeString(w.State().Secrets["master_key"])
	require.NoError(t, err)
	ring, err := crypt.NewRing(master)
	require.NoError(t, err)
	wrapped, err := ring.NewVendorKeys(w.vendor)
	require.NoError(t, err)
	w.keys, err = ring.Open(w.vendor, wrapped)
	require.NoError(t, err)
	w.exec(t, `INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'Acme', 'IN', 'USD')`, w.vendor)
	w.exec(t, `INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES ($1, 1, $2)`, w.vendor, wrapped)
	w.exec(t, `INSERT INTO wallets (vendor_id, currency) VALUES ($1, 'USD')`, w.vendor)
}

func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := w.db.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// call speaks JSON over HTTP.
func call(t *testing.T, method, url string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, string(text))
	if out != nil {
		require.NoError(t, json.Unmarshal(text, out))
	}
}

// approve makes a business at the simulator, n contacts, and a campaign for them whose
// money is held, and rings for its workflow. Its number is paced at 400 a second.
func (w *world) approve(t *testing.T, n int) (c campaign.ID, number, token string) {
	t.Helper()
	return w.approveAt(t, n, 400)
}

func (w *world) approveAt(t *testing.T, n, rate int) (c campaign.ID, number, token string) {
	t.Helper()
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	call(t, http.MethodPost, w.State().MetasimURL()+"/_sim/wabas", map[string]any{
		"name": "Acme", "currency": "USD", "subscribed": true,
		"numbers": []map[string]any{{"display_phone_number": "+1 555-078-3881", "verified_name": "Acme", "throughput_level": "HIGH"}},
	}, &biz)
	c = id.New[campaign.ID]()
	waba, sender, template, label := id.Random(), id.Random(), id.Random(), id.Random()
	sealed, err := w.keys.Encrypt(crypt.WABAToken, waba, []byte(biz.Token))
	require.NoError(t, err)
	w.exec(t, `INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, $3, $4)`, w.vendor, waba, biz.WABA, sealed)
	w.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, rate_per_second) VALUES ($1, $2, $3, $4, $5)`, w.vendor, sender, waba, biz.Numbers[0].ID, rate)
	w.exec(t, `INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
	           VALUES ($1, $2, $3, '1', 'seasonal_promotion', 'en_US', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi {{1}}, our sale is on."}]')`, w.vendor, template, waba)
	w.exec(t, `INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'vip')`, w.vendor, label)
	w.contacts(t, label, n)
	w.exec(t, `INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience, parameters)
	           VALUES ($1, $2, 'Sale', 'APPROVED', $3, $4, 'MARKETING', jsonb_build_object('any_labels', jsonb_build_array($5::text)),
	                   '{"body.1": {"source": "FIELD", "name": "name", "fallback": "friend"}}')`, w.vendor, c, template, sender, label)
	snapshot, quotation := id.Random(), id.Random()
	w.exec(t, `INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint) VALUES ($1::uuid, 'USD', '2026-10-01', 'test', sha256($1::uuid::text::bytea))`, snapshot)
	w.exec(t, `INSERT INTO quotations (vendor_id, id, campaign_id, number, currency, snapshot_id, inputs, fingerprint, quantity, messages_micros, fees_micros, tax_micros, total_micros, wallet_sufficient, expires_at)
	           VALUES ($1, $2, $3, 'Q-1', 'USD', $4, '{}', 'f', $5, $6, 0, 0, $6, true, now() + interval '1 day')`, w.vendor, quotation, c, snapshot, n, n*messagePrice)
	w.exec(t, `INSERT INTO quotation_items (vendor_id, quotation_id, line_no, kind, country, quantity, unit_micros, amount_micros, share_micros)
	           VALUES ($1, $2, 1, 'MESSAGES', 'IN', $3, $4::bigint, $5, $4::bigint)`, w.vendor, quotation, n, messagePrice, n*messagePrice)
	w.exec(t, `UPDATE campaigns SET quotation_id = $3, approved_at = now() WHERE vendor_id = $1 AND id = $2`, w.vendor, c, quotation)
	if w.startsIn > 0 {
		w.exec(t, `UPDATE campaigns SET status = 'SCHEDULED', scheduled_at = $3 WHERE vendor_id = $1 AND id = $2`, w.vendor, c, time.Now().Add(w.startsIn))
	}
	_, err = w.app.TopUp(t.Context(), w.vendor, "USD", wallet.TopUp("top-up/1", money.Micros(2*n*messagePrice)))
	require.NoError(t, err)
	w.hold(t, c, money.Micros(n*messagePrice))
	w.exec(t, `SELECT outbox_enqueue($1, 'campaign.approved', $2)`, w.vendor, c)
	return c, biz.Numbers[0].ID, biz.Token
}

// hold books what an approval would: the wallet's money into the campaign's hold.
func (w *world) hold(t *testing.T, c campaign.ID, amount money.Micros) {
	t.Helper()
	tx := id.Random()
	account := func(kind string, of any) string {
		var a string
		require.NoError(t, w.db.QueryRow(t.Context(), `WITH made AS (
				INSERT INTO ledger_accounts (vendor_id, id, kind, campaign_id, currency) VALUES ($1, gen_random_uuid(), $2, $3, 'USD')
				ON CONFLICT ON CONSTRAINT ledger_accounts_kind_key DO NOTHING RETURNING id)
			SELECT id FROM made UNION ALL
			SELECT id FROM ledger_accounts WHERE vendor_id = $1 AND kind = $2 AND campaign_id IS NOT DISTINCT FROM $3::uuid`, w.vendor, kind, of).Scan(&a))
		return a
	}
	purse, hold := account("WALLET", nil), account("HOLD", c)
	w.exec(t, `WITH t AS (INSERT INTO ledger_transactions (vendor_id, id, kind, reference, campaign_id) VALUES ($1, $2, 'HOLD', $3, $4) RETURNING id)
		INSERT INTO ledger_entries (vendor_id, transaction_id, line, account_id, amount_micros)
		SELECT $1, t.id, e.* FROM t, (VALUES (0::smallint, $5::uuid, -$7::bigint), (1, $6, $7)) e`,
		w.vendor, tx, "hold/"+string(c)+"/"+tx, c, purse, hold, int64(amount))
}

func (w *world) contacts(t *testing.T, label string, n int) {
	t.Helper()
	var contacts, identities, labels [][]any
	for i := range n {
		contact, mobile := id.New[string](), fmt.Sprintf("+9198%08d", i)
		ct, err := w.keys.Encrypt(crypt.Mobile, contact, []byte(mobile))
		require.NoError(t, err)
		name, err := w.keys.Encrypt(crypt.Name, contact, []byte("Ravi"))
		require.NoError(t, err)
		hash, err := w.keys.Index(mobile)
		require.NoError(t, err)
		contacts = append(contacts, []any{string(w.vendor), contact, hash, ct, name, "IN"})
		identities = append(identities, []any{string(w.vendor), hash, "PHONE", contact})
		labels = append(labels, []any{string(w.vendor), label, contact})
	}
	for _, in := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"contacts", []string{"vendor_id", "id", "mobile_hash", "mobile_ct", "name_ct", "country"}, contacts},
		{"contact_identities", []string{"vendor_id", "identity_hash", "kind", "contact_id"}, identities},
		{"contact_labels", []string{"vendor_id", "label_id", "contact_id"}, labels},
	} {
		_, err := w.db.CopyFrom(t.Context(), pgx.Identifier{in.table}, in.columns, pgx.CopyFromRows(in.rows))
		require.NoError(t, err)
	}
}

type simStats struct {
	Accepted   int `json:"accepted"`
	Unique     int `json:"meta_unique"`
	Duplicates int `json:"meta_duplicates"`
	Scheduled  int `json:"scheduled"`
}

func (w *world) stats(t *testing.T, number string) simStats {
	t.Helper()
	var s simStats
	call(t, http.MethodGet, w.State().MetasimURL()+"/_sim/stats?phone_number_id="+number, nil, &s)
	return s
}

// until waits for cond, asking ten times a second; the story names what it waits for.
func until(t *testing.T, story string, within time.Duration, cond func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			require.Fail(t, "waited in vain", story)
		}
	}
}

func (w *world) status(t *testing.T, c campaign.ID) string {
	t.Helper()
	var s string
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT status FROM campaigns WHERE id = $1`, c).Scan(&s))
	return s
}

// counts are the campaign's messages by status.
func (w *world) counts(t *testing.T, c campaign.ID) map[string]int {
	t.Helper()
	rows, err := w.db.Query(t.Context(), `SELECT status, count(*) FROM message_states WHERE campaign_id = $1 GROUP BY 1`, c)
	require.NoError(t, err)
	out, status, n := map[string]int{}, "", 0
	_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error { out[status] = n; return nil })
	require.NoError(t, err)
	return out
}

// TestDispatch_AKilledWorkerSendsNothingTwice is the product's promise: the worker is
// killed with SIGKILL in the middle of a campaign, and nobody gets a message twice,
// nobody is lost, and the money adds up.
func TestDispatch_AKilledWorkerSendsNothingTwice(t *testing.T) {
	const n = 3000
	w := start(t)
	call(t, http.MethodPut, w.State().MetasimURL()+"/_sim/config", map[string]any{"latency_ms": 50, "duplicate_rate": 0.1, "reorder_rate": 0.1}, nil)
	c, number, token := w.approve(t, n)
	until(t, "a third is sent", time.Minute, func() bool { return w.stats(t, number).Accepted > n/3 })
	pid := w.Pid(devstack.Worker)
	require.NoError(t, w.Kill(devstack.Worker, syscall.SIGKILL))
	require.NoError(t, w.WaitHealthy(t.Context(), devstack.Worker, pid))
	until(t, "the campaign completes", 2*time.Minute, func() bool { return w.status(t, c) == "COMPLETED" })

	s, counts := w.stats(t, number), w.counts(t, c)
	t.Logf("killed at a third: meta %+v, messages %v", s, counts)
	require.Zero(t, s.Duplicates, "no message id was accepted twice")
	require.Zero(t, counts["QUEUED"]+counts["SENDING"]+counts["UNKNOWN"], "every message is final")
	total := 0
	for _, k := range counts {
		total += k
	}
	require.Equal(t, n, total)
	// Only what was on the wire when the worker died may be unconfirmed: the batches under
	// way, at 400 a second fifty messages each, three in each of a window's few claims.
	require.LessOrEqual(t, counts["UNCONFIRMED"], 300)
	require.Equal(t, n-counts["UNCONFIRMED"], s.Unique, "what Meta accepted is what we know")
	until(t, "the wallet is settled", time.Minute, func() bool {
		d, err := w.app.ReconcileWallet(t.Context(), w.vendor)
		require.NoError(t, err)
		var left int
		require.NoError(t, w.db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM settlements) + (SELECT count(*) FROM unknown_attempts)`).Scan(&left))
		return d.OK() && left == 0 && w.stats(t, number).Scheduled == 0
	})
	histories := historiesOf(t, w.State())
	requireReadable(t, histories)
	requireNoPersonalData(t, histories, people{}.with("+9198", "9198000", "Ravi", token))
	keepGolden(t, histories)
}

package activities_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/api/webhook"
	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/metasim"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
	"github.com/kloyst/kloyst-core/store"
)

// outcomeBench is one vendor's running campaign, with everything real but Temporal's server
// and Meta, which is the simulator: it sends, and its webhooks come in as they do.
type outcomeBench struct {
	db          *pgtest.DB
	app, relay  *store.Store
	v           vendor.ID
	keys        *crypt.VendorKeys
	sim         string // URL
	account     waba.ID
	metaAccount string
	token       string
	template    string // Meta's id
	campaign    campaign.ID
	env         *testsuite.TestActivityEnvironment
	sending     *activities.Sending
	dispatch    *activities.Dispatch
	templates   *activities.Templates
}

const benchPrice = 1000

func newOutcomeBench(t *testing.T, people int) *outcomeBench {
	t.Helper()
	b := &outcomeBench{db: pgtest.New(t), v: id.New[vendor.ID](), campaign: id.New[campaign.ID]()}
	var err error
	b.app, err = store.New(b.db.App())
	require.NoError(t, err)
	b.relay, err = store.New(b.db.Relay())
	require.NoError(t, err)
	ring, err := crypt.NewRing(bytes.Repeat([]byte{7}, crypt.MasterKeySize))
	require.NoError(t, err)
	wrapped, err := ring.NewVendorKeys(b.v)
	require.NoError(t, err)
	b.exec(t, `INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'V', 'IN', 'USD')`, b.v)
	b.exec(t, `INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES ($1, 1, $2)`, b.v, wrapped)
	b.exec(t, `INSERT INTO wallets (vendor_id, currency) VALUES ($1, 'USD')`, b.v)
	keys := crypt.NewKeys(ring, b.app.VendorKeys)
	b.keys, err = keys.For(t.Context(), b.v)
	require.NoError(t, err)
	b.simulate(t, ring)

	graph, err := meta.New(meta.Options{BaseURL: b.sim, Timeout: 2 * time.Second})
	require.NoError(t, err)
	cache, prefix := redistest.New(t)
	quiet := slog.New(slog.DiscardHandler)
	b.sending = &activities.Sending{
		Store: b.app, Keys: keys, Limiter: ratelimit.New(cache, prefix), Meta: graph, Log: quiet,
		Breaker: breaker.New(cache, prefix), UnknownGrace: time.Minute,
		Bounds: activities.NewBounds(meta.KeptConns),
	}
	b.dispatch = &activities.Dispatch{Store: b.app, Breaker: b.sending.Breaker, Log: quiet}
	b.templates = &activities.Templates{Store: b.app, Keys: keys, Meta: graph}
	var suite testsuite.WorkflowTestSuite
	suite.SetDisableRegistrationAliasing(true)
	b.env = suite.NewTestActivityEnvironment()
	b.env.RegisterActivity(b.sending)
	b.env.RegisterActivity(b.dispatch)
	b.env.RegisterActivity(b.templates)
	b.run(t, people)
	return b
}

// simulate starts the simulator, with a business in it, and our webhook for it.
func (b *outcomeBench) simulate(t *testing.T, ring *crypt.Ring) {
	t.Helper()
	cfg := metasim.DefaultConfig()
	cfg.LatencyMS, cfg.JitterMS, cfg.SentDelayMS, cfg.DeliveredDelayMS, cfg.ReadDelayMS = 0, 0, 1, 1, 1
	cfg.FailedRate, cfg.DeliveredRate, cfg.ReadRate, cfg.DuplicateRate, cfg.ReorderRate, cfg.FailedAfterSentRate = 0, 1, 0, 0, 0, 0
	sim, err := metasim.New(metasim.Options{AppSecret: "a-secret-of-16-at-least", VerifyToken: "v", Config: &cfg})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	go sim.Run(t.Context()) //nolint:errcheck // ends with the test
	b.sim = server.URL

	hook, err := store.New(b.db.Webhook())
	require.NoError(t, err)
	quiet := slog.New(slog.DiscardHandler)
	intake := webhook.NewIntake(hook, ring, quiet, prometheus.NewRegistry())
	go intake.Run(t.Context()) //nolint:errcheck // ends with the test
	callback := httptest.NewServer(webhook.New(webhook.Deps{Secrets: []string{"a-secret-of-16-at-least"}, VerifyToken: "v", Intake: intake, Log: quiet}))
	t.Cleanup(callback.Close)
	b.at(t, http.MethodPut, "webhook", map[string]any{"url": callback.URL + "/webhook/meta", "verify_token": "v"}, nil)
}

// at does something to Meta's side.
func (b *outcomeBench) at(t *testing.T, method, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), method, b.sim+"/_sim/"+path, bytes.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, string(text))
	if out != nil {
		require.NoError(t, json.Unmarshal(text, out))
	}
}

func (b *outcomeBench) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.db.Super().Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// run connects the business, and brings a campaign for so many people to RUNNING.
func (b *outcomeBench) run(t *testing.T, people int) {
	t.Helper()
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
		Templates []struct{ ID, Name string } `json:"templates"`
	}
	b.at(t, http.MethodPost, "wabas", map[string]any{
		"name": "Acme", "subscribed": true, "numbers": []map[string]any{{"display_phone_number": "+1 555-078-3881", "throughput_level": "HIGH"}},
	}, &biz)
	b.metaAccount, b.token = biz.WABA, biz.Token
	for _, x := range biz.Templates {
		if x.Name == "seasonal_promotion" {
			b.template = x.ID
		}
	}
	b.connect(t, biz.Token)
	_, err := b.env.ExecuteActivity(b.templates.Sync, activities.WABARef{Vendor: b.v, WABA: b.account})
	require.NoError(t, err)
	number, label, quotation, snapshot := id.Random(), id.Random(), id.Random(), id.Random()
	b.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, rate_per_second) VALUES ($1, $2, $3, $4, 1000)`, b.v, number, b.account, biz.Numbers[0].ID)
	b.exec(t, `INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'vip')`, b.v, label)
	for i := range people {
		contact, mobile := id.New[string](), fmt.Sprintf("+9198%08d", i)
		ct, err := b.keys.Encrypt(crypt.Mobile, contact, []byte(mobile))
		require.NoError(t, err)
		hash, err := b.keys.Index(mobile)
		require.NoError(t, err)
		b.exec(t, `INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country) VALUES ($1, $2, $3, $4, 'IN')`, b.v, contact, hash, ct)
		b.exec(t, `INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id) VALUES ($1, $2, 'PHONE', $3)`, b.v, hash, contact)
		b.exec(t, `INSERT INTO contact_labels (vendor_id, label_id, contact_id) VALUES ($1, $2, $3)`, b.v, label, contact)
	}
	b.exec(t, `INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint) VALUES ($1, 'USD', '2026-10-01', 'test', 'f')`, snapshot)
	b.exec(t, `INSERT INTO campaigns (vendor_id, id, name, status, template_id, sender_number_id, category, audience, parameters)
	           SELECT $1, $2, 'Sale', 'QUOTED', id, $3, 'MARKETING', jsonb_build_object('any_labels', jsonb_build_array($4::text)),
	                  '{"body.1": {"source": "TEXT", "text": "you"}}' FROM templates WHERE name = 'seasonal_promotion'`, b.v, b.campaign, number, label)
	b.exec(t, `INSERT INTO quotations (vendor_id, id, campaign_id, number, currency, snapshot_id, inputs, fingerprint, quantity, messages_micros, fees_micros, tax_micros, total_micros, wallet_sufficient, expires_at)
	           VALUES ($1, $2, $3, 'Q-1', 'USD', $4, '{}', 'f', $5, $6, 0, 0, $6, true, now() + interval '1 day')`, b.v, quotation, b.campaign, snapshot, people, people*benchPrice)
	b.exec(t, `INSERT INTO quotation_items (vendor_id, quotation_id, line_no, kind, country, quantity, unit_micros, amount_micros, share_micros)
	           VALUES ($1, $2, 1, 'MESSAGES', 'IN', $3::int, $4::bigint, $3::int * $4::bigint, $4::bigint)`, b.v, quotation, people, benchPrice)
	b.exec(t, `UPDATE campaigns SET quotation_id = $1, status = 'APPROVED'`, quotation)
	_, err = b.app.TopUp(t.Context(), b.v, "USD", wallet.TopUp("top-up/1", money.Micros(people*benchPrice)))
	require.NoError(t, err)
	b.exec(t, `INSERT INTO ledger_accounts (vendor_id, id, kind, campaign_id, currency) VALUES ($1, $2, 'HOLD', $3, 'USD')`, b.v, id.New[string](), b.campaign)
	b.exec(t, `WITH t AS (INSERT INTO ledger_transactions (vendor_id, id, kind, reference, campaign_id)
	               VALUES ($1, gen_random_uuid(), 'HOLD', 'hold/1', $2::uuid) RETURNING id)
	           INSERT INTO ledger_entries (vendor_id, transaction_id, line, account_id, amount_micros)
	           SELECT $1, t.id, (a.kind = 'HOLD')::int, a.id, CASE a.kind WHEN 'HOLD' THEN $3::bigint ELSE -$3::bigint END
	           FROM t, ledger_accounts a WHERE a.vendor_id = $1 AND a.kind IN ('WALLET', 'HOLD')`, b.v, b.campaign, people*benchPrice)
	_, err = b.env.ExecuteActivity(b.dispatch.Advance, activities.AdvanceInput{Vendor: b.v, Campaign: b.campaign})
	require.NoError(t, err)
	require.Equal(t, campaign.Running, b.state(t).State)
}

// connect keeps the account under a token, as the gateway does.
func (b *outcomeBench) connect(t *testing.T, token string) {
	t.Helper()
	account, err := b.app.ConnectWABA(t.Context(), b.v, waba.Account{ID: id.New[waba.ID](), MetaID: b.metaAccount}, func(w waba.ID) ([]byte, error) {
		return b.keys.Encrypt(crypt.WABAToken, string(w), []byte(token))
	})
	require.NoError(t, err)
	b.account = account.ID
}

// faults scripts what Meta does with every recipient from now on.
func (b *outcomeBench) faults(t *testing.T, effect map[string]any) {
	t.Helper()
	b.at(t, http.MethodPut, "faults", map[string]any{"rules": []map[string]any{{"effect": effect}}}, nil)
}

// pass lets the relay claim what is due and sends it, and settles; it returns how many
// messages were claimed.
func (b *outcomeBench) pass(t *testing.T) int {
	t.Helper()
	claims, err := b.relay.ClaimOutbox(t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: time.Minute})
	require.NoError(t, err)
	n := 0
	for _, c := range claims {
		if c.Kind != "CAMPAIGN" {
			continue
		}
		n += len(c.Messages)
		_, err := b.env.ExecuteActivity(b.sending.SendClaim, activities.SendClaimInput{Vendor: b.v, Claim: string(c.ID)})
		require.NoError(t, err)
	}
	b.settle(t)
	return n
}

func (b *outcomeBench) settle(t *testing.T) {
	t.Helper()
	_, err := b.env.ExecuteActivity(b.dispatch.Settle, activities.SettleInput{Vendor: b.v})
	require.NoError(t, err)
}

func (b *outcomeBench) state(t *testing.T) campaign.Campaign {
	t.Helper()
	c, err := b.app.Campaign(t.Context(), b.v, b.campaign)
	require.NoError(t, err)
	return c
}

func (b *outcomeBench) message(t *testing.T) store.CampaignMessage {
	t.Helper()
	all, err := b.app.ListMessages(t.Context(), b.v, b.campaign, store.MessagePage{Limit: 1})
	require.NoError(t, err)
	return all[0]
}

// asked tells whether a sync of the account is waiting in the outbox, and takes it.
func (b *outcomeBench) asked(t *testing.T) bool {
	t.Helper()
	tag, err := b.db.Super().Exec(t.Context(), `DELETE FROM outbox_events WHERE kind = 'waba.template_sync' AND subject_id = $1`, b.account)
	require.NoError(t, err)
	return tag.RowsAffected() > 0
}

func (b *outcomeBench) eventually(t *testing.T, is func() bool, what string) {
	t.Helper()
	require.Eventually(t, is, 15*time.Second, 20*time.Millisecond, what)
}

// want is where a message and its campaign are after a refusal.
type outcome struct {
	status   string
	attempts int
	code     int
	retry    time.Duration // from now, at least; 0: not again by a time of its own
	halt     string
	wakes    string
	stopped  bool // the person gets no marketing any more
}

func (b *outcomeBench) require(t *testing.T, want outcome) {
	t.Helper()
	m, c := b.message(t), b.state(t)
	require.Equal(t, want.status, string(m.Status))
	require.Equal(t, want.attempts, m.Attempts)
	require.Equal(t, want.code, m.ErrorCode)
	if want.retry > 0 {
		require.NotNil(t, m.RetryAt)
		// A throttle is spread over half its wait, days over an eighth.
		spread := max(want.retry/8, min(want.retry/2, time.Minute))
		require.WithinRange(t, *m.RetryAt, time.Now().Add(want.retry-5*time.Second), time.Now().Add(want.retry+spread+15*time.Second))
	}
	require.Equal(t, want.halt, c.HaltReason)
	if want.halt != "" {
		require.Equal(t, campaign.Halted, c.State)
		require.NotEmpty(t, c.HaltRemedy)
		var wakes *string
		require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT halt_wakes FROM campaigns`).Scan(&wakes))
		if want.wakes == "" {
			require.Nil(t, wakes)
		} else {
			require.Equal(t, want.wakes, *wakes)
		}
	}
	var stopped bool
	require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM suppressions WHERE scope = 'MARKETING' AND lifted_at IS NULL)`).Scan(&stopped))
	require.Equal(t, want.stopped, stopped)
}

func TestSendClaim_EveryClassOfRefusal(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := map[int]outcome{
		131000: {status: "QUEUED", attempts: 1, code: 131000, retry: time.Second},
		131057: {status: "QUEUED", attempts: 1, code: 131057, retry: 2 * time.Minute},
		131049: {status: "QUEUED", attempts: 1, code: 131049, retry: day},
		130429: {status: "QUEUED"},
		131056: {status: "QUEUED"},
		80007:  {status: "QUEUED"},
		131026: {status: "FAILED", attempts: 1, code: 131026},
		131050: {status: "FAILED", attempts: 1, code: 131050, stopped: true},
		135000: {status: "FAILED", attempts: 1, code: 135000},
		// What one person's data can be the reason of stops nobody else.
		132018: {status: "FAILED", attempts: 1, code: 132018},
		131008: {status: "FAILED", attempts: 1, code: 131008},
		131009: {status: "FAILED", attempts: 1, code: 131009},
		132015: {status: "QUEUED", halt: "META_TEMPLATE_PAUSED", wakes: "TEMPLATE"},
		132016: {status: "QUEUED", halt: "META_TEMPLATE_DISABLED", wakes: "TEMPLATE"},
		132000: {status: "QUEUED", halt: "META_TEMPLATE_PARAM_COUNT"},
		131031: {status: "QUEUED", halt: "META_ACCOUNT_LOCKED", wakes: "ACCOUNT"},
		131042: {status: "QUEUED", halt: "META_PAYMENT_ISSUE", wakes: "ACCOUNT"},
		133010: {status: "QUEUED", halt: "META_NUMBER_NOT_REGISTERED", wakes: "NUMBER"},
		190:    {status: "QUEUED", halt: "META_TOKEN_EXPIRED", wakes: "TOKEN"},
	}
	seen := map[failure.Class]bool{}
	for code, want := range tests {
		known, ok := meta.Lookup(code, 0)
		require.True(t, ok)
		seen[known.Class] = true
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			b := newOutcomeBench(t, 1)
			b.faults(t, map[string]any{"error": code})
			require.Equal(t, 1, b.pass(t))
			b.require(t, want)
		})
	}
	for _, class := range failure.Classes() {
		require.True(t, seen[class], class)
	}
}

func TestSettle_EveryClassOfFailureAfterAcceptance(t *testing.T) {
	t.Parallel()
	tests := map[int]outcome{
		131000: {status: "QUEUED", attempts: 1, code: 131000, retry: time.Second},
		131049: {status: "QUEUED", attempts: 1, code: 131049, retry: 24 * time.Hour},
		130429: {status: "QUEUED", attempts: 1, code: 130429, retry: 2 * time.Second},
		131056: {status: "QUEUED", attempts: 1, code: 131056, retry: 2 * time.Second},
		80007:  {status: "QUEUED", attempts: 1, code: 80007, retry: time.Minute},
		131026: {status: "FAILED", attempts: 1, code: 131026},
		131050: {status: "FAILED", attempts: 1, code: 131050, stopped: true},
		135000: {status: "FAILED", attempts: 1, code: 135000},
		132015: {status: "QUEUED", attempts: 1, code: 132015, halt: "META_TEMPLATE_PAUSED", wakes: "TEMPLATE"},
		131053: {status: "QUEUED", attempts: 1, code: 131053, halt: "META_MEDIA_UPLOAD"},
		131042: {status: "QUEUED", attempts: 1, code: 131042, halt: "META_PAYMENT_ISSUE", wakes: "ACCOUNT"},
		190:    {status: "QUEUED", attempts: 1, code: 190, halt: "META_TOKEN_EXPIRED", wakes: "TOKEN"},
	}
	seen := map[failure.Class]bool{}
	for code, want := range tests {
		known, _ := meta.Lookup(code, 0)
		seen[known.Class] = true
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			b := newOutcomeBench(t, 1)
			b.faults(t, map[string]any{"failed_code": code})
			require.Equal(t, 1, b.pass(t))
			b.eventually(t, func() bool { b.settle(t); return b.message(t).ErrorCode != 0 }, "its webhook")
			b.settle(t)
			b.require(t, want)
			held := money.Micros(0) // given back, or held for the next attempt
			if want.status == "QUEUED" {
				held = benchPrice
			}
			o, err := b.app.CampaignOverview(t.Context(), b.v, b.campaign)
			require.NoError(t, err)
			require.Equal(t, held, o.Money.Held-o.Money.Captured-o.Money.Released)
		})
	}
	for _, class := range failure.Classes() {
		require.True(t, seen[class], class)
	}
}

func TestHalt_GoesOnByItsEvent(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, b *outcomeBench, reason string) {
		t.Helper()
		b.pass(t)
		require.Equal(t, reason, b.state(t).HaltReason)
		b.asked(t) // by what made it so
	}
	sync := func(t *testing.T, b *outcomeBench) {
		t.Helper()
		b.eventually(t, func() bool { return b.asked(t) }, "the webhook asks for a look at the account")
		_, err := b.env.ExecuteActivity(b.templates.Sync, activities.WABARef{Vendor: b.v, WABA: b.account})
		require.NoError(t, err)
	}
	delivered := func(t *testing.T, b *outcomeBench) {
		t.Helper()
		require.Equal(t, campaign.Running, b.state(t).State)
		b.exec(t, `UPDATE outbox_turns SET wake_at = now()`)
		require.Equal(t, 1, b.pass(t))
		b.eventually(t, func() bool { return b.message(t).Status == "DELIVERED" }, "delivery")
		require.Equal(t, 1, b.message(t).Attempts, "a halt costs no attempt")
	}
	t.Run("the template is released", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		status := "templates/" + b.template + "/status"
		b.at(t, http.MethodPost, status, map[string]any{"status": "PAUSED"}, nil)
		b.eventually(t, func() bool { return b.asked(t) }, "the pause is told")
		refused(t, b, "META_TEMPLATE_PAUSED")
		require.WithinDuration(t, time.Now().Add(3*time.Hour), b.state(t).HaltUntil, time.Minute)
		b.at(t, http.MethodPost, status, map[string]any{"status": "APPROVED"}, nil)
		sync(t, b)
		delivered(t, b)
	})
	t.Run("a pause halts before anything is refused", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		b.at(t, http.MethodPost, "templates/"+b.template+"/status", map[string]any{"status": "PAUSED"}, nil)
		sync(t, b)
		require.Equal(t, "META_TEMPLATE_PAUSED", b.state(t).HaltReason)
	})
	t.Run("the account is opened again", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		b.at(t, http.MethodPut, "wabas/"+b.metaAccount, map[string]any{"lock_code": 131031}, nil)
		refused(t, b, "META_ACCOUNT_LOCKED")
		_, err := b.env.ExecuteActivity(b.templates.Sync, activities.WABARef{Vendor: b.v, WABA: b.account})
		require.NoError(t, err)
		require.Equal(t, campaign.Halted, b.state(t).State, "nothing was heard of it")
		b.at(t, http.MethodPut, "wabas/"+b.metaAccount, map[string]any{"lock_code": 0}, nil)
		sync(t, b)
		delivered(t, b)
	})
	t.Run("an account that could not be billed is tried again", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		b.at(t, http.MethodPut, "wabas/"+b.metaAccount, map[string]any{"lock_code": 131042}, nil)
		refused(t, b, "META_PAYMENT_ISSUE")
		require.WithinDuration(t, time.Now().Add(6*time.Hour), b.state(t).HaltUntil, time.Minute)
		b.at(t, http.MethodPut, "wabas/"+b.metaAccount, map[string]any{"lock_code": 0}, nil)
		b.exec(t, `UPDATE campaigns SET halt_until = now()`)
		_, _, err := b.app.Overdue(t.Context(), b.v, b.campaign, time.Now(), 10)
		require.NoError(t, err)
		delivered(t, b)
	})
	t.Run("the account gets a new token", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		good := b.token
		b.connect(t, "EAA-expired")
		b.asked(t)
		refused(t, b, "META_TOKEN_EXPIRED")
		accounts, err := b.app.ListWABAs(t.Context(), b.v)
		require.NoError(t, err)
		require.Equal(t, waba.TokenExpired, accounts[0].Status)
		b.connect(t, good)
		sync(t, b)
		delivered(t, b)
	})
	t.Run("money comes in", func(t *testing.T) {
		t.Parallel()
		b := newOutcomeBench(t, 1)
		_, err := b.app.HaltCampaigns(t.Context(), b.v, b.campaign, campaign.Stop{
			Reason: campaign.HaltWalletEmpty, Remedy: "top up", Scope: failure.OwnCampaign, Wakes: campaign.ByWallet,
		})
		require.NoError(t, err)
		b.exec(t, `DELETE FROM outbox_events WHERE kind = 'settlement.due'`)
		_, err = b.app.TopUp(t.Context(), b.v, "USD", wallet.TopUp("top-up/2", 1))
		require.NoError(t, err)
		var rung int
		require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE kind = 'settlement.due'`).Scan(&rung))
		require.Equal(t, 1, rung)
		b.settle(t)
		delivered(t, b)
	})
}

func TestBreaker_HaltsInsteadOfBurningTheAudience(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		effect map[string]any
		says   string
	}{
		"refused at once":            {map[string]any{"error": 135000}, "REQUEST"},
		"given up after acceptance":  {map[string]any{"failed_code": 131026}, "recipients"},
		"a list of dead numbers now": {map[string]any{"error": 131026}, "recipients"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newOutcomeBench(t, 120)
			b.exec(t, `UPDATE outbox_lanes SET window_rows = 80 WHERE campaign_id IS NOT NULL`)
			b.faults(t, tt.effect)
			b.eventually(t, func() bool { b.pass(t); return b.state(t).State == campaign.Halted }, "it halts")
			c := b.state(t)
			require.Equal(t, campaign.HaltFailureRate, c.HaltReason)
			require.Regexp(t, `^\d+ of the last \d+ messages failed`, c.HaltRemedy)
			require.Contains(t, c.HaltRemedy, tt.says)
			_, err := b.app.ResumeCampaign(t.Context(), b.v, b.campaign)
			require.NoError(t, err)
			b.at(t, http.MethodDelete, "faults", nil, nil)
			b.exec(t, `UPDATE outbox_turns SET wake_at = now()`)
			b.pass(t)
			require.Equal(t, campaign.Running, b.state(t).State, "what was is not held against what comes")
		})
	}
}

func TestSendClaim_SendsTheTemplateThatWasApproved(t *testing.T) {
	t.Parallel()
	b := newOutcomeBench(t, 1)
	b.exec(t, `UPDATE campaigns c SET template = jsonb_build_object('name', t.name, 'language', t.language, 'parameter_format', t.parameter_format, 'components', t.components)
	           FROM templates t WHERE t.id = c.template_id`)
	// A sync brings a template with another variable, that no parameter of the campaign fills.
	b.exec(t, `UPDATE templates SET components = '[{"type":"BODY","text":"Dear {{1}}, see {{2}} and {{3}}."}]' WHERE name = 'seasonal_promotion'`)
	b.pass(t)
	b.eventually(t, func() bool { return b.message(t).Status == "DELIVERED" }, "what was approved fits")
	require.True(t, strings.HasPrefix(b.message(t).Wamid, "wamid."))
}

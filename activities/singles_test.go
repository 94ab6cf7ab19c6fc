package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/api/webhook"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/metasim"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
	"github.com/kloyst/kloyst-core/store"
)

// desk is a vendor who writes and is written to, with everything real but Meta and
// Temporal's server: the simulator posts its webhooks to the webhook's own handler.
type desk struct {
	t       *testing.T
	db      *pgtest.DB
	store   *store.Store
	relay   *store.Store
	keys    *crypt.VendorKeys
	env     *testsuite.TestActivityEnvironment
	sending *activities.Sending
	inbound *activities.Inbound
	sim     string // the simulator's address
	vendor  vendor.ID
	number  waba.NumberID
	phone   string // Meta's id of it
}

const asha = "+919876543210"

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, db: pgtest.New(t), vendor: id.New[vendor.ID](), number: id.New[waba.NumberID]()}
	d.store, d.relay = d.open(d.db.App), d.open(d.db.Relay)
	ring, err := crypt.NewRing(bytes.Repeat([]byte{7}, crypt.MasterKeySize))
	require.NoError(t, err)
	wrapped, err := ring.NewVendorKeys(d.vendor)
	require.NoError(t, err)
	d.exec(`INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'V', 'IN', 'USD')`, d.vendor)
	d.exec(`INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES ($1, 1, $2)`, d.vendor, wrapped)
	d.exec(`INSERT INTO wallets (vendor_id, currency) VALUES ($1, 'USD')`, d.vendor)
	keys := crypt.NewKeys(ring, d.store.VendorKeys)
	d.keys, err = keys.For(t.Context(), d.vendor)
	require.NoError(t, err)
	d.meta(ring)
	d.connect()
	cache, prefix := redistest.New(t)
	graph, err := meta.New(meta.Options{BaseURL: d.sim, Timeout: 10 * time.Second})
	require.NoError(t, err)
	d.sending = &activities.Sending{
		Store: d.store, Keys: keys, Limiter: ratelimit.New(cache, prefix), Meta: graph, Log: slog.New(slog.DiscardHandler), UnknownGrace: time.Minute,
		Bounds: activities.NewBounds(meta.KeptConns),
	}
	d.inbound = &activities.Inbound{Store: d.store, Ring: ring, Keys: keys, Log: slog.New(slog.DiscardHandler)}
	var suite testsuite.WorkflowTestSuite
	d.env = suite.NewTestActivityEnvironment()
	d.env.RegisterActivity(d.sending)
	d.env.RegisterActivity(d.inbound)
	return d
}

// meta starts the simulator and the webhook that it calls.
func (d *desk) meta(ring *crypt.Ring) {
	d.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(d.t.Context()))
	intake := webhook.NewIntake(d.open(d.db.Webhook), ring, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	done := make(chan struct{}, 2)
	go func() { _ = intake.Run(ctx); done <- struct{}{} }()
	hook := httptest.NewServer(webhook.New(webhook.Deps{Secrets: []string{"app-secret"}, VerifyToken: "verify", Intake: intake, Log: slog.New(slog.DiscardHandler)}))
	sim, err := metasim.New(metasim.Options{AppSecret: "app-secret", VerifyToken: "verify", WebhookURL: hook.URL + "/webhook/meta"})
	require.NoError(d.t, err)
	go func() { _ = sim.Run(ctx); done <- struct{}{} }()
	server := httptest.NewServer(sim)
	d.sim = server.URL
	d.t.Cleanup(func() {
		server.Close()
		hook.Close()
		stop()
		<-done
		<-done
	})
}

// connect makes the vendor's account, its number and prices, and fills the wallet.
func (d *desk) connect() {
	d.t.Helper()
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	d.simulate("wabas", `{"name":"Acme","currency":"USD","subscribed":true,"numbers":[{"display_phone_number":"+1 555-078-3881"}]}`, &biz)
	account := id.New[string]()
	token, err := d.keys.Encrypt(crypt.WABAToken, account, []byte(biz.Token))
	require.NoError(d.t, err)
	d.phone = biz.Numbers[0].ID
	d.exec(`INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, $3, $4)`, d.vendor, account, biz.WABA, token)
	d.exec(`INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) VALUES ($1, $2, $3, $4)`, d.vendor, d.number, account, d.phone)
	d.exec(`INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
		VALUES ($1, $2, $3, '1', 'seasonal_promotion', 'en_US', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi {{1}}, our sale is on."}]')`, d.vendor, id.Random(), account)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: "market,currency,effective_from,marketing,service\nIndia,USD,2026-10-01,0.0118,0.0014\n"})
	require.NoError(d.t, err)
	_, err = d.open(d.db.Operator).LoadRateCard(d.t.Context(), cards)
	require.NoError(d.t, err)
	_, err = d.store.TopUp(d.t.Context(), d.vendor, "USD", wallet.TopUp("top-up", money.Unit))
	require.NoError(d.t, err)
}

func (d *desk) open(pool func() *pgxpool.Pool) *store.Store {
	d.t.Helper()
	s, err := store.New(pool())
	require.NoError(d.t, err)
	return s
}

func (d *desk) exec(sql string, args ...any) {
	d.t.Helper()
	_, err := d.db.Super().Exec(d.t.Context(), sql, args...)
	require.NoError(d.t, err)
}

// simulate posts to the simulator's own interface.
func (d *desk) simulate(path, body string, out any) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.sim+"/_sim/"+path, strings.NewReader(body))
	require.NoError(d.t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer resp.Body.Close() // read to its end
	text, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	require.Less(d.t, resp.StatusCode, 300, string(text))
	if out != nil {
		require.NoError(d.t, json.Unmarshal(text, out))
	}
}

// writes has Asha write in, and takes it in as the worker does.
func (d *desk) writes(kind, content string) {
	d.t.Helper()
	d.simulate("inbound", `{"phone_number_id":"`+d.phone+`","from":"`+asha+`","type":"`+kind+`","content":`+content+`}`, nil)
	require.Eventually(d.t, func() bool {
		var n int
		require.NoError(d.t, d.db.Super().QueryRow(d.t.Context(), `SELECT count(*) FROM inbound_intakes`).Scan(&n))
		return n > 0
	}, 10*time.Second, 20*time.Millisecond)
	_, err := d.env.ExecuteActivity(d.inbound.TakeInbound, activities.InboundInput{Vendor: d.vendor})
	require.NoError(d.t, err)
}

func (d *desk) accept(c single.Content, template *store.SingleTemplate) (store.CampaignMessage, error) {
	d.t.Helper()
	hash, err := d.keys.Index(contact.Identity(contact.PhoneIdentity, asha))
	require.NoError(d.t, err)
	return d.store.AcceptSingle(d.t.Context(), d.vendor, store.NewSingle{
		SenderNumber: d.number, Recipient: hash, Country: "IN", Content: c, Template: template,
		Seal: func(of contact.ID, m message.ID, content []byte) (mobile, sealed []byte, err error) {
			if mobile, err = d.keys.Encrypt(crypt.Mobile, string(of), []byte(asha)); err != nil {
				return nil, nil, err
			}
			sealed, err = d.keys.Encrypt(crypt.Message, strconv.FormatInt(int64(m), 10), content)
			return mobile, sealed, err
		},
	}, time.Now(), store.Once[store.CampaignMessage]{})
}

// send has the relay's claim sent, as the worker does.
func (d *desk) send() activities.SendClaimResult {
	d.t.Helper()
	var claims []store.Claim
	require.Eventually(d.t, func() bool {
		var err error
		claims, err = d.relay.ClaimOutbox(d.t.Context(), id.Random(), store.ClaimShare{Vendors: 10, PerVendor: 50, Total: 500, Lease: time.Minute})
		require.NoError(d.t, err)
		for i, c := range claims {
			if c.Kind == store.SingleLane {
				claims = claims[i : i+1]
				return true
			}
		}
		return false
	}, 10*time.Second, 20*time.Millisecond)
	value, err := d.env.ExecuteActivity(d.sending.SendClaim, activities.SendClaimInput{Vendor: d.vendor, Claim: string(claims[0].ID)})
	require.NoError(d.t, err)
	var result activities.SendClaimResult
	require.NoError(d.t, value.Get(&result))
	return result
}

// requireDelivered waits for the simulator's webhooks.
func (d *desk) requireDelivered(m message.ID) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		got, err := d.store.Message(d.t.Context(), d.vendor, m)
		require.NoError(d.t, err)
		require.NotEqual(d.t, message.Failed, got.Status, got.ErrorTitle)
		return got.Status == message.Delivered || got.Status == message.Read
	}, 20*time.Second, 50*time.Millisecond)
}

func TestSingles_EveryTypeArrives(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.fast())
	offer := &store.SingleTemplate{Name: "seasonal_promotion", Language: "en_US", Values: map[string]string{"body.1": "Asha"}}
	first, err := d.accept(single.Content{Type: single.Template}, offer)
	require.NoError(t, err)
	require.Equal(t, activities.SendClaimResult{Sent: 1}, d.send())
	d.requireDelivered(first.ID)
	_, err = d.accept(single.Content{Type: single.Text, Text: &single.TextBody{Body: "hello"}}, nil)
	require.ErrorIs(t, err, single.ErrWindowClosed)

	d.writes("text", `{"body":"what do you have?"}`)
	link := &single.Media{Link: "https://cdn.example/a"}
	var all []message.ID
	for _, c := range []single.Content{
		{Type: single.Text, Text: &single.TextBody{Body: "hello"}},
		{Type: single.Image, Media: &single.Media{Link: link.Link, Caption: "box"}},
		{Type: single.Video, Media: link},
		{Type: single.Audio, Media: link},
		{Type: single.Document, Media: &single.Media{Link: link.Link, Filename: "menu.pdf"}},
		{Type: single.Sticker, Media: link},
		{Type: single.Location, Location: &single.Place{Latitude: 12.97, Longitude: 77.59}},
		{Type: single.Contacts, Contacts: []map[string]any{{"name": map[string]any{"formatted_name": "Shop"}}}},
		{Type: single.Interactive, Interactive: map[string]any{
			"type": "list", "body": map[string]any{"text": "Pick"}, "action": map[string]any{"button": "Menu", "sections": []any{
				map[string]any{"rows": []any{map[string]any{"id": "1", "title": "Saffron"}}},
			}},
		}},
	} {
		m, err := d.accept(c, nil)
		require.NoError(t, err, c.Type)
		all = append(all, m.ID)
	}
	require.Equal(t, activities.SendClaimResult{Sent: len(all)}, d.send())
	for _, m := range all {
		d.requireDelivered(m)
	}
	drift, err := d.store.ReconcileWallet(t.Context(), d.vendor)
	require.NoError(t, err)
	require.True(t, drift.OK(), "%+v", drift)
}

// fast turns off the simulator's latency and losses.
func (d *desk) fast() error {
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPut, d.sim+"/_sim/config", strings.NewReader(`{"latency_ms":1}`))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func TestSingles_WhatMetaRefusesHaltsNobodyElse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(`UPDATE templates SET language = 'xx'`) // Meta has none in it: 132001
	gone := &store.SingleTemplate{Name: "seasonal_promotion", Language: "xx", Values: map[string]string{"body.1": "Asha"}}
	m, err := d.accept(single.Content{Type: single.Template}, gone)
	require.NoError(t, err)
	require.Equal(t, activities.SendClaimResult{Failed: 1}, d.send())
	got, err := d.store.Message(t.Context(), d.vendor, m.ID)
	require.NoError(t, err)
	require.Equal(t, message.Failed, got.Status)
	require.Equal(t, 132001, got.ErrorCode)
	require.Zero(t, got.Captured)
	d.writes("text", `{"body":"hello?"}`)
	_, err = d.accept(single.Content{Type: single.Text, Text: &single.TextBody{Body: "sorry"}}, nil)
	require.NoError(t, err)
	require.Equal(t, activities.SendClaimResult{Sent: 1}, d.send())
}

// What persons wrote is kept once, sealed for the vendor, whatever its type; what cannot
// be read holds nothing up.
func TestInbound_IsKeptSealedAndOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(`INSERT INTO inbound_intakes (vendor_id, id, phone_number_id, message_ct) VALUES ($1, $2, $3, 'broken')`, d.vendor, id.Random(), d.phone)
	d.writes("text", `{"body":"is it there?"}`)
	d.writes("image", `{"id":"77","mime_type":"image/jpeg","sha256":"x"}`)
	d.writes("interactive", `{"type":"button_reply","button_reply":{"id":"y","title":"Fine"}}`)
	d.writes("button", `{"payload":"y","text":"Fine"}`)
	rows, err := d.db.Super().Query(t.Context(), `SELECT id::text, type, message_ct, written_at FROM inbound_messages ORDER BY received_at`)
	require.NoError(t, err)
	var kinds []string
	for rows.Next() {
		var (
			key, kind string
			sealed    []byte
			written   time.Time
		)
		require.NoError(t, rows.Scan(&key, &kind, &sealed, &written))
		plain, err := d.keys.Decrypt(crypt.Inbound, key, sealed)
		require.NoError(t, err)
		require.Contains(t, string(plain), strings.TrimPrefix(asha, "+"))
		require.NotContains(t, string(sealed), "there")
		require.WithinDuration(t, time.Now(), written, time.Minute)
		kinds = append(kinds, kind)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{"text", "image", "interactive", "button"}, kinds)
	var windows, left int
	require.NoError(t, d.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM conversation_windows WHERE open_until > now() + interval '23 hours'`).Scan(&windows))
	require.Equal(t, 2, windows, "of the number and of Meta's own id of the person")
	require.NoError(t, d.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM inbound_intakes`).Scan(&left))
	require.Zero(t, left)

	_, err = d.store.AcceptSingle(t.Context(), id.New[vendor.ID](), store.NewSingle{SenderNumber: d.number}, time.Now(), store.Once[store.CampaignMessage]{})
	require.Equal(t, errs.NotFound, errs.KindOf(err))
}

// A person's STOP ends marketing to them, not answers; their START begins it again. Old
// words told late change nothing.
func TestInbound_AKeywordAloneIsHeeded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	offer := &store.SingleTemplate{Name: "seasonal_promotion", Language: "en_US", Values: map[string]string{"body.1": "Asha"}}
	try := func() error {
		_, err := d.accept(single.Content{Type: single.Template}, offer)
		return err
	}
	d.writes("text", `{"body":"please stop by"}`)
	require.NoError(t, try())
	d.writes("text", `{"body":"Stop."}`)
	require.ErrorIs(t, try(), single.ErrSuppressed)
	_, err := d.accept(single.Content{Type: single.Text, Text: &single.TextBody{Body: "you are off our list"}}, nil)
	require.NoError(t, err)
	d.exec(`UPDATE suppressions SET created_at = created_at - interval '2 seconds'`) // Meta tells whole seconds
	d.writes("text", `{"body":"START"}`)
	require.NoError(t, try())
	d.exec(`UPDATE suppressions SET lifted_at = lifted_at - interval '2 seconds'`)
	d.writes("button", `{"payload":"STOP","text":"Not interested"}`)
	require.ErrorIs(t, try(), single.ErrSuppressed)
	d.exec(`UPDATE suppressions SET source = 'IMPORT', created_at = created_at - interval '2 seconds'`)
	d.writes("text", `{"body":"START"}`)
	require.ErrorIs(t, try(), single.ErrSuppressed, "not theirs to lift")
}

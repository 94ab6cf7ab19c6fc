package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/store"
)

// What a message costs, in micros, and what it says: one parameter from the contact's name.
const (
	messagePrice = 1500
	components   = `[{"type":"BODY","text":"Hi {{1}}, our sale is on."}]`
	parameters   = `{"body.1": {"source": "FIELD", "name": "name", "fallback": "friend"}}`
)

// party is one vendor with one campaign, ready to be launched.
type party struct {
	vendor                    vendor.ID
	campaign                  campaign.ID
	keys                      *crypt.VendorKeys
	wrapped                   []byte
	waba, number              string // Meta's ids
	token                     string
	messages, rate            int
	late                      bool
	wabaRef, sender           string
	template, snapshot, label string
	quotation                 string
}

// load fills the database with the scenario: vendors, keys, money held, templates, contacts by
// COPY, and the audiences frozen by the product's own statements. Nothing is due yet.
func (w *world) load(ctx context.Context, s scenario) ([]*party, error) {
	parties, err := w.parties(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("accounts at the simulator: %w", err)
	}
	if err := w.copyParties(ctx, parties); err != nil {
		return nil, fmt.Errorf("vendors: %w", err)
	}
	base := 0
	for _, p := range parties {
		if err := w.copyContacts(ctx, p, base); err != nil {
			return nil, fmt.Errorf("contacts: %w", err)
		}
		base += p.messages
	}
	if _, err := w.db.Exec(ctx, "ANALYZE vendors, contacts, contact_identities, contact_labels, campaigns"); err != nil {
		return nil, err
	}
	if err := w.freeze(ctx, parties); err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	// Only what was loaded: a vacuumed empty table counts as empty for the planner until it is
	// analyzed again, an untouched one does not, and the month's attempts begin empty.
	loaded := "contacts, contact_identities, message_logs, outbox_events, outbox_lanes, outbox_turns, campaigns, campaign_shares, " +
		"vendors, wallets, ledger_accounts, ledger_transactions, ledger_entries"
	for _, sql := range []string{"VACUUM ANALYZE " + loaded, "CHECKPOINT"} {
		if _, err := w.db.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	if err := w.acquaint(ctx, parties); err != nil {
		return nil, fmt.Errorf("pace: %w", err)
	}
	return parties, w.settle(ctx)
}

// settle gives back the loader's connections, so that what they did is counted before the run.
func (w *world) settle(ctx context.Context) error {
	w.app.Close()
	w.db.Reset()
	time.Sleep(1500 * time.Millisecond)
	var err error
	w.app, err = store.Open(ctx, w.State().DatabaseURL("kloyst_app", devstack.Database), 4)
	return err
}

// parties makes every vendor's keys, and its account and number at the simulator.
func (w *world) parties(ctx context.Context, s scenario) ([]*party, error) {
	var out []*party
	snapshot := id.Random()
	for i, g := range s.Groups {
		for range g.Vendors {
			out = append(out, &party{
				vendor: id.New[vendor.ID](), campaign: id.New[campaign.ID](), messages: g.Messages, rate: g.Rate,
				late: i >= len(s.Groups)-s.Late, wabaRef: id.Random(), sender: id.Random(), template: id.Random(),
				snapshot: snapshot, label: id.Random(), quotation: id.Random(),
			})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, p := range out {
		g.Go(func() error {
			var err error
			if p.wrapped, err = w.ring.NewVendorKeys(p.vendor); err != nil {
				return err
			}
			if p.keys, err = w.ring.Open(p.vendor, p.wrapped); err != nil {
				return err
			}
			return w.business(ctx, p, i, s.Statuses)
		})
	}
	return out, g.Wait()
}

func (w *world) business(ctx context.Context, p *party, i int, subscribed bool) error {
	if w.graph != "" {
		p.waba, p.token, p.number = fmt.Sprintf("2%014d", i), "token", fmt.Sprintf("1%014d", i)
		return nil
	}
	level := "STANDARD"
	if p.rate > rateStandard {
		level = "HIGH"
	}
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	err := w.call(ctx, http.MethodPost, "wabas", map[string]any{
		"name": "Vendor " + strconv.Itoa(i), "currency": "USD", "subscribed": subscribed,
		"numbers": []map[string]any{{
			"display_phone_number": fmt.Sprintf("+1555%07d", i), "verified_name": "Vendor", "throughput_level": level,
		}},
	}, &biz)
	if err != nil {
		return err
	}
	p.waba, p.token, p.number = biz.WABA, biz.Token, biz.Numbers[0].ID
	return nil
}

// table is one COPY.
type table struct {
	name    string
	columns []string
	rows    [][]any
}

func (w *world) copy(ctx context.Context, tables ...*table) error {
	// In one transaction: the ledger takes none whose entries are missing when it commits.
	return pgx.BeginFunc(ctx, w.db, func(tx pgx.Tx) error {
		for _, t := range tables {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		return nil
	})
}

func (w *world) copyParties(ctx context.Context, parties []*party) error {
	vendors := &table{name: "vendors", columns: []string{"vendor_id", "name", "default_region", "currency"}}
	keys := &table{name: "vendor_keys", columns: []string{"vendor_id", "version", "wrapped"}}
	wabas := &table{name: "wabas", columns: []string{"vendor_id", "id", "waba_id", "token_ct"}}
	numbers := &table{name: "sender_numbers", columns: []string{
		"vendor_id", "id", "waba_ref", "phone_number_id", "throughput_level", "rate_per_second",
	}}
	templates := &table{name: "templates", columns: []string{
		"vendor_id", "id", "waba_ref", "meta_id", "name", "language", "category", "status", "components",
	}}
	labels := &table{name: "labels", columns: []string{"vendor_id", "id", "name"}}
	campaigns := &table{name: "campaigns", columns: []string{
		"vendor_id", "id", "name", "status", "template_id", "sender_number_id", "category", "audience", "parameters",
		"quotation_id", "approved_at",
	}}
	snapshots := &table{
		name: "pricing_snapshots", columns: []string{"id", "currency", "effective_from", "source", "fingerprint"},
		rows: [][]any{{parties[0].snapshot, "USD", time.Now().AddDate(0, -1, 0), "bench", []byte("f")}},
	}
	quotations := &table{name: "quotations", columns: []string{
		"vendor_id", "id", "campaign_id", "number", "status", "currency", "snapshot_id", "inputs", "fingerprint", "quantity",
		"messages_micros", "fees_micros", "tax_micros", "total_micros", "wallet_sufficient", "expires_at", "pdf_status",
	}}
	items := &table{name: "quotation_items", columns: []string{
		"vendor_id", "quotation_id", "line_no", "kind", "country", "quantity", "unit_micros", "amount_micros", "share_micros",
	}}
	for _, p := range parties {
		sealed, err := p.keys.Encrypt(crypt.WABAToken, p.wabaRef, []byte(p.token))
		if err != nil {
			return err
		}
		v, total := string(p.vendor), int64(p.messages)*messagePrice
		vendors.rows = append(vendors.rows, []any{v, "Vendor", "IN", "USD"})
		keys.rows = append(keys.rows, []any{v, int32(1), p.wrapped})
		wabas.rows = append(wabas.rows, []any{v, p.wabaRef, p.waba, sealed})
		level := "STANDARD"
		if p.rate > rateStandard {
			level = "HIGH"
		}
		numbers.rows = append(numbers.rows, []any{v, p.sender, p.wabaRef, p.number, level, int32(p.rate)}) //nolint:gosec // a constant of ours
		templates.rows = append(templates.rows, []any{v, p.template, p.wabaRef, "1", "seasonal_promotion", "en_US", "MARKETING", "APPROVED", components})
		labels.rows = append(labels.rows, []any{v, p.label, "customers"})
		campaigns.rows = append(campaigns.rows, []any{
			v, string(p.campaign), "Sale", "APPROVED", p.template, p.sender, "MARKETING", `{"any_labels":["` + p.label + `"]}`, parameters, p.quotation, time.Now(),
		})
		quotations.rows = append(quotations.rows, []any{
			v, p.quotation, string(p.campaign), "Q-1", "ACCEPTED", "USD", p.snapshot, `{}`, []byte("f"), int32(p.messages), //nolint:gosec // ours
			total, int64(0), int64(0), total, true, time.Now().AddDate(0, 0, 1), "READY", // a missing one would be made, by its own workflow
		})
		items.rows = append(items.rows, []any{
			v, p.quotation, int32(1), "MESSAGES", "IN", int32(p.messages), int64(messagePrice), total, int64(messagePrice), //nolint:gosec // ours
		})
	}
	if err := w.copy(ctx, vendors, keys, wabas, numbers, templates, snapshots, labels, campaigns, quotations, items); err != nil {
		return err
	}
	return w.copyMoney(ctx, parties)
}

// copyMoney tops every wallet up with twice its campaign's price and holds that price. A hold makes
// the campaign's REVENUE too: captures that had to make it would lock each other out.
func (w *world) copyMoney(ctx context.Context, parties []*party) error {
	wallets := &table{name: "wallets", columns: []string{"vendor_id", "currency"}}
	accounts := &table{name: "ledger_accounts", columns: []string{"vendor_id", "id", "kind", "campaign_id", "currency"}}
	transactions := &table{name: "ledger_transactions", columns: []string{"vendor_id", "id", "kind", "reference", "campaign_id"}}
	entries := &table{name: "ledger_entries", columns: []string{"vendor_id", "transaction_id", "line", "account_id", "amount_micros"}}
	for _, p := range parties {
		v, c, total := string(p.vendor), string(p.campaign), int64(p.messages)*messagePrice
		funding, purse, hold, revenue := id.New[string](), id.New[string](), id.New[string](), id.New[string]()
		topUp, held := id.Random(), id.Random()
		wallets.rows = append(wallets.rows, []any{v, "USD"})
		accounts.rows = append(accounts.rows,
			[]any{v, funding, "FUNDING", nil, "USD"}, []any{v, purse, "WALLET", nil, "USD"},
			[]any{v, hold, "HOLD", c, "USD"}, []any{v, revenue, "REVENUE", c, "USD"})
		transactions.rows = append(transactions.rows,
			[]any{v, topUp, "TOP_UP", "top-up/1", nil},
			[]any{v, held, "HOLD", "hold/" + c, c})
		entries.rows = append(entries.rows,
			[]any{v, topUp, int16(0), funding, -2 * total}, []any{v, topUp, int16(1), purse, 2 * total},
			[]any{v, held, int16(0), purse, -total}, []any{v, held, int16(1), hold, total})
	}
	return w.copy(ctx, wallets, accounts, transactions, entries)
}

// copyContacts gives the vendor its audience; from keeps numbers apart between vendors.
func (w *world) copyContacts(ctx context.Context, p *party, from int) error {
	contacts := &table{name: "contacts", columns: []string{"vendor_id", "id", "mobile_hash", "mobile_ct", "name_ct", "country"}}
	labelled := &table{name: "contact_labels", columns: []string{"vendor_id", "label_id", "contact_id"}}
	identities := &table{name: "contact_identities", columns: []string{"vendor_id", "identity_hash", "kind", "contact_id"}}
	for i := range p.messages {
		contact, mobile := id.New[string](), fmt.Sprintf("+9198%08d", from+i)
		mobileCT, err := p.keys.Encrypt(crypt.Mobile, contact, []byte(mobile))
		if err != nil {
			return err
		}
		nameCT, err := p.keys.Encrypt(crypt.Name, contact, []byte("Customer "+strconv.Itoa(i)))
		if err != nil {
			return err
		}
		hash, err := p.keys.Index(mobile)
		if err != nil {
			return err
		}
		contacts.rows = append(contacts.rows, []any{string(p.vendor), contact, hash, mobileCT, nameCT, "IN"})
		identities.rows = append(identities.rows, []any{string(p.vendor), hash, "PHONE", contact})
		labelled.rows = append(labelled.rows, []any{string(p.vendor), p.label, contact})
	}
	return w.copy(ctx, contacts, identities, labelled)
}

// freezePageRows is the product's own page.
const freezePageRows = 5000

// freeze turns every audience into messages and events in paused lanes, by the statements the
// product runs: the clock does not count it, as the campaigns' preparing is not sending.
func (w *world) freeze(ctx context.Context, parties []*party) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, p := range parties {
		g.Go(func() error {
			if _, err := w.app.PrepareCampaign(ctx, p.vendor, p.campaign, time.Now()); err != nil {
				return err
			}
			for done := false; !done; {
				frozen, last, err := w.app.FreezePage(ctx, p.vendor, p.campaign, freezePageRows)
				if err != nil {
					return err
				}
				if done = last; done && frozen != p.messages {
					return fmt.Errorf("%d of %d contacts were frozen", frozen, p.messages)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// acquaint lets the pace know the numbers, as those of vendors who have sent before: one
// that it never heard of, or not for a month, waits a second once.
func (w *world) acquaint(ctx context.Context, parties []*party) error {
	cfg, err := config.Load(w.State().Env(devstack.Worker), os.ReadFile)
	if err != nil {
		return err
	}
	options, err := redis.ParseURL(string(cfg.RedisURL))
	if err != nil {
		return err
	}
	cache := redis.NewClient(options)
	defer cache.Close() // nothing is left to flush
	pace := ratelimit.New(cache, "")
	for _, p := range parties {
		if _, err := pace.Take(ctx, ratelimit.Ask{Number: p.number, Rate: p.rate}); err != nil {
			return err
		}
	}
	return nil
}

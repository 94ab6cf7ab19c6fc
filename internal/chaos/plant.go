package chaos

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// vendors is how many take part; the first has three fifths of the recipients.
const vendors = 3

// party is one vendor with its campaign.
type party struct {
	vendor    vendor.ID
	campaign  campaign.ID
	quotation quotation.ID
	number    string // Meta's phone number id
	quoted    money.Micros
	people    int
	token     string // of its owner, for the vendors' API
}

// secret is every owner's password: the stack lives for a minute.
const secret = "correct horse battery"

// login gets each owner a token.
func (r *run) login(ctx context.Context) error {
	for n := range r.parties {
		var out struct {
			Token string `json:"access_token"`
		}
		if err := r.front.call(ctx, http.MethodPost, "/auth/login", map[string]any{"email": email(n), "password": secret}, &out); err != nil {
			return err
		}
		r.parties[n].token = out.Token
	}
	return nil
}

func email(n int) string { return fmt.Sprintf("owner-%d@chaos.example", n) }

func shareOut(n int) [vendors]int {
	small := n / 5
	return [vendors]int{n - 2*small, small, small}
}

// loadRates makes today's prices known, as the operator does.
func (r *run) loadRates(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(r.Root, "deploy", "rate-cards", "usd-2026-10-01.csv"))
	if err != nil {
		return err
	}
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: string(text), Source: "chaos"})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, r.stack.State().DatabaseURL("kloyst_operator", devstack.Database), 1)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.LoadRateCard(ctx, cards)
	return err
}

// plant makes a vendor with a business at the simulator, its people, and a quoted
// campaign that only needs to be approved.
func (r *run) plant(ctx context.Context, n, people, rate int) (party, error) {
	p := party{vendor: id.New[vendor.ID](), people: people}
	master, err := base64.StdEncoding.DecodeString(r.stack.State().Secrets["master_key"])
	if err != nil {
		return p, err
	}
	ring, err := crypt.NewRing(master)
	if err != nil {
		return p, err
	}
	wrapped, err := ring.NewVendorKeys(p.vendor)
	if err != nil {
		return p, err
	}
	keys, err := ring.Open(p.vendor, wrapped)
	if err != nil {
		return p, err
	}
	if err := r.app.CreateVendor(ctx, p.vendor, store.NewVendor{
		Vendor:      vendor.Vendor{Name: fmt.Sprintf("Chaos %d", n+1), DefaultRegion: "IN", Currency: "USD", TimeZone: "UTC"},
		Owner:       vendor.User{ID: id.New[vendor.UserID](), Email: email(n), Name: "Owner", PasswordHash: r.hash, Role: vendor.Owner, EmailVerified: true},
		WrappedKeys: wrapped,
	}); err != nil {
		return p, err
	}
	number, tmpl, err := r.connect(ctx, &p, keys, rate)
	if err != nil {
		return p, err
	}
	if err := r.people(ctx, &p, keys, n); err != nil {
		return p, err
	}
	return p, r.quote(ctx, &p, number, tmpl)
}

// connect makes the business at the simulator and connects its number, with one template.
func (r *run) connect(ctx context.Context, p *party, keys *crypt.VendorKeys, rate int) (waba.NumberID, template.ID, error) {
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	if err := r.sim.call(ctx, http.MethodPost, "/_sim/wabas", map[string]any{
		"name": "Chaos", "currency": "USD", "subscribed": true,
		"numbers": []map[string]any{{"display_phone_number": fmt.Sprintf("+1 555 %07d", 100+len(r.parties)), "verified_name": "Chaos", "throughput_level": "HIGH"}},
	}, &biz); err != nil {
		return "", "", err
	}
	p.number = biz.Numbers[0].ID
	account, err := r.app.ConnectWABA(ctx, p.vendor, waba.Account{ID: id.New[waba.ID](), MetaID: biz.WABA, Name: "Chaos", Currency: "USD"},
		func(key waba.ID) ([]byte, error) {
			return keys.Encrypt(crypt.WABAToken, string(key), []byte(biz.Token))
		})
	if err != nil {
		return "", "", err
	}
	sender, err := r.app.ConnectSenderNumber(ctx, p.vendor, waba.Number{
		ID: id.New[waba.NumberID](), WABA: account.ID, MetaID: p.number, Throughput: "HIGH", Quality: "GREEN", RatePerSecond: rate, Status: "CONNECTED",
	})
	if err != nil {
		return "", "", err
	}
	tmpl := id.New[template.ID]()
	_, err = r.db.Exec(ctx, `INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
		VALUES ($1, $2, $3, '1', 'seasonal_promotion', 'en_US', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi {{1}}, our sale is on."}]')`,
		p.vendor, tmpl, account.ID)
	return sender.ID, tmpl, err
}

// people are the vendor's contacts, all with one label; no number is another vendor's.
func (r *run) people(ctx context.Context, p *party, keys *crypt.VendorKeys, n int) error {
	label := id.Random()
	if _, err := r.db.Exec(ctx, `INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'everybody')`, p.vendor, label); err != nil {
		return err
	}
	var contacts, identities, labels [][]any
	for i := range p.people {
		contact, mobile := id.New[string](), fmt.Sprintf("+919%d%08d", n+1, i)
		ct, err := keys.Encrypt(crypt.Mobile, contact, []byte(mobile))
		if err != nil {
			return err
		}
		name, err := keys.Encrypt(crypt.Name, contact, []byte("Ravi"))
		if err != nil {
			return err
		}
		hash, err := keys.Index(mobile)
		if err != nil {
			return err
		}
		contacts = append(contacts, []any{string(p.vendor), contact, hash, ct, name, "IN"})
		identities = append(identities, []any{string(p.vendor), hash, "PHONE", contact})
		labels = append(labels, []any{string(p.vendor), label, contact})
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
		if _, err := r.db.CopyFrom(ctx, pgx.Identifier{in.table}, in.columns, pgx.CopyFromRows(in.rows)); err != nil {
			return err
		}
	}
	return nil
}

// quote composes the campaign, has it priced, and puts the money into the wallet.
func (r *run) quote(ctx context.Context, p *party, number waba.NumberID, tmpl template.ID) error {
	now := time.Now()
	c, err := r.app.CreateCampaign(ctx, p.vendor, campaign.NewCampaign{
		Name: "Sale", Template: tmpl, SenderNumber: number, Audience: campaign.NamedAudience{AnyLabels: []string{"everybody"}},
		Parameters: campaign.Parameters{"body.1": {Source: campaign.FromField, Name: "name", Fallback: "friend"}},
	}, now, store.Once[campaign.Campaign]{})
	if err != nil {
		return err
	}
	q, err := r.app.IssueQuotation(ctx, p.vendor, c.ID, now, store.Once[quotation.Quotation]{})
	if err != nil {
		return err
	}
	p.campaign, p.quotation, p.quoted = c.ID, q.ID, q.Quote.Total
	_, err = r.app.TopUp(ctx, p.vendor, "USD", wallet.TopUp("top-up/1", 2*p.quoted))
	return err
}

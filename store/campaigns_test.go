package store_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// shop is a purse whose vendor can have campaigns: an approved template, a number, a rate
// card with fee and tax, and contacts with labels.
type shop struct {
	purse
	operator *store.Store
	template template.ID
	number   waba.NumberID
	now      time.Time
}

func newShop(t *testing.T) shop {
	t.Helper()
	p := newPurse(t)
	operator, err := store.New(p.db.Operator())
	require.NoError(t, err)
	s := shop{
		purse: p, operator: operator, template: id.New[template.ID](), number: id.New[waba.NumberID](),
		now: time.Now().UTC().Truncate(time.Microsecond),
	}
	account := id.New[string]()
	s.exec(t, `INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, $3, '')`, p.v, account, "waba-"+account)
	s.exec(t, `INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) VALUES ($1, $2, $3, $4)`, p.v, s.number, account, "phone-"+account)
	s.exec(t, `INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
		VALUES ($1, $2, $3, '1', 'offer', 'en', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi {{1}}"}]')`, p.v, s.template, account)
	s.loadCard(t)
	require.NoError(t, operator.SetPlatformFee(t.Context(), "STANDARD", "USD", "2026-01-01", pricing.FeeRule{Fixed: 5_000_000, PerMessage: 1_000}))
	require.NoError(t, operator.SetTax(t.Context(), "IN", "2026-01-01", pricing.TaxRule{Name: "GST", BPS: 1_800}))
	return s
}

func (s shop) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := s.db.Super().Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (s shop) loadCard(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../deploy/rate-cards/usd-2026-10-01.csv")
	require.NoError(t, err)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: string(text), Source: "usd-2026-10-01.csv"})
	require.NoError(t, err)
	added, err := s.operator.LoadRateCard(t.Context(), cards)
	require.NoError(t, err)
	require.Equal(t, 1, added)
}

// label makes a label and n contacts of a country that carry it, and returns its id.
func (s shop) label(t *testing.T, name, country string, n int) {
	t.Helper()
	s.exec(t, `INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, s.v, id.New[string](), name)
	s.exec(t, `WITH c AS (
			INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country)
			SELECT $1, gen_random_uuid(), uuid_send(gen_random_uuid()), '', $2 FROM generate_series(1, $3) RETURNING id, mobile_hash
		), i AS (
			INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id) SELECT $1, mobile_hash, 'PHONE', id FROM c
		)
		INSERT INTO contact_labels (vendor_id, label_id, contact_id)
		SELECT $1, l.id, c.id FROM c, labels l WHERE l.vendor_id = $1 AND l.name = $4`, s.v, country, n, name)
}

// both gives n of the contacts of one label another as well.
func (s shop) both(t *testing.T, have, also string, n int) {
	t.Helper()
	s.exec(t, `INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, s.v, id.New[string](), also)
	s.exec(t, `INSERT INTO contact_labels (vendor_id, label_id, contact_id)
		SELECT $1, b.id, cl.contact_id FROM contact_labels cl
		JOIN labels a ON a.vendor_id = $1 AND a.id = cl.label_id AND a.name = $2
		JOIN labels b ON b.vendor_id = $1 AND b.name = $3
		WHERE cl.vendor_id = $1 LIMIT $4`, s.v, have, also, n)
}

func (s shop) draft(t *testing.T, a campaign.NamedAudience) campaign.Campaign {
	t.Helper()
	c, err := s.CreateCampaign(t.Context(), s.v, s.spec(a), s.now, store.Once[campaign.Campaign]{})
	require.NoError(t, err)
	return c
}

func (s shop) spec(a campaign.NamedAudience) campaign.NewCampaign {
	return campaign.NewCampaign{
		Name: "Diwali", Template: s.template, SenderNumber: s.number, Audience: a,
		Parameters: campaign.Parameters{"body.1": {Source: campaign.FromField, Name: "name", Fallback: "friend"}},
	}
}

func (s shop) quote(t *testing.T, c campaign.ID) quotation.Quotation {
	t.Helper()
	q, err := s.IssueQuotation(t.Context(), s.v, c, s.now, store.Once[quotation.Quotation]{})
	require.NoError(t, err)
	return q
}

func (s shop) approve(t *testing.T, c campaign.ID, q quotation.ID) (campaign.Campaign, error) {
	t.Helper()
	return s.ApproveCampaign(t.Context(), s.v, store.Approval{Campaign: c, Quotation: q, At: s.now}, store.Once[campaign.Campaign]{})
}

func (s shop) events(t *testing.T, kind string) int {
	t.Helper()
	var n int
	require.NoError(t, s.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE kind = $1`, kind).Scan(&n))
	return n
}

func vips() campaign.NamedAudience { return campaign.NamedAudience{AnyLabels: []string{"VIP"}} }

func TestCreateCampaign(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 1)

	c := s.draft(t, vips())
	require.Equal(t, campaign.Draft, c.State)
	require.Equal(t, pricing.Marketing, c.Category)
	require.Equal(t, "UTC", c.TimeZone)
	require.Len(t, c.Audience.AnyLabels, 1)
	require.Equal(t, "friend", c.Parameters["body.1"].Fallback)
	again, err := s.Campaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, c, again)

	second := s.draft(t, vips())
	list, err := s.ListCampaigns(ctx, s.v, store.CampaignFilter{}, "", 1)
	require.NoError(t, err)
	require.Equal(t, []campaign.Campaign{second}, list)
	list, err = s.ListCampaigns(ctx, s.v, store.CampaignFilter{State: campaign.Draft}, second.ID, 5)
	require.NoError(t, err)
	require.Equal(t, []campaign.Campaign{c}, list)
	list, err = s.ListCampaigns(ctx, s.v, store.CampaignFilter{State: campaign.Running}, "", 5)
	require.NoError(t, err)
	require.Empty(t, list)

	tests := map[string]struct {
		change func(*campaign.NewCampaign)
		code   string
	}{
		"a template that is not there": {func(n *campaign.NewCampaign) { n.Template = id.New[template.ID]() }, "template.not_found"},
		"a number that is not there":   {func(n *campaign.NewCampaign) { n.SenderNumber = id.New[waba.NumberID]() }, "sender_number.not_found"},
		"a label that is not there":    {func(n *campaign.NewCampaign) { n.Audience.AllLabels = []string{"nobody"} }, "campaign.bad_audience"},
		"a variable left open":         {func(n *campaign.NewCampaign) { n.Parameters = nil }, "campaign.bad_parameters"},
	}
	for name, tt := range tests {
		n := s.spec(vips())
		tt.change(&n)
		_, err := s.CreateCampaign(ctx, s.v, n, s.now, store.Once[campaign.Campaign]{})
		require.Equal(t, tt.code, errs.CodeOf(err), name)
	}
	s.exec(t, `UPDATE templates SET status = 'PAUSED'`)
	_, err = s.CreateCampaign(ctx, s.v, s.spec(vips()), s.now, store.Once[campaign.Campaign]{})
	require.ErrorIs(t, err, template.ErrNotApproved)
}

func TestCampaign_OfAnotherVendorIsNotThere(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 1)
	s.topUp(t, 100*money.Unit)
	c := s.draft(t, vips())
	q := s.quote(t, c.ID)
	stranger := addVendor(t, s.db)

	_, err := s.Campaign(ctx, stranger, c.ID)
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.CampaignOverview(ctx, stranger, c.ID)
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.ListMessages(ctx, stranger, c.ID, store.MessagePage{Limit: 10})
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.Quotation(ctx, stranger, q.ID)
	require.ErrorIs(t, err, quotation.ErrNotFound)
	_, err = s.IssueQuotation(ctx, stranger, c.ID, s.now, store.Once[quotation.Quotation]{})
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.ApproveCampaign(ctx, stranger, store.Approval{Campaign: c.ID, Quotation: q.ID, At: s.now}, store.Once[campaign.Campaign]{})
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.CancelCampaign(ctx, stranger, c.ID)
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.CreateCampaign(ctx, stranger, s.spec(vips()), s.now, store.Once[campaign.Campaign]{})
	require.ErrorIs(t, err, template.ErrNotFound)
	list, err := s.ListCampaigns(ctx, stranger, store.CampaignFilter{}, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAudienceCounts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 7)
	s.label(t, "vip", "DE", 2)
	s.label(t, "new", "IN", 3)
	s.both(t, "vip", "delhi", 4)
	s.both(t, "new", "staff", 1)
	s.exec(t, `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source)
		SELECT $1, mobile_hash, 'MARKETING', 'STOP', 'test' FROM contacts WHERE country = 'DE' LIMIT 1`, s.v)

	tests := map[string]struct {
		audience campaign.NamedAudience
		category pricing.Category
		want     map[string]int64
	}{
		"any of one":                {campaign.NamedAudience{AnyLabels: []string{"vip"}}, pricing.Utility, map[string]int64{"IN": 7, "DE": 2}},
		"without the suppressed":    {campaign.NamedAudience{AnyLabels: []string{"vip"}}, pricing.Marketing, map[string]int64{"IN": 7, "DE": 1}},
		"any of two":                {campaign.NamedAudience{AnyLabels: []string{"vip", "new"}}, pricing.Utility, map[string]int64{"IN": 10, "DE": 2}},
		"all of two":                {campaign.NamedAudience{AllLabels: []string{"vip", "delhi"}}, pricing.Utility, nil},
		"all, and any":              {campaign.NamedAudience{AllLabels: []string{"vip"}, AnyLabels: []string{"delhi", "staff"}}, pricing.Utility, nil},
		"any but the excluded":      {campaign.NamedAudience{AnyLabels: []string{"new"}, ExcludedLabels: []string{"staff"}}, pricing.Utility, map[string]int64{"IN": 2}},
		"nobody has both":           {campaign.NamedAudience{AllLabels: []string{"vip", "new"}}, pricing.Utility, map[string]int64{}},
		"a label in both any & all": {campaign.NamedAudience{AllLabels: []string{"new"}, AnyLabels: []string{"new"}}, pricing.Utility, map[string]int64{"IN": 3}},
	}
	// As rows of before have it, as they are written now, and both at once.
	for _, known := range []string{
		`NULL`, `(SELECT c.country FROM contacts c WHERE c.id = contact_id)`,
		`(SELECT c.country FROM contacts c WHERE c.id = contact_id AND c.country <> 'DE')`,
	} {
		s.exec(t, `UPDATE contact_labels SET country = `+known)
		for name, tt := range tests {
			c := s.draft(t, tt.audience)
			got, err := s.AudienceCounts(ctx, s.v, c.Audience, tt.category)
			require.NoError(t, err, name)
			if tt.want == nil { // four, wherever they live
				require.Equal(t, int64(4), got["IN"]+got["DE"], name)
				continue
			}
			require.Equal(t, tt.want, got, name)
		}
	}
}

func TestIssueQuotation(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 100)
	s.label(t, "vip", "US", 3)
	c := s.draft(t, vips())

	q := s.quote(t, c.ID)
	require.Equal(t, quotation.Issued, q.Status)
	require.Equal(t, quotation.Number(s.now.Year(), 0), q.Number)
	require.False(t, q.WalletSufficient)
	require.Equal(t, int64(103), q.Quote.Quantity)
	require.Equal(t, money.Micros(100*11_800+3*25_000), q.Quote.Messages)
	require.Equal(t, money.Micros(5_000_000+103*1_000), q.Quote.Fees)
	stored, err := s.Quotation(ctx, s.v, q.ID)
	require.NoError(t, err)
	require.Equal(t, q, stored, "what is read back is what was issued")
	again, err := stored.Verify()
	require.NoError(t, err)
	require.Equal(t, stored.Quote, again, "the stored inputs compute the stored lines")
	require.Equal(t, 1, s.events(t, "quotation.issued"))

	row, err := s.Campaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Quoted, row.State)
	require.Equal(t, string(q.ID), row.Quotation)

	s.topUp(t, 100*money.Unit)
	second := s.quote(t, c.ID)
	require.True(t, second.WalletSufficient)
	require.Equal(t, quotation.Number(s.now.Year(), 1), second.Number)
	first, err := s.Quotation(ctx, s.v, q.ID)
	require.NoError(t, err)
	require.Equal(t, quotation.Superseded, first.Status)

	offer, err := s.QuotationOffer(ctx, s.v, second.ID)
	require.NoError(t, err)
	require.Equal(t, "Diwali", offer.CampaignName)
	require.Equal(t, "IN", offer.Region)

	require.NoError(t, s.MoveQuotationPDF(ctx, s.v, second.ID, quotation.PDFGenerating, ""))
	require.NoError(t, s.MoveQuotationPDF(ctx, s.v, second.ID, quotation.PDFReady, "quotations/x.pdf"))
	require.NoError(t, s.MoveQuotationPDF(ctx, s.v, second.ID, quotation.PDFFailed, "late"))
	second, err = s.Quotation(ctx, s.v, second.ID)
	require.NoError(t, err)
	require.Equal(t, quotation.PDFReady, second.PDF)
	require.Equal(t, "quotations/x.pdf", second.PDFKey)
	require.Empty(t, second.PDFError)
}

func TestIssueQuotation_Refuses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 1)
	s.label(t, "gone", "IN", 0)
	c := s.draft(t, campaign.NamedAudience{AnyLabels: []string{"gone"}})
	_, err := s.IssueQuotation(ctx, s.v, c.ID, s.now, store.Once[quotation.Quotation]{})
	require.ErrorIs(t, err, pricing.ErrEmptyAudience)

	c = s.draft(t, vips())
	_, err = s.IssueQuotation(ctx, s.v, c.ID, time.Date(2026, 9, 30, 23, 59, 59, 0, time.UTC), store.Once[quotation.Quotation]{})
	require.ErrorIs(t, err, pricing.ErrNoRateCard)
	_, err = s.CancelCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	_, err = s.IssueQuotation(ctx, s.v, c.ID, s.now, store.Once[quotation.Quotation]{})
	require.ErrorIs(t, err, campaign.ErrTransition)
}

func TestApproveCampaign(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 100)
	c := s.draft(t, vips())
	q := s.quote(t, c.ID)

	_, err := s.approve(t, c.ID, q.ID)
	require.ErrorIs(t, err, wallet.ErrInsufficientFunds)
	require.Equal(t, errs.Unfunded, errs.KindOf(err))
	require.ErrorContains(t, err, q.Quote.Total.String())

	s.topUp(t, 10*money.Unit)
	for range 2 { // a repeat is harmless
		got, err := s.approve(t, c.ID, q.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Approved, got.State)
		require.False(t, got.ApprovedAt.IsZero())
	}
	require.Equal(t, 1, s.events(t, "campaign.approved"))
	w, err := s.Wallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, q.Quote.Total, w.Held)
	require.Equal(t, 10*money.Unit-q.Quote.Total, w.Balance)
	accepted, err := s.Quotation(ctx, s.v, q.ID)
	require.NoError(t, err)
	require.Equal(t, quotation.Accepted, accepted.Status)

	o, err := s.CampaignOverview(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, store.CampaignMoney{Held: q.Quote.Total}, o.Money)
	require.Equal(t, q.Quote.Total, o.Quoted)
	s.requireSound(t)
}

func TestApproveCampaign_Refuses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.label(t, "vip", "IN", 1)
	s.topUp(t, 100*money.Unit)
	c := s.draft(t, vips())
	other := s.draft(t, vips())
	foreign := s.quote(t, other.ID)

	_, err := s.approve(t, c.ID, foreign.ID)
	require.ErrorIs(t, err, campaign.ErrTransition, "a draft was never quoted")
	old := s.quote(t, c.ID)
	q := s.quote(t, c.ID)
	_, err = s.approve(t, c.ID, foreign.ID)
	require.ErrorIs(t, err, quotation.ErrOtherCampaign)
	_, err = s.approve(t, c.ID, old.ID)
	require.ErrorIs(t, err, quotation.ErrNotStanding)
	_, err = s.approve(t, c.ID, id.New[quotation.ID]())
	require.ErrorIs(t, err, quotation.ErrNotFound)
	_, err = s.ApproveCampaign(t.Context(), s.v, store.Approval{Campaign: c.ID, Quotation: q.ID, At: s.now.Add(quotation.Validity)}, store.Once[campaign.Campaign]{})
	require.ErrorIs(t, err, quotation.ErrExpired)
	_, err = s.approve(t, c.ID, q.ID)
	require.NoError(t, err)
	_, err = s.approve(t, c.ID, old.ID)
	require.ErrorIs(t, err, quotation.ErrNotStanding, "approved, but on another quotation")
}

func TestSteerCampaign(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 5)
	s.topUp(t, 100*money.Unit)
	c := s.draft(t, vips())
	_, err := s.PauseCampaign(ctx, s.v, c.ID)
	require.ErrorIs(t, err, campaign.ErrTransition)
	q := s.quote(t, c.ID)
	_, err = s.approve(t, c.ID, q.ID)
	require.NoError(t, err)

	// As its workflow does.
	state, err := s.PrepareCampaign(ctx, s.v, c.ID, s.now)
	require.NoError(t, err)
	require.Equal(t, campaign.Preparing, state)
	frozen, done, err := s.FreezePage(ctx, s.v, c.ID, 100)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, 5, frozen)
	state, err = s.LaunchCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Running, state)

	lanePaused := func() (paused bool) {
		require.NoError(t, s.db.Super().QueryRow(ctx, `SELECT paused FROM outbox_lanes WHERE campaign_id = $1`, c.ID).Scan(&paused))
		return paused
	}
	require.False(t, lanePaused())
	for range 2 {
		got, err := s.PauseCampaign(ctx, s.v, c.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Paused, got.State)
		require.True(t, lanePaused())
	}
	got, err := s.ResumeCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Running, got.State)
	require.False(t, lanePaused())

	require.NoError(t, s.HaltCampaign(ctx, s.v, c.ID, "TEMPLATE_PAUSED"))
	got, err = s.ResumeCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Empty(t, got.HaltReason)
	require.NoError(t, s.HaltCampaign(ctx, s.v, c.ID, campaign.HaltAudienceGrew))
	_, err = s.ResumeCampaign(ctx, s.v, c.ID)
	require.ErrorIs(t, err, campaign.ErrAudienceGrew)

	messages, err := s.ListMessages(ctx, s.v, c.ID, store.MessagePage{Limit: 3})
	require.NoError(t, err)
	require.Len(t, messages, 3)
	rest, err := s.ListMessages(ctx, s.v, c.ID, store.MessagePage{Status: "QUEUED", After: messages[2].ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, rest, 2)
	o, err := s.CampaignOverview(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, store.CampaignCounts{Total: 5, Queued: 5}, o.Counts)
	var prices money.Micros
	for _, m := range append(messages, rest...) {
		prices += m.Price
	}
	require.Equal(t, q.Quote.Total-q.Quote.Charge(), prices, "the messages' prices are the quoted lines")

	got, err = s.CancelCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Cancelled, got.State)
	require.True(t, lanePaused())
	require.True(t, got.FinishedAt.IsZero(), "its workflow closes the books")
	_, err = s.ResumeCampaign(ctx, s.v, c.ID)
	require.ErrorIs(t, err, campaign.ErrTransition)
	s.requireSound(t)
}

func TestCancelCampaign_ADraftIsOverAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.label(t, "vip", "IN", 1)
	c := s.draft(t, vips())
	got, err := s.CancelCampaign(t.Context(), s.v, c.ID)
	require.NoError(t, err)
	require.False(t, got.FinishedAt.IsZero())
	require.Zero(t, s.events(t, "campaign.changed"))
}

func TestRateCards(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	cards, err := pricing.ParseCard(pricing.CardFile{
		Rates:  "market,currency,effective_from,marketing\nIndia,USD,2026-07-01,1.5\nOther,USD,2026-07-01,2\nIndia,USD,2026-11-01,3\n",
		Tiers:  "market,category,from_quantity,rate\nIndia,MARKETING,1001,0.5\n",
		Source: "mine.csv",
	})
	require.NoError(t, err)
	for i := range 2 {
		added, err := s.operator.LoadRateCard(ctx, cards)
		require.NoError(t, err)
		require.Equal(t, 2-2*i, added, "the same file again changes nothing")
	}
	list, err := s.operator.ListRateCards(ctx)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, 1, list[0].Tiers)

	at := func(day string) *pricing.Snapshot {
		when, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		card, err := s.CurrentSnapshot(ctx, s.v, "USD", when)
		require.NoError(t, err)
		return card
	}
	require.Equal(t, "2026-07-01", at("2026-09-30").From)
	require.Equal(t, "2026-10-01", at("2026-10-01").From)
	november := at("2026-11-24")
	require.Equal(t, "2026-11-01", november.From)
	require.Equal(t, cards[1].Fingerprint(), november.Fingerprint(), "a stored card says what the file said")
	_, err = s.CurrentSnapshot(ctx, s.v, "EUR", s.now)
	require.ErrorIs(t, err, pricing.ErrNoRateCard)

	require.ErrorIs(t, s.operator.SetPlatformFee(ctx, "STANDARD", "USD", "2026-01-01", pricing.FeeRule{Fixed: 1}), store.ErrRuleExists)
	require.NoError(t, s.operator.SetPlatformFee(ctx, "STANDARD", "USD", "2026-01-01", pricing.FeeRule{Fixed: 5_000_000, PerMessage: 1_000}))
	require.ErrorIs(t, s.operator.SetTax(ctx, "IN", "2026-01-01", pricing.TaxRule{Name: "GST", BPS: 1}), store.ErrRuleExists)

	// The application's role reads prices and writes none.
	_, err = s.LoadRateCard(ctx, []pricing.Snapshot{{Currency: "EUR", From: "2026-01-01"}})
	require.ErrorContains(t, err, "42501", "permission denied")
}

func TestQuotationStates_MatchTheColumns(t *testing.T) {
	t.Parallel()
	p := newPurse(t)
	requireCheck(t, p.db, "quotations_status_check", quotation.Statuses())
	requireCheck(t, p.db, "quotations_pdf_status_check", quotation.PDFStatuses())
	requireCheck(t, p.db, "quotation_items_kind_check",
		[]pricing.LineKind{"MESSAGES", pricing.FixedFee, pricing.MinimumFee, pricing.LineTax})
}

// TestReconcile_LedgerAgainstMessages walks what can become of a message's money.
func TestReconcile_LedgerAgainstMessages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "vip", "IN", 5)
	s.topUp(t, 100*money.Unit)
	c := s.draft(t, vips())
	_, err := s.approve(t, c.ID, s.quote(t, c.ID).ID)
	require.NoError(t, err)
	_, err = s.PrepareCampaign(ctx, s.v, c.ID, s.now)
	require.NoError(t, err)
	key := string(c.ID)
	attempt := func(message int, status string, captured, refunded money.Micros) {
		s.exec(t, `INSERT INTO message_attempts (vendor_id, message_id, attempt, month, campaign_id, claim_id, status, captured_micros, refunded_micros)
			SELECT $1, $2, 1, month, id, gen_random_uuid(), $3, $4, $5 FROM campaigns`, s.v, message, status, captured, refunded)
	}
	attempt(1, "DELIVERED", 40, 0)
	attempt(2, "FAILED", 30, 30)
	attempt(3, "READ", 20, 20) // refunded, and read after all
	attempt(4, "SENT", 10, 0)  // known after the books were closed
	_, err = s.PostAll(ctx, s.v,
		wallet.Capture(key, "batch", 90), wallet.Refund(key, "refund/2/1", 30), wallet.Refund(key, "refund/3/1", 20),
		wallet.Loss(key, "loss/3/1", 20), wallet.Loss(key, "loss/4/1", 10), wallet.Capture(key, "fees/"+key, 500))
	require.NoError(t, err)
	s.requireSound(t)

	s.exec(t, `INSERT INTO settlements (vendor_id, message_id, attempt, month, campaign_id) SELECT $1, 3, 1, month, id FROM campaigns`, s.v)
	d, err := s.ReconcileWallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, money.Micros(20), d.Uncharged, "what is not settled yet is not earned yet")
	attempt(5, "SENT", 7, 0)
	d, err = s.ReconcileWallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, money.Micros(13), d.Uncharged, "a charge without its capture is seen")
}

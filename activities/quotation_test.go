package activities_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// issued makes a vendor with one quotation.
func issued(t *testing.T, db *pgtest.DB) (*store.Store, vendor.ID, quotation.ID) {
	t.Helper()
	s, err := store.New(db.App())
	require.NoError(t, err)
	v, number, tpl, label := id.New[vendor.ID](), id.New[waba.NumberID](), id.New[template.ID](), id.New[string]()
	owner := vendor.User{ID: id.New[vendor.UserID](), Email: "asha@acme.example", Name: "Asha", PasswordHash: "x", Role: vendor.Owner}
	require.NoError(t, s.CreateVendor(t.Context(), v, store.NewVendor{
		Vendor: vendor.Vendor{Name: "श्री ट्रेडर्स", DefaultRegion: "IN", Currency: "INR", TimeZone: "Asia/Kolkata"}, Owner: owner, WrappedKeys: []byte("w"),
	}))
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, 'w', '')`, []any{v, label}},
		{`INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id) VALUES ($1, $2, $3, 'p')`, []any{v, number, label}},
		{`INSERT INTO templates (vendor_id, id, waba_ref, meta_id, name, language, category, status, components)
			VALUES ($1, $2, $3, '1', 'offer', 'en', 'MARKETING', 'APPROVED', '[{"type":"BODY","text":"Hi"}]')`, []any{v, tpl, label}},
		{`INSERT INTO labels (vendor_id, id, name) VALUES ($1, $2, 'vip')`, []any{v, label}},
		{`INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country) VALUES ($1, $2, 'h', '', 'IN')`, []any{v, label}},
		{`INSERT INTO contact_labels (vendor_id, label_id, contact_id) VALUES ($1, $2, $2)`, []any{v, label}},
	} {
		_, err := db.Super().Exec(t.Context(), q.sql, q.args...)
		require.NoError(t, err, q.sql)
	}
	operator, err := store.New(db.Operator())
	require.NoError(t, err)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: "market,currency,effective_from,marketing\nIndia,INR,2026-10-01,0.8631\n"})
	require.NoError(t, err)
	_, err = operator.LoadRateCard(t.Context(), cards)
	require.NoError(t, err)
	c, err := s.CreateCampaign(t.Context(), v, campaign.NewCampaign{
		Name: "Diwali", Template: tpl, SenderNumber: number, Audience: campaign.NamedAudience{AnyLabels: []string{"vip"}},
	}, time.Now(), store.Once[campaign.Campaign]{})
	require.NoError(t, err)
	q, err := s.IssueQuotation(t.Context(), v, c.ID, time.Now(), store.Once[quotation.Quotation]{})
	require.NoError(t, err)
	return s, v, q.ID
}

func TestRenderQuotation(t *testing.T) {
	t.Parallel()
	s, v, q := issued(t, pgtest.New(t))
	blobs, err := blob.Open(t.Context(), "file://"+t.TempDir())
	require.NoError(t, err)
	defer blobs.Close() // a test's folder
	act := &activities.Quotations{Store: s, Blobs: blobs, PDF: sync.OnceValues(func() (*pdf.Renderer, error) {
		return pdf.New("/usr/share/fonts/truetype/noto")
	})}
	ref := activities.QuotationRef{Vendor: v, Quotation: q}

	made, err := act.RenderQuotation(t.Context(), ref)
	require.NoError(t, err)
	file, err := blobs.Get(t.Context(), made.Key)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(file, []byte("%PDF-")))
	require.Len(t, file, made.Bytes)
	again, err := act.RenderQuotation(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, made, again, "a repeat makes the same document")

	before, err := s.Quotation(t.Context(), v, q)
	require.NoError(t, err)
	require.NotEmpty(t, before.PDFKey)
	require.NoError(t, act.FailQuotation(t.Context(), activities.QuotationFailure{QuotationRef: ref, Code: "late"}))
	row, err := s.Quotation(t.Context(), v, q)
	require.NoError(t, err)
	require.Equal(t, quotation.PDFReady, row.PDF, "what is there stays")
	require.Equal(t, before.PDFKey, row.PDFKey)

	ref.Vendor = id.New[vendor.ID]()
	_, err = act.RenderQuotation(t.Context(), ref)
	require.ErrorContains(t, err, "no such quotation")
}

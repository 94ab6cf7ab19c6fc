package pdf_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/pdf"
)

// noto is where Debian's fonts-noto-core puts its files; without it these tests still
// run, with boxes for letters.
const noto = "/usr/share/fonts/truetype/noto"

// offer quotes one message each to the first n of many countries, from the real card.
func offer(tb testing.TB, vendor string, countries int) pdf.Offer {
	tb.Helper()
	text, err := os.ReadFile("../../deploy/rate-cards/usd-2026-10-01.csv")
	require.NoError(tb, err)
	cards, err := pricing.ParseCard(pricing.CardFile{Rates: string(text)})
	require.NoError(tb, err)
	all := []string{
		"IN", "US", "AE", "GB", "DE", "BD", "LK", "NP", "SG", "AU", "KE", "NG", "ZA", "BR", "MX", "SA", "QA", "KW", "OM", "MY",
		"ID", "TH", "PH", "VN", "JP", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "IE", "PT", "PL", "RO", "HU",
		"UA", "TR", "EG", "MA", "TZ", "UG", "GH", "CO", "PE", "CL",
	}
	counts := map[string]int64{}
	for i, c := range all[:countries] {
		counts[c] = int64(9_731 / (i + 1))
	}
	in, err := pricing.NewInputs(&cards[0], pricing.Marketing, counts,
		pricing.FeeRule{Fixed: 5_000_000, PerMessage: 1_500}, pricing.TaxRule{Name: "GST", BPS: 1_800})
	require.NoError(tb, err)
	q, err := pricing.Compute(in)
	require.NoError(tb, err)
	print, err := pricing.Fingerprint(in, q)
	require.NoError(tb, err)
	at := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	zone, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(tb, err)
	return pdf.Offer{
		Vendor: vendor, Region: "IN", Campaign: "Diwali offer 2026", Zone: zone,
		Quotation: quotation.Quotation{
			Number: "Q-2026-000123", Inputs: in, Quote: q, Fingerprint: print, CreatedAt: at, ExpiresAt: at.Add(quotation.Validity),
		},
	}
}

// keep leaves a document in the -samples folder, for somebody to look at.
func keep(t *testing.T, name string, file []byte) {
	t.Helper()
	if *samples != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*samples, name), file, 0o644))
	}
}

// The library dates the document and every font in it; the clock that moves here shows that
// nothing of it is left.
func TestQuotation_IsTheSameBytesWheneverItIsDrawn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := offer(t, "श्री Acme Foods", 5)
		first, err := pdf.New(noto)
		require.NoError(t, err)
		second, err := pdf.New(noto)
		require.NoError(t, err)
		a, err := first.Quotation(o)
		require.NoError(t, err)
		keep(t, "short.pdf", a)
		for range 3 {
			time.Sleep(49 * time.Hour)
			b, err := second.Quotation(o)
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b), "the same offer is the same file, whoever draws it, when, and after whatever")
			_, err = second.Quotation(offer(t, "Andere GmbH", 9))
			require.NoError(t, err)
		}
		require.True(t, bytes.HasPrefix(a, []byte("%PDF-1.7\n")))
		require.Contains(t, string(a), "/CreationDate(D:20261124093000Z)")
		require.Contains(t, string(a), "/Lang(en)")
		require.Less(t, len(a), 200_000)
	})
}

func TestQuotation_ManyCountriesTakeManyPages(t *testing.T) {
	t.Parallel()
	r, err := pdf.New(noto)
	require.NoError(t, err)
	for n, pages := range map[int]int{1: 1, 12: 2, 50: 3} {
		file, err := r.Quotation(offer(t, "Acme Foods", n))
		require.NoError(t, err)
		keep(t, "long.pdf", file)
		require.Equal(t, pages, bytes.Count(file, []byte("/Type/Page/")), n)
	}
}

func TestQuotation_EveryScript(t *testing.T) {
	t.Parallel()
	r, err := pdf.New(noto)
	require.NoError(t, err)
	plain, err := pdf.New(t.TempDir())
	require.NoError(t, err)
	names := map[string]string{
		"devanagari": "श्री लक्ष्मी ट्रेडर्स (India) प्राइवेट लिमिटेड",
		"tamil":      "ஸ்ரீ முருகன் ஸ்டோர்ஸ்",
		"bengali":    "শ্রী দুর্গা বস্ত্রালয়",
		"telugu":     "శ్రీ వెంకటేశ్వర స్టోర్స్",
		"gujarati":   "શ્રી અંબિકા ટ્રેડર્સ",
		"kannada":    "ಶ್ರೀ ಕೃಷ್ಣ ಸ್ಟೋರ್ಸ್",
		"malayalam":  "ശ്രീ പത്മനാഭ സ്റ്റോഴ്സ്",
		"punjabi":    "ਸ੍ਰੀ ਗੁਰੂ ਟਰੇਡਰਜ਼",
		"arabic":     "شركة النور للتجارة (UAE) 2026",
		"urdu":       "الفلاح ٹریڈرز",
		"greek":      "Ελληνικά Τρόφιμα ΑΕ",
		"missing":    "日本商事 " + string(rune(0x1F600)),
		"empty":      "",
	}
	for name, vendor := range names {
		o := offer(t, vendor, 3)
		o.Campaign = vendor
		file, err := r.Quotation(o)
		require.NoError(t, err, name)
		keep(t, "script-"+name+".pdf", file)
		_, err = plain.Quotation(o)
		require.NoError(t, err, "a missing font is no failure")
	}
}

func TestQuotation_LargestAmounts(t *testing.T) {
	t.Parallel()
	r, err := pdf.New(noto)
	require.NoError(t, err)
	o := offer(t, "Acme Foods and Beverages Manufacturing and International Distribution Private Limited of Hyderabad", 2)
	for i := range o.Quotation.Quote.Items {
		o.Quotation.Quote.Items[i].Quantity *= 1_000_000
		o.Quotation.Quote.Items[i].Amount *= 1_000_000
		o.Quotation.Quote.Items[i].Total *= 1_000_000
	}
	o.Quotation.Quote.Total *= 1_000_000
	o.Quotation.Quote.Currency = "INR"
	file, err := r.Quotation(o)
	require.NoError(t, err)
	keep(t, "large.pdf", file)
}

func BenchmarkQuotation(b *testing.B) {
	r, err := pdf.New(noto)
	require.NoError(b, err)
	o := offer(b, "श्री लक्ष्मी ट्रेडर्स", 12)
	for b.Loop() {
		if _, err := r.Quotation(o); err != nil {
			b.Fatal(err)
		}
	}
}

package e2e_test

import (
	"flag"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/store"
)

// The measurement behind the figures in BENCHMARKS.md is this test, longer:
// go test ./internal/e2e -run Ahead -singles.campaign 100000 -singles.count 200 -v
var (
	singlesCampaign = flag.Int("singles.campaign", 4000, "recipients of the campaign that runs meanwhile")
	singlesCount    = flag.Int("singles.count", 30, "one-off messages, two a second")
	singlesRate     = flag.Int("singles.rate", 80, "messages a second of the number")
)

// TestSingles_LeaveAheadOfACampaign writes to single persons from a number whose campaign
// has a backlog of minutes: they leave within moments, and the campaign goes on.
func TestSingles_LeaveAheadOfACampaign(t *testing.T) {
	w := start(t)
	call(t, http.MethodPut, w.State().MetasimURL()+"/_sim/config", map[string]any{"latency_ms": 50, "jitter_ms": 10}, nil)
	w.exec(t, `INSERT INTO pricing_snapshots (id, currency, effective_from, source, fingerprint) VALUES ('00000000-0000-4000-8000-000000000001', 'USD', '2026-10-02', 'test', 'singles')`)
	w.exec(t, `INSERT INTO pricing_rates (snapshot_id, market, category, rate_micros) VALUES ('00000000-0000-4000-8000-000000000001', 'Other', 'MARKETING', 1000)`)
	c, number, _ := w.approveAt(t, *singlesCampaign, *singlesRate)
	until(t, "the campaign is under way", 5*time.Minute, func() bool { return w.stats(t, number).Accepted > 2**singlesRate })

	var (
		sender waba.NumberID
		offer  template.ID
	)
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT sender_number_id, template_id FROM campaigns WHERE id = $1`, c).Scan(&sender, &offer))
	before := w.stats(t, number).Accepted
	began := time.Now()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := range *singlesCount {
		w.writeTo(t, "+9197"+strconv.Itoa(10_000_000+i), sender, offer)
		<-tick.C
	}
	took := time.Since(began)
	var left int
	until(t, "every one-off message is sent", time.Minute, func() bool {
		require.NoError(t, w.db.QueryRow(t.Context(), `SELECT count(*) FROM message_states s JOIN campaigns c USING (vendor_id)
			WHERE c.id = s.campaign_id AND c.kind = 'SINGLE' AND s.sent_at IS NULL`).Scan(&left))
		return left == 0
	})
	bulk := w.stats(t, number).Accepted - before - *singlesCount

	rows, err := w.db.Query(t.Context(), `SELECT EXTRACT(EPOCH FROM s.sent_at - s.created_at)::float8 FROM message_states s
		JOIN campaigns c ON c.id = s.campaign_id WHERE c.kind = 'SINGLE'`)
	require.NoError(t, err)
	var all []float64
	for rows.Next() {
		var seconds float64
		require.NoError(t, rows.Scan(&seconds))
		all = append(all, seconds)
	}
	require.NoError(t, rows.Err())
	require.Len(t, all, *singlesCount)
	slices.Sort(all)
	at := func(p float64) float64 { return all[int(p*float64(len(all)-1))] }
	t.Logf("of %d one-off messages beside a campaign of %d at %d/s: p50 %.3f s, p95 %.3f s, slowest %.3f s; the campaign went on at %.1f/s",
		len(all), *singlesCampaign, *singlesRate, at(0.5), at(0.95), at(1), float64(bulk)/took.Seconds())
	require.Less(t, at(0.95), 5.0)
	require.Greater(t, float64(bulk)/took.Seconds(), float64(*singlesRate)/2, "the campaign is not starved")
}

// writeTo sends one template from a number, as the API does.
func (w *world) writeTo(t *testing.T, to string, sender waba.NumberID, offer template.ID) {
	t.Helper()
	hash, err := w.keys.Index(contact.Identity(contact.PhoneIdentity, to))
	require.NoError(t, err)
	_, err = w.app.AcceptSingle(t.Context(), w.vendor, store.NewSingle{
		SenderNumber: sender, Recipient: hash, Country: "IN", Content: single.Content{Type: single.Template},
		Template: &store.SingleTemplate{ID: offer, Values: map[string]string{"body.1": "Asha"}},
		Seal: func(of contact.ID, m message.ID, content []byte) (mobile, sealed []byte, err error) {
			if mobile, err = w.keys.Encrypt(crypt.Mobile, string(of), []byte(to)); err != nil {
				return nil, nil, err
			}
			sealed, err = w.keys.Encrypt(crypt.Message, strconv.FormatInt(int64(m), 10), content)
			return mobile, sealed, err
		},
	}, time.Now(), store.Once[store.CampaignMessage]{})
	require.NoError(t, err)
}

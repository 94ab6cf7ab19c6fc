package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
)

// BenchmarkAudience counts an audience by country, as a quotation does: a label that everybody
// has, less one in ten by another label and one in a hundred who are suppressed.
//
//	kloyst dev exec --only postgres -- go test ./store -run '^$' -bench Audience -benchtime 3x -audience 1000000
func BenchmarkAudience(b *testing.B) {
	p := newPurse(b)
	all, tenth := campaign.LabelID("00000000-0000-7000-8000-000000000001"), campaign.LabelID("00000000-0000-7000-8000-000000000002")
	conn, err := p.db.Super().Acquire(b.Context())
	require.NoError(b, err)
	defer conn.Release()
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`INSERT INTO labels (vendor_id, id, name) VALUES ('%[1]s', '%[3]s', 'all'), ('%[1]s', '%[4]s', 'tenth')`,
		`INSERT INTO contacts (vendor_id, id, mobile_hash, mobile_ct, country)
		 SELECT '%[1]s', gen_random_uuid(), sha256(n::text::bytea), decode(repeat('ab', 41), 'hex'),
		        (ARRAY['IN', 'IN', 'IN', 'US', 'BR', 'AE', 'DE', 'GB', 'ID', 'KE'])[1 + n %% 10] FROM generate_series(1, %[2]d) n`,
		`INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id) SELECT vendor_id, mobile_hash, 'PHONE', id FROM contacts`,
		`INSERT INTO contact_labels (vendor_id, label_id, contact_id, country) SELECT vendor_id, '%[3]s', id, country FROM contacts ORDER BY id`,
		`INSERT INTO contact_labels (vendor_id, label_id, contact_id, country)
		 SELECT vendor_id, '%[4]s', id, country FROM contacts WHERE get_byte(mobile_hash, 0) < 26 ORDER BY id`,
		`INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source)
		 SELECT vendor_id, mobile_hash, 'ALL', 'STOP', 'test' FROM contacts WHERE get_byte(mobile_hash, 1) < 3`,
	} {
		_, err := conn.Exec(b.Context(), fmt.Sprintf(sql+" -- %[1]s %[2]d %[3]s %[4]s", p.v, *audience, all, tenth))
		require.NoError(b, err)
	}
	_, err = conn.Exec(b.Context(), `SET session_replication_role = origin`)
	require.NoError(b, err)
	for _, shape := range []struct {
		name string
		of   campaign.Audience
	}{
		{"one-label", campaign.Audience{AnyLabels: []campaign.LabelID{all}, ExcludedLabels: []campaign.LabelID{tenth}}},
		{"any-of-two", campaign.Audience{AnyLabels: []campaign.LabelID{all, tenth}}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				began := time.Now()
				_, err := p.AudienceCounts(b.Context(), p.v, shape.of, pricing.Marketing)
				require.NoError(b, err)
				slowest = max(slowest, time.Since(began))
			}
			b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
		})
	}
}

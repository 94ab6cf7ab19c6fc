package quotation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
)

func TestCheckAccept(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	q := quotation.Quotation{Campaign: "c1", Status: quotation.Issued, ExpiresAt: now.Add(time.Second)}
	require.NoError(t, q.CheckAccept("c1", now))
	require.ErrorIs(t, q.CheckAccept("c2", now), quotation.ErrOtherCampaign)
	require.ErrorIs(t, q.CheckAccept("c1", now.Add(time.Second)), quotation.ErrExpired)
	for _, s := range quotation.Statuses() {
		if q.Status = s; s != quotation.Issued {
			require.ErrorIs(t, q.CheckAccept("c1", now), quotation.ErrNotStanding)
		}
	}
}

func TestNumberAndMissing(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Q-2026-000123", quotation.Number(2026, 122))
	q := quotation.Quotation{Quote: pricing.Quote{Total: 10}}
	require.Equal(t, money.Micros(3), q.Missing(7))
	require.Zero(t, q.Missing(11))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	in := pricing.Inputs{
		Rule: 1, Currency: "USD", Category: pricing.Marketing,
		Audience: []pricing.Count{{Country: "IN", Market: "India", Messages: 3}},
		Markets:  []pricing.MarketRate{{Market: "India", Unit: 11_800}},
	}
	q, err := pricing.Compute(in)
	require.NoError(t, err)
	print, err := pricing.Fingerprint(in, q)
	require.NoError(t, err)
	stored := quotation.Quotation{Inputs: in, Quote: q, Fingerprint: print}
	again, err := stored.Verify()
	require.NoError(t, err)
	require.Equal(t, q, again)
	stored.Inputs.Markets[0].Unit++
	_, err = stored.Verify()
	require.ErrorIs(t, err, quotation.ErrTampered)
}

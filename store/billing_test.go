package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/store"
)

func TestBilling_ComparesChargesWithMeta(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 5).running(t)
	job, marked := c.sendAll(t, sent)
	tell := func(m store.Marked, category, pricing string) {
		t.Helper()
		c.hear(t, store.StatusUpdate{Ref: ref(job, m), Wamid: wamid(m), Status: message.Delivered, Category: category, PricingType: pricing})
	}
	tell(marked[0], "marketing", "regular")
	tell(marked[1], "marketing", "regular")
	tell(marked[2], "utility", "regular")
	tell(marked[3], "marketing", "free_entry_point")
	want := map[wallet.Verdict]wallet.Sum{
		wallet.Agreed: {Messages: 2, Amount: 2 * price}, wallet.OtherCategory: {Messages: 1, Amount: price},
		wallet.FreeAtMeta: {Messages: 1, Amount: price}, wallet.NotArrived: {Messages: 1, Amount: price},
	}
	b, err := c.CampaignBilling(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, want, b.Sums())
	b, err = c.MonthBilling(t.Context(), c.v, time.Now())
	require.NoError(t, err)
	require.Equal(t, want, b.Sums())
	require.Empty(t, b.Meta)
	b, err = c.MonthBilling(t.Context(), c.v, time.Now().AddDate(0, -2, 0))
	require.NoError(t, err)
	require.Empty(t, b.Lines)
	_, err = c.CampaignBilling(t.Context(), addVendor(t, c.db), c.campaign)
	require.ErrorIs(t, err, campaign.ErrNotFound)
}

func TestReplaceMetaBilling(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1)
	accounts, err := c.ConnectedWABAs(t.Context(), c.v)
	require.NoError(t, err)
	require.Len(t, accounts, 1)
	now := time.Now().UTC()
	day := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	days := wallet.Period{From: day, Until: day.AddDate(0, 0, 5)}
	count := store.MetaCount{Day: day, Country: "IN", Phone: "1555", Category: "MARKETING", Type: "REGULAR", Volume: 3, Cost: new(money.Micros(75_000))}
	for range 2 { // a repeat replaces
		require.NoError(t, c.ReplaceMetaBilling(t.Context(), c.v, accounts[0], days, []store.MetaCount{
			count, count, {Day: day, Country: "IN", Phone: "1555", Category: "SERVICE", Type: "FREE_CUSTOMER_SERVICE", Volume: 2},
		}))
	}
	b, err := c.MonthBilling(t.Context(), c.v, now)
	require.NoError(t, err)
	require.Len(t, b.Meta, 2)
	require.Equal(t, int64(6), b.Meta[0].Volume)
	require.Equal(t, money.Micros(150_000), *b.Meta[0].Cost)
	require.Nil(t, b.Meta[1].Cost)
	require.NoError(t, c.ReplaceMetaBilling(t.Context(), c.v, accounts[0], days, nil))
	b, err = c.MonthBilling(t.Context(), c.v, now)
	require.NoError(t, err)
	require.Empty(t, b.Meta)
}

// A status that comes before our own record of the send waits with what Meta says it bills.
func TestBilling_AParkedStatusKeepsItsPrice(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 1).running(t)
	job := c.claim(t)
	marked := c.mark(t, job)
	c.hear(t, store.StatusUpdate{Wamid: wamid(marked[0]), Status: message.Delivered, Category: "marketing", PricingType: "regular"})
	c.answer(t, job, marked, sent)
	require.NoError(t, c.EndSend(t.Context(), c.v, job))
	c.settle(t)
	b, err := c.CampaignBilling(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, map[wallet.Verdict]wallet.Sum{wallet.Agreed: {Messages: 1, Amount: price}}, b.Sums())
}

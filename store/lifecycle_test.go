package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

func TestChangeCampaign(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "VIP", "IN", 3)
	c := s.draft(t, vips())
	q := s.quote(t, c.ID)
	seen, err := s.Campaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Quoted, seen.State)

	rename := func(n *campaign.NewCampaign) error { n.Name = " Holi "; return nil }
	_, err = s.ChangeCampaign(ctx, s.v, c.ID, c.Version, rename)
	require.ErrorIs(t, err, campaign.ErrVersion, "it was quoted since")
	got, err := s.ChangeCampaign(ctx, s.v, c.ID, seen.Version, rename)
	require.NoError(t, err)
	require.Equal(t, "Holi", got.Name)
	require.Equal(t, campaign.Draft, got.State)
	require.Empty(t, got.Quotation)
	require.Equal(t, c.Audience, got.Audience)
	offer, err := s.Quotation(ctx, s.v, q.ID)
	require.NoError(t, err)
	require.Equal(t, quotation.Superseded, offer.Status)
	_, err = s.approve(t, c.ID, q.ID)
	require.ErrorIs(t, err, campaign.ErrTransition)

	got, err = s.ChangeCampaign(ctx, s.v, c.ID, 0, func(n *campaign.NewCampaign) error {
		n.Wall, n.TimeZone, n.Misfire, n.Tolerance = "2036-03-30T02:30", "Europe/Berlin", campaign.MisfireAsk, time.Hour
		n.Quiet = campaign.QuietHours{From: 21 * 60, To: 8 * 60}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, time.Date(2036, 3, 30, 1, 30, 0, 0, time.UTC), got.ScheduledAt, "02:30 is skipped that night")
	require.Equal(t, []any{campaign.MisfireAsk, time.Hour, campaign.QuietHours{From: 1260, To: 480}}, []any{got.Misfire, got.Tolerance, got.Quiet})

	_, err = s.ChangeCampaign(ctx, s.v, c.ID, 0, func(n *campaign.NewCampaign) error { n.Parameters = nil; return nil })
	require.ErrorContains(t, err, "campaign.bad_parameters")
	_, err = s.ChangeCampaign(ctx, addVendor(t, s.db), c.ID, 0, rename)
	require.ErrorIs(t, err, campaign.ErrNotFound)

	_, err = s.CancelCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	_, err = s.ChangeCampaign(ctx, s.v, c.ID, 0, rename)
	require.ErrorIs(t, err, campaign.ErrTransition)
}

func TestDeleteAndCloneCampaign(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "VIP", "IN", 3)
	c := s.draft(t, vips())
	require.ErrorIs(t, s.DeleteCampaign(ctx, addVendor(t, s.db), c.ID, 0), campaign.ErrNotFound)
	require.ErrorIs(t, s.DeleteCampaign(ctx, s.v, c.ID, 99), campaign.ErrVersion)
	s.quote(t, c.ID)
	require.ErrorIs(t, s.DeleteCampaign(ctx, s.v, c.ID, 0), campaign.ErrQuotedBefore)

	twin, err := s.CloneCampaign(ctx, s.v, store.Clone{Of: c.ID}, none())
	require.NoError(t, err)
	require.NotEqual(t, c.ID, twin.ID)
	require.Equal(t, campaign.Draft, twin.State)
	require.Equal(t, c.Spec(), twin.Spec())
	require.NoError(t, s.DeleteCampaign(ctx, s.v, twin.ID, twin.Version))
	_, err = s.Campaign(ctx, s.v, twin.ID)
	require.ErrorIs(t, err, campaign.ErrNotFound)
	_, err = s.CloneCampaign(ctx, s.v, store.Clone{Of: twin.ID}, none())
	require.ErrorIs(t, err, campaign.ErrNotFound)
}

// scheduled is an approved campaign that starts in an hour.
func (s shop) scheduled(t *testing.T, change func(*campaign.NewCampaign)) (campaign.Campaign, quotation.Quotation) {
	t.Helper()
	c := s.draft(t, vips())
	c, err := s.ChangeCampaign(t.Context(), s.v, c.ID, 0, func(n *campaign.NewCampaign) error {
		n.ScheduledAt = time.Now().Add(time.Hour)
		change(n)
		return nil
	})
	require.NoError(t, err)
	q := s.quote(t, c.ID)
	c, err = s.approve(t, c.ID, q.ID)
	require.NoError(t, err)
	return c, q
}

func TestSchedule_MoveAndTakeBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "VIP", "IN", 3)
	s.topUp(t, 100_000_000)
	c, q := s.scheduled(t, func(*campaign.NewCampaign) {})
	require.Equal(t, campaign.Scheduled, c.State)
	require.False(t, c.ApprovedAt.IsZero())
	again, err := s.approve(t, c.ID, q.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Scheduled, again.State, "a repeat changes nothing")

	moved, err := s.RescheduleCampaign(ctx, s.v, c.ID, store.StartTime{Wall: "2036-11-25T09:30", Zone: "Asia/Kolkata"}, store.Once[campaign.Campaign]{})
	require.NoError(t, err)
	require.Equal(t, time.Date(2036, 11, 25, 4, 0, 0, 0, time.UTC), moved.ScheduledAt)
	require.Equal(t, 1, s.events(t, "campaign.changed"))
	for _, bad := range []store.StartTime{{}, {At: time.Now().Add(-time.Hour)}, {Wall: "tomorrow"}, {At: time.Now().Add(time.Hour), Zone: "Mars/Olympus"}} {
		_, err = s.RescheduleCampaign(ctx, s.v, c.ID, bad, store.Once[campaign.Campaign]{})
		require.ErrorContains(t, err, "campaign.bad_schedule")
	}

	before, err := s.Wallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, q.Quote.Total, before.Held)
	for range 2 {
		back, err := s.UnscheduleCampaign(ctx, s.v, c.ID, store.Once[campaign.Campaign]{})
		require.NoError(t, err)
		require.Equal(t, campaign.Draft, back.State)
		require.True(t, back.ApprovedAt.IsZero())
		require.True(t, back.ScheduledAt.IsZero())
	}
	after, err := s.Wallet(ctx, s.v)
	require.NoError(t, err)
	require.Zero(t, after.Held)
	require.Equal(t, before.Balance+q.Quote.Total, after.Balance)
	_, err = s.RescheduleCampaign(ctx, s.v, c.ID, store.StartTime{At: time.Now().Add(time.Hour)}, store.Once[campaign.Campaign]{})
	require.ErrorIs(t, err, campaign.ErrTransition)

	// Quoted and approved once more, it is held once more.
	second := s.quote(t, c.ID)
	running, err := s.approve(t, c.ID, second.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Approved, running.State)
	after, err = s.Wallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, second.Quote.Total, after.Held)
	s.requireSound(t)
}

func TestMisfire(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "VIP", "IN", 3)
	s.topUp(t, 100_000_000)
	late := time.Now().Add(3 * time.Hour)
	prepare := func(policy campaign.Misfire, tolerance time.Duration) (campaign.Campaign, campaign.State) {
		c, _ := s.scheduled(t, func(n *campaign.NewCampaign) { n.Misfire, n.Tolerance = policy, tolerance })
		for range 2 {
			_, err := s.PrepareCampaign(ctx, s.v, c.ID, late)
			require.NoError(t, err)
		}
		c, err := s.Campaign(ctx, s.v, c.ID)
		require.NoError(t, err)
		return c, c.State
	}
	_, state := prepare(campaign.MisfireSend, 0)
	require.Equal(t, campaign.Preparing, state)
	_, state = prepare(campaign.MisfireAsk, 3*time.Hour)
	require.Equal(t, campaign.Preparing, state, "within the tolerance")

	skipped, state := prepare(campaign.MisfireSkip, time.Hour)
	require.Equal(t, campaign.Cancelled, state)
	require.Equal(t, campaign.HaltStartMissed, skipped.HaltReason)
	done, err := s.CancelPage(ctx, s.v, skipped.ID, 100)
	require.NoError(t, err)
	require.True(t, done)
	finished, err := s.FinishCampaign(ctx, s.v, skipped.ID)
	require.NoError(t, err)
	require.True(t, finished, "its hold is released")
	skipped, err = s.Campaign(ctx, s.v, skipped.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.HaltStartMissed, skipped.HaltReason)

	asked, state := prepare(campaign.MisfireAsk, time.Hour)
	require.Equal(t, campaign.Halted, state)
	require.Equal(t, campaign.HaltStartMissed, asked.HaltReason)
	resumed, err := s.ResumeCampaign(ctx, s.v, asked.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Approved, resumed.State)
	require.Empty(t, resumed.HaltReason)
	state, err = s.PrepareCampaign(ctx, s.v, asked.ID, late)
	require.NoError(t, err)
	require.Equal(t, campaign.Preparing, state, "it was asked and answered")

	dropped, _ := prepare(campaign.MisfireAsk, time.Hour)
	_, err = s.CancelCampaign(ctx, s.v, dropped.ID)
	require.NoError(t, err)
	s.requireSound(t)
}

func TestSteerCampaign_OncePerKey(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 3).running(t)
	once := store.Once[campaign.Campaign]{Route: "POST pause", Key: "k", Hash: []byte("h"), Answer: func(c campaign.Campaign) ([]byte, error) {
		return []byte(c.State), nil
	}}
	got, err := c.SteerCampaign(t.Context(), c.v, c.campaign, campaign.Pause, once)
	require.NoError(t, err)
	require.Equal(t, campaign.Paused, got.State)
	_, err = c.ResumeCampaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	_, err = c.SteerCampaign(t.Context(), c.v, c.campaign, campaign.Pause, once)
	var repeat *store.Repeat
	require.ErrorAs(t, err, &repeat)
	require.Equal(t, "PAUSED", string(repeat.Answer))
	now, err := c.Campaign(t.Context(), c.v, c.campaign)
	require.NoError(t, err)
	require.Equal(t, campaign.Running, now.State, "the repeat did nothing")
}

// numbered gives each contact of the campaign's vendor a country and a sealed number.
func (c campaigner) numbered(t *testing.T, numbers map[string]string) {
	t.Helper()
	i := 0
	for number, country := range numbers {
		_, err := c.db.Super().Exec(t.Context(), `UPDATE contacts SET mobile_ct = $2, country = $3 WHERE vendor_id = $1 AND id =
			(SELECT id FROM contacts WHERE vendor_id = $1 ORDER BY id OFFSET $4 LIMIT 1)`, c.v, []byte(number), country, i)
		require.NoError(t, err)
		i++
	}
}

func TestFreeze_QuietHoursByTheRecipientsZone(t *testing.T) {
	t.Parallel()
	c := newCampaign(t, 5)
	c.numbered(t, map[string]string{"+12125550123": "US", "+13105550123": "US", "+919876543210": "IN", "+4915112345678": "DE", "+77011234567": "KZ"})
	quiet := campaign.QuietHours{From: 21 * 60, To: 8 * 60}
	_, err := c.db.Super().Exec(t.Context(), `UPDATE campaigns SET quiet_from = $2, quiet_to = $3 WHERE id = $1`, c.campaign, quiet.From, quiet.To)
	require.NoError(t, err)
	_, err = c.PrepareCampaign(t.Context(), c.v, c.campaign, time.Now())
	require.NoError(t, err)
	asked := map[string]bool{}
	began := time.Now()
	for done := false; !done; {
		_, done, err = c.FreezeQuietPage(t.Context(), c.v, c.campaign, 2, func(contact string, ct []byte) ([]string, error) {
			require.True(t, id.Valid(contact))
			asked[string(ct)] = true
			return map[string][]string{
				"+12125550123": {"America/New_York"}, "+13105550123": {"America/Los_Angeles"}, "+77011234567": {"Asia/Almaty", "Asia/Aqtobe"},
			}[string(ct)], nil
		})
		require.NoError(t, err)
	}
	require.Equal(t, map[string]bool{"+12125550123": true, "+13105550123": true, "+77011234567": true}, asked, "only numbers of countries with several zones are opened")

	rows, err := c.db.Super().Query(t.Context(), `SELECT m.zones, e.available_at FROM message_logs m JOIN outbox_events e ON e.message_id = m.id WHERE m.vendor_id = $1`, c.v)
	require.NoError(t, err)
	var (
		zones string
		at    time.Time
		known campaign.Zones
		n     int
	)
	for rows.Next() {
		require.NoError(t, rows.Scan(&zones, &at))
		want := quiet.Next(began, known.Locations(zones))
		require.WithinDuration(t, want, at, 10*time.Second, zones)
		n++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, 5, n)
}

// none is a request without an Idempotency-Key.
func none() store.Once[campaign.Campaign] { return store.Once[campaign.Campaign]{} }

func TestAudienceGrew_AFurtherHoldLetsItGoOn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ctx := t.Context()
	s.label(t, "VIP", "IN", 30)
	s.topUp(t, 100_000_000)
	c := s.draft(t, vips())
	first := s.quote(t, c.ID)
	c, err := s.approve(t, c.ID, first.ID)
	require.NoError(t, err)
	s.label(t, "VIP", "IN", 7) // a few more, and a country that was not quoted
	s.label(t, "VIP", "AE", 3)
	_, err = s.PrepareCampaign(ctx, s.v, c.ID, time.Now())
	require.NoError(t, err)
	for done := false; !done; {
		_, done, err = s.FreezePage(ctx, s.v, c.ID, 8)
		require.NoError(t, err)
	}
	state, err := s.LaunchCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, campaign.Halted, state)
	_, err = s.PauseCampaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	_, err = s.ResumeCampaign(ctx, s.v, c.ID)
	require.ErrorIs(t, err, campaign.ErrAudienceGrew, "a pause is no way around it")

	further := s.quote(t, c.ID)
	require.Equal(t, int64(10), further.Quote.Quantity)
	_, err = further.Verify()
	require.NoError(t, err)
	for _, m := range further.Inputs.Markets {
		require.Equal(t, map[pricing.Market]int64{"India": 30}[m.Market], m.Used, m.Market)
	}
	seen, err := s.Campaign(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, string(first.ID), seen.Quotation, "an offer alone changes nothing")
	require.Equal(t, campaign.Paused, seen.State)
	for range 2 {
		went, err := s.approve(t, c.ID, further.ID)
		require.NoError(t, err)
		require.Equal(t, campaign.Running, went.State)
		require.Equal(t, string(further.ID), went.Further)
	}

	var prices money.Micros
	var open bool
	require.NoError(t, s.db.Super().QueryRow(ctx, `SELECT (SELECT sum(price_micros) FROM message_logs WHERE campaign_id = $1),
		(SELECT bool_and(NOT paused) FROM outbox_lanes WHERE campaign_id = $1)`, c.ID).Scan(&prices, &open))
	require.Equal(t, first.Quote.Total+further.Quote.Total-first.Quote.Charge()-further.Quote.Charge(), prices, "every message has its price")
	require.True(t, open)
	w, err := s.Wallet(ctx, s.v)
	require.NoError(t, err)
	require.Equal(t, first.Quote.Total+further.Quote.Total, w.Held)
	o, err := s.CampaignOverview(ctx, s.v, c.ID)
	require.NoError(t, err)
	require.Equal(t, w.Held, o.Quoted)
	s.requireSound(t)
}

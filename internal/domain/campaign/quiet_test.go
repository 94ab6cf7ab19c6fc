package campaign_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	l, err := time.LoadLocation(name)
	require.NoError(tb, err)
	return l
}

func moment(tb testing.TB, text string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(tb, err)
	return at
}

func TestParseQuietHours(t *testing.T) {
	t.Parallel()
	q, err := campaign.ParseQuietHours("21:00", "08:05")
	require.NoError(t, err)
	require.Equal(t, campaign.QuietHours{From: 1260, To: 485}, q)
	from, to := q.Clock()
	require.Equal(t, []string{"21:00", "08:05"}, []string{from, to})
	none, err := campaign.ParseQuietHours("", "")
	require.NoError(t, err)
	require.True(t, none.IsZero())
	midnight, err := campaign.ParseQuietHours("00:00", "06:00")
	require.NoError(t, err)
	require.False(t, midnight.IsZero())
	for _, bad := range [][2]string{{"21:00", ""}, {"", "08:00"}, {"9pm", "08:00"}, {"24:00", "08:00"}, {"21:00", "08:60"}, {"08:00", "08:00"}} {
		_, err := campaign.ParseQuietHours(bad[0], bad[1])
		require.Equal(t, "campaign.bad_quiet_hours", errs.CodeOf(err), bad)
	}
}

func TestQuietHours_Next(t *testing.T) {
	t.Parallel()
	night, day := campaign.QuietHours{From: 21 * 60, To: 8 * 60}, campaign.QuietHours{From: 12 * 60, To: 14 * 60}
	early := campaign.QuietHours{From: 22 * 60, To: 2*60 + 30} // ends in the hour that clocks skip or repeat
	tests := map[string]struct {
		q        campaign.QuietHours
		zones    []string
		at, want string
	}{
		"no quiet hours":               {campaign.QuietHours{}, []string{"Asia/Kolkata"}, "2026-11-25T20:00:00Z", "2026-11-25T20:00:00Z"},
		"no zone is known":             {night, nil, "2026-11-25T20:00:00Z", "2026-11-25T20:00:00Z"},
		"by day":                       {night, []string{"Asia/Kolkata"}, "2026-11-25T06:00:00Z", "2026-11-25T06:00:00Z"},
		"before midnight":              {night, []string{"Asia/Kolkata"}, "2026-11-25T16:00:00Z", "2026-11-26T02:30:00Z"},
		"after midnight":               {night, []string{"Asia/Kolkata"}, "2026-11-25T20:00:00Z", "2026-11-26T02:30:00Z"},
		"the first quiet second":       {night, []string{"Asia/Kolkata"}, "2026-11-25T15:30:00Z", "2026-11-26T02:30:00Z"},
		"the first second after":       {night, []string{"Asia/Kolkata"}, "2026-11-26T02:30:00Z", "2026-11-26T02:30:00Z"},
		"within one day":               {day, []string{"Europe/Berlin"}, "2026-11-25T12:30:00Z", "2026-11-25T13:00:00Z"},
		"two zones, quiet in the west": {night, []string{"America/New_York", "America/Los_Angeles"}, "2026-11-25T14:00:00Z", "2026-11-25T16:00:00Z"},
		"two zones, quiet in the east": {night, []string{"America/New_York", "America/Los_Angeles"}, "2026-11-26T03:00:00Z", "2026-11-26T16:00:00Z"},
		"two zones, quiet in neither":  {night, []string{"America/New_York", "America/Los_Angeles"}, "2026-11-25T20:00:00Z", "2026-11-25T20:00:00Z"},
		"zones too far apart":          {night, []string{"Pacific/Honolulu", "Pacific/Guam", "America/Chicago"}, "2026-11-25T20:00:00Z", "2026-11-25T22:00:00Z"},
		"spring: the end is skipped":   {early, []string{"Europe/Berlin"}, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
		"autumn: quiet the first time": {early, []string{"Europe/Berlin"}, "2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"},
		"autumn: quiet again":          {early, []string{"Europe/Berlin"}, "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"},
		"a night an hour shorter":      {night, []string{"Europe/Berlin"}, "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"},
		"a night an hour longer":       {night, []string{"Europe/Berlin"}, "2026-10-24T22:00:00Z", "2026-10-25T07:00:00Z"},
		"half an hour of summer time":  {night, []string{"Australia/Lord_Howe"}, "2026-10-03T14:00:00Z", "2026-10-03T21:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var zones []*time.Location
			for _, z := range tt.zones {
				zones = append(zones, zone(t, z))
			}
			require.Equal(t, tt.want, tt.q.Next(moment(t, tt.at), zones).UTC().Format(time.RFC3339))
		})
	}
}

func TestQuietHours_NextIsAllowedAndStays(t *testing.T) {
	t.Parallel()
	names := []string{"Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Sao_Paulo"}
	start := moment(t, "2026-01-01T00:00:00Z")
	rapid.Check(t, func(rt *rapid.T) {
		q := campaign.QuietHours{From: rapid.IntRange(0, 1439).Draw(rt, "from"), To: rapid.IntRange(0, 1439).Draw(rt, "to")}
		if q.From == q.To {
			return
		}
		at := start.Add(time.Duration(rapid.IntRange(0, 525_600).Draw(rt, "minute")) * time.Minute)
		z := zone(t, rapid.SampledFrom(names).Draw(rt, "zone"))
		next := q.Next(at, []*time.Location{z})
		require.False(rt, next.Before(at))
		require.False(rt, q.Quiet(next, z), "the moment it names is not quiet")
		require.Equal(rt, next, q.Next(next, []*time.Location{z}), "asking again changes nothing")
		require.LessOrEqual(rt, next.Sub(at), 25*time.Hour)
		if !q.Quiet(at, z) {
			require.Equal(rt, at, next)
		}
	})
}

func TestZones(t *testing.T) {
	t.Parallel()
	var z campaign.Zones
	require.Empty(t, z.Locations(""))
	require.Empty(t, z.Locations("Mars/Olympus"))
	joined := campaign.JoinZones([]string{"Asia/Almaty", "Asia/Aqtobe"})
	require.Len(t, z.Locations(joined), 2)
	require.Len(t, z.Locations(joined), 2, "asked again")
}

package campaign_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func TestAtLocal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ wall, zone, want string }{
		"an ordinary day":                {"2026-11-25T09:30", "Asia/Kolkata", "2026-11-25T04:00:00Z"},
		"seconds":                        {"2026-11-25T09:30:15", "Asia/Kolkata", "2026-11-25T04:00:15Z"},
		"a skipped time moves on":        {"2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00Z"},
		"the first skipped minute":       {"2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00:00Z"},
		"the last minute before the gap": {"2026-03-29T01:59", "Europe/Berlin", "2026-03-29T00:59:00Z"},
		"the first minute after it":      {"2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00:00Z"},
		"a doubled time is the first":    {"2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"},
		"the minute before it doubles":   {"2026-10-25T01:59", "Europe/Berlin", "2026-10-24T23:59:00Z"},
		"the minute after":               {"2026-10-25T03:00", "Europe/Berlin", "2026-10-25T02:00:00Z"},
		"a gap west of Greenwich":        {"2026-03-08T02:30", "America/New_York", "2026-03-08T07:30:00Z"},
		"an overlap west of Greenwich":   {"2026-11-01T01:30", "America/New_York", "2026-11-01T05:30:00Z"},
		"half an hour of summer time":    {"2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"},
		"a day that never was":           {"2011-12-30T12:00", "Pacific/Apia", "2011-12-30T22:00:00Z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := campaign.AtLocal(tt.wall, tt.zone)
			require.NoError(t, err)
			require.Equal(t, tt.want, got.UTC().Format(time.RFC3339))
		})
	}
	for _, bad := range [][2]string{{"2026-11-25", "UTC"}, {"2026-11-25T09:30Z", "UTC"}, {"2026-11-25T09:30", "Mars/Olympus"}, {"2026-11-25T09:30", "Local"}} {
		_, err := campaign.AtLocal(bad[0], bad[1])
		require.Equal(t, "campaign.bad_schedule", errs.CodeOf(err), bad)
	}
}

func TestStarting(t *testing.T) {
	t.Parallel()
	due := moment(t, "2026-11-25T08:00:00Z")
	tests := map[string]struct {
		late   time.Duration
		policy campaign.Misfire
		want   campaign.Event
	}{
		"on time":                  {0, campaign.MisfireSkip, campaign.Prepare},
		"early":                    {-time.Minute, campaign.MisfireSkip, campaign.Prepare},
		"within the tolerance":     {15 * time.Minute, campaign.MisfireAsk, campaign.Prepare},
		"late and to be sent":      {5 * time.Hour, campaign.MisfireSend, campaign.Prepare},
		"late and to be skipped":   {5 * time.Hour, campaign.MisfireSkip, campaign.Cancel},
		"late and to be asked for": {5 * time.Hour, campaign.MisfireAsk, campaign.Halt},
	}
	for name, tt := range tests {
		require.Equal(t, tt.want, campaign.Starting(due, due.Add(tt.late), tt.policy, campaign.DefaultTolerance), name)
	}
	require.Equal(t, campaign.Prepare, campaign.Starting(time.Time{}, due, campaign.MisfireSkip, 0), "no time was set")
}

package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheck_NamesWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	good := Result{
		Contacts: 100, Created: 95, Duplicate: 3, Invalid: 2,
		Messages: 95, Sent: 93, Delivered: 90, Read: 50, Failed: 3, Rejected: 2, MetaUnique: 93,
		Quoted: 950, Captured: 930, Released: 20, Refunded: 10, refusable: 2,
	}
	require.NoError(t, good.check())
	for name, tt := range map[string]struct {
		spoil func(*Result)
		want  string
	}{
		"nothing happened":                    {func(r *Result) { *r = Result{} }, "something was imported and sent"},
		"a row was lost":                      {func(r *Result) { r.Invalid-- }, "contacts = "},
		"a message was lost":                  {func(r *Result) { r.Messages++ }, "messages = "},
		"more delivered than sent":            {func(r *Result) { r.Delivered = 94 }, "sent >= delivered"},
		"more read than delivered":            {func(r *Result) { r.Read = 91 }, "delivered >= read"},
		"a rejection is not among failures":   {func(r *Result) { r.Failed = 1 }, "failed = "},
		"more failed later than were sent":    {func(r *Result) { r.Failed = 96 }, "failed = "},
		"nobody was refused":                  {func(r *Result) { r.Rejected, r.Unconfirmed = 0, 2 }, "refuses at once"},
		"a message is not final":              {func(r *Result) { r.Unknown = 1 }, "unknown = 0"},
		"Meta was told twice":                 {func(r *Result) { r.MetaDuplicates = 1 }, "meta_duplicates = 0"},
		"Meta accepted what was not recorded": {func(r *Result) { r.MetaUnique++ }, "meta_unique = sent"},
		"held money is left":                  {func(r *Result) { r.Released-- }, "quoted = "},
		"the ledger drifts":                   {func(r *Result) { r.Drift = -1 }, "ledger drift"},
	} {
		r := good
		tt.spoil(&r)
		require.ErrorContains(t, r.check(), tt.want, name)
	}
}

func TestPace_SaysRateAndTimeLeft(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	p := pace{at: start}
	require.Empty(t, p.look(at(1), 500, 10_000), "too early to tell")
	require.Equal(t, " (500/s, about 18s left)", p.look(at(2), 1_000, 10_000))
	require.Equal(t, " (500/s, about 17s left)", p.look(at(3), 1_500, 10_000), "the same measurement")
	require.Equal(t, " (750/s, about 9s left)", p.look(at(4), 3_000, 10_000), "half old, half new")
	require.Empty(t, p.look(at(6), 10_000, 10_000))
	var idle pace
	require.Empty(t, idle.look(at(9), 0, 0))
}

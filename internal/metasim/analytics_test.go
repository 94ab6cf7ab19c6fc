package metasim_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPricingAnalytics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for i, to := range []string{"+919876543210", "+919876543211", "+14155550123"} {
		w.sendTo(to, fmt.Sprintf("a.b.c%d.1", i))
	}
	w.advance(10 * time.Second)
	w.eventually(func() bool { return len(w.hook.statuses(t)) >= 9 }, "all read")
	day := start().Truncate(24 * time.Hour).Unix()
	ask := func(field string) answer {
		return w.graph(http.MethodGet, w.waba+"?fields="+url.QueryEscape(field), "")
	}
	span := fmt.Sprintf(`.start(%d).end(%d)`, day, day+24*3600)
	full := span + `.granularity(DAILY).phone_numbers([]).country_codes([]).metric_types(["COST","VOLUME"])`
	got := ask("pricing_analytics" + full + `.dimensions(["COUNTRY","PHONE","PRICING_CATEGORY","PRICING_TYPE","TIER"])`)
	require.Equal(t, http.StatusOK, got.status, "%s", got.raw)
	require.Equal(t, w.waba, got.body["id"])
	points := at[[]any](t, got.body, "pricing_analytics", "data", 0, "data_points")
	require.Len(t, points, 2)
	require.Equal(t, object{
		"start": float64(day), "end": float64(day + 24*3600), "country": "IN", "phone_number": "15550783881",
		"pricing_category": "MARKETING", "pricing_type": "REGULAR", "volume": 2.0, "cost": 0.05,
	}, points[0])
	points = at[[]any](t, ask("pricing_analytics"+full+`.country_codes(["US"])`).body, "pricing_analytics", "data", 0, "data_points")
	require.Len(t, points, 1)
	require.NotContains(t, points[0], "country", "no dimension was asked for")
	require.Empty(t, at[[]any](t, ask(fmt.Sprintf(`pricing_analytics.start(%d).end(%d).granularity(DAILY)`, day-24*3600, day)).body, "pricing_analytics", "data", 0, "data_points"))

	for _, bad := range []string{
		"", span, ".granularity(DAILY)", span + ".granularity(HOURLY)", full + `.dimensions(["SHOE_SIZE"])`, full + ".colour(RED)", full + "!",
		fmt.Sprintf(`.start(%d).end(%d).granularity(DAILY)`, day, day),
	} {
		require.Equal(t, 100, ask("pricing_analytics"+bad).code(), bad)
	}
}

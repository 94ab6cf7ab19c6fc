package metasim_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// burst sends n messages to n people and returns how many passed.
func (w *world) burst(n, from int) int {
	w.t.Helper()
	passed := 0
	for i := range n {
		a := w.send(object{"to": fmt.Sprintf("+9198%08d", from+i)})
		if a.status == http.StatusOK {
			passed++
			continue
		}
		require.Equal(w.t, 130429, a.code(), "%s", a.raw)
	}
	return passed
}

func TestThroughput_BurstAllowsASecondsWorthAndRefills(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"high_rate":20}`)
	require.Equal(t, 20, w.burst(25, 0))
	w.advance(500 * time.Millisecond)
	require.Equal(t, 10, w.burst(15, 100), "half a second gives back half")
	w.advance(time.Hour)
	require.Equal(t, 20, w.burst(25, 200), "silence saves up no more than a second's worth")
}

func TestThroughput_SlidingCountsEverySecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"high_rate":10,"throughput_mode":"SLIDING"}`)
	require.Equal(t, 6, w.burst(6, 0))
	w.advance(600 * time.Millisecond)
	require.Equal(t, 4, w.burst(8, 10))
	w.advance(400 * time.Millisecond)
	require.Equal(t, 6, w.burst(8, 20), "only the first six are a second old")
}

func TestThroughput_ByLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"standard_rate":8,"coexistence_rate":2}`)
	w.admin(http.MethodPut, "numbers/"+w.phone, `{"throughput_level":"STANDARD"}`)
	require.Equal(t, 8, w.burst(12, 0))
	w.admin(http.MethodPut, "numbers/"+w.phone, `{"coexistence":true}`)
	w.advance(time.Minute)
	require.Equal(t, 2, w.burst(5, 20))
}

func TestThroughput_InboundCountsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"high_rate":3,"throughput_mode":"SLIDING"}`)
	w.admin(http.MethodPost, "inbound", `{"phone_number_id":"`+w.phone+`","from":"+919800000001","text":"hello"}`)
	require.Equal(t, 2, w.burst(5, 0))
}

func TestPair_BurstMustBeWaitedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	send := func() int { return w.send(nil).code() }
	for range 20 {
		require.Zero(t, send())
	}
	w.advance(6 * time.Second)
	require.Equal(t, 131056, send(), "the burst is over, its debt of two minutes is not")
	w.advance(113 * time.Second)
	require.Equal(t, 131056, send())
	w.advance(time.Second)
	require.Zero(t, send(), "two minutes after the burst's start")
	w.advance(6 * time.Second)
	require.Zero(t, send(), "one in six seconds always passes")
}

func TestPair_FortyFiveAtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range 45 {
		require.Zero(t, w.send(nil).code())
	}
	require.Equal(t, 131056, w.send(nil).code())
	require.Zero(t, w.send(object{"to": "+919876543211"}).code(), "somebody else is not affected")
}

func TestPair_RefusedMessagesDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range 60 {
		require.Equal(t, 132001, w.send(object{"template": template("gone", "en_US")}).code())
	}
	require.Zero(t, w.send(nil).code())
}

func TestPortfolio_LimitsPeopleInADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"portfolio_limit":2,"portfolio_effect":"SYNC"}`)
	to := func(n int) object { return object{"to": fmt.Sprintf("+91980000000%d", n)} }
	require.Zero(t, w.send(to(1)).code())
	require.Zero(t, w.send(to(2)).code())
	require.Equal(t, 131048, w.send(to(3)).code())
	require.Zero(t, w.send(to(1)).code(), "the same people again are no new ones")
	w.admin(http.MethodPost, "inbound", `{"phone_number_id":"`+w.phone+`","from":"+919800000003","text":"hi"}`)
	require.Zero(t, w.send(to(3)).code(), "a person who wrote does not count")
	w.advance(25 * time.Hour)
	require.Zero(t, w.send(to(4)).code())
}

func TestManagement_HourlyAllowance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"management_limit":2}`)
	for range 2 {
		a := w.graph(http.MethodGet, w.waba, "")
		require.Equal(t, http.StatusOK, a.status)
		require.Contains(t, a.header.Get("X-Business-Use-Case-Usage"), w.waba)
	}
	require.Equal(t, 80007, w.graph(http.MethodGet, w.waba, "").code())
	w.advance(time.Hour)
	require.Equal(t, http.StatusOK, w.graph(http.MethodGet, w.waba, "").status)
}

func TestStats_RateByCalendarAndSlidingSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.advance(900 * time.Millisecond) // late in one calendar second
	require.Equal(t, 10, w.burst(10, 0))
	w.advance(200 * time.Millisecond) // early in the next
	require.Equal(t, 7, w.burst(7, 100))
	w.advance(time.Second)
	require.Equal(t, 1, w.burst(1, 200))

	s := w.admin(http.MethodGet, "stats?series=true&phone_number_id="+w.phone, "")
	n := at[object](t, s, "numbers", 0)
	require.InDelta(t, 10, n["max_per_calendar_second"], 0)
	require.InDelta(t, 17, n["max_per_sliding_second"], 0)
	require.InDelta(t, 17/1.2, n["mean_rate"], 0.001)
	series := at[[]any](t, n, "per_second")
	require.Len(t, series, 3)
	require.InDelta(t, 10, at[float64](t, series, 0, "accepted"), 0)
	require.InDelta(t, 7, at[float64](t, series, 1, "accepted"), 0)
	require.InDelta(t, 1, at[float64](t, series, 2, "accepted"), 0)
}

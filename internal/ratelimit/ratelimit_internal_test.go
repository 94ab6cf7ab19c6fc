package ratelimit

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/testkit/redistest"
)

const someTime = 1_700_000_000_000_000

func TestDecide_NeverGoesOverTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(1, 1000).Draw(t, "rate")
		now, s := int64(someTime), state{}
		var due []int64
		for range rapid.IntRange(1, 30).Draw(t, "calls") {
			now += rapid.Int64Range(0, 3_000_000).Draw(t, "pause")
			if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
				s = slow(s, now, "", rate)
			}
			var g grant
			s, g = decide(s, now, ask{limit: rate, n: rapid.Int64Range(1, 500).Draw(t, "n"), horizon: 2_000_000})
			for i := range g.count {
				require.LessOrEqual(t, g.delay+i*g.gap, int64(2_000_000), "due within the horizon")
				due = append(due, now+g.delay+i*g.gap)
			}
		}
		for from := range due {
			to := from
			for to < len(due) && due[to] < due[from]+window {
				to++
			}
			require.LessOrEqual(t, int64(to-from), rate+1, "in any second")
		}
	})
}

func TestDecide_StartsAfterOneFullWindow(t *testing.T) {
	t.Parallel()
	_, g := decide(state{}, 5_000_000, ask{limit: 80, n: 10, horizon: 2_000_000})
	require.EqualValues(t, 10, g.count)
	require.EqualValues(t, window, g.delay)
}

func TestDecide_AnotherRunOfRedisStartsAfterOneFullWindow(t *testing.T) {
	t.Parallel()
	a := ask{limit: 80, n: 10, horizon: 2_000_000, run: "one"}
	s, _ := decide(state{}, someTime, a)
	s, g := decide(s, someTime+5_000_000, a)
	require.Zero(t, g.delay)
	a.run = "two" // its file was a second behind: nobody knows what was granted meanwhile
	s, g = decide(s, someTime+6_000_000, a)
	require.EqualValues(t, window, g.delay)
	_, g = decide(s, someTime+9_000_000, a)
	require.Zero(t, g.delay)
}

// What a lost Redis had granted is over when the new one grants: the two never overlap.
func TestDecide_WhatALostRedisGrantedDoesNotOverlap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := ask{limit: rapid.Int64Range(1, 1000).Draw(t, "rate"), n: 5000, horizon: window}
		lost, old := decide(state{since: 1}, someTime, a)
		_, g := decide(state{}, someTime+rapid.Int64Range(0, 2_000_000).Draw(t, "away"), a)
		require.GreaterOrEqual(t, g.delay+someTime, lost.next-old.gap, "the last one granted before")
	})
}

func TestSlow_CutsOnceForABurstAndComesBackInTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 1000).Draw(t, "limit")
		now, s := int64(someTime), state{}
		for range rapid.IntRange(1, 20).Draw(t, "bursts") {
			before := s.rate(now, limit)
			for range 30 {
				s = slow(s, now, "", limit)
				now += 10_000
			}
			after := s.rate(now, limit)
			require.LessOrEqual(t, after, before)
			// A step that was regained since the last cut goes with the first refusal.
			least := (before - share(full(limit), stepShare)) * keptTenths / 10
			require.GreaterOrEqual(t, after, max(least, share(full(limit), floorShare)), "once for the burst, never below a tenth")
			now += rapid.Int64Range(0, 4_000_000).Draw(t, "until the next")
		}
		was := s.rate(now, limit)
		for range int64(fullyBackIn / time.Second) {
			now += quietStep
			is := s.rate(now, limit)
			require.GreaterOrEqual(t, is, was, "only up while it is quiet")
			require.LessOrEqual(t, is-was, share(full(limit), stepShare), "step by step")
			was = is
		}
		require.Equal(t, full(limit), was, "fully back")
	})
}

func TestDecide_NoticesLanesThatAlternate(t *testing.T) {
	t.Parallel()
	take := func(s state, now int64, lane string) (state, bool) {
		s, g := decide(s, now, ask{limit: 80, n: 1, horizon: 2_000_000, lane: lane})
		return s, g.mixed
	}
	s, mixed := take(state{}, someTime, "a")
	require.False(t, mixed, "one campaign writes to a person once")
	s, mixed = take(s, someTime+10_000_000, "b")
	require.True(t, mixed)
	s, mixed = take(s, someTime+20_000_000, "b")
	require.True(t, mixed, "the burst to a person is remembered")
	s, mixed = take(s, someTime+10_000_000+togetherFor, "b")
	require.False(t, mixed)
	_, mixed = take(s, someTime+3*togetherFor, "c")
	require.False(t, mixed, "a campaign that follows after a rest is alone")
}

func TestLua_DecidesAsGoDoes(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	l := New(client, prefix)
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`[0-9]{24}`).Draw(rt, "number")
		require.NoError(rt, client.Del(t.Context(), l.key(number)).Err())
		// Far ahead of the server's clock: its expiry must not interfere.
		now, s := int64(2_000_000_000_000_000), state{}
		rate := rapid.Int64Range(1, 1000).Draw(rt, "rate")
		for range rapid.IntRange(1, 25).Draw(rt, "calls") {
			now += rapid.Int64Range(0, 4_000_000).Draw(rt, "pause") * rapid.SampledFrom([]int64{1, 1, 1, 100}).Draw(rt, "rest")
			a := ask{
				limit: rate, n: rapid.Int64Range(1, 500).Draw(rt, "n"), horizon: rapid.Int64Range(0, 2_000_000).Draw(rt, "horizon"),
				lane: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "lane"), worker: rapid.SampledFrom([]string{"", "v", "w"}).Draw(rt, "worker"),
				run: rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(rt, "run"),
			}
			op := rapid.SampledFrom([]string{"take", "take", "slow", "look"}).Draw(rt, "op")
			got, err := l.pace.Run(t.Context(), client, []string{l.key(number)}, op, a.limit, a.n, a.horizon, a.lane, a.worker, now, a.run).Int64Slice()
			require.NoError(rt, err)
			after, g := decide(s, now, a)
			switch op {
			case "take":
				s = after
				require.Equal(rt, []int64{g.count, g.delay, g.gap, asInt(g.mixed), asInt(g.shared)}, got)
			case "look":
				require.Equal(rt, g.gap, got[2])
			default:
				s = slow(s, now, a.run, a.limit)
			}
		}
	})
}

func asInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// metaPair is Meta's own side, as its page tells it: see metasim.
type metaPair struct{ start, count int64 }

func (m *metaPair) takes(now int64) bool {
	switch {
	case m.count == 0 || now >= m.start+m.count*pairInterval && now >= m.start+pairInterval:
		*m = metaPair{now, 1}
	case now < m.start+pairInterval && m.count < PairBurst:
		m.count++
	default:
		return false
	}
	return true
}

func TestAdmit_NothingItLetsThroughIsRefusedByMeta(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now, s, meta := int64(someTime), pairState{}, metaPair{}
		for range rapid.IntRange(1, 200).Draw(t, "messages") {
			now += rapid.Int64Range(0, 200_000).Draw(t, "pause") * rapid.SampledFrom([]int64{1, 1, 40}).Draw(t, "rest")
			var wait int64
			if s, wait = admit(s, now); wait > 0 {
				next, again := admit(s, now+wait)
				require.Zero(t, again, "when it says so, it lets it through")
				require.EqualValues(t, 1, next.count)
				continue
			}
			// It arrives up to 0.4 s later, in order.
			require.True(t, meta.takes(now+rapid.Int64Range(0, 400_000).Draw(t, "under way")))
		}
	})
}

func TestAdmit_LetsABurstThroughAndThenAsksForPatience(t *testing.T) {
	t.Parallel()
	var s pairState
	for range pairMost {
		var wait int64
		s, wait = admit(s, someTime)
		require.Zero(t, wait)
	}
	_, wait := admit(s, someTime)
	require.Equal(t, pairMost*pairInterval+pairSlack, wait)
}

func TestPairLua_DecidesAsGoDoes(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	l := New(client, prefix)
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`[0-9]{24}`).Draw(rt, "number")
		now, states := int64(2_000_000_000_000_000), map[string]pairState{}
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			now += rapid.Int64Range(0, 700_000).Draw(rt, "pause") * rapid.SampledFrom([]int64{1, 1, 20}).Draw(rt, "rest")
			keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 60).Draw(rt, "people")
			want, full := make([]int64, len(keys)), make([]string, len(keys))
			for i, k := range keys {
				states[k], want[i] = admit(states[k], now)
				full[i] = l.key(number) + ":pair:" + k
			}
			got, err := l.pair.Run(t.Context(), client, full, now).Int64Slice()
			require.NoError(rt, err)
			require.Equal(rt, want, got)
		}
		require.NoError(rt, client.Del(t.Context(), l.key(number)+":pair:a", l.key(number)+":pair:b").Err())
	})
}

func TestPair_CountsPeopleApart(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	l := New(client, prefix)
	one, two := []byte("0123456789abcdef0000"), []byte("fedcba9876543210")
	people := [][]byte{two}
	for range pairMost {
		people = append(people, one)
	}
	waits, err := l.Pair(t.Context(), "1555", people)
	require.NoError(t, err)
	require.Equal(t, make([]time.Duration, len(people)), waits)
	waits, err = l.Pair(t.Context(), "1555", [][]byte{one, two})
	require.NoError(t, err)
	require.Greater(t, waits[0], 4*time.Minute)
	require.Zero(t, waits[1])
	ttl, err := client.PTTL(t.Context(), l.key("1555")+":pair:"+"ZmVkY2JhOTg3NjU0MzIxMA").Result()
	require.NoError(t, err)
	require.LessOrEqual(t, ttl, 13*time.Second, "forgotten when it is over")
	require.Positive(t, ttl)
}

func TestLimiter_SharesOnePaceBetweenManyAndSlowsAll(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	a, b := New(client, prefix), New(client, prefix)
	take := func(l *Limiter) Grant {
		g, err := l.Take(t.Context(), Ask{Number: "1555", Rate: 80, N: 8, Horizon: 2 * time.Second, Lane: "c"})
		require.NoError(t, err)
		return g
	}
	first, second := take(a), take(b)
	require.Equal(t, 8, first.Count)
	require.InDelta(t, 100, second.Start.Sub(first.Start).Milliseconds(), 20, "one after the other")
	require.False(t, second.Mixed)
	require.Equal(t, lateAlone, first.Late)
	require.Equal(t, lateBesideOthers, second.Late, "two workers share the number")
	require.NoError(t, b.Slow(t.Context(), "1555", 80))
	require.Equal(t, 12691*time.Microsecond, first.Gap)
	require.Equal(t, 18130*time.Microsecond, take(a).Gap, "seven tenths")
	pace, err := a.Pace(t.Context(), "1555", 80)
	require.NoError(t, err)
	require.InDelta(t, 55.16, pace, 0.1)
}

func TestLimiter_WithoutRedisNothingIsGranted(t *testing.T) {
	t.Parallel()
	client, prefix := redistest.New(t)
	l := New(client, prefix)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g, err := l.Take(ctx, Ask{Number: "1", Rate: 80, N: 1, Horizon: time.Second})
	require.ErrorContains(t, err, "ratelimit.unavailable")
	require.Zero(t, g.Count)
}

func TestGates_LateOnesLeaveOneByOneAndCatchUpSlowly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		gap := time.Duration(rapid.IntRange(1000, 50_000).Draw(t, "gap")) * time.Microsecond
		g, start := gates{}, time.Unix(1_700_000_000, 0)
		now, last := start, time.Time{}
		for i := range 300 {
			due := start.Add(time.Duration(i) * gap)
			now = later(now, due).Add(rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 5 * gap}).Draw(t, "stall"))
			at := g.pass("n", gap, now)
			require.False(t, at.Before(now), "never early")
			require.False(t, at.Before(last.Add(gap-gap/catchUp)), "never two at once")
			now, last = later(now, at), at
		}
	})
	g := gates{}
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * gatesKept {
		g.pass(strconv.Itoa(i), time.Second, now)
		now = now.Add(time.Second)
	}
	require.LessOrEqual(t, len(g.last), gatesKept+1)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

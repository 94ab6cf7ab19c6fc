package failure_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/template"
)

var now = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// of is a first attempt's refusal of a class, with the least jitter.
func of(class failure.Class) failure.Case {
	return failure.Case{Refusal: failure.Refusal{Class: class}, Attempt: 1, Category: template.Marketing, Country: "IN", Now: now}
}

func (w want) verdict() failure.Verdict {
	v := failure.Verdict{Action: w.action, Waited: w.waited, Halt: w.halt, Suppress: w.suppress}
	if w.action != failure.Final {
		v.At = now.Add(w.after)
	}
	return v
}

type want struct {
	action   failure.Action
	after    time.Duration
	waited   bool
	halt     failure.Scope
	suppress bool
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	with := func(class failure.Class, change func(*failure.Case)) failure.Case {
		c := of(class)
		change(&c)
		return c
	}
	tests := map[string]struct {
		c    failure.Case
		want want
	}{
		"forgets a throttle of the number": {of(failure.Number), want{action: failure.Forget, after: 2 * time.Second}},
		"forgets a throttle of the pair":   {of(failure.Pair), want{action: failure.Forget, after: 2 * time.Second}},
		"forgets a throttle of the app, for the minute it asks": {
			with(failure.App, func(c *failure.Case) { c.Wait = time.Minute }), want{action: failure.Forget, after: time.Minute},
		},
		"never counts throttles": {
			with(failure.Number, func(c *failure.Case) { c.Attempt = 1000 }), want{action: failure.Forget, after: 2 * time.Second},
		},
		"tries again after a throttle that came by webhook": {
			with(failure.Number, func(c *failure.Case) { c.Accepted = true }), want{action: failure.Again, after: 2 * time.Second, waited: true},
		},
		"but not without end": {
			with(failure.Number, func(c *failure.Case) { c.Accepted, c.Attempt = true, 10 }), want{action: failure.Final},
		},
		"tries Meta's own errors again": {of(failure.Retry), want{action: failure.Again}},
		"not before what was asked for": {
			with(failure.Retry, func(c *failure.Case) { c.Wait = time.Minute }), want{action: failure.Again, after: time.Minute},
		},
		"doubles the bound of the wait": {
			with(failure.Retry, func(c *failure.Case) { c.Attempt, c.Roll = 3, 0.5 }), want{action: failure.Again, after: 8 * time.Second},
		},
		"gives up after five tries": {
			with(failure.Retry, func(c *failure.Case) { c.Attempt = 5 }), want{action: failure.Final},
		},
		"does not count waits as tries": {
			with(failure.Retry, func(c *failure.Case) { c.Attempt, c.Waits = 6, 2 }), want{action: failure.Again},
		},
		"gives up sooner where the table says so": {
			with(failure.Retry, func(c *failure.Case) { c.Attempt, c.Tries = 3, 3 }), want{action: failure.Final},
		},
		"waits a day": {
			with(failure.Later, func(c *failure.Case) { c.Wait = day }), want{action: failure.Again, after: day, waited: true},
		},
		"spreads the wait over an hour at most, upwards": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.Roll = day, 0.5 }), want{action: failure.Again, after: day + 30*time.Minute, waited: true},
		},
		"then two days": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.Attempt, c.Waits, c.Tries = day, 2, 1, 3 }), want{action: failure.Again, after: 2 * day, waited: true},
		},
		"then no more": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.Attempt, c.Waits, c.Tries = day, 3, 2, 3 }), want{action: failure.Final},
		},
		"does not wait where waiting is in vain": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.FinalIn, c.Country = day, "US", "US" }), want{action: failure.Final},
		},
		"waits there with utility": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.FinalIn, c.Country, c.Category = day, "US", "US", template.Utility }),
			want{action: failure.Again, after: day, waited: true},
		},
		"does not wait beyond the campaign's end": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.Expires = day, now.Add(day) }), want{action: failure.Final},
		},
		"waits up to it": {
			with(failure.Later, func(c *failure.Case) { c.Wait, c.Expires = day, now.Add(day+time.Second) }), want{action: failure.Again, after: day, waited: true},
		},
		"fails a recipient for good": {of(failure.Recipient), want{action: failure.Final}},
		"and suppresses one who stopped marketing": {
			with(failure.Recipient, func(c *failure.Case) { c.StopsMarketing = true }), want{action: failure.Final, suppress: true},
		},
		"fails a wrong request for good":       {of(failure.Request), want{action: failure.Final}},
		"holds every campaign of the template": {of(failure.Hold), want{action: failure.Forget, halt: failure.OwnTemplate}},
		"stops a broken campaign":              {of(failure.Campaign), want{action: failure.Forget, halt: failure.OwnCampaign}},
		"stops the account":                    {of(failure.Account), want{action: failure.Forget, halt: failure.WholeAccount}},
		"stops the account for its token":      {of(failure.Token), want{action: failure.Forget, halt: failure.WholeAccount}},
		"stops the number where it is the number's fault": {
			with(failure.Account, func(c *failure.Case) { c.Scope = failure.OwnNumber }), want{action: failure.Forget, halt: failure.OwnNumber},
		},
		"sends again what was accepted before the template was paused": {
			with(failure.Hold, func(c *failure.Case) { c.Accepted = true }), want{action: failure.Again, waited: true, halt: failure.OwnTemplate},
		},
	}
	seen := map[failure.Class]bool{}
	for name, tt := range tests {
		seen[tt.c.Class] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want.verdict(), failure.Judge(tt.c))
		})
	}
	for _, class := range failure.Classes() {
		require.True(t, seen[class], class)
	}
}

// What holds of every verdict, whatever the case.
func TestJudge_KeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := failure.Case{
			Refusal: failure.Refusal{
				Class: rapid.SampledFrom(failure.Classes()).Draw(t, "class"),
				Wait:  time.Duration(rapid.Int64Range(0, int64(72*time.Hour)).Draw(t, "wait")),
			},
			Accepted: rapid.Bool().Draw(t, "accepted"),
			Attempt:  rapid.IntRange(1, 40).Draw(t, "attempt"),
			Category: template.Marketing, Now: now, Roll: rapid.Float64Range(0, 0.999).Draw(t, "roll"),
		}
		c.Waits = rapid.IntRange(0, c.Attempt-1).Draw(t, "waits")
		if rapid.Bool().Draw(t, "expires") {
			c.Expires = now.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(100*time.Hour)).Draw(t, "left")))
		}
		v := failure.Judge(c)
		require.NotEmpty(t, v.Action)
		require.Equal(t, v.Action == failure.Final, v.At.IsZero())
		if v.Action == failure.Final {
			return
		}
		require.False(t, v.At.Before(now))
		if c.Class.Retryable() {
			require.False(t, v.At.Before(now.Add(c.Wait)), "never sooner than Meta asks")
		}
		require.False(t, v.Action == failure.Forget && c.Accepted, "what Meta accepted has happened")
		require.False(t, v.Action == failure.Forget && c.Class.Retryable() && c.Class.CostsAttempt())
		require.Equal(t, v.Halt != failure.OwnMessage, !c.Class.Retryable())
	})
}

// However it fails, a message that Meta accepts again and again comes to an end.
func TestJudge_EndsEveryMessage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := failure.Case{Accepted: true, Category: template.Marketing, Now: now}
		for c.Attempt = 1; c.Attempt < 50; c.Attempt++ {
			c.Class = rapid.SampledFrom(failure.Classes()).Draw(t, "class")
			v := failure.Judge(c)
			if v.Action == failure.Final {
				return
			}
			if v.Waited {
				c.Waits++
			}
		}
		require.Fail(t, "fifty attempts and no end")
	})
}

func TestBackoff_IsCappedAndGrows(t *testing.T) {
	t.Parallel()
	require.Zero(t, failure.Backoff(1, 0))
	require.Equal(t, 2*time.Second, failure.Backoff(1, 0.5))
	require.Equal(t, 5*time.Minute, failure.Backoff(30, 0.5))
}

func TestSilence(t *testing.T) {
	t.Parallel()
	again, final := failure.Verdict{Action: failure.Again, At: now}, failure.Verdict{Action: failure.Final}
	require.Equal(t, final, failure.Silence(failure.AtMostOnce, 1, now, time.Time{}))
	require.Equal(t, again, failure.Silence(failure.AtLeastOnce, 1, now, time.Time{}))
	require.Equal(t, again, failure.Silence(failure.AtLeastOnce, 1, now, now.Add(time.Second)))
	require.Equal(t, final, failure.Silence(failure.AtLeastOnce, 1, now, now), "the campaign is over")
	require.Equal(t, final, failure.Silence(failure.AtLeastOnce, 3, now, time.Time{}), "three times is enough")
	require.Equal(t, failure.AtMostOnce, failure.Default(template.Marketing))
	require.Equal(t, failure.AtLeastOnce, failure.Default(template.Utility))
	require.Equal(t, failure.AtLeastOnce, failure.Default(template.Authentication))
}

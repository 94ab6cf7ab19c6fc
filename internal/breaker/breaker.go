// Package breaker counts, in Redis, what became of each campaign's messages in the last
// minutes, so that its circuit breaker can open. Whether it does is decided by
// internal/domain/failure. Redis, because every batch counts: a row would be one more write
// per batch, and a lock that all batches of a campaign queue for; and because losing the
// counts costs no more than a later halt.
package breaker

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

const (
	// The window slides by the minute. Ten of them bridge the time that Meta takes to tell
	// of failures after acceptance.
	bucket  = time.Minute
	buckets = 10

	// totalKept outlives any campaign's dispatch.
	totalKept = 30 * 24 * time.Hour

	outcomes = "outcomes" // the field beside those named by classes
)

// Window counts. A nil one counts nothing and never has reason to halt.
type Window struct {
	client redis.UniversalClient
	prefix string
}

// New returns a window whose keys begin with prefix, so that tests can share a server.
func New(client redis.UniversalClient, prefix string) *Window {
	return &Window{client: client, prefix: prefix}
}

// Batch is what became of some messages of one campaign.
type Batch struct {
	Outcomes int                   // accepted, or refused for good; not those accepted before
	Failed   map[failure.Class]int // failed for good
}

// Count adds b at now and returns the campaign's tally. Without a failure in b the tally is
// empty: there is no new reason to halt. It is no part of any transaction: a batch counted
// twice or never shifts a share a little.
//
// Errors: breaker.unavailable.
func (w *Window) Count(ctx context.Context, v vendor.ID, c campaign.ID, b Batch, now time.Time) (failure.Tally, error) {
	if w == nil || b.Outcomes == 0 && len(b.Failed) == 0 {
		return failure.Tally{}, nil
	}
	var (
		total *redis.IntCmd
		read  [buckets]*redis.MapStringStringCmd
	)
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		key := w.key(v, c, now)
		if b.Outcomes > 0 {
			p.HIncrBy(ctx, key, outcomes, int64(b.Outcomes))
		}
		for class, n := range b.Failed {
			p.HIncrBy(ctx, key, string(class), int64(n))
		}
		p.Expire(ctx, key, (buckets+1)*bucket)
		total = p.IncrBy(ctx, w.total(v, c), int64(b.Outcomes))
		p.Expire(ctx, w.total(v, c), totalKept)
		if len(b.Failed) > 0 {
			for i := range read {
				read[i] = p.HGetAll(ctx, w.key(v, c, now.Add(-time.Duration(i)*bucket)))
			}
		}
		return nil
	})
	if err != nil {
		return failure.Tally{}, errs.Wrap(errs.Unavailable, "breaker.unavailable", "Redis does not answer", err)
	}
	t := failure.Tally{Failed: map[failure.Class]int{}}
	if len(b.Failed) == 0 {
		return t, nil
	}
	t.Total = int(total.Val())
	for _, cmd := range read {
		for field, text := range cmd.Val() {
			n, err := strconv.Atoi(text)
			switch {
			case err != nil: // nothing of ours
			case field == outcomes:
				t.Outcomes += n
			default:
				t.Failed[failure.Class(field)] += n
			}
		}
	}
	return t, nil
}

// Forget empties the campaign's window: one that was halted and is resumed is judged by
// what comes then.
//
// Errors: breaker.unavailable.
func (w *Window) Forget(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time) error {
	if w == nil {
		return nil
	}
	keys := make([]string, buckets)
	for i := range keys {
		keys[i] = w.key(v, c, now.Add(-time.Duration(i)*bucket))
	}
	err := w.client.Del(ctx, keys...).Err()
	return errs.Wrap(errs.Unavailable, "breaker.unavailable", "Redis does not answer", err)
}

// key of one minute's hash. The braces keep a campaign's keys on one node of a cluster.
func (w *Window) key(v vendor.ID, c campaign.ID, at time.Time) string {
	return w.prefix + "breaker:{" + string(v) + ":" + string(c) + "}:" + strconv.FormatInt(at.Unix()/int64(bucket/time.Second), 10)
}

func (w *Window) total(v vendor.ID, c campaign.ID) string {
	return w.prefix + "breaker:{" + string(v) + ":" + string(c) + "}:total"
}

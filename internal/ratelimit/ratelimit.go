// Package ratelimit paces a sender number to the rate Meta gave it, lowers that rate when
// Meta refuses and restores it, and keeps the limit of messages to one person. Each
// decision is one pure function (decide, slow, admit) and its twin in Lua, run by Redis on
// Redis's clock, so that any number of workers keep one pace. It fails closed: no Redis,
// no send.
package ratelimit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/internal/errs"
)

//go:embed pace.lua
var paceLua string

// Limiter hands out due times. It is safe for concurrent use.
type Limiter struct {
	redis      redis.UniversalClient
	prefix     string
	worker     string // a name of this one among all that pace the number
	pace, pair *redis.Script
	gates      gates
}

// New returns a limiter whose keys begin with prefix ("rl:" when empty), so that tests
// can share a server.
func New(client redis.UniversalClient, prefix string) *Limiter {
	if prefix == "" {
		prefix = "rl:"
	}
	return &Limiter{redis: client, prefix: prefix, worker: rand.Text(), pace: redis.NewScript(paceLua), pair: redis.NewScript(pairLua)}
}

// Ask is what a sender wants of a number.
type Ask struct {
	Number  string        // Meta's id of the number
	Rate    int           // messages a second that Meta takes from it
	N       int           // messages to send
	Horizon time.Duration // how far ahead they may be due
	Lane    string        // who sends: messages of one lane go to a person once; "" does not say
}

// Grant is permission for Count messages: the first is due at Start, each next one Gap
// later, on this process's clock. A Count of zero says to come back at Start. Mixed tells
// that several lanes send from the number: then the limit for one person matters.
type Grant struct {
	Count int
	Start time.Time
	Gap   time.Duration
	Mixed bool

	// Late is how long after its due time a message may still leave. A due time missed by
	// more is not used: what leaves late leaves beside what is due then. While this worker
	// is the number's only one it keeps them apart itself (Space), and may be as late as
	// the second over which Meta counts; beside others, less than two messages at 80 a second.
	Late time.Duration
}

const lateAlone, lateBesideOthers = time.Second, 20 * time.Millisecond

// Due returns when the i-th message of the grant may leave.
func (g Grant) Due(i int) time.Time { return g.Start.Add(time.Duration(i) * g.Gap) }

// Take asks for up to a.N messages, all due within a.Horizon. One atomic call grants many;
// what it grants is spent whether used or not. Redis that has just started, or lost what it
// knew, grants nothing due before one full second has passed: what was granted before it
// went away is over by then, if nobody asks with a horizon above one second.
//
// Errors: ratelimit.unavailable.
func (l *Limiter) Take(ctx context.Context, a Ask) (Grant, error) {
	before := time.Now()
	out, err := l.run(ctx, "take", a)
	if err != nil {
		return Grant{}, err
	}
	// Redis decided somewhere between the two: half way is never off by more than half.
	asked := before.Add(time.Since(before) / 2)
	g := Grant{
		Count: int(out[0]), Start: asked.Add(micros(out[1])), Gap: micros(out[2]), Mixed: out[3] == 1, Late: lateAlone,
	}
	if out[4] == 1 {
		g.Late = lateBesideOthers
	}
	return g, nil
}

// Slow takes note that Meta refused a message of number for its rate (130429): every
// worker's pace for it goes down, and comes back by itself, fully after eighteen quiet
// seconds. The refusals of one burst count once.
//
// Errors: ratelimit.unavailable.
func (l *Limiter) Slow(ctx context.Context, number string, rate int) error {
	_, err := l.run(ctx, "slow", Ask{Number: number, Rate: rate})
	return err
}

// Pace tells how fast a number may send now, in messages a second: below rate while it
// recovers from a refusal. It changes nothing.
//
// Errors: ratelimit.unavailable.
func (l *Limiter) Pace(ctx context.Context, number string, rate int) (float64, error) {
	out, err := l.run(ctx, "look", Ask{Number: number, Rate: rate})
	if err != nil {
		return 0, err
	}
	return float64(time.Second) / float64(micros(out[2])), nil
}

func (l *Limiter) run(ctx context.Context, op string, a Ask) ([]int64, error) {
	out, err := l.pace.Run(ctx, l.redis, []string{l.key(a.Number)}, op, a.Rate, a.N, a.Horizon.Microseconds(), a.Lane, l.worker).Int64Slice()
	return out, errs.Wrap(errs.Unavailable, "ratelimit.unavailable", "the pace cannot be asked for: Redis does not answer", err)
}

// key has a hash tag: all that concerns one number lives on one node of a cluster.
func (l *Limiter) key(number string) string { return l.prefix + "{" + number + "}" }

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Package ratelimit paces a sender number to the rate Meta gave it. The decision is
// one pure function (Decide) and its twin in Lua, run by Redis on Redis's clock, so
// that any number of workers keep one pace. It fails closed: no Redis, no send.
package ratelimit

import (
	"context"
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/internal/errs"
)

//go:embed take.lua
var takeLua string

// Limiter hands out due times. It is safe for concurrent use.
type Limiter struct {
	redis  redis.UniversalClient
	prefix string
	take   *redis.Script
}

// New returns a limiter whose keys begin with prefix ("rl:" when empty), so that tests
// can share a server.
func New(client redis.UniversalClient, prefix string) *Limiter {
	if prefix == "" {
		prefix = "rl:"
	}
	return &Limiter{redis: client, prefix: prefix, take: redis.NewScript(takeLua)}
}

// Grant is permission for Count messages: the first is due in Delay, each next one Gap later.
// A Count of zero says to come back in Delay.
type Grant struct {
	Count int
	Delay time.Duration
	Gap   time.Duration
}

// Due returns when the i-th message of the grant may leave, given when the grant was asked for.
func (g Grant) Due(asked time.Time, i int) time.Time {
	return asked.Add(g.Delay + time.Duration(i)*g.Gap)
}

// Take asks for up to n messages of number at rate per second, all due within horizon.
// One atomic call grants many; what it grants is spent whether used or not. Redis that
// has just started (or lost its data) grants nothing due before one full second has
// passed, since what was sent in the second before is not known.
//
// Errors: ratelimit.unavailable.
func (l *Limiter) Take(ctx context.Context, number string, rate, n int, horizon time.Duration) (Grant, error) {
	// One hash tag: both keys live on one node of a cluster.
	keys := []string{l.prefix + "{" + number + "}:next", l.prefix + "{" + number + "}:since"}
	out, err := l.take.Run(ctx, l.redis, keys, rate, n, horizon.Microseconds()).Int64Slice()
	if err != nil {
		return Grant{}, errs.Wrap(errs.Unavailable, "ratelimit.unavailable", "the pace cannot be asked for: Redis does not answer", err)
	}
	return Grant{
		Count: int(out[0]),
		Delay: time.Duration(out[1]) * time.Microsecond,
		Gap:   time.Duration(out[2]) * time.Microsecond,
	}, nil
}

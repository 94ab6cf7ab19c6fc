package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// throttle slows down who guesses. It counts in Redis, in fixed windows; when Redis does
// not answer it lets everybody through, since passwords are slow to guess anyway and a
// lost cache must not lock every vendor out.
type throttle struct {
	redis  *redis.Client
	prefix string
}

// limit is how often something may happen within a window.
type limit struct {
	name   string
	most   int64
	window time.Duration
}

// The limits. A person mistypes a password three or four times; ten at one address from
// one place is somebody guessing, a hundred from many places as well. Offices share one
// address, so registrations are bounded loosely.
//
//nolint:gochecknoglobals // constants in all but kind
var (
	loginsPerPair  = limit{"login-pair", 10, 15 * time.Minute}
	loginsPerEmail = limit{"login-email", 100, 15 * time.Minute}
	registrations  = limit{"register", 60, time.Hour}
	resends        = limit{"resend", 5, time.Hour}
)

// throttleWait bounds a question to Redis: past it, everybody is let through.
const throttleWait = 200 * time.Millisecond

func newThrottle(client *redis.Client, prefix string) *throttle {
	return &throttle{redis: client, prefix: prefix + "throttle:"}
}

// key holds a hash: Redis needs no e-mail addresses.
func (t *throttle) key(l limit, who string) string {
	sum := sha256.Sum256([]byte(who))
	return t.prefix + l.name + ":" + hex.EncodeToString(sum[:16])
}

// check refuses when l is used up for who.
//
// Errors: auth.throttled.
func (t *throttle) check(ctx context.Context, l limit, who string) error {
	ctx, cancel := context.WithTimeout(ctx, throttleWait)
	defer cancel()
	pipe := t.redis.Pipeline()
	count, left := pipe.Get(ctx, t.key(l, who)), pipe.PTTL(ctx, t.key(l, who))
	_, _ = pipe.Exec(ctx) // the commands carry their own errors
	n, err := count.Int64()
	if err != nil || n < l.most {
		return nil // nothing counted, or Redis is away
	}
	e := errs.New(errs.Throttled, "auth.throttled", "too many attempts: wait, then try again")
	e.RetryAfter = max(left.Val(), time.Second)
	return e
}

// count notes one more event.
func (t *throttle) count(ctx context.Context, l limit, who string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), throttleWait) // a client that hangs up is counted too
	defer cancel()
	pipe := t.redis.TxPipeline()
	pipe.Incr(ctx, t.key(l, who))
	pipe.ExpireNX(ctx, t.key(l, who), l.window)
	_, _ = pipe.Exec(ctx) // not counted: see throttle
}

// take checks and counts in one.
//
// Errors: auth.throttled.
func (t *throttle) take(ctx context.Context, l limit, who string) error {
	if err := t.check(ctx, l, who); err != nil {
		return err
	}
	t.count(ctx, l, who)
	return nil
}

package ratelimit

import (
	"context"
	_ "embed"
	"encoding/base64"
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// What Meta takes from one number for one person. Source: Meta, Cloud API throughput page,
// read 2026-09: one message in 6 seconds; up to 45 at once, after which as long must be
// waited as they would have taken one by one.
const (
	PairInterval = 6 * time.Second
	PairBurst    = 45
)

// Times in microseconds.
const (
	pairInterval = int64(PairInterval / time.Microsecond)

	// pairSlack allows for the time a message is under way: Meta counts from its arrival.
	pairSlack = 1_000_000

	// pairMost leaves one of the burst for a message that was not counted here: while a
	// number has one campaign only, its one message to a person is not.
	pairMost = PairBurst - 1
)

// pairState is one burst to one person. Zero: nobody has written.
type pairState struct{ start, count int64 }

// admit lets one more message to a person through, or says how long to wait for it. It is
// pair.lua in Go: a test holds the two together.
func admit(s pairState, now int64) (pairState, int64) {
	paid := s.start + s.count*pairInterval + pairSlack
	switch {
	case s.count == 0 || now >= paid:
		return pairState{start: now, count: 1}, 0
	case now < s.start+pairInterval-pairSlack && s.count < pairMost:
		s.count++
		return s, 0
	}
	return s, paid - now
}

//go:embed pair.lua
var pairLua string

// Pair asks for one message of number to each of people, keyed hashes of at least 16
// bytes. It returns how long each has to wait for its next message; zero lets it through
// and counts it. One call serves many people.
//
// Errors: ratelimit.unavailable.
func (l *Limiter) Pair(ctx context.Context, number string, people [][]byte) ([]time.Duration, error) {
	if len(people) == 0 {
		return nil, nil
	}
	keys := make([]string, len(people))
	for i, hash := range people {
		keys[i] = l.key(number) + ":pair:" + base64.RawURLEncoding.EncodeToString(hash[:16])
	}
	out, err := l.pair.Run(ctx, l.redis, keys).Int64Slice()
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, "ratelimit.unavailable", "the pace cannot be asked for: Redis does not answer", err)
	}
	waits := make([]time.Duration, len(out))
	for i, micros := range out {
		waits[i] = time.Duration(micros) * time.Microsecond
	}
	return waits, nil
}

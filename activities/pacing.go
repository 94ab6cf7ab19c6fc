package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/store"
)

const (
	// A batch is marked, posted and recorded together, and not marked before its first
	// message is due: what a killed worker leaves unsettled is what was on the wire. It
	// spans an eighth of a second of the number's rate, within these bounds, and at slow
	// numbers a quarter, since a batch is asked for one ahead.
	smallestBatch = 10
	largestBatch  = 100

	// batchesAtOnce bounds what of one number waits for Meta's answers: a second of its rate,
	// and less than the bounds of all numbers, so that one for which Meta does not answer
	// leaves room for the others.
	batchesAtOnce = 8

	// inHand is how many messages a worker has between asking for their pace and recording
	// them: what a killed one leaves unsettled is part of it. At a worker's full pace that is
	// about 0.4 seconds of its numbers' rates.
	inHand = 2048

	// paceHorizon is the longest an activity waits for due times it holds; what would be
	// later goes back to the outbox. Longer would hold a worker's slot for nothing. It is
	// no longer than the second that a Redis which lost its data waits, so that what was
	// granted before is over when it grants again.
	paceHorizon = time.Second

	// A mark begins so much before its batch is due as marks have taken lately, twice over
	// and within these bounds: a mark that is late makes its messages late.
	shortestLead = 5 * time.Millisecond
	longestLead  = 250 * time.Millisecond
)

// Bounds are those of one worker over all of its runs. Make it with NewBounds.
type Bounds struct{ hand, wire *semaphore.Weighted }

// NewBounds makes the bounds of a worker whose client keeps so many connections to Meta:
// no more POSTs are under way, so that no connection is opened for one message.
func NewBounds(conns int) Bounds {
	return Bounds{semaphore.NewWeighted(inHand), semaphore.NewWeighted(int64(conns))}
}

// batchSize is how many messages of a number are marked at once.
func batchSize(rate int) int {
	least := min(smallestBatch, max(rate/4, 1))
	return min(max(rate/8, least), largestBatch)
}

// all works through the claim's messages batch by batch, each asked for when the one
// before begins, so that the number's pace has no holes and nobody holds much of it.
// After a reason to halt or a pause, what is left goes back.
func (r *sendRun) all(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(batchesAtOnce)
	size := batchSize(r.job.RatePerSecond)
	ids := r.job.Messages
	for len(ids) > 0 {
		n := int64(min(len(ids), size))
		if err := r.Bounds.hand.Acquire(gctx, n); err != nil {
			return errors.Join(g.Wait(), r.giveBack(ctx, ids, time.Now()))
		}
		grant, err := r.take(ctx, int(n))
		held := int64(grant.Count)
		r.Bounds.hand.Release(n - held)
		switch {
		case err != nil:
			return errors.Join(g.Wait(), err)
		case held == 0:
			// Others of this number took the pace: no slot sleeps on it.
			return errors.Join(g.Wait(), r.postpone(ctx, ids, size, grant))
		}
		wait(gctx, grant.Start.Add(-r.marks.lead()))
		if gctx.Err() != nil || r.stopped() {
			r.Bounds.hand.Release(held)
			return errors.Join(g.Wait(), r.giveBack(ctx, ids, time.Now()))
		}
		batch := ids[:held]
		ids = ids[held:]
		g.Go(func() error {
			defer r.Bounds.hand.Release(held)
			return r.batch(gctx, batch)
		})
	}
	return g.Wait()
}

// take asks for due times of the number and keeps them for the run.
func (r *sendRun) take(ctx context.Context, n int) (ratelimit.Grant, error) {
	grant, err := r.Limiter.Take(ctx, ratelimit.Ask{
		Number: r.job.PhoneNumberID, Rate: r.job.RatePerSecond, N: n, Horizon: paceHorizon, Lane: r.job.Lane,
	})
	if err == nil {
		r.slots.add(grant)
	}
	return grant, err
}

// postpone gives ids back, a batch at a time, each due when the number's pace will reach
// it: then it is claimed in time to be asked for again.
func (r *sendRun) postpone(ctx context.Context, ids []message.ID, size int, next ratelimit.Grant) error {
	rows := make([]store.Postponed, len(ids))
	for i, m := range ids {
		rows[i] = store.Postponed{ID: m, At: next.Due(i - i%size).Add(-paceHorizon / 2), Why: store.WaitRate}
	}
	r.count(func(c *SendClaimResult) { c.Returned, c.Postponed = c.Returned+len(ids), c.Postponed+len(ids) })
	return r.Store.PostponeRows(ctx, r.vendor, r.job, rows)
}

// slots are the due times a run holds. They belong to no batch: what a mark left over
// the next one uses.
type slots struct {
	mu     sync.Mutex
	grants []ratelimit.Grant
	mixed  bool
	late   time.Duration // how late one may still be used, by the last grant
}

func (s *slots) add(g ratelimit.Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mixed, s.late = s.mixed || g.Mixed, g.Late
	if g.Count > 0 {
		s.grants = append(s.grants, g)
	}
}

// together tells whether other lanes send from the number as well.
func (s *slots) together() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mixed
}

// next takes the earliest due time that is not missed.
func (s *slots) next(now time.Time) (due time.Time, gap time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.grants) > 0 {
		first := 0
		for i, g := range s.grants {
			if g.Start.Before(s.grants[first].Start) {
				first = i
			}
		}
		g := &s.grants[first]
		due, gap = g.Start, g.Gap
		g.Start, g.Count = g.Start.Add(g.Gap), g.Count-1
		if g.Count == 0 {
			s.grants = append(s.grants[:first], s.grants[first+1:]...)
		}
		if now.Sub(due) <= s.late {
			return due, gap, true
		}
	}
	return time.Time{}, 0, false
}

// slot waits for a due time of the number. left is how many messages wait for one, this
// one included: due times that were missed are asked for again. When there is none within
// the horizon it returns when to try again. Else the message is on the wire for its
// caller, who takes it off again.
func (r *sendRun) slot(ctx context.Context, left int) (again time.Time, err error) {
	due, gap, ok := r.slots.next(time.Now())
	if !ok {
		grant, err := r.take(ctx, left)
		if err != nil || grant.Count == 0 {
			return grant.Start, err
		}
		if due, gap, ok = r.slots.next(time.Now()); !ok {
			return time.Now(), nil
		}
	}
	wait(ctx, due)
	if err := r.Bounds.wire.Acquire(ctx, 1); err != nil {
		return time.Time{}, err
	}
	wait(ctx, r.Limiter.Space(r.job.PhoneNumberID, gap))
	return time.Time{}, nil
}

// pairs returns how long each of marked has to wait for its person's sake; nil while the
// number has one campaign only, which writes to a person once.
func (r *sendRun) pairs(ctx context.Context, marked []store.Marked) ([]time.Duration, error) {
	if !r.slots.together() && r.job.Kind != store.SingleLane {
		return nil, nil
	}
	people := make([][]byte, len(marked))
	for i, m := range marked {
		people[i] = m.Recipient
	}
	return r.Limiter.Pair(ctx, r.job.PhoneNumberID, people)
}

// slowed tells the number's pace of a refusal for its rate. Losing it to a dead Redis does
// no harm: without Redis nothing is sent.
func (r *sendRun) slowed(ctx context.Context, res *store.SendResult) {
	if res.Class != string(meta.Number) {
		return
	}
	if err := r.Limiter.Slow(context.WithoutCancel(ctx), r.job.PhoneNumberID, r.job.RatePerSecond); err != nil {
		r.Log.WarnContext(ctx, "refusal for the rate not noted", "vendor_id", r.vendor, "error", err)
	}
}

// marks remembers how long marks take.
type marks struct {
	mu    sync.Mutex
	usual time.Duration
}

func (m *marks) took(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.usual == 0 {
		m.usual = d
	}
	m.usual += (d - m.usual) / 4
}

func (m *marks) lead() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return min(max(2*m.usual, shortestLead), longestLead)
}

// wait returns at the given time, or when ctx ends.
func wait(ctx context.Context, until time.Time) {
	d := time.Until(until)
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

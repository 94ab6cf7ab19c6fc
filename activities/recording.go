package activities

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// recordWithin is how long answers are held while the database is away. They are of
// people who got a message: it is well above a restart of Postgres.
const recordWithin = 30 * time.Second

// recorder writes a run's results in groups: while one commit is under way the next
// batches gather. Alone, each batch would wait for the commits of all before it, since
// they capture from one hold.
type recorder struct {
	mu      sync.Mutex
	writing bool
	groups  int // written so far: makes the captures' references
	waiting []recording
}

// recording is one batch's results on the way to the database.
type recording struct {
	results []store.SendResult
	done    chan error
}

// join adds one batch, and tells whether its caller is to write, since nobody does.
func (q *recorder) join(one recording) (lead bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, one)
	lead, q.writing = !q.writing, true
	return lead
}

// next takes what has gathered. Nothing: the caller's duty to write is over.
func (q *recorder) next() (group []recording, step int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	group, q.waiting = q.waiting, nil
	if q.writing = len(group) > 0; q.writing {
		q.groups++
	}
	return group, q.groups - 1
}

// written counts the groups so far, the one under way included.
func (q *recorder) written() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.groups
}

// record returns when results are committed, or with the reason why they could not be.
// What was posted is recorded even if this run is being cancelled.
func (r *sendRun) record(ctx context.Context, results []store.SendResult) error {
	mine := recording{results: results, done: make(chan error, 1)}
	if !r.records.join(mine) {
		return <-mine.done
	}
	for {
		group, step := r.records.next()
		if len(group) == 0 {
			return <-mine.done
		}
		keepCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		err := r.write(keepCtx, group, step)
		cancel()
		for _, one := range group {
			one.done <- err
		}
	}
}

// unmark forgets the marks of ids whose commit failed with cause. It may have happened all
// the same, when the connection broke on the way back: nothing was posted, and nobody else
// can know that. It returns cause.
func (r *sendRun) unmark(ctx context.Context, ids []message.ID, cause error) error {
	if errors.Is(cause, store.ErrClaimGone) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 2*time.Second) {
		doubtful, err := r.Store.DoubtfulMarks(ctx, r.vendor, r.job, ids)
		if err == nil && len(doubtful) > 0 {
			err = r.record(ctx, doubtful)
		}
		if err == nil || errs.KindOf(err) != errs.Unavailable {
			return cause
		}
		wait(ctx, time.Now().Add(jitter(pause)))
	}
	return cause
}

// write commits a group, again while the database is away and ctx lasts: answers thrown away would be
// outcomes that nobody knows. A repeat of what was committed changes nothing.
func (r *sendRun) write(ctx context.Context, group []recording, step int) error {
	var results []store.SendResult
	for _, one := range group {
		results = append(results, one.results...)
	}
	slices.SortFunc(results, func(a, b store.SendResult) int { return cmp.Compare(a.ID, b.ID) })
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := r.Store.RecordSends(ctx, r.vendor, r.job, results, store.Recording{Step: step, Keep: claimKept, Grace: r.UnknownGrace})
		if err == nil || errs.KindOf(err) != errs.Unavailable {
			return err
		}
		wait(ctx, time.Now().Add(jitter(pause)))
		if ctx.Err() != nil {
			return err
		}
	}
}

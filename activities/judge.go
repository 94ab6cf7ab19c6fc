package activities

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// maxAttempts bounds the tries of a message that Meta answers with a transient error.
const maxAttempts = 5

// haltOr halts the campaign when its template or token cannot be used at all: no retry
// helps before a person does. Its messages go back to the outbox.
func (a *Sending) haltOr(ctx context.Context, v vendor.ID, job store.SendJob, err error) error {
	if errs.KindOf(err).Retryable() {
		return toTemporal(err)
	}
	if err := a.Store.ReturnRows(ctx, v, job, job.Messages, time.Now()); errors.Is(err, store.ErrClaimGone) {
		return nil // a newer run holds the rows, and finds the same
	} else if err != nil {
		return toTemporal(err)
	}
	if err := a.Store.HaltCampaign(ctx, v, job.Campaign, errs.CodeOf(err)); err != nil {
		return toTemporal(err)
	}
	return toTemporal(a.Store.EndSend(ctx, v, job))
}

// judge turns a failed POST into a result, by class alone.
func (r *sendRun) judge(err error, attempt int16, now time.Time, out *store.SendResult) {
	refusal, ok := errors.AsType[*meta.Error](err)
	switch {
	case !ok && errors.Is(err, meta.ErrNotSent):
		out.RetryAt = now.Add(jitter(2 * time.Second))
		return
	case !ok:
		out.Status = message.Unknown
		return
	}
	out.Code, out.Title, out.Details, out.Class = refusal.Code, refusal.Title, refusal.Details, string(refusal.Class)
	switch refusal.Class {
	case meta.Number, meta.Pair, meta.App:
		out.RetryAt = now.Add(jitter(max(refusal.RetryAfter, 2*time.Second)))
	case meta.Hold, meta.Campaign, meta.Account, meta.Token:
		out.RetryAt = now // not this message's fault: it waits with the campaign
		r.mu.Lock()
		r.halt = "META_" + refusal.Name
		r.mu.Unlock()
	case meta.Retry:
		out.Status = message.Failed
		if attempt < maxAttempts {
			// Twice as long each time, from two seconds.
			out.RetryAt = now.Add(jitter(max(refusal.RetryAfter, time.Second<<attempt)))
		}
	case meta.Later, meta.Recipient, meta.Request:
		out.Status = message.Failed
	}
}

// jitter spreads d over [d, 1.5 d), so that what was refused together does not return together.
func jitter(d time.Duration) time.Duration {
	return d + rand.N(d/2+1) //nolint:gosec // spreading load needs no secrecy
}

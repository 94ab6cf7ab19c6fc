package activities

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

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

// judge turns a failed POST into a result: what Meta answered says the class, the rules of
// failures say what follows, and here it is only carried out.
func (r *sendRun) judge(err error, m store.Marked, now time.Time, out *store.SendResult) {
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
	verdict := failure.Judge(failure.Case{
		Refusal: refusal.Refusal(), Attempt: int(m.Attempt), Waits: int(m.Waits),
		Category: r.categoryOf(m), Country: m.Country, Now: now, Expires: orZeroTime(r.job.ExpiresAt), Roll: roll(),
	})
	if r.job.Kind == store.SingleLane {
		verdict = verdict.Alone()
	}
	out.RetryAt, out.Suppress = verdict.At, verdict.Suppress
	if verdict.Action != failure.Forget {
		out.Status = message.Failed
	}
	if verdict.Waited {
		out.Waits++
	}
	if verdict.Halt != failure.OwnMessage {
		r.stop(metaStop(refusal, verdict.Halt))
	}
}

// categoryOf is what m is billed as: its own of a one-off message, else the campaign's.
func (r *sendRun) categoryOf(m store.Marked) template.Category {
	return cmp.Or(m.Category, template.Category(r.job.Category))
}

// stop asks for a halt when the batches under way are recorded. The first reason counts.
func (r *sendRun) stop(why campaign.Stop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halt.Reason == "" {
		r.halt = why
	}
}

// roll spreads what was refused together, so that it does not return together.
func roll() float64 {
	return rand.Float64() //nolint:gosec // spreading load needs no secrecy
}

// jitter spreads d over [d, 1.5 d).
func jitter(d time.Duration) time.Duration { return d + time.Duration(float64(d/2)*roll()) }

// judgeFallen judges a message that failed after Meta had accepted it.
func judgeFallen(f store.Fallen) store.Judgement {
	e := meta.WebhookError(f.Code, f.Title, "")
	v := failure.Judge(failure.Case{
		Refusal: e.Refusal(), Accepted: true, Attempt: f.Attempt, Waits: f.Waits,
		Category: f.Category, Country: f.Country, Now: time.Now(), Expires: f.Expires, Roll: roll(),
	})
	return store.Judgement{Verdict: v, Class: e.Class, Stop: metaStop(e, v.Halt)}
}

// metaStop is the stop that a refusal of Meta's calls for.
func metaStop(e *meta.Error, scope failure.Scope) campaign.Stop {
	stop := campaign.MetaStop(e.Class, scope, e.Name, e.Remedy)
	stop.Probe = e.Probe
	return stop
}

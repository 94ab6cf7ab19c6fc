package activities

import (
	"context"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/store"
)

// sleepers are the clocks of a claim's recipients: one set of zones, many messages. The
// zero value is a campaign without quiet hours.
type sleepers struct {
	quiet campaign.QuietHours
	zones map[message.ID][]*time.Location
}

// newSleepers reads the clocks of the claim's recipients: once a claim, and only for a
// campaign with quiet hours.
func (a *Sending) newSleepers(ctx context.Context, r *sendRun) (sleepers, error) {
	out := sleepers{quiet: r.job.Quiet}
	if out.quiet.IsZero() {
		return out, nil
	}
	stored, err := a.Store.MessageZones(ctx, r.vendor, r.job)
	if err != nil {
		return out, err
	}
	var known campaign.Zones
	out.zones = make(map[message.ID][]*time.Location, len(stored))
	for m, joined := range stored {
		out.zones[m] = known.Locations(joined)
	}
	return out, nil
}

// until returns when m may be written to: now, unless it is quiet now or will be before
// everything that is marked now has left.
func (s sleepers) until(m message.ID, now time.Time) time.Time {
	zones := s.zones[m]
	if next := s.quiet.Next(now, zones); next.After(now) {
		return next
	}
	last := now.Add(leaveWithin)
	if next := s.quiet.Next(last, zones); next.After(last) {
		return next
	}
	return now
}

// awake gives messages back whose recipients have quiet hours, however long they queued,
// due when those end, and returns the others.
func (r *sendRun) awake(ctx context.Context, ids []message.ID, now time.Time) ([]message.ID, error) {
	if r.sleepers.quiet.IsZero() {
		return ids, nil
	}
	up := make([]message.ID, 0, len(ids))
	var asleep []store.Postponed
	for _, m := range ids {
		if next := r.sleepers.until(m, now); next.After(now) {
			asleep = append(asleep, store.Postponed{ID: m, At: next, Why: store.WaitQuiet})
			continue
		}
		up = append(up, m)
	}
	r.count(func(c *SendClaimResult) { c.Returned += len(asleep) })
	if err := r.Store.PostponeRows(ctx, r.vendor, r.job, asleep); err != nil {
		return nil, err
	}
	return up, nil
}

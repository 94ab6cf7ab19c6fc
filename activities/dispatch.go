package activities

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/breaker"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/store"
)

// Dispatch holds what a campaign's workflow needs besides sending. Every step re-reads the
// campaign's row and is idempotent.
type Dispatch struct {
	Store   *store.Store
	Keys    *crypt.Keys     // opens numbers, to tell their time zones
	Breaker *breaker.Window // nil: no circuit breaker
	Log     *slog.Logger    // nil: it says nothing
}

// freezePageRows is how many contacts one transaction freezes: short enough to hold no
// lock for long, large enough that a million takes minutes.
const freezePageRows = 5000

// CampaignState is what the workflow decides on.
type CampaignState struct {
	Status      campaign.State `json:"status"`
	ScheduledAt time.Time      `json:"scheduled_at,omitzero"` // zero: at once
	Frozen      bool           `json:"frozen"`
	Messages    int            `json:"messages"`
	HaltReason  string         `json:"halt_reason,omitempty"`
	Finished    bool           `json:"finished,omitempty"` // its books are closed

	ExpiresAt time.Time `json:"expires_at,omitzero"` // its end; zero: none
	HaltUntil time.Time `json:"halt_until,omitzero"` // when a halted one goes on by itself; zero: not by time
	RestsTill time.Time `json:"rests_till,omitzero"` // nothing is in flight, the next message is due then
}

// pageWithin bounds one page, below the heartbeat's timeout: a retry must not find the page
// of the run before still at work. One that takes so long was planned without statistics.
const pageWithin = 20 * time.Second

// AdvanceInput names the campaign and the workflow's time, by which its timers fired.
type AdvanceInput struct {
	Vendor   vendor.ID   `json:"vendor"`
	Campaign campaign.ID `json:"campaign"`
	Now      time.Time   `json:"now"`
}

// Advance does whatever is due for a campaign: freezes its audience and opens its lanes,
// lets a halted one go on, ends what must not leave any more, closes the books when nothing
// is left. It answers with where the campaign then stands. It is one activity because each
// costs Temporal the same, and most campaigns are small; every page of it commits for
// itself, so that a retry goes on where the run before stopped.
func (a *Dispatch) Advance(ctx context.Context, in AdvanceInput) (CampaignState, error) {
	if now := time.Now(); now.After(in.Now) { // else this machine's clock is behind: the timer was right
		in.Now = now
	}
	s, err := a.state(ctx, in)
	if err == nil && s.startDue(in.Now) {
		s, err = a.start(ctx, in)
	}
	if err == nil && s.begun() && !s.Finished {
		s, err = a.end(ctx, in, s.Status)
	}
	return s, toTemporal(err)
}

// startDue tells whether the campaign is to be prepared now.
func (s CampaignState) startDue(now time.Time) bool {
	switch s.Status {
	case campaign.Approved, campaign.Scheduled:
		return !s.ScheduledAt.After(now)
	case campaign.Preparing:
		return true
	case campaign.Draft, campaign.Quoted, campaign.Running, campaign.Paused, campaign.Halted, campaign.Completed, campaign.Cancelled:
	}
	return false
}

// begun tells whether messages of the campaign may exist that are not over.
func (s CampaignState) begun() bool {
	switch s.Status {
	case campaign.Running, campaign.Paused, campaign.Halted, campaign.Cancelled:
		return true
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Scheduled, campaign.Preparing, campaign.Completed:
	}
	return false
}

func (a *Dispatch) state(ctx context.Context, in AdvanceInput) (CampaignState, error) {
	d, err := a.Store.DispatchState(ctx, in.Vendor, in.Campaign)
	return CampaignState{
		Status: d.Status, Frozen: d.Frozen, Messages: d.FrozenCount, HaltReason: d.HaltReason, Finished: d.Finished, ScheduledAt: orZeroTime(d.ScheduledAt),
		ExpiresAt: orZeroTime(d.ExpiresAt), HaltUntil: orZeroTime(d.HaltUntil), RestsTill: orZeroTime(d.RestsTill),
	}, err
}

// orZeroTime is the zero time for none, which payloads leave out.
func orZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// start prepares the campaign, turns its whole audience into messages, page by page, and
// opens the lanes, or halts it when the audience grew beyond the quotation.
func (a *Dispatch) start(ctx context.Context, in AdvanceInput) (CampaignState, error) {
	state, err := a.Store.PrepareCampaign(ctx, in.Vendor, in.Campaign, in.Now)
	if err != nil {
		return CampaignState{}, err
	}
	for done := state != campaign.Preparing; !done; {
		var frozen int
		page, cancel := context.WithTimeout(ctx, pageWithin)
		frozen, done, err = a.Store.FreezeQuietPage(page, in.Vendor, in.Campaign, freezePageRows, a.zones(page, in.Vendor))
		cancel()
		if err != nil {
			break
		}
		activity.RecordHeartbeat(ctx, frozen)
	}
	if err != nil && !isConflict(err) { // cancelled in the middle: the state says so
		return CampaignState{}, err
	}
	s, err := a.state(ctx, in)
	if err != nil || s.Status != campaign.Preparing {
		return s, err
	}
	if _, err := a.Store.LaunchCampaign(ctx, in.Vendor, in.Campaign); err != nil {
		return s, err
	}
	return a.state(ctx, in)
}

// end does what the campaign's end or its clock asks for, and closes the books if nothing
// is left to send or settle.
func (a *Dispatch) end(ctx context.Context, in AdvanceInput, status campaign.State) (CampaignState, error) {
	for done, pages := false, 0; !done; pages++ {
		var err error
		if status == campaign.Cancelled {
			done, err = a.Store.CancelPage(ctx, in.Vendor, in.Campaign, freezePageRows)
		} else {
			_, done, err = a.Store.Overdue(ctx, in.Vendor, in.Campaign, in.Now, freezePageRows)
		}
		if err != nil {
			return CampaignState{}, err
		}
		activity.RecordHeartbeat(ctx, pages)
	}
	if _, err := a.Store.FinishCampaign(ctx, in.Vendor, in.Campaign); err != nil {
		return CampaignState{}, err
	}
	return a.state(ctx, in)
}

// zones tells the time zones of a sealed number. It is asked only for campaigns with quiet
// hours, and for numbers of countries that have several.
func (a *Dispatch) zones(ctx context.Context, v vendor.ID) store.ZonesOf {
	return func(contact string, mobileCT []byte) ([]string, error) {
		keys, err := a.Keys.For(ctx, v)
		if err != nil {
			return nil, err
		}
		number, err := keys.Decrypt(crypt.Mobile, contact, mobileCT)
		if err != nil {
			return nil, err
		}
		return phone.TimeZones(string(number)), nil
	}
}

// SettleInput names whose settlements are due.
type SettleInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// settlePages bounds one activity; the workflow calls again while more is waiting.
const settlePages = 50

// Settle closes standing campaigns of months that are over, works off what webhooks enqueued
// for the vendor, halts what has to stop for it, and lets campaigns go on that waited for
// money, or one-off messages for a time; it tells whether more waits.
func (a *Dispatch) Settle(ctx context.Context, in SettleInput) (bool, error) {
	if _, err := a.Store.CloseStanding(ctx, in.Vendor, time.Now()); err != nil {
		return false, toTemporal(err)
	}
	if _, err := a.Store.ResumeHalted(ctx, in.Vendor, "", campaign.ByWallet); err != nil {
		return false, toTemporal(err)
	}
	if _, err := a.Store.ResumeDue(ctx, in.Vendor, time.Now()); err != nil {
		return false, toTemporal(err)
	}
	for page := range settlePages {
		done, err := a.Store.Settle(ctx, in.Vendor, judgeFallen)
		if err != nil {
			return false, toTemporal(err)
		}
		for c, failed := range done.Failed {
			if stop, open := (watcher{a.Breaker, a.Log}).see(ctx, in.Vendor, c, breaker.Batch{Failed: failed}); open {
				done.Stops[c] = stop
			}
		}
		for c, stop := range done.Stops {
			if _, err := a.Store.HaltCampaigns(ctx, in.Vendor, c, stop); err != nil {
				return false, toTemporal(err)
			}
		}
		if !done.More {
			return false, nil
		}
		activity.RecordHeartbeat(ctx, page)
	}
	return true, nil
}

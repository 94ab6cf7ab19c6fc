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

// Dispatch holds what a campaign's workflow needs besides sending: prepare, freeze,
// launch, cancel, close. Every step re-reads the campaign's row and is idempotent.
type Dispatch struct {
	Store   *store.Store
	Keys    *crypt.Keys     // opens numbers, to tell their time zones
	Breaker *breaker.Window // nil: no circuit breaker
	Log     *slog.Logger    // nil: it says nothing
}

// freezePageRows is how many contacts one transaction freezes: short enough to hold no
// lock for long, large enough that a million takes minutes.
const freezePageRows = 5000

// CampaignRef names a campaign.
type CampaignRef struct {
	Vendor   vendor.ID   `json:"vendor"`
	Campaign campaign.ID `json:"campaign"`
}

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

// State reads where the campaign stands.
func (a *Dispatch) State(ctx context.Context, in CampaignRef) (CampaignState, error) {
	d, err := a.Store.DispatchState(ctx, in.Vendor, in.Campaign)
	return CampaignState{
		Status: d.Status, Frozen: d.Frozen, Messages: d.FrozenCount, HaltReason: d.HaltReason, Finished: d.Finished, ScheduledAt: orZeroTime(d.ScheduledAt),
		ExpiresAt: orZeroTime(d.ExpiresAt), HaltUntil: orZeroTime(d.HaltUntil), RestsTill: orZeroTime(d.RestsTill),
	}, toTemporal(err)
}

// orZeroTime is the zero time for none, which payloads leave out.
func orZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Freeze prepares the campaign and turns its whole audience into messages, page by page.
// A retry goes on behind the last committed page.
func (a *Dispatch) Freeze(ctx context.Context, in CampaignRef) (CampaignState, error) {
	state, err := a.Store.PrepareCampaign(ctx, in.Vendor, in.Campaign, time.Now())
	if err != nil {
		return CampaignState{}, toTemporal(err)
	}
	for done := state != campaign.Preparing; !done; {
		var frozen int
		if frozen, done, err = a.Store.FreezeQuietPage(ctx, in.Vendor, in.Campaign, freezePageRows, a.zones(ctx, in.Vendor)); err != nil {
			break
		}
		activity.RecordHeartbeat(ctx, frozen)
	}
	if err != nil && !isConflict(err) { // cancelled in the middle: the state says so
		return CampaignState{}, toTemporal(err)
	}
	return a.State(ctx, in)
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

// Launch opens the campaign's lanes, or halts it when the audience grew beyond the quotation.
func (a *Dispatch) Launch(ctx context.Context, in CampaignRef) (CampaignState, error) {
	if _, err := a.Store.LaunchCampaign(ctx, in.Vendor, in.Campaign); err != nil {
		return CampaignState{}, toTemporal(err)
	}
	return a.State(ctx, in)
}

// CancelRest ends the messages of a cancelled campaign that have not left.
func (a *Dispatch) CancelRest(ctx context.Context, in CampaignRef) error {
	for done, pages := false, 0; !done; pages++ {
		var err error
		if done, err = a.Store.CancelPage(ctx, in.Vendor, in.Campaign, freezePageRows); err != nil {
			return toTemporal(err)
		}
		activity.RecordHeartbeat(ctx, pages)
	}
	return nil
}

// Overdue does what the campaign's clock asks for: it lets a halted one go on whose time
// has come, and ends what has not left of one that is over.
func (a *Dispatch) Overdue(ctx context.Context, in CampaignRef) (CampaignState, error) {
	for done, pages := false, 0; !done; pages++ {
		var err error
		if _, done, err = a.Store.Overdue(ctx, in.Vendor, in.Campaign, time.Now(), freezePageRows); err != nil {
			return CampaignState{}, toTemporal(err)
		}
		activity.RecordHeartbeat(ctx, pages)
	}
	return a.State(ctx, in)
}

// Finish closes the books if nothing is left to send or settle; it tells whether it did.
func (a *Dispatch) Finish(ctx context.Context, in CampaignRef) (bool, error) {
	done, err := a.Store.FinishCampaign(ctx, in.Vendor, in.Campaign)
	return done, toTemporal(err)
}

// SettleInput names whose settlements are due.
type SettleInput struct {
	Vendor vendor.ID `json:"vendor"`
}

// settlePages bounds one activity; the workflow calls again while more is waiting.
const settlePages = 50

// Settle closes standing campaigns of months that are over, works off what webhooks enqueued
// for the vendor, halts what has to stop for it, and lets campaigns go on that waited for
// money; it tells whether more waits.
func (a *Dispatch) Settle(ctx context.Context, in SettleInput) (bool, error) {
	if _, err := a.Store.CloseStanding(ctx, in.Vendor, time.Now()); err != nil {
		return false, toTemporal(err)
	}
	if _, err := a.Store.ResumeHalted(ctx, in.Vendor, "", campaign.ByWallet); err != nil {
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

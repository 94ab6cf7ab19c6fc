package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/store"
)

// Dispatch holds what a campaign's workflow needs besides sending: prepare, freeze,
// launch, cancel, close. Every step re-reads the campaign's row and is idempotent.
type Dispatch struct {
	Store *store.Store
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
}

// State reads where the campaign stands.
func (a *Dispatch) State(ctx context.Context, in CampaignRef) (CampaignState, error) {
	d, err := a.Store.DispatchState(ctx, in.Vendor, in.Campaign)
	out := CampaignState{Status: d.Status, Frozen: d.Frozen, Messages: d.FrozenCount, HaltReason: d.HaltReason, Finished: d.Finished}
	if d.ScheduledAt != nil {
		out.ScheduledAt = *d.ScheduledAt
	}
	return out, toTemporal(err)
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
		if frozen, done, err = a.Store.FreezePage(ctx, in.Vendor, in.Campaign, freezePageRows); err != nil {
			break
		}
		activity.RecordHeartbeat(ctx, frozen)
	}
	if err != nil && !isConflict(err) { // cancelled in the middle: the state says so
		return CampaignState{}, toTemporal(err)
	}
	return a.State(ctx, in)
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

// Settle works off what webhooks enqueued for the vendor; it tells whether more waits.
func (a *Dispatch) Settle(ctx context.Context, in SettleInput) (bool, error) {
	for page := range settlePages {
		more, err := a.Store.Settle(ctx, in.Vendor)
		if err != nil || !more {
			return false, toTemporal(err)
		}
		activity.RecordHeartbeat(ctx, page)
	}
	return true, nil
}

package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// CampaignDispatchInput names the campaign. It lives in histories: add fields, never
// rename or remove one.
type CampaignDispatchInput struct {
	Vendor   vendor.ID   `json:"vendor"`
	Campaign campaign.ID `json:"campaign"`
}

// CampaignDispatchResult is how the campaign ended.
type CampaignDispatchResult struct {
	Status   campaign.State `json:"status"`
	Messages int            `json:"messages"`
}

// CampaignDispatch is one campaign's life after approval. It sends nothing itself: the
// relay claims the frozen messages. It has what is due done, then waits for a doorbell or
// the campaign's clock, until the books are closed. The campaign's row is the whole state:
// a run that was rung often continues as a new one, and one that finds the approval taken
// back is over.
func CampaignDispatch(ctx workflow.Context, in CampaignDispatchInput) (CampaignDispatchResult, error) {
	c := campaignRun{
		in:   in,
		bell: workflow.GetSignalChannelWithOptions(ctx, SignalChanged, workflow.SignalChannelOptions{Description: "Read the campaign's row again"}),
	}
	ctx = workflow.WithActivityOptions(ctx, dispatchOptions())
	for {
		if err := c.advance(ctx); err != nil {
			return CampaignDispatchResult{}, err
		}
		if c.isOver() {
			return CampaignDispatchResult{Status: c.state.Status, Messages: c.state.Messages}, nil
		}
		c.untilRung(ctx)
		if err := c.orAgain(ctx); err != nil {
			return CampaignDispatchResult{}, err
		}
	}
}

// campaignRun is the workflow's state: what the row said when it was last read.
type campaignRun struct {
	acts  *activities.Dispatch // nil: only its method names are used
	in    CampaignDispatchInput
	bell  workflow.ReceiveChannel
	state activities.CampaignState
}

func dispatchOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 30 * time.Minute, // a million recipients take minutes to freeze
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             "do what is due",
	}
}

// advance has done what is due, and shows where the campaign stands then.
func (c *campaignRun) advance(ctx workflow.Context) error {
	var next activities.CampaignState
	in := activities.AdvanceInput{Vendor: c.in.Vendor, Campaign: c.in.Campaign, Now: workflow.Now(ctx)}
	if err := workflow.ExecuteActivity(ctx, c.acts.Advance, in).Get(ctx, &next); err != nil {
		return err
	}
	changed := next.Status != c.state.Status || next.HaltReason != c.state.HaltReason || !next.RestsTill.Equal(c.state.RestsTill)
	c.state = next
	if !changed {
		return nil
	}
	reason := c.waitReason(ctx)
	details := fmt.Sprintf("**%s** · %d messages %s", c.state.Status, c.state.Messages, reason)
	if reason == WaitRetryLater {
		details += " until " + c.state.RestsTill.Format(time.RFC3339)
	}
	workflow.SetCurrentDetails(ctx, details)
	updates := []temporal.SearchAttributeUpdate{JobStatusKey.ValueSet(string(c.state.Status)), WaitReasonKey.ValueUnset()}
	if reason != "" {
		updates[1] = WaitReasonKey.ValueSet(reason)
	}
	return workflow.UpsertTypedSearchAttributes(ctx, updates...)
}

// waitReason says why a campaign does not go on; "": it does.
func (c *campaignRun) waitReason(ctx workflow.Context) string {
	switch c.state.Status {
	case campaign.Halted:
		return c.state.HaltReason
	case campaign.Scheduled:
		return WaitSchedule
	case campaign.Paused:
		return WaitPaused
	case campaign.Running:
		if c.state.RestsTill.After(workflow.Now(ctx).Add(time.Minute)) {
			return WaitRetryLater
		}
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Preparing, campaign.Completed, campaign.Cancelled:
	}
	return ""
}

// isOver tells whether nothing is left to do. An approval may have been taken back: a
// doorbell that has rung since may mean a new one.
func (c *campaignRun) isOver() bool {
	switch c.state.Status {
	case campaign.Draft, campaign.Quoted:
		return !c.bell.ReceiveAsync(nil)
	case campaign.Completed:
		return true
	case campaign.Approved, campaign.Scheduled, campaign.Preparing, campaign.Running, campaign.Paused, campaign.Halted, campaign.Cancelled:
	}
	return c.state.Finished
}

const (
	// afterEnd is how often a campaign past its end is looked at: what was in flight then
	// comes back within minutes.
	afterEnd = 5 * time.Minute

	// lookAgain is when a campaign is looked at that was changed while it was advanced.
	lookAgain = time.Second
)

// untilRung waits for a doorbell or the campaign's clock. One look serves every ring so far.
func (c *campaignRun) untilRung(ctx workflow.Context) {
	if wait := c.wait(workflow.Now(ctx)); wait > 0 {
		c.bell.ReceiveWithTimeout(ctx, wait, nil)
	} else {
		c.bell.Receive(ctx, nil)
	}
	c.drain()
}

// wait is how long the campaign's clock lets it rest: until its time, its end, the end of its
// halt, its next message. 0: until the bell. A campaign without any of them waits for the
// bell alone, as those of older releases did.
func (c *campaignRun) wait(now time.Time) time.Duration {
	switch c.state.Status {
	case campaign.Draft, campaign.Quoted, campaign.Preparing:
		return lookAgain
	case campaign.Approved, campaign.Scheduled:
		return max(c.state.ScheduledAt.Sub(now), lookAgain)
	case campaign.Running, campaign.Paused, campaign.Halted, campaign.Completed, campaign.Cancelled:
	}
	if !c.state.ExpiresAt.IsZero() && !now.Before(c.state.ExpiresAt) {
		return afterEnd
	}
	wait := time.Duration(0)
	for _, at := range []time.Time{c.state.ExpiresAt, c.state.HaltUntil, c.state.RestsTill} {
		if left := at.Sub(now); !at.IsZero() && left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	return wait
}

// drain takes every ring so far: the row is read after it.
func (c *campaignRun) drain() {
	for c.bell.ReceiveAsync(nil) {
	}
}

// orAgain ends a run whose history is long enough: the next one begins by reading the
// row, so rings so far are taken.
func (c *campaignRun) orAgain(ctx workflow.Context) error {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return ctx.Err()
	}
	c.drain()
	return workflow.NewContinueAsNewError(ctx, CampaignDispatch, c.in)
}

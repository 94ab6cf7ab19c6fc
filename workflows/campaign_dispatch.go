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

// CampaignDispatch is one campaign's life after approval: wait for its time, freeze the
// audience, open the lanes, wait for the end, close the books. It sends nothing itself:
// the relay claims the frozen messages. Doorbells make it re-read the campaign's row,
// which is the whole state: a run that was rung often continues as a new one, and one
// that finds the approval taken back is over.
func CampaignDispatch(ctx workflow.Context, in CampaignDispatchInput) (CampaignDispatchResult, error) {
	c := campaignRun{
		ref:  activities.CampaignRef{Vendor: in.Vendor, Campaign: in.Campaign},
		bell: workflow.GetSignalChannelWithOptions(ctx, SignalChanged, workflow.SignalChannelOptions{Description: "Read the campaign's row again"}),
	}
	ctx = workflow.WithActivityOptions(ctx, dispatchOptions())
	err := c.read(ctx)
	for over := false; err == nil && !over; {
		if err = c.untilStarted(ctx); err != nil {
			break
		}
		if over, err = c.isOver(ctx); err != nil || over {
			break
		}
		err = c.untilRung(ctx)
	}
	if err != nil {
		return CampaignDispatchResult{}, err
	}
	return CampaignDispatchResult{Status: c.state.Status, Messages: c.state.Messages}, nil
}

// campaignRun is the workflow's state: what the row said when it was last read.
type campaignRun struct {
	acts  *activities.Dispatch // nil: only its method names are used
	ref   activities.CampaignRef
	bell  workflow.ReceiveChannel
	state activities.CampaignState
}

func dispatchOptions() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 30 * time.Minute, // a million recipients take minutes to freeze
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}
}

// summed gives the next activity its line in Temporal Web UI.
func summed(ctx workflow.Context, summary string) workflow.Context {
	opts := workflow.GetActivityOptions(ctx)
	opts.Summary = summary
	return workflow.WithActivityOptions(ctx, opts)
}

func (c *campaignRun) read(ctx workflow.Context) error {
	return c.step(ctx, "read the campaign", c.acts.State)
}

// step runs an activity that answers with the campaign's state, and shows it.
func (c *campaignRun) step(ctx workflow.Context, summary string, act any) error {
	var next activities.CampaignState
	if err := workflow.ExecuteActivity(summed(ctx, summary), act, c.ref).Get(ctx, &next); err != nil {
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

// untilStarted brings an approved campaign to where its messages can be claimed, or to
// where a person must look at it.
func (c *campaignRun) untilStarted(ctx workflow.Context) error {
	if err := c.untilScheduled(ctx); err != nil {
		return err
	}
	if c.state.Status == campaign.Approved || c.state.Status == campaign.Scheduled || c.state.Status == campaign.Preparing {
		if err := c.step(ctx, "freeze the audience", c.acts.Freeze); err != nil {
			return err
		}
	}
	if c.state.Status == campaign.Preparing {
		return c.step(ctx, "open the lanes", c.acts.Launch)
	}
	return nil
}

// untilScheduled waits for the campaign's time, or for a change that makes it moot.
func (c *campaignRun) untilScheduled(ctx workflow.Context) error {
	for c.state.Status == campaign.Approved || c.state.Status == campaign.Scheduled {
		wait := c.state.ScheduledAt.Sub(workflow.Now(ctx))
		if c.state.ScheduledAt.IsZero() || wait <= 0 {
			return nil
		}
		rung, _ := c.bell.ReceiveWithTimeout(ctx, wait, nil)
		if !rung {
			return nil
		}
		if err := c.orAgain(ctx); err != nil {
			return err
		}
		if err := c.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// isOver closes the campaign's books if nothing is left of it, and tells whether it is over.
func (c *campaignRun) isOver(ctx workflow.Context) (bool, error) {
	switch c.state.Status {
	case campaign.Draft, campaign.Quoted:
		// The approval was taken back. A doorbell that has rung since may mean a new one.
		return !c.bell.ReceiveAsync(nil), nil
	case campaign.Cancelled:
		if err := workflow.ExecuteActivity(summed(ctx, "end what has not left"), c.acts.CancelRest, c.ref).Get(ctx, nil); err != nil {
			return false, err
		}
	default:
	}
	var finished bool
	if err := workflow.ExecuteActivity(summed(ctx, "close the books if nothing is left"), c.acts.Finish, c.ref).Get(ctx, &finished); err != nil {
		return false, err
	}
	err := c.read(ctx)
	return finished || c.state.Finished || c.state.Status == campaign.Completed, err
}

// untilRung waits for a doorbell or the campaign's clock, and reads the row again or does
// what the clock asks for. One look serves every ring so far. A campaign whose state leaves
// something to do at once is not waited for.
func (c *campaignRun) untilRung(ctx workflow.Context) error {
	due := false
	switch c.state.Status {
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Scheduled, campaign.Preparing:
	case campaign.Running, campaign.Paused, campaign.Halted, campaign.Completed, campaign.Cancelled:
		due = c.untilBell(ctx)
		c.drain()
	}
	if err := c.orAgain(ctx); err != nil {
		return err
	}
	if due || c.over(ctx) {
		return c.step(ctx, "do what the clock asks for", c.acts.Overdue)
	}
	return c.read(ctx)
}

// afterEnd is how often a campaign past its end is looked at: what was in flight then comes
// back within minutes.
const afterEnd = 5 * time.Minute

// untilBell waits for a doorbell, or for what the campaign's clock says: its end, the end
// of its halt, the next message. It tells whether it was the clock. A campaign without
// either waits for the bell alone, as those of older releases did.
func (c *campaignRun) untilBell(ctx workflow.Context) bool {
	now, wait := workflow.Now(ctx), time.Duration(0)
	for _, at := range []time.Time{c.state.ExpiresAt, c.state.HaltUntil, c.state.RestsTill} {
		if left := at.Sub(now); !at.IsZero() && left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	if c.over(ctx) {
		wait = afterEnd
	}
	if wait == 0 {
		c.bell.Receive(ctx, nil)
		return false
	}
	rung, _ := c.bell.ReceiveWithTimeout(ctx, wait, nil)
	return !rung
}

// over tells whether the campaign's end has come.
func (c *campaignRun) over(ctx workflow.Context) bool {
	return !c.state.ExpiresAt.IsZero() && !workflow.Now(ctx).Before(c.state.ExpiresAt)
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
	return workflow.NewContinueAsNewError(ctx, CampaignDispatch, CampaignDispatchInput{Vendor: c.ref.Vendor, Campaign: c.ref.Campaign})
}

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
// the relay claims the frozen messages. Doorbells make it re-read the campaign's row.
func CampaignDispatch(ctx workflow.Context, in CampaignDispatchInput) (CampaignDispatchResult, error) {
	c := campaignRun{
		ref:  activities.CampaignRef{Vendor: in.Vendor, Campaign: in.Campaign},
		bell: workflow.GetSignalChannelWithOptions(ctx, SignalChanged, workflow.SignalChannelOptions{Description: "Read the campaign's row again"}),
	}
	ctx = workflow.WithActivityOptions(ctx, dispatchOptions())
	if err := c.read(ctx); err != nil {
		return CampaignDispatchResult{}, err
	}
	if err := c.untilScheduled(ctx); err != nil {
		return CampaignDispatchResult{}, err
	}
	if c.state.Status == campaign.Approved || c.state.Status == campaign.Scheduled || c.state.Status == campaign.Preparing {
		if err := c.step(ctx, "freeze the audience", c.acts.Freeze); err != nil {
			return CampaignDispatchResult{}, err
		}
	}
	if c.state.Status == campaign.Preparing {
		if err := c.step(ctx, "open the lanes", c.acts.Launch); err != nil {
			return CampaignDispatchResult{}, err
		}
	}
	if err := c.untilFinished(ctx); err != nil {
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
	switch {
	case c.state.Status == campaign.Halted:
		return c.state.HaltReason
	case c.state.Status == campaign.Running && c.state.RestsTill.After(workflow.Now(ctx).Add(time.Minute)):
		return WaitRetryLater
	}
	return ""
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
		if err := c.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// untilFinished re-reads the row at every doorbell until the campaign's books are closed.
func (c *campaignRun) untilFinished(ctx workflow.Context) error {
	for {
		if c.state.Status == campaign.Cancelled {
			if err := workflow.ExecuteActivity(summed(ctx, "end what has not left"), c.acts.CancelRest, c.ref).Get(ctx, nil); err != nil {
				return err
			}
		}
		var finished bool
		if err := workflow.ExecuteActivity(summed(ctx, "close the books if nothing is left"), c.acts.Finish, c.ref).Get(ctx, &finished); err != nil {
			return err
		}
		if err := c.read(ctx); err != nil || finished || c.state.Finished || c.state.Status == campaign.Completed {
			return err
		}
		due := c.untilBell(ctx)
		for c.bell.ReceiveAsync(nil) { // one look serves every ring so far
		}
		next, summary := any(c.acts.State), "read the campaign"
		if due || c.over(ctx) {
			next, summary = c.acts.Overdue, "do what the clock asks for"
		}
		if err := c.step(ctx, summary, next); err != nil {
			return err
		}
	}
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

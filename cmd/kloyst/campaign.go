package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/explain"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// campaignCmd steers one campaign from the outside.
type campaignCmd struct {
	Explain campaignExplainCmd `cmd:"" help:"Say what a campaign waits for, and where it and its money stand."`
	Pause   campaignPauseCmd   `cmd:"" help:"Stop sending; nothing is lost."`
	Resume  campaignResumeCmd  `cmd:"" help:"Go on after a pause or a halt."`
	Cancel  campaignCancelCmd  `cmd:"" help:"End a campaign; what was not sent is given back."`
}

// campaignArgs name one campaign.
type campaignArgs struct {
	Vendor   string `required:"" help:"Vendor's id."`
	Campaign string `arg:"" help:"Campaign's id."`
}

type campaignPauseCmd struct{ campaignArgs }

// Run pauses.
func (c campaignPauseCmd) Run(ctx context.Context, env *cliEnv) error {
	return c.steer(ctx, env, (*store.Store).PauseCampaign)
}

type campaignResumeCmd struct{ campaignArgs }

// Run resumes.
func (c campaignResumeCmd) Run(ctx context.Context, env *cliEnv) error {
	return c.steer(ctx, env, (*store.Store).ResumeCampaign)
}

type campaignCancelCmd struct{ campaignArgs }

// Run cancels.
func (c campaignCancelCmd) Run(ctx context.Context, env *cliEnv) error {
	return c.steer(ctx, env, (*store.Store).CancelCampaign)
}

// steer does one thing to the campaign and prints the state it is in then.
func (c campaignArgs) steer(ctx context.Context, env *cliEnv,
	do func(*store.Store, context.Context, vendor.ID, campaign.ID) (campaign.Campaign, error),
) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := do(s, ctx, vendor.ID(c.Vendor), campaign.ID(c.Campaign))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, out.State)
	return nil
}

type campaignExplainCmd struct{ campaignArgs }

// Run prints one JSON document.
func (c campaignExplainCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	o, err := s.CampaignOverview(ctx, vendor.ID(c.Vendor), campaign.ID(c.Campaign))
	if err != nil {
		return err
	}
	f, err := s.CampaignFacts(ctx, vendor.ID(c.Vendor), campaign.ID(c.Campaign), time.Now().UTC())
	if err != nil {
		return err
	}
	why := explain.Campaign(f, meta.Remedy)
	return printJSON(os.Stdout, map[string]any{
		"waits": waitFields(why.Lines), "finish_at": stamp(why.FinishAt),
		"name": o.Campaign.Name, "status": o.Campaign.State, "halt_reason": o.Campaign.HaltReason,
		"scheduled_at": o.Campaign.ScheduledAt, "time_zone": o.Campaign.TimeZone, "frozen": o.Campaign.Frozen,
		"messages": map[string]int64{
			"total": o.Counts.Total, "queued": o.Counts.Queued, "sending": o.Counts.Sending, "unknown": o.Counts.Unknown,
			"unconfirmed": o.Counts.Unconfirmed, "sent": o.Counts.Sent, "delivered": o.Counts.Delivered, "read": o.Counts.Read,
			"failed": o.Counts.Failed, "rejected": o.Counts.Rejected, "suppressed": o.Counts.Suppressed,
			"cancelled": o.Counts.Cancelled, "expired": o.Counts.Expired,
		},
		"money_micros": map[string]any{
			"quoted": o.Quoted, "held": o.Money.Held, "captured": o.Money.Captured, "released": o.Money.Released,
			"refunded": o.Money.Refunded, "loss": o.Money.Loss,
		},
	})
}

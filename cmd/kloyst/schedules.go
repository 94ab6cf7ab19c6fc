package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/workflows"
)

// schedules are the product's own rounds over all vendors. Times are UTC, at night where
// most of the vendors are; a quarter of an hour of jitter keeps installations apart.
func schedules() []client.ScheduleOptions {
	daily := func(id, summary string, at client.ScheduleRange, workflow, input any) client.ScheduleOptions {
		return client.ScheduleOptions{
			ID: id,
			Spec: client.ScheduleSpec{
				Calendars: []client.ScheduleCalendarSpec{{Hour: []client.ScheduleRange{at}}},
				Jitter:    15 * time.Minute,
			},
			Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
			CatchupWindow: 12 * time.Hour, // a server that was away: one late round is worth it
			Action: &client.ScheduleWorkflowAction{
				ID: id, Workflow: workflow, Args: []any{input}, TaskQueue: workflows.QueueCore, StaticSummary: summary,
			},
		}
	}
	return []client.ScheduleOptions{
		daily(workflows.ScheduleReconcile, "Wallets against their books", client.ScheduleRange{Start: 20}, workflows.WalletReconcile, workflows.WalletReconcileInput{}),
		daily(workflows.ScheduleMetaBilling, "What Meta says it bills", client.ScheduleRange{Start: 21}, workflows.MetaBilling, workflows.MetaBillingInput{}),
	}
}

// ensureSchedules makes the schedules, or brings them to this release's times; one that an
// operator paused stays paused. Every worker does it at its start.
func ensureSchedules(ctx context.Context, c client.Client) error {
	for _, want := range schedules() {
		_, err := c.ScheduleClient().Create(ctx, want)
		if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			err = c.ScheduleClient().GetHandle(ctx, want.ID).Update(ctx, client.ScheduleUpdateOptions{
				DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
					s := in.Description.Schedule
					s.Spec, s.Action = &want.Spec, want.Action
					return &client.ScheduleUpdate{Schedule: &s}, nil
				},
			})
		}
		if err != nil {
			return fmt.Errorf("schedule %s: %w", want.ID, err)
		}
	}
	return nil
}

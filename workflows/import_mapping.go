package workflows

import (
	"bytes"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

// How patient an import is with the person who uploaded the file.
const (
	// mappingExpiry is how long a file waits for its mapping before it is cancelled.
	mappingExpiry = 7 * 24 * time.Hour
	// The uploader is reminded by mail after a day, when it was forgotten, and a day before
	// the end.
	firstReminder = 24 * time.Hour
	lastReminder  = mappingExpiry - 24*time.Hour
)

// versionReminders is the change by which an import that waits for its mapping reminds.
const versionReminders = "import-reminders"

// awaitMapping waits for the doorbell; the row tells what it was about. A ring that
// brings a mapping, an operator's or a program's, has it confirmed first.
func (r *importRun) awaitMapping(ctx workflow.Context) error {
	const what = "Waiting for the vendor to confirm the mapping of the columns."
	r.waitFor(ctx, "MAPPING", what)
	defer r.waitFor(ctx, "", "")
	began := workflow.Now(ctx)
	deadline := began.Add(mappingExpiry)
	var reminders []time.Time
	if workflow.GetVersion(ctx, versionReminders, workflow.DefaultVersion, 1) == 1 {
		reminders = []time.Time{began.Add(firstReminder), began.Add(lastReminder)}
	}
	for r.state.Status == importing.AwaitingMapping {
		now, next := workflow.Now(ctx), deadline
		if !now.Before(deadline) {
			return r.move(ctx, importing.Cancelled, "import.mapping_expired", "no mapping was confirmed within 7 days")
		}
		if len(reminders) > 0 {
			next = reminders[0]
		}
		rung, err := workflow.AwaitWithTimeout(ctx, next.Sub(now), func() bool { return r.bell.Len() > 0 })
		if err != nil {
			return err
		}
		if rung {
			err = r.mapped(ctx, what)
		} else if len(reminders) > 0 {
			reminders = reminders[1:]
			r.remind(ctx, deadline)
			continue
		}
		if err != nil {
			return err
		}
		if err := r.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mapped takes a ring and confirms the mapping in it, if there is one. What is refused is
// told in the console, after what it waits for, and changes nothing.
func (r *importRun) mapped(ctx workflow.Context, what string) error {
	var raw converter.RawValue
	if !r.bell.ReceiveAsync(&raw) {
		return nil // it was sealed by somebody else
	}
	text := bytes.TrimSpace(raw.Payload().GetData())
	if len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil // a bare ring
	}
	err := r.light(ctx, "confirm the mapping", nil, r.acts.ConfirmMapping, activities.ImportMapping{ImportRef: r.ref, Mapping: string(text)})
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	_, why := reasonOf(err)
	r.waitFor(ctx, "MAPPING", what+"\n\nThe last mapping was refused: "+why+".")
	return nil
}

// remind has the uploader reminded. Nothing waits for it: while the mail server is away
// the mapping may still come.
func (r *importRun) remind(ctx workflow.Context, deadline time.Time) {
	var mail *activities.Mail // nil: only its method names are used
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              QueueCore,
		StartToCloseTimeout:    time.Minute, // the sender gives up after half of it
		ScheduleToCloseTimeout: 12 * time.Hour,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 2 * time.Second, BackoffCoefficient: 2, MaximumInterval: 15 * time.Minute},
		Summary:                "remind of the mapping",
	})
	workflow.ExecuteActivity(ctx, mail.RemindMapping, activities.ImportReminder{ImportRef: r.ref, ExpiresAt: deadline})
}

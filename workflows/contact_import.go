package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// How patient an import is.
const (
	// chunkWindow is how many chunks run at once: enough to keep two cores and the
	// database busy, few enough that other imports get their turn.
	chunkWindow = 4
	// chunkFailures stops the scheduling of further chunks: one bad chunk must not hold
	// up the rest, a dead database must not be tried with all of them.
	chunkFailures = 4
)

// ContactImportInput names the import. It lives in histories: add fields, never rename
// or remove one.
type ContactImportInput struct {
	Vendor vendor.ID    `json:"vendor"`
	Import importing.ID `json:"import"`
}

// ContactImport is one file's way into the address book: read its headers, wait for the
// mapping, settle duplicates, write the chunks, add up. It keeps no state of its own
// that matters: the import's row and its chunks are the truth, so that a run can be
// started again at any point. What it cannot do by itself parks it as NEEDS_OPERATOR.
func ContactImport(ctx workflow.Context, in ContactImportInput) (activities.ImportResult, error) {
	r := importRun{in: in, ref: activities.ImportRef{Vendor: in.Vendor, Import: in.Import}}
	if err := r.listen(ctx); err != nil {
		return activities.ImportResult{}, err
	}
	result, err := r.run(ctx)
	if temporal.IsCanceledError(err) {
		// Cancelled in Temporal: the row must say so too.
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		return r.end(ctx, importing.Cancelled, "import.cancelled", "cancelled by an operator")
	}
	return result, err
}

// importRun is the workflow's state: what the row said when it was last read.
type importRun struct {
	in                 ContactImportInput
	ref                activities.ImportRef
	acts               *activities.Importing // nil: only its method names are used
	bell, retry, abort workflow.ReceiveChannel
	state              activities.ImportState
	wait, text         string // why it waits, for the search attribute, and in words
	shown              string // the search attributes last set

	parked *parking            // nil unless it waits for an operator
	said   importing.RetryMode // by an update, not heeded yet; aborting for abort
}

func (r *importRun) run(ctx workflow.Context) (activities.ImportResult, error) {
	if err := r.read(ctx); err != nil {
		return activities.ImportResult{}, err
	}
	for !r.state.Status.Final() {
		next, err := r.stage(ctx)
		if err != nil {
			return activities.ImportResult{}, err
		}
		if next != nil {
			return *next, nil
		}
	}
	return activities.ImportResult{Status: r.state.Status}, nil
}

// stage does what the import's status asks for next. It returns a result when that was
// the end.
func (r *importRun) stage(ctx workflow.Context) (*activities.ImportResult, error) {
	switch r.state.Status {
	case importing.Uploaded:
		return nil, r.persist(ctx, func() error {
			return r.heavy(ctx, "read the headers", r.acts.ExtractHeaders, r.ref, &r.state)
		})
	case importing.HeadersExtracted:
		return nil, r.move(ctx, importing.AwaitingMapping, "", "")
	case importing.AwaitingMapping:
		return nil, r.awaitMapping(ctx)
	case importing.MappingConfirmed:
		if err := r.persist(ctx, func() error { return r.heavy(ctx, "check the rows", r.acts.ResolveRows, r.ref, nil) }); err != nil {
			return nil, err
		}
		return nil, r.moveFrom(ctx, importing.MappingConfirmed, importing.Queued)
	case importing.Queued:
		return nil, r.move(ctx, importing.Processing, "", "")
	case importing.Processing:
		return r.process(ctx)
	case importing.NeedsOperator:
		// Only a run that was started anew meets this: what the row was parked for is
		// tried again from the first pass on.
		return nil, r.move(ctx, r.unparked(), "", "")
	case importing.Completed, importing.PartialSuccess, importing.Failed, importing.Cancelled:
	}
	return nil, nil
}

// unparked is the stage that a parked import begins again with.
func (r *importRun) unparked() importing.Status {
	if r.state.Chunks == 0 {
		return importing.Uploaded
	}
	return importing.MappingConfirmed
}

// process writes the chunks and closes the import.
func (r *importRun) process(ctx workflow.Context) (*activities.ImportResult, error) {
	for len(r.state.Pending) > 0 && r.state.Status == importing.Processing {
		failed, cause, err := r.window(ctx, r.state.Pending)
		if err != nil {
			return nil, err
		}
		if len(failed) == 0 {
			if err := r.read(ctx); err != nil {
				return nil, err
			}
			if len(r.state.Pending) > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
				return nil, workflow.NewContinueAsNewError(ctx, ContactImport, r.in)
			}
			continue
		}
		if err := r.afterFailure(ctx, failed, cause); err != nil {
			return nil, err
		}
	}
	if r.state.Status != importing.Processing {
		return nil, nil // over, or back at an earlier stage
	}
	var result activities.ImportResult
	if err := r.persist(ctx, func() error { return r.heavy(ctx, "add up", r.acts.FinishImport, r.ref, &result) }); err != nil {
		return nil, err
	}
	if result.Status == "" {
		return nil, r.read(ctx) // given up by an operator
	}
	r.state.Status = result.Status
	r.show(ctx)
	return &result, nil
}

// window runs the pending chunks, a few at a time, and returns those that kept failing
// with the last one's reason.
func (r *importRun) window(ctx workflow.Context, pending []int) (failed []int, cause, err error) {
	sel := workflow.NewSelector(ctx)
	running, rung := 0, false
	sel.AddReceive(r.bell, func(c workflow.ReceiveChannel, _ bool) {
		c.Receive(ctx, nil)
		rung = true
	})
	start := func(no int) {
		running++
		sel.AddFuture(r.startChunk(ctx, no), func(f workflow.Future) {
			running--
			var counts importing.Counts
			if e := f.Get(ctx, &counts); e != nil {
				failed, cause = append(failed, no), e
				return
			}
			r.state.Done += counts.Rows()
		})
	}
	for {
		for running < chunkWindow && len(pending) > 0 && len(failed) < chunkFailures && !r.state.Status.Final() &&
			!workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			start(pending[0])
			pending = pending[1:]
		}
		r.show(ctx)
		if running == 0 {
			return failed, cause, nil
		}
		sel.Select(ctx)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if rung {
			rung = false
			if err := r.read(ctx); err != nil {
				return nil, nil, err
			}
		}
	}
}

func (r *importRun) startChunk(ctx workflow.Context, no int) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueImport,
		StartToCloseTimeout: 10 * time.Minute, // seconds of work; the rest is patience with locks
		HeartbeatTimeout:    2 * time.Minute,
		RetryPolicy:         impatient(),
		Summary:             fmt.Sprintf("chunk %d of %d", no, r.state.Chunks),
		Priority:            temporal.Priority{FairnessKey: string(r.in.Vendor)},
	})
	return workflow.ExecuteActivity(ctx, r.acts.ImportChunk, activities.ImportChunkRef{ImportRef: r.ref, Chunk: no})
}

// end closes the import with a state and a reason.
func (r *importRun) end(ctx workflow.Context, to importing.Status, code, text string) (activities.ImportResult, error) {
	err := r.move(ctx, to, code, text)
	return activities.ImportResult{Status: r.state.Status}, err
}

// moveFrom moves on only if the stage is still the one that was done.
func (r *importRun) moveFrom(ctx workflow.Context, from, to importing.Status) error {
	if r.state.Status != from {
		return nil
	}
	return r.move(ctx, to, "", "")
}

func (r *importRun) move(ctx workflow.Context, to importing.Status, code, text string) error {
	in := activities.ImportMove{ImportRef: r.ref, To: to, ReasonCode: code, Reason: text}
	if err := r.light(ctx, "set "+string(to), &r.state.Status, r.acts.MoveImport, in); err != nil {
		return err
	}
	r.show(ctx)
	return nil
}

func (r *importRun) read(ctx workflow.Context) error {
	r.state.Pending, r.state.Retry = nil, "" // decoding into a value does not empty what is absent
	if err := r.light(ctx, "read the import", &r.state, r.acts.ImportState, r.ref); err != nil {
		return err
	}
	r.show(ctx)
	return nil
}

// light runs an activity that only touches the database, for as long as it takes.
func (r *importRun) light(ctx workflow.Context, summary string, out, act any, args ...any) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueCore,
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
		Summary:             summary,
	})
	return workflow.ExecuteActivity(ctx, act, args...).Get(ctx, out)
}

// heavy runs an activity that reads the file; it gives up after half a minute of
// failures, so that a person can look.
func (r *importRun) heavy(ctx workflow.Context, summary string, act, in, out any) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           QueueImport,
		StartToCloseTimeout: time.Hour, // millions of rows at tens of thousands a second, and room
		HeartbeatTimeout:    2 * time.Minute,
		RetryPolicy:         impatient(),
		Summary:             summary,
		Priority:            temporal.Priority{FairnessKey: string(r.in.Vendor)},
	})
	return workflow.ExecuteActivity(ctx, act, in).Get(ctx, out)
}

func impatient() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 16 * time.Second, MaximumAttempts: 6}
}

// waitFor tells what the import waits for; "" for nothing.
func (r *importRun) waitFor(ctx workflow.Context, reason, text string) {
	r.wait, r.text = reason, text
	r.show(ctx)
}

// show puts status, reason and progress where the operator's console finds them. The
// details hold counts and our own words only.
func (r *importRun) show(ctx workflow.Context) {
	details := fmt.Sprintf("**%s** · %d of %d rows", r.state.Status, r.state.Done, r.state.Rows)
	if r.text != "" {
		details += "\n\n" + r.text
	}
	workflow.SetCurrentDetails(ctx, details)
	if shown := string(r.state.Status) + "/" + r.wait; shown != r.shown {
		r.shown = shown
		reason := WaitReasonKey.ValueUnset()
		if r.wait != "" {
			reason = WaitReasonKey.ValueSet(r.wait)
		}
		// It fails only for attributes that are not typed, which these are.
		_ = workflow.UpsertTypedSearchAttributes(ctx, JobStatusKey.ValueSet(string(r.state.Status)), reason)
	}
}

// reasonOf takes the code and the words of an activity's failure: ours, without data.
func reasonOf(err error) (code, text string) {
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok && app.Type() != "" {
		return app.Type(), app.Message()
	}
	if _, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		return "import.timeout", "the step did not end in time"
	}
	return "internal", "internal error"
}

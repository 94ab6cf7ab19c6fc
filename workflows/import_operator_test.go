package workflows_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/workflows"
)

func TestContactImport_MappingBySignal(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	at := func(d time.Duration, payload any) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalMapping, payload) }, d)
	}
	at(1*time.Hour, "Mobile")                                            // no mapping at all
	at(2*time.Hour, map[string]string{"telephone": "Mobile"})            // a field that is not known
	at(3*time.Hour, map[string]string{"phone": "Telephone"})             // a column that is not there
	at(4*time.Hour, map[string]string{"phone": "Mobile", "name": "Who"}) // a good one
	env.RegisterDelayedCallback(func() { require.Equal(t, importing.AwaitingMapping, row.status) }, 3*time.Hour+time.Minute)
	runImport(env)
	require.Equal(t, importing.Completed, resultOf(t, env).Status)
	require.Equal(t, importing.Mapping{Phone: "Mobile", Name: "Who"}, row.mapping)
}

func TestContactImport_RemindsOfTheMapping(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		after time.Duration // the mapping comes; zero: never
		want  []time.Duration
	}{
		"not within a day":       {after: 23 * time.Hour},
		"after a day":            {after: 2 * day, want: []time.Duration{6 * day}},
		"once more near the end": {want: []time.Duration{6 * day, day}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, row := newImport(t)
			want := importing.Cancelled
			if tt.after > 0 {
				confirm(env, row, tt.after)
				want = importing.Completed
			}
			runImport(env)
			require.Equal(t, want, resultOf(t, env).Status)
			require.Equal(t, tt.want, row.reminders)
		})
	}
}

func TestContactImport_ToldThroughTheAPI(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.bad[2] = temporal.NewNonRetryableApplicationError("gone", "blob.not_found", nil)
	confirm(env, row, time.Hour)
	env.RegisterDelayedCallback(func() {
		row.mu.Lock()
		row.asked = importing.SkipChunk
		row.mu.Unlock()
		env.SignalWorkflow(workflows.SignalMapping, nil)
	}, 2*time.Hour)
	runImport(env)
	require.Equal(t, importing.PartialSuccess, resultOf(t, env).Status)
	require.Equal(t, []int{2}, row.skipped)
	require.Empty(t, row.asked)
}

// update sends an update and gives what its sender hears: a code, or the answer.
func update(env *testsuite.TestWorkflowEnvironment, name string, heard *[]string, args ...any) {
	env.UpdateWorkflow(name, "", &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) {
			code := err.Error()
			if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
				code = app.Type()
			}
			*heard = append(*heard, code)
		},
		OnComplete: func(answer any, err error) {
			if err != nil {
				answer = err
			}
			*heard = append(*heard, fmt.Sprint(answer))
		},
	}, args...)
}

func TestContactImport_UpdatesAreRefusedWhenTheyAreNotLawful(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.unreadable = temporal.NewNonRetryableApplicationError("gone", "blob.not_found", nil) // not the file's fault
	row.bad[2] = row.unreadable
	var heard []string
	resume, skip := workflows.RetrySignal{Mode: importing.Resume}, workflows.RetrySignal{Mode: importing.SkipChunk}
	env.RegisterDelayedCallback(func() {
		update(env, workflows.SignalRetry, &heard, skip)                               // no chunk failed: there are none yet
		update(env, workflows.SignalRetry, &heard, workflows.RetrySignal{Mode: "all"}) // no such mode
		row.mu.Lock()
		row.unreadable = nil
		row.mu.Unlock()
		update(env, workflows.SignalRetry, &heard, resume)
		update(env, workflows.SignalAbort, &heard) // too late
	}, time.Minute)
	env.RegisterDelayedCallback(func() { update(env, workflows.SignalRetry, &heard, resume) }, 2*time.Minute) // it waits for its mapping
	confirm(env, row, time.Hour)
	env.RegisterDelayedCallback(func() { update(env, workflows.SignalRetry, &heard, skip) }, 2*time.Hour)
	runImport(env)
	require.Equal(t, importing.PartialSuccess, resultOf(t, env).Status)
	require.Equal(t, []string{
		importing.ErrNothingToSkip.Code, importing.ErrRetryMode.Code, "the import goes on: resume", importing.ErrNotParked.Code,
		importing.ErrNotParked.Code, "the import goes on: skip_chunk",
	}, heard)
}

func TestContactImport_AbortedByUpdate(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.status, row.chunks = importing.Processing, 2
	row.bad[2] = temporal.NewNonRetryableApplicationError("gone", "blob.not_found", nil)
	var heard []string
	env.RegisterDelayedCallback(func() { update(env, workflows.SignalAbort, &heard) }, time.Hour)
	runImport(env)
	require.Equal(t, importing.Failed, resultOf(t, env).Status)
	require.Equal(t, "import.aborted", row.reason)
	require.Equal(t, []string{"the import is given up"}, heard)
}

func TestContactImport_WordsCountOnlyWhileItIsParked(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.bad[2] = temporal.NewNonRetryableApplicationError("gone", "blob.not_found", nil)
	env.RegisterDelayedCallback(func() { // nothing to decide on yet
		env.SignalWorkflow(workflows.SignalAbort, nil)
		env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: importing.SkipChunk})
	}, time.Minute)
	confirm(env, row, time.Hour)
	env.RegisterDelayedCallback(func() {
		require.Equal(t, importing.NeedsOperator, row.status, "what was said before does not count")
		env.SignalWorkflow(workflows.SignalRetry, "skip_chunk") // not as a word has to be
	}, 2*time.Hour)
	env.RegisterDelayedCallback(func() {
		require.Equal(t, importing.NeedsOperator, row.status)
		env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: importing.SkipChunk})
	}, 3*time.Hour)
	runImport(env)
	require.Equal(t, importing.PartialSuccess, resultOf(t, env).Status)
}

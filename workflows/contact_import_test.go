package workflows_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/workflows"
)

// importRow stands for the import's row and chunks: what the activities would find in
// Postgres.
type importRow struct {
	mu      sync.Mutex
	status  importing.Status
	reason  string
	chunks  int
	done    map[int]bool
	skipped []int
	tried   map[int]int
	bad     map[int]error // what a chunk fails with, for ever
	moves   []importing.Status
	running int
	most    int // chunks at once
	resolve int

	unreadable error // what reading the headers fails with

	asked     importing.RetryMode // through the API
	mapping   importing.Mapping   // confirmed by signal
	reminders []time.Duration     // how long before its end
}

func (r *importRow) state(context.Context, activities.ImportRef) (activities.ImportState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := activities.ImportState{Status: r.status, Chunks: r.chunks, Rows: r.chunks * 5000, Retry: r.asked}
	for no := 1; no <= r.chunks; no++ {
		if !r.done[no] {
			out.Pending = append(out.Pending, no)
		} else {
			out.Done += 5000
		}
	}
	return out, nil
}

func (r *importRow) move(_ context.Context, in activities.ImportMove) (importing.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Final() {
		return r.status, nil
	}
	if !r.status.CanBecome(in.To) {
		return "", temporal.NewNonRetryableApplicationError("wrong state: "+string(r.status)+" to "+string(in.To), importing.ErrState.Code, nil)
	}
	r.status, r.reason, r.asked = in.To, in.ReasonCode, ""
	r.moves = append(r.moves, in.To)
	return in.To, nil
}

func (r *importRow) extract(ctx context.Context, in activities.ImportRef) (activities.ImportState, error) {
	if r.unreadable != nil {
		return activities.ImportState{}, r.unreadable
	}
	r.mu.Lock()
	r.status, r.chunks = importing.HeadersExtracted, 6
	r.mu.Unlock()
	return r.state(ctx, in)
}

func (r *importRow) chunk(ctx context.Context, in activities.ImportChunkRef) (importing.Counts, error) {
	r.mu.Lock()
	r.tried[in.Chunk]++
	r.running++
	r.most = max(r.most, r.running)
	err := r.bad[in.Chunk]
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running--
		if err == nil {
			r.done[in.Chunk] = true
		}
	}()
	if ctx.Err() != nil {
		return importing.Counts{}, ctx.Err()
	}
	return importing.Counts{Created: 5000}, err
}

func (r *importRow) skip(_ context.Context, in activities.ImportChunkRef) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[in.Chunk] = true
	r.skipped = append(r.skipped, in.Chunk)
	return nil
}

func (r *importRow) finish(context.Context, activities.ImportRef) (activities.ImportResult, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.status.Final() {
		r.status = importing.Completed
		if len(r.skipped) > 0 {
			r.status = importing.PartialSuccess
		}
	}
	return activities.ImportResult{Status: r.status, Counts: importing.Counts{Created: 30000 - 5000*len(r.skipped), Invalid: 5000 * len(r.skipped)}}, nil
}

func (r *importRow) confirmMapping(_ context.Context, in activities.ImportMapping) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, err := importing.ParseMapping([]byte(in.Mapping))
	if err != nil || m.Phone != "Mobile" {
		return temporal.NewNonRetryableApplicationError("the file has no column of this name", "import.invalid_mapping", nil)
	}
	r.mapping, r.status = m, importing.MappingConfirmed
	return nil
}

// set changes the row as the API would.
func (r *importRow) set(s importing.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = s
}

func newImport(t *testing.T) (*testsuite.TestWorkflowEnvironment, *importRow) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	row := &importRow{status: importing.Uploaded, done: map[int]bool{}, tried: map[int]int{}, bad: map[int]error{}}
	var acts *activities.Importing
	env.RegisterActivity(&activities.Importing{})
	env.RegisterActivity(&activities.Mail{})
	env.OnActivity(acts.ImportState, mock.Anything, mock.Anything).Return(row.state)
	env.OnActivity(acts.MoveImport, mock.Anything, mock.Anything).Return(row.move)
	env.OnActivity(acts.ExtractHeaders, mock.Anything, mock.Anything).Return(row.extract).Maybe()
	env.OnActivity(acts.ResolveRows, mock.Anything, mock.Anything).Return(func(context.Context, activities.ImportRef) error {
		row.mu.Lock()
		defer row.mu.Unlock()
		row.resolve++
		return nil
	}).Maybe()
	env.OnActivity(acts.ImportChunk, mock.Anything, mock.Anything).Return(row.chunk).Maybe()
	env.OnActivity(acts.SkipChunk, mock.Anything, mock.Anything).Return(row.skip).Maybe()
	env.OnActivity(acts.FailChunk, mock.Anything, mock.Anything, mock.Anything).Return(nil).Maybe()
	env.OnActivity(acts.FinishImport, mock.Anything, mock.Anything).Return(row.finish).Maybe()
	env.OnActivity(acts.ConfirmMapping, mock.Anything, mock.Anything).Return(row.confirmMapping).Maybe()
	var mail *activities.Mail
	env.OnActivity(mail.RemindMapping, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ImportReminder) error {
		row.mu.Lock()
		defer row.mu.Unlock()
		row.reminders = append(row.reminders, in.ExpiresAt.Sub(env.Now()).Round(time.Minute))
		return nil
	}).Maybe()
	return env, row
}

func runImport(env *testsuite.TestWorkflowEnvironment) {
	env.ExecuteWorkflow(workflows.ContactImport, workflows.ContactImportInput{Vendor: "v", Import: "i"})
}

// confirm confirms the mapping after a while, as the API and the relay would.
func confirm(env *testsuite.TestWorkflowEnvironment, row *importRow, after time.Duration) {
	env.RegisterDelayedCallback(func() {
		row.set(importing.MappingConfirmed)
		env.SignalWorkflow(workflows.SignalMapping, nil)
	}, after)
}

func resultOf(t *testing.T, env *testsuite.TestWorkflowEnvironment) activities.ImportResult {
	t.Helper()
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	var out activities.ImportResult
	require.NoError(t, env.GetWorkflowResult(&out))
	return out
}

func TestContactImport_MappingAfterADay(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalMapping, nil) }, time.Hour) // a ring about nothing
	confirm(env, row, 24*time.Hour)
	runImport(env)
	require.Equal(t, activities.ImportResult{Status: importing.Completed, Counts: importing.Counts{Created: 30000}}, resultOf(t, env))
	require.Equal(t, []importing.Status{importing.AwaitingMapping, importing.Queued, importing.Processing}, row.moves)
	require.LessOrEqual(t, row.most, 4)
	require.Equal(t, 1, row.resolve)
	for no := 1; no <= 6; no++ {
		require.Equal(t, 1, row.tried[no], "chunk %d", no)
	}
}

func TestContactImport_MappingConfirmedBeforeItLooked(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.status, row.chunks = importing.MappingConfirmed, 2
	runImport(env)
	require.Equal(t, importing.Completed, resultOf(t, env).Status)
}

func TestContactImport_NoMappingExpires(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	runImport(env)
	require.Equal(t, importing.Cancelled, resultOf(t, env).Status)
	require.Equal(t, "import.mapping_expired", row.reason)
	require.Empty(t, row.tried)
}

func TestContactImport_CancelledByTheVendor(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	env.RegisterDelayedCallback(func() {
		row.set(importing.Cancelled)
		env.SignalWorkflow(workflows.SignalMapping, nil)
	}, time.Hour)
	runImport(env)
	require.Equal(t, importing.Cancelled, resultOf(t, env).Status)
	require.Empty(t, row.tried)
}

func TestContactImport_CancelledWhileChunksRun(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	confirm(env, row, time.Hour)
	for no := 1; no <= 6; no++ {
		row.bad[no] = temporal.NewNonRetryableApplicationError("wrong state", importing.ErrState.Code, nil)
	}
	env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name == "ImportChunk" {
			row.set(importing.Cancelled)
		}
	})
	runImport(env)
	require.Equal(t, importing.Cancelled, resultOf(t, env).Status)
	require.NotContains(t, row.moves, importing.NeedsOperator)
}

func TestContactImport_CancelledInTemporal(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]importing.Status{"while it waits for the mapping": importing.AwaitingMapping, "while it is parked": importing.Processing} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, row := newImport(t)
			row.status, row.chunks = at, 2
			row.bad[1] = errors.New("poison")
			env.RegisterDelayedCallback(env.CancelWorkflow, time.Hour)
			runImport(env)
			require.Equal(t, importing.Cancelled, resultOf(t, env).Status)
			require.Equal(t, importing.Cancelled, row.status)
			require.Equal(t, "import.cancelled", row.reason)
		})
	}
}

func TestContactImport_AChunkThatKeepsFailingParks(t *testing.T) {
	t.Parallel()
	poison := temporal.NewApplicationError("the object store does not answer", "blob.unavailable")
	tests := map[string]struct {
		mode    importing.RetryMode
		repair  bool
		want    importing.Status
		skipped []int
		resolve int
	}{
		"resume after a repair": {mode: importing.Resume, repair: true, want: importing.Completed, resolve: 1},
		"skip the chunk":        {mode: importing.SkipChunk, want: importing.PartialSuccess, skipped: []int{2}, resolve: 1},
		"restart":               {mode: importing.Restart, repair: true, want: importing.Completed, resolve: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, row := newImport(t)
			row.bad[2] = poison
			confirm(env, row, time.Hour)
			env.RegisterDelayedCallback(func() {
				require.Equal(t, importing.NeedsOperator, row.status)
				require.Equal(t, "blob.unavailable", row.reason)
				require.Equal(t, 6, row.tried[2], "it was tried before a person was asked")
				require.Len(t, row.done, 5, "the other chunks went on")
				env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: "what"}) // nobody's mode
				env.SignalWorkflow(workflows.SignalMapping, nil)                               // a ring about nothing
			}, 2*time.Hour)
			env.RegisterDelayedCallback(func() {
				if tt.repair {
					row.mu.Lock()
					delete(row.bad, 2)
					row.mu.Unlock()
				}
				env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: tt.mode})
			}, 3*time.Hour)
			runImport(env)
			require.Equal(t, tt.want, resultOf(t, env).Status)
			require.Equal(t, tt.skipped, row.skipped)
			require.Equal(t, tt.resolve, row.resolve)
			for _, no := range []int{1, 3, 4, 5, 6} {
				require.Equal(t, 1, row.tried[no], "a finished chunk is not done again")
			}
		})
	}
}

func TestContactImport_ResumeWithoutRepairParksAgain(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.bad[3] = temporal.NewNonRetryableApplicationError("two passes differ", "import.miscount", nil)
	confirm(env, row, time.Hour)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: importing.Resume}) }, 2*time.Hour)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalAbort, nil) }, 3*time.Hour)
	runImport(env)
	require.Equal(t, importing.Failed, resultOf(t, env).Status)
	require.Equal(t, "import.aborted", row.reason)
	require.Equal(t, 2, row.tried[3])
}

func TestContactImport_ADeadDatabaseIsNotTriedWithEveryChunk(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.status, row.chunks = importing.Processing, 50
	for no := 1; no <= 50; no++ {
		row.bad[no] = temporal.NewNonRetryableApplicationError("down", "store.unavailable", nil)
	}
	env.RegisterDelayedCallback(func() {
		require.Less(t, len(row.tried), 10)
		row.mu.Lock()
		clear(row.bad)
		row.mu.Unlock()
		env.SignalWorkflow(workflows.SignalRetry, workflows.RetrySignal{Mode: importing.Resume})
	}, time.Hour)
	runImport(env)
	require.Equal(t, importing.Completed, resultOf(t, env).Status)
}

func TestContactImport_FileFaultsFailIt(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.unreadable = temporal.NewNonRetryableApplicationError(importing.ErrNoRows.Msg, importing.ErrNoRows.Code, nil)
	runImport(env)
	require.Equal(t, importing.Failed, resultOf(t, env).Status)
	require.Equal(t, importing.ErrNoRows.Code, row.reason)
}

func TestContactImport_ShowsWhyItWaits(t *testing.T) {
	t.Parallel()
	env, row := newImport(t)
	row.bad[1] = temporal.NewNonRetryableApplicationError("gone", "blob.not_found", nil)
	confirm(env, row, time.Hour)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.SignalAbort, nil) }, 2*time.Hour)
	var shown []string
	env.OnUpsertTypedSearchAttributes(mock.Anything).Run(func(a mock.Arguments) {
		sa, ok := a.Get(0).(temporal.SearchAttributes)
		require.True(t, ok)
		status, _ := sa.GetKeyword(workflows.JobStatusKey)
		wait, _ := sa.GetKeyword(workflows.WaitReasonKey)
		shown = append(shown, status+" "+wait)
	}).Return(nil)
	runImport(env)
	require.Equal(t, importing.Failed, resultOf(t, env).Status)
	for _, want := range []string{"AWAITING_MAPPING MAPPING", "PROCESSING ", "NEEDS_OPERATOR BLOB_NOT_FOUND", "FAILED "} {
		require.True(t, slices.Contains(shown, want), "%q in %q", want, shown)
	}
}

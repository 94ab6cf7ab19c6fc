package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// versionFreshWords is the change by which only what is said while an import is parked
// counts: before, a signal that came earlier was kept for the next time it was parked.
const versionFreshWords = "import-fresh-words"

// aborting is what said is after an abort.
const aborting importing.RetryMode = "abort"

// RetrySignal is an operator's word on a parked import.
type RetrySignal struct {
	Mode importing.RetryMode `json:"mode"`
}

// listen opens the import's ears: signals for whoever rings, updates, of the same names,
// for whoever wants to be told at once when a word is not lawful now.
func (r *importRun) listen(ctx workflow.Context) error {
	r.bell = workflow.GetSignalChannelWithOptions(ctx, SignalMapping, workflow.SignalChannelOptions{
		Description: `The mapping, {"phone": "column's name", ...}; without one: read the import's row again`,
	})
	r.retry = workflow.GetSignalChannelWithOptions(ctx, SignalRetry, workflow.SignalChannelOptions{
		Description: `For a parked import: {"mode": "resume" | "skip_chunk" | "restart"}`,
	})
	r.abort = workflow.GetSignalChannelWithOptions(ctx, SignalAbort, workflow.SignalChannelOptions{
		Description: "Give a parked import up",
	})
	err := workflow.SetUpdateHandlerWithOptions(ctx, SignalRetry,
		func(_ workflow.Context, in RetrySignal) (string, error) {
			r.said = in.Mode
			return "the import goes on: " + string(in.Mode), nil
		},
		workflow.UpdateHandlerOptions{
			Description: `For a parked import: {"mode": "resume" | "skip_chunk" | "restart"}; refused when it is not parked`,
			Validator:   func(in RetrySignal) error { return refusal(r.mayRetry(in.Mode)) },
		})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, SignalAbort,
		func(workflow.Context) (string, error) {
			r.said = aborting
			return "the import is given up", nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Give a parked import up; refused when it is not parked",
			Validator:   func() error { return refusal(r.mayAbort()) },
		})
}

// mayAbort tells why an operator's word is not lawful now; nil when it is.
func (r *importRun) mayAbort() *errs.Error {
	if r.parked == nil || r.said != "" {
		return importing.ErrNotParked
	}
	return nil
}

func (r *importRun) mayRetry(mode importing.RetryMode) *errs.Error {
	if err := r.mayAbort(); err != nil {
		return err
	}
	if !mode.Known() {
		return importing.ErrRetryMode
	}
	if mode == importing.SkipChunk && len(r.parked.chunks) == 0 {
		return importing.ErrNothingToSkip
	}
	return nil
}

// refusal is an error as the sender of an update is told it.
func refusal(err *errs.Error) error {
	if err == nil {
		return nil
	}
	return temporal.NewApplicationError(err.Msg, err.Code)
}

// afterFailure parks the import for its failed chunks and does what the operator says.
func (r *importRun) afterFailure(ctx workflow.Context, failed []int, cause error) error {
	code, text := reasonOf(cause)
	if code == importing.ErrState.Code {
		return r.read(ctx) // cancelled under the chunks
	}
	mode, err := r.park(ctx, parking{code: code, text: fmt.Sprintf("chunks %v: %s", failed, text), chunks: failed})
	if err != nil || mode == "" {
		return err
	}
	switch mode {
	case importing.SkipChunk:
		for _, no := range failed {
			in := activities.ImportChunkRef{ImportRef: r.ref, Chunk: no}
			if err := r.heavy(ctx, fmt.Sprintf("skip chunk %d", no), r.acts.SkipChunk, in, nil); err != nil {
				return r.leavePark(ctx, importing.Processing) // it stays to be done, and will park again
			}
		}
	case importing.Restart:
		return r.leavePark(ctx, importing.MappingConfirmed)
	case importing.Resume:
	}
	return r.leavePark(ctx, importing.Processing)
}

func (r *importRun) leavePark(ctx workflow.Context, to importing.Status) error {
	if err := r.move(ctx, to, "", ""); err != nil {
		return err
	}
	return r.read(ctx)
}

// persist does a step until it works: a fault of the file ends the import, anything
// else that outlasts the step's own retries parks it. It returns without an error, with
// the state read again, when the import ended meanwhile.
func (r *importRun) persist(ctx workflow.Context, step func() error) error {
	stage := r.state.Status
	for {
		err := step()
		if err == nil || temporal.IsCanceledError(err) {
			return err
		}
		code, text := reasonOf(err)
		if importing.FileFault(code) {
			return r.move(ctx, importing.Failed, code, text)
		}
		if code == importing.ErrState.Code {
			if err := r.read(ctx); err != nil || r.state.Status != stage {
				return err // it was cancelled, or has moved on
			}
		}
		mode, err := r.park(ctx, parking{code: code, text: text})
		if err != nil || mode == "" {
			return err
		}
		if err := r.move(ctx, stage, "", ""); err != nil || r.state.Status.Final() {
			return err
		}
	}
}

// parking is why an import is parked.
type parking struct {
	code, text string
	chunks     []int // those that failed, if it is about chunks
}

// park waits for an operator. It returns "" when the import ended instead.
func (r *importRun) park(ctx workflow.Context, p parking) (importing.RetryMode, error) {
	strict := workflow.GetVersion(ctx, versionFreshWords, workflow.DefaultVersion, 1) == 1
	if strict {
		r.forgetWords()
	}
	r.state.Status, r.parked = importing.NeedsOperator, &p
	defer func() { r.parked, r.said = nil, "" }()
	// The search attributes first: they tell even while the database is down.
	r.waitFor(ctx, waitReason(p.code), p.help())
	defer r.waitFor(ctx, "", "")
	for _, no := range p.chunks {
		in := activities.ImportChunkRef{ImportRef: r.ref, Chunk: no}
		if err := r.light(ctx, "note the failed chunk", nil, r.acts.FailChunk, in, p.code); err != nil {
			return "", err
		}
	}
	if err := r.move(ctx, importing.NeedsOperator, p.code, p.text); err != nil {
		return "", err
	}
	for !r.state.Status.Final() {
		err := workflow.Await(ctx, func() bool { return r.said != "" || r.retry.Len()+r.abort.Len()+r.bell.Len() > 0 })
		if err != nil {
			return "", err
		}
		mode, err := r.hear(ctx, strict)
		if err != nil {
			return "", err
		}
		if mode == aborting {
			return "", r.move(ctx, importing.Failed, "import.aborted", "given up by an operator")
		}
		if mode != "" {
			return mode, nil
		}
	}
	return "", nil
}

// hear takes the next word, whichever way it came; "" is none that counts.
func (r *importRun) hear(ctx workflow.Context, strict bool) (importing.RetryMode, error) {
	var word RetrySignal
	switch {
	case r.said != "":
		return r.said, nil
	case r.retry.ReceiveAsync(&word):
		if err := r.mayRetry(word.Mode); err != nil && (strict || !word.Mode.Known()) {
			r.text = r.parked.help() + "\n\nThe last `retry` was not heeded: " + err.Msg + "."
			r.show(ctx)
			return "", nil
		}
		return word.Mode, nil
	case r.abort.ReceiveAsync(nil):
		return aborting, nil
	case r.bell.ReceiveAsync(nil):
		if err := r.read(ctx); err != nil {
			return "", err
		}
		return r.state.Retry, nil // what was said through the API
	}
	return "", nil // what could not be read was dropped
}

// forgetWords drops what was said before anybody could know what about.
func (r *importRun) forgetWords() {
	for r.retry.ReceiveAsync(nil) || r.abort.ReceiveAsync(nil) {
		continue
	}
	r.said = ""
}

// help says what an operator can do, for the console.
func (p *parking) help() string {
	modes := "`{\"mode\": \"resume\"}` or `{\"mode\": \"restart\"}`"
	if len(p.chunks) > 0 {
		modes = "`{\"mode\": \"resume\"}`, `{\"mode\": \"skip_chunk\"}` or `{\"mode\": \"restart\"}`"
	}
	return p.text + "\n\nSend the signal `retry` with " + modes + ", or `abort`."
}

// waitReason is a code as the search attribute WaitReason has it.
func waitReason(code string) string { return strings.ToUpper(strings.ReplaceAll(code, ".", "_")) }

// Package activities holds the effects: idempotent steps that workflows order. Each
// struct has what its steps need, set once by cmd; payloads are ids and counts, never
// a person's number, name or text. It must not import workflows: what needs another
// workflow goes through the outbox.
package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// toTemporal translates an error at the edge: the kind decides whether Temporal tries
// again, RetryAfter when, the code becomes the failure's type. The message is ours and
// holds no personal data; the cause stays behind (it is logged by the worker's edge).
func toTemporal(err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		return temporal.NewApplicationErrorWithOptions("internal error", "internal", temporal.ApplicationErrorOptions{})
	}
	return temporal.NewApplicationErrorWithOptions(e.Msg, e.Code, temporal.ApplicationErrorOptions{
		NonRetryable:   !e.Kind.Retryable() && e.Kind != errs.Internal,
		NextRetryDelay: e.RetryAfter,
	})
}

func isConflict(err error) bool { return errs.KindOf(err) == errs.Conflict }

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/store"
)

// once runs do for a request with an Idempotency-Key and answers its body; a repeat of
// the request gets the first answer and does nothing. request is the decoded body: with
// the route it decides whether a repeat is the same request.
//
// Errors: idempotency.key_missing, idempotency.key_reused, and what do returns.
func once[R, B any](ctx context.Context, in httpx.Once, request any, body func(R) B, do func(store.Once[R]) (R, error)) (*httpx.Reply[B], error) {
	key, err := httpx.CheckIdempotencyKey(in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("hash request: %w", err)
	}
	hash := sha256.Sum256(text)
	out, err := do(store.Once[R]{
		Route: httpx.RouteKey(ctx), Key: key, Hash: hash[:],
		Answer: func(r R) ([]byte, error) { return json.Marshal(body(r)) },
	})
	if repeat, ok := errors.AsType[*store.Repeat](err); ok {
		var b B
		if err := json.Unmarshal(repeat.Answer, &b); err != nil {
			return nil, fmt.Errorf("read first answer: %w", err)
		}
		return httpx.OK(b), nil
	}
	if err != nil {
		return nil, err
	}
	return httpx.OK(body(out)), nil
}

package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Once makes a creating or paying method run one time per key: the key, what the
// method changed and what the caller is told are committed together or not at all.
// The zero value runs every time.
type Once[T any] struct {
	Route  string                  // method and path: a key counts within one route
	Key    string                  // the caller's Idempotency-Key
	Hash   []byte                  // of the request: a key used again for another one is refused
	Answer func(T) ([]byte, error) // what the caller is told, to be kept for repeats
}

// Repeat is how a method with Once says that it ran before: Answer is what it
// answered then. It is not a failure, but nothing was done.
//
//nolint:errname // not a failure: a former answer on its way past the transaction
type Repeat struct{ Answer []byte }

// Error implements error.
func (*Repeat) Error() string { return "idempotency: this request was answered before" }

// ErrKeyReused refuses a key that came with another request before.
var ErrKeyReused = errs.New(errs.Invalid, "idempotency.key_reused",
	"this Idempotency-Key was used for another request: take a new one")

// inTxOnce is inTx for a method with Once. A concurrent repeat waits for the first to
// end, on the key's row.
//
// Errors: *Repeat, idempotency.key_reused, and what fn returns.
func inTxOnce[T any](ctx context.Context, s *Store, v vendor.ID, once Once[T], fn func(pgx.Tx) (T, error)) (T, error) {
	var out, none T
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if err := s.beginOnce(ctx, tx, v, onceKey{once.Route, once.Key, once.Hash}); err != nil {
			return err
		}
		var err error
		if out, err = fn(tx); err != nil || once.Key == "" {
			return err
		}
		answer, err := once.Answer(out)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, s.sql("IdempotencyKeyAnswer"), pgx.StrictNamedArgs{
			"vendor_id": v, "route": once.Route, "key": once.Key, "response": answer,
		})
		return err
	})
	if err != nil {
		return none, err
	}
	return out, nil
}

// onceKey is a Once without its answer, which alone has the method's type.
type onceKey struct {
	route, key string
	hash       []byte
}

// beginOnce takes the key, or tells what it gave before.
func (s *Store) beginOnce(ctx context.Context, tx pgx.Tx, v vendor.ID, once onceKey) error {
	if once.key == "" {
		return nil
	}
	tag, err := tx.Exec(ctx, s.sql("IdempotencyKeyInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "route": once.route, "key": once.key, "request_hash": once.hash,
	})
	if err != nil || tag.RowsAffected() == 1 {
		return err
	}
	var before, answer []byte
	err = tx.QueryRow(ctx, s.sql("IdempotencyKeyByKey"), pgx.StrictNamedArgs{
		"vendor_id": v, "route": once.route, "key": once.key,
	}).Scan(&before, &answer)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, once.hash) {
		return ErrKeyReused
	}
	return &Repeat{Answer: answer}
}

// isRepeat keeps classify from calling a repeat a failure.
func isRepeat(err error) bool {
	_, ok := errors.AsType[*Repeat](err)
	return ok
}

package webhook

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/store"
)

// Intake commits many callbacks in one transaction: while one commit is under way the
// next callbacks gather, so that the disk's pace is shared and nobody waits for a timer.
type Intake struct {
	store *store.Store
	ring  *crypt.Ring
	log   *slog.Logger
	queue chan *taking

	requests, statuses, unrouted, inbound prometheus.Counter
}

// taking is one callback that waits for its commit.
type taking struct {
	told

	body []byte
	done chan error
}

const (
	// queued bounds the callbacks that wait; more are told to come again.
	queued = 4096

	// perCommit and bytesPerCommit bound one transaction: its rows, and its sealed blob.
	perCommit      = 500
	bytesPerCommit = 8 << 20

	commitTimeout = 8 * time.Second // under the request's own ten
)

// NewIntake returns an intake; Run makes it work.
func NewIntake(s *store.Store, ring *crypt.Ring, log *slog.Logger, reg prometheus.Registerer) *Intake {
	in := &Intake{
		store: s, ring: ring, log: log, queue: make(chan *taking, queued),
		requests: prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_webhook_requests_total", Help: "Callbacks kept."}),
		statuses: prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_webhook_statuses_total", Help: "Statuses kept."}),
		unrouted: prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_webhook_unrouted_total", Help: "Statuses of numbers we do not know; their bodies are kept."}),
		inbound:  prometheus.NewCounter(prometheus.CounterOpts{Name: "kloyst_webhook_inbound_total", Help: "Messages from persons kept."}),
	}
	reg.MustRegister(in.requests, in.statuses, in.unrouted, in.inbound)
	return in
}

// Take returns when the callback is committed, or with the reason why not.
func (in *Intake) Take(ctx context.Context, body []byte, says told) error {
	t := &taking{told: says, body: body, done: make(chan error, 1)}
	select {
	case in.queue <- t:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err() // it may still be committed: then Meta's repeat changes nothing
	}
}

// Run commits what comes in until ctx ends, and then what is still queued.
func (in *Intake) Run(ctx context.Context) error {
	for {
		select {
		case first := <-in.queue:
			in.commit(ctx, in.gather(first))
		case <-ctx.Done():
			for len(in.queue) > 0 {
				in.commit(ctx, in.gather(<-in.queue))
			}
			return nil
		}
	}
}

// gather takes what is queued by now, without waiting.
func (in *Intake) gather(first *taking) []*taking {
	batch, size := []*taking{first}, len(first.body)
	for len(batch) < perCommit && size < bytesPerCommit {
		select {
		case t := <-in.queue:
			batch, size = append(batch, t), size+len(t.body)
		default:
			return batch
		}
	}
	return batch
}

func (in *Intake) commit(ctx context.Context, batch []*taking) {
	// A shutdown must not tear off a commit whose callers are being answered.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	err := in.keep(ctx, batch)
	if err != nil && len(batch) > 1 && errs.KindOf(err) != errs.Unavailable && ctx.Err() == nil {
		// One of them cannot be kept, and Meta repeats it for days: it must not cost the
		// others it comes with. Halves find it in a few commits.
		half := len(batch) / 2
		in.commit(ctx, batch[:half])
		in.commit(ctx, batch[half:])
		return
	}
	if err != nil {
		in.log.ErrorContext(ctx, "callbacks not kept", "requests", len(batch), "error", err)
	}
	for _, t := range batch {
		t.done <- err
	}
}

func (in *Intake) keep(ctx context.Context, batch []*taking) error {
	var (
		bodies bytes.Buffer
		says   told
	)
	for _, t := range batch {
		// Length, then body: the blob can be cut again by whoever replays it.
		bodies.Write(binary.BigEndian.AppendUint32(nil, uint32(len(t.body)))) //nolint:gosec // bounded by maxBody
		bodies.Write(t.body)
		says.add(t.told)
	}
	intake := id.New[string]()
	sealed, err := in.ring.SealPlatform("webhook_intake", intake, bodies.Bytes())
	if err != nil {
		return err
	}
	inbound, err := in.seal(says.written)
	if err != nil {
		return err
	}
	unrouted, err := in.store.TakeIn(ctx, store.Intake{
		ID: intake, BodiesCT: sealed, Requests: len(batch), Statuses: says.statuses, News: says.news, Inbound: inbound,
	})
	if err != nil {
		return err
	}
	in.requests.Add(float64(len(batch)))
	in.statuses.Add(float64(len(says.statuses)))
	in.inbound.Add(float64(len(inbound)))
	in.unrouted.Add(float64(unrouted))
	return nil
}

// seal closes what persons wrote under the platform's key: only the worker has their
// vendors' keys.
func (in *Intake) seal(messages []written) ([]store.SealedInbound, error) {
	out := make([]store.SealedInbound, len(messages))
	for i, m := range messages {
		key := id.New[string]()
		sealed, err := in.ring.SealPlatform(store.InboundPurpose, key, m.message)
		if err != nil {
			return nil, err
		}
		out[i] = store.SealedInbound{ID: key, PhoneNumberID: m.phoneNumberID, MessageCT: sealed}
	}
	return out, nil
}

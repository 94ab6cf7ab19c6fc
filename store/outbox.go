package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ClaimID names a claim: a random UUID.
type ClaimID string

// Claim is what one relay took for one lane of one vendor: either messages to send or,
// in the WORK lane, events that each start or signal a workflow.
type Claim struct {
	Vendor   vendor.ID
	ID       ClaimID
	Batch    string // the dispatch workflow that serves it: dispatch/<batch>
	Kind     string // WORK, SINGLE, CAMPAIGN
	Campaign campaign.ID
	Month    message.Month
	Messages []message.ID
	Events   []Event
}

// Event is a thing to start or signal: a doorbell that carries no state.
type Event struct {
	ID      int64  `json:"id"`
	Kind    string `json:"kind"`
	Subject string `json:"subject_id"`
	Retries int32  `json:"retry_count"`
}

// ClaimShare says how a claim divides: the vendors whose turn is taken, the rows each
// gets while vendors compete, the rows in all, and how long the claim is kept.
type ClaimShare struct {
	Vendors, PerVendor, Total int
	Lease                     time.Duration
}

// ClaimOutbox takes due events of the vendors whose turn it is into claims of batch
// (a UUID). It works across vendors: the relay's role only. No claim means nothing
// is due, or every due number's window is full.
func (s *Store) ClaimOutbox(ctx context.Context, batch string, share ClaimShare) ([]Claim, error) {
	rows, err := s.pool.Query(ctx, s.sql("OutboxClaim"), batch, share.Vendors, share.PerVendor, share.Total, share.Lease)
	if err != nil {
		return nil, classify(err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	return claims, classify(err)
}

// ExpiredClaims takes over claims whose time is over and gives them lease more.
func (s *Store) ExpiredClaims(ctx context.Context, limit int, lease time.Duration) ([]Claim, error) {
	rows, err := s.pool.Query(ctx, s.sql("OutboxClaimsExpired"), pgx.StrictNamedArgs{"max_rows": limit, "lease": lease})
	if err != nil {
		return nil, classify(err)
	}
	claims, err := pgx.CollectRows(rows, scanClaim)
	return claims, classify(err)
}

func scanClaim(row pgx.CollectableRow) (Claim, error) {
	var (
		c               Claim
		campaignID, num *string
		month           *int32
		ids             []int64
		events          []byte
		openRows        int
	)
	if err := row.Scan(&c.Vendor, &c.ID, &c.Batch, &c.Kind, &campaignID, &num, &month, &ids, &events, &openRows); err != nil {
		return c, err
	}
	if campaignID != nil {
		c.Campaign = campaign.ID(*campaignID)
	}
	if month != nil {
		c.Month = message.Month(*month)
	}
	c.Messages = make([]message.ID, len(ids))
	for i, m := range ids {
		c.Messages[i] = message.ID(m)
	}
	if len(events) > 0 {
		if err := json.Unmarshal(events, &c.Events); err != nil {
			return c, errs.Wrap(errs.Internal, "store.bad_claim", "a claim's events cannot be read", err)
		}
	}
	return c, nil
}

// PublishBatch notes that batch's workflow was started. Repeats change nothing.
func (s *Store) PublishBatch(ctx context.Context, batch string) error {
	_, err := s.pool.Exec(ctx, s.sql("OutboxClaimsPublished"), pgx.StrictNamedArgs{"batch_id": batch})
	return classify(err)
}

// FinishWork ends a WORK claim: events in back return to the outbox with a growing
// delay, those in dead go to the dead letters with their reason, the rest is done.
func (s *Store) FinishWork(ctx context.Context, v vendor.ID, claim ClaimID, back []Event, dead map[Event]string) error {
	return s.acrossTx(ctx, func(tx pgx.Tx) error {
		for e, reason := range dead {
			if _, err := tx.Exec(ctx, s.sql("OutboxDeadLetterInsert"), pgx.StrictNamedArgs{
				"vendor_id": v, "kind": e.Kind, "subject_id": e.Subject, "cause_class": "TEMPORAL_REFUSED", "reason": reason,
			}); err != nil {
				return err
			}
		}
		if len(back) == 0 {
			_, err := tx.Exec(ctx, s.sql("OutboxWorkDone"), pgx.StrictNamedArgs{"vendor_id": v, "id": claim})
			return err
		}
		kinds, subjects, retries := make([]string, len(back)), make([]string, len(back)), make([]int32, len(back))
		for i, e := range back {
			kinds[i], subjects[i], retries[i] = e.Kind, e.Subject, e.Retries
		}
		if _, err := tx.Exec(ctx, s.sql("OutboxWorkReturn"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": claim, "kinds": kinds, "subjects": subjects, "retries": retries,
		}); err != nil {
			return err
		}
		return s.touch(ctx, tx, v, time.Now())
	})
}

// SweepOutbox wakes turns that sleep over due events, and enqueues the settlement of
// vendors whose unknown outcomes are past their grace, or whose settlements wait for
// long, and forgets statuses that found no message within seven days. Safe to call from many relays.
func (s *Store) SweepOutbox(ctx context.Context) error {
	for _, name := range []string{"OutboxTurnsRearm", "UnknownDueEnqueue", "SettlementDueEnqueue", "OrphansForget"} {
		if _, err := s.pool.Exec(ctx, s.sql(name)); err != nil {
			return classify(err)
		}
	}
	return nil
}

// OpenKind is a sort of work that must have a live workflow until it is over.
type OpenKind string

// The kinds, by the event that starts their workflow.
const (
	OpenCampaign OpenKind = "campaign.approved"
	OpenImport   OpenKind = "import.uploaded"
	OpenDocument OpenKind = "quotation.issued"
)

// OpenWork is one campaign, import or quotation that is not over.
type OpenWork struct {
	Vendor  vendor.ID
	Subject string
	Ring    bool // nothing seems left to wait for: its doorbell may have been lost
}

// ListOpenWork returns up to limit of kind, by id after the given one (empty: from the
// first), that nobody has moved for calm. It works across vendors: the relay's role only.
func (s *Store) ListOpenWork(ctx context.Context, kind OpenKind, after string, limit int, calm time.Duration) ([]OpenWork, error) {
	name := map[OpenKind]string{OpenCampaign: "OpenCampaigns", OpenImport: "OpenImports", OpenDocument: "OpenDocuments"}[kind]
	if after == "" {
		after = "00000000-0000-0000-0000-000000000000"
	}
	rows, err := s.pool.Query(ctx, s.sql(name), pgx.StrictNamedArgs{"after": after, "calm": calm, "max_rows": limit})
	if err != nil {
		return nil, classify(err)
	}
	work, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OpenWork])
	return work, classify(err)
}

// NextWake returns how long until some vendor's outbox wants a look, at most an hour.
// It is zero or less when one does now.
func (s *Store) NextWake(ctx context.Context) (time.Duration, error) {
	var seconds float64
	if err := s.pool.QueryRow(ctx, s.sql("OutboxNextWake")).Scan(&seconds); err != nil {
		return 0, classify(err)
	}
	return time.Duration(min(seconds, 3600) * float64(time.Second)), nil
}

// OutboxBacklog returns how many events are due and how long the oldest has waited.
func (s *Store) OutboxBacklog(ctx context.Context) (events int64, oldest time.Duration, err error) {
	var seconds float64
	if err := s.pool.QueryRow(ctx, s.sql("OutboxBacklog")).Scan(&events, &seconds); err != nil {
		return 0, 0, classify(err)
	}
	return events, time.Duration(seconds * float64(time.Second)), nil
}

// ListenOutbox holds one connection of the pool and calls ring for every notice that
// something came into the outbox, until ctx ends or the connection breaks.
func (s *Store) ListenOutbox(ctx context.Context, ring func()) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return classify(err)
	}
	// The connection listens: it must not serve others afterwards.
	raw := conn.Hijack()
	defer raw.Close(context.WithoutCancel(ctx)) // closing is all that is left
	if _, err := raw.Exec(ctx, "LISTEN outbox"); err != nil {
		return classify(err)
	}
	for {
		if _, err := raw.WaitForNotification(ctx); err != nil {
			return classify(err)
		}
		ring()
	}
}

// enqueue adds one event to the vendor's WORK lane within tx. Call it last: it locks
// the vendor's turn row until the commit.
func (s *Store) enqueue(ctx context.Context, tx pgx.Tx, v vendor.ID, kind, subject string) error {
	_, err := tx.Exec(ctx, s.sql("OutboxEnqueue"), pgx.StrictNamedArgs{"vendor_id": v, "kind": kind, "subject_id": subject})
	return err
}

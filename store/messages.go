package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// ErrClaimGone says that a claim was finished or taken over by a newer lease: the
// caller holds nothing any more and stops quietly.
var ErrClaimGone = errs.New(errs.Conflict, "claim.gone", "the claim was finished or taken over")

// keepAfterReturn is how long a claim is kept after rows of it went back: what else it
// holds is being sent, and shows its own signs of life.
const keepAfterReturn = 20 * time.Second

// SendJob is all that the messages of one claim have in common.
type SendJob struct {
	Claim    ClaimID
	Lease    int32
	Lane     string
	Campaign campaign.ID
	Month    message.Month
	Messages []message.ID // still to be sent, ascending
	Kind     string       // of the lane: CampaignLane or SingleLane

	Status         campaign.State
	Category       string
	Parameters     json.RawMessage
	TemplateName   string
	Language       string
	ParameterStyle string // POSITIONAL or NAMED
	Components     json.RawMessage
	PhoneNumberID  string
	RatePerSecond  int
	TokenCT        []byte
	WabaRef        string
	Region         string
	ExpiresAt      *time.Time // no message leaves from then on; nil: no end
	Replay         bool       // the campaign sends again what failed of another one
	Quiet          campaign.QuietHours

	// LimitedPortfolio is whose messaging limit the messages count against; "": unlimited.
	LimitedPortfolio string
}

// The kinds of lanes that messages wait in.
const (
	CampaignLane = "CAMPAIGN"
	SingleLane   = "SINGLE"
)

// Wait is why a message waits in the outbox for a time to come; "" says nothing.
type Wait string

// What messages wait for before they are sent.
const (
	WaitRate      Wait = "RATE"            // the number's pace
	WaitPair      Wait = "PAIR_LIMIT"      // Meta's limit of messages to one person
	WaitPortfolio Wait = "PORTFOLIO_LIMIT" // Meta's limit of people in 24 hours
	WaitQuiet     Wait = "QUIET_HOURS"     // the night where the recipient is
)

// Marked is one message that may now be POSTed, once, within ten seconds.
type Marked struct {
	ID         message.ID
	Attempt    int16
	Contact    string
	Recipient  []byte // keyed hash of the person's number
	MobileCT   []byte
	NameCT     []byte
	Attributes map[string]string
	Price      money.Micros
	Country    string
	Waits      int16 // how many earlier attempts were put off for long

	// Of one-off messages only: what they say, sealed, and since when they wait.
	ContentCT  []byte
	AcceptedAt time.Time
	Category   template.Category // "": the campaign's
}

// SendResult is what became of one marked message.
type SendResult struct {
	ID      message.ID
	Attempt int16
	Price   money.Micros

	// Status is SENT, FAILED or UNKNOWN; SENDING means that nothing left and the
	// attempt is forgotten, to be tried again at RetryAt.
	Status  message.Status
	Wamid   string
	Code    int
	Title   string
	Details string
	Class   string    // cause class, for the dead letters
	RetryAt time.Time // zero: final
	Wait    Wait      // with RetryAt: what it waits for
	Waits   int16     // as Marked.Waits, and one more if this attempt is put off for long

	// Suppress: the person gets no marketing from the vendor any more.
	Suppress bool
}

// BeginSend takes the next lease of a claim, kept for keep, and turns what an earlier
// lease left on the wire into UNKNOWN until grace after it was marked.
//
// Errors: claim.gone.
func (s *Store) BeginSend(ctx context.Context, v vendor.ID, claim ClaimID, keep, grace time.Duration) (SendJob, error) {
	job := SendJob{Claim: claim}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var ids []int64
		row := tx.QueryRow(ctx, s.sql("SendBegin"), pgx.StrictNamedArgs{"vendor_id": v, "claim_id": claim, "keep": keep})
		if err := row.Scan(&job.Lease, &job.Lane, &job.Campaign, &job.Month, &ids, &job.Kind); err != nil {
			return orNotFound(err, ErrClaimGone)
		}
		lost, told, err := s.settleEarlier(ctx, tx, v, job, leftBehind{ids, keep, grace})
		if err != nil {
			return err
		}
		gone := make(map[int64]bool, len(lost))
		for _, m := range lost {
			gone[m] = true
		}
		for _, m := range ids {
			if !gone[m] {
				job.Messages = append(job.Messages, message.ID(m))
			}
		}
		if err := tx.QueryRow(ctx, s.sql("SendJob"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": job.Campaign}).Scan(
			&job.Status, &job.Category, &job.Parameters, &job.TemplateName, &job.Language, &job.ParameterStyle, &job.Components,
			&job.PhoneNumberID, &job.RatePerSecond, &job.TokenCT, &job.WabaRef, &job.Region, &job.LimitedPortfolio, &job.ExpiresAt, &job.Replay,
			&job.Quiet.From, &job.Quiet.To); err != nil {
			return err
		}
		if err := s.endRaised(ctx, tx, v, &job, keep); err != nil || !told {
			return err
		}
		return s.enqueue(ctx, tx, v, "settlement.due", string(v))
	})
	return job, err
}

// leftBehind is what a lease finds in its claim.
type leftBehind struct {
	ids         []int64
	keep, grace time.Duration
}

// settleEarlier takes out of the claim what earlier leases posted, or may have, and did
// not record: it becomes UNKNOWN or, if a webhook told of it meanwhile, goes to the
// settlement, since nobody else would charge it. The first lease finds nothing.
func (s *Store) settleEarlier(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, found leftBehind) (lost []int64, told bool, err error) {
	if job.Lease <= 1 {
		return nil, false, nil
	}
	rows, err := tx.Query(ctx, s.sql("SendOrphansUnknown"), pgx.StrictNamedArgs{
		"vendor_id": v, "claim_id": job.Claim, "month": job.Month, "message_ids": found.ids, "grace": found.grace,
	})
	if err != nil {
		return nil, false, err
	}
	unknown, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, false, err
	}
	rows, err = tx.Query(ctx, s.sql("SendOrphansSettle"), pgx.StrictNamedArgs{
		"vendor_id": v, "claim_id": job.Claim, "month": job.Month, "message_ids": found.ids,
	})
	if err != nil {
		return nil, false, err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, false, err
	}
	lost = append(unknown, known...)
	_, _, err = s.progress(ctx, tx, v, job, doneRows{lost, found.keep})
	return lost, len(known) > 0, err
}

// MarkSending moves ids to SENDING with a new attempt each and returns those that
// were: nothing while the campaign is not running, none that is suppressed, none
// that has an attempt under way. suppressed counts those that ended here, because their
// recipient is suppressed, the campaign's time is over, or a free-form message's window has
// closed. Those whom the portfolio's messaging limit has no room for go back to their lane
// until it has.
//
// Errors: claim.gone when a newer lease exists.
func (s *Store) MarkSending(ctx context.Context, v vendor.ID, job SendJob, ids []message.ID) (marked []Marked, suppressed int, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		shut := 0
		if job.Kind == SingleLane {
			var err error
			if shut, err = s.failShut(ctx, tx, v, job, ids); err != nil {
				return err
			}
		}
		room, err := s.admit(ctx, tx, v, job, ids)
		if err != nil {
			return err
		}
		if marked, suppressed, err = s.mark(ctx, tx, v, job, room.admitted); err != nil {
			return err
		}
		suppressed += shut
		if job.Kind == SingleLane {
			if err := s.addContents(ctx, tx, v, job, marked); err != nil {
				return err
			}
		}
		room.marked = slices.DeleteFunc(slices.Clone(marked), func(m Marked) bool { return m.Category == template.Category(pricing.Service) })
		return s.reach(ctx, tx, v, job, room)
	})
	return marked, suppressed, err
}

func (s *Store) mark(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, ids []message.ID) (marked []Marked, suppressed int, err error) {
	rows, err := tx.Query(ctx, s.sql("SendMark"), string(v), string(job.Claim), job.Lease, int32(job.Month), ids)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			m             Marked
			attributes    []byte
			stopped, sent bool
		)
		if err := rows.Scan(&m.ID, &m.Contact, &m.MobileCT, &m.NameCT, &attributes, &m.Price, &m.Country, &m.Attempt, &m.Waits, &stopped, &sent, &m.Recipient); err != nil {
			return nil, 0, err
		}
		if len(attributes) > 0 {
			if err := json.Unmarshal(attributes, &m.Attributes); err != nil {
				return nil, 0, errs.Wrap(errs.Internal, "store.bad_attributes", "a message's attributes cannot be read", err)
			}
		}
		switch {
		case stopped:
			suppressed++
		case sent:
			marked = append(marked, m)
		}
	}
	return marked, suppressed, rows.Err()
}

// SendState tells why a mark returned nothing: the campaign's state now.
//
// Errors: claim.gone.
func (s *Store) SendState(ctx context.Context, v vendor.ID, job SendJob) (campaign.State, error) {
	var (
		state  campaign.State
		leased bool
	)
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, s.sql("SendStatus"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": job.Campaign, "claim_id": job.Claim, "lease": job.Lease,
		}).Scan(&state, &leased)
	})
	if err == nil && !leased {
		err = ErrClaimGone
	}
	return state, err
}

// DoubtfulMarks returns results that forget what a call of MarkSending for ids marked: for a
// caller who was told of an error, cannot know whether it was committed all the same, and
// has posted nothing. Its attempts would be taken for sent. None: nothing was marked, or a
// newer lease of the claim has begun, which may have marked and posted them itself.
func (s *Store) DoubtfulMarks(ctx context.Context, v vendor.ID, job SendJob, ids []message.ID) ([]SendResult, error) {
	var out []SendResult
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("SendDoubtful"), pgx.StrictNamedArgs{
			"vendor_id": v, "claim_id": job.Claim, "lease": job.Lease, "month": job.Month, "message_ids": ids,
		}, func(row pgx.CollectableRow) (SendResult, error) {
			r := SendResult{Status: message.Sending, RetryAt: time.Now()}
			return r, row.Scan(&r.ID, &r.Attempt)
		})
		return err
	})
	return out, err
}

// Recording says how RecordSends goes about it.
type Recording struct {
	Step  int           // numbers the calls of one lease from zero: it makes the capture's reference
	Keep  time.Duration // for how long the claim is kept from now on
	Grace time.Duration // for how long an unknown outcome may still be told by Meta

	uncovered bool // the hold is known not to cover what was sent
}

// RecordSends writes what became of marked messages and captures the price of those
// sent, in one transaction. A price that the campaign's hold does not cover is the
// platform's loss, and halts the campaign with WALLET_EMPTY. results are sorted by message; each message once.
func (s *Store) RecordSends(ctx context.Context, v vendor.ID, job SendJob, results []SendResult, how Recording) error {
	batch := newRecordBatch(results)
	batch.grace = how.Grace
	err := s.record(ctx, v, job, batch, how)
	if errors.Is(err, wallet.ErrHoldExhausted) {
		how.uncovered = true // it has left: that must be recorded, whoever pays
		if err = s.record(ctx, v, job, batch, how); err == nil && job.Kind != SingleLane {
			err = s.haltOne(ctx, v, job.Campaign, campaign.WalletStop())
		}
	}
	return err
}

func (s *Store) record(ctx context.Context, v vendor.ID, job SendJob, batch recordBatch, how Recording) error {
	left := 0
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		captured, fallen, err := s.recordAnswers(ctx, tx, v, job, batch)
		if err != nil {
			return err
		}
		if err := s.suppress(ctx, tx, v, job.Month, batch.stopped); err != nil {
			return err
		}
		if err := s.recordLeftovers(ctx, tx, v, job, batch); err != nil {
			return err
		}
		// Before the money: it locks the campaign's row, which whoever closes the books
		// locks before the accounts.
		if err := s.requeue(ctx, tx, v, job, batch.back); err != nil {
			return err
		}
		var leased bool
		if left, leased, err = s.progress(ctx, tx, v, job, doneRows{batch.allIDs, how.Keep}); err != nil {
			return err
		}
		// Late: batches of a campaign wait here for each other's commit.
		if _, err := s.postTx(ctx, tx, v, capture(job, how, captured)); err != nil {
			return err
		}
		// After that wait: a webhook that parks a status behind this look has the settlement
		// look again within seconds, when this is committed.
		rung, err := s.adoptOrphans(ctx, tx, v, job, batch)
		if err != nil {
			return err
		}
		if !leased {
			if err := s.settleLate(ctx, tx, v, job, batch); err != nil {
				return err
			}
		}
		if fallen {
			rung = vendorSet{v: true} // a recording is one vendor's
		}
		return s.ringSettlement(ctx, tx, rung)
	})
	if err != nil {
		return err
	}
	// After the commit, since the turn is every producer's. One that is lost is found by
	// the relay's sweep.
	if at, due := batch.wake(len(job.Messages), left); due {
		return s.inTx(ctx, v, func(tx pgx.Tx) error { return s.touch(ctx, tx, v, at) })
	}
	return nil
}

// wake tells when the vendor's turn wants a look: when rows that went back are due, or now
// if this batch took the claim of total rows over its half, with left rows left: a number is
// claimed for again when half its window is free.
func (b recordBatch) wake(total, left int) (time.Time, bool) {
	if left <= total/2 && left+len(b.allIDs) > total/2 {
		return time.Now(), true
	}
	if len(b.back.at) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(b.back.at, time.Time.Compare), true
}

// touch wakes the vendor's turn at a time. It locks the turn until the commit: call it last.
func (s *Store) touch(ctx context.Context, tx pgx.Tx, v vendor.ID, at time.Time) error {
	_, err := tx.Exec(ctx, s.sql("OutboxTouch"), pgx.StrictNamedArgs{"vendor_id": v, "wake_at": at})
	return err
}

// settleLate ends the wait for outcomes that a newer lease has given up as unknown, and
// that are known now.
func (s *Store) settleLate(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, b recordBatch) error {
	if _, err := tx.Exec(ctx, s.sql("SendUnknownSettled"), pgx.StrictNamedArgs{
		"vendor_id": v, "month": job.Month, "message_ids": b.allIDs,
	}); err != nil {
		return err
	}
	return s.ringWhenDrained(ctx, tx, v, job.Campaign)
}

// capture earns what was sent: from the hold, or at the platform's loss if that is known
// not to cover it.
func capture(job SendJob, how Recording, amount money.Micros) wallet.Posting {
	ref := captureReference(job, how.Step)
	if how.uncovered {
		return wallet.Loss(string(job.Campaign), "loss/"+ref, amount)
	}
	return wallet.Capture(string(job.Campaign), ref, amount)
}

// suppress keeps marketing from the recipients of these messages from now on.
func (s *Store) suppress(ctx context.Context, tx pgx.Tx, v vendor.ID, month message.Month, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("SuppressRecipients"), pgx.StrictNamedArgs{
		"vendor_id": v, "month": month, "message_ids": ids, "reason": "USER_STOPPED_MARKETING", "source": "META",
	})
	return err
}

func captureReference(job SendJob, step int) string {
	return "capture/" + string(job.Claim) + "/" + itoa(int(job.Lease)) + "/" + itoa(step)
}

// recordBatch is results turned into the parallel arrays the statements take.
type recordBatch struct {
	answers []SendResult // have a place in the lattice
	unknown []SendResult
	dead    []SendResult
	forget  []SendResult
	stopped []int64 // of people who want no marketing any more
	allIDs  []int64
	back    dueRows
	wamids  map[string]SendResult
	grace   time.Duration // of the unknown ones
}

func newRecordBatch(results []SendResult) recordBatch {
	b := recordBatch{wamids: map[string]SendResult{}}
	for _, r := range results {
		b.allIDs = append(b.allIDs, int64(r.ID))
		if !r.RetryAt.IsZero() {
			b.back.add(r.ID, r.RetryAt, r.Wait)
		}
		if r.Suppress {
			b.stopped = append(b.stopped, int64(r.ID))
		}
		if r.Status == message.Sending {
			b.forget = append(b.forget, r)
			continue
		}
		b.answers = append(b.answers, r)
		switch {
		case r.Status == message.Unknown:
			b.unknown = append(b.unknown, r)
		case r.Status == message.Failed && r.RetryAt.IsZero():
			b.dead = append(b.dead, r)
		case r.Wamid != "":
			b.wamids[r.Wamid] = r
		}
	}
	return b
}

// recordAnswers returns what is to be captured, and whether some that Meta accepted have
// failed already.
func (s *Store) recordAnswers(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, b recordBatch) (captured money.Micros, fallen bool, err error) {
	if len(b.answers) == 0 {
		return 0, false, nil
	}
	n := len(b.answers)
	ids, attempts, statuses := make([]int64, n), make([]int16, n), make([]string, n)
	wamids, titles, details := make([]*string, n), make([]*string, n), make([]*string, n)
	codes, retries, prices, waits := make([]*int32, n), make([]*time.Time, n), make([]int64, n), make([]int16, n)
	for i, r := range b.answers {
		ids[i], attempts[i], statuses[i], prices[i] = int64(r.ID), r.Attempt, string(r.Status), int64(r.Price)
		waits[i] = r.Waits
		wamids[i], titles[i], details[i] = orNull(r.Wamid), orNull(r.Title), orNull(r.Details)
		codes[i] = codeOrNull(r.Code)
		if !r.RetryAt.IsZero() {
			retries[i] = &r.RetryAt
		}
	}
	err = tx.QueryRow(ctx, s.sql("SendRecord"), string(v), int32(job.Month), ids, attempts, statuses, wamids,
		codes, titles, details, retries, prices, waits).Scan(&captured, &fallen)
	return captured, fallen, err
}

func (s *Store) recordLeftovers(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, b recordBatch) error {
	if len(b.forget) > 0 {
		ids, attempts := refs(b.forget)
		if _, err := tx.Exec(ctx, s.sql("SendForget"), pgx.StrictNamedArgs{
			"vendor_id": v, "claim_id": job.Claim, "month": job.Month, "message_ids": ids, "attempts": attempts,
		}); err != nil {
			return err
		}
	}
	if len(b.unknown) > 0 {
		ids, attempts := refs(b.unknown)
		if _, err := tx.Exec(ctx, s.sql("SendUnknownInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "month": job.Month, "campaign_id": job.Campaign, "grace": b.grace, "message_ids": ids, "attempts": attempts,
		}); err != nil {
			return err
		}
	}
	return s.bury(ctx, tx, v, place{job.Campaign, job.Month}, b.dead)
}

// place is where a campaign's messages are.
type place struct {
	campaign campaign.ID
	month    message.Month
}

// bury puts final failures into the dead letters, once each.
func (s *Store) bury(ctx context.Context, tx pgx.Tx, v vendor.ID, at place, dead []SendResult) error {
	if len(dead) == 0 {
		return nil
	}
	ids, attempts := refs(dead)
	classes, codes, reasons := make([]string, len(dead)), make([]int32, len(dead)), make([]string, len(dead))
	for i, r := range dead {
		classes[i], codes[i], reasons[i] = r.Class, code32(r.Code), r.Title
	}
	_, err := tx.Exec(ctx, s.sql("SendDeadLetters"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": at.campaign, "month": at.month, "message_ids": ids, "attempts": attempts,
		"classes": classes, "codes": codes, "reasons": reasons,
	})
	return err
}

func refs(results []SendResult) (ids []int64, attempts []int16) {
	for _, r := range results {
		ids, attempts = append(ids, int64(r.ID)), append(attempts, r.Attempt)
	}
	return ids, attempts
}

// orNull is SQL's null for empty text.
func orNull[T ~string](s T) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

// adoptOrphans merges statuses that came before this record, parked under the wamid.
func (s *Store) adoptOrphans(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, b recordBatch) (vendorSet, error) {
	if len(b.wamids) == 0 {
		return nil, nil //nolint:nilnil // nobody is to be rung
	}
	wamids := make([]string, 0, len(b.wamids))
	for w := range b.wamids {
		wamids = append(wamids, w)
	}
	rows, err := tx.Query(ctx, s.sql("OrphanTake"), pgx.StrictNamedArgs{"vendor_id": v, "wamids": wamids})
	if err != nil {
		return nil, err
	}
	statuses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (StatusUpdate, error) {
		u, err := scanOrphan(row)
		r := b.wamids[u.Wamid]
		u.Vendor, u.Ref = v, message.Ref{Month: job.Month, Message: r.ID, Attempt: r.Attempt}
		return u, err
	})
	if err != nil || len(statuses) == 0 {
		return nil, err
	}
	return s.mergeStatuses(ctx, tx, statuses)
}

// dueRows are rows with the time at which each is due again, and why not now.
type dueRows struct {
	ids   []int64
	at    []time.Time
	waits []*string
}

func (d *dueRows) add(m message.ID, at time.Time, why Wait) {
	d.ids, d.at, d.waits = append(d.ids, int64(m)), append(d.at, at), append(d.waits, orNull(why))
}

// requeue gives rows back to their lane. Those of a cancelled campaign end.
func (s *Store) requeue(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, due dueRows) error {
	if len(due.ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("SendRequeue"), pgx.StrictNamedArgs{
		"vendor_id": v, "lane_id": job.Lane, "campaign_id": job.Campaign, "month": job.Month, "message_ids": due.ids, "available_at": due.at,
		"waits": due.waits,
	})
	return err
}

// doneRows are rows that leave a claim, which is kept for keep from now on.
type doneRows struct {
	ids  []int64
	keep time.Duration
}

// progress takes done rows out of the claim, and tells whether the lease is still job's.
func (s *Store) progress(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, done doneRows) (left int, leased bool, err error) {
	if done.ids == nil {
		done.ids = []int64{}
	}
	err = tx.QueryRow(ctx, s.sql("SendProgress"), pgx.StrictNamedArgs{
		"vendor_id": v, "claim_id": job.Claim, "lease": job.Lease, "done_ids": done.ids, "keep": done.keep,
	}).Scan(&left)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return left, err == nil, err
}

// ReturnRows gives rows that were not marked back to their lane, due at `at`.
//
// Errors: claim.gone when a newer lease exists: the rows are that one's.
func (s *Store) ReturnRows(ctx context.Context, v vendor.ID, job SendJob, ids []message.ID, at time.Time) error {
	rows := make([]Postponed, len(ids))
	for i, m := range ids {
		rows[i] = Postponed{ID: m, At: at}
	}
	return s.PostponeRows(ctx, v, job, rows)
}

// Postponed is a row that goes back to its lane unmarked, until a time, for a reason.
type Postponed struct {
	ID  message.ID
	At  time.Time
	Why Wait
}

// PostponeRows gives rows that were not marked back to their lane, each due at its own time.
//
// Errors: claim.gone.
func (s *Store) PostponeRows(ctx context.Context, v vendor.ID, job SendJob, rows []Postponed) error {
	if len(rows) == 0 {
		return nil
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error { return s.postpone(ctx, tx, v, job, rows) })
}

// postpone is PostponeRows within tx. Call it last: it locks the vendor's turn.
func (s *Store) postpone(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, rows []Postponed) error {
	var due dueRows
	for _, r := range rows {
		due.add(r.ID, r.At, r.Why)
	}
	if err := s.requeue(ctx, tx, v, job, due); err != nil {
		return err
	}
	_, leased, err := s.progress(ctx, tx, v, job, doneRows{due.ids, keepAfterReturn})
	if err == nil && !leased {
		err = ErrClaimGone
	}
	if err != nil {
		return err
	}
	first := slices.MinFunc(due.at, time.Time.Compare)
	return s.touch(ctx, tx, v, first)
}

// CancelRows ends rows of a cancelled campaign that never left.
func (s *Store) CancelRows(ctx context.Context, v vendor.ID, job SendJob, ids []message.ID) error {
	raw := make([]int64, len(ids))
	for i, m := range ids {
		raw[i] = int64(m)
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("SendCancelRows"), pgx.StrictNamedArgs{
			"vendor_id": v, "month": job.Month, "message_ids": raw,
		}); err != nil {
			return err
		}
		_, _, err := s.progress(ctx, tx, v, job, doneRows{raw, keepAfterReturn})
		return err
	})
}

// EndSend closes the claim; whoever closes a drained campaign's last one rings for its end.
func (s *Store) EndSend(ctx context.Context, v vendor.ID, job SendJob) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		var held []int64
		err := tx.QueryRow(ctx, s.sql("SendEnd"), pgx.StrictNamedArgs{
			"vendor_id": v, "claim_id": job.Claim, "lease": job.Lease,
		}).Scan(&held)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) { // a newer lease's, or ended before
			return err
		}
		if err := s.returnUnended(ctx, tx, v, job, held); err != nil {
			return err
		}
		if err := s.ringWhenDrained(ctx, tx, v, job.Campaign); err != nil {
			return err
		}
		return s.touch(ctx, tx, v, time.Now())
	})
}

// returnUnended gives back what an ended claim still held and nobody sent: a mark that
// found the campaign paused, in the moment before it was resumed.
func (s *Store) returnUnended(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, held []int64) error {
	if len(held) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, s.sql("SendUnended"), pgx.StrictNamedArgs{"vendor_id": v, "month": job.Month, "message_ids": held})
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	var due dueRows
	for _, m := range ids {
		due.add(message.ID(m), time.Now(), "")
	}
	return s.requeue(ctx, tx, v, job, due)
}

// longRest is from when on it is worth telling that all a campaign has left is waiting.
const longRest = 2 * time.Minute

// ringWhenDrained emits the one event that ends a campaign, when nothing of it is left; or
// tells its workflow that all that is left waits, and until when is to be read.
func (s *Store) ringWhenDrained(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID) error {
	var drained bool
	err := tx.QueryRow(ctx, s.sql("CampaignDrained"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&drained)
	if err != nil {
		return err
	}
	if drained {
		var kind string
		if err := tx.QueryRow(ctx, s.sql("CampaignKind"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&kind); err != nil {
			return err
		}
		if kind == SingleLane { // it has no workflow
			return s.enqueue(ctx, tx, v, monthOver, string(c))
		}
		return s.enqueue(ctx, tx, v, "campaign.drained", string(c))
	}
	var rests *time.Time
	err = tx.QueryRow(ctx, s.sql("CampaignRests"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}).Scan(&rests)
	if err != nil || rests == nil || time.Until(*rests) < longRest {
		return err
	}
	return s.enqueue(ctx, tx, v, "campaign.changed", string(c))
}

// StatusUpdate is what one webhook status says of one attempt. Times that are zero are
// not told. Ref is zero while only the wamid is known.
type StatusUpdate struct {
	Vendor        vendor.ID
	Ref           message.Ref
	PhoneNumberID string
	Wamid         string
	Status        message.Status
	At            time.Time
	Code          int
	Title         string
	Details       string
	Category      string // what Meta says it billed
	PricingType   string
}

func scanOrphan(row pgx.CollectableRow) (StatusUpdate, error) {
	var (
		u              StatusUpdate
		code           *int32
		title, details *string
	)
	if err := row.Scan(&u.Wamid, &u.Status, &u.At, &code, &title, &details, &u.Category, &u.PricingType); err != nil {
		return u, err
	}
	u.fill(code, title, details)
	return u, nil
}

func (u *StatusUpdate) fill(code *int32, title, details *string) {
	if code != nil {
		u.Code = int(*code)
	}
	if title != nil {
		u.Title = *title
	}
	if details != nil {
		u.Details = *details
	}
}

package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/failure"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
)

// settlement is one attempt whose certainty or verdict changed after it was recorded.
type settlement struct {
	Message  int64
	Attempt  int16
	Month    int32
	Campaign campaign.ID
	Status   message.Status
	Captured money.Micros
	Refunded money.Micros
	Price    money.Micros
	Code     int
	Title    string
	Finished bool // the campaign's books are closed: its hold is gone

	State     campaign.State
	Category  template.Category
	Country   string
	ExpiresAt *time.Time
	Waits     int16
	RetryAt   *time.Time   // it was judged before, and is followed by another attempt
	Overtaken bool         // another attempt may still arrive, or the message has ended
	Later     bool         // another attempt came after it
	Single    bool         // a one-off message
	Rivals    money.Micros // what the message's other attempts are charged with

	again bool // it has failed, and is followed by another attempt
}

// Fallen is a message that failed after Meta had accepted it, as its judge sees it.
type Fallen struct {
	Campaign campaign.ID
	Code     int // Meta's
	Title    string
	Attempt  int
	Waits    int // see failure.Case
	Category template.Category
	Country  string
	Expires  time.Time // of the campaign; zero: no end
}

// Judgement is what a fallen message calls for.
type Judgement struct {
	failure.Verdict

	Class failure.Class
	Stop  campaign.Stop // of a verdict with a halt
}

// Judge decides about fallen messages. It is a rule: it must not touch the store.
type Judge func(Fallen) Judgement

// Settled is what one call of Settle did and found.
type Settled struct {
	More  bool                          // more is waiting
	Stops map[campaign.ID]campaign.Stop // campaigns that have to halt: the caller sees to it

	// Failed counts, by campaign and class, what failed for good after Meta had accepted it.
	Failed map[campaign.ID]map[failure.Class]int
}

// Settle works off one page of what webhooks enqueued for the vendor: parked statuses
// whose send is known now, unknown outcomes past their grace, captures, refunds and
// further attempts that follow from them, and the end of campaigns that waited for it.
// Repeats change nothing.
func (s *Store) Settle(ctx context.Context, v vendor.ID, judge Judge) (Settled, error) {
	var (
		out     Settled
		touched map[campaign.ID]bool
	)
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		out = Settled{Stops: map[campaign.ID]campaign.Stop{}, Failed: map[campaign.ID]map[failure.Class]int{}}
		touched = map[campaign.ID]bool{}
		orphans, err := s.takeKnownOrphans(ctx, tx, v)
		if err != nil {
			return err
		}
		// Whom to ring is here already: what this makes due is on the page below, or the next.
		if _, err := s.mergeStatuses(ctx, tx, orphans); err != nil {
			return err
		}
		silent, again, err := s.settleSilent(ctx, tx, v, touched)
		if err != nil {
			return err
		}
		page, later, err := s.settlePage(ctx, tx, v, judge, &out)
		if err != nil {
			return err
		}
		if at := append(again.at, later.at...); len(at) > 0 {
			args := pgx.StrictNamedArgs{"vendor_id": v, "wake_at": slices.MinFunc(at, time.Time.Compare)}
			if _, err := tx.Exec(ctx, s.sql("OutboxTouch"), args); err != nil { // last: the turn is every producer's
				return err
			}
		}
		for _, p := range page {
			touched[p.Campaign] = true
		}
		out.More = len(page) > 0 || silent > 0 || len(orphans) > 0
		return nil
	})
	if err != nil {
		return Settled{}, err
	}
	// Their own transactions: each takes its campaign's drain lock, one at a time.
	for _, c := range slices.Sorted(keysOf(touched)) {
		if err := s.inTx(ctx, v, func(tx pgx.Tx) error { return s.ringWhenDrained(ctx, tx, v, c) }); err != nil {
			return Settled{}, err
		}
	}
	return out, nil
}

// settleSilent ends the grace of attempts of which no webhook spoke, as their vendor wants
// it: unconfirmed for good, or followed by another attempt.
func (s *Store) settleSilent(ctx context.Context, tx pgx.Tx, v vendor.ID, touched map[campaign.ID]bool) (n int, again requeued, err error) {
	rows, err := tx.Query(ctx, s.sql("SettlementSilent"), pgx.StrictNamedArgs{"vendor_id": v})
	if err != nil {
		return 0, again, err
	}
	type silence struct {
		Message  int64
		Attempt  int16
		Month    int32
		Campaign campaign.ID
		State    campaign.State
		Expires  *time.Time
		Policy   failure.Policy
		Silent   bool // false: its webhook came, and only the reminder is left

		Overtaken bool // Meta accepted another attempt of the message
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[silence])
	if err != nil || len(due) == 0 {
		return 0, again, err
	}
	n = len(due)
	now := time.Now()
	ids, attempts, months, retries := make([]int64, n), make([]int16, n), make([]int32, n), make([]*time.Time, n)
	dead := map[place][]SendResult{}
	for i, d := range due {
		ids[i], attempts[i], months[i] = d.Message, d.Attempt, d.Month
		touched[d.Campaign] = true
		if !d.Silent || d.Overtaken {
			continue
		}
		verdict := failure.Silence(d.Policy, int(d.Attempt), now, orZero(d.Expires))
		if verdict.Action == failure.Again && !d.State.Final() {
			retries[i] = &verdict.At
			again.add(d.Message, d.Month, d.Campaign, verdict.At)
			continue
		}
		key := place{d.Campaign, message.Month(d.Month)}
		dead[key] = append(dead[key], SendResult{
			ID: message.ID(d.Message), Attempt: d.Attempt, Class: string(message.Unconfirmed), Title: "it may have left, and Meta never told",
		})
	}
	args := pgx.StrictNamedArgs{"vendor_id": v, "message_ids": ids, "attempts": attempts, "months": months}
	if _, err := tx.Exec(ctx, s.sql("SettlementSilenceKnown"), args); err != nil {
		return 0, again, err
	}
	args["retry_at"] = retries
	if _, err := tx.Exec(ctx, s.sql("SettlementSilence"), args); err != nil {
		return 0, again, err
	}
	if err := s.buryAll(ctx, tx, v, dead); err != nil {
		return 0, again, err
	}
	return n, again, s.requeueSettled(ctx, tx, v, again)
}

func (s *Store) buryAll(ctx context.Context, tx pgx.Tx, v vendor.ID, dead map[place][]SendResult) error {
	for key, letters := range dead {
		if err := s.bury(ctx, tx, v, key, letters); err != nil {
			return err
		}
	}
	return nil
}

// requeued are messages that go out once more.
type requeued struct {
	ids       []int64
	months    []int32
	campaigns []string
	at        []time.Time
}

func (r *requeued) add(id int64, month int32, c campaign.ID, at time.Time) {
	r.ids, r.months, r.campaigns, r.at = append(r.ids, id), append(r.months, month), append(r.campaigns, string(c)), append(r.at, at)
}

// requeueSettled locks campaigns, shared: it comes before the accounts, which whoever
// closes the books locks after the campaign.
func (s *Store) requeueSettled(ctx context.Context, tx pgx.Tx, v vendor.ID, r requeued) error {
	if len(r.ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("SettlementRequeue"), pgx.StrictNamedArgs{
		"vendor_id": v, "message_ids": r.ids, "months": r.months, "campaign_ids": r.campaigns, "available_at": r.at,
	})
	return err
}

func keysOf(set map[campaign.ID]bool) func(func(campaign.ID) bool) {
	return func(yield func(campaign.ID) bool) {
		for c := range set {
			if !yield(c) {
				return
			}
		}
	}
}

func (s *Store) takeKnownOrphans(ctx context.Context, tx pgx.Tx, v vendor.ID) ([]StatusUpdate, error) {
	rows, err := tx.Query(ctx, s.sql("OrphanTakeKnown"), pgx.StrictNamedArgs{"vendor_id": v})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (StatusUpdate, error) {
		var (
			u              = StatusUpdate{Vendor: v}
			code           *int32
			title, details *string
		)
		err := row.Scan(&u.Wamid, &u.Status, &u.At, &code, &title, &details, &u.Category, &u.PricingType, &u.Ref.Message, &u.Ref.Attempt, &u.Ref.Month)
		u.fill(code, title, details)
		return u, err
	})
}

// settlePage books what one page of settlements owes, marks it on the attempts, and makes
// what follows from a failure: a further attempt, a dead letter, a suppression.
func (s *Store) settlePage(ctx context.Context, tx pgx.Tx, v vendor.ID, judge Judge, out *Settled) (page []settlement, again requeued, err error) {
	rows, err := tx.Query(ctx, s.sql("SettlementTake"), pgx.StrictNamedArgs{"vendor_id": v})
	if err != nil {
		return nil, again, err
	}
	if page, err = pgx.CollectRows(rows, scanSettlement); err != nil || len(page) == 0 {
		return nil, again, err
	}
	f := followUp{dead: map[place][]SendResult{}, suppressed: map[message.Month][]int64{}}
	for i := range page {
		f.decide(&page[i], judge, out)
	}
	if err := s.requeueSettled(ctx, tx, v, f.again); err != nil {
		return nil, again, err
	}
	if err := s.follow(ctx, tx, v, f); err != nil {
		return nil, again, err
	}
	if err := s.settlePurses(ctx, tx, v, page); err != nil { // attempts before accounts, as a recording does
		return nil, again, err
	}
	return page, f.again, s.bookSettled(ctx, tx, v, page)
}

// settlePurses books what the attempts of a page owe and are owed.
func (s *Store) settlePurses(ctx context.Context, tx pgx.Tx, v vendor.ID, page []settlement) error {
	campaigns := make([]string, len(page))
	for i, p := range page {
		campaigns[i] = string(p.Campaign)
	}
	purses, err := s.lockPurses(ctx, tx, v, campaigns)
	if err != nil {
		return err
	}
	// What failed gives its money back before what was delivered takes it.
	for _, failed := range []bool{true, false} {
		for i := range page {
			if p := &page[i]; failed == (p.Status == message.Failed) {
				if err := s.settleMoney(ctx, tx, v, purses, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func scanSettlement(row pgx.CollectableRow) (settlement, error) {
	var p settlement
	err := row.Scan(&p.Message, &p.Attempt, &p.Month, &p.Campaign, &p.Status, &p.Captured, &p.Refunded, &p.Price, &p.Code, &p.Title, &p.Finished,
		&p.State, &p.Category, &p.Country, &p.ExpiresAt, &p.Waits, &p.RetryAt, &p.Overtaken, &p.Later, &p.Rivals, &p.Single)
	return p, err
}

// followUp is what a page of settlements calls for beside money.
type followUp struct {
	again      requeued
	retries    []settlement // with RetryAt and Waits as they are to be
	overtaken  []settlement // whose message needs no further attempt
	dead       map[place][]SendResult
	suppressed map[message.Month][]int64
}

// decide judges what failed, once: an attempt that is followed by another has been judged.
func (f *followUp) decide(p *settlement, judge Judge, out *Settled) {
	switch {
	case message.Chargeable(p.Status):
		if p.RetryAt != nil || p.Attempt > 1 || p.Overtaken {
			f.overtaken = append(f.overtaken, *p)
		}
		return
	case p.Status != message.Failed:
		return
	case p.RetryAt != nil:
		p.again = true
		return
	}
	j := judge(Fallen{
		Campaign: p.Campaign, Code: p.Code, Title: p.Title, Attempt: int(p.Attempt), Waits: int(p.Waits),
		Category: p.Category, Country: p.Country, Expires: orZero(p.ExpiresAt),
	})
	if p.Single {
		j.Verdict = j.Alone()
	}
	if j.Suppress {
		month := message.Month(p.Month)
		f.suppressed[month] = append(f.suppressed[month], p.Message)
	}
	if j.Halt != failure.OwnMessage {
		out.Stops[p.Campaign] = j.Stop
	}
	switch {
	case p.Overtaken: // the message arrives or goes on by another attempt, or has ended
	case j.Action == failure.Again && !p.Later && !p.Finished && !p.State.Final():
		p.again, p.RetryAt = true, &j.At
		if j.Waited {
			p.Waits++
		}
		f.again.add(p.Message, p.Month, p.Campaign, j.At)
		f.retries = append(f.retries, *p)
	default:
		key := place{p.Campaign, message.Month(p.Month)}
		f.dead[key] = append(f.dead[key], SendResult{ID: message.ID(p.Message), Attempt: p.Attempt, Class: string(j.Class), Code: p.Code, Title: p.Title})
		if p.Single {
			return // the breaker looks at campaigns
		}
		if out.Failed[p.Campaign] == nil {
			out.Failed[p.Campaign] = map[failure.Class]int{}
		}
		out.Failed[p.Campaign][j.Class]++
	}
}

// follow writes what decide gathered, beside the messages that go out once more.
func (s *Store) follow(ctx context.Context, tx pgx.Tx, v vendor.ID, f followUp) error {
	if err := s.buryAll(ctx, tx, v, f.dead); err != nil {
		return err
	}
	for month, ids := range f.suppressed {
		if err := s.suppress(ctx, tx, v, month, ids); err != nil {
			return err
		}
	}
	if n := len(f.retries); n > 0 {
		ids, attempts, months := make([]int64, n), make([]int16, n), make([]int32, n)
		at, waits := make([]*time.Time, n), make([]int16, n)
		for i, p := range f.retries {
			ids[i], attempts[i], months[i], at[i], waits[i] = p.Message, p.Attempt, p.Month, p.RetryAt, p.Waits
		}
		if _, err := tx.Exec(ctx, s.sql("SettlementRetry"), pgx.StrictNamedArgs{
			"vendor_id": v, "message_ids": ids, "attempts": attempts, "months": months, "retry_at": at, "waits": waits,
		}); err != nil {
			return err
		}
	}
	if n := len(f.overtaken); n > 0 {
		ids, months := make([]int64, n), make([]int32, n)
		for i, p := range f.overtaken {
			ids[i], months[i] = p.Message, p.Month
		}
		if _, err := tx.Exec(ctx, s.sql("SettlementOvertaken"), pgx.StrictNamedArgs{"vendor_id": v, "message_ids": ids, "months": months}); err != nil {
			return err
		}
	}
	return nil
}

// purses is the money that one page of settlements moves.
type purses struct {
	holds   map[campaign.ID]money.Micros
	charged map[int64]money.Micros // by message, what this page changed so far
}

func (s *Store) lockPurses(ctx context.Context, tx pgx.Tx, v vendor.ID, campaigns []string) (purses, error) {
	out := purses{holds: map[campaign.ID]money.Micros{}, charged: map[int64]money.Micros{}}
	rows, err := tx.Query(ctx, s.sql("SettlementAccountsLock"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_ids": campaigns})
	if err != nil {
		return out, err
	}
	var (
		kind    wallet.AccountKind
		c       campaign.ID
		balance money.Micros
	)
	_, err = pgx.ForEachRow(rows, []any{&kind, &c, &balance}, func() error {
		if kind == wallet.AccountHold {
			out.holds[c] = balance
		}
		return nil
	})
	return out, err
}

// settleMoney books what an attempt owes or is owed, each once by its reference. A message
// is charged once, whichever of its attempts Meta accepted; what goes beyond that, or
// beyond the hold, or comes after the books are closed, is the platform's loss.
func (s *Store) settleMoney(ctx context.Context, tx pgx.Tx, v vendor.ID, m purses, p *settlement) error {
	posting, moved := p.money(m.holds[p.Campaign], p.Rivals+m.charged[p.Message] > 0)
	if posting.Kind == "" {
		return nil
	}
	m.charged[p.Message] += moved
	switch posting.Kind {
	case wallet.KindCapture, wallet.KindRestore:
		m.holds[p.Campaign] -= moved
	case wallet.KindLoss, wallet.KindRefund, wallet.KindTopUp, wallet.KindHold, wallet.KindRelease, wallet.KindAdjust:
	}
	_, err := s.postTx(ctx, tx, v, posting)
	return err
}

// money says what p's state calls for, given what is in the hold and whether another attempt
// of the message is charged; and notes it on p. moved is what p is charged more, or less.
func (p *settlement) money(hold money.Micros, paid bool) (posting wallet.Posting, moved money.Micros) {
	ref, c := itoa(int(p.Message))+"/"+itoa(int(p.Attempt)), string(p.Campaign)
	owed := p.Captured - p.Refunded
	switch {
	case message.Chargeable(p.Status) && p.Captured == 0 && p.Price > 0:
		p.Captured = p.Price
		if p.Finished || paid || hold < p.Price {
			return wallet.Loss(c, "loss/"+ref, p.Price), p.Price
		}
		return wallet.Capture(c, "capture/"+ref, p.Price), p.Price
	case message.Chargeable(p.Status) && p.Refunded > 0 && p.RetryAt != nil && !p.Finished && !paid && hold >= p.Refunded:
		// Given up for a further attempt, and delivered after all: its money is in the hold.
		moved, p.Refunded = p.Refunded, 0
		return wallet.Capture(c, "recapture/"+ref, moved), moved
	case message.Chargeable(p.Status) && p.Refunded > 0:
		// Refunded, and delivered after all: the refund stands, the loss is ours.
		return wallet.Loss(c, "loss/"+ref, p.Refunded), 0
	case p.Status != message.Failed || owed <= 0 || paid:
		return wallet.Posting{}, 0
	}
	p.Refunded = p.Captured
	if p.again {
		return wallet.Restore(c, "restore/"+ref, owed), -owed
	}
	return wallet.Refund(c, "refund/"+ref, owed), -owed
}

func (s *Store) bookSettled(ctx context.Context, tx pgx.Tx, v vendor.ID, page []settlement) error {
	n := len(page)
	ids, attempts, months := make([]int64, n), make([]int16, n), make([]int32, n)
	captured, refunded := make([]int64, n), make([]int64, n)
	var knownIDs []int64
	var knownAttempts []int16
	for i, p := range page {
		ids[i], attempts[i], months[i] = p.Message, p.Attempt, p.Month
		captured[i], refunded[i] = int64(p.Captured), int64(p.Refunded)
		if p.Status != message.Unknown {
			knownIDs, knownAttempts = append(knownIDs, p.Message), append(knownAttempts, p.Attempt)
		}
	}
	if _, err := tx.Exec(ctx, s.sql("SettlementBook"), pgx.StrictNamedArgs{
		"vendor_id": v, "message_ids": ids, "attempts": attempts, "months": months, "captured": captured, "refunded": refunded,
	}); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.sql("SettlementKnown"), pgx.StrictNamedArgs{
		"vendor_id": v, "message_ids": knownIDs, "attempts": knownAttempts,
	})
	return err
}

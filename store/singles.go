package store

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
)

// NewSingle is a one-off message as its vendor writes it.
type NewSingle struct {
	SenderNumber waba.NumberID
	Recipient    []byte // blind index of the number
	Country      string // of the number, ISO 3166-1 alpha-2
	Content      single.Content
	Template     *SingleTemplate // of a message of type template, whose content it becomes

	// Seal encrypts the number and the content for the places they are kept in.
	Seal func(c contact.ID, m message.ID, content []byte) (mobile, sealed []byte, err error)
}

// SingleTemplate names an approved template, by ID or by name and language, and gives its
// variables their values.
type SingleTemplate struct {
	ID             template.ID
	Name, Language string
	Values         map[string]string
}

// AcceptSingle takes a message in: checked, priced, covered by the float, sealed, and due
// at once ahead of the vendor's campaigns, in one transaction. A repeat of the request
// gets the first answer.
//
// Errors: sender_number.not_found, template.not_found, template.not_approved and those of
// filling one, message.bad_content, message.window_closed, message.recipient_suppressed,
// message.sender_halted, pricing.no_rate_card, pricing.no_rate,
// wallet.insufficient_funds, idempotency.key_reused.
func (s *Store) AcceptSingle(ctx context.Context, v vendor.ID, n NewSingle, now time.Time, once Once[CampaignMessage]) (CampaignMessage, error) {
	out, err := inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (CampaignMessage, error) {
		all, err := s.acceptAll(ctx, tx, v, []NewSingle{n}, now)
		if err != nil {
			return CampaignMessage{}, err
		}
		return all[0], nil
	})
	if err == nil {
		s.bell.ring(ctx, s)
	}
	return out, err
}

// AcceptSingles is AcceptSingle for a few messages: all are taken in, or none.
//
// Errors: those of AcceptSingle.
func (s *Store) AcceptSingles(ctx context.Context, v vendor.ID, ns []NewSingle, now time.Time, once Once[[]CampaignMessage]) ([]CampaignMessage, error) {
	out, err := inTxOnce(ctx, s, v, once, func(tx pgx.Tx) ([]CampaignMessage, error) {
		return s.acceptAll(ctx, tx, v, ns, now)
	})
	if err == nil {
		s.bell.ring(ctx, s)
	}
	return out, err
}

func (s *Store) acceptAll(ctx context.Context, tx pgx.Tx, v vendor.ID, ns []NewSingle, now time.Time) ([]CampaignMessage, error) {
	out := make([]CampaignMessage, len(ns))
	opened := map[campaign.ID]time.Time{}
	for i, n := range ns {
		a := accepting{Store: s, tx: tx, vendor: v, new: n, now: now, opened: opened}
		var err error
		if out[i], err = a.run(ctx); err != nil {
			return nil, err
		}
	}
	// From here on the turn's row is locked, which is every producer's.
	for c, closes := range opened {
		if _, err := tx.Exec(ctx, s.sql("OutboxEnqueueAt"), pgx.StrictNamedArgs{
			"vendor_id": v, "kind": monthOver, "subject_id": c, "at": closes,
		}); err != nil {
			return nil, err
		}
	}
	_, err := tx.Exec(ctx, s.sql("OutboxTouch"), pgx.StrictNamedArgs{"vendor_id": v, "wake_at": time.Now()})
	return out, err
}

// accepting is one message on its way in.
type accepting struct {
	*Store

	tx     pgx.Tx
	vendor vendor.ID
	new    NewSingle
	now    time.Time
	opened map[campaign.ID]time.Time // standing campaigns made on the way, and when they close

	waba, plan, region string
	currency           money.Currency
	rate               int
	message            message.ID
	contact            contact.ID
	category           pricing.Category
	content            json.RawMessage
}

func (a *accepting) run(ctx context.Context) (CampaignMessage, error) {
	err := a.tx.QueryRow(ctx, a.sql("SingleSender"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "sender_number_id": a.new.SenderNumber,
	}).Scan(&a.waba, &a.rate, &a.plan, &a.currency, &a.region)
	if err != nil {
		return CampaignMessage{}, orNotFound(err, waba.ErrNumberNotFound)
	}
	if err := a.compose(ctx); err != nil {
		return CampaignMessage{}, err
	}
	if err := a.recipient(ctx); err != nil {
		return CampaignMessage{}, err
	}
	price, err := a.price(ctx)
	if err != nil {
		return CampaignMessage{}, err
	}
	standing, err := a.standing(ctx)
	if err != nil {
		return CampaignMessage{}, err
	}
	if err := a.cover(ctx, standing, price); err != nil {
		return CampaignMessage{}, err
	}
	return a.insert(ctx, standing, price)
}

// compose fills the template, if it is one, and settles what is sent and as what it is billed.
func (a *accepting) compose(ctx context.Context) error {
	a.category = pricing.Service
	content := a.new.Content
	if content.Type == single.Template && a.new.Template != nil {
		want := a.new.Template
		var t template.Template
		err := a.tx.QueryRow(ctx, a.sql("SingleTemplate"), pgx.StrictNamedArgs{
			"vendor_id": a.vendor, "waba_ref": a.waba, "id": nullID(want.ID), "name": want.Name, "language": want.Language,
		}).Scan(&t.ID, &t.Name, &t.Language, &t.Category, &t.Status, &t.Format, &t.Components)
		if err != nil {
			return orNotFound(err, template.ErrNotFound)
		}
		a.category = pricing.Category(t.Category)
		if content.Template, err = single.NewFilled(t, want.Values); err != nil {
			return err
		}
	}
	var err error
	a.content, err = single.Compose(content)
	return err
}

// recipient finds out who it goes to, and whether they may be written to.
func (a *accepting) recipient(ctx context.Context) error {
	var (
		known  *contact.ID
		scopes []string
		open   bool
	)
	if err := a.tx.QueryRow(ctx, a.sql("SingleRecipient"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "recipient_hash": a.new.Recipient, "sender_number_id": a.new.SenderNumber,
	}).Scan(&a.message, &known, &scopes, &open); err != nil {
		return err
	}
	if a.contact = orZero(known); a.contact == "" {
		a.contact = id.New[contact.ID]() // nobody in the address book: it only names the ciphertext
	}
	switch {
	case slices.Contains(scopes, "ALL"), slices.Contains(scopes, string(a.category)):
		return single.ErrSuppressed
	case a.category == pricing.Service && !open:
		return single.ErrWindowClosed
	}
	return nil
}

func (a *accepting) price(ctx context.Context) (money.Micros, error) {
	card, err := a.snapshotTx(ctx, a.tx, a.currency, a.now)
	if err != nil {
		return 0, err
	}
	fee, err := a.platformFeeTx(ctx, a.tx, a.plan, a.currency, day(a.now))
	if err != nil {
		return 0, err
	}
	tax, err := a.taxTx(ctx, a.tx, a.region, day(a.now))
	if err != nil {
		return 0, err
	}
	return pricing.One(card, a.category, a.new.Country, fee, tax)
}

func (a *accepting) insert(ctx context.Context, st *standing, price money.Micros) (CampaignMessage, error) {
	mobile, content, err := a.new.Seal(a.contact, a.message, a.content)
	if err != nil {
		return CampaignMessage{}, err
	}
	if _, err := a.tx.Exec(ctx, a.sql("SingleInsert"), pgx.StrictNamedArgs{
		"vendor_id": a.vendor, "id": a.message, "month": st.Month, "campaign_id": st.Campaign, "lane_id": st.Lane,
		"contact_id": a.contact, "recipient_hash": a.new.Recipient, "country": a.new.Country, "mobile_ct": mobile,
		"price": price, "category": a.category, "content_ct": content,
	}); err != nil {
		return CampaignMessage{}, err
	}
	return CampaignMessage{
		ID: a.message, Contact: string(a.contact), Country: a.new.Country, Status: message.Queued, Price: price,
		CreatedAt: a.now.UTC().Truncate(time.Microsecond),
	}, nil
}

// failShut fails the free-form messages among ids whose window has closed, and returns
// how many those are.
func (s *Store) failShut(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, ids []message.ID) (int, error) {
	rows, err := tx.Query(ctx, s.sql("SingleShut"), pgx.StrictNamedArgs{
		"vendor_id": v, "claim_id": job.Claim, "lease": job.Lease, "month": job.Month, "message_ids": ids,
		"code": reengagement, "title": single.ErrWindowClosed.Code,
	})
	if err != nil {
		return 0, err
	}
	shut, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SendResult, error) {
		r := SendResult{Class: "RECIPIENT", Code: reengagement, Title: single.ErrWindowClosed.Code}
		return r, row.Scan(&r.ID, &r.Attempt)
	})
	if err != nil {
		return 0, err
	}
	return len(shut), s.bury(ctx, tx, v, place{job.Campaign, job.Month}, shut)
}

// reengagement is Meta's code for a free-form message outside the window.
// Source: Meta, Cloud API error codes, read 2026-09.
const reengagement = 131047

// addContents gives marked one-off messages what they say.
func (s *Store) addContents(ctx context.Context, tx pgx.Tx, v vendor.ID, job SendJob, marked []Marked) error {
	at := make(map[message.ID]int, len(marked))
	ids := make([]int64, len(marked))
	for i, m := range marked {
		at[m.ID], ids[i] = i, int64(m.ID)
	}
	rows, err := tx.Query(ctx, s.sql("SingleContents"), pgx.StrictNamedArgs{"vendor_id": v, "month": job.Month, "message_ids": ids})
	if err != nil {
		return err
	}
	var (
		m       message.ID
		content []byte
		since   time.Time
		billed  template.Category
	)
	_, err = pgx.ForEachRow(rows, []any{&m, &content, &billed, &since}, func() error {
		to := &marked[at[m]]
		to.ContentCT, to.AcceptedAt, to.Category = slices.Clone(content), since, billed
		return nil
	})
	return err
}

// bell rings the relays after commits, one ring for all that committed meanwhile: a
// notice inside busy transactions would make their commits wait for each other.
type bell struct {
	waiting atomic.Bool
	mu      sync.Mutex
}

func (b *bell) ring(ctx context.Context, s *Store) {
	if !b.waiting.CompareAndSwap(false, true) {
		return // whoever waits rings for this commit too
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Store(false)
	_, _ = s.pool.Exec(ctx, s.sql("OutboxRing")) // without it the relays find the event by themselves, a little later
}

// haltedBy says why nothing is sent.
func haltedBy(state campaign.State, reason string) error {
	if reason == "" {
		reason = string(state)
	}
	return single.ErrHalted.Detail("nothing is sent from this number at present: %s", reason)
}

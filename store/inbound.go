package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
)

// InboundPurpose is the purpose under which the platform seals what persons wrote, until
// the worker opens it.
const InboundPurpose = "inbound"

// SealedInbound is a message a person wrote, as the webhook keeps it: sealed by the
// platform, since the webhook has no vendor's keys.
type SealedInbound struct {
	ID            string // a UUID; the seal's associated data
	PhoneNumberID string // whose it is
	MessageCT     []byte
}

// WaitingInbound is what the worker finds of it.
type WaitingInbound struct {
	ID           string
	SenderNumber waba.NumberID
	MessageCT    []byte
	ReceivedAt   time.Time
}

// Inbound is a message a person wrote, sealed for its vendor, and what follows from it.
type Inbound struct {
	ID           string // a UUID; the seal's associated data
	SenderNumber waba.NumberID
	WamidHash    []byte   // blind index of Meta's id: repeats are known by it
	Identities   [][]byte // blind indexes of the writer, by every name Meta gives; the first is theirs in the list
	Type         string   // Meta's word
	MessageCT    []byte
	WrittenAt    time.Time
	ReceivedAt   time.Time
	OpenUntil    time.Time // of the window it opens; zero: none
	Wish         contact.Wish
}

// keepInbound stores what people wrote for the vendors of the numbers they wrote to, and
// returns whose that is. What is written to numbers we do not know stays in the raw body.
func (s *Store) keepInbound(ctx context.Context, tx pgx.Tx, in []SealedInbound) (vendorSet, error) {
	if len(in) == 0 {
		return nil, nil //nolint:nilnil // nobody
	}
	names := make([]string, len(in))
	for i, m := range in {
		names[i] = m.PhoneNumberID
	}
	owners, err := s.routeNumbers(ctx, tx, names)
	if err != nil {
		return nil, err
	}
	var (
		vendors, ids, numbers []string
		messages              [][]byte
		wrote                 = vendorSet{}
	)
	for _, m := range in {
		if v := owners[m.PhoneNumberID]; v != "" {
			vendors, ids = append(vendors, string(v)), append(ids, m.ID)
			numbers, messages = append(numbers, m.PhoneNumberID), append(messages, m.MessageCT)
			wrote[v] = true
		}
	}
	if len(ids) == 0 {
		return wrote, nil
	}
	_, err = tx.Exec(ctx, s.sql("InboundKeep"), pgx.StrictNamedArgs{
		"vendor_ids": vendors, "ids": ids, "numbers": numbers, "messages": messages,
	})
	return wrote, err
}

// inboundPage is how many messages one transaction works off.
const inboundPage = 500

// TakeInbound works off a page of what people wrote to the vendor: open turns what the
// webhook sealed into what is kept, in one transaction; it must not touch the store. It
// returns how many were taken. Who wrote a keyword alone is suppressed, or no more.
// Repeats of Meta's change nothing.
func (s *Store) TakeInbound(ctx context.Context, v vendor.ID, open func([]WaitingInbound) ([]Inbound, error)) (int, error) {
	taken := 0
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		page, err := collect(ctx, tx, s.sql("InboundTake"), pgx.StrictNamedArgs{"vendor_id": v, "max_rows": inboundPage}, pgx.RowToStructByPos[WaitingInbound])
		if taken = len(page); err != nil || taken == 0 {
			return err
		}
		kept, err := open(page)
		if err != nil || len(kept) == 0 {
			return err
		}
		fresh, err := s.insertInbound(ctx, tx, v, kept)
		if err != nil {
			return err
		}
		if err := s.openWindows(ctx, tx, v, kept); err != nil {
			return err
		}
		return s.grantWishes(ctx, tx, v, fresh)
	})
	return taken, err
}

// insertInbound returns those that were not known yet.
func (s *Store) insertInbound(ctx context.Context, tx pgx.Tx, v vendor.ID, kept []Inbound) ([]Inbound, error) {
	n := len(kept)
	ids, numbers, types := make([]string, n), make([]string, n), make([]string, n)
	wamids, identities, messages := make([][]byte, n), make([][]byte, n), make([][]byte, n)
	written, received := make([]time.Time, n), make([]time.Time, n)
	for i, m := range kept {
		ids[i], numbers[i], types[i] = m.ID, string(m.SenderNumber), m.Type
		wamids[i], identities[i], messages[i] = m.WamidHash, m.Identities[0], m.MessageCT
		written[i], received[i] = m.WrittenAt, m.ReceivedAt
	}
	made, err := collect(ctx, tx, s.sql("InboundInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "ids": ids, "numbers": numbers, "wamids": wamids, "identities": identities, "types": types,
		"messages": messages, "written": written, "received": received,
	}, pgx.RowTo[string])
	return slices.DeleteFunc(slices.Clone(kept), func(m Inbound) bool { return !slices.Contains(made, m.ID) }), err
}

// grantWishes stops marketing to who said so, and lets it go on to who said that; of several
// words of one person the last counts.
func (s *Store) grantWishes(ctx context.Context, tx pgx.Tx, v vendor.ID, fresh []Inbound) error {
	type word struct {
		wish contact.Wish
		at   time.Time
	}
	last := map[string]word{}
	for _, m := range fresh {
		for _, who := range m.Identities {
			if m.Wish != "" && !m.WrittenAt.Before(last[string(who)].at) {
				last[string(who)] = word{m.Wish, m.WrittenAt}
			}
		}
	}
	for wish, statement := range map[contact.Wish]string{contact.Stop: "WishStop", contact.Start: "WishStart"} {
		var (
			who [][]byte
			at  []time.Time
		)
		for name, w := range last {
			if w.wish == wish {
				who, at = append(who, []byte(name)), append(at, w.at)
			}
		}
		if len(who) == 0 {
			continue
		}
		if _, err := tx.Exec(ctx, s.sql(statement), pgx.StrictNamedArgs{"vendor_id": v, "identities": who, "said_at": at}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) openWindows(ctx context.Context, tx pgx.Tx, v vendor.ID, kept []Inbound) error {
	var (
		numbers    []string
		identities [][]byte
		until      []time.Time
	)
	for _, m := range kept {
		for _, who := range m.Identities {
			if !m.OpenUntil.IsZero() {
				numbers, identities, until = append(numbers, string(m.SenderNumber)), append(identities, who), append(until, m.OpenUntil)
			}
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("WindowsOpen"), pgx.StrictNamedArgs{
		"vendor_id": v, "numbers": numbers, "identities": identities, "until": until,
	})
	return err
}

package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
)

// ContactRecord is a contact as it is kept: number and name sealed with the vendor's keys.
type ContactRecord struct {
	ID         contact.ID
	MobileCT   []byte
	NameCT     []byte // nil when unknown
	Country    string
	Labels     []contact.Label
	Attributes map[string]string
	OptedInAt  time.Time // zero when not told
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// LabelCount is a label with the number of its contacts.
type LabelCount struct {
	contact.Label
	Contacts int
}

// SuppressedAmong returns which of the identity hashes belong to somebody who must not
// be written to, by whatever identity that was told.
func (s *Store) SuppressedAmong(ctx context.Context, v vendor.ID, hashes [][]byte) (map[string]bool, error) {
	out := map[string]bool{}
	if len(hashes) == 0 {
		return out, nil
	}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("ContactSuppressed"), v, hashes)
		if err != nil {
			return err
		}
		var hash []byte
		_, err = pgx.ForEachRow(rows, []any{&hash}, func() error {
			out[string(hash)] = true
			return nil
		})
		return err
	})
	return out, err
}

// EnsureLabels returns the id of every label named, by contact.LabelKey, making those
// that are missing. It is a transaction of its own, so that a chunk under way does not
// make others wait for a new label; a label without contacts harms nobody.
func (s *Store) EnsureLabels(ctx context.Context, v vendor.ID, names []string) (map[string]contact.LabelID, error) {
	out := make(map[string]contact.LabelID, len(names))
	if len(names) == 0 {
		return out, nil
	}
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(contact.LabelKey(a), contact.LabelKey(b)) })
	names = slices.CompactFunc(names, func(a, b string) bool { return contact.LabelKey(a) == contact.LabelKey(b) })
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		if err := s.findLabels(ctx, tx, v, names, out); err != nil || len(out) == len(names) {
			return err
		}
		var missing []string
		var ids []contact.LabelID
		for _, n := range names {
			if _, is := out[contact.LabelKey(n)]; !is {
				missing, ids = append(missing, n), append(ids, id.New[contact.LabelID]())
			}
		}
		if _, err := tx.Exec(ctx, s.sql("LabelInsertAll"), v, ids, missing); err != nil {
			return err
		}
		return s.findLabels(ctx, tx, v, missing, out)
	})
	return out, err
}

func (s *Store) findLabels(ctx context.Context, tx pgx.Tx, v vendor.ID, names []string, into map[string]contact.LabelID) error {
	rows, err := tx.Query(ctx, s.sql("LabelByName"), v, names)
	if err != nil {
		return err
	}
	var seq int
	var label contact.LabelID
	_, err = pgx.ForEachRow(rows, []any{&seq, &label}, func() error {
		into[contact.LabelKey(names[seq-1])] = label
		return nil
	})
	return err
}

// ListLabels returns up to limit labels after the one named after ("" for the first),
// by name without regard to case.
func (s *Store) ListLabels(ctx context.Context, v vendor.ID, after string, limit int) ([]LabelCount, error) {
	var out []LabelCount
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("LabelList"), pgx.StrictNamedArgs{"vendor_id": v, "after": after, "limit": limit})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (LabelCount, error) {
			var l LabelCount
			err := row.Scan(&l.ID, &l.Name, &l.Contacts)
			return l, err
		})
		return err
	})
	return out, err
}

// Contact returns one contact with its labels and attributes.
//
// Errors: contact.not_found.
func (s *Store) Contact(ctx context.Context, v vendor.ID, c contact.ID) (ContactRecord, error) {
	var out []ContactRecord
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		one, err := scanContact(tx.QueryRow(ctx, s.sql("ContactByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": c}))
		if err != nil {
			return orNotFound(err, contact.ErrNotFound)
		}
		out = []ContactRecord{one}
		return s.decorate(ctx, tx, v, out)
	})
	if err != nil {
		return ContactRecord{}, err
	}
	return out[0], nil
}

// ContactFilter narrows a list of contacts. The zero value lists all.
type ContactFilter struct {
	Label    string // a label's name, without regard to case
	Identity []byte // an identity's hash: the one contact who has it
}

// ListContacts returns up to limit contacts after the one named after ("" for the
// first), in the order of their id, which is that of their making. A label nobody
// knows gives an empty list.
func (s *Store) ListContacts(ctx context.Context, v vendor.ID, f ContactFilter, after contact.ID, limit int) ([]ContactRecord, error) {
	var out []ContactRecord
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := s.queryContacts(ctx, tx, v, f, pgx.StrictNamedArgs{"vendor_id": v, "after": nullable(string(after)), "limit": limit})
		if err != nil || rows == nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ContactRecord, error) { return scanContact(row) })
		if err != nil {
			return err
		}
		return s.decorate(ctx, tx, v, out)
	})
	return out, err
}

func (s *Store) queryContacts(ctx context.Context, tx pgx.Tx, v vendor.ID, f ContactFilter, args pgx.StrictNamedArgs) (pgx.Rows, error) {
	switch {
	case f.Identity != nil:
		var c contact.ID
		err := tx.QueryRow(ctx, s.sql("ContactByIdentity"), pgx.StrictNamedArgs{"vendor_id": v, "hash": f.Identity}).Scan(&c)
		if err != nil {
			return nil, ignoreNoRows(err)
		}
		return tx.Query(ctx, s.sql("ContactByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": c})
	case f.Label != "":
		var label contact.LabelID
		err := tx.QueryRow(ctx, s.sql("LabelByText"), pgx.StrictNamedArgs{"vendor_id": v, "name": f.Label}).Scan(&label)
		if err != nil {
			return nil, ignoreNoRows(err)
		}
		args["label_id"] = label
		return tx.Query(ctx, s.sql("ContactListOfLabel"), args)
	}
	return tx.Query(ctx, s.sql("ContactList"), args)
}

func ignoreNoRows(err error) error {
	if orNotFound(err, contact.ErrNotFound) == contact.ErrNotFound { //nolint:errorlint // our own sentinel, as it is
		return nil
	}
	return err
}

// decorate adds labels and attributes to a page of contacts.
func (s *Store) decorate(ctx context.Context, tx pgx.Tx, v vendor.ID, page []ContactRecord) error {
	if len(page) == 0 {
		return nil
	}
	ids := make([]contact.ID, len(page))
	at := make(map[contact.ID]*ContactRecord, len(page))
	for i := range page {
		ids[i], at[page[i].ID] = page[i].ID, &page[i]
	}
	b := &pgx.Batch{}
	b.Queue(s.sql("ContactLabelsOf"), v, ids)
	b.Queue(s.sql("ContactAttributesOf"), v, ids)
	results := tx.SendBatch(ctx, b)
	defer results.Close()
	var c contact.ID
	var label contact.Label
	rows, _ := results.Query() // its error comes again from ForEachRow
	if _, err := pgx.ForEachRow(rows, []any{&c, &label.ID, &label.Name}, func() error {
		at[c].Labels = append(at[c].Labels, label)
		return nil
	}); err != nil {
		return err
	}
	var name, value string
	rows, _ = results.Query() // its error comes again from ForEachRow
	_, err := pgx.ForEachRow(rows, []any{&c, &name, &value}, func() error {
		if at[c].Attributes == nil {
			at[c].Attributes = map[string]string{}
		}
		at[c].Attributes[name] = value
		return nil
	})
	return err
}

func scanContact(row pgx.Row) (ContactRecord, error) {
	var c ContactRecord
	var opted *time.Time
	err := row.Scan(&c.ID, &c.MobileCT, &c.NameCT, &c.Country, &opted, &c.CreatedAt, &c.UpdatedAt)
	c.OptedInAt, c.CreatedAt, c.UpdatedAt = deref(opted).UTC(), c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return c, err
}

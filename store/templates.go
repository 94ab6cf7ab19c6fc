package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
)

// SyncedTemplate is a template as Meta printed it: its components are kept as they are.
type SyncedTemplate struct {
	MetaID, Name, Language, Category, Status, Format string
	Components                                       json.RawMessage
}

// TemplateFilter narrows a list of templates; empty fields narrow nothing. After is the
// last template of the page before.
type TemplateFilter struct {
	WABA                   waba.ID
	Name, Language, Status string
	After                  template.ID
	Limit                  int
}

// ReplaceTemplates makes the account's templates those that Meta listed: new ones are
// added, known ones (by name and language) brought up to date under their own ids, and
// the rest marked as deleted. It returns how many there are now. Idempotent.
func (s *Store) ReplaceTemplates(ctx context.Context, v vendor.ID, w waba.ID, all []SyncedTemplate) (int, error) {
	// Meta prints a name and language once; were it to print it twice, the last would win.
	slices.SortStableFunc(all, func(a, b SyncedTemplate) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Language, b.Language))
	})
	n := len(all)
	ids, metaIDs, names, languages := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	categories, statuses, formats, components := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, t := range all {
		ids[i], metaIDs[i], names[i], languages[i] = id.New[string](), t.MetaID, t.Name, t.Language
		categories[i], statuses[i], formats[i], components[i] = t.Category, t.Status, t.Format, string(t.Components)
	}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		// Two syncs of one account run one after the other.
		if _, err := tx.Exec(ctx, s.sql("WABASynced"), pgx.StrictNamedArgs{"vendor_id": v, "id": w}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("TemplateUpsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "waba_ref": w, "ids": ids, "meta_ids": metaIDs, "names": names, "languages": languages,
			"categories": categories, "statuses": statuses, "formats": formats, "components": components,
		}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.sql("TemplateMarkGone"), pgx.StrictNamedArgs{
			"vendor_id": v, "waba_ref": w, "names": names, "languages": languages,
		})
		return err
	})
	return n, err
}

// ListTemplates returns the vendor's templates by id, those deleted at Meta only when
// asked for by status.
func (s *Store) ListTemplates(ctx context.Context, v vendor.ID, f TemplateFilter) ([]template.Template, error) {
	var out []template.Template
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("TemplateList"), pgx.StrictNamedArgs{
			"vendor_id": v, "waba_ref": string(f.WABA), "name": f.Name, "language": f.Language, "status": f.Status,
			"after": string(f.After), "max_rows": f.Limit,
		})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (template.Template, error) { return scanTemplate(row) })
		return err
	})
	return out, err
}

// Template returns one template.
//
// Errors: template.not_found.
func (s *Store) Template(ctx context.Context, v vendor.ID, t template.ID) (template.Template, error) {
	var out template.Template
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = scanTemplate(tx.QueryRow(ctx, s.sql("TemplateByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": t}))
		return orNotFound(err, template.ErrNotFound)
	})
	return out, err
}

func scanTemplate(row pgx.Row) (template.Template, error) {
	var t template.Template
	var components []byte
	err := row.Scan(&t.ID, &t.WABA, &t.MetaID, &t.Name, &t.Language, &t.Category, &t.Status, &t.Format, &components, &t.SyncedAt)
	if err != nil {
		return t, err
	}
	t.SyncedAt = t.SyncedAt.UTC()
	if err := json.Unmarshal(components, &t.Components); err != nil {
		return t, template.ErrMalformed.With(err)
	}
	return t, nil
}

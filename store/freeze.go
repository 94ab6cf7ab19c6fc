package store

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// beforeAll is a cursor before every contact's id.
const beforeAll = "00000000-0000-0000-0000-000000000000"

// ZonesOf tells the IANA zones of a contact whose country does not tell them, from its
// sealed number.
type ZonesOf func(contact string, mobileCT []byte) ([]string, error)

// FreezePage is FreezeQuietPage without a look at numbers: quiet hours go by country.
//
// Errors: campaign.not_found, campaign.not_preparing.
func (s *Store) FreezePage(ctx context.Context, v vendor.ID, c campaign.ID, rows int) (frozen int, done bool, err error) {
	return s.FreezeQuietPage(ctx, v, c, rows, nil)
}

// FreezeQuietPage turns those of the audience's next rows contacts that get a message into
// messages, each with its event, in one short transaction. It returns how many are
// frozen in all and whether the audience is exhausted. A repeat goes on where the last
// commit stopped. With quiet hours a message becomes available at the first moment at
// which its recipient may be written to; zones is asked for numbers of countries with
// several time zones (nil: the country's zones are taken).
//
// Errors: campaign.not_found, campaign.not_preparing, and what zones returns.
func (s *Store) FreezeQuietPage(ctx context.Context, v vendor.ID, c campaign.ID, rows int, zones ZonesOf) (frozen int, done bool, err error) {
	err = s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.lockDispatch(ctx, tx, v, c)
		if err != nil {
			return err
		}
		if row.Status != campaign.Preparing {
			return errs.New(errs.Conflict, "campaign.not_preparing", "the campaign is not being prepared any more")
		}
		if replay, is, err := s.freezeReplay(ctx, tx, v, c, rows); err != nil || is {
			frozen, done = replay.frozen, replay.done
			return err
		}
		audience, err := campaign.ParseAudience(row.Audience)
		if err != nil {
			return err
		}
		parameters, err := campaign.ParseParameters(row.Parameters)
		if err != nil {
			return err
		}
		page := walk{audience: audience, category: row.Category, after: orZero(row.Cursor), rows: rows}
		err = s.walkTx(ctx, tx, v, &page)
		if err != nil {
			return err
		}
		args := pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "month": row.Month, "cursor": page.last, "contact_ids": page.kept,
			"attributes": texts(parameters.Attributes()),
		}
		quiet := quietPage{hours: row.Quiet, contacts: page.kept, zones: zones}
		if err := s.quietArgs(ctx, tx, v, quiet, args); err != nil {
			return err
		}
		done = page.walked < rows
		return tx.QueryRow(ctx, s.sql("FreezePage"), args).Scan(&frozen)
	})
	return frozen, done, err
}

// walk is a stretch of an audience, rows contacts behind the one named after ("" for the
// first): how many were looked at, the last of them, and those that get a message.
type walk struct {
	audience campaign.Audience
	category pricing.Category
	after    string
	rows     int

	walked int
	last   string
	kept   []string
}

func (s *Store) walkTx(ctx context.Context, tx pgx.Tx, v vendor.ID, w *walk) error {
	driving := w.audience.AnyLabels
	if len(driving) == 0 && len(w.audience.AllLabels) > 0 {
		driving = w.audience.AllLabels[:1]
	}
	var last *string
	w.last = cmp.Or(w.after, beforeAll)
	err := tx.QueryRow(ctx, s.sql("FreezeWalk"), pgx.StrictNamedArgs{
		"vendor_id": v, "driving": texts(driving), "all_labels": texts(w.audience.AllLabels), "excluded_labels": texts(w.audience.ExcludedLabels),
		"category": w.category, "cursor": w.last, "page_rows": w.rows,
	}).Scan(&w.walked, &last, &w.kept)
	if last != nil {
		w.last = *last
	}
	return err
}

// quietPage is a page whose messages wait for the end of their recipients' quiet hours.
type quietPage struct {
	hours    campaign.QuietHours
	contacts []string
	zones    ZonesOf // may be nil
}

// quietArgs adds the page's time zones and when their people may be written to.
func (s *Store) quietArgs(ctx context.Context, tx pgx.Tx, v vendor.ID, p quietPage, args pgx.StrictNamedArgs) error {
	args["zones"], args["zone_names"], args["zone_at"] = []string{}, []string{}, []time.Time{}
	if p.hours.IsZero() {
		return nil
	}
	joined, err := s.zonesTx(ctx, tx, v, p)
	if err != nil {
		return err
	}
	beside, now := make([]string, len(p.contacts)), time.Now()
	at := map[string]time.Time{}
	var known campaign.Zones
	for i, c := range p.contacts {
		beside[i] = joined[c]
		if _, ok := at[beside[i]]; !ok {
			at[beside[i]] = p.hours.Next(now, known.Locations(beside[i]))
		}
	}
	names, moments := make([]string, 0, len(at)), make([]time.Time, 0, len(at))
	for z, m := range at {
		names, moments = append(names, z), append(moments, m)
	}
	args["zones"], args["zone_names"], args["zone_at"] = beside, names, moments
	return nil
}

// zonesTx returns the zones of each contact of the page, as campaign.JoinZones writes them.
func (s *Store) zonesTx(ctx context.Context, tx pgx.Tx, v vendor.ID, p quietPage) (map[string]string, error) {
	rows, err := tx.Query(ctx, s.sql("FreezeNumbers"), pgx.StrictNamedArgs{
		"vendor_id": v, "contact_ids": p.contacts, "one_zone": phone.OneZoneCountries(),
	})
	if err != nil {
		return nil, err
	}
	var (
		contact, country string
		number           []byte
		joined           = make(map[string]string, len(p.contacts))
		byCountry        = map[string]string{}
	)
	_, err = pgx.ForEachRow(rows, []any{&contact, &country, &number}, func() error {
		if _, ok := byCountry[country]; !ok {
			byCountry[country] = campaign.JoinZones(phone.CountryTimeZones(country))
		}
		joined[contact] = byCountry[country]
		if number == nil || p.zones == nil {
			return nil
		}
		names, err := p.zones(contact, number)
		if len(names) > 0 {
			joined[contact] = campaign.JoinZones(names)
		}
		return err
	})
	return joined, err
}

// unquotedTx returns how many messages of each country go beyond what was quoted.
func (s *Store) unquotedTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID) (map[string]int64, error) {
	rows, err := tx.Query(ctx, s.sql("FreezeUnquoted"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c})
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	var (
		country string
		n       int64
	)
	_, err = pgx.ForEachRow(rows, []any{&country, &n}, func() error {
		out[country] = n
		return nil
	})
	return out, err
}

// MessageZones returns the IANA zones of job's recipients, with commas between them, as
// the freeze noted them: none without quiet hours.
func (s *Store) MessageZones(ctx context.Context, v vendor.ID, job SendJob) (map[message.ID]string, error) {
	out := map[message.ID]string{}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("FreezeZones"), pgx.StrictNamedArgs{"vendor_id": v, "month": job.Month, "message_ids": job.Messages})
		if err != nil {
			return err
		}
		var (
			m     message.ID
			zones string
		)
		_, err = pgx.ForEachRow(rows, []any{&m, &zones}, func() error {
			out[m] = zones
			return nil
		})
		return err
	})
	return out, err
}

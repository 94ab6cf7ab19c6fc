package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// NewVendor is what a registration creates: the vendor, its first user, and its data
// keys as the master key wrapped them.
type NewVendor struct {
	Vendor      vendor.Vendor
	Owner       vendor.User
	WrappedKeys []byte
}

// ErrEmailTaken refuses a second user with the same e-mail address.
var ErrEmailTaken = errs.New(errs.Conflict, "auth.email_taken", "this e-mail address has an account already")

// CreateVendor makes the vendor v with its owner, keys and empty wallet, and asks for
// the owner's verification mail, in one transaction. An owner whose e-mail is verified
// already (an operator vouched for it) gets no mail.
//
// Errors: auth.email_taken.
func (s *Store) CreateVendor(ctx context.Context, v vendor.ID, n NewVendor) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		b.Queue(s.sql("VendorInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "name": n.Vendor.Name, "default_region": n.Vendor.DefaultRegion,
			"currency": n.Vendor.Currency, "time_zone": n.Vendor.TimeZone,
		})
		b.Queue(s.sql("VendorKeyInsert"), pgx.StrictNamedArgs{"vendor_id": v, "version": 1, "wrapped": n.WrappedKeys})
		b.Queue(s.sql("UserInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": n.Owner.ID, "email": n.Owner.Email, "name": n.Owner.Name,
			"password_hash": n.Owner.PasswordHash, "role": n.Owner.Role, "verified": n.Owner.EmailVerified,
		})
		b.Queue(s.sql("VendorWalletInsert"), pgx.StrictNamedArgs{"vendor_id": v, "currency": n.Vendor.Currency})
		if !n.Owner.EmailVerified {
			b.Queue(s.sql("UserEnqueueVerification"), pgx.StrictNamedArgs{"vendor_id": v, "id": n.Owner.ID})
		}
		err := tx.SendBatch(ctx, b).Close()
		if violates(err, "users_email_key") {
			return ErrEmailTaken
		}
		return err
	})
}

// Vendor returns the vendor's settings.
//
// Errors: vendor.not_found.
func (s *Store) Vendor(ctx context.Context, v vendor.ID) (vendor.Vendor, error) {
	var out vendor.Vendor
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = scanVendor(tx.QueryRow(ctx, s.sql("VendorByID"), pgx.StrictNamedArgs{"vendor_id": v}))
		return orNotFound(err, vendor.ErrNotFound)
	})
	return out, err
}

// ChangeVendor lets change edit the settings of the vendor under its row's lock and
// keeps what comes out, as the next version. based is the version the caller saw, 0 for any.
//
// Errors: vendor.not_found, vendor.version_conflict, and what change returns.
func (s *Store) ChangeVendor(ctx context.Context, v vendor.ID, based int64, change func(*vendor.Vendor) error) (vendor.Vendor, error) {
	var out vendor.Vendor
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		was, err := scanVendor(tx.QueryRow(ctx, s.sql("VendorLock"), pgx.StrictNamedArgs{"vendor_id": v}))
		if err != nil {
			return orNotFound(err, vendor.ErrNotFound)
		}
		if based != 0 && based != was.Version {
			return vendor.ErrVersion
		}
		out = was
		if err := change(&out); err != nil {
			return err
		}
		return tx.QueryRow(ctx, s.sql("VendorUpdate"), pgx.StrictNamedArgs{
			"vendor_id": v, "name": out.Name, "default_region": out.DefaultRegion, "time_zone": out.TimeZone,
			"unknown_marketing": out.UnknownMarketing, "unknown_utility": out.UnknownUtility,
		}).Scan(&out.Version)
	})
	return out, err
}

// ListVendors returns every vendor by time of making. It crosses vendors: the operator's
// role may, no other gets more than its own.
func (s *Store) ListVendors(ctx context.Context) ([]vendor.Vendor, error) {
	var out []vendor.Vendor
	err := s.acrossTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("VendorList"))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (vendor.Vendor, error) { return scanVendor(row) })
		return err
	})
	return out, err
}

// VendorPage returns up to rows vendors' ids, those after the given one ("" is from the
// first). It crosses vendors, and tells ids alone.
func (s *Store) VendorPage(ctx context.Context, after vendor.ID, rows int) ([]vendor.ID, error) {
	var out []vendor.ID
	err := s.acrossTx(ctx, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("VendorPage"), pgx.StrictNamedArgs{"after": nullID(after), "rows": rows}, pgx.RowTo[vendor.ID])
		return err
	})
	return out, err
}

// VendorKeys returns the vendor's data keys as the master key wrapped them, newest version.
//
// Errors: vendor.keys_destroyed.
func (s *Store) VendorKeys(ctx context.Context, v vendor.ID) ([]byte, error) {
	var wrapped []byte
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, s.sql("VendorKeyNewest"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&wrapped)
		return orNotFound(err, vendor.ErrKeysDestroyed)
	})
	return wrapped, err
}

func scanVendor(row pgx.Row) (vendor.Vendor, error) {
	var v vendor.Vendor
	var created time.Time
	err := row.Scan(&v.ID, &v.Name, &v.Plan, &v.Status, &v.DefaultRegion, &v.Currency, &v.TimeZone, &v.Version, &created,
		&v.UnknownMarketing, &v.UnknownUtility)
	v.CreatedAt = created.UTC()
	return v, err
}

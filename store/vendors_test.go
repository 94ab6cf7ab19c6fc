package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// tenant is a vendor registered the way the gateway does it.
type tenant struct {
	*store.Store
	v     vendor.ID
	owner vendor.User
}

func openStore(t *testing.T, pool *pgxpool.Pool) *store.Store {
	t.Helper()
	s, err := store.New(pool)
	require.NoError(t, err)
	return s
}

func register(t *testing.T, s *store.Store, email string) tenant {
	t.Helper()
	v := id.New[vendor.ID]()
	owner := vendor.User{ID: id.New[vendor.UserID](), Email: email, Name: "Asha", PasswordHash: "$argon2id$x", Role: vendor.Owner}
	require.NoError(t, s.CreateVendor(t.Context(), v, store.NewVendor{
		Vendor: vendor.Vendor{Name: "Acme", DefaultRegion: "IN", Currency: "INR", TimeZone: "Asia/Kolkata"}, Owner: owner, WrappedKeys: []byte("wrapped"),
	}))
	return tenant{Store: s, v: v, owner: owner}
}

func TestCreateVendor_MakesAllOfIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openStore(t, db.App())
	a := register(t, s, "a@x.example")

	got, err := s.Vendor(t.Context(), a.v)
	require.NoError(t, err)
	require.Equal(t, "Acme", got.Name)
	require.EqualValues(t, 1, got.Version)
	require.Equal(t, vendor.Active, got.Status)
	keys, err := s.VendorKeys(t.Context(), a.v)
	require.NoError(t, err)
	require.Equal(t, "wrapped", string(keys))
	u, err := s.UserByEmail(t.Context(), "A@x.example")
	require.NoError(t, err)
	require.Equal(t, a.v, u.Vendor)
	require.False(t, u.EmailVerified)

	var events, wallets, turns int
	require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM outbox_events WHERE vendor_id = $1 AND kind = 'user.registered' AND subject_id = $2),
		(SELECT count(*) FROM wallets WHERE vendor_id = $1 AND currency = 'INR'),
		(SELECT count(*) FROM outbox_turns WHERE vendor_id = $1)`, a.v, string(a.owner.ID)).Scan(&events, &wallets, &turns))
	require.Equal(t, []int{1, 1, 1}, []int{events, wallets, turns})

	err = s.CreateVendor(t.Context(), id.New[vendor.ID](), store.NewVendor{
		Vendor: got, Owner: vendor.User{ID: id.New[vendor.UserID](), Email: "a@x.example", PasswordHash: "x", Role: vendor.Owner},
	})
	require.ErrorIs(t, err, store.ErrEmailTaken)
	all, err := openStore(t, db.Operator()).ListVendors(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1, "the refused registration left nothing")
	mine, err := s.ListVendors(t.Context())
	require.NoError(t, err)
	require.Empty(t, mine, "the application's role lists no vendors")
}

func TestChangeVendor_KnowsVersions(t *testing.T) {
	t.Parallel()
	s := openStore(t, pgtest.New(t).App())
	a := register(t, s, "a@x.example")
	rename := func(name string) func(*vendor.Vendor) error {
		return func(v *vendor.Vendor) error { v.Name = name; return nil }
	}
	got, err := s.ChangeVendor(t.Context(), a.v, 1, rename("Beta"))
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	_, err = s.ChangeVendor(t.Context(), a.v, 1, rename("Gamma"))
	require.ErrorIs(t, err, vendor.ErrVersion)
	refused := errors.New("no")
	_, err = s.ChangeVendor(t.Context(), a.v, 0, func(*vendor.Vendor) error { return refused })
	require.ErrorIs(t, err, refused)
	got, err = s.Vendor(t.Context(), a.v)
	require.NoError(t, err)
	require.Equal(t, "Beta", got.Name)
}

func TestVerifyEmail_WorksOnceAndForItsVendorOnly(t *testing.T) {
	t.Parallel()
	s := openStore(t, pgtest.New(t).App())
	a, b := register(t, s, "a@x.example"), register(t, s, "b@x.example")
	hash, old := []byte("hash"), []byte("old")
	require.NoError(t, s.CreateVerification(t.Context(), a.v, a.owner.ID, hash, time.Now().Add(time.Hour)))
	require.NoError(t, s.CreateVerification(t.Context(), a.v, a.owner.ID, old, time.Now().Add(-time.Hour)))
	require.ErrorIs(t, s.VerifyEmail(t.Context(), b.v, hash), store.ErrUserToken)
	require.ErrorIs(t, s.VerifyEmail(t.Context(), a.v, old), store.ErrUserToken)
	require.ErrorIs(t, s.VerifyEmail(t.Context(), "nobody", hash), store.ErrUserToken)
	require.NoError(t, s.VerifyEmail(t.Context(), a.v, hash))
	require.ErrorIs(t, s.VerifyEmail(t.Context(), a.v, hash), store.ErrUserToken)
	u, err := s.User(t.Context(), a.v, a.owner.ID)
	require.NoError(t, err)
	require.True(t, u.EmailVerified)
	_, err = s.User(t.Context(), b.v, a.owner.ID)
	require.ErrorIs(t, err, store.ErrUserNotFound)
}

func TestRotateRefreshToken_RevokesTheFamilyOnReuse(t *testing.T) {
	t.Parallel()
	s := openStore(t, pgtest.New(t).App())
	a := register(t, s, "a@x.example")
	ctx, end := t.Context(), time.Now().Add(time.Hour)
	token := func(name string) store.RefreshToken {
		return store.RefreshToken{Hash: []byte(name), Family: id.Random(), Expiry: end}
	}
	require.NoError(t, s.CreateRefreshToken(ctx, a.v, a.owner.ID, token("one")))
	u, err := s.RotateRefreshToken(ctx, a.v, []byte("one"), token("two"))
	require.NoError(t, err)
	require.Equal(t, a.owner.ID, u.ID)
	_, err = s.RotateRefreshToken(ctx, a.v, []byte("one"), token("thief"))
	require.ErrorIs(t, err, store.ErrRefreshReuse)
	_, err = s.RotateRefreshToken(ctx, a.v, []byte("two"), token("three"))
	require.ErrorIs(t, err, store.ErrRefresh, "the good one is dead too")

	require.NoError(t, s.CreateRefreshToken(ctx, a.v, a.owner.ID, token("next")))
	_, err = s.RotateRefreshToken(ctx, a.v, []byte("absent"), token("x"))
	require.ErrorIs(t, err, store.ErrRefresh)
	require.NoError(t, s.RevokeRefreshToken(ctx, a.v, []byte("next")))
	require.NoError(t, s.RevokeRefreshToken(ctx, a.v, []byte("absent")))
	_, err = s.RotateRefreshToken(ctx, a.v, []byte("next"), token("y"))
	require.ErrorIs(t, err, store.ErrRefresh, "logged out")
}

func seal(text string) func(waba.ID) ([]byte, error) {
	return func(w waba.ID) ([]byte, error) { return []byte(text + " of " + string(w)), nil }
}

func TestWABAs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := openStore(t, db.App())
	a, b := register(t, s, "a@x.example"), register(t, s, "b@x.example")
	ctx := t.Context()
	first, err := s.ConnectWABA(ctx, a.v, waba.Account{ID: id.New[waba.ID](), MetaID: "101", Name: "Acme"}, seal("t1"))
	require.NoError(t, err)
	again, err := s.ConnectWABA(ctx, a.v, waba.Account{ID: id.New[waba.ID](), MetaID: "101", Name: "Acme 2"}, seal("t2"))
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	metaID, sealed, err := s.WABAToken(ctx, a.v, first.ID)
	require.NoError(t, err)
	require.Equal(t, "101", metaID)
	require.Equal(t, "t2 of "+string(first.ID), string(sealed), "sealed for the row it is in")
	_, err = s.ConnectWABA(ctx, b.v, waba.Account{ID: id.New[waba.ID](), MetaID: "101"}, seal("t3"))
	require.ErrorIs(t, err, waba.ErrTaken)

	number := waba.Number{ID: id.New[waba.NumberID](), WABA: first.ID, MetaID: "201", Throughput: "HIGH", RatePerSecond: 1000, Status: "CONNECTED", Quality: "GREEN"}
	n, err := s.ConnectSenderNumber(ctx, a.v, number)
	require.NoError(t, err)
	number.ID, number.RatePerSecond = id.New[waba.NumberID](), 80
	n2, err := s.ConnectSenderNumber(ctx, a.v, number)
	require.NoError(t, err)
	require.Equal(t, n.ID, n2.ID)
	require.Equal(t, 80, n2.RatePerSecond)
	_, err = s.ConnectSenderNumber(ctx, b.v, number)
	require.ErrorIs(t, err, waba.ErrNotFound, "not that vendor's account")
	other, err := s.ConnectWABA(ctx, b.v, waba.Account{ID: id.New[waba.ID](), MetaID: "102"}, seal("t4"))
	require.NoError(t, err)
	number.WABA = other.ID
	_, err = s.ConnectSenderNumber(ctx, b.v, number)
	require.ErrorIs(t, err, waba.ErrNumberTaken)

	require.NoError(t, s.RequestTemplateSync(ctx, a.v, first.ID))
	require.NoError(t, s.RequestTemplateSync(ctx, a.v, first.ID))
	require.ErrorIs(t, s.RequestTemplateSync(ctx, b.v, first.ID), waba.ErrNotFound)
	var events int
	require.NoError(t, db.Super().QueryRow(ctx, `SELECT count(*) FROM outbox_events WHERE kind = 'waba.template_sync'`).Scan(&events))
	require.Equal(t, 1, events)
	for who, want := range map[vendor.ID]int{a.v: 1, b.v: 1} {
		wabas, err := s.ListWABAs(ctx, who)
		require.NoError(t, err)
		require.Len(t, wabas, want)
	}
	numbers, err := s.ListSenderNumbers(ctx, b.v)
	require.NoError(t, err)
	require.Empty(t, numbers)
}

func TestReplaceTemplates(t *testing.T) {
	t.Parallel()
	s := openStore(t, pgtest.New(t).App())
	a, b := register(t, s, "a@x.example"), register(t, s, "b@x.example")
	ctx := t.Context()
	w, err := s.ConnectWABA(ctx, a.v, waba.Account{ID: id.New[waba.ID](), MetaID: "101"}, seal("t"))
	require.NoError(t, err)
	one := store.SyncedTemplate{
		MetaID: "1", Name: "promo", Language: "en", Category: "MARKETING", Status: "PENDING", Format: "POSITIONAL",
		Components: json.RawMessage(`[{"type":"BODY","text":"Hi {{1}}.","example":{"body_text":[["x"]]}}]`),
	}
	two := one
	two.Language, two.MetaID = "de", "2"
	n, err := s.ReplaceTemplates(ctx, a.v, w.ID, []store.SyncedTemplate{one, two})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	before, err := s.ListTemplates(ctx, a.v, store.TemplateFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, before, 2)

	one.Status = template.Approved
	_, err = s.ReplaceTemplates(ctx, a.v, w.ID, []store.SyncedTemplate{one, one})
	require.NoError(t, err)
	after, err := s.ListTemplates(ctx, a.v, store.TemplateFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, after, 1)
	require.Equal(t, template.Approved, after[0].Status)
	require.Equal(t, "Hi {{1}}.", after[0].Components[0].Text)
	ids := map[string]template.ID{}
	for _, tmpl := range before {
		ids[tmpl.Language] = tmpl.ID
	}
	require.Equal(t, ids["en"], after[0].ID, "a known template keeps its id")
	gone, err := s.Template(ctx, a.v, ids["de"])
	require.NoError(t, err)
	require.Equal(t, template.Deleted, gone.Status)
	page, err := s.ListTemplates(ctx, a.v, store.TemplateFilter{Limit: 10, After: ids["en"]})
	require.NoError(t, err)
	require.Empty(t, page)
	_, err = s.Template(ctx, b.v, ids["en"])
	require.ErrorIs(t, err, template.ErrNotFound)
	none, err := s.ListTemplates(ctx, b.v, store.TemplateFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestOnce_DoesOneThing(t *testing.T) {
	t.Parallel()
	s := openStore(t, pgtest.New(t).App())
	a, b := register(t, s, "a@x.example"), register(t, s, "b@x.example")
	runs := 0
	do := func(ctx context.Context, v vendor.ID, hash string, fail error) (int, error) {
		return s.RunOnce(ctx, v, store.Once[int]{
			Route: "POST /x", Key: "k", Hash: []byte(hash), Answer: func(n int) ([]byte, error) { return json.Marshal(n) },
		}, func() (int, error) { runs++; return runs, fail })
	}
	failed := errors.New("no")
	_, err := do(t.Context(), a.v, "h", failed)
	require.ErrorIs(t, err, failed)
	n, err := do(t.Context(), a.v, "h", nil)
	require.NoError(t, err, "what failed may be tried again under its key")
	require.Equal(t, 2, n)
	_, err = do(t.Context(), a.v, "h", nil)
	repeat, ok := errors.AsType[*store.Repeat](err)
	require.True(t, ok, "%v", err)
	require.True(t, bytes.Equal([]byte("2"), repeat.Answer))
	_, err = do(t.Context(), a.v, "other", nil)
	require.ErrorIs(t, err, store.ErrKeyReused)
	n, err = do(t.Context(), b.v, "h", nil)
	require.NoError(t, err, "keys are a vendor's own")
	require.Equal(t, 3, n)
}

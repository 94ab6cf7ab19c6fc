package activities_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/smtptest"
	"github.com/kloyst/kloyst-core/store"
)

// treasury is the wallet's activities over a real database and mail server, with one vendor.
type treasury struct {
	*activities.Wallets

	db      *pgtest.DB
	vendor  vendor.ID
	mails   <-chan string
	metrics *prometheus.Registry
	log     *bytes.Buffer
}

func newTreasury(t *testing.T) treasury {
	t.Helper()
	db := pgtest.New(t)
	s, err := store.New(db.App())
	require.NoError(t, err)
	server := smtptest.New(t, "")
	sender, err := mail.New(mail.Options{Addr: server.Addr, TLS: mail.None, From: "no-reply@kloyst.example"})
	require.NoError(t, err)
	k := treasury{db: db, vendor: id.New[vendor.ID](), mails: server.Mails, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	k.Wallets = &activities.Wallets{Store: s, Sender: sender, Log: slog.New(slog.NewJSONHandler(k.log, nil)), Metrics: activities.NewWalletMetrics(k.metrics)}
	require.NoError(t, s.CreateVendor(t.Context(), k.vendor, store.NewVendor{
		Vendor: vendor.Vendor{Name: "Acme", DefaultRegion: "IN", Currency: "INR", TimeZone: "UTC"}, WrappedKeys: []byte("w"),
		Owner: vendor.User{
			ID: id.New[vendor.UserID](), Email: "asha@acme.example", Name: "Asha", PasswordHash: "x", Role: vendor.Owner, EmailVerified: true,
		},
	}))
	return k
}

// moves books money into or out of the wallet by hand.
func (k treasury) moves(t *testing.T, amount money.Micros) {
	t.Helper()
	_, err := k.Store.TopUp(t.Context(), k.vendor, "INR", wallet.Adjust(id.Random(), amount, "test", "to move it"))
	require.NoError(t, err)
}

// rung tells whether the wallet asked for its alert since it was last asked.
func (k treasury) rung(t *testing.T) bool {
	t.Helper()
	tag, err := k.db.Super().Exec(t.Context(), `DELETE FROM outbox_events WHERE kind = 'wallet.low' AND vendor_id = $1`, k.vendor)
	require.NoError(t, err)
	return tag.RowsAffected() == 1
}

func TestLowBalance_IsToldOnceACrossing(t *testing.T) {
	t.Parallel()
	k := newTreasury(t)
	ctx, ref := t.Context(), activities.VendorRef{Vendor: k.vendor}
	mails := func(want int) {
		t.Helper()
		require.NoError(t, k.SendLowBalance(ctx, ref))
		require.NoError(t, k.SendLowBalance(ctx, ref), "a repeat")
		require.Len(t, k.mails, want)
		for range want {
			require.Contains(t, <-k.mails, "asha@acme.example")
		}
	}
	k.moves(t, 100*money.Unit)
	require.False(t, k.rung(t), "nobody asked to be told")
	mails(0)

	_, err := k.Store.SetLowBalance(ctx, k.vendor, new(50*money.Unit))
	require.NoError(t, err)
	require.False(t, k.rung(t))
	k.moves(t, -50*money.Unit)
	require.False(t, k.rung(t), "fifty is not below fifty")
	k.moves(t, -1)
	require.True(t, k.rung(t))
	mails(1)
	k.moves(t, -money.Unit)
	require.False(t, k.rung(t), "it was below before")
	mails(0)
	k.moves(t, 20*money.Unit)
	k.moves(t, -20*money.Unit)
	require.True(t, k.rung(t), "a second crossing")
	mails(1)

	k.moves(t, 20*money.Unit)
	k.moves(t, -20*money.Unit)
	require.True(t, k.rung(t))
	k.moves(t, 20*money.Unit)
	mails(0) // topped up before anybody was told

	w, err := k.Store.SetLowBalance(ctx, k.vendor, new(500*money.Unit))
	require.NoError(t, err)
	require.False(t, w.LowSince.IsZero())
	require.True(t, k.rung(t), "a threshold above the balance")
	mails(1)
	w, err = k.Store.SetLowBalance(ctx, k.vendor, nil)
	require.NoError(t, err)
	require.True(t, w.LowSince.IsZero())
	require.Nil(t, w.LowBalance)
	k.moves(t, -money.Unit)
	require.False(t, k.rung(t))
	_, err = k.Store.SetLowBalance(ctx, k.vendor, new(money.Micros))
	require.ErrorIs(t, err, wallet.ErrThreshold)
}

func TestReconcileWallets_CountsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	k := newTreasury(t)
	k.moves(t, 100*money.Unit)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(k.Wallets)
	look := func() activities.Reconciled {
		t.Helper()
		value, err := env.ExecuteActivity(k.ReconcileWallets, activities.ReconcilePage{})
		require.NoError(t, err)
		var got activities.Reconciled
		require.NoError(t, value.Get(&got))
		return got
	}
	require.Equal(t, activities.Reconciled{Vendors: 1}, look())
	_, err := k.db.Super().Exec(t.Context(), `BEGIN; SET LOCAL session_replication_role = replica;
		UPDATE ledger_accounts SET balance_micros = balance_micros + 3 WHERE kind = 'WALLET'; COMMIT`)
	require.NoError(t, err)
	require.Equal(t, activities.Reconciled{Vendors: 1, Wrong: 1, Drift: 6}, look(), "of the account, and of all together")
	families, err := k.metrics.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, f := range families {
		counted[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	require.Equal(t, map[string]float64{
		"kloyst_wallet_reconciled_total": 2, "kloyst_wallet_drift_total": 1, "kloyst_wallet_drift_micros_total": 6,
	}, counted)
	require.Contains(t, k.log.String(), `"level":"ERROR"`)
	require.Contains(t, k.log.String(), `"balance_drift_micros":3`)
}

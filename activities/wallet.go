package activities

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// Wallets watches over the vendors' money.
type Wallets struct {
	Store   *store.Store
	Keys    *crypt.Keys
	Meta    *meta.Client
	Sender  *mail.Sender
	Log     *slog.Logger
	Metrics *WalletMetrics
}

// WalletMetrics count what reconciling found. Counters, not gauges: any worker may look at
// a vendor next.
type WalletMetrics struct {
	reconciled, wrong prometheus.Counter
	drift             prometheus.Counter
}

// NewWalletMetrics makes and registers the counters.
func NewWalletMetrics(to prometheus.Registerer) *WalletMetrics {
	m := &WalletMetrics{
		reconciled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kloyst_wallet_reconciled_total", Help: "Wallets whose balances were held against their entries, messages and payments.",
		}),
		wrong: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kloyst_wallet_drift_total", Help: "Wallets that did not add up when they were looked at. Must stay 0.",
		}),
		drift: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kloyst_wallet_drift_micros_total", Help: "Money that was not where it should be, in micros of its currency, at each look.",
		}),
	}
	to.MustRegister(m.reconciled, m.wrong, m.drift)
	return m
}

// VendorRef names a vendor.
type VendorRef struct {
	Vendor vendor.ID `json:"vendor"`
}

// SendLowBalance mails the vendor's owners and admins that the wallet is below its
// threshold, unless it was topped up meanwhile or they were told of this crossing before. A
// crash between mail and note sends it again. An address that is refused for good keeps the
// others from nothing.
func (a *Wallets) SendLowBalance(ctx context.Context, in VendorRef) error {
	w, err := a.Store.Wallet(ctx, in.Vendor)
	if err != nil {
		return toTemporal(err)
	}
	if !w.Alert() || w.LowBalance == nil {
		return nil
	}
	v, err := a.Store.Vendor(ctx, in.Vendor)
	if err != nil {
		return toTemporal(err)
	}
	people, err := a.Store.Stewards(ctx, in.Vendor)
	if err != nil {
		return toTemporal(err)
	}
	for _, p := range people {
		err := a.Sender.SendLowBalance(ctx, mail.LowBalance{
			To: p.Email, Name: p.Name, Vendor: v.Name,
			Balance: w.Currency.Format(w.Balance), Held: w.Currency.Format(w.Held), Threshold: w.Currency.Format(*w.LowBalance),
		})
		if err != nil && !errors.Is(err, mail.ErrRefused) {
			return toTemporal(err)
		}
	}
	return toTemporal(a.Store.NoteAlerted(ctx, in.Vendor, w.LowSince))
}

// ReconcilePage is the vendors that one call of ReconcileWallets looks at.
type ReconcilePage struct {
	After vendor.ID `json:"after"` // "": from the first
}

// Reconciled is what a page, or a whole round, came to.
type Reconciled struct {
	Last    vendor.ID    `json:"last,omitempty"` // go on after it; "": there are no more
	Vendors int          `json:"vendors"`
	Wrong   int          `json:"wrong"`
	Drift   money.Micros `json:"drift_micros"`
}

// reconcilePage bounds one activity. Reading a vendor's books takes milliseconds, and
// seconds once it has sent millions.
const reconcilePage = 50

// ReconcileWallets holds the books of a page of vendors against themselves. What does not
// add up is logged as an error and counted; it stops nothing. It changes nothing.
func (a *Wallets) ReconcileWallets(ctx context.Context, in ReconcilePage) (Reconciled, error) {
	page, err := a.Store.VendorPage(ctx, in.After, reconcilePage)
	if err != nil {
		return Reconciled{}, toTemporal(err)
	}
	var out Reconciled
	for _, v := range page {
		d, err := a.Store.ReconcileWallet(ctx, v)
		if err != nil {
			return Reconciled{}, toTemporal(err)
		}
		out.Vendors++
		a.Metrics.reconciled.Inc()
		if !d.OK() {
			out.Wrong++
			out.Drift += d.Total()
			a.Metrics.wrong.Inc()
			a.Metrics.drift.Add(float64(d.Total())) // a metric: no sum is paid by it
			a.Log.ErrorContext(ctx, "a wallet does not add up", "vendor_id", v, "balance_drift_micros", int64(d.Micros),
				"sum_micros", int64(d.Sum), "unbalanced_transactions", d.Unbalanced, "held_by_finished_micros", int64(d.HeldFinished),
				"uncharged_micros", int64(d.Uncharged), "fees_micros", int64(d.Fees), "payments", d.Payments)
		}
		activity.RecordHeartbeat(ctx, v)
	}
	if len(page) == reconcilePage {
		out.Last = page[len(page)-1]
	}
	return out, nil
}

// MetaBillingPage is the vendors whose accounts one call of PullMetaBilling reads, and the
// days, as UTC dates.
type MetaBillingPage struct {
	After vendor.ID `json:"after"` // "": from the first
	From  string    `json:"from"`  // 2026-11-20, included
	Until string    `json:"until"` // not included
}

// MetaBillingPulled is what a page, or a whole round, came to.
type MetaBillingPulled struct {
	Last     vendor.ID `json:"last,omitempty"` // go on after it; "": there are no more
	Accounts int       `json:"accounts"`
	Failed   int       `json:"failed"` // that Meta did not answer for: the next round asks again
	Lines    int       `json:"lines"`
}

// PullMetaBilling reads Meta's own count of what it bills, account by account, and keeps it
// in place of what was known of these days. An account that Meta does not answer for is
// logged and left to the next round, which reads the last days again. Idempotent.
func (a *Wallets) PullMetaBilling(ctx context.Context, in MetaBillingPage) (MetaBillingPulled, error) {
	var out MetaBillingPulled
	from, err := time.Parse(time.DateOnly, in.From)
	if err != nil {
		return out, toTemporal(wallet.ErrPeriod)
	}
	until, err := time.Parse(time.DateOnly, in.Until)
	if err != nil {
		return out, toTemporal(wallet.ErrPeriod)
	}
	page, err := a.Store.VendorPage(ctx, in.After, reconcilePage)
	if err != nil {
		return out, toTemporal(err)
	}
	for _, v := range page {
		accounts, err := a.Store.ConnectedWABAs(ctx, v)
		if err != nil {
			return out, toTemporal(err)
		}
		for _, w := range accounts {
			n, err := a.pullAccount(ctx, v, w, wallet.Period{From: from, Until: until})
			out.Accounts, out.Lines = out.Accounts+1, out.Lines+n
			if err != nil {
				out.Failed++
				a.Log.WarnContext(ctx, "an account's billing was not read", "vendor_id", v, "waba", w, "error", err)
			}
			activity.RecordHeartbeat(ctx, w)
		}
	}
	if len(page) == reconcilePage {
		out.Last = page[len(page)-1]
	}
	return out, ctx.Err()
}

func (a *Wallets) pullAccount(ctx context.Context, v vendor.ID, w waba.ID, days wallet.Period) (int, error) {
	metaID, sealed, err := a.Store.WABAToken(ctx, v, w)
	if err != nil {
		return 0, err
	}
	keys, err := a.Keys.For(ctx, v)
	if err != nil {
		return 0, err
	}
	token, err := keys.Decrypt(crypt.WABAToken, string(w), sealed)
	if err != nil {
		return 0, err
	}
	points, err := a.Meta.PricingAnalytics(ctx, string(token), metaID, days.From, days.Until)
	if err != nil {
		return 0, meta.Classify(err)
	}
	counts := make([]store.MetaCount, len(points))
	for i, p := range points {
		counts[i] = store.MetaCount{
			Day: p.Start.Truncate(24 * time.Hour), Country: p.Country, Phone: p.Phone, Category: p.Category, Type: p.Type,
			Tier: p.Tier, Volume: p.Volume, Cost: p.Cost,
		}
	}
	return len(counts), a.Store.ReplaceMetaBilling(ctx, v, w, days, counts)
}

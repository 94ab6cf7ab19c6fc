package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/payment"
	"github.com/kloyst/kloyst-core/store"
)

// PaymentProvider is one way to be paid: internal/payment has them. The other side is not
// ours.
type PaymentProvider interface {
	Name() wallet.Provider
	PublicKey() string
	CreateOrder(ctx context.Context, receipt string, currency money.Currency, amount money.Micros) (string, error)
	Read(h http.Header, body []byte) (p wallet.Payment, ok bool, err error)
}

// payments lets a vendor top its wallet up through a provider, and hears from it.
type payments struct {
	store    *store.Store
	provider PaymentProvider // nil: not set up
	log      *slog.Logger
}

type paymentOrderBody struct {
	ID              string               `json:"id"`
	Provider        wallet.Provider      `json:"provider" enum:"RAZORPAY"`
	ProviderOrderID string               `json:"provider_order_id" doc:"What the provider's checkout is opened with"`
	ProviderKey     string               `json:"provider_key,omitempty" doc:"Whom the checkout pays: the provider's public key of ours"`
	Currency        money.Currency       `json:"currency"`
	AmountMicros    money.Micros         `json:"amount_micros"`
	Status          wallet.PaymentStatus `json:"status" enum:"CREATED,PAID" doc:"PAID: the wallet was topped up"`
	CreatedAt       time.Time            `json:"created_at"`
	PaidAt          *time.Time           `json:"paid_at,omitempty"`
}

func (h *payments) body(o wallet.PaymentOrder) paymentOrderBody {
	b := paymentOrderBody{
		ID: o.ID, Provider: o.Provider, ProviderOrderID: o.Remote, Currency: o.Currency, AmountMicros: o.Amount, Status: o.Status, CreatedAt: o.CreatedAt,
	}
	if h.provider != nil {
		b.ProviderKey = h.provider.PublicKey()
	}
	if !o.PaidAt.IsZero() {
		b.PaidAt = &o.PaidAt
	}
	return b
}

type createPaymentOrderInput struct {
	httpx.Once
	Body struct {
		AmountMicros money.Micros `json:"amount_micros" doc:"In the wallet's currency: at least 1.00, whole hundredths" example:"500000000"`
	}
}

// create asks the provider to expect a payment. The wallet changes when the provider says,
// under its signature, that it has the money; never by what a browser says.
func (h *payments) create(ctx context.Context, who httpx.Principal, in *createPaymentOrderInput) (*httpx.Reply[paymentOrderBody], error) {
	if h.provider == nil {
		return nil, wallet.ErrNoProvider
	}
	return once(ctx, in.Once, in.Body, h.body, func(o store.Once[wallet.PaymentOrder]) (wallet.PaymentOrder, error) {
		w, err := h.store.Wallet(ctx, who.Vendor)
		if err != nil {
			return wallet.PaymentOrder{}, err
		}
		order := wallet.PaymentOrder{ID: id.New[string](), Provider: h.provider.Name(), Currency: w.Currency, Amount: in.Body.AmountMicros}
		if order.Remote, err = h.provider.CreateOrder(ctx, order.ID, order.Currency, order.Amount); err != nil {
			return order, err
		}
		return h.store.CreatePaymentOrder(ctx, who.Vendor, store.NewPaymentOrder{Order: order, By: who.User}, o)
	})
}

func (h *payments) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[paymentOrderBody], error) {
	key, err := httpx.ID[string](in.ID)
	if err != nil {
		return nil, err
	}
	o, err := h.store.PaymentOrder(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	return httpx.OK(h.body(o)), nil
}

// maxNotice bounds a provider's notice: they have a few kilobytes.
const maxNotice = 256 << 10

// notice takes what the provider tells. Only a signature makes it believed; then the answer
// is 200 for all that a repeat would not change, so that the provider stops repeating, and
// an error for what may go better the next time.
func (h *payments) notice(w http.ResponseWriter, r *http.Request) error {
	if h.provider == nil {
		return wallet.ErrNoProvider
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotice))
	if err != nil {
		return payment.ErrNotice
	}
	p, ok, err := h.provider.Read(r.Header, body)
	if err != nil {
		return err
	}
	if ok {
		if err := h.book(r.Context(), p); err != nil {
			return err
		}
	}
	return httpx.Write(w, http.StatusOK, map[string]bool{"received": true})
}

func (h *payments) book(ctx context.Context, p wallet.Payment) error {
	name := h.provider.Name()
	v, err := h.store.PaymentVendor(ctx, name, p.Order)
	if errors.Is(err, wallet.ErrOrderNotFound) {
		// Another product's on the same account, or one whose order was made just when we failed.
		h.log.WarnContext(ctx, "a payment names no order of ours", "provider", name, "payment_id", p.ID, "order_id", p.Order)
		return nil
	}
	if err != nil {
		return err
	}
	outcome, reason, err := h.store.BookPayment(ctx, v, name, p)
	if err == nil && outcome == wallet.PaymentRefused {
		h.log.ErrorContext(ctx, "a payment was not booked: refund it at the provider or adjust the wallet",
			"vendor_id", v, "provider", name, "payment_id", p.ID, "order_id", p.Order, "reason", reason)
	}
	return err
}

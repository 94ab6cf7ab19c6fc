package payment

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Razorpay is the provider of that name: orders by its REST API, payments by its webhooks.
// Source: Razorpay, Orders API and Webhooks, read 2026-11.
type Razorpay struct {
	base, key, secret string
	webhookSecrets    []string
	http              *http.Client
}

// RazorpayOptions are an account's keys.
type RazorpayOptions struct {
	BaseURL string // RAZORPAY_URL
	KeyID   string // RAZORPAY_KEY_ID: public
	Secret  string // RAZORPAY_KEY_SECRET

	// WebhookSecrets sign notices; several are valid while one is rotated out: old notices
	// are repeated under the old one.
	WebhookSecrets []string
}

// razorpayTimeout of one call; the caller is a person at a checkout.
const razorpayTimeout = 15 * time.Second

// NewRazorpay returns the provider. It does not connect.
//
// Errors: payment.bad_config.
func NewRazorpay(o RazorpayOptions) (*Razorpay, error) {
	if o.BaseURL == "" || o.KeyID == "" || o.Secret == "" || len(o.WebhookSecrets) == 0 {
		return nil, errs.New(errs.Invalid, "payment.bad_config", "Razorpay needs an address, a key, its secret and a webhook secret")
	}
	return &Razorpay{
		base: strings.TrimRight(o.BaseURL, "/"), key: o.KeyID, secret: o.Secret, webhookSecrets: o.WebhookSecrets,
		http: &http.Client{Timeout: razorpayTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the secret goes nowhere else
		}},
	}, nil
}

// Name tells the provider.
func (*Razorpay) Name() wallet.Provider { return wallet.Razorpay }

// PublicKey is what a client's checkout names us by.
func (r *Razorpay) PublicKey() string { return r.key }

// minorUnit is a hundredth, which is the smallest unit of every currency taken here; least
// is the smallest payment, one main unit.
const (
	minorUnit = money.Unit / 100
	least     = money.Unit
)

// hundredths tells whether the currency is paid in hundredths. Pesos of Chile have none, and
// others round in ways that differ between providers: they are not taken.
func hundredths(c money.Currency) bool {
	switch c {
	case "INR", "USD", "EUR", "GBP", "SGD", "AED", "AUD", "MYR", "SAR", "BRL", "MXN":
		return true
	}
	return false
}

type razorpayOrder struct {
	ID       string         `json:"id"`
	Amount   int64          `json:"amount"`
	Currency money.Currency `json:"currency"`
	Receipt  string         `json:"receipt"`
}

// CreateOrder asks Razorpay to expect a payment, and returns its id of the order. receipt is
// ours, at most 40 characters, and used once. A repeat makes another order, which costs
// nothing.
//
// Errors: payment.bad_amount, payment.currency_unsupported, payment.refused,
// payment.unavailable.
func (r *Razorpay) CreateOrder(ctx context.Context, receipt string, currency money.Currency, amount money.Micros) (string, error) {
	switch {
	case !hundredths(currency):
		return "", wallet.ErrPaymentMoney
	case amount < least || amount%minorUnit != 0:
		return "", wallet.ErrPaymentAmount
	}
	asked := int64(amount / minorUnit)
	body, err := json.Marshal(map[string]any{"amount": asked, "currency": currency, "receipt": receipt})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.base+"/v1/orders", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("razorpay order: %w", err)
	}
	req.SetBasicAuth(r.key, r.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.http.Do(req)
	if err != nil {
		return "", ErrUnavailable.With(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", ErrUnavailable.With(err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", razorpayRefusal(resp.StatusCode, text)
	}
	var made razorpayOrder
	if err := json.Unmarshal(text, &made); err != nil || made.ID == "" {
		return "", ErrUnavailable.Detail("the provider's answer cannot be read")
	}
	if made.Amount != asked || made.Currency != currency || made.Receipt != receipt {
		return "", ErrUnavailable.Detail("the provider made another order than it was asked for")
	}
	return made.ID, nil
}

// razorpayRefusal classifies an answer: its fault or ours, or an order nobody can take.
func razorpayRefusal(status int, text []byte) error {
	var answer struct {
		Error struct {
			Code  string `json:"code"`
			Field string `json:"field"`
		} `json:"error"`
	}
	_ = json.Unmarshal(text, &answer) // an answer of a proxy holds none of it
	cause := fmt.Errorf("razorpay: status %d, code %s, field %s", status, answer.Error.Code, answer.Error.Field)
	switch {
	case status == http.StatusTooManyRequests, status >= http.StatusInternalServerError:
		return ErrUnavailable.With(cause)
	case status == http.StatusUnauthorized: // our keys: nothing a vendor can change
		return ErrUnavailable.With(cause)
	}
	return ErrRefused.With(cause)
}

// razorpayNotice is a webhook, but for who paid, which is not for us to know.
type razorpayNotice struct {
	Entity  string `json:"entity"`
	Event   string `json:"event"`
	Payload struct {
		Payment struct {
			Entity struct {
				ID       string         `json:"id"`
				Amount   int64          `json:"amount"`
				Currency money.Currency `json:"currency"`
				Status   string         `json:"status"`
				OrderID  string         `json:"order_id"`
			} `json:"entity"`
		} `json:"payment"`
	} `json:"payload"`
}

// Read believes a notice if it is signed. ok is false for one that is not about money taken
// for an order. Only payment.captured is money in hand: payment.authorized may still lapse,
// and order.paid says the same once more.
//
// Errors: payment.bad_signature, payment.bad_notice.
func (r *Razorpay) Read(h http.Header, body []byte) (wallet.Payment, bool, error) {
	if !r.signed(h.Get("X-Razorpay-Signature"), body) {
		return wallet.Payment{}, false, ErrSignature
	}
	var n razorpayNotice
	if err := json.Unmarshal(body, &n); err != nil || n.Entity != "event" {
		return wallet.Payment{}, false, ErrNotice
	}
	p, event := n.Payload.Payment.Entity, h.Get("X-Razorpay-Event-Id")
	if n.Event != "payment.captured" || p.OrderID == "" {
		return wallet.Payment{}, false, nil
	}
	const longest = 64 // of an id: they have 18 characters
	if event == "" || p.ID == "" || p.Status != "captured" || p.Amount <= 0 || len(event) > longest || len(p.ID) > longest {
		return wallet.Payment{}, false, ErrNotice
	}
	amount, err := minorUnit.Times(p.Amount)
	if err != nil || !hundredths(p.Currency) {
		return wallet.Payment{}, false, ErrNotice
	}
	return wallet.Payment{Event: event, Kind: n.Event, ID: p.ID, Order: p.OrderID, Currency: p.Currency, Amount: amount}, true, nil
}

// signed tells whether the signature is the body's under one of the secrets.
func (r *Razorpay) signed(signature string, body []byte) bool {
	got, err := hex.DecodeString(signature)
	if err != nil {
		return false
	}
	ok := false
	for _, secret := range r.webhookSecrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		ok = hmac.Equal(got, mac.Sum(nil)) || ok
	}
	return ok
}

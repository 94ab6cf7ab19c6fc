package wallet

import (
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Provider is who takes payments for us.
type Provider string

// Razorpay is the only provider so far.
const Razorpay Provider = "RAZORPAY"

// Providers returns every provider.
func Providers() []Provider { return []Provider{Razorpay} }

// PaymentStatus is where an order stands.
type PaymentStatus string

// The states of an order. One that nobody pays stays CREATED: it costs nothing.
const (
	PaymentCreated PaymentStatus = "CREATED"
	PaymentPaid    PaymentStatus = "PAID"
)

// PaymentStatuses returns every state.
func PaymentStatuses() []PaymentStatus { return []PaymentStatus{PaymentCreated, PaymentPaid} }

// PaymentOrder is what a vendor was asked to pay through a provider.
type PaymentOrder struct {
	ID        string
	Provider  Provider
	Remote    string // the provider's id of it
	Currency  money.Currency
	Amount    money.Micros
	Status    PaymentStatus
	Payment   string // the provider's id of the payment that was booked
	CreatedAt time.Time
	PaidAt    time.Time // zero: not yet
}

// Payment is one payment that a provider says it has taken.
type Payment struct {
	Event    string // the provider's id of its notice: a repeat has the same
	Kind     string // its name of the notice
	ID       string // the provider's id of the payment
	Order    string // the provider's id of the order
	Currency money.Currency
	Amount   money.Micros
}

// PaymentOutcome is what became of a provider's notice.
type PaymentOutcome string

// The outcomes. What is refused is money at the provider that is not ours to book: a
// person has to look at it.
const (
	PaymentBooked   PaymentOutcome = "BOOKED"
	PaymentRepeated PaymentOutcome = "REPEATED"
	PaymentRefused  PaymentOutcome = "REFUSED"
)

// PaymentOutcomes returns every outcome.
func PaymentOutcomes() []PaymentOutcome {
	return []PaymentOutcome{PaymentBooked, PaymentRepeated, PaymentRefused}
}

// The reasons of refusals.
const (
	RefusedCurrency = "OTHER_CURRENCY"
	RefusedAmount   = "OTHER_AMOUNT"
	RefusedPaid     = "ORDER_PAID_BEFORE" // by another payment
)

// The errors of payments.
var (
	ErrOrderNotFound = errs.New(errs.NotFound, "payment.order_not_found", "no such payment order")
	ErrNoProvider    = errs.New(errs.Unavailable, "payment.not_configured", "payments by a provider are not set up here")
	ErrPaymentAmount = errs.New(errs.Invalid, "payment.bad_amount", "the provider does not take this amount: at least 1.00, two decimals")
	ErrPaymentMoney  = errs.New(errs.Invalid, "payment.currency_unsupported", "the provider takes no payments in the wallet's currency")
)

// Take decides about a payment of the order: it is booked when order and payment agree to
// the last unit, and once. reason is set when it is refused.
func (o PaymentOrder) Take(p Payment) (outcome PaymentOutcome, reason string) {
	switch {
	case o.Status == PaymentPaid && o.Payment == p.ID:
		return PaymentRepeated, ""
	case p.Currency != o.Currency:
		return PaymentRefused, RefusedCurrency
	case p.Amount != o.Amount:
		return PaymentRefused, RefusedAmount
	case o.Status == PaymentPaid:
		return PaymentRefused, RefusedPaid
	}
	return PaymentBooked, ""
}

// Posting is the top-up that a booked payment is.
func (p Payment) Posting(from Provider) Posting {
	t := TopUp("payment/"+string(from)+"/"+p.ID, p.Amount)
	t.Actor = string(from)
	return t
}

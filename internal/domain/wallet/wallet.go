// Package wallet is the rules of a vendor's prepaid money, kept in double entry: every
// posting takes from one account what it gives to another, so that the entries of a
// vendor always add up to nothing. Its law: WALLET, HOLD and REVENUE never fall below
// zero, and a posting is known by its reference, so that a repeat can be recognised.
package wallet

import (
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// AccountKind says what money in an account is. Balances are what was put in less what
// was taken out; FUNDING and LOSS count money from outside and are normally negative.
type AccountKind string

// The kinds of accounts. HOLD and REVENUE exist once per campaign; the HOLD of a
// standing campaign is the float that one-off messages draw on.
const (
	AccountFunding AccountKind = "FUNDING" // where the vendor's payments come from
	AccountWallet  AccountKind = "WALLET"  // what the vendor can spend
	AccountHold    AccountKind = "HOLD"    // promised to a campaign, not yet earned
	AccountRevenue AccountKind = "REVENUE" // earned by sending
	AccountLoss    AccountKind = "LOSS"    // what the platform bears itself
)

// AccountKinds returns every kind.
func AccountKinds() []AccountKind {
	return []AccountKind{AccountFunding, AccountWallet, AccountHold, AccountRevenue, AccountLoss}
}

// mayGoNegative tells whether the kind counts money from outside.
func (k AccountKind) mayGoNegative() bool { return k == AccountFunding || k == AccountLoss }

// Account names one account of a vendor. Campaign is empty but for HOLD and REVENUE.
type Account struct {
	Kind     AccountKind
	Campaign string
}

// Kind says what a posting is for.
type Kind string

// The kinds of postings, with the direction of the money.
const (
	KindTopUp   Kind = "TOP_UP"  // FUNDING → WALLET
	KindHold    Kind = "HOLD"    // WALLET → HOLD
	KindCapture Kind = "CAPTURE" // HOLD → REVENUE
	KindRelease Kind = "RELEASE" // HOLD → WALLET
	KindRefund  Kind = "REFUND"  // REVENUE → WALLET
	KindAdjust  Kind = "ADJUST"  // FUNDING → WALLET, or back when the amount is negative
	KindLoss    Kind = "LOSS"    // LOSS → REVENUE: sent, but its hold is gone
	KindRestore Kind = "RESTORE" // REVENUE → HOLD: what was captured for is sent again
)

// Kinds returns every kind of posting.
func Kinds() []Kind {
	return []Kind{KindTopUp, KindHold, KindCapture, KindRelease, KindRefund, KindAdjust, KindLoss, KindRestore}
}

// Posting is one thing that happens to money. The zero value is refused.
type Posting struct {
	Kind      Kind
	Reference string       // unique per vendor: "hold/<campaign>", "refund/<message>"
	Amount    money.Micros // positive, but for Adjust
	Campaign  string       // whose hold or revenue
	Actor     string       // who did it; "" is the system
	Reason    string       // why, of what is done by hand; Adjust must have one
}

// TopUp puts what the vendor paid into the wallet.
func TopUp(reference string, amount money.Micros) Posting {
	return Posting{Kind: KindTopUp, Reference: reference, Amount: amount}
}

// Hold promises money of the wallet to a campaign.
func Hold(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindHold, Reference: reference, Amount: amount, Campaign: campaign}
}

// Capture earns what was held.
func Capture(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindCapture, Reference: reference, Amount: amount, Campaign: campaign}
}

// Release gives the vendor back what was held.
func Release(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindRelease, Reference: reference, Amount: amount, Campaign: campaign}
}

// Refund gives the vendor back what was captured.
func Refund(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindRefund, Reference: reference, Amount: amount, Campaign: campaign}
}

// Loss books to the platform what was sent after its hold had gone.
func Loss(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindLoss, Reference: reference, Amount: amount, Campaign: campaign}
}

// Restore gives a campaign's hold back what was captured from it.
func Restore(campaign, reference string, amount money.Micros) Posting {
	return Posting{Kind: KindRestore, Reference: reference, Amount: amount, Campaign: campaign}
}

// Adjust corrects the wallet by hand, upwards or downwards. It says who does it and why.
func Adjust(reference string, amount money.Micros, actor, reason string) Posting {
	return Posting{Kind: KindAdjust, Reference: reference, Amount: amount, Actor: actor, Reason: reason}
}

// Entry is one side of a posting: Amount is added to the account.
type Entry struct {
	Account Account
	Amount  money.Micros
}

// The errors of the wallet.
var (
	ErrNotFound          = errs.New(errs.NotFound, "wallet.not_found", "no such wallet")
	ErrInsufficientFunds = errs.New(errs.Unfunded, "wallet.insufficient_funds", "the wallet does not hold enough for this")
	ErrHoldExhausted     = errs.New(errs.Unfunded, "wallet.hold_exhausted", "the campaign's hold does not cover this")
	ErrOverRefund        = errs.New(errs.Conflict, "wallet.refund_exceeds_charge", "more would be refunded than was charged")
	ErrBadPosting        = errs.New(errs.Invalid, "wallet.bad_posting", "not a posting: kind, reference or amount is wrong")
	ErrCurrency          = errs.New(errs.Invalid, "wallet.wrong_currency", "the wallet is kept in another currency")
	ErrThreshold         = errs.New(errs.Invalid, "wallet.bad_threshold", "a threshold is more than nothing, or null for none")
	ErrNoReason          = errs.New(errs.Invalid, "wallet.no_reason", "an adjustment says who makes it and why")
	ErrReferenceReused   = errs.New(errs.Conflict, "wallet.reference_reused", "the reference was used for another posting")
)

// maxReference bounds a reference, and with it an index entry of the ledger.
const maxReference = 200

// Accounts returns the accounts that p takes from and gives to.
//
// Errors: wallet.bad_posting, wallet.no_reason.
func (p Posting) Accounts() (from, to Account, err error) {
	if p.Reference == "" || len(p.Reference) > maxReference || p.Amount == 0 || p.Amount < 0 && p.Kind != KindAdjust || p.Amount == -p.Amount {
		return from, to, ErrBadPosting
	}
	funding, purse := Account{Kind: AccountFunding}, Account{Kind: AccountWallet}
	hold, revenue := Account{AccountHold, p.Campaign}, Account{AccountRevenue, p.Campaign}
	switch p.Kind {
	case KindTopUp:
		return funding, purse, nil
	case KindAdjust:
		if p.Actor == "" || p.Reason == "" {
			return from, to, ErrNoReason
		}
		if p.Amount < 0 {
			return purse, funding, nil
		}
		return funding, purse, nil
	case KindHold:
		return purse, hold, nil
	case KindCapture:
		return hold, revenue, nil
	case KindRelease:
		return hold, purse, nil
	case KindRefund:
		return revenue, purse, nil
	case KindLoss:
		return Account{Kind: AccountLoss}, revenue, nil
	case KindRestore:
		return revenue, hold, nil
	}
	return from, to, ErrBadPosting
}

// Post decides one posting against the balances of its accounts (an account not in
// balances is empty), changes them, and returns its two entries, which add up to
// zero. On an error balances are as before.
//
// Errors: wallet.bad_posting, wallet.no_reason, wallet.insufficient_funds, wallet.hold_exhausted,
// wallet.refund_exceeds_charge, money.overflow.
func Post(balances map[Account]money.Micros, p Posting) ([]Entry, error) {
	from, to, err := p.Accounts()
	if err != nil {
		return nil, err
	}
	amount := max(p.Amount, -p.Amount)
	taken, err := money.Add(balances[from], -amount)
	if err != nil {
		return nil, err
	}
	if taken < 0 && !from.Kind.mayGoNegative() {
		return nil, overdraft(from.Kind, -taken)
	}
	given, err := money.Add(balances[to], amount)
	if err != nil {
		return nil, err
	}
	balances[from], balances[to] = taken, given
	return []Entry{{Account: from, Amount: -amount}, {Account: to, Amount: amount}}, nil
}

// overdraft says which account lacks how much.
func overdraft(kind AccountKind, missing money.Micros) error {
	switch kind {
	case AccountHold:
		return ErrHoldExhausted.Detail("the campaign's hold lacks %s", missing)
	case AccountRevenue:
		return ErrOverRefund
	case AccountWallet, AccountFunding, AccountLoss:
	}
	return ErrInsufficientFunds.Detail("the wallet lacks %s", missing)
}

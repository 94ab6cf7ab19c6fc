// Package payment talks to the providers through which vendors pay. Its law: what a
// provider tells is believed only under its signature, and an amount is a whole number of
// its currency's smallest unit. It keeps nothing and books nothing.
package payment

import "github.com/kloyst/kloyst-core/internal/errs"

// The errors of providers.
var (
	ErrSignature   = errs.New(errs.Denied, "payment.bad_signature", "the notice is not signed by the provider")
	ErrNotice      = errs.New(errs.Invalid, "payment.bad_notice", "the provider's notice cannot be read")
	ErrRefused     = errs.New(errs.Invalid, "payment.refused", "the provider refused the order")
	ErrUnavailable = errs.New(errs.Unavailable, "payment.unavailable", "the provider does not answer now")
)

package wallet

import "github.com/kloyst/kloyst-core/internal/domain/money"

// fillMessages is how many messages like the one at hand a float is filled up for: the
// wallet's row is then locked once in so many one-off messages.
const fillMessages = 50

// FillFloat decides how much goes from the wallet into a float that holds held in all, of
// which committed is spent or promised, so that it covers a message of price as well:
// nothing while it does, fifty messages' worth when the wallet has it, else what is
// missing.
//
// Errors: wallet.insufficient_funds, money.overflow.
func FillFloat(held, committed, price, balance money.Micros) (money.Micros, error) {
	wanted, err := money.Add(committed, price)
	if err != nil {
		return 0, err
	}
	missing := wanted - held
	if missing <= 0 {
		return 0, nil
	}
	rest, err := price.Times(fillMessages - 1)
	if err != nil {
		return 0, err
	}
	full, err := money.Add(missing, rest)
	switch {
	case err != nil:
		return 0, err
	case full <= balance:
		return full, nil
	case missing <= balance:
		return missing, nil
	}
	return 0, overdraft(AccountWallet, missing-balance)
}

package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// postTx is postAllTx for one posting.
func (s *Store) postTx(ctx context.Context, tx pgx.Tx, v vendor.ID, p wallet.Posting) (applied bool, err error) {
	n, err := s.postAllTx(ctx, tx, v, []wallet.Posting{p})
	return n == 1, err
}

// postAllTx writes postings to the ledger within tx, in their order, and returns how
// many were new: a reference that was posted before is left alone, a posting of nothing
// is none. All or none are written. A transaction with several postings makes them in
// one call: that locks all accounts in primary-key order, where two calls after each
// other could deadlock with another transaction. The balances follow from the entries in the
// database, which refuses what is no posting (migration 0015).
//
// Errors: those of wallet.Post, wallet.not_found, wallet.reference_reused.
func (s *Store) postAllTx(ctx context.Context, tx pgx.Tx, v vendor.ID, ps []wallet.Posting) (int, error) {
	ps = slices.DeleteFunc(slices.Clone(ps), func(p wallet.Posting) bool { return p.Amount == 0 })
	if len(ps) == 0 {
		return 0, nil
	}
	fresh, err := s.insertTransactions(ctx, tx, v, ps)
	if err != nil || len(fresh) == 0 {
		return 0, err
	}
	accounts, err := s.lockAccounts(ctx, tx, v, fresh)
	if err != nil {
		return 0, err
	}
	balances := make(map[wallet.Account]money.Micros, len(accounts))
	for account, row := range accounts {
		balances[account] = row.balance
	}
	var (
		transactions, ids []string
		lines             []int16
		amounts           []int64
	)
	for _, p := range fresh {
		entries, err := wallet.Post(balances, p.Posting)
		if err != nil {
			return 0, err
		}
		for i, e := range entries {
			transactions, lines = append(transactions, p.id), append(lines, int16(i)) // two a posting
			ids, amounts = append(ids, accounts[e.Account].id), append(amounts, int64(e.Amount))
		}
	}
	_, err = tx.Exec(ctx, s.sql("LedgerPost"), pgx.StrictNamedArgs{
		"vendor_id": v, "transaction_ids": transactions, "lines": lines, "account_ids": ids, "amounts": amounts,
	})
	return len(fresh), err
}

// posted is a posting with the id of its transaction.
type posted struct {
	wallet.Posting
	id string
}

// insertTransactions takes the references, and returns the postings whose reference was
// free. A taken one must have been for the same thing.
func (s *Store) insertTransactions(ctx context.Context, tx pgx.Tx, v vendor.ID, ps []wallet.Posting) ([]posted, error) {
	n := len(ps)
	all := make([]posted, n)
	ids, kinds, refs, campaigns := make([]string, n), make([]string, n), make([]string, n), make([]*string, n)
	actors, reasons := make([]string, n), make([]string, n)
	for i, p := range ps {
		if _, _, err := p.Accounts(); err != nil {
			return nil, err
		}
		if p.Actor == "" {
			p.Actor = "system"
		}
		all[i] = posted{Posting: p, id: id.New[string]()}
		ids[i], kinds[i], refs[i], campaigns[i], actors[i] = all[i].id, string(p.Kind), p.Reference, nullID(p.Campaign), p.Actor
		reasons[i] = p.Reason
	}
	rows, err := tx.Query(ctx, s.sql("LedgerTransactionsInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "ids": ids, "kinds": kinds, "refs": refs, "campaigns": campaigns, "actors": actors, "reasons": reasons,
	})
	if err != nil {
		return nil, err
	}
	free, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if violates(err, "ledger_transactions_vendor_id_fkey") {
		return nil, wallet.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if len(free) == n {
		return all, nil
	}
	isFree := make(map[string]bool, len(free))
	for _, ref := range free {
		isFree[ref] = true
	}
	var fresh, repeated []posted
	for _, p := range all {
		if isFree[p.Reference] {
			isFree[p.Reference] = false // a reference twice in one call counts once
			fresh = append(fresh, p)
		} else {
			repeated = append(repeated, p)
		}
	}
	return fresh, s.checkRepeats(ctx, tx, v, repeated)
}

// checkRepeats refuses a reference that was used for another posting before.
func (s *Store) checkRepeats(ctx context.Context, tx pgx.Tx, v vendor.ID, ps []posted) error {
	refs := make([]string, len(ps))
	for i, p := range ps {
		refs[i] = p.Reference
	}
	rows, err := tx.Query(ctx, s.sql("LedgerTransactionsByReference"), pgx.StrictNamedArgs{"vendor_id": v, "refs": refs})
	if err != nil {
		return err
	}
	before := make(map[string]wallet.Posting, len(ps))
	var (
		ref      string
		kind     wallet.Kind
		campaign *string
		amount   *money.Micros // null: made in this very call, whose entries come later
	)
	if _, err := pgx.ForEachRow(rows, []any{&ref, &kind, &campaign, &amount}, func() error {
		before[ref] = wallet.Posting{Kind: kind, Reference: ref, Campaign: orZero(campaign), Amount: orZero(amount)}
		return nil
	}); err != nil {
		return err
	}
	for _, p := range ps {
		was := before[p.Reference]
		if was.Kind != p.Kind || was.Campaign != p.Campaign || was.Amount != 0 && was.Amount != max(p.Amount, -p.Amount) {
			return wallet.ErrReferenceReused
		}
	}
	return nil
}

// accountRow is one account under its lock.
type accountRow struct {
	id      string
	balance money.Micros
}

// lockAccounts locks every account the postings touch, making those that do not exist.
// A hold makes its campaign's REVENUE as well, so that captures find both.
func (s *Store) lockAccounts(ctx context.Context, tx pgx.Tx, v vendor.ID, ps []posted) (map[wallet.Account]accountRow, error) {
	wanted := map[wallet.Account]bool{}
	for _, p := range ps {
		from, to, err := p.Accounts()
		if err != nil {
			return nil, err
		}
		wanted[from], wanted[to] = true, true
		if p.Kind == wallet.KindHold {
			wanted[wallet.Account{Kind: wallet.AccountRevenue, Campaign: p.Campaign}] = true
		}
	}
	ids, kinds, campaigns := make([]string, 0, len(wanted)), make([]string, 0, len(wanted)), make([]*string, 0, len(wanted))
	for _, kind := range wallet.AccountKinds() { // ids rise in this order: WALLET's before HOLD's
		for account := range wanted {
			if account.Kind == kind {
				ids, kinds, campaigns = append(ids, id.New[string]()), append(kinds, string(kind)), append(campaigns, nullID(account.Campaign))
			}
		}
	}
	found, err := s.lockKnownAccounts(ctx, tx, v, kinds, campaigns)
	if err != nil || len(found) == len(wanted) {
		return found, err
	}
	if _, err := tx.Exec(ctx, s.sql("LedgerAccountsInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "ids": ids, "kinds": kinds, "campaigns": campaigns,
	}); err != nil {
		return nil, err
	}
	return s.lockKnownAccounts(ctx, tx, v, kinds, campaigns)
}

func (s *Store) lockKnownAccounts(ctx context.Context, tx pgx.Tx, v vendor.ID, kinds []string, campaigns []*string) (map[wallet.Account]accountRow, error) {
	rows, err := tx.Query(ctx, s.sql("LedgerAccountsLock"), pgx.StrictNamedArgs{
		"vendor_id": v, "kinds": kinds, "campaigns": campaigns,
	})
	if err != nil {
		return nil, err
	}
	out := make(map[wallet.Account]accountRow, len(kinds))
	var (
		row      accountRow
		kind     wallet.AccountKind
		campaign *string
	)
	_, err = pgx.ForEachRow(rows, []any{&row.id, &kind, &campaign, &row.balance}, func() error {
		out[wallet.Account{Kind: kind, Campaign: orZero(campaign)}] = row
		return nil
	})
	return out, err
}

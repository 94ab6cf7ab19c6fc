package gateway

import (
	"context"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/store"
)

// wallets shows a vendor its money.
type wallets struct {
	store *store.Store
	fonts func() (*pdf.Renderer, error)
}

type walletBody struct {
	Currency      money.Currency `json:"currency"`
	BalanceMicros money.Micros   `json:"balance_micros" doc:"What can be spent"`
	HeldMicros    money.Micros   `json:"held_micros" doc:"Promised to campaigns and not yet charged"`
	LowMicros     *money.Micros  `json:"low_balance_micros" doc:"Below it the vendor's owners and admins get a mail; null: they do not"`
	LowSince      *time.Time     `json:"low_since,omitempty" doc:"Since when the balance is below it"`
}

func newWalletBody(w store.Wallet) walletBody {
	b := walletBody{Currency: w.Currency, BalanceMicros: w.Balance, HeldMicros: w.Held, LowMicros: w.LowBalance}
	if !w.LowSince.IsZero() {
		b.LowSince = &w.LowSince
	}
	return b
}

func (h *wallets) get(ctx context.Context, who httpx.Principal, _ *httpx.None) (*httpx.Reply[walletBody], error) {
	w, err := h.store.Wallet(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newWalletBody(w)), nil
}

type changeWalletInput struct {
	Body struct {
		LowMicros clearable[money.Micros] `json:"low_balance_micros,omitzero" doc:"Above 0; null: nobody is told"`
	}
}

// change sets when the vendor's people are told that the balance is low.
func (h *wallets) change(ctx context.Context, who httpx.Principal, in *changeWalletInput) (*httpx.Reply[walletBody], error) {
	if !in.Body.LowMicros.Sent {
		return h.get(ctx, who, nil)
	}
	w, err := h.store.SetLowBalance(ctx, who.Vendor, in.Body.LowMicros.Value)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newWalletBody(w)), nil
}

type transactionBody struct {
	ID           string       `json:"id"`
	Kind         wallet.Kind  `json:"kind" enum:"TOP_UP,HOLD,CAPTURE,RELEASE,REFUND,ADJUST,LOSS,RESTORE"`
	Reference    string       `json:"reference" doc:"Unique: what it was booked for"`
	CampaignID   campaign.ID  `json:"campaign_id,omitempty"`
	AmountMicros money.Micros `json:"amount_micros" doc:"What the balance gained, negative where it lost; a capture comes out of the hold and is 0 here"`
	MovedMicros  money.Micros `json:"moved_micros" doc:"What went from one account to another"`
	Actor        string       `json:"actor"`
	CreatedAt    time.Time    `json:"created_at"`
}

type listTransactionsInput struct {
	httpx.Page
	CampaignID string `query:"campaign_id" doc:"Only those of one campaign"`
}

func (h *wallets) transactions(ctx context.Context, who httpx.Principal, in *listTransactionsInput) (*httpx.Reply[httpx.List[transactionBody]], error) {
	before, err := cursorID[string](in.Cursor)
	if err != nil {
		return nil, err
	}
	var c campaign.ID
	if in.CampaignID != "" {
		if c, err = httpx.ID[campaign.ID](in.CampaignID); err != nil {
			return nil, err
		}
	}
	rows, err := h.store.ListTransactions(ctx, who.Vendor, c, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	list := mapped(rows, func(t store.LedgerTransaction) transactionBody {
		return transactionBody{
			ID: t.ID, Kind: t.Kind, Reference: t.Reference, CampaignID: t.Campaign, AmountMicros: t.Amount, MovedMicros: t.Moved,
			Actor: t.Actor, CreatedAt: t.At,
		}
	})
	return httpx.OK(httpx.NewList(list, in.Limit, func(b transactionBody) string { return b.ID })), nil
}

package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// billing shows what was charged beside what Meta says it bills.
type billing struct{ store *store.Store }

type billingBody struct {
	Currency money.Currency    `json:"currency"`
	Verdicts []billingVerdict  `json:"verdicts" nullable:"false" doc:"The lines added up; all but AGREED call for a look"`
	Lines    []billingLineBody `json:"lines" nullable:"false"`
	Meta     []metaLineBody    `json:"meta" nullable:"false" doc:"Of a month: what Meta itself counts, approximately, read once a day"`
}

type billingVerdict struct {
	Verdict      wallet.Verdict `json:"verdict" enum:"AGREED,OTHER_CATEGORY,FREE_AT_META,NOT_ARRIVED,NOT_TOLD,NOT_CHARGED"`
	Messages     int64          `json:"messages"`
	AmountMicros money.Micros   `json:"amount_micros" doc:"What we charged for them and did not give back"`
}

type billingLineBody struct {
	billingVerdict

	ChargedAs    string `json:"charged_as" doc:"Category of our price"`
	MetaCategory string `json:"meta_category,omitempty" doc:"As Meta's statuses name it; absent: they told none"`
	MetaPricing  string `json:"meta_pricing_type,omitempty" doc:"regular is billed by Meta"`
	Arrived      bool   `json:"arrived" doc:"Delivered or read: Meta bills no others"`
}

type metaLineBody struct {
	Category   string         `json:"category"`
	Type       string         `json:"pricing_type"`
	Volume     int64          `json:"volume"`
	CostMicros *money.Micros  `json:"cost_micros" doc:"null: Meta did not tell"`
	Currency   money.Currency `json:"currency,omitempty" doc:"Of the account at Meta"`
}

func newBillingBody(b wallet.Billing) billingBody {
	out := billingBody{Currency: b.Currency, Verdicts: []billingVerdict{}, Lines: []billingLineBody{}, Meta: []metaLineBody{}}
	for verdict, sum := range b.Sums() {
		out.Verdicts = append(out.Verdicts, billingVerdict{verdict, sum.Messages, sum.Amount})
	}
	slices.SortFunc(out.Verdicts, func(a, b billingVerdict) int { return cmp.Compare(a.Verdict, b.Verdict) })
	for _, l := range b.Lines {
		out.Lines = append(out.Lines, billingLineBody{
			billingVerdict: billingVerdict{l.Verdict(), l.Messages, l.Amount},
			ChargedAs:      l.ChargedAs, MetaCategory: l.MetaCategory, MetaPricing: l.MetaPricing, Arrived: l.Arrived,
		})
	}
	for _, l := range b.Meta {
		out.Meta = append(out.Meta, metaLineBody{l.Category, l.Pricing, l.Volume, l.Cost, l.Currency})
	}
	return out
}

func (h *billing) campaign(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[billingBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	b, err := h.store.CampaignBilling(ctx, who.Vendor, c)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newBillingBody(b)), nil
}

var errMonth = errs.New(errs.Invalid, "wallet.bad_month", "give the month as 2026-11")

type monthBillingInput struct {
	Month string `query:"month" doc:"A calendar month in UTC; left out: this one" example:"2026-11"`
}

func (h *billing) month(ctx context.Context, who httpx.Principal, in *monthBillingInput) (*httpx.Reply[billingBody], error) {
	at := time.Now()
	if in.Month != "" {
		var err error
		if at, err = time.Parse("2006-01", in.Month); err != nil {
			return nil, errMonth
		}
	}
	b, err := h.store.MonthBilling(ctx, who.Vendor, at)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newBillingBody(b)), nil
}

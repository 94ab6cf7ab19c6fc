package gateway

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/store"
)

// quotations prices campaigns and shows how.
type quotations struct{ store *store.Store }

type quotationBody struct {
	ID               quotation.ID        `json:"id"`
	CampaignID       campaign.ID         `json:"campaign_id"`
	Number           string              `json:"number" example:"Q-2026-000123"`
	Status           quotation.Status    `json:"status" enum:"ISSUED,ACCEPTED,EXPIRED,SUPERSEDED"`
	Currency         money.Currency      `json:"currency"`
	Quantity         int64               `json:"quantity" doc:"Messages"`
	Items            []pricing.Item      `json:"items" nullable:"false" doc:"One per country"`
	Lines            []pricing.Line      `json:"lines" nullable:"false" doc:"Charges on the campaign as a whole, due when at least one message is sent"`
	MessagesMicros   money.Micros        `json:"messages_micros"`
	FeesMicros       money.Micros        `json:"fees_micros"`
	TaxMicros        money.Micros        `json:"tax_micros"`
	TotalMicros      money.Micros        `json:"total_micros"`
	TaxName          string              `json:"tax_name,omitempty"`
	WalletSufficient bool                `json:"wallet_sufficient" doc:"When it was issued"`
	PDFStatus        quotation.PDFStatus `json:"pdf_status" enum:"PENDING,GENERATING,READY,FAILED"`
	PDFError         string              `json:"pdf_error,omitempty" doc:"Code, while FAILED"`
	PDFReason        string              `json:"pdf_reason,omitempty" doc:"What the code means, and what to do"`
	Fingerprint      string              `json:"fingerprint" doc:"SHA-256 of what it was computed from and came to, in hex"`
	IssuedAt         time.Time           `json:"issued_at"`
	ExpiresAt        time.Time           `json:"expires_at"`
	Forecast         *forecastBody       `json:"forecast,omitempty" doc:"What Meta's limits let it do, as long as the quotation stands"`
}

func newQuotationBody(q quotation.Quotation) quotationBody {
	b := quotationBody{
		ID: q.ID, CampaignID: q.Campaign, Number: q.Number, Status: q.Status, Currency: q.Quote.Currency, Quantity: q.Quote.Quantity,
		Items: q.Quote.Items, Lines: q.Quote.Lines, MessagesMicros: q.Quote.Messages, FeesMicros: q.Quote.Fees, TaxMicros: q.Quote.Tax,
		TotalMicros: q.Quote.Total, TaxName: q.Inputs.Tax.Name, WalletSufficient: q.WalletSufficient, PDFStatus: q.PDF, PDFError: q.PDFError,
		Fingerprint: hex.EncodeToString(q.Fingerprint), IssuedAt: q.CreatedAt, ExpiresAt: q.ExpiresAt,
	}
	if q.PDF == quotation.PDFFailed {
		b.PDFReason = quotation.PDFReason(q.PDFError)
	}
	if q.Status == quotation.Issued && !time.Now().Before(q.ExpiresAt) {
		b.Status = quotation.Expired
	}
	return b
}

type issueQuotationInput struct {
	httpx.ByID
	httpx.Once
}

func (h *quotations) issue(ctx context.Context, who httpx.Principal, in *issueQuotationInput) (*httpx.Reply[quotationBody], error) {
	c, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	reply, err := once(ctx, in.Once, nil, newQuotationBody, func(o store.Once[quotation.Quotation]) (quotation.Quotation, error) {
		return h.store.IssueQuotation(ctx, who.Vendor, c, time.Now(), o)
	})
	return h.foretold(ctx, who, reply, err)
}

// foretold adds to a quotation what its campaign will meet.
func (h *quotations) foretold(ctx context.Context, who httpx.Principal, reply *httpx.Reply[quotationBody], err error) (*httpx.Reply[quotationBody], error) {
	if err != nil {
		return nil, err
	}
	reply.Body.Forecast, err = forecast(ctx, h.store, who, reply.Body.CampaignID, reply.Body)
	return reply, err
}

func (h *quotations) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[quotationBody], error) {
	key, err := httpx.ID[quotation.ID](in.ID)
	if err != nil {
		return nil, err
	}
	q, err := h.store.Quotation(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	return h.foretold(ctx, who, httpx.OK(newQuotationBody(q)), nil)
}

type explainBody struct {
	Inputs      pricing.Inputs `json:"inputs" doc:"Everything it was computed from, as it was stored"`
	Recomputed  pricing.Quote  `json:"recomputed" doc:"What these inputs come to now"`
	Fingerprint string         `json:"fingerprint"`
	Matches     bool           `json:"matches" doc:"Whether the result is the stored one, byte for byte"`
	Steps       []string       `json:"steps" nullable:"false" doc:"The arithmetic, for people"`
}

// explain computes the quotation again from its stored inputs.
func (h *quotations) explain(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[explainBody], error) {
	key, err := httpx.ID[quotation.ID](in.ID)
	if err != nil {
		return nil, err
	}
	q, err := h.store.Quotation(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	again, err := q.Verify()
	if err != nil {
		return nil, err
	}
	return httpx.OK(explainBody{
		Inputs: q.Inputs, Recomputed: again, Fingerprint: hex.EncodeToString(q.Fingerprint), Matches: true, Steps: pricing.Explain(q.Inputs, again),
	}), nil
}

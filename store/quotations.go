package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
)

// IssueQuotation counts the campaign's audience, prices it with the card, fee and tax in
// force at now, and stores the offer with everything it was computed from. The campaign
// becomes QUOTED, an earlier offer that was not accepted is superseded, and one event
// asks for the document. A campaign that is halted because its audience grew is offered a
// further hold for what goes beyond its quotation, and stays as it is.
//
// Errors: campaign.not_found, campaign.wrong_state, pricing.no_rate_card,
// pricing.no_rate, pricing.empty_audience, money.overflow.
func (s *Store) IssueQuotation(ctx context.Context, v vendor.ID, c campaign.ID, now time.Time, once Once[quotation.Quotation]) (quotation.Quotation, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (quotation.Quotation, error) {
		var none quotation.Quotation
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignLock")
		if err != nil {
			return none, err
		}
		price, grew := s.priceCampaign, row.Grew()
		next := row.State
		if grew {
			price = s.priceFurther
		} else if next, err = campaign.Next(row.State, campaign.Quote); err != nil {
			return none, err
		}
		q, err := price(ctx, tx, v, row, now)
		if err != nil {
			return none, err
		}
		purse, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return none, err
		}
		q.ID, q.Campaign, q.Status, q.PDF = id.New[quotation.ID](), c, quotation.Issued, quotation.PDFPending
		q.WalletSufficient = q.Missing(purse.Balance) == 0
		q.CreatedAt = now.UTC().Truncate(time.Microsecond) // as Postgres keeps it
		q.ExpiresAt = q.CreatedAt.Add(quotation.Validity)
		if err := s.insertQuotation(ctx, tx, v, &q); err != nil {
			return none, err
		}
		if !grew {
			row.Quotation = string(q.ID)
			if _, err := s.moveCampaign(ctx, tx, v, row, next); err != nil {
				return none, err
			}
		}
		return q, s.enqueue(ctx, tx, v, "quotation.issued", string(q.ID))
	})
}

// priceCampaign computes what the campaign would cost now.
func (s *Store) priceCampaign(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.Campaign, now time.Time) (quotation.Quotation, error) {
	var q quotation.Quotation
	prices, err := s.pricesTx(ctx, tx, v, now)
	if err != nil {
		return q, err
	}
	counts, err := s.audienceTx(ctx, tx, v, c.Audience, c.Category)
	if err != nil {
		return q, err
	}
	if q.Inputs, err = pricing.NewInputs(prices.card, c.Category, counts, prices.fee, prices.tax); err != nil {
		return q, err
	}
	if q.Quote, err = pricing.Compute(q.Inputs); err != nil {
		return q, err
	}
	q.Fingerprint, err = pricing.Fingerprint(q.Inputs, q.Quote)
	return q, err
}

// prices are what applies to a vendor at a moment.
type prices struct {
	card *pricing.Snapshot
	fee  pricing.FeeRule
	tax  pricing.TaxRule
}

func (s *Store) pricesTx(ctx context.Context, tx pgx.Tx, v vendor.ID, now time.Time) (prices, error) {
	var (
		p                  prices
		plan, region, name string
		currency           money.Currency
	)
	err := tx.QueryRow(ctx, s.sql("QuotationVendor"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&plan, &currency, &region, &name)
	if err != nil {
		return p, orNotFound(err, vendor.ErrNotFound)
	}
	if p.card, err = s.snapshotTx(ctx, tx, currency, now); err != nil {
		return p, err
	}
	if p.fee, err = s.platformFeeTx(ctx, tx, plan, currency, day(now)); err != nil {
		return p, err
	}
	p.tax, err = s.taxTx(ctx, tx, region, day(now))
	return p, err
}

func (s *Store) insertQuotation(ctx context.Context, tx pgx.Tx, v vendor.ID, q *quotation.Quotation) error {
	key := pgx.StrictNamedArgs{"vendor_id": v}
	if _, err := tx.Exec(ctx, s.sql("QuotationNumberLock"), key); err != nil {
		return err
	}
	var before int
	if err := tx.QueryRow(ctx, s.sql("QuotationCount"), key).Scan(&before); err != nil {
		return err
	}
	q.Number = quotation.Number(q.CreatedAt.Year(), before)
	if _, err := tx.Exec(ctx, s.sql("QuotationSupersede"), pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": q.Campaign}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql("QuotationInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "id": q.ID, "campaign_id": q.Campaign, "number": q.Number, "currency": q.Quote.Currency,
		"snapshot_id": q.Inputs.Snapshot, "inputs": q.Inputs, "fingerprint": q.Fingerprint, "quantity": q.Quote.Quantity,
		"messages": q.Quote.Messages, "fees": q.Quote.Fees, "tax": q.Quote.Tax, "total": q.Quote.Total,
		"wallet_sufficient": q.WalletSufficient, "expires_at": q.ExpiresAt, "created_at": q.CreatedAt,
	}); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.sql("QuotationItemsInsert"), itemArgs(v, q))
	return err
}

// messagesLine is the kind of a country's line; the others are pricing.LineKind.
const messagesLine = "MESSAGES"

// itemArgs spreads the quotation's items and lines over parallel arrays.
func itemArgs(v vendor.ID, q *quotation.Quotation) pgx.StrictNamedArgs {
	var (
		kinds                                 []string
		countries, markets, categories        []*string
		quantities, remainders                []int64
		units, amounts, fees, taxes, shareCol []money.Micros
	)
	add := func(kind string, i pricing.Item) {
		kinds, quantities, remainders = append(kinds, kind), append(quantities, i.Quantity), append(remainders, i.Remainder)
		units, amounts, fees = append(units, i.Unit), append(amounts, i.Amount), append(fees, i.Fee)
		taxes, shareCol = append(taxes, i.Tax), append(shareCol, i.Share)
		if kind != messagesLine {
			countries, markets, categories = append(countries, nil), append(markets, nil), append(categories, nil)
			return
		}
		market, category := string(i.Market), string(i.Category)
		countries, markets, categories = append(countries, &i.Country), append(markets, &market), append(categories, &category)
	}
	for _, i := range q.Quote.Items {
		add(messagesLine, i)
	}
	for _, l := range q.Quote.Lines {
		add(string(l.Kind), pricing.Item{Amount: l.Amount})
	}
	return pgx.StrictNamedArgs{
		"vendor_id": v, "quotation_id": q.ID, "kinds": kinds, "countries": countries, "markets": markets, "categories": categories,
		"quantities": quantities, "units": units, "amounts": amounts, "fees": fees, "taxes": taxes, "shares": shareCol, "remainders": remainders,
	}
}

// Quotation returns an offer as it was issued, with its lines.
//
// Errors: quotation.not_found.
func (s *Store) Quotation(ctx context.Context, v vendor.ID, q quotation.ID) (quotation.Quotation, error) {
	var out quotation.Quotation
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.quotationTx(ctx, tx, v, q)
		return err
	})
	return out, err
}

func (s *Store) quotationTx(ctx context.Context, tx pgx.Tx, v vendor.ID, key quotation.ID) (quotation.Quotation, error) {
	var q quotation.Quotation
	err := tx.QueryRow(ctx, s.sql("QuotationByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": key}).Scan(
		&q.ID, &q.Campaign, &q.Number, &q.Status, &q.Inputs, &q.Fingerprint, &q.WalletSufficient, &q.ExpiresAt, &q.PDF, &q.PDFKey,
		&q.PDFError, &q.CreatedAt, &q.Quote.Currency, &q.Quote.Quantity, &q.Quote.Messages, &q.Quote.Fees, &q.Quote.Tax, &q.Quote.Total)
	if err != nil {
		return q, orNotFound(err, quotation.ErrNotFound)
	}
	q.ExpiresAt, q.CreatedAt = q.ExpiresAt.UTC(), q.CreatedAt.UTC()
	q.Quote.Items, q.Quote.Lines = []pricing.Item{}, []pricing.Line{}
	rows, err := tx.Query(ctx, s.sql("QuotationItems"), pgx.StrictNamedArgs{"vendor_id": v, "quotation_id": key})
	if err != nil {
		return q, err
	}
	var kind string
	var i pricing.Item
	_, err = pgx.ForEachRow(rows, []any{
		&kind, &i.Country, &i.Market, &i.Category, &i.Quantity, &i.Unit, &i.Amount, &i.Fee, &i.Tax, &i.Share, &i.Remainder,
	}, func() error {
		if kind != messagesLine {
			q.Quote.Lines = append(q.Quote.Lines, pricing.Line{Kind: pricing.LineKind(kind), Amount: i.Amount})
			return nil
		}
		i.Total = i.Amount + i.Fee + i.Tax
		q.Quote.Items = append(q.Quote.Items, i)
		return nil
	})
	return q, err
}

// QuotationOffer is what a document is made of: the quotation, and who it is for.
type QuotationOffer struct {
	Quotation    quotation.Quotation
	VendorName   string
	Region       string // the vendor's, ISO 3166-1 alpha-2
	CampaignName string
	TimeZone     string // IANA, for the dates
}

// QuotationOffer returns what a quotation's document shows.
//
// Errors: quotation.not_found.
func (s *Store) QuotationOffer(ctx context.Context, v vendor.ID, key quotation.ID) (QuotationOffer, error) {
	var o QuotationOffer
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		if o.Quotation, err = s.quotationTx(ctx, tx, v, key); err != nil {
			return err
		}
		c, err := s.campaignTx(ctx, tx, v, o.Quotation.Campaign, "CampaignByID")
		if err != nil {
			return err
		}
		o.CampaignName, o.TimeZone = c.Name, c.TimeZone
		var plan, currency string
		return tx.QueryRow(ctx, s.sql("QuotationVendor"), pgx.StrictNamedArgs{"vendor_id": v}).Scan(&plan, &currency, &o.Region, &o.VendorName)
	})
	return o, err
}

// MoveQuotationPDF notes where a quotation's document stands: its key with READY, an
// error code with FAILED. A document that is READY stays so.
func (s *Store) MoveQuotationPDF(ctx context.Context, v vendor.ID, key quotation.ID, to quotation.PDFStatus, detail string) error {
	args := pgx.StrictNamedArgs{"vendor_id": v, "id": key, "pdf_status": to, "pdf_key": nil, "pdf_error": nil}
	switch to {
	case quotation.PDFReady:
		args["pdf_key"] = detail
	case quotation.PDFFailed:
		args["pdf_error"] = detail
	case quotation.PDFPending, quotation.PDFGenerating:
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("QuotationPDFMove"), args)
		return err
	})
}

// RetryQuotationPDF asks for a document again that could not be made. One that is on its way
// is left alone.
//
// Errors: quotation.not_found, quotation.pdf_ready.
func (s *Store) RetryQuotationPDF(ctx context.Context, v vendor.ID, key quotation.ID) error {
	args := pgx.StrictNamedArgs{"vendor_id": v, "id": key}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		var status quotation.PDFStatus
		if err := tx.QueryRow(ctx, s.sql("QuotationPDFLock"), args).Scan(&status); err != nil {
			return orNotFound(err, quotation.ErrNotFound)
		}
		again, err := status.Again()
		if err != nil || !again {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("QuotationPDFRetry"), args); err != nil {
			return err
		}
		return s.enqueue(ctx, tx, v, "quotation.issued", string(key))
	})
}

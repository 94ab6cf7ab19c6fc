package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/store"
)

// Quotations makes the documents of quotations.
type Quotations struct {
	Store *store.Store
	Blobs *blob.Store
	PDF   func() (*pdf.Renderer, error) // called for every document; its fonts need not be read before the first
}

// QuotationRef names a quotation.
type QuotationRef struct {
	Vendor    vendor.ID    `json:"vendor"`
	Quotation quotation.ID `json:"quotation"`
}

// QuotationPDF says where a document lies.
type QuotationPDF struct {
	Key   string `json:"key"`
	Bytes int    `json:"bytes"`
}

// RenderQuotation draws the quotation, keeps the document under the hash of its bytes,
// and notes it on the quotation. A repeat replaces it by an equal one under the same key.
func (a *Quotations) RenderQuotation(ctx context.Context, in QuotationRef) (QuotationPDF, error) {
	if err := a.Store.MoveQuotationPDF(ctx, in.Vendor, in.Quotation, quotation.PDFGenerating, ""); err != nil {
		return QuotationPDF{}, toTemporal(err)
	}
	offer, err := a.Store.QuotationOffer(ctx, in.Vendor, in.Quotation)
	if err != nil {
		return QuotationPDF{}, toTemporal(err)
	}
	zone, err := time.LoadLocation(offer.TimeZone)
	if err != nil {
		zone = time.UTC // a zone that left the world's list: dates are still right, and say so
	}
	renderer, err := a.PDF()
	if err != nil {
		return QuotationPDF{}, toTemporal(err)
	}
	file, err := renderer.Quotation(pdf.Offer{
		Quotation: offer.Quotation, Vendor: offer.VendorName, Region: offer.Region, Campaign: offer.CampaignName, Zone: zone,
	})
	if err != nil {
		return QuotationPDF{}, toTemporal(err)
	}
	sum := sha256.Sum256(file)
	key := "quotations/" + string(in.Vendor) + "/" + hex.EncodeToString(sum[:]) + ".pdf"
	if err := a.Blobs.Put(ctx, key, "application/pdf", file); err != nil {
		return QuotationPDF{}, toTemporal(err)
	}
	err = a.Store.MoveQuotationPDF(ctx, in.Vendor, in.Quotation, quotation.PDFReady, key)
	return QuotationPDF{Key: key, Bytes: len(file)}, toTemporal(err)
}

// QuotationFailure is why no document could be made.
type QuotationFailure struct {
	QuotationRef

	Code string `json:"code"`
}

// FailQuotation notes that no document could be made. One that is there stays.
func (a *Quotations) FailQuotation(ctx context.Context, in QuotationFailure) error {
	return toTemporal(a.Store.MoveQuotationPDF(ctx, in.Vendor, in.Quotation, quotation.PDFFailed, in.Code))
}

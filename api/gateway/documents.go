package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/signedlink"
	"github.com/kloyst/kloyst-core/store"
)

// documents hands out quotations' PDF files, to callers and to holders of a signed link.
type documents struct {
	store *store.Store
	blob  *blob.Store
	links *signedlink.Signer
	base  string // of a link: address and prefix of this API, without a slash at its end
}

// quotationFile is the kind of a quotation's links.
const quotationFile = "quotation"

// retry asks for a document again that could not be made; one that is being made is left alone.
func (h *documents) retry(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[quotationBody], error) {
	key, err := httpx.ID[quotation.ID](in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.store.RetryQuotationPDF(ctx, who.Vendor, key); err != nil {
		return nil, err
	}
	q, err := h.store.Quotation(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newQuotationBody(q)), nil
}

type linkBody struct {
	URL       string    `json:"url" format:"uri" doc:"Opens the document without signing in"`
	ExpiresAt time.Time `json:"expires_at"`
}

// link signs an address of the document.
func (h *documents) link(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[linkBody], error) {
	key, err := httpx.ID[quotation.ID](in.ID)
	if err != nil {
		return nil, err
	}
	if _, err := h.ready(ctx, who.Vendor, key); err != nil {
		return nil, err
	}
	until := time.Now().Add(signedlink.Life).Truncate(time.Second)
	query := h.links.Query(signedlink.Target{Kind: quotationFile, Vendor: who.Vendor, Subject: string(key)}, until)
	return httpx.OK(linkBody{
		URL:       fmt.Sprintf("%s/quotation-files/%s/%s?%s", h.base, who.Vendor, key, query.Encode()),
		ExpiresAt: until.UTC(),
	}), nil
}

// pdf streams the document to its vendor.
func (h *documents) pdf(w http.ResponseWriter, r *http.Request) error {
	key, err := httpx.PathID[quotation.ID](r, "id")
	if err != nil {
		return err
	}
	if _, err := httpx.Query(r); err != nil {
		return err
	}
	return h.stream(w, r, httpx.Vendor(r), key)
}

// open streams the document to whoever has a link to it.
func (h *documents) open(w http.ResponseWriter, r *http.Request) error {
	v, err := httpx.PathID[vendor.ID](r, "vendor")
	if err != nil {
		return err
	}
	key, err := httpx.PathID[quotation.ID](r, "id")
	if err != nil {
		return err
	}
	query, err := httpx.Query(r, signedlink.Parameters()...)
	if err != nil {
		return err
	}
	if err := h.links.Check(signedlink.Target{Kind: quotationFile, Vendor: v, Subject: string(key)}, query, time.Now()); err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // the address is the key
	return h.stream(w, r, v, key)
}

// ready returns a quotation whose document is there.
func (h *documents) ready(ctx context.Context, v vendor.ID, key quotation.ID) (quotation.Quotation, error) {
	q, err := h.store.Quotation(ctx, v, key)
	if err != nil {
		return q, err
	}
	switch q.PDF {
	case quotation.PDFReady:
	case quotation.PDFFailed:
		return q, quotation.ErrPDFFailed
	case quotation.PDFPending, quotation.PDFGenerating:
		return q, quotation.ErrPDFNotReady
	}
	return q, nil
}

func (h *documents) stream(w http.ResponseWriter, r *http.Request, v vendor.ID, key quotation.ID) error {
	q, err := h.ready(r.Context(), v, key)
	if err != nil {
		return err
	}
	body, err := h.blob.Reader(r.Context(), q.PDFKey)
	if err != nil {
		return err
	}
	defer body.Close() // read to its end or not at all
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", q.Number+".pdf"))
	w.WriteHeader(http.StatusOK)
	_, err = io.Copy(w, body)
	return err
}

// documentPDF says in the API's document what pdf and open answer.
func documentPDF(op *huma.Operation) {
	op.Responses["200"] = &huma.Response{
		Description: "The quotation as a PDF",
		Content:     map[string]*huma.MediaType{"application/pdf": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
}

// documentLink is documentPDF with the link's parameters.
func documentLink(op *huma.Operation) {
	documentPDF(op)
	op.Description = "The address is what POST /quotations/{id}/pdf/link answers, as it is. 403 link.expired after its time."
	for _, name := range signedlink.Parameters() {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
}

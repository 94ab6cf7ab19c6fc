package gateway

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/statement"
)

// statement answers the account of a period. It is written to a file first: what the client
// takes slowly holds no transaction open, and a fault on the way is answered as one.
func (h *wallets) statement(w http.ResponseWriter, r *http.Request) error {
	format, period, zone, err := h.asked(r)
	if err != nil {
		return err
	}
	var fonts *pdf.Renderer
	if format == statement.PDF {
		if fonts, err = h.fonts(); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp("", "statement-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // nobody else knows its name
	defer file.Close()
	out := statement.New(format, fonts, file)
	if err := h.store.WriteStatement(r.Context(), httpx.Vendor(r), period, out); err != nil {
		return err
	}
	if err := out.End(); err != nil {
		return err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w.Header().Set("Content-Type", format.ContentType())
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if format != statement.JSON {
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", statement.FileName(period, zone, format)))
	}
	w.WriteHeader(http.StatusOK)
	_, err = io.Copy(w, file)
	return err
}

// asked reads what statement of what period is wanted, in the vendor's zone.
//
//nolint:revive // one question has three answers and may fail
func (h *wallets) asked(r *http.Request) (statement.Format, wallet.Period, *time.Location, error) {
	var p wallet.Period
	query, err := httpx.Query(r, "from", "to", "format")
	if err != nil {
		return "", p, nil, err
	}
	format, err := statement.ParseFormat(query.Get("format"))
	if err != nil {
		return "", p, nil, err
	}
	v, err := h.store.Vendor(r.Context(), httpx.Vendor(r))
	if err != nil {
		return "", p, nil, err
	}
	zone, err := time.LoadLocation(v.TimeZone)
	if err != nil {
		return "", p, nil, err
	}
	p, err = wallet.NewPeriod(query.Get("from"), query.Get("to"), zone, time.Now())
	return format, p, zone, err
}

// documentStatement says in the API's document what statement takes and answers.
func documentStatement(api *httpx.API) func(*huma.Operation) {
	return func(op *huma.Operation) {
		for _, p := range []struct{ name, about string }{
			{"from", "First day, in the vendor's time zone; left out: the first of this month"},
			{"to", "Last day, included; left out: today"},
			{"format", "json (the default), csv, xlsx or pdf"},
		} {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: p.name, In: "query", Description: p.about, Schema: &huma.Schema{Type: huma.TypeString},
			})
		}
		file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		op.Responses["200"] = &huma.Response{
			Description: "Both balances at the period's ends, and every entry that leads from one to the other",
			Content: map[string]*huma.MediaType{
				"application/json":           {Schema: httpx.SchemaOf[statement.Body](api)},
				"text/csv":                   file,
				statement.XLSX.ContentType(): file,
				statement.PDF.ContentType():  file,
			},
		}
	}
}

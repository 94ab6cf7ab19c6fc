package gateway

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/store"
)

// imports takes contact files in and shows how they fare. The work is the worker's.
type imports struct {
	store    *store.Store
	keys     *crypt.Keys
	blob     *blob.Store
	clamd    *scan.Clamd
	maxBytes int64 // of one file
	streams  *streams
}

// mappingBody is importing.Mapping as the API speaks it.
type mappingBody struct {
	Phone      string            `json:"phone,omitempty" maxLength:"200" doc:"Column of the telephone number; required"`
	Name       string            `json:"name,omitempty" maxLength:"200" doc:"Column of the name"`
	Labels     string            `json:"labels,omitempty" maxLength:"200" doc:"Column of labels; a cell may hold several, separated by semicolon, bar or comma"`
	Attributes map[string]string `json:"attributes,omitempty" doc:"Attribute's name → column"`
	AddLabels  []string          `json:"add_labels,omitempty" nullable:"false" maxItems:"50" doc:"Labels for every row"`
}

func newMappingBody(m *importing.Mapping) *mappingBody {
	if m == nil {
		return nil
	}
	b := mappingBody(*m)
	return &b
}

type importBody struct {
	ID            importing.ID       `json:"id"`
	Status        importing.Status   `json:"status" enum:"UPLOADED,HEADERS_EXTRACTED,AWAITING_MAPPING,MAPPING_CONFIRMED,QUEUED,PROCESSING,NEEDS_OPERATOR,COMPLETED,PARTIAL_SUCCESS,FAILED,CANCELLED"`
	ReasonCode    string             `json:"reason_code,omitempty" doc:"Why it FAILED, was CANCELLED, or is NEEDS_OPERATOR"`
	Reason        string             `json:"reason,omitempty"`
	FileName      string             `json:"file_name"`
	FileBytes     int64              `json:"file_bytes"`
	SHA256        string             `json:"sha256"`
	Strategy      importing.Strategy `json:"strategy" enum:"SKIP_DUPLICATES,MERGE_LABELS,UPDATE_METADATA,FULL_REPLACE"`
	DefaultRegion string             `json:"default_region"`
	Encoding      importing.Encoding `json:"encoding,omitempty" doc:"As recognised: UTF-8, UTF-16LE, UTF-16BE or WINDOWS-1252"`
	Delimiter     string             `json:"delimiter,omitempty"`
	HasHeader     bool               `json:"has_header" doc:"Whether the first row was taken for column names"`
	Headers       []string           `json:"headers,omitempty" nullable:"false" doc:"The columns' names, each of its own"`
	SampleRows    [][]string         `json:"sample_rows,omitempty" nullable:"false" doc:"The first rows; not in lists"`
	Suggested     *mappingBody       `json:"suggested_mapping,omitempty" doc:"A guess, to be confirmed"`
	Mapping       *mappingBody       `json:"mapping,omitempty" doc:"As confirmed"`
	RowsTotal     int                `json:"rows_total" doc:"0 until the headers are known"`
	RowsDone      int                `json:"rows_done"`
	Counts        importing.Counts   `json:"counts" doc:"What became of the rows done: they add up"`
	paceBody                         // not in lists
	Version       int                `json:"version"`
	CreatedBy     vendor.UserID      `json:"created_by,omitempty"`
	CreatedAt     time.Time          `json:"created_at"`
	UpdatedAt     time.Time          `json:"updated_at"`
	StartedAt     *time.Time         `json:"started_at,omitempty"`
	FinishedAt    *time.Time         `json:"finished_at,omitempty"`
}

func newImportBody(i store.Import) importBody {
	return importBody{
		ID: i.ID, Status: i.Status, ReasonCode: i.ReasonCode, Reason: i.Reason, FileName: i.FileName, FileBytes: i.FileBytes,
		SHA256: hex.EncodeToString(i.SHA256), Strategy: i.Strategy, DefaultRegion: i.DefaultRegion, Encoding: i.Encoding,
		Delimiter: i.Delimiter, HasHeader: i.HasHeader, Headers: i.Headers, Suggested: newMappingBody(i.Suggested),
		Mapping: newMappingBody(i.Mapping), RowsTotal: i.RowsTotal, RowsDone: i.Counts.Rows(), Counts: i.Counts, Version: i.Version,
		CreatedBy: i.CreatedBy, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
		StartedAt: optional(i.StartedAt), FinishedAt: optional(i.FinishedAt),
	}
}

type listImportsInput struct {
	httpx.Page
	Status importing.Status `query:"status" enum:"UPLOADED,HEADERS_EXTRACTED,AWAITING_MAPPING,MAPPING_CONFIRMED,QUEUED,PROCESSING,NEEDS_OPERATOR,COMPLETED,PARTIAL_SUCCESS,FAILED,CANCELLED"`

	From     time.Time `query:"from" doc:"Uploaded then or later"`
	To       time.Time `query:"to" doc:"Uploaded before then"`
	FileName string    `query:"file_name" maxLength:"200" doc:"A part of the file's name, in any case"`
}

func (h *imports) list(ctx context.Context, who httpx.Principal, in *listImportsInput) (*httpx.Reply[httpx.List[importBody]], error) {
	before, err := cursorID[importing.ID](in.Cursor)
	if err != nil {
		return nil, err
	}
	q := store.ImportQuery{Status: in.Status, From: in.From, To: in.To, FileName: in.FileName}
	rows, err := h.store.ListImports(ctx, who.Vendor, q, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(rows, newImportBody), in.Limit, func(b importBody) importing.ID { return b.ID })), nil
}

func (h *imports) get(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[importBody], error) {
	key, err := httpx.ID[importing.ID](in.ID)
	if err != nil {
		return nil, err
	}
	return h.read(ctx, who, key)
}

// read answers an import with its sample rows.
func (h *imports) read(ctx context.Context, who httpx.Principal, key importing.ID) (*httpx.Reply[importBody], error) {
	job, err := h.store.Import(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	progress, err := h.store.ImportProgress(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	body := newImportBody(job)
	body.paceBody = newPaceBody(progress.Pace)
	if len(job.SampleCT) > 0 {
		keys, err := h.keys.For(ctx, who.Vendor)
		if err != nil {
			return nil, err
		}
		body.SampleRows, err = importfile.Files{Keys: keys, Import: key}.OpenSample(job.SampleCT)
		if err != nil {
			return nil, err
		}
	}
	return httpx.OK(body), nil
}

type confirmMappingInput struct {
	httpx.ByID
	Body mappingBody
}

// confirm keeps the mapping; the workflow that waits for it is rung for.
func (h *imports) confirm(ctx context.Context, who httpx.Principal, in *confirmMappingInput) (*httpx.Reply[importBody], error) {
	key, err := httpx.ID[importing.ID](in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.store.ConfirmMapping(ctx, who.Vendor, key, importing.Mapping(in.Body)); err != nil {
		return nil, err
	}
	return h.read(ctx, who, key)
}

// cancel stops an import; what its finished parts wrote stays.
func (h *imports) cancel(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[importBody], error) {
	key, err := httpx.ID[importing.ID](in.ID)
	if err != nil {
		return nil, err
	}
	why := store.Reason{Code: "import.cancelled", Text: "cancelled through the API"}
	if err := h.store.CancelImport(ctx, who.Vendor, key, why); err != nil {
		return nil, err
	}
	return h.read(ctx, who, key)
}

// errorsWriter writes error rows as CSV.
type errorsWriter struct{ csv *csv.Writer }

func newErrorsWriter(out *bytes.Buffer) errorsWriter { return errorsWriter{csv: csv.NewWriter(out)} }

func (w errorsWriter) header() { w.write("row", "column", "value", "code", "reason") }

func (w errorsWriter) rows(rows []importing.RowError) {
	for _, r := range rows {
		w.write(strconv.Itoa(r.Row), importing.Inert(r.Column), importing.Inert(r.Value), r.Code, r.Text)
	}
}

func (w errorsWriter) write(cells ...string) {
	_ = w.csv.Write(cells) // into memory: cannot fail
	w.csv.Flush()
}

// documentErrors says in the API's document what errorsCSV answers.
func documentErrors(op *huma.Operation) {
	op.Responses["200"] = &huma.Response{
		Description: "The rows that were not imported, as CSV: row, column, value, code, reason",
		Content:     map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
}

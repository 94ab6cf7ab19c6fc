package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// The doorbells of an import, as the relay knows them.
const (
	importUploaded  = "import.uploaded"
	importMapped    = "import.mapping_confirmed"
	importCancelled = "import.cancelled"
	importTold      = "import.operator" // an operator said what to do about a parked one
)

// NewImport is a file that was accepted and stored.
type NewImport struct {
	ID            importing.ID
	FileName      string
	FileKey       string // in the object store
	FileBytes     int64
	SHA256        []byte
	MIMEType      string
	Strategy      importing.Strategy
	DefaultRegion string // "" means the vendor's
	CreatedBy     vendor.UserID
	Force         bool // import the same file again
}

// Import is one contact import.
type Import struct {
	ID                    importing.ID
	Status                importing.Status
	FileName              string
	FileKey, DataKey      string // DataKey is what chunks read, once the headers are known
	FileBytes             int64
	SHA256                []byte
	MIMEType              string
	Strategy              importing.Strategy
	DefaultRegion         string
	Encoding              importing.Encoding
	Delimiter             string
	HasHeader             bool
	Headers               []string
	SampleCT              []byte // not in lists
	Suggested             *importing.Mapping
	Mapping               *importing.Mapping
	Version               int
	RowsTotal             int // 0 until the headers are known
	Counts                importing.Counts
	ReasonCode, Reason    string
	CreatedBy             vendor.UserID
	CreatedAt, UpdatedAt  time.Time
	StartedAt, FinishedAt time.Time // zero when it has not
}

// ImportHeaders is what was found out about a file.
type ImportHeaders struct {
	DataKey   string
	Encoding  importing.Encoding
	Shape     importing.Shape
	SampleCT  []byte
	Suggested importing.Mapping
	Rows      int
	Chunks    []ImportChunk
}

// ChunkStatus is where a chunk stands.
type ChunkStatus string

// The states of a chunk. FAILED is for the eye; such a chunk is still to be done.
const (
	ChunkPending   ChunkStatus = "PENDING"
	ChunkFailed    ChunkStatus = "FAILED"
	ChunkCompleted ChunkStatus = "COMPLETED"
	ChunkSkipped   ChunkStatus = "SKIPPED"
)

// Done tells whether the chunk's rows are counted.
func (s ChunkStatus) Done() bool { return s == ChunkCompleted || s == ChunkSkipped }

// ImportChunk is a part of a file: a byte range that begins and ends between rows.
type ImportChunk struct {
	No               int // from 1
	FirstRow         int // as a spreadsheet counts
	Rows             int
	ByteFrom, ByteTo int64
	Status           ChunkStatus
	Counts           importing.Counts
	ErrorsKey        string
	ReasonCode       string
	jobStatus        importing.Status
}

// CreateImport registers an accepted file and rings for its workflow.
//
// Errors: import.duplicate_file (its message names the earlier import), vendor.not_found.
func (s *Store) CreateImport(ctx context.Context, v vendor.ID, n NewImport) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("ImportLockFile"), pgx.StrictNamedArgs{"vendor_id": v, "sha256": n.SHA256}); err != nil {
			return err
		}
		if !n.Force {
			var earlier string
			err := tx.QueryRow(ctx, s.sql("ImportEarlierOfFile"), pgx.StrictNamedArgs{"vendor_id": v, "sha256": n.SHA256}).Scan(&earlier)
			if err == nil {
				return duplicateFile(earlier)
			}
			if orNotFound(err, importing.ErrNotFound) != importing.ErrNotFound { //nolint:errorlint // our own sentinel, as it is
				return err
			}
		}
		tag, err := tx.Exec(ctx, s.sql("ImportInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": n.ID, "file_name": n.FileName, "file_key": n.FileKey, "file_bytes": n.FileBytes,
			"sha256": n.SHA256, "mime_type": n.MIMEType, "strategy": n.Strategy, "default_region": n.DefaultRegion,
			"created_by": nullable(string(n.CreatedBy)),
		})
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return vendor.ErrNotFound
		}
		return s.ringImport(ctx, tx, v, n.ID, importUploaded)
	})
}

func duplicateFile(earlier string) error {
	e := importing.ErrDuplicateFile.Detail("this file was uploaded before, as import %s; send force=true to import it again", earlier)
	e.Fields = []errs.Field{{Pointer: "/v1/contact-imports/" + earlier, Code: e.Code, Msg: "the earlier import"}}
	return e
}

// nullable turns "" into NULL.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s *Store) ringImport(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID, kind string) error {
	_, err := tx.Exec(ctx, s.sql("ImportEnqueue"), pgx.StrictNamedArgs{"vendor_id": v, "kind": kind, "id": string(i)})
	return err
}

// RefusedUpload is a file that the virus scanner refused. Sealed is what else is known
// of it, as ciphertext.
type RefusedUpload struct {
	ID        importing.ID // the import it would have been
	Signature string
	By        vendor.UserID
	Sealed    []byte
}

// LogRefusedUpload keeps that a file was refused as infected.
func (s *Store) LogRefusedUpload(ctx context.Context, v vendor.ID, u RefusedUpload) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("ImportRefusalInsert"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": u.ID, "fields": []string{"signature:" + u.Signature}, "after_ct": u.Sealed, "actor": u.By,
		})
		return err
	})
}

// Import returns one import with its counts so far.
//
// Errors: import.not_found.
func (s *Store) Import(ctx context.Context, v vendor.ID, i importing.ID) (Import, error) {
	var out Import
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = scanImport(tx.QueryRow(ctx, s.sql("ImportByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}))
		return orNotFound(err, importing.ErrNotFound)
	})
	return out, err
}

// ImportQuery asks for imports; the zero value is for all of them.
type ImportQuery struct {
	Status   importing.Status
	From, To time.Time // uploaded then or later, and before then
	FileName string    // a part of it, in any case
}

// ListImports returns up to limit of the imports that are asked for, older than before
// ("" for the newest), newest first. Their samples are left out.
func (s *Store) ListImports(ctx context.Context, v vendor.ID, q ImportQuery, before importing.ID, limit int) ([]Import, error) {
	var out []Import
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("ImportList"), pgx.StrictNamedArgs{
			"vendor_id": v, "status": q.Status, "made_from": nullTime(q.From), "made_to": nullTime(q.To), "file_name": q.FileName,
			"before": nullable(string(before)), "limit": limit,
		})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Import, error) { return scanImport(row) })
		return err
	})
	return out, err
}

// SaveImportHeaders keeps what was found out about a file and cuts it into chunks. A
// repeat replaces what the first one found.
//
// Errors: import.not_found, import.wrong_state.
func (s *Store) SaveImportHeaders(ctx context.Context, v vendor.ID, i importing.ID, h ImportHeaders) error {
	headers, err := json.Marshal(h.Shape.Headers)
	if err != nil {
		return fmt.Errorf("encode headers: %w", err)
	}
	suggested, err := json.Marshal(h.Suggested)
	if err != nil {
		return fmt.Errorf("encode suggestion: %w", err)
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		status, err := s.lockImport(ctx, tx, v, i)
		if err != nil {
			return err
		}
		if !status.CanBecome(importing.HeadersExtracted) {
			return importing.ErrState
		}
		b := &pgx.Batch{}
		b.Queue(s.sql("ImportHeadersUpdate"), pgx.StrictNamedArgs{
			"vendor_id": v, "id": i, "data_key": h.DataKey, "encoding": h.Encoding, "delimiter": string(h.Shape.Delimiter),
			"has_header": h.Shape.HasHeader, "headers": headers, "sample_ct": h.SampleCT, "suggested": suggested, "rows_total": h.Rows,
		})
		b.Queue(s.sql("ChunkDeleteAll"), pgx.StrictNamedArgs{"vendor_id": v, "id": i})
		b.Queue(s.sql("ChunkInsertAll"), chunkArgs(v, i, h.Chunks))
		return tx.SendBatch(ctx, b).Close()
	})
}

func chunkArgs(v vendor.ID, i importing.ID, chunks []ImportChunk) pgx.StrictNamedArgs {
	n := len(chunks)
	no, first, rows := make([]int32, n), make([]int32, n), make([]int32, n)
	from, to := make([]int64, n), make([]int64, n)
	for k, c := range chunks {
		no[k], first[k], rows[k] = int32(c.No), int32(c.FirstRow), int32(c.Rows) //nolint:gosec // bounded by importing.DefaultMaxRows
		from[k], to[k] = c.ByteFrom, c.ByteTo
	}
	return pgx.StrictNamedArgs{
		"vendor_id": v, "id": i, "chunk_no": no, "first_row": first, "row_count": rows, "byte_from": from, "byte_to": to,
	}
}

// lockImport holds the import's row until commit and returns its status.
func (s *Store) lockImport(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID) (importing.Status, error) {
	var status importing.Status
	err := tx.QueryRow(ctx, s.sql("ImportLock"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}).Scan(&status, nil)
	return status, orNotFound(err, importing.ErrNotFound)
}

// MoveImport brings an import to the state to, with the reason to show if there is one
// to tell. Being there already is success, whatever the reason was.
//
// Errors: import.not_found, import.wrong_state.
func (s *Store) MoveImport(ctx context.Context, v vendor.ID, i importing.ID, to importing.Status, why Reason) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		status, err := s.lockImport(ctx, tx, v, i)
		if err != nil || status == to {
			return err
		}
		if !status.CanBecome(to) {
			return importing.ErrState
		}
		if to.Final() { // what is done stays counted
			if _, err := s.keepImportCounts(ctx, tx, v, i); err != nil {
				return err
			}
		}
		return s.moveImport(ctx, tx, importMove{v, i, to, why})
	})
}

// Reason says why something is where it is: a permanent code, and words for a person.
type Reason struct{ Code, Text string }

// importMove brings one import, whose row is locked, to a state.
type importMove struct {
	vendor vendor.ID
	id     importing.ID
	to     importing.Status
	why    Reason
}

func (s *Store) moveImport(ctx context.Context, tx pgx.Tx, m importMove) error {
	_, err := tx.Exec(ctx, s.sql("ImportMove"), pgx.StrictNamedArgs{
		"vendor_id": m.vendor, "id": m.id, "status": m.to, "reason_code": m.why.Code, "reason": m.why.Text,
	})
	return err
}

// ConfirmMapping keeps the mapping and rings for the workflow. The headers that the
// mapping must fit are those of the row, read under its lock.
//
// Errors: import.not_found, import.not_awaiting_mapping, those of Mapping.Validate.
func (s *Store) ConfirmMapping(ctx context.Context, v vendor.ID, i importing.ID, m importing.Mapping) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mapping: %w", err)
	}
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		var status importing.Status
		var headers []string
		err := tx.QueryRow(ctx, s.sql("ImportLock"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}).Scan(&status, &headers)
		if err != nil {
			return orNotFound(err, importing.ErrNotFound)
		}
		if status != importing.AwaitingMapping {
			return importing.ErrNotAwaiting
		}
		if err := m.Validate(headers); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("ImportMappingUpdate"), pgx.StrictNamedArgs{"vendor_id": v, "id": i, "mapping": text}); err != nil {
			return err
		}
		return s.ringImport(ctx, tx, v, i, importMapped)
	})
}

// CancelImport stops an import that is not over: what its finished chunks wrote stays,
// no other chunk commits. Cancelling twice is success.
//
// Errors: import.not_found, import.wrong_state.
func (s *Store) CancelImport(ctx context.Context, v vendor.ID, i importing.ID, why Reason) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		status, err := s.lockImport(ctx, tx, v, i)
		if err != nil || status == importing.Cancelled {
			return err
		}
		if !status.CanBecome(importing.Cancelled) {
			return importing.ErrState
		}
		if err := s.moveImport(ctx, tx, importMove{v, i, importing.Cancelled, why}); err != nil {
			return err
		}
		if _, err := s.keepImportCounts(ctx, tx, v, i); err != nil {
			return err
		}
		return s.ringImport(ctx, tx, v, i, importCancelled)
	})
}

// FinishImport adds up the chunks and closes the import. Only when every chunk is
// counted: one that is not is a wrong state.
//
// Errors: import.not_found, import.wrong_state.
func (s *Store) FinishImport(ctx context.Context, v vendor.ID, i importing.ID) (Import, error) {
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		status, err := s.lockImport(ctx, tx, v, i)
		if err != nil || status.Final() {
			return err
		}
		sums, err := s.keepImportCounts(ctx, tx, v, i)
		if err != nil {
			return err
		}
		to := sums.counts.Outcome()
		if sums.open > 0 || !status.CanBecome(to) {
			return importing.ErrState
		}
		var why Reason
		if to == importing.Failed {
			why = Reason{Code: "import.no_valid_rows", Text: "no row of the file could be imported: see its error file"}
		}
		return s.moveImport(ctx, tx, importMove{v, i, to, why})
	})
	if err != nil {
		return Import{}, err
	}
	return s.Import(ctx, v, i)
}

type importSums struct {
	counts importing.Counts
	open   int
}

func (s *Store) keepImportCounts(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID) (importSums, error) {
	var sums importSums
	c := &sums.counts
	err := tx.QueryRow(ctx, s.sql("ImportCountsUpdate"), pgx.StrictNamedArgs{"vendor_id": v, "id": i}).
		Scan(&c.Created, &c.Updated, &c.Unchanged, &c.Duplicate, &c.Invalid, &c.Suppressed, &sums.open)
	return sums, err
}

// ImportChunks returns the chunks of an import in the order of the file.
func (s *Store) ImportChunks(ctx context.Context, v vendor.ID, i importing.ID) ([]ImportChunk, error) {
	var out []ImportChunk
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("ChunkList"), pgx.StrictNamedArgs{"vendor_id": v, "id": i})
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ImportChunk, error) { return scanChunk(row) })
		return err
	})
	return out, err
}

// ImportChunk returns one chunk.
//
// Errors: import.not_found.
func (s *Store) ImportChunk(ctx context.Context, v vendor.ID, i importing.ID, no int) (ImportChunk, error) {
	var out ImportChunk
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = scanChunk(tx.QueryRow(ctx, s.sql("ChunkByNo"), pgx.StrictNamedArgs{"vendor_id": v, "id": i, "chunk_no": no}))
		return orNotFound(err, importing.ErrNotFound)
	})
	return out, err
}

// FailChunk notes why a chunk could not be done; it stays to be done.
func (s *Store) FailChunk(ctx context.Context, v vendor.ID, i importing.ID, no int, code string) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql("ChunkFail"), pgx.StrictNamedArgs{"vendor_id": v, "id": i, "chunk_no": no, "reason_code": code})
		return err
	})
}

// SkipChunk counts every row of a chunk as invalid, by an operator's word. A chunk that
// is done already stays as it is.
//
// Errors: import.not_found, import.wrong_state.
func (s *Store) SkipChunk(ctx context.Context, v vendor.ID, i importing.ID, no int, errorsKey string) error {
	return s.inTx(ctx, v, func(tx pgx.Tx) error {
		c, err := s.lockChunk(ctx, tx, v, i, no)
		if err != nil || c.Status.Done() {
			return err
		}
		c.Status, c.Counts, c.ErrorsKey = ChunkSkipped, importing.Counts{Invalid: c.Rows}, errorsKey
		return s.finishChunk(ctx, tx, v, i, c)
	})
}

func (s *Store) lockChunk(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID, no int) (ImportChunk, error) {
	var c ImportChunk
	row := tx.QueryRow(ctx, s.sql("ChunkLock"), pgx.StrictNamedArgs{"vendor_id": v, "id": i, "chunk_no": no})
	if err := row.Scan(append(c.fields(), &c.jobStatus)...); err != nil {
		return c, orNotFound(err, importing.ErrNotFound)
	}
	if !c.Status.Done() && c.jobStatus.Final() {
		return c, importing.ErrState // cancelled: nothing more is written
	}
	return c, nil
}

func (s *Store) finishChunk(ctx context.Context, tx pgx.Tx, v vendor.ID, i importing.ID, c ImportChunk) error {
	_, err := tx.Exec(ctx, s.sql("ChunkFinish"), chunkFinishArgs(v, i, c))
	return err
}

func chunkFinishArgs(v vendor.ID, i importing.ID, c ImportChunk) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"vendor_id": v, "id": i, "chunk_no": c.No, "status": c.Status, "created": c.Counts.Created, "updated": c.Counts.Updated,
		"unchanged": c.Counts.Unchanged, "duplicate": c.Counts.Duplicate, "invalid": c.Counts.Invalid,
		"suppressed": c.Counts.Suppressed, "errors_key": c.ErrorsKey, "reason_code": c.ReasonCode,
	}
}

// fields are the scan targets of the chunk statements' columns.
func (c *ImportChunk) fields() []any {
	return []any{
		&c.No, &c.FirstRow, &c.Rows, &c.ByteFrom, &c.ByteTo, &c.Status, &c.Counts.Created, &c.Counts.Updated, &c.Counts.Unchanged,
		&c.Counts.Duplicate, &c.Counts.Invalid, &c.Counts.Suppressed, &c.ErrorsKey, &c.ReasonCode,
	}
}

func scanChunk(row pgx.Row) (ImportChunk, error) {
	var c ImportChunk
	err := row.Scan(c.fields()...)
	return c, err
}

func scanImport(row pgx.Row) (Import, error) {
	var i Import
	var dataKey, encoding, delimiter, code, reason, by *string
	var hasHeader *bool
	var rows *int
	var started, finished *time.Time
	err := row.Scan(&i.ID, &i.Status, &i.FileName, &i.FileKey, &dataKey, &i.FileBytes, &i.SHA256, &i.MIMEType, &i.Strategy,
		&i.DefaultRegion, &encoding, &delimiter, &hasHeader, &i.Headers, &i.SampleCT, &i.Suggested, &i.Mapping, &i.Version, &rows,
		&i.Counts.Created, &i.Counts.Updated, &i.Counts.Unchanged, &i.Counts.Duplicate, &i.Counts.Invalid, &i.Counts.Suppressed,
		&code, &reason, &by, &i.CreatedAt, &i.UpdatedAt, &started, &finished)
	i.DataKey, i.Encoding, i.Delimiter = deref(dataKey), importing.Encoding(deref(encoding)), deref(delimiter)
	i.HasHeader, i.RowsTotal = deref(hasHeader), deref(rows)
	i.ReasonCode, i.Reason, i.CreatedBy = deref(code), deref(reason), vendor.UserID(deref(by))
	i.CreatedAt, i.UpdatedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC()
	i.StartedAt, i.FinishedAt = deref(started).UTC(), deref(finished).UTC()
	return i, err
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

package activities

import (
	"context"

	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/store"
)

// Importing holds what contact imports need. Every step re-reads the import's row and
// is idempotent: a chunk's contacts and its status are one transaction.
type Importing struct {
	Store *store.Store
	Keys  *crypt.Keys
	Blobs *blob.Store

	// MaxRows bounds one file; zero means importing.DefaultMaxRows.
	MaxRows int
}

// ImportRef names an import.
type ImportRef struct {
	Vendor vendor.ID    `json:"vendor"`
	Import importing.ID `json:"import"`
}

// ImportState is what the workflow decides on.
type ImportState struct {
	Status  importing.Status `json:"status"`
	Version int              `json:"version"`
	Rows    int              `json:"rows"`
	Done    int              `json:"done"`    // rows counted
	Chunks  int              `json:"chunks"`  // in all
	Pending []int            `json:"pending"` // chunks still to be done, ascending

	// Retry is what an operator asked of a parked import through the API; "" for nothing.
	Retry importing.RetryMode `json:"retry,omitempty"`
}

// ImportMove asks for a state.
type ImportMove struct {
	ImportRef
	To         importing.Status `json:"to"`
	ReasonCode string           `json:"reason_code,omitempty"`
	Reason     string           `json:"reason,omitempty"`
}

// ImportMapping says what the columns of an import mean.
type ImportMapping struct {
	ImportRef

	Mapping string `json:"mapping"` // an importing.Mapping in JSON, as it came
}

// ImportChunkRef names a chunk of an import.
type ImportChunkRef struct {
	ImportRef
	Chunk int `json:"chunk"`
}

// ImportResult is how an import ended.
type ImportResult struct {
	Status importing.Status `json:"status"`
	Counts importing.Counts `json:"counts"`
}

// ImportState reads where the import stands.
func (a *Importing) ImportState(ctx context.Context, in ImportRef) (ImportState, error) {
	job, err := a.Store.Import(ctx, in.Vendor, in.Import)
	if err != nil {
		return ImportState{}, toTemporal(err)
	}
	chunks, err := a.Store.ImportChunks(ctx, in.Vendor, in.Import)
	if err != nil {
		return ImportState{}, toTemporal(err)
	}
	out := ImportState{Status: job.Status, Version: job.Version, Rows: job.RowsTotal, Done: job.Counts.Rows(), Chunks: len(chunks)}
	for _, c := range chunks {
		if !c.Status.Done() {
			out.Pending = append(out.Pending, c.No)
		}
	}
	if job.Status == importing.NeedsOperator {
		if out.Retry, err = a.Store.ImportRetryMode(ctx, in.Vendor, in.Import); err != nil {
			return ImportState{}, toTemporal(err)
		}
	}
	return out, nil
}

// MoveImport brings the import to a state and tells which one it is in afterwards: one
// that was cancelled, or finished, in the meantime stays so.
func (a *Importing) MoveImport(ctx context.Context, in ImportMove) (importing.Status, error) {
	why := store.Reason{Code: in.ReasonCode, Text: in.Reason}
	var err error
	if in.To == importing.Cancelled {
		err = a.Store.CancelImport(ctx, in.Vendor, in.Import, why)
	} else {
		err = a.Store.MoveImport(ctx, in.Vendor, in.Import, in.To, why)
	}
	if err == nil {
		return in.To, nil
	}
	if !isConflict(err) {
		return "", toTemporal(err)
	}
	job, readErr := a.Store.Import(ctx, in.Vendor, in.Import)
	if readErr != nil {
		return "", toTemporal(readErr)
	}
	if !job.Status.Final() {
		return "", toTemporal(err)
	}
	return job.Status, nil
}

// ConfirmMapping keeps a mapping that came by signal, as the API does with one that is
// posted.
func (a *Importing) ConfirmMapping(ctx context.Context, in ImportMapping) error {
	m, err := importing.ParseMapping([]byte(in.Mapping))
	if err != nil {
		return toTemporal(err)
	}
	return toTemporal(a.Store.ConfirmMapping(ctx, in.Vendor, in.Import, m))
}

// FailChunk notes, for people to see, why a chunk could not be done.
func (a *Importing) FailChunk(ctx context.Context, in ImportChunkRef, code string) error {
	return toTemporal(a.Store.FailChunk(ctx, in.Vendor, in.Import, in.Chunk, code))
}

// FinishImport adds up, closes the import, and drops what only the passes needed.
func (a *Importing) FinishImport(ctx context.Context, in ImportRef) (ImportResult, error) {
	job, err := a.Store.FinishImport(ctx, in.Vendor, in.Import)
	if err != nil {
		return ImportResult{}, toTemporal(err)
	}
	files, err := a.files(ctx, in)
	if err != nil {
		return ImportResult{}, toTemporal(err)
	}
	if err := files.DropWork(ctx); err != nil {
		return ImportResult{}, toTemporal(err)
	}
	return ImportResult{Status: job.Status, Counts: job.Counts}, nil
}

func (a *Importing) files(ctx context.Context, in ImportRef) (importfile.Files, error) {
	keys, err := a.Keys.For(ctx, in.Vendor)
	if err != nil {
		return importfile.Files{}, err
	}
	return importfile.Files{Blobs: a.Blobs, Keys: keys, Import: in.Import}, nil
}

// errMiscount says that two passes over the same file disagree: a bug, or a file that
// changed below its import. An operator looks at it.
var errMiscount = errs.New(errs.Conflict, "import.miscount", "two passes over the file count different rows")

func (a *Importing) maxRows() int {
	if a.MaxRows > 0 {
		return a.MaxRows
	}
	return importing.DefaultMaxRows
}

// Package importing holds the rules of a contact import: what a file is, what its
// columns mean, what a row says, which of two rows wins, and what a merge changes.
// Its laws: every row is counted exactly once; which of two rows for one number counts
// is decided by their order in the file alone; nothing here touches a suppression.
package importing

import (
	"slices"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// ID names an import of a vendor. The zero value names none.
type ID string

// ChunkRows is how many rows one chunk has: one activity and one transaction. Long
// enough that per-transaction costs vanish, short enough that a repeat is cheap.
const ChunkRows = 5000

// DefaultMaxRows bounds one file. Larger ones are refused before anything is written.
const DefaultMaxRows = 5_000_000

// The errors of an import that a vendor can meet.
var (
	ErrNotFound       = errs.New(errs.NotFound, "import.not_found", "no such import")
	ErrEmptyFile      = errs.New(errs.Invalid, "import.empty_file", "the file is empty")
	ErrNoRows         = errs.New(errs.Invalid, "import.no_rows", "the file has a header row and no rows below it")
	ErrNotText        = errs.New(errs.Invalid, "import.not_text", "the file holds binary data: export it as CSV and try again")
	ErrLineTooLong    = errs.New(errs.Invalid, "import.line_too_long", "a line of the file is over 128 kB: this is not a table with one contact per line")
	ErrTooManyRows    = errs.New(errs.TooLarge, "import.too_many_rows", "the file has more rows than one import takes: split it")
	ErrTooManyColumns = errs.New(errs.Invalid, "import.too_many_columns", "the file has more than 500 columns")
	ErrState          = errs.New(errs.Conflict, "import.wrong_state", "the import is not in a state that allows this")
	ErrNotAwaiting    = errs.New(errs.Conflict, "import.not_awaiting_mapping", "the import is not waiting for a mapping")
	ErrNotParked      = errs.New(errs.Conflict, "import.not_parked", "the import does not wait for an operator")
	ErrNothingToSkip  = errs.New(errs.Conflict, "import.nothing_to_skip", "no part of the file failed that could be skipped: resume, restart or abort")
	ErrRetryMode      = errs.InvalidField("import.unknown_retry_mode", "/mode", "mode must be resume, skip_chunk or restart")
	ErrDuplicateFile  = errs.New(errs.Conflict, "import.duplicate_file", "this file was uploaded before; send force=true to import it again")
	ErrStrategy       = errs.InvalidField("import.unknown_strategy", "strategy",
		"strategy must be SKIP_DUPLICATES, MERGE_LABELS, UPDATE_METADATA or FULL_REPLACE")
	ErrRegion = errs.InvalidField("import.unknown_region", "default_region", "default_region must be a two-letter country code")
)

// FileFault tells whether an error code is about the file itself: no retry and no
// operator can help, the vendor needs another file.
func FileFault(code string) bool {
	for _, e := range []*errs.Error{ErrEmptyFile, ErrNoRows, ErrNotText, ErrLineTooLong, ErrTooManyRows, ErrTooManyColumns} {
		if e.Code == code {
			return true
		}
	}
	return false
}

// RetryMode is what an operator asks of a parked import.
type RetryMode string

// The modes. Resume tries again what failed; SkipChunk counts the rows of the failed
// chunks as invalid and goes on; Restart reads the file from its beginning again and
// does every chunk that is not done.
const (
	Resume    RetryMode = "resume"
	SkipChunk RetryMode = "skip_chunk"
	Restart   RetryMode = "restart"
)

// Known tells whether m is one of the modes.
func (m RetryMode) Known() bool { return m == Resume || m == SkipChunk || m == Restart }

// Status is where an import stands.
type Status string

// The states. The last four, and CANCELLED, are final.
const (
	Uploaded         Status = "UPLOADED"
	HeadersExtracted Status = "HEADERS_EXTRACTED"
	AwaitingMapping  Status = "AWAITING_MAPPING"
	MappingConfirmed Status = "MAPPING_CONFIRMED"
	Queued           Status = "QUEUED"
	Processing       Status = "PROCESSING"
	NeedsOperator    Status = "NEEDS_OPERATOR"
	Completed        Status = "COMPLETED"
	PartialSuccess   Status = "PARTIAL_SUCCESS"
	Failed           Status = "FAILED"
	Cancelled        Status = "CANCELLED"
)

// Statuses lists every state in the order of an import's life.
func Statuses() []Status {
	return []Status{
		Uploaded, HeadersExtracted, AwaitingMapping, MappingConfirmed, Queued, Processing,
		NeedsOperator, Completed, PartialSuccess, Failed, Cancelled,
	}
}

// Final tells whether nothing can follow.
func (s Status) Final() bool {
	return s == Completed || s == PartialSuccess || s == Failed || s == Cancelled
}

// CanBecome tells whether an import may go from s to next. Staying is always allowed,
// so that a repeated step is harmless; a parked import goes back to the step it was
// parked in.
func (s Status) CanBecome(next Status) bool {
	if s == next {
		return true
	}
	if s.Final() {
		return false
	}
	if next == Cancelled || next == Failed {
		return true
	}
	return slices.Contains(following(s), next)
}

func following(s Status) []Status {
	switch s {
	case Uploaded:
		return []Status{HeadersExtracted, NeedsOperator}
	case HeadersExtracted:
		return []Status{AwaitingMapping, NeedsOperator}
	case AwaitingMapping:
		return []Status{MappingConfirmed}
	case MappingConfirmed:
		return []Status{Queued, NeedsOperator}
	case Queued:
		return []Status{Processing, NeedsOperator}
	case Processing:
		return []Status{Completed, PartialSuccess, NeedsOperator}
	case NeedsOperator:
		return []Status{Uploaded, HeadersExtracted, MappingConfirmed, Queued, Processing}
	case Completed, PartialSuccess, Failed, Cancelled:
	}
	return nil
}

// Strategy says what a row does to a contact that the vendor already has. A number
// that is new makes a contact under every strategy. See Merge for each field.
type Strategy string

// The strategies, from the least to the most that a file may change.
const (
	SkipDuplicates Strategy = "SKIP_DUPLICATES"
	MergeLabels    Strategy = "MERGE_LABELS"
	UpdateMetadata Strategy = "UPDATE_METADATA"
	FullReplace    Strategy = "FULL_REPLACE"
)

// ParseStrategy reads a strategy; an empty text means SKIP_DUPLICATES.
//
// Errors: import.unknown_strategy.
func ParseStrategy(text string) (Strategy, error) {
	switch s := Strategy(text); s {
	case "":
		return SkipDuplicates, nil
	case SkipDuplicates, MergeLabels, UpdateMetadata, FullReplace:
		return s, nil
	}
	return "", ErrStrategy
}

// Counts say what became of the rows. Every row is in exactly one of them, by this
// precedence: invalid, duplicate, suppressed, then created, updated or unchanged.
type Counts struct {
	Created    int `json:"created"`    // a new contact
	Updated    int `json:"updated"`    // the contact was there and the strategy changed it
	Unchanged  int `json:"unchanged"`  // the contact was there and nothing was to change
	Duplicate  int `json:"duplicate"`  // an earlier row of this file has the same number
	Invalid    int `json:"invalid"`    // no usable number, or another error; or skipped by an operator
	Suppressed int `json:"suppressed"` // the person must not be written to; nothing was changed
}

// Rows is the number of rows counted.
func (c Counts) Rows() int {
	return c.Created + c.Updated + c.Unchanged + c.Duplicate + c.Invalid + c.Suppressed
}

// Add sums two counts.
func (c Counts) Add(o Counts) Counts {
	return Counts{
		Created: c.Created + o.Created, Updated: c.Updated + o.Updated, Unchanged: c.Unchanged + o.Unchanged,
		Duplicate: c.Duplicate + o.Duplicate, Invalid: c.Invalid + o.Invalid, Suppressed: c.Suppressed + o.Suppressed,
	}
}

// Reject counts one more row that writes nothing.
func (c Counts) Reject(f Fault) Counts {
	if f == FaultDuplicate {
		return c.Add(Counts{Duplicate: 1})
	}
	if f == FaultSuppressed {
		return c.Add(Counts{Suppressed: 1})
	}
	return c.Add(Counts{Invalid: 1})
}

// Outcome is the final state of an import whose rows are all counted: COMPLETED when
// none was invalid, FAILED when all were, PARTIAL_SUCCESS between.
func (c Counts) Outcome() Status {
	switch {
	case c.Invalid == 0:
		return Completed
	case c.Invalid == c.Rows():
		return Failed
	}
	return PartialSuccess
}

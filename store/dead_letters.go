package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
)

// DeadLetter is one failure for good: of a message, or of an event that Temporal refused.
type DeadLetter struct {
	ID     letter.ID
	Source letter.Source

	Campaign campaign.ID // of a message, as the next three
	Message  message.ID
	Month    message.Month
	Attempt  int

	EventKind string // of an event, as the next
	Subject   string // an id

	CauseClass string
	Code       int // Meta's; 0: none
	Reason     string
	CreatedAt  time.Time
	ReplayedAt time.Time   // zero: it was not replayed
	Replay     campaign.ID // the campaign that sends it again
	FromReplay bool        // it was a replay that failed
}

// LetterQuery asks for letters.
type LetterQuery struct {
	letter.Filter

	Replayed *bool // nil: either
}

func (q LetterQuery) args(v vendor.ID) pgx.StrictNamedArgs {
	args := filterArgs(v, q.Filter)
	args["replayed"] = q.Replayed
	return args
}

func filterArgs(v vendor.ID, f letter.Filter) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": nullID(f.Campaign), "cause_class": nullID(f.CauseClass), "code": codeOrNull(f.Code),
		"source": nullID(f.Source), "made_from": nullTime(f.From), "made_to": nullTime(f.To),
	}
}

// LetterCursor is the last letter of a page. The zero value is before the first page.
type LetterCursor struct {
	At time.Time `json:"at"`
	ID letter.ID `json:"id"`
}

// ListDeadLetters returns up to limit letters, newest first, from behind the cursor on.
func (s *Store) ListDeadLetters(ctx context.Context, v vendor.ID, q LetterQuery, after LetterCursor, limit int) ([]DeadLetter, error) {
	var out []DeadLetter
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		args := q.args(v)
		args["before"], args["before_id"], args["max_rows"] = nullTime(after.At), nullID(after.ID), limit
		var err error
		out, err = collect(ctx, tx, s.sql("DeadLetterList"), args, func(row pgx.CollectableRow) (DeadLetter, error) { return scanLetter(row) })
		return err
	})
	return out, err
}

func scanLetter(row pgx.Row) (DeadLetter, error) {
	var (
		l             DeadLetter
		c, r          *campaign.ID
		m             *message.ID
		month         *message.Month
		attempt       *int
		kind, subject *string
		created       time.Time
		replayedAt    *time.Time
	)
	err := row.Scan(&l.ID, &l.Source, &c, &m, &month, &attempt, &kind, &subject, &l.CauseClass, &l.Code, &l.Reason, &created,
		&replayedAt, &r, &l.FromReplay)
	l.Campaign, l.Message, l.Month, l.Attempt = orZero(c), orZero(m), orZero(month), orZero(attempt)
	l.EventKind, l.Subject, l.Replay = orZero(kind), orZero(subject), orZero(r)
	l.CreatedAt, l.ReplayedAt = created.UTC(), utc(replayedAt)
	return l, err
}

// DeadLetterDetail is a letter with what became of its message.
type DeadLetterDetail struct {
	DeadLetter

	Found         bool // the message is still kept; false for an event
	Contact       string
	MobileCT      []byte // sealed for Contact
	Country       string
	Status        message.Status // now: a late word may have raised it
	Price         money.Micros
	SendingAt     time.Time // of the attempt, as those below; zero: not known
	SentAt        time.Time
	FailedAt      time.Time
	ErrorTitle    string
	ReplayMessage message.ID     // 0: none was made
	ReplayStatus  message.Status // of ReplayMessage
}

// DeadLetter returns one letter.
//
// Errors: dead_letter.not_found.
func (s *Store) DeadLetter(ctx context.Context, v vendor.ID, l letter.ID) (DeadLetterDetail, error) {
	var out DeadLetterDetail
	if !id.Valid(string(l)) {
		return out, letter.ErrNotFound
	}
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out.DeadLetter, err = scanLetter(tx.QueryRow(ctx, s.sql("DeadLetterByID"), pgx.StrictNamedArgs{"vendor_id": v, "id": l}))
		if err != nil || out.Source != letter.Message {
			return orNotFound(err, letter.ErrNotFound)
		}
		var (
			sending, sent, failed *time.Time
			again                 *message.ID
			status                *message.Status
		)
		rows, err := tx.Query(ctx, s.sql("DeadLetterMessage"), pgx.StrictNamedArgs{
			"vendor_id": v, "message_id": out.Message, "month": out.Month, "attempt": out.Attempt, "replay_campaign_id": nullID(out.Replay),
		})
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{
			&out.Contact, &out.MobileCT, &out.Country, &out.Status, &out.Price, &sending, &sent, &failed, &out.ErrorTitle, &again, &status,
		}, func() error {
			out.Found = true
			return nil
		})
		out.SendingAt, out.SentAt, out.FailedAt = utc(sending), utc(sent), utc(failed)
		out.ReplayMessage, out.ReplayStatus = orZero(again), orZero(status)
		return err
	})
	return out, err
}

// LetterCount is how many letters have one cause.
type LetterCount struct {
	Source        letter.Source
	CauseClass    string
	Code          int // Meta's; 0: none
	Letters       int64
	Replayed      int64 // of Letters, as the next
	FromReplay    int64
	First, Latest time.Time
}

// SummarizeDeadLetters counts letters by their cause, the most frequent first.
func (s *Store) SummarizeDeadLetters(ctx context.Context, v vendor.ID, q LetterQuery) ([]LetterCount, error) {
	var out []LetterCount
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("DeadLetterSummary"), q.args(v), pgx.RowToStructByPos[LetterCount])
		return err
	})
	return out, err
}

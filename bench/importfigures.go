package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

// importLine is an import's figures. The clock runs from opening the file to the import's final
// state: hashing and sealing it, reading its headers, the mapping confirmed as soon as it is asked
// for, both passes, the sums.
type importLine struct {
	Bench    string  `json:"bench"`
	Scenario string  `json:"scenario"`
	OK       bool    `json:"ok"`
	Wrong    string  `json:"wrong,omitempty"` // which checks failed
	Scale    float64 `json:"scale"`
	Rows     int     `json:"rows"`
	Strategy string  `json:"strategy"`
	Killed   bool    `json:"worker_killed,omitempty"`

	PerSecond float64 `json:"rows_per_s"`
	Lost      int     `json:"rows_lost"` // neither counted nor listed
	Wall      float64 `json:"wall_s"`
	Upload    float64 `json:"upload_s"`
	Headers   float64 `json:"headers_s"` // from the upload's end until the mapping is asked for
	Check     float64 `json:"check_s"`   // from the mapping to the first chunk
	Chunks    float64 `json:"chunks_s"`  // from there to the end

	Counts importing.Counts `json:"counts"`
	Status importing.Status `json:"status"`
	Audits int              `json:"audits"`

	CopyBook  float64 `json:"copy_contact_audit_rows_per_s,omitempty"` // raw COPY of what was written, two streams
	CopyAll   float64 `json:"copy_all_rows_per_s,omitempty"`           // the same with identities, labels and attributes
	ShareBook float64 `json:"share_of_copy,omitempty"`
	ShareAll  float64 `json:"share_of_copy_all,omitempty"`

	CPU       map[string]float64 `json:"cpu_s"`
	OthersCPU float64            `json:"others_cpu_s"`
	CPUPerRow float64            `json:"cpu_us_per_row"` // of the whole stack
	RSS       map[string]float64 `json:"rss_peak_mb"`
	WorkerRSS float64            `json:"worker_rss_mb"`
	RowWrites float64            `json:"row_writes_per_row"`
	Commits   int64              `json:"commits"`
	WAL       float64            `json:"wal_bytes_per_row"`

	Temporal   string    `json:"temporal"`
	LoadBefore []float64 `json:"load_before"`
	LoadAfter  []float64 `json:"load_avg"`
	At         time.Time `json:"at"`
}

func (l *importLine) time(t *importTimes) {
	end := t.job.FinishedAt
	wall := end.Sub(t.begun).Seconds()
	l.Wall, l.PerSecond = round(wall, 2), round(float64(l.Rows)/wall, 0)
	l.Upload = round(t.uploaded.Sub(t.begun).Seconds(), 2)
	l.Headers = round(t.awaiting.Sub(t.uploaded).Seconds(), 2)
	l.Check = round(t.job.StartedAt.Sub(t.confirmed).Seconds(), 2)
	l.Chunks = round(end.Sub(t.job.StartedAt).Seconds(), 2)
	l.Counts, l.Status = t.job.Counts, t.job.Status
	l.Lost = l.Rows - l.Counts.Rows()
	for _, cpu := range l.CPU {
		l.CPUPerRow += cpu
	}
	l.CPUPerRow = round(l.CPUPerRow*1e6/float64(l.Rows), 1)
}

// examine compares what the import says with what is in the database.
func (r *importRun) examine(ctx context.Context, l *importLine, t *importTimes, before counters) error {
	var wrong []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	var contacts, identities, errored int
	err := r.db.QueryRow(ctx, `SELECT (SELECT count(*) FROM contacts), (SELECT count(*) FROM contact_identities),
		(SELECT count(*) FROM contact_audit_logs WHERE import_id = $1)`, t.id).Scan(&contacts, &identities, &l.Audits)
	if err != nil {
		return err
	}
	c := l.Counts
	check(l.Lost == 0, "%d rows lost", l.Lost)
	check(c.Invalid == r.file.invalid, "%d invalid, made %d", c.Invalid, r.file.invalid)
	check(c.Duplicate == r.file.duplicates, "%d duplicates, made %d", c.Duplicate, r.file.duplicates)
	check(contacts == r.file.unique && identities == contacts, "%d contacts, %d identities, made %d", contacts, identities, r.file.unique)
	check(l.Audits == c.Created+c.Updated, "%d audits of %d changes", l.Audits, c.Created+c.Updated)
	if r.scenario.Before == nil {
		check(c.Created == r.file.unique, "%d created, made %d", c.Created, r.file.unique)
	}
	if errored, err = r.erroredRows(ctx, t); err != nil {
		return err
	}
	check(errored == c.Invalid+c.Duplicate+c.Suppressed, "%d rows in the error file", errored)
	bad, err := r.unreadable(ctx)
	if err != nil {
		return err
	}
	check(bad == 0, "%d contacts do not open, or are not who their hash says", bad)
	after, err := r.counters(ctx)
	if err != nil {
		return err
	}
	for name, n := range after.writes {
		l.RowWrites += float64(n - before.writes[name])
	}
	l.RowWrites = round(l.RowWrites/float64(l.Rows), 2)
	l.Commits, l.WAL = after.commits-before.commits, round(float64(after.wal-before.wal)/float64(l.Rows), 0)
	l.Wrong, l.OK = strings.Join(wrong, "; "), len(wrong) == 0
	return nil
}

func (r *importRun) erroredRows(ctx context.Context, t *importTimes) (int, error) {
	chunks, err := r.app.ImportChunks(ctx, r.vendor, t.id)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range chunks {
		if c.ErrorsKey == "" {
			continue
		}
		rows, err := r.files(t.id).ReadErrors(ctx, c.No, c.ErrorsKey)
		if err != nil {
			return 0, err
		}
		n += len(rows)
	}
	return n, nil
}

// unreadable opens a sample of the contacts: the number must be the one whose hash the row has.
func (r *importRun) unreadable(ctx context.Context) (int, error) {
	rows, err := r.db.Query(ctx, `SELECT id, mobile_hash, mobile_ct, name_ct FROM contacts TABLESAMPLE BERNOULLI (2) LIMIT 5000`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	bad := 0
	for rows.Next() {
		var key string
		var hash, mobileCT, nameCT []byte
		if err := rows.Scan(&key, &hash, &mobileCT, &nameCT); err != nil {
			return 0, err
		}
		mobile, err := r.keys.Decrypt(crypt.Mobile, key, mobileCT)
		if err != nil {
			bad++
			continue
		}
		index, err := r.keys.Index(contact.Identity(contact.PhoneIdentity, string(mobile)))
		if err != nil {
			return 0, err
		}
		if _, err := r.keys.Decrypt(crypt.Name, key, nameCT); err != nil || string(index) != string(hash) {
			bad++
		}
	}
	return bad, rows.Err()
}

// copyStreams is how many connections copy at once.
const copyStreams = 2

// copyFloor empties the tables and copies into them, in binary, the rows that the import left:
// what the same tables with the same indexes take at most.
func (r *importRun) copyFloor(ctx context.Context, l *importLine) error {
	for _, mode := range []string{devstack.Worker, devstack.Outbox} {
		if err := r.StopService(mode); err != nil {
			return err
		}
	}
	tables := []string{"contacts", "contact_audit_logs", "contact_identities", "contact_labels", "contact_attributes"}
	for _, name := range tables {
		if err := r.export(ctx, name); err != nil {
			return fmt.Errorf("export %s: %w", name, err)
		}
	}
	if _, err := r.db.Exec(ctx, "TRUNCATE "+strings.Join(tables, ", ")); err != nil {
		return err
	}
	if _, err := r.db.Exec(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	begun := time.Now()
	for i, name := range tables {
		if err := r.copyBack(ctx, name); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if i == 1 {
			l.CopyBook = round(float64(r.file.unique)/time.Since(begun).Seconds(), 0)
		}
	}
	l.CopyAll = round(float64(r.file.unique)/time.Since(begun).Seconds(), 0)
	if r.scenario.Before == nil {
		l.ShareBook, l.ShareAll = round(l.PerSecond/l.CopyBook, 2), round(l.PerSecond/l.CopyAll, 2)
	}
	return nil
}

func (r *importRun) copyFile(table string, stream int) string {
	return filepath.Join(r.dir, fmt.Sprintf("%s-%d.copy", table, stream))
}

// export writes a table's rows, in their order, into one file a stream.
func (r *importRun) export(ctx context.Context, table string) error {
	var half int64
	if err := r.db.QueryRow(ctx, "SELECT pg_relation_size('"+table+"') / current_setting('block_size')::bigint / 2").Scan(&half); err != nil {
		return err
	}
	for stream, where := range []string{"<", ">="} {
		sql := fmt.Sprintf("COPY (SELECT * FROM %s WHERE ctid %s '(%d,0)'::tid) TO STDOUT BINARY", table, where, half)
		out, err := os.Create(r.copyFile(table, stream))
		if err != nil {
			return err
		}
		err = r.db.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			_, err := c.Conn().PgConn().CopyTo(ctx, out, sql)
			return err
		})
		if err != nil {
			_ = out.Close()
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (r *importRun) copyBack(ctx context.Context, table string) error {
	g, ctx := errgroup.WithContext(ctx)
	for stream := range copyStreams {
		g.Go(func() error {
			in, err := os.Open(r.copyFile(table, stream))
			if err != nil {
				return err
			}
			defer in.Close()
			return r.db.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
				_, err := c.Conn().PgConn().CopyFrom(ctx, in, "COPY "+table+" FROM STDIN BINARY")
				return err
			})
		})
	}
	return g.Wait()
}

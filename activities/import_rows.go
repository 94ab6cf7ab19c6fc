package activities

import (
	"context"
	"runtime"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/store"
)

// parseBatch is how many rows one goroutine parses at a time: some milliseconds.
const parseBatch = 500

// ResolveRows is the first pass over the rows: it checks each one, parses its number,
// and settles which of two rows for one number counts, by their order in the file. What
// it found lies beside the file, sealed; the chunks, in any order, only follow it.
func (a *Importing) ResolveRows(ctx context.Context, in ImportRef) error {
	return toTemporal(a.resolve(ctx, in))
}

func (a *Importing) resolve(ctx context.Context, in ImportRef) error {
	job, err := a.Store.Import(ctx, in.Vendor, in.Import)
	if err != nil {
		return err
	}
	if job.Mapping == nil || job.Status.Final() {
		return importing.ErrState
	}
	chunks, err := a.Store.ImportChunks(ctx, in.Vendor, in.Import)
	if err != nil {
		return err
	}
	plan, err := importing.NewPlan(job.Headers, *job.Mapping, job.DefaultRegion)
	if err != nil {
		return err
	}
	files, err := a.files(ctx, in)
	if err != nil {
		return err
	}
	entries, err := checkRows(ctx, files, job, chunks, plan)
	if err != nil {
		return err
	}
	importing.MarkDuplicates(entries)
	return files.WriteEntries(ctx, entries)
}

// checkRows reads the whole file and checks its rows on every core. Memory is one entry
// (24 bytes) a row and a few batches of text.
func checkRows(ctx context.Context, files importfile.Files, job store.Import, chunks []store.ImportChunk, plan *importing.Plan) ([]importing.Entry, error) {
	if len(chunks) == 0 {
		return nil, errMiscount
	}
	file, err := files.Open(ctx, job.DataKey)
	if err != nil {
		return nil, err
	}
	first, last := chunks[0], chunks[len(chunks)-1]
	r, err := file.Range(ctx, first.ByteFrom, last.ByteTo)
	if err != nil {
		return nil, err
	}
	defer r.Close()

	entries := make([]importing.Entry, job.RowsTotal)
	sc := newRecordScanner(r, job.Delimiter[0], first.ByteFrom)
	sc.record = first.FirstRow - 1
	seen, err := checkRecords(ctx, sc, plan, entries)
	if err != nil {
		return nil, err
	}
	if seen != len(entries) {
		return nil, errMiscount
	}
	return entries, nil
}

// checkRecords fills entries from the scanner and returns how many rows it met; it
// stops at one too many.
func checkRecords(ctx context.Context, sc *recordScanner, plan *importing.Plan, entries []importing.Entry) (int, error) {
	var g errgroup.Group // goroutines that only compute: they cannot fail
	g.SetLimit(runtime.GOMAXPROCS(0))
	seen := 0
	batch := rowBatch{delim: sc.delim}
	flush := func() {
		b, into := batch, entries[seen-len(batch.rows):seen]
		g.Go(func() error { b.check(plan, into); return nil })
		batch = rowBatch{delim: sc.delim}
	}
	for sc.Scan() && ctx.Err() == nil {
		if importing.Blank(sc.Bytes(), sc.delim) {
			continue
		}
		if seen == len(entries) {
			_ = g.Wait()
			return seen + 1, nil
		}
		seen++
		batch.add(sc.record, sc.Bytes())
		if len(batch.rows) == parseBatch {
			flush()
			activity.RecordHeartbeat(ctx, seen)
		}
	}
	flush()
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return seen, err
	}
	return seen, sc.Err()
}

// rowBatch is some records, copied out of the scanner's buffer.
type rowBatch struct {
	delim byte
	text  []byte
	rows  []int
	ends  []int
}

func (b *rowBatch) add(row int, rec []byte) {
	b.text = append(b.text, rec...)
	b.rows = append(b.rows, row)
	b.ends = append(b.ends, len(b.text))
}

func (b *rowBatch) check(plan *importing.Plan, into []importing.Entry) {
	var cells []string
	from := 0
	for i, row := range b.rows {
		cells = importing.Fields(b.text[from:b.ends[i]], b.delim, cells)
		n, fault := plan.Check(cells)
		into[i] = importing.NewEntry(row, n, fault)
		from = b.ends[i]
	}
}

package activities

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/charset"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/store"
)

// sampleRows is how many rows the mapping screen shows.
const sampleRows = 5

// heartbeatRows is how many rows pass between two heartbeats: some tens of
// milliseconds. The SDK sends only the few it needs.
const heartbeatRows = 20_000

// ExtractHeaders finds out what the file is (encoding, delimiter, header row, sample
// rows), suggests a mapping and cuts the file into chunks. A file in another encoding
// than UTF-8 is copied once. A repeat finds the same.
func (a *Importing) ExtractHeaders(ctx context.Context, in ImportRef) (ImportState, error) {
	job, err := a.Store.Import(ctx, in.Vendor, in.Import)
	if err != nil {
		return ImportState{}, toTemporal(err)
	}
	if job.Status == importing.Uploaded {
		if err := a.extract(ctx, in, job); err != nil {
			return ImportState{}, toTemporal(err)
		}
	}
	return a.ImportState(ctx, in)
}

func (a *Importing) extract(ctx context.Context, in ImportRef, job store.Import) error {
	files, err := a.files(ctx, in)
	if err != nil {
		return err
	}
	x := extraction{files: files, maxRows: a.maxRows()}
	if err := x.run(ctx); err != nil {
		return err
	}
	sample, err := files.SealSample(x.table.sample)
	if err != nil {
		return err
	}
	return a.Store.SaveImportHeaders(ctx, in.Vendor, in.Import, store.ImportHeaders{
		DataKey: x.dataKey, Encoding: x.encoding, Shape: x.table.shape, SampleCT: sample,
		Suggested: importing.Suggest(x.table.shape.Headers, x.table.sample, job.DefaultRegion),
		Rows:      x.table.rows, Chunks: x.table.chunks,
	})
}

// extraction is one reading of an upload.
type extraction struct {
	files    importfile.Files
	maxRows  int
	encoding importing.Encoding
	bom      int64
	dataKey  string
	table    table
}

func (x *extraction) run(ctx context.Context) error {
	sample, err := x.sample(ctx)
	if err != nil {
		return err
	}
	if len(sample) == 0 {
		return importing.ErrEmptyFile
	}
	enc, bom := importing.DetectEncoding(sample)
	x.encoding, x.bom = enc, int64(bom)
	oldMac := bytes.IndexByte(sample, '\r') >= 0 && bytes.IndexByte(sample, '\n') < 0
	if enc == importing.UTF8 && !oldMac {
		err := x.asItIs(ctx, sample[bom:])
		if !errors.Is(err, charset.ErrInvalid) {
			return err
		}
		// It looked like UTF-8 for its first pages only.
		x.encoding, x.bom = importing.Windows1252, 0
	}
	return x.copied(ctx)
}

func (x *extraction) upload(ctx context.Context, from int64) (io.ReadCloser, error) {
	file, err := x.files.Open(ctx, x.files.UploadKey())
	if err != nil {
		return nil, err
	}
	return file.Range(ctx, from, file.Size())
}

func (x *extraction) sample(ctx context.Context) ([]byte, error) {
	r, err := x.upload(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return firstBytes(r)
}

func firstBytes(r io.Reader) ([]byte, error) {
	sample := make([]byte, importing.SampleBytes)
	n, err := io.ReadFull(r, sample)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return sample[:n], nil
}

// asItIs cuts the upload itself: it is UTF-8 already.
func (x *extraction) asItIs(ctx context.Context, sample []byte) error {
	shape, err := detectShape(sample)
	if err != nil {
		return err
	}
	r, err := x.upload(ctx, x.bom+int64(shape.Skip))
	if err != nil {
		return err
	}
	defer r.Close()
	x.dataKey = x.files.UploadKey()
	x.table = table{shape: shape, maxRows: x.maxRows}
	return x.table.cut(ctx, charset.NewChecker(r), x.bom+int64(shape.Skip))
}

// copied writes a copy in UTF-8 with line feeds, cutting it on the way.
func (x *extraction) copied(ctx context.Context) error {
	sample, err := x.decodedSample(ctx)
	if err != nil {
		return err
	}
	shape, err := detectShape(sample)
	if err != nil {
		return err
	}
	r, err := x.decoded(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := x.files.CreateData(ctx)
	if err != nil {
		return err
	}
	x.dataKey = x.files.DataKey()
	x.table = table{shape: shape, maxRows: x.maxRows}
	tee := io.TeeReader(r, w)
	if _, err := io.CopyN(io.Discard, tee, int64(shape.Skip)); err != nil {
		w.Abort()
		return err
	}
	if err := x.table.cut(ctx, tee, int64(shape.Skip)); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

func (x *extraction) decodedSample(ctx context.Context) ([]byte, error) {
	r, err := x.decoded(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return firstBytes(r)
}

func (x *extraction) decoded(ctx context.Context) (io.ReadCloser, error) {
	raw, err := x.upload(ctx, x.bom)
	if err != nil {
		return nil, err
	}
	r, err := charset.NewReader(raw, x.encoding)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{charset.LineFeeds(r), raw}, nil
}

func detectShape(sample []byte) (importing.Shape, error) {
	return importing.DetectShape(sample, len(sample) < importing.SampleBytes-4) // a mark may be missing from the sample
}

// table is a file being cut into chunks.
type table struct {
	shape   importing.Shape
	maxRows int
	rows    int
	chunks  []store.ImportChunk
	sample  [][]string
}

// cut walks the records of r, which begins at offset at of its object.
func (t *table) cut(ctx context.Context, r io.Reader, at int64) error {
	sc := newRecordScanner(r, t.shape.Delimiter, at)
	header := t.shape.HasHeader
	for sc.Scan() {
		rec := sc.Bytes()
		if importing.Blank(rec, t.shape.Delimiter) {
			continue
		}
		if bytes.IndexByte(rec, 0) >= 0 {
			return importing.ErrNotText
		}
		if header {
			header = false
			continue
		}
		t.row(sc)
		if t.rows > t.maxRows {
			return importing.ErrTooManyRows
		}
		if t.rows%heartbeatRows == 0 {
			activity.RecordHeartbeat(ctx, t.rows)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if t.rows == 0 {
		return importing.ErrNoRows
	}
	t.chunks[len(t.chunks)-1].ByteTo = sc.end
	return nil
}

func (t *table) row(sc *recordScanner) {
	if t.rows%importing.ChunkRows == 0 {
		if n := len(t.chunks); n > 0 {
			t.chunks[n-1].ByteTo = sc.start
		}
		t.chunks = append(t.chunks, store.ImportChunk{No: len(t.chunks) + 1, FirstRow: sc.record, ByteFrom: sc.start})
	}
	t.chunks[len(t.chunks)-1].Rows++
	t.rows++
	if len(t.sample) < sampleRows {
		t.sample = append(t.sample, importing.Fields(sc.Bytes(), t.shape.Delimiter, nil))
	}
}

// recordScanner scans records and knows where each began and which one it is.
type recordScanner struct {
	*bufio.Scanner
	delim      byte
	start, end int64 // byte offsets in the object
	record     int   // from 1, blank ones counted: as a spreadsheet counts
}

func newRecordScanner(r io.Reader, delim byte, at int64) *recordScanner {
	sc := &recordScanner{Scanner: bufio.NewScanner(r), delim: delim, start: at, end: at}
	split := importing.Records(delim)
	sc.Buffer(make([]byte, 0, 64<<10), importing.MaxRecord+4096)
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, rec, err := split(data, atEOF)
		if n > 0 {
			sc.start, sc.end = sc.end, sc.end+int64(n)
			sc.record++
		}
		return n, rec, err
	})
	return sc
}

// Err hides bufio's own name for a record over the limit.
func (s *recordScanner) Err() error {
	err := s.Scanner.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return importing.ErrLineTooLong
	}
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	return nil
}

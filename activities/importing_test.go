package activities_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/sync/errgroup"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// importBench is one vendor's importing with everything real but Temporal's server.
type importBench struct {
	db   *pgtest.DB
	s    *store.Store
	v    vendor.ID
	keys *crypt.VendorKeys
	acts *activities.Importing
	env  *testsuite.TestActivityEnvironment
	dir  string
}

func newImportBench(tb testing.TB) *importBench {
	tb.Helper()
	db := pgtest.New(tb)
	s, err := store.New(db.App())
	require.NoError(tb, err)
	ring, err := crypt.NewRing(bytes.Repeat([]byte{7}, crypt.MasterKeySize))
	require.NoError(tb, err)
	b := &importBench{db: db, s: s, v: id.New[vendor.ID](), dir: tb.TempDir()}
	wrapped, err := ring.NewVendorKeys(b.v)
	require.NoError(tb, err)
	_, err = db.Super().Exec(tb.Context(), `INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'V', 'IN', 'USD')`, b.v)
	require.NoError(tb, err)
	_, err = db.Super().Exec(tb.Context(), `INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES ($1, 1, $2)`, b.v, wrapped)
	require.NoError(tb, err)
	blobs, err := blob.Open(tb.Context(), "file://"+b.dir)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = blobs.Close() })
	keys := crypt.NewKeys(ring, s.VendorKeys)
	b.keys, err = keys.For(tb.Context(), b.v)
	require.NoError(tb, err)
	b.acts = &activities.Importing{Store: s, Keys: keys, Blobs: blobs, MaxRows: 100_000}
	var suite testsuite.WorkflowTestSuite
	b.env = suite.NewTestActivityEnvironment()
	b.env.RegisterActivity(b.acts)
	return b
}

func (b *importBench) files(i importing.ID) importfile.Files {
	return importfile.Files{Blobs: b.acts.Blobs, Keys: b.keys, Import: i}
}

func (b *importBench) upload(tb testing.TB, strategy importing.Strategy, content []byte) activities.ImportRef {
	tb.Helper()
	i := id.New[importing.ID]()
	w, err := b.files(i).CreateUpload(tb.Context())
	require.NoError(tb, err)
	_, err = w.Write(content)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	sum := sha256.Sum256(content)
	require.NoError(tb, b.s.CreateImport(tb.Context(), b.v, store.NewImport{
		ID: i, FileName: "f.csv", FileKey: importfile.FileKey(b.v, i), FileBytes: int64(len(content)), SHA256: sum[:],
		MIMEType: "text/csv", Strategy: strategy, Force: true,
	}))
	return activities.ImportRef{Vendor: b.v, Import: i}
}

func (b *importBench) extract(tb testing.TB, in activities.ImportRef) (activities.ImportState, error) {
	tb.Helper()
	val, err := b.env.ExecuteActivity(b.acts.ExtractHeaders, in)
	var state activities.ImportState
	if err == nil {
		require.NoError(tb, val.Get(&state))
	}
	return state, err
}

// prepare brings an upload up to its chunks.
func (b *importBench) prepare(tb testing.TB, in activities.ImportRef, m importing.Mapping) activities.ImportState {
	tb.Helper()
	_, err := b.extract(tb, in)
	require.NoError(tb, err)
	b.move(tb, in, importing.AwaitingMapping)
	require.NoError(tb, b.s.ConfirmMapping(tb.Context(), b.v, in.Import, m))
	_, err = b.env.ExecuteActivity(b.acts.ResolveRows, in)
	require.NoError(tb, err)
	b.move(tb, in, importing.Queued)
	b.move(tb, in, importing.Processing)
	val, err := b.env.ExecuteActivity(b.acts.ImportState, in)
	require.NoError(tb, err)
	var state activities.ImportState
	require.NoError(tb, val.Get(&state))
	return state
}

func (b *importBench) move(tb testing.TB, in activities.ImportRef, to importing.Status) {
	tb.Helper()
	_, err := b.env.ExecuteActivity(b.acts.MoveImport, activities.ImportMove{ImportRef: in, To: to})
	require.NoError(tb, err)
}

func (b *importBench) chunk(tb testing.TB, in activities.ImportRef, no int) importing.Counts {
	tb.Helper()
	val, err := b.env.ExecuteActivity(b.acts.ImportChunk, activities.ImportChunkRef{ImportRef: in, Chunk: no})
	require.NoError(tb, err)
	var counts importing.Counts
	require.NoError(tb, val.Get(&counts))
	return counts
}

// run imports a file to its end, its chunks in a random order.
func (b *importBench) run(tb testing.TB, strategy importing.Strategy, content []byte, m importing.Mapping) (store.Import, []importing.RowError) {
	tb.Helper()
	in := b.upload(tb, strategy, content)
	state := b.prepare(tb, in, m)
	rand.Shuffle(len(state.Pending), func(i, j int) { state.Pending[i], state.Pending[j] = state.Pending[j], state.Pending[i] })
	for _, no := range state.Pending {
		first := b.chunk(tb, in, no)
		require.Equal(tb, first, b.chunk(tb, in, no), "a repeat changes nothing")
	}
	_, err := b.env.ExecuteActivity(b.acts.FinishImport, in)
	require.NoError(tb, err)
	job, err := b.s.Import(tb.Context(), b.v, in.Import)
	require.NoError(tb, err)
	require.Equal(tb, job.RowsTotal, job.Counts.Rows())
	return job, b.errorRows(tb, in)
}

func (b *importBench) errorRows(tb testing.TB, in activities.ImportRef) []importing.RowError {
	tb.Helper()
	chunks, err := b.s.ImportChunks(tb.Context(), b.v, in.Import)
	require.NoError(tb, err)
	var out []importing.RowError
	for _, c := range chunks {
		if c.ErrorsKey != "" {
			rows, err := b.files(in.Import).ReadErrors(tb.Context(), c.No, c.ErrorsKey)
			require.NoError(tb, err)
			out = append(out, rows...)
		}
	}
	return out
}

// book reads every contact in clear: number to "name [labels] attributes".
func (b *importBench) book(tb testing.TB) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for after := contact.ID(""); ; {
		page, err := b.s.ListContacts(tb.Context(), b.v, store.ContactFilter{}, after, 5000)
		require.NoError(tb, err)
		if len(page) == 0 {
			return out
		}
		for _, c := range page {
			mobile, err := b.keys.Decrypt(crypt.Mobile, string(c.ID), c.MobileCT)
			require.NoError(tb, err)
			name := []byte("-")
			if c.NameCT != nil {
				name, err = b.keys.Decrypt(crypt.Name, string(c.ID), c.NameCT)
				require.NoError(tb, err)
			}
			var labels []string
			for _, l := range c.Labels {
				labels = append(labels, l.Name)
			}
			out[string(mobile)] = fmt.Sprintf("%s %v %v %s", name, labels, c.Attributes, c.Country)
			after = c.ID
		}
	}
}

func whole() importing.Mapping {
	return importing.Mapping{Phone: "Mobile", Name: "Name", Labels: "Tags", Attributes: map[string]string{"city": "City"}}
}

const mixed = `Mobile,Name,Tags,City
+91 98765 43210,Asha,vip;gold,Pune
098765 43211,"Rao, Ravi",VIP,
9876543210,Asha again,vip,Goa
9.19E+11,Lost,,
,Nobody,,

+14165550123,Zoë,"new
line",Toronto
+971 50 123 4567,علي,vip,Dubai
=HYPERLINK("x"),Evil,,
+91 98765 43212,Too,many,cells,here
`

func TestImporting_AMixedFile(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	_, err := b.db.Super().Exec(t.Context(), `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source) VALUES ($1, $2, 'ALL', 'STOP', 'x')`,
		b.v, must(b.keys.Index("+971501234567")))
	require.NoError(t, err)
	job, bad := b.run(t, importing.SkipDuplicates, []byte(mixed), whole())
	require.Equal(t, importing.Counts{Created: 3, Duplicate: 1, Invalid: 4, Suppressed: 1}, job.Counts)
	require.Equal(t, importing.PartialSuccess, job.Status)
	require.Equal(t, map[string]string{
		"+919876543210": "Asha [gold vip] map[city:Pune] IN",
		"+919876543211": "Rao, Ravi [vip] map[] IN",
		"+14165550123":  "Zoë [line new] map[city:Toronto] CA",
	}, b.book(t))
	require.Equal(t, []importing.RowError{
		{Row: 4, Column: "Mobile", Value: "9876543210", Code: "row.duplicate", Text: "the same number is in row 2"},
		{Row: 5, Column: "Mobile", Value: "9.19E+11", Code: "phone.scientific_notation", Text: bad[1].Text},
		{Row: 6, Column: "Mobile", Value: "", Code: "phone.empty", Text: "the cell is empty"},
		{Row: 9, Column: "Mobile", Value: "+971501234567", Code: "row.suppressed", Text: bad[3].Text},
		{Row: 10, Column: "Mobile", Value: `=HYPERLINK("x")`, Code: "phone.not_a_number", Text: bad[4].Text},
		{Row: 11, Column: "Column 5", Value: "here", Code: "row.extra_cells", Text: bad[5].Text},
	}, bad)

	again, _ := b.run(t, importing.SkipDuplicates, []byte(mixed), whole())
	require.Equal(t, importing.Counts{Unchanged: 3, Duplicate: 1, Invalid: 4, Suppressed: 1}, again.Counts)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestImporting_EncodingsAndDelimiters(t *testing.T) {
	t.Parallel()
	text := "Mobile;Name;City;Tags\r\n+919876543210;José;Pune;\r\n+919876543211;Zoë;Goa;\r\n"
	utf16 := func(e unicode.Endianness, bom unicode.BOMPolicy) []byte {
		return must(unicode.UTF16(e, bom).NewEncoder().Bytes([]byte(text)))
	}
	late := append([]byte(strings.Repeat("+919876543210;x;Pune;\n", 5000)), must(charmap.Windows1252.NewEncoder().Bytes([]byte("+919876543211;Zoë;Goa;\n")))...)
	tests := map[string]struct {
		content []byte
		enc     importing.Encoding
		name    string
	}{
		"UTF-8":                    {[]byte(text), importing.UTF8, "Zoë"},
		"UTF-8 with a mark":        {append([]byte("\xef\xbb\xbf"), text...), importing.UTF8, "Zoë"},
		"UTF-16, marked":           {utf16(unicode.LittleEndian, unicode.UseBOM), importing.UTF16LE, "Zoë"},
		"UTF-16 big, unmarked":     {utf16(unicode.BigEndian, unicode.IgnoreBOM), importing.UTF16BE, "Zoë"},
		"Windows-1252":             {must(charmap.Windows1252.NewEncoder().Bytes([]byte(text))), importing.Windows1252, "Zoë"},
		"old Mac line ends":        {[]byte(strings.ReplaceAll(text, "\r\n", "\r")), importing.UTF8, "Zoë"},
		"tabs":                     {[]byte(strings.ReplaceAll(text, ";", "\t")), importing.UTF8, "Zoë"},
		"Excel's separator line":   {[]byte("sep=;\r\n" + text), importing.UTF8, "Zoë"},
		"Windows-1252 on page two": {append([]byte("Mobile;Name;City;Tags\n"), late...), importing.Windows1252, "Zoë"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newImportBench(t)
			job, _ := b.run(t, importing.SkipDuplicates, tt.content, whole())
			require.Equal(t, tt.enc, job.Encoding)
			require.Equal(t, 2, job.Counts.Created)
			require.Equal(t, tt.name+" [] map[city:Goa] IN", b.book(t)["+919876543211"])
		})
	}
}

func TestImporting_RefusesWhatIsNoTable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		content []byte
		code    string
	}{
		"nothing":         {nil, "import.empty_file"},
		"a header only":   {[]byte("Mobile,Name\n"), "import.no_rows"},
		"blank lines":     {[]byte("\n\n,,\n"), "import.no_rows"},
		"an endless line": {bytes.Repeat([]byte("x"), 300_000), "import.line_too_long"},
		"binary":          {[]byte("Mobile\n123\x00456\n"), "import.not_text"},
		"too many rows":   {[]byte("Mobile\n" + strings.Repeat("9876543210\n", 11)), "import.too_many_rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newImportBench(t)
			b.acts.MaxRows = 10
			_, err := b.extract(t, b.upload(t, importing.SkipDuplicates, tt.content))
			require.ErrorContains(t, err, tt.code)
			require.True(t, importing.FileFault(tt.code))
		})
	}
}

// Rows of three chunks, with duplicates across them and lines in quotes: the first row
// counts whatever order the chunks run in, and every row is counted.
func TestImporting_ManyChunks(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	const rows, people = 12_345, 7_000
	var file bytes.Buffer
	file.WriteString("Mobile,Name,Tags,City\n")
	first := map[int]int{}
	invalid := 0
	for i := range rows {
		n := rand.IntN(people)
		switch {
		case i%997 == 0:
			fmt.Fprintf(&file, "n/a,%d,,\n", i)
			invalid++
			continue
		case i%50 == 0:
			file.WriteString("\n") // not a row
		}
		fmt.Fprintf(&file, "+9198%08d,\"row\n%d\",t%d,\n", n, i, i%3)
		if _, seen := first[n]; !seen {
			first[n] = i
		}
	}
	job, bad := b.run(t, importing.SkipDuplicates, file.Bytes(), whole())
	require.Equal(t, rows, job.RowsTotal)
	require.Equal(t, importing.Counts{Created: len(first), Invalid: invalid, Duplicate: rows - len(first) - invalid}, job.Counts)
	require.Len(t, bad, rows-len(first))
	for i := 1; i < len(bad); i++ {
		require.Less(t, bad[i-1].Row, bad[i].Row)
	}
	book := b.book(t)
	require.Len(t, book, len(first))
	for n, i := range first {
		require.Equal(t, fmt.Sprintf("row %d [t%d] map[] IN", i, i%3), book[fmt.Sprintf("+9198%08d", n)])
	}
}

func TestImporting_SkipChunkListsItsRows(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	in := b.upload(t, importing.SkipDuplicates, []byte(mixed))
	b.prepare(t, in, whole())
	for range 2 {
		_, err := b.env.ExecuteActivity(b.acts.SkipChunk, activities.ImportChunkRef{ImportRef: in, Chunk: 1})
		require.NoError(t, err)
	}
	bad := b.errorRows(t, in)
	require.Len(t, bad, 9)
	require.Equal(t, importing.RowError{Row: 2, Column: "Mobile", Value: "+91 98765 43210", Code: "row.skipped", Text: bad[0].Text}, bad[0])
	require.Empty(t, b.book(t))
	_, err := b.env.ExecuteActivity(b.acts.FinishImport, in)
	require.NoError(t, err)
}

func TestImporting_NothingRestsInClear(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	in := b.upload(t, importing.SkipDuplicates, must(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(mixed))))
	state := b.prepare(t, in, whole())
	b.chunk(t, in, state.Pending[0])
	objects, err := io.ReadAll(catAll(t, b.dir))
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	for _, secret := range []string{"98765", "Asha", "9\x008\x007"} {
		require.NotContains(t, string(objects), secret)
	}
}

func TestImporting_FailuresCarryNoData(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	in := b.upload(t, importing.SkipDuplicates, []byte(mixed))
	b.prepare(t, in, whole())
	require.NoError(t, b.files(in.Import).DropUpload(t.Context()))
	_, err := b.env.ExecuteActivity(b.acts.ImportChunk, activities.ImportChunkRef{ImportRef: in, Chunk: 1})
	require.ErrorContains(t, err, "blob.not_found")
	require.NotContains(t, err.Error(), string(b.v))
	_, err = b.env.ExecuteActivity(b.acts.SkipChunk, activities.ImportChunkRef{ImportRef: in, Chunk: 1})
	require.NoError(t, err, "a chunk that cannot be read can still be skipped")
	require.Len(t, b.errorRows(t, in), 9)
}

func TestImporting_MoveTellsWhatWon(t *testing.T) {
	t.Parallel()
	b := newImportBench(t)
	in := b.upload(t, importing.SkipDuplicates, []byte(mixed))
	require.NoError(t, b.s.CancelImport(t.Context(), b.v, in.Import, store.Reason{Code: "x"}))
	val, err := b.env.ExecuteActivity(b.acts.MoveImport, activities.ImportMove{ImportRef: in, To: importing.NeedsOperator})
	require.NoError(t, err)
	var status importing.Status
	require.NoError(t, val.Get(&status))
	require.Equal(t, importing.Cancelled, status)
	_, err = b.env.ExecuteActivity(b.acts.ResolveRows, in)
	require.ErrorContains(t, err, errs.CodeOf(importing.ErrState))
}

// catAll reads every file below dir, one after another.
func catAll(tb testing.TB, dir string) io.Reader {
	tb.Helper()
	var all []io.Reader
	require.NoError(tb, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, bytes.NewReader(data))
		return err
	}))
	return io.MultiReader(all...)
}

func BenchmarkImporting(b *testing.B) {
	bench := newImportBench(b)
	const rows = 50_000
	for b.Loop() {
		var file bytes.Buffer
		file.WriteString("Mobile,Name,Tags,City\n")
		base := rand.IntN(10_000) * 10_000
		for i := range rows {
			fmt.Fprintf(&file, "+9198%08d,Person %d,t%d,City %d\n", (base+i)%100_000_000, i, i%3, i%100)
		}
		in := bench.upload(b, importing.SkipDuplicates, file.Bytes())
		begin := time.Now()
		state := bench.prepare(b, in, whole())
		prepared := time.Since(begin)
		var g errgroup.Group
		g.SetLimit(4)
		for _, no := range state.Pending {
			g.Go(func() error {
				_, err := bench.env.ExecuteActivity(bench.acts.ImportChunk, activities.ImportChunkRef{ImportRef: in, Chunk: no})
				return err
			})
		}
		require.NoError(b, g.Wait())
		total := time.Since(begin)
		b.ReportMetric(rows/prepared.Seconds(), "prepared_rows/s")
		b.ReportMetric(rows/(total-prepared).Seconds(), "written_rows/s")
		b.ReportMetric(rows/total.Seconds(), "rows/s")
	}
}

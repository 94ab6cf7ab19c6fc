package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// book is a database with one vendor, for contacts and imports.
type book struct {
	*store.Store
	db *pgtest.DB
	v  vendor.ID
}

func newBook(t *testing.T) book {
	t.Helper()
	db := pgtest.New(t)
	s, err := store.New(db.App())
	require.NoError(t, err)
	return book{Store: s, db: db, v: addVendor(t, db)}
}

func (b book) upload(t *testing.T, seed string) importing.ID {
	t.Helper()
	i := id.New[importing.ID]()
	sum := sha256.Sum256([]byte(seed))
	require.NoError(t, b.CreateImport(t.Context(), b.v, store.NewImport{
		ID: i, FileName: "a.csv", FileKey: "k", FileBytes: 10, SHA256: sum[:], MIMEType: "text/csv", Strategy: importing.SkipDuplicates,
	}))
	return i
}

// processing makes an import with chunks of the given sizes that is being processed.
func (b book) processing(t *testing.T, rows ...int) importing.ID {
	t.Helper()
	i := b.upload(t, string(id.New[importing.ID]()))
	h := store.ImportHeaders{
		DataKey: "k", Encoding: importing.UTF8, SampleCT: []byte("sealed"), Suggested: importing.Mapping{Phone: "phone"},
		Shape: importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"phone", "name"}},
	}
	for n, r := range rows {
		h.Chunks = append(h.Chunks, store.ImportChunk{No: n + 1, FirstRow: 2 + h.Rows, Rows: r, ByteFrom: int64(n), ByteTo: int64(n + 1)})
		h.Rows += r
	}
	require.NoError(t, b.SaveImportHeaders(t.Context(), b.v, i, h))
	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.AwaitingMapping, store.Reason{}))
	require.NoError(t, b.ConfirmMapping(t.Context(), b.v, i, importing.Mapping{Phone: "phone", Name: "name"}))
	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.Queued, store.Reason{}))
	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.Processing, store.Reason{}))
	return i
}

// person is a row of a test: who, called what, with which labels and city.
type person struct {
	n      int
	name   string
	labels []string
	city   string
}

func hashOf(n int) []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "person %d", n))
	return h[:]
}

// work makes a chunk of people; "sealing" is the identity, so that the test can read.
func (b book) work(t *testing.T, i importing.ID, no int, s importing.Strategy, people ...person) store.ChunkWork {
	t.Helper()
	w := store.ChunkWork{Import: i, No: no, Actor: "import", Strategy: s}
	var labels []string
	for k, p := range people {
		r := store.ChunkRow{Row: k + 2, Hash: hashOf(p.n), Country: "IN", Profile: importing.Profile{Name: p.name, Labels: p.labels}}
		if p.city != "" {
			r.Profile.Attributes = map[string]string{"city": p.city}
		}
		w.Rows = append(w.Rows, r)
		labels = append(labels, p.labels...)
	}
	slices.SortFunc(w.Rows, func(a, b store.ChunkRow) int { return slices.Compare(a.Hash, b.Hash) })
	var err error
	w.Labels, err = b.EnsureLabels(t.Context(), b.v, labels)
	require.NoError(t, err)
	decide := func(row int, has store.HeldContact) importing.Change {
		return importing.Merge(s, importing.Profile{Name: string(has.NameCT), Labels: has.Labels, Attributes: has.Attributes},
			w.Rows[row].Profile, importing.Mapped{Name: true, Labels: true, Attributes: true})
	}
	w.Rules = store.ChunkRules{
		New: func(row int, _ contact.ID) (store.SealedContact, error) {
			return store.SealedContact{MobileCT: w.Rows[row].Hash, NameCT: []byte(w.Rows[row].Profile.Name), AuditCT: []byte("after")}, nil
		},
		Changes: func(row int, has store.HeldContact) (bool, error) { return !decide(row, has).Empty(), nil },
		Merge: func(row int, has store.HeldContact) (store.SealedChange, error) {
			c := decide(row, has)
			return store.SealedChange{Change: c, NameCT: []byte(c.Name), BeforeCT: []byte("before"), AfterCT: []byte("after")}, nil
		},
	}
	return w
}

// people reads the book: name, labels and city by hash.
func (b book) people(t *testing.T) map[string]person {
	t.Helper()
	all, err := b.ListContacts(t.Context(), b.v, store.ContactFilter{}, "", 10_000)
	require.NoError(t, err)
	out := map[string]person{}
	for _, c := range all {
		p := person{name: string(c.NameCT), city: c.Attributes["city"]}
		for _, l := range c.Labels {
			p.labels = append(p.labels, l.Name)
		}
		out[string(c.MobileCT)] = p
	}
	return out
}

func (b book) audits(t *testing.T, i importing.ID) map[string]int {
	t.Helper()
	rows, err := b.db.Super().Query(t.Context(), `SELECT action, count(*) FROM contact_audit_logs WHERE import_id = $1 GROUP BY 1`, i)
	require.NoError(t, err)
	out := map[string]int{}
	var action string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&action, &n}, func() error { out[action] = n; return nil })
	require.NoError(t, err)
	return out
}

func TestApplyChunk_CreatesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 4)
	w := b.work(t, i, 1, importing.SkipDuplicates, person{1, "Asha", []string{"vip"}, "Pune"}, person{2, "Ravi", []string{"VIP", "new"}, ""})
	w.Decided = importing.Counts{Invalid: 1, Duplicate: 1}
	w.ErrorsKey = "errors/1"
	want := importing.Counts{Created: 2, Invalid: 1, Duplicate: 1}
	for range 3 {
		got, err := b.ApplyChunk(t.Context(), b.v, w)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Equal(t, map[string]person{
		string(hashOf(1)): {name: "Asha", labels: []string{"vip"}, city: "Pune"},
		string(hashOf(2)): {name: "Ravi", labels: []string{"new", "vip"}},
	}, b.people(t))
	require.Equal(t, map[string]int{"CREATED": 2}, b.audits(t, i))
	job, err := b.FinishImport(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, importing.PartialSuccess, job.Status)
	require.Equal(t, want, job.Counts)
	require.False(t, job.FinishedAt.IsZero())
	labels, err := b.ListLabels(t.Context(), b.v, "", 10)
	require.NoError(t, err)
	require.Len(t, labels, 2)
	require.Equal(t, "new", labels[0].Name)
	require.Equal(t, 2, labels[1].Contacts)
}

func TestApplyChunk_Strategies(t *testing.T) {
	t.Parallel()
	tests := map[importing.Strategy]struct {
		counts importing.Counts
		first  person
		audit  map[string]int
	}{
		importing.SkipDuplicates: {importing.Counts{Created: 1, Unchanged: 2}, person{name: "Asha", labels: []string{"old"}, city: "Pune"}, map[string]int{"CREATED": 1}},
		importing.MergeLabels:    {importing.Counts{Created: 1, Updated: 1, Unchanged: 1}, person{name: "Asha", labels: []string{"new", "old"}, city: "Pune"}, map[string]int{"CREATED": 1, "UPDATED": 1}},
		importing.UpdateMetadata: {importing.Counts{Created: 1, Updated: 1, Unchanged: 1}, person{name: "Asha Rao", labels: []string{"old"}, city: "Goa"}, map[string]int{"CREATED": 1, "UPDATED": 1}},
		importing.FullReplace:    {importing.Counts{Created: 1, Updated: 1, Unchanged: 1}, person{name: "Asha Rao", labels: []string{"new"}, city: "Goa"}, map[string]int{"CREATED": 1, "UPDATED": 1}},
	}
	for strategy, tt := range tests {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			i := b.processing(t, 2)
			_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, strategy,
				person{1, "Asha", []string{"old"}, "Pune"}, person{2, "Ravi", []string{"same"}, "Goa"}))
			require.NoError(t, err)
			j := b.processing(t, 3)
			got, err := b.ApplyChunk(t.Context(), b.v, b.work(t, j, 1, strategy,
				person{1, "Asha Rao", []string{"new"}, "Goa"}, person{2, "Ravi", []string{"same"}, "Goa"}, person{3, "New", nil, ""}))
			require.NoError(t, err)
			require.Equal(t, tt.counts, got)
			require.Equal(t, tt.first, b.people(t)[string(hashOf(1))])
			require.Equal(t, tt.audit, b.audits(t, j))
			var strangers int
			require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM contact_labels l JOIN contacts c ON c.id = l.contact_id
				WHERE l.country IS DISTINCT FROM c.country`).Scan(&strangers))
			require.Zero(t, strangers, "a label knows its contact's country")
		})
	}
}

func TestApplyChunk_NothingCommitsAfterACancel(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 1, 1)
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, person{n: 1}))
	require.NoError(t, err)
	require.NoError(t, b.CancelImport(t.Context(), b.v, i, store.Reason{Code: "import.cancelled"}))
	require.NoError(t, b.CancelImport(t.Context(), b.v, i, store.Reason{}), "twice is fine")
	_, err = b.ApplyChunk(t.Context(), b.v, b.work(t, i, 2, importing.SkipDuplicates, person{n: 2}))
	require.ErrorIs(t, err, importing.ErrState)
	require.Len(t, b.people(t), 1)
	job, err := b.Import(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, importing.Cancelled, job.Status)
	require.Equal(t, 1, job.Counts.Created)
	require.Equal(t, "import.cancelled", job.ReasonCode)
	_, err = b.FinishImport(t.Context(), b.v, i)
	require.NoError(t, err)
	require.ErrorIs(t, b.MoveImport(t.Context(), b.v, i, importing.Processing, store.Reason{}), importing.ErrState)
}

func TestApplyChunk_CountsMustAddUp(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 3)
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, person{n: 1}))
	require.ErrorContains(t, err, "counts 1 rows of 3")
	require.Empty(t, b.people(t), "and nothing is written")
	_, err = b.FinishImport(t.Context(), b.v, i)
	require.ErrorIs(t, err, importing.ErrState, "a chunk is open")
}

// Many imports that overlap in random order: none deadlocks, each number becomes one
// contact, each row is counted once.
func TestApplyChunk_OverlappingImportsAgree(t *testing.T) {
	t.Parallel()
	for _, strategy := range []importing.Strategy{importing.SkipDuplicates, importing.MergeLabels, importing.FullReplace} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			const imports, chunks, size, population = 4, 3, 120, 300
			var mu sync.Mutex
			var total importing.Counts
			seen := map[int]bool{}
			g, _ := errgroup.WithContext(t.Context())
			for n := range imports {
				sizes := slices.Repeat([]int{size}, chunks)
				i := b.processing(t, sizes...)
				everybody := rand.Perm(population)
				for c := range chunks {
					var people []person
					for _, p := range everybody[c*size%(population-size):][:size] {
						people = append(people, person{p, fmt.Sprint("n", n), []string{fmt.Sprint("l", n)}, ""})
						seen[p] = true
					}
					w := b.work(t, i, c+1, strategy, people...)
					g.Go(func() error {
						got, err := b.ApplyChunk(t.Context(), b.v, w)
						mu.Lock()
						defer mu.Unlock()
						total = total.Add(got)
						return err
					})
				}
			}
			require.NoError(t, g.Wait())
			require.Equal(t, imports*chunks*size, total.Rows())
			require.Equal(t, len(seen), total.Created)
			require.Len(t, b.people(t), len(seen))
		})
	}
}

func TestSuppressedAmong_ByAnyIdentity(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 3)
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, person{n: 1}, person{n: 2}, person{n: 3}))
	require.NoError(t, err)
	suppress := func(n int, lifted bool) {
		_, err := b.db.Super().Exec(t.Context(), `INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source, lifted_at)
			VALUES ($1, $2, 'ALL', 'x', 'x', CASE WHEN $3 THEN now() END)`, b.v, hashOf(n), lifted)
		require.NoError(t, err)
	}
	suppress(1, false)  // by the number
	suppress(20, false) // a wa_id of person 2
	suppress(3, true)   // lifted
	suppress(4, false)  // nobody in the book
	_, err = b.db.Super().Exec(t.Context(), `INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id)
		SELECT vendor_id, $2, 'WA_ID', contact_id FROM contact_identities WHERE vendor_id = $1 AND identity_hash = $3`, b.v, hashOf(20), hashOf(2))
	require.NoError(t, err)
	got, err := b.SuppressedAmong(t.Context(), b.v, [][]byte{hashOf(1), hashOf(2), hashOf(3), hashOf(4), hashOf(5)})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{string(hashOf(1)): true, string(hashOf(2)): true, string(hashOf(4)): true}, got)
}

func TestApplyChunk_TwoNumbersOfOnePerson(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 1)
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, person{n: 1, name: "A"}))
	require.NoError(t, err)
	_, err = b.db.Super().Exec(t.Context(), `INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id)
		SELECT vendor_id, $2, 'WA_ID', contact_id FROM contact_identities WHERE vendor_id = $1`, b.v, hashOf(2))
	require.NoError(t, err)
	j := b.processing(t, 2)
	got, err := b.ApplyChunk(t.Context(), b.v, b.work(t, j, 1, importing.FullReplace, person{n: 1, name: "first row"}, person{n: 2, name: "second row"}))
	require.NoError(t, err)
	require.Equal(t, importing.Counts{Updated: 1, Unchanged: 1}, got)
	require.Equal(t, "first row", b.people(t)[string(hashOf(1))].name)
}

func TestCreateImport(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.upload(t, "same")
	sum := sha256.Sum256([]byte("same"))
	again := store.NewImport{ID: id.New[importing.ID](), FileName: "b.csv", FileKey: "k2", SHA256: sum[:], MIMEType: "text/csv", Strategy: importing.FullReplace}
	err := b.CreateImport(t.Context(), b.v, again)
	require.ErrorIs(t, err, importing.ErrDuplicateFile)
	require.ErrorContains(t, err, string(first))

	other := addVendor(t, b.db)
	require.NoError(t, b.CreateImport(t.Context(), other, again), "another vendor's file is another file")
	_, err = b.Import(t.Context(), other, first)
	require.ErrorIs(t, err, importing.ErrNotFound, "and its import is not there")

	again.ID, again.Force, again.DefaultRegion = id.New[importing.ID](), true, "AE"
	require.NoError(t, b.CreateImport(t.Context(), b.v, again))
	job, err := b.Import(t.Context(), b.v, again.ID)
	require.NoError(t, err)
	require.Equal(t, "AE", job.DefaultRegion)
	job, err = b.Import(t.Context(), b.v, first)
	require.NoError(t, err)
	require.Equal(t, "IN", job.DefaultRegion, "the vendor's")
	require.Equal(t, importing.Uploaded, job.Status)

	var doorbells int
	require.NoError(t, b.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE vendor_id = $1 AND kind = 'import.uploaded'`, b.v).Scan(&doorbells))
	require.Equal(t, 2, doorbells)

	require.NoError(t, b.CancelImport(t.Context(), b.v, first, store.Reason{}))
	require.NoError(t, b.CancelImport(t.Context(), b.v, again.ID, store.Reason{}))
	again.ID, again.Force = id.New[importing.ID](), false
	require.NoError(t, b.CreateImport(t.Context(), b.v, again), "a cancelled import does not stand in the way")

	list, err := b.ListImports(t.Context(), b.v, store.ImportQuery{}, "", 2)
	require.NoError(t, err)
	require.Equal(t, []importing.ID{again.ID, list[1].ID}, []importing.ID{list[0].ID, list[1].ID})
	rest, err := b.ListImports(t.Context(), b.v, store.ImportQuery{}, list[1].ID, 2)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	cancelled, err := b.ListImports(t.Context(), b.v, store.ImportQuery{Status: importing.Cancelled}, "", 10)
	require.NoError(t, err)
	require.Len(t, cancelled, 2)
	require.ErrorIs(t, b.CreateImport(t.Context(), id.New[vendor.ID](), again), vendor.ErrNotFound)
}

func TestCreateImport_TwoAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	sum := sha256.Sum256([]byte("x"))
	var wg sync.WaitGroup
	results := make(chan error, 6)
	for range cap(results) {
		wg.Go(func() {
			results <- b.CreateImport(t.Context(), b.v, store.NewImport{
				ID: id.New[importing.ID](), FileName: "b.csv", FileKey: "k2", SHA256: sum[:], MIMEType: "text/csv", Strategy: importing.FullReplace,
			})
		})
	}
	wg.Wait()
	close(results)
	made := 0
	for err := range results {
		if err == nil {
			made++
			continue
		}
		require.ErrorIs(t, err, importing.ErrDuplicateFile)
	}
	require.Equal(t, 1, made)
}

func TestConfirmMapping(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.upload(t, "x")
	require.ErrorIs(t, b.ConfirmMapping(t.Context(), b.v, i, importing.Mapping{Phone: "phone"}), importing.ErrNotAwaiting)
	require.NoError(t, b.SaveImportHeaders(t.Context(), b.v, i, store.ImportHeaders{
		Shape: importing.Shape{Delimiter: ';', Headers: []string{"phone", "name"}}, Rows: 1, Encoding: importing.UTF8,
		Chunks: []store.ImportChunk{{No: 1, FirstRow: 2, Rows: 1, ByteTo: 10}},
	}))
	require.NoError(t, b.MoveImport(t.Context(), b.v, i, importing.AwaitingMapping, store.Reason{}))
	require.Equal(t, "import.phone_column_required", errs.CodeOf(b.ConfirmMapping(t.Context(), b.v, i, importing.Mapping{Name: "name"})))
	require.Equal(t, "import.invalid_mapping", errs.CodeOf(b.ConfirmMapping(t.Context(), b.v, i, importing.Mapping{Phone: "mobile"})))
	m := importing.Mapping{Phone: "phone", Attributes: map[string]string{"n": "name"}, AddLabels: []string{"x"}}
	require.NoError(t, b.ConfirmMapping(t.Context(), b.v, i, m))
	job, err := b.Import(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, importing.MappingConfirmed, job.Status)
	require.Equal(t, &m, job.Mapping)
	require.Equal(t, ";", job.Delimiter)
	require.Equal(t, 1, job.RowsTotal)
	require.ErrorIs(t, b.ConfirmMapping(t.Context(), b.v, i, m), importing.ErrNotAwaiting)
	require.ErrorIs(t, b.ConfirmMapping(t.Context(), addVendor(t, b.db), i, m), importing.ErrNotFound)
}

func TestSkipChunk(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 2, 5)
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, person{n: 1}, person{n: 2}))
	require.NoError(t, err)
	require.NoError(t, b.FailChunk(t.Context(), b.v, i, 2, "blob.not_found"))
	require.NoError(t, b.FailChunk(t.Context(), b.v, i, 1, "late"))
	chunks, err := b.ImportChunks(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, store.ChunkCompleted, chunks[0].Status)
	require.Equal(t, store.ChunkFailed, chunks[1].Status)
	require.Equal(t, "blob.not_found", chunks[1].ReasonCode)
	require.NoError(t, b.SkipChunk(t.Context(), b.v, i, 2, "errors/2"))
	require.NoError(t, b.SkipChunk(t.Context(), b.v, i, 1, "never"), "what is done stays")
	job, err := b.FinishImport(t.Context(), b.v, i)
	require.NoError(t, err)
	require.Equal(t, importing.Counts{Created: 2, Invalid: 5}, job.Counts)
	require.Equal(t, importing.PartialSuccess, job.Status)
	one, err := b.ImportChunk(t.Context(), b.v, i, 2)
	require.NoError(t, err)
	require.Equal(t, "errors/2", one.ErrorsKey)
	_, err = b.ImportChunk(t.Context(), b.v, i, 3)
	require.ErrorIs(t, err, importing.ErrNotFound)
}

func TestContacts_ListFilterAndGet(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := b.processing(t, 5)
	var people []person
	for n := range 5 {
		p := person{n: n, name: fmt.Sprint(n), labels: []string{"all"}}
		if n%2 == 0 {
			p.labels = append(p.labels, "even")
		}
		people = append(people, p)
	}
	_, err := b.ApplyChunk(t.Context(), b.v, b.work(t, i, 1, importing.SkipDuplicates, people...))
	require.NoError(t, err)
	var got []string
	for after := contact.ID(""); ; {
		page, err := b.ListContacts(t.Context(), b.v, store.ContactFilter{Label: "EVEN"}, after, 2)
		require.NoError(t, err)
		for _, c := range page {
			got, after = append(got, string(c.NameCT)), c.ID
		}
		if len(page) < 2 {
			break
		}
	}
	require.ElementsMatch(t, []string{"0", "2", "4"}, got)
	page, err := b.ListContacts(t.Context(), b.v, store.ContactFilter{Identity: hashOf(3)}, "", 2)
	require.NoError(t, err)
	require.Len(t, page, 1)
	page2, err := b.ListContacts(t.Context(), b.v, store.ContactFilter{Label: "nobody's"}, "", 2)
	require.NoError(t, err)
	require.Empty(t, page2)
	one, err := b.Contact(t.Context(), b.v, page[0].ID)
	require.NoError(t, err)
	require.Equal(t, page[0], one)

	other := addVendor(t, b.db)
	_, err = b.Contact(t.Context(), other, one.ID)
	require.ErrorIs(t, err, contact.ErrNotFound)
	none, err := b.ListContacts(t.Context(), other, store.ContactFilter{Label: "even"}, "", 10)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestLogRefusedUpload(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	i := id.New[importing.ID]()
	require.NoError(t, b.LogRefusedUpload(t.Context(), b.v, store.RefusedUpload{ID: i, Signature: "Eicar-Test-Signature", By: "user", Sealed: []byte("sealed")}))
	require.Equal(t, map[string]int{"UPLOAD_REFUSED": 1}, b.audits(t, i))
}

func TestImportStatuses_AreThoseOfTheColumn(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for table, values := range map[string][]string{
		"contact_import_jobs_status_check":   texts(importing.Statuses()),
		"contact_import_jobs_strategy_check": {"SKIP_DUPLICATES", "MERGE_LABELS", "UPDATE_METADATA", "FULL_REPLACE"},
		"contact_import_chunks_status_check": {"PENDING", "FAILED", "COMPLETED", "SKIPPED"},
	} {
		require.ElementsMatch(t, values, checkValues(t.Context(), t, b.db, table))
	}
}

func texts[T ~string](all []T) []string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

// checkValues reads the literals of a CHECK (column IN (…)).
func checkValues(ctx context.Context, t *testing.T, db *pgtest.DB, constraint string) []string {
	t.Helper()
	var out []string
	require.NoError(t, db.Super().QueryRow(ctx, `
		SELECT array_agg(m[1]) FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([^'']+)''', 'g') m
		WHERE conname = $1`, constraint).Scan(&out))
	return out
}

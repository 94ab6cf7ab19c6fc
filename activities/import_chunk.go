package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"go.temporal.io/sdk/activity"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/store"
)

// importActor is who the audit log names for what an import changes; the import itself
// names the user.
const importActor = "import"

// ImportChunk writes one chunk: the second pass over its rows. A chunk that is done
// answers what it counted.
func (a *Importing) ImportChunk(ctx context.Context, in ImportChunkRef) (importing.Counts, error) {
	c, err := a.chunk(ctx, in)
	if err != nil {
		return importing.Counts{}, toTemporal(err)
	}
	if c.chunk.Status.Done() {
		return c.chunk.Counts, nil
	}
	counts, err := c.run(ctx, a.Store)
	return counts, toTemporal(err)
}

// SkipChunk counts a chunk's rows as invalid, by an operator's word, and lists every
// one of them in the error file, as far as the file can be read.
func (a *Importing) SkipChunk(ctx context.Context, in ImportChunkRef) error {
	c, err := a.chunk(ctx, in)
	if err != nil {
		return toTemporal(err)
	}
	if c.chunk.Status.Done() {
		return nil
	}
	key, err := c.files.WriteErrors(ctx, in.Chunk, c.skipped(ctx))
	if err != nil {
		return toTemporal(err)
	}
	return toTemporal(a.Store.SkipChunk(ctx, in.Vendor, in.Import, in.Chunk, key))
}

// chunk gathers what one chunk needs.
func (a *Importing) chunk(ctx context.Context, in ImportChunkRef) (*chunkRun, error) {
	job, err := a.Store.Import(ctx, in.Vendor, in.Import)
	if err != nil {
		return nil, err
	}
	chunk, err := a.Store.ImportChunk(ctx, in.Vendor, in.Import, in.Chunk)
	if err != nil {
		return nil, err
	}
	if job.Mapping == nil {
		return nil, importing.ErrState
	}
	plan, err := importing.NewPlan(job.Headers, *job.Mapping, job.DefaultRegion)
	if err != nil {
		return nil, err
	}
	files, err := a.files(ctx, in.ImportRef)
	if err != nil {
		return nil, err
	}
	return &chunkRun{ref: in, job: job, chunk: chunk, plan: plan, files: files}, nil
}

// chunkRun is one chunk on its way from the file to the book.
type chunkRun struct {
	ref    ImportChunkRef
	job    store.Import
	chunk  store.ImportChunk
	plan   *importing.Plan
	files  importfile.Files
	people []candidate
	errors []importing.RowError
	counts importing.Counts
}

// candidate is a row that may write something.
type candidate struct {
	store.ChunkRow
	number phone.Number
}

func (c *chunkRun) run(ctx context.Context, s *store.Store) (importing.Counts, error) {
	if err := c.read(ctx); err != nil {
		return importing.Counts{}, err
	}
	activity.RecordHeartbeat(ctx, "read")
	if err := c.dropSuppressed(ctx, s); err != nil {
		return importing.Counts{}, err
	}
	key, err := c.files.WriteErrors(ctx, c.ref.Chunk, c.errors)
	if err != nil {
		return importing.Counts{}, err
	}
	labels, err := s.EnsureLabels(ctx, c.ref.Vendor, c.labels())
	if err != nil {
		return importing.Counts{}, err
	}
	activity.RecordHeartbeat(ctx, "ready")
	w := store.ChunkWork{
		Import: c.ref.Import, No: c.ref.Chunk, Actor: importActor, Strategy: c.job.Strategy, Decided: c.counts,
		ErrorsKey: key, Rows: make([]store.ChunkRow, len(c.people)), Labels: labels,
		Rules: store.ChunkRules{New: c.seal, Changes: c.changes, Merge: c.merge},
	}
	for i := range c.people {
		w.Rows[i] = c.people[i].ChunkRow
	}
	return s.ApplyChunk(ctx, c.ref.Vendor, w)
}

// read walks the chunk's rows beside what the first pass decided about them.
func (c *chunkRun) read(ctx context.Context) error {
	entries, err := c.files.ReadEntries(ctx, (c.ref.Chunk-1)*importing.ChunkRows, c.chunk.Rows)
	if err != nil {
		return err
	}
	c.people = make([]candidate, 0, len(entries))
	seen := 0
	err = c.walk(ctx, func(row int, cells []string) error {
		if seen == len(entries) || int(entries[seen].Row) != row {
			return errMiscount
		}
		e := entries[seen]
		seen++
		if e.Fault != importing.NoFault {
			column, value := c.plan.Blame(cells, e.Fault)
			c.reject(row, column, value, e.Fault, int(e.FirstRow))
			return nil
		}
		return c.accept(row, cells, e.Number())
	})
	if err == nil && seen != len(entries) {
		return errMiscount
	}
	slices.SortFunc(c.people, func(a, b candidate) int { return bytes.Compare(a.Hash, b.Hash) })
	return err
}

// walk calls visit with every row of the chunk that is not blank.
func (c *chunkRun) walk(ctx context.Context, visit func(row int, cells []string) error) error {
	file, err := c.files.Open(ctx, c.job.DataKey)
	if err != nil {
		return err
	}
	r, err := file.Range(ctx, c.chunk.ByteFrom, c.chunk.ByteTo)
	if err != nil {
		return err
	}
	defer r.Close()
	sc := newRecordScanner(r, c.job.Delimiter[0], c.chunk.ByteFrom)
	sc.record = c.chunk.FirstRow - 1
	var cells []string
	for sc.Scan() {
		if importing.Blank(sc.Bytes(), sc.delim) {
			continue
		}
		cells = importing.Fields(sc.Bytes(), sc.delim, cells)
		if err := visit(sc.record, cells); err != nil {
			return err
		}
	}
	return sc.Err()
}

func (c *chunkRun) reject(row int, column, value string, f importing.Fault, firstRow int) {
	c.counts = c.counts.Reject(f)
	c.errors = append(c.errors, importing.NewRowError(row, column, value, f, firstRow))
}

func (c *chunkRun) accept(row int, cells []string, n phone.Number) error {
	hash, err := c.files.Keys.Index(contact.Identity(contact.PhoneIdentity, n.String()))
	if err != nil {
		return err
	}
	c.people = append(c.people, candidate{
		ChunkRow: store.ChunkRow{Row: row, Hash: hash, Country: n.Region(), Profile: c.plan.Profile(cells)}, number: n,
	})
	return nil
}

// dropSuppressed takes out whoever must not be written to: such a row changes nothing.
func (c *chunkRun) dropSuppressed(ctx context.Context, s *store.Store) error {
	hashes := make([][]byte, len(c.people))
	for i := range c.people {
		hashes[i] = c.people[i].Hash
	}
	suppressed, err := s.SuppressedAmong(ctx, c.ref.Vendor, hashes)
	if err != nil || len(suppressed) == 0 {
		return err
	}
	c.people = slices.DeleteFunc(c.people, func(p candidate) bool {
		if !suppressed[string(p.Hash)] {
			return false
		}
		c.reject(p.Row, c.job.Mapping.Phone, p.number.String(), importing.FaultSuppressed, 0)
		return true
	})
	slices.SortFunc(c.errors, func(a, b importing.RowError) int { return a.Row - b.Row })
	return nil
}

// labels returns the labels of all candidates, each once, spelt as its first row does.
func (c *chunkRun) labels() []string {
	type spelling struct {
		name string
		row  int
	}
	first := map[string]spelling{}
	for i := range c.people {
		row := c.people[i].Row
		for _, l := range c.people[i].Profile.Labels {
			key := contact.LabelKey(l)
			if seen, is := first[key]; !is || row < seen.row {
				first[key] = spelling{name: l, row: row}
			}
		}
	}
	out := make([]string, 0, len(first))
	for _, s := range first {
		out = append(out, s.name)
	}
	return out
}

// seal makes a new contact's ciphertexts.
func (c *chunkRun) seal(row int, id contact.ID) (store.SealedContact, error) {
	var out store.SealedContact
	var err error
	p := &c.people[row]
	if out.MobileCT, err = c.files.Keys.Encrypt(crypt.Mobile, string(id), []byte(p.number.String())); err != nil {
		return out, err
	}
	if p.Profile.Name != "" {
		if out.NameCT, err = c.files.Keys.Encrypt(crypt.Name, string(id), []byte(p.Profile.Name)); err != nil {
			return out, err
		}
	}
	out.AuditCT, err = c.sealAudit(id, auditOf(p.Profile, importing.Change{}, true))
	return out, err
}

// decide asks the rule what a row changes in a contact.
func (c *chunkRun) decide(row int, has store.HeldContact) (was importing.Profile, change importing.Change, err error) {
	was = importing.Profile{Labels: has.Labels, Attributes: has.Attributes}
	if has.NameCT != nil && c.job.Strategy != importing.MergeLabels {
		name, err := c.files.Keys.Decrypt(crypt.Name, string(has.ID), has.NameCT)
		if err != nil {
			return was, change, err
		}
		was.Name = string(name)
	}
	return was, importing.Merge(c.job.Strategy, was, c.people[row].Profile, c.plan.Mapped()), nil
}

func (c *chunkRun) changes(row int, has store.HeldContact) (bool, error) {
	_, change, err := c.decide(row, has)
	return !change.Empty(), err
}

// merge decides and seals what a row changes.
func (c *chunkRun) merge(row int, has store.HeldContact) (store.SealedChange, error) {
	var out store.SealedChange
	was, change, err := c.decide(row, has)
	if err != nil {
		return out, err
	}
	out.Change = change
	if out.Empty() {
		return out, nil
	}
	if out.SetName && out.Name != "" {
		if out.NameCT, err = c.files.Keys.Encrypt(crypt.Name, string(has.ID), []byte(out.Name)); err != nil {
			return out, err
		}
	}
	if out.BeforeCT, err = c.sealAudit(has.ID, auditOf(was, out.Change, false)); err != nil {
		return out, err
	}
	out.AfterCT, err = c.sealAudit(has.ID, auditOf(out.Apply(was), out.Change, false))
	return out, err
}

// auditEntry is the sealed half of an audit log's line: the fields that changed.
type auditEntry struct {
	Name       *string           `json:"name,omitempty"`
	Labels     []string          `json:"labels,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

func auditOf(p importing.Profile, c importing.Change, all bool) auditEntry {
	var e auditEntry
	if c.SetName || all {
		e.Name = &p.Name
	}
	if len(c.AddLabels)+len(c.DropLabels) > 0 || all {
		e.Labels = p.Labels
	}
	if len(c.SetAttributes)+len(c.DropAttributes) > 0 || all {
		e.Attributes = p.Attributes
	}
	return e
}

func (c *chunkRun) sealAudit(id contact.ID, e auditEntry) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return c.files.Keys.Encrypt(crypt.Audit, string(id), text)
}

// skipped lists every row of the chunk as skipped: with its cell if the file can be
// read, else by its number alone.
func (c *chunkRun) skipped(ctx context.Context) []importing.RowError {
	var out []importing.RowError
	err := c.walk(ctx, func(row int, cells []string) error {
		column, value := c.plan.Blame(cells, importing.FaultSkipped)
		out = append(out, importing.NewRowError(row, column, value, importing.FaultSkipped, 0))
		return nil
	})
	if err == nil && len(out) == c.chunk.Rows {
		return out
	}
	out = out[:0]
	for i := range c.chunk.Rows {
		out = append(out, importing.NewRowError(c.chunk.FirstRow+i, c.job.Mapping.Phone, "", importing.FaultSkipped, 0))
	}
	return out
}

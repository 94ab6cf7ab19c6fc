package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

// ChunkWork is one chunk of an import, parsed, hashed and ready to be written.
type ChunkWork struct {
	Import    importing.ID
	No        int
	Actor     string
	Strategy  importing.Strategy
	Decided   importing.Counts           // rows that write nothing: invalid, duplicate, suppressed
	ErrorsKey string                     // where their error rows lie; "" when there are none
	Rows      []ChunkRow                 // the others: distinct, in the order of their hash
	Labels    map[string]contact.LabelID // by contact.LabelKey, for every label of Rows
	Rules     ChunkRules
}

// ChunkRow is one row that may create or change a contact.
type ChunkRow struct {
	Row     int // as a spreadsheet counts
	Hash    []byte
	Country string
	Profile importing.Profile
}

// ChunkRules are what the store asks while it holds the locks. Both are given the index
// of a row of ChunkWork.Rows; both only compute.
type ChunkRules struct {
	// New seals a row that is nobody in the book yet, under the id it will have.
	New func(row int, c contact.ID) (SealedContact, error)
	// Changes tells whether Merge would change anything, and seals nothing. Who says no is
	// not locked. Neither is asked under SKIP_DUPLICATES.
	Changes func(row int, has HeldContact) (bool, error)
	// Merge decides what a row changes in a contact that is there, and seals it.
	Merge func(row int, has HeldContact) (SealedChange, error)
}

// SealedContact is a new contact's ciphertexts.
type SealedContact struct{ MobileCT, NameCT, AuditCT []byte }

// HeldContact is a contact whose row is locked. Labels and attributes are read only
// for the strategies that can change them.
type HeldContact struct {
	ID         contact.ID
	NameCT     []byte
	Labels     []string
	Attributes map[string]string
}

// SealedChange is what a row changes; the zero value changes nothing.
type SealedChange struct {
	importing.Change
	NameCT            []byte // with SetName; nil clears
	BeforeCT, AfterCT []byte
}

// errMoved says that the book moved under the chunk more often than it should; the
// whole transaction is tried again.
var errMoved = errs.New(errs.Unavailable, "import.contention", "contacts were changed at the same time: trying again")

// errMiscount is a bug of ours or a file that changed under its import: nothing is written.
var errMiscount = errs.New(errs.Internal, "import.miscount", "the rows of a chunk do not add up")

// ApplyChunk writes a chunk and its status in one transaction and returns its counts. A
// chunk that is done returns what it counted then: a repeat changes nothing. Two chunks,
// of one import or of two, that hold the same numbers wait for each other and do not
// deadlock: new contacts are inserted in the order of their hash before any existing
// one is locked, and those are locked in the order of their key.
//
// Errors: import.not_found, import.wrong_state (cancelled), import.contention.
func (s *Store) ApplyChunk(ctx context.Context, v vendor.ID, w ChunkWork) (importing.Counts, error) {
	counts, err := s.applyChunk(ctx, v, &w, false)
	if violates(err, "contacts_mobile_hash_key") || violates(err, "contact_identities_pkey") {
		// Somebody else made one of them meanwhile, as two imports of one list do.
		return s.applyChunk(ctx, v, &w, true)
	}
	return counts, err
}

// applyChunk is one try. A contested one asks, number by number, who else made it; the other
// is broken off by the first number that somebody did.
func (s *Store) applyChunk(ctx context.Context, v vendor.ID, w *ChunkWork, contested bool) (importing.Counts, error) {
	var counts importing.Counts
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		c, err := s.lockChunk(ctx, tx, v, w.Import, w.No)
		if err != nil {
			return err
		}
		if c.Status.Done() {
			counts = c.Counts
			return nil
		}
		a := applying{store: s, tx: tx, vendor: v, work: w, contested: contested, counts: w.Decided, labels: maps.Clone(w.Labels)}
		known, err := a.insertNew(ctx)
		if err != nil {
			return err
		}
		if err := a.mergeKnown(ctx, known); err != nil {
			return err
		}
		if got := a.counts.Rows(); got != c.Rows {
			return errMiscount.Detail("chunk %d counts %d rows of %d", w.No, got, c.Rows)
		}
		counts = a.counts
		c.Status, c.Counts, c.ErrorsKey, c.ReasonCode = ChunkCompleted, counts, w.ErrorsKey, ""
		return a.write(ctx, c)
	})
	return counts, err
}

// applying is one ApplyChunk under way: what its transaction will write at the end.
type applying struct {
	store  *Store
	tx     pgx.Tx
	vendor vendor.ID
	work   *ChunkWork
	counts importing.Counts
	labels map[string]contact.LabelID

	contested bool

	identities struct {
		hashes   [][]byte
		contacts []contact.ID
		audits   [][]byte
	}
	names struct {
		contacts []contact.ID
		cts      [][]byte
	}
	labelled    []labelling
	unlabelled  []labelling
	attributes  []attribute
	unattribute []attribute
	audit       struct { // of changes
		contacts      []contact.ID
		fields        []string
		before, after [][]byte
	}
}

type labelling struct {
	label   contact.LabelID
	contact contact.ID
}

type attribute struct {
	contact     contact.ID
	name, value string
}

// insertNew makes a contact of every row that is nobody yet and returns, per contact
// that is there already, the row that speaks about it.
func (a *applying) insertNew(ctx context.Context) (map[contact.ID]int, error) {
	todo := make([]int, len(a.work.Rows))
	for i := range todo {
		todo[i] = i
	}
	known := map[contact.ID]int{}
	for range 3 { // a second round only after a race, a third after a deletion in it
		var err error
		if todo, err = a.dropKnown(ctx, todo, known); err != nil {
			return nil, err
		}
		if len(todo) == 0 {
			return known, nil
		}
		if todo, err = a.insert(ctx, todo); err != nil {
			return nil, err
		}
		if len(todo) == 0 {
			return known, nil
		}
	}
	return nil, errMoved
}

// dropKnown takes the rows whose number is somebody's out of todo.
func (a *applying) dropKnown(ctx context.Context, todo []int, known map[contact.ID]int) ([]int, error) {
	hashes := make([][]byte, len(todo))
	for k, i := range todo {
		hashes[k] = a.work.Rows[i].Hash
	}
	rows, err := a.tx.Query(ctx, a.store.sql("ContactKnown"), a.vendor, hashes)
	if err != nil {
		return nil, err
	}
	owners := map[string]contact.ID{}
	var hash []byte
	var owner contact.ID
	_, err = pgx.ForEachRow(rows, []any{&hash, &owner}, func() error {
		owners[string(hash)] = owner
		return nil
	})
	if err != nil {
		return nil, err
	}
	left := todo[:0]
	for _, i := range todo {
		c, is := owners[string(a.work.Rows[i].Hash)]
		if !is {
			left = append(left, i)
			continue
		}
		other, twice := known[c]
		if twice {
			a.counts.Unchanged++ // two numbers of one person: the earlier row speaks
		}
		if !twice || a.work.Rows[i].Row < a.work.Rows[other].Row {
			known[c] = i
		}
	}
	return left, nil
}

// newContacts are the columns of contacts to be made. What else a row of contacts gets at its
// import is one column more here, in insert and in the two statements.
type newContacts struct {
	ids       []contact.ID
	hashes    [][]byte
	countries []string
	sealed    []SealedContact
	mobiles   [][]byte
	names     [][]byte
}

func (a *applying) seal(todo []int) (*newContacts, error) {
	n := len(todo)
	c := &newContacts{
		ids: make([]contact.ID, n), hashes: make([][]byte, n), countries: make([]string, n), sealed: make([]SealedContact, n),
		mobiles: make([][]byte, n), names: make([][]byte, n),
	}
	for k, i := range todo {
		c.ids[k], c.hashes[k], c.countries[k] = id.New[contact.ID](), a.work.Rows[i].Hash, a.work.Rows[i].Country
		var err error
		if c.sealed[k], err = a.work.Rules.New(i, c.ids[k]); err != nil {
			return nil, err
		}
		c.mobiles[k], c.names[k] = c.sealed[k].MobileCT, c.sealed[k].NameCT
	}
	return c, nil
}

// insert makes contacts of the rows in todo and returns those that somebody else made
// in the meantime.
func (a *applying) insert(ctx context.Context, todo []int) ([]int, error) {
	c, err := a.seal(todo)
	if err != nil {
		return nil, err
	}
	args := []any{a.vendor, a.work.Import, uuids[contact.ID](c.ids), c.hashes, c.mobiles, c.names, c.countries}
	if !a.contested {
		if _, err := a.tx.Exec(ctx, a.store.sql("ContactInsertNew"), args...); err != nil {
			return nil, err
		}
		for k, i := range todo {
			a.created(i, c.ids[k], c.sealed[k].AuditCT)
		}
		return nil, nil
	}
	rows, err := a.tx.Query(ctx, a.store.sql("ContactInsertAll"), args...)
	if err != nil {
		return nil, err
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[contact.ID])
	if err != nil {
		return nil, err
	}
	isMade := make(map[contact.ID]bool, len(made))
	for _, m := range made {
		isMade[m] = true
	}
	var lost []int
	for k, i := range todo {
		if !isMade[c.ids[k]] {
			lost = append(lost, i)
			continue
		}
		a.created(i, c.ids[k], c.sealed[k].AuditCT)
	}
	return lost, nil
}

func (a *applying) created(row int, c contact.ID, audit []byte) {
	r := &a.work.Rows[row]
	a.counts.Created++
	a.identities.hashes = append(a.identities.hashes, r.Hash)
	a.identities.contacts = append(a.identities.contacts, c)
	a.identities.audits = append(a.identities.audits, audit)
	for _, l := range r.Profile.Labels {
		a.labelled = append(a.labelled, labelling{a.labels[contact.LabelKey(l)], c})
	}
	for name, value := range r.Profile.Attributes {
		a.attributes = append(a.attributes, attribute{c, name, value})
	}
}

func (a *applying) log(c contact.ID, fields string, before, after []byte) {
	a.audit.contacts = append(a.audit.contacts, c)
	a.audit.fields = append(a.audit.fields, fields)
	a.audit.before = append(a.audit.before, before)
	a.audit.after = append(a.audit.after, after)
}

// mergeKnown asks the rule what changes in the contacts that are there, and locks those in
// which something does: a list that is imported again writes nothing and waits for nobody.
func (a *applying) mergeKnown(ctx context.Context, known map[contact.ID]int) error {
	if a.work.Strategy == importing.SkipDuplicates {
		a.counts.Unchanged += len(known)
		return nil
	}
	if len(known) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(known))
	seen, err := a.hold(ctx, "ContactPeekAll", ids)
	if err != nil {
		return err
	}
	changing := ids[:0]
	for _, h := range seen {
		changes, err := a.work.Rules.Changes(known[h.ID], *h)
		if err != nil {
			return err
		}
		if changes {
			changing = append(changing, h.ID)
		} else {
			a.counts.Unchanged++
		}
	}
	if len(changing) == 0 {
		return nil
	}
	held, err := a.hold(ctx, "ContactLockAll", changing)
	if err != nil {
		return err
	}
	for _, h := range held {
		change, err := a.work.Rules.Merge(known[h.ID], *h)
		if err != nil {
			return err
		}
		if change.Empty() {
			a.counts.Unchanged++
			continue
		}
		a.updated(h.ID, change)
	}
	return nil
}

// hold reads what the strategy may change of contacts, in the order of their key, and locks
// them if the statement does.
func (a *applying) hold(ctx context.Context, statement string, ids []contact.ID) ([]*HeldContact, error) {
	b := &pgx.Batch{}
	keys := uuids[contact.ID](ids)
	b.Queue(a.store.sql(statement), a.vendor, keys)
	if a.work.Strategy != importing.UpdateMetadata {
		b.Queue(a.store.sql("ContactLabelsOf"), a.vendor, keys)
	}
	if a.work.Strategy != importing.MergeLabels {
		b.Queue(a.store.sql("ContactAttributesOf"), a.vendor, keys)
	}
	results := a.tx.SendBatch(ctx, b)
	defer results.Close()
	held := make([]*HeldContact, 0, len(ids))
	byID := make(map[contact.ID]*HeldContact, len(ids))
	rows, _ := results.Query() // its error comes again from ForEachRow
	var c contact.ID
	var nameCT []byte
	if _, err := pgx.ForEachRow(rows, []any{&c, &nameCT}, func() error {
		h := &HeldContact{ID: c, NameCT: nameCT}
		held, byID[c] = append(held, h), h
		return nil
	}); err != nil {
		return nil, err
	}
	if len(held) != len(ids) {
		return nil, errMoved // deleted since: it will be a new contact
	}
	if a.work.Strategy != importing.UpdateMetadata {
		if err := a.readLabels(results, byID); err != nil {
			return nil, err
		}
	}
	if a.work.Strategy != importing.MergeLabels {
		if err := readAttributes(results, byID); err != nil {
			return nil, err
		}
	}
	return held, results.Close()
}

func (a *applying) readLabels(results pgx.BatchResults, byID map[contact.ID]*HeldContact) error {
	rows, _ := results.Query() // its error comes again from ForEachRow
	var c contact.ID
	var label contact.LabelID
	var name string
	_, err := pgx.ForEachRow(rows, []any{&c, &label, &name}, func() error {
		byID[c].Labels = append(byID[c].Labels, name)
		if a.labels == nil {
			a.labels = map[string]contact.LabelID{}
		}
		a.labels[contact.LabelKey(name)] = label
		return nil
	})
	return err
}

func readAttributes(results pgx.BatchResults, byID map[contact.ID]*HeldContact) error {
	rows, _ := results.Query() // its error comes again from ForEachRow
	var c contact.ID
	var name, value string
	_, err := pgx.ForEachRow(rows, []any{&c, &name, &value}, func() error {
		if byID[c].Attributes == nil {
			byID[c].Attributes = map[string]string{}
		}
		byID[c].Attributes[name] = value
		return nil
	})
	return err
}

func (a *applying) updated(c contact.ID, change SealedChange) {
	a.counts.Updated++
	if change.SetName {
		a.names.contacts, a.names.cts = append(a.names.contacts, c), append(a.names.cts, change.NameCT)
	}
	for _, l := range change.AddLabels {
		a.labelled = append(a.labelled, labelling{a.labels[contact.LabelKey(l)], c})
	}
	for _, l := range change.DropLabels {
		a.unlabelled = append(a.unlabelled, labelling{a.labels[contact.LabelKey(l)], c})
	}
	for name, value := range change.SetAttributes {
		a.attributes = append(a.attributes, attribute{c, name, value})
	}
	for _, name := range change.DropAttributes {
		a.unattribute = append(a.unattribute, attribute{contact: c, name: name})
	}
	a.log(c, strings.Join(change.Fields(), ","), change.BeforeCT, change.AfterCT)
}

// write sends everything that follows from the decisions, and the chunk's status, in
// one round trip. Every list is in the order of its table's key.
func (a *applying) write(ctx context.Context, c ImportChunk) error {
	b := &pgx.Batch{}
	queue := func(name string, n int, args ...any) {
		if n > 0 {
			b.Queue(a.store.sql(name), append([]any{a.vendor}, args...)...)
		}
	}
	made := uuids[contact.ID](a.identities.contacts)
	queue("ContactIdentityInsertAll", len(made), a.identities.hashes, made)
	queue("ContactNameUpdateAll", len(a.names.contacts), uuids[contact.ID](a.names.contacts), a.names.cts)
	labels, contacts := splitLabellings(a.unlabelled)
	queue("ContactLabelDeleteAll", len(labels), labels, contacts)
	labels, contacts = splitLabellings(a.labelled)
	queue("ContactLabelInsertAll", len(labels), labels, contacts)
	owners, names, _ := splitAttributes(a.unattribute)
	queue("ContactAttributeDeleteAll", len(owners), owners, names)
	owners, names, values := splitAttributes(a.attributes)
	queue("ContactAttributeUpsertAll", len(owners), owners, names, values)
	queue("ContactAuditCreated", len(made), a.work.Import, a.work.Actor, made, a.identities.audits)
	queue("ContactAuditUpdated", len(a.audit.contacts), a.work.Import, a.work.Actor,
		uuids[contact.ID](a.audit.contacts), a.audit.fields, a.audit.before, a.audit.after)
	b.Queue(a.store.sql("ChunkFinish"), chunkFinishArgs(a.vendor, a.work.Import, c))
	return a.tx.SendBatch(ctx, b).Close()
}

func splitLabellings(all []labelling) (labels uuids[contact.LabelID], contacts uuids[contact.ID]) {
	slices.SortFunc(all, func(x, y labelling) int {
		return cmp.Or(cmp.Compare(x.label, y.label), cmp.Compare(x.contact, y.contact))
	})
	for _, l := range all {
		labels, contacts = append(labels, l.label), append(contacts, l.contact)
	}
	return labels, contacts
}

func splitAttributes(all []attribute) (contacts uuids[contact.ID], names, values []string) {
	slices.SortFunc(all, func(x, y attribute) int {
		return cmp.Or(cmp.Compare(x.contact, y.contact), cmp.Compare(x.name, y.name))
	})
	for _, one := range all {
		contacts, names, values = append(contacts, one.contact), append(names, one.name), append(values, one.value)
	}
	return contacts, names, values
}

package store

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Intake is one group commit of webhook requests: their raw bodies, sealed together,
// and the statuses read from them.
type Intake struct {
	ID       string // a UUID; part of the seal's associated data
	BodiesCT []byte
	Requests int
	Statuses []StatusUpdate
	News     []AccountNews
	Inbound  []SealedInbound
}

// AccountNews says that something of an account changed at Meta. What, is read there.
type AccountNews struct {
	WABA     string // Meta's id
	Standing bool   // the account's own or a number's; else only its templates
}

// TakeIn makes webhooks durable: raw bodies, status merges, and what follows from
// them, in one transaction. It works across vendors under the webhook role; each
// status is routed to the vendor of its phone number id and looked up there only.
// It returns how many statuses named a number we do not know. Repeats change nothing.
func (s *Store) TakeIn(ctx context.Context, in Intake) (unrouted int, err error) {
	err = s.acrossTx(ctx, func(tx pgx.Tx) error {
		routed, err := s.routeStatuses(ctx, tx, in.Statuses)
		if err != nil {
			return err
		}
		unrouted = len(in.Statuses) - len(routed)
		wrote, err := s.keepInbound(ctx, tx, in.Inbound)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, s.sql("IntakeInsert"), pgx.StrictNamedArgs{
			"id": in.ID, "requests": in.Requests, "unrouted": unrouted, "bodies_ct": in.BodiesCT,
		}); err != nil {
			return err
		}
		known, orphans, err := s.placeStatuses(ctx, tx, routed)
		if err != nil {
			return err
		}
		if err := s.parkStatuses(ctx, tx, orphans); err != nil {
			return err
		}
		due, err := s.mergeStatuses(ctx, tx, known)
		if err != nil {
			return err
		}
		for _, u := range orphans { // their send may be recorded in this very moment
			due[u.Vendor] = true
		}
		if err := s.findParked(ctx, tx, known, due); err != nil {
			return err
		}
		heard, err := s.hearNews(ctx, tx, in.News)
		if err != nil {
			return err
		}
		return s.ringAll(ctx, tx, due, wrote, heard)
	})
	return unrouted, err
}

// findParked has the settlement look when one of statuses tells which attempt a parked
// status belongs to: it came before, and named the wamid only.
func (s *Store) findParked(ctx context.Context, tx pgx.Tx, statuses []StatusUpdate, due vendorSet) error {
	if len(statuses) == 0 {
		return nil
	}
	vendors, wamids := make([]string, len(statuses)), make([]string, len(statuses))
	for i, u := range statuses {
		vendors[i], wamids[i] = string(u.Vendor), u.Wamid
	}
	rows, err := tx.Query(ctx, s.sql("StatusParked"), pgx.StrictNamedArgs{"vendor_ids": vendors, "wamids": wamids})
	if err != nil {
		return err
	}
	parked, err := pgx.CollectRows(rows, pgx.RowTo[vendor.ID])
	if err != nil {
		return err
	}
	for _, v := range parked {
		due[v] = true
	}
	return nil
}

// hearNews notes when an account's standing was told of, and returns the accounts that are
// to be looked at, by vendor.
func (s *Store) hearNews(ctx context.Context, tx pgx.Tx, news []AccountNews) (map[vendor.ID][]string, error) {
	heard := map[vendor.ID][]string{}
	if len(news) == 0 {
		return heard, nil
	}
	standing := map[string]bool{}
	for _, n := range news {
		standing[n.WABA] = standing[n.WABA] || n.Standing
	}
	ids, marks := make([]string, 0, len(standing)), make([]bool, 0, len(standing))
	for w, mark := range standing {
		ids, marks = append(ids, w), append(marks, mark)
	}
	rows, err := tx.Query(ctx, s.sql("AccountHear"), pgx.StrictNamedArgs{"waba_ids": ids, "standing": marks})
	if err != nil {
		return nil, err
	}
	var (
		v       vendor.ID
		account string
	)
	_, err = pgx.ForEachRow(rows, []any{&v, &account}, func() error {
		heard[v] = append(heard[v], account)
		return nil
	})
	return heard, err
}

// ringAll enqueues everything that follows from one intake, vendor by vendor in one order:
// each vendor's turn is a row that every producer locks.
func (s *Store) ringAll(ctx context.Context, tx pgx.Tx, due, wrote vendorSet, heard map[vendor.ID][]string) error {
	all := maps.Clone(due)
	maps.Copy(all, wrote)
	for v := range heard {
		all[v] = true
	}
	for _, v := range sortedVendors(all) {
		if due[v] {
			if err := s.enqueue(ctx, tx, v, "settlement.due", string(v)); err != nil {
				return err
			}
		}
		if wrote[v] {
			if err := s.enqueue(ctx, tx, v, "inbound.received", string(v)); err != nil {
				return err
			}
		}
		slices.Sort(heard[v])
		for _, account := range heard[v] {
			if err := s.enqueue(ctx, tx, v, "waba.template_sync", account); err != nil {
				return err
			}
		}
	}
	return nil
}

// vendorSet is the vendors whose settlement is due: rung at the end of a transaction,
// since a ring locks the vendor's turn, which others take after their messages.
type vendorSet map[vendor.ID]bool

// routeStatuses names the vendor of each status by its phone number id alone.
func (s *Store) routeStatuses(ctx context.Context, tx pgx.Tx, statuses []StatusUpdate) ([]StatusUpdate, error) {
	if len(statuses) == 0 {
		return nil, nil
	}
	names := make([]string, len(statuses))
	for i, u := range statuses {
		names[i] = u.PhoneNumberID
	}
	numbers, err := s.routeNumbers(ctx, tx, names)
	if err != nil {
		return nil, err
	}
	routed := make([]StatusUpdate, 0, len(statuses))
	for _, u := range statuses {
		if u.Vendor = numbers[u.PhoneNumberID]; u.Vendor != "" {
			routed = append(routed, u)
		}
	}
	return routed, nil
}

// routeNumbers names the vendors of phone number ids; those we do not know are left out.
func (s *Store) routeNumbers(ctx context.Context, tx pgx.Tx, names []string) (map[string]vendor.ID, error) {
	slices.Sort(names)
	rows, err := tx.Query(ctx, s.sql("StatusRoute"), pgx.StrictNamedArgs{"phone_number_ids": slices.Compact(names)})
	if err != nil {
		return nil, err
	}
	var (
		numbers = map[string]vendor.ID{}
		number  string
		v       vendor.ID
	)
	_, err = pgx.ForEachRow(rows, []any{&number, &v}, func() error { numbers[number] = v; return nil })
	return numbers, err
}

// placeStatuses finds the attempt of those that carry no reference of ours by wamid.
func (s *Store) placeStatuses(ctx context.Context, tx pgx.Tx, statuses []StatusUpdate) (known, orphans []StatusUpdate, err error) {
	var vendors, wamids []string
	for _, u := range statuses {
		if u.Ref == (message.Ref{}) {
			vendors, wamids = append(vendors, string(u.Vendor)), append(wamids, u.Wamid)
		}
	}
	if len(wamids) == 0 {
		return statuses, nil, nil
	}
	rows, err := tx.Query(ctx, s.sql("StatusByWamid"), pgx.StrictNamedArgs{"vendor_ids": vendors, "wamids": wamids})
	if err != nil {
		return nil, nil, err
	}
	type key struct {
		v     vendor.ID
		wamid string
	}
	found := map[key]message.Ref{}
	var (
		k   key
		ref message.Ref
	)
	if _, err := pgx.ForEachRow(rows, []any{&k.v, &k.wamid, &ref.Message, &ref.Attempt, &ref.Month},
		func() error { found[k] = ref; return nil }); err != nil {
		return nil, nil, err
	}
	for _, u := range statuses {
		if u.Ref == (message.Ref{}) {
			u.Ref = found[key{u.Vendor, u.Wamid}]
		}
		if u.Ref == (message.Ref{}) {
			orphans = append(orphans, u)
		} else {
			known = append(known, u)
		}
	}
	return known, orphans, nil
}

func (s *Store) parkStatuses(ctx context.Context, tx pgx.Tx, orphans []StatusUpdate) error {
	if len(orphans) == 0 {
		return nil
	}
	slices.SortFunc(orphans, func(a, b StatusUpdate) int {
		return strings.Compare(string(a.Vendor)+a.Wamid+string(a.Status), string(b.Vendor)+b.Wamid+string(b.Status))
	})
	n := len(orphans)
	vendors, wamids, statuses, at := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	codes, titles, details := make([]*int32, n), make([]*string, n), make([]*string, n)
	categories, pricing := make([]*string, n), make([]*string, n)
	for i, u := range orphans {
		categories[i], pricing[i] = orNull(u.Category), orNull(u.PricingType)
		vendors[i], wamids[i], statuses[i], at[i] = string(u.Vendor), u.Wamid, string(u.Status), u.At
		codes[i], titles[i], details[i] = codeOrNull(u.Code), orNull(u.Title), orNull(u.Details)
	}
	_, err := tx.Exec(ctx, s.sql("StatusPark"), pgx.StrictNamedArgs{
		"vendor_ids": vendors, "wamids": wamids, "statuses": statuses, "happened_at": at,
		"codes": codes, "titles": titles, "details": details, "categories": categories, "pricing": pricing,
	})
	return err
}

// ringSettlement enqueues the settlement of vendors. Call it last.
func (s *Store) ringSettlement(ctx context.Context, tx pgx.Tx, vendors vendorSet) error {
	for _, v := range sortedVendors(vendors) {
		if err := s.enqueue(ctx, tx, v, "settlement.due", string(v)); err != nil {
			return err
		}
	}
	return nil
}

// mergeStatuses folds what concerns one attempt in memory first, then merges all in
// one statement, and notes the settlement of what changed in money or certainty. It
// returns whom to ring for it.
func (s *Store) mergeStatuses(ctx context.Context, tx pgx.Tx, statuses []StatusUpdate) (vendorSet, error) {
	rung := vendorSet{}
	if len(statuses) == 0 {
		return rung, nil
	}
	folded := foldStatuses(statuses)
	rows, err := tx.Query(ctx, s.sql("StatusMerge"), folded.args()...)
	if err != nil {
		return nil, err
	}
	type moved struct {
		Vendor        vendor.ID
		Message       int64
		Attempt       int16
		Month         int32
		Campaign      string
		Before, After message.Status
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[moved])
	if err != nil {
		return nil, err
	}
	var due []moved
	for _, m := range changes {
		if needsSettlement(m.Before, m.After) {
			due = append(due, m)
		}
	}
	if len(due) == 0 {
		return rung, nil
	}
	n := len(due)
	vendors, ids, attempts := make([]string, n), make([]int64, n), make([]int16, n)
	months, campaigns := make([]int32, n), make([]string, n)
	for i, m := range due {
		vendors[i], ids[i], attempts[i], months[i], campaigns[i] = string(m.Vendor), m.Message, m.Attempt, m.Month, m.Campaign
		rung[m.Vendor] = true
	}
	if _, err := tx.Exec(ctx, s.sql("StatusSettle"), pgx.StrictNamedArgs{
		"vendor_ids": vendors, "message_ids": ids, "attempts": attempts, "months": months, "campaign_ids": campaigns,
	}); err != nil {
		return nil, err
	}
	return rung, nil
}

// needsSettlement tells whether a move between two states of an attempt has a
// consequence in money or in the campaign's end: an unknown outcome became known, or
// an accepted message failed, or a failed one was delivered after all.
func needsSettlement(before, after message.Status) bool {
	if before == after {
		return false
	}
	return before == message.Unknown || before == message.Unconfirmed || before == message.Failed ||
		after == message.Failed && before != message.Sending
}

func sortedVendors(set vendorSet) []vendor.ID {
	out := make([]vendor.ID, 0, len(set))
	for v := range set {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

func codeOrNull(code int) *int32 {
	if code == 0 {
		return nil
	}
	return new(code32(code))
}

// code32 is a code of Meta's as its column holds it. Theirs have at most seven digits; one
// that does not fit is nothing to lose a status for, and becomes the largest that does.
func code32(code int) int32 {
	if code < math.MinInt32 || code > math.MaxInt32 {
		return math.MaxInt32
	}
	return int32(code)
}

// statusColumns are the parallel arrays of StatusMerge.
type statusColumns struct {
	vendors                              []string
	ids                                  []int64
	attempts                             []int16
	months                               []int32
	statuses                             []string
	wamids                               []*string
	sent, delivered, read, failed        []*time.Time
	codes                                []*int32
	titles, details, category, priceType []*string
}

func (c *statusColumns) args() []any {
	return []any{
		c.vendors, c.ids, c.attempts, c.months, c.statuses, c.wamids, c.sent, c.delivered, c.read, c.failed,
		c.codes, c.titles, c.details, c.category, c.priceType,
	}
}

// foldStatuses merges statuses of the same attempt and sorts attempts by key.
func foldStatuses(statuses []StatusUpdate) *statusColumns {
	statuses = slices.Clone(statuses)
	slices.SortStableFunc(statuses, compareRef)
	c := &statusColumns{}
	for i, u := range statuses {
		if i == 0 || compareRef(statuses[i-1], u) != 0 {
			c.open(u)
		}
		c.fold(u)
	}
	return c
}

func compareRef(a, b StatusUpdate) int {
	if n := strings.Compare(string(a.Vendor), string(b.Vendor)); n != 0 {
		return n
	}
	if a.Ref.Message != b.Ref.Message {
		return int(min(max(a.Ref.Message-b.Ref.Message, -1), 1))
	}
	return int(a.Ref.Attempt) - int(b.Ref.Attempt)
}

func (c *statusColumns) open(u StatusUpdate) {
	c.vendors, c.ids = append(c.vendors, string(u.Vendor)), append(c.ids, int64(u.Ref.Message))
	c.attempts, c.months = append(c.attempts, u.Ref.Attempt), append(c.months, int32(u.Ref.Month))
	c.statuses, c.wamids = append(c.statuses, string(message.Sending)), append(c.wamids, orNull(u.Wamid))
	c.sent, c.delivered = append(c.sent, nil), append(c.delivered, nil)
	c.read, c.failed = append(c.read, nil), append(c.failed, nil)
	c.codes, c.titles, c.details = append(c.codes, nil), append(c.titles, nil), append(c.details, nil)
	c.category, c.priceType = append(c.category, nil), append(c.priceType, nil)
}

func (c *statusColumns) fold(u StatusUpdate) {
	i := len(c.ids) - 1
	c.statuses[i] = string(message.Merge(message.Status(c.statuses[i]), u.Status))
	at := u.At
	switch u.Status {
	case message.Sent:
		c.sent[i] = &at
	case message.Delivered:
		c.delivered[i] = &at
	case message.Read:
		c.read[i] = &at
	case message.Failed:
		c.failed[i], c.codes[i] = &at, codeOrNull(u.Code)
		c.titles[i], c.details[i] = orNull(u.Title), orNull(u.Details)
	case message.Sending, message.Unknown, message.Unconfirmed, message.Queued, message.Suppressed, message.Cancelled, message.Expired:
	}
	if u.Category != "" {
		c.category[i], c.priceType[i] = orNull(u.Category), orNull(u.PricingType)
	}
}

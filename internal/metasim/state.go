package metasim

import (
	"hash/maphash"
	"strconv"
	"sync"
)

// Levels of a number's throughput.
const (
	LevelStandard = "STANDARD"
	LevelHigh     = "HIGH"
)

// app is the one application whose client is under test.
type app struct {
	id, secret, verifyToken string
	callback                string
	fields                  []string // subscribed webhook fields; nil: all
}

// token gives access to what it names; an app token ("id|secret") to nothing
// but the app's own edges.
type token struct {
	text      string
	business  *business
	wabas     map[string]bool
	expiresAt int64 // unix nanoseconds; 0: never
	scopes    []string
}

// business is a portfolio: it owns accounts, and the messaging limit is its.
type business struct {
	id, name string

	mu      sync.Mutex
	reached map[uint64]int64 // people messaged outside a window → when first, for the messaging limit
	stopped map[uint64]bool  // people who stopped this portfolio's marketing
}

// waba is a WhatsApp Business Account. Fields above mu do not change.
type waba struct {
	id, name, currency, timezone string
	namespace                    string
	biz                          *business
	phoneIDs                     []string

	mu          sync.Mutex
	subscribed  bool
	override    callback
	lockCode    int // every send is refused with it
	templates   []*template
	byName      map[templateKey]*template
	namesLocked map[string]int64 // deleted names → when they may be used again
	createdAt   []int64          // template creations of the last hour
	calls       hourly

	idMu       sync.Mutex
	identities map[uint64]verdict

	billMu sync.Mutex
	bills  map[billKey]int64 // messages by what pricing_analytics tells apart
}

// callback is a webhook address of its own for one account or number.
type callback struct{ url, verifyToken string }

// verdict is where the last acceptance of a message identity stands.
type verdict uint8

const (
	verdictOpen   verdict = iota + 1 // accepted, and not known to have failed
	verdictFailed                    // ended in an asynchronous failure: another attempt is lawful
)

// number is a business phone number. Fields above mu do not change.
type number struct {
	id       string
	digits   string
	display  string
	verified string
	waba     *waba

	mu          sync.Mutex
	level       string
	coexistence bool
	registered  bool
	deleted     bool
	quality     string
	pin         string
	override    callback
	profile     map[string]any
	throughput  throughput
	pairs       pairs
	meter       meter
	windows     map[uint64]int64 // people → when they last wrote
	freeMonth   int              // year*12+month of freeService
	freeService int              // free service messages used in freeMonth
	counts      counts
}

// rate is how many messages this number may take per second.
func (n *number) rate(cfg *Config) int {
	switch {
	case n.coexistence:
		return cfg.CoexistenceRate
	case n.level == LevelHigh:
		return cfg.HighRate
	default:
		return cfg.StandardRate
	}
}

// hourly counts management calls in the current hour.
type hourly struct {
	hour  int64
	calls int
}

func (h *hourly) add(now int64) int {
	if hour := now / (3600 * second); hour != h.hour {
		h.hour, h.calls = hour, 0
	}
	h.calls++
	return h.calls
}

// registry finds things by the ids that appear in paths.
type registry struct {
	mu         sync.RWMutex
	app        app
	businesses map[string]*business
	wabas      map[string]*waba
	numbers    map[string]*number
	templates  map[string]*template
	tokens     map[string]*token
	codes      map[string]signupCode
	media      map[string]*media
	mediaBytes int
	uploads    map[string]*upload
}

func newRegistry(a app) *registry {
	r := &registry{app: a}
	r.reset()
	return r
}

func (r *registry) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.businesses, r.wabas, r.numbers = map[string]*business{}, map[string]*waba{}, map[string]*number{}
	r.templates, r.tokens, r.codes = map[string]*template{}, map[string]*token{}, map[string]signupCode{}
	r.media, r.mediaBytes, r.uploads = map[string]*media{}, 0, map[string]*upload{}
}

func (r *registry) number(id string) *number {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.numbers[id]
}

func (r *registry) waba(id string) *waba {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.wabas[id]
}

func (r *registry) template(id string) *template {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.templates[id]
}

func (r *registry) token(text string) *token {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tokens[text]
}

func (r *registry) application() app {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.app
}

// numbersOf lists an account's numbers in the order they were made.
func (r *registry) numbersOf(w *waba) []*number {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*number, 0, len(w.phoneIDs))
	for _, id := range w.phoneIDs {
		if n := r.numbers[id]; n != nil {
			out = append(out, n)
		}
	}
	return out
}

// accept books an acceptance under the message's identity and says whether it
// is the first of its kind (unique) or a second one that nothing excuses.
func (w *waba) accept(seed maphash.Seed, identity string) (unique, duplicate bool) {
	h := maphash.String(seed, identity)
	w.idMu.Lock()
	defer w.idMu.Unlock()
	if w.identities == nil {
		w.identities = map[uint64]verdict{}
	}
	was, seen := w.identities[h]
	w.identities[h] = verdictOpen
	return !seen, seen && was == verdictOpen
}

// fail books the asynchronous failure of the identity's last acceptance.
func (w *waba) fail(seed maphash.Seed, identity string) {
	h := maphash.String(seed, identity)
	w.idMu.Lock()
	defer w.idMu.Unlock()
	w.identities[h] = verdictFailed
}

// identityOf is what two sends of one message have in common. A client that
// numbers its attempts writes "<version>.<partition>.<message>.<attempt>";
// anything else stands for itself.
func identityOf(opaque string) string {
	dots, last := 0, 0
	for i := range len(opaque) {
		if opaque[i] != '.' {
			continue
		}
		if i == last && dots > 0 || i == 0 {
			return opaque // an empty part
		}
		dots, last = dots+1, i+1
	}
	if dots != 3 || last == len(opaque) {
		return opaque
	}
	if _, err := strconv.Atoi(opaque[last:]); err != nil {
		return opaque
	}
	return opaque[:last-1]
}

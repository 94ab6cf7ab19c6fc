package metasim

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options make a Sim. AppSecret signs webhooks and must not be empty.
type Options struct {
	AppID       string // default "900000000000001"
	AppSecret   string
	VerifyToken string
	// WebhookURL is the app's callback; empty: set it later (PUT
	// /_sim/webhook, or POST /{app-id}/subscriptions as at Meta). It is used
	// from its first successful handshake on; until then webhooks queue.
	WebhookURL string
	Seed       uint64
	Config     *Config // default DefaultConfig
	Clock      *Clock  // default a live one
	Log        *slog.Logger
	// Client posts webhooks; default one with a connection pool of its own.
	Client *http.Client
}

// Sim is the simulator: an http.Handler for the Graph API and, under /_sim/,
// for its own administration. Run delivers its webhooks.
type Sim struct {
	clock  *Clock
	log    *slog.Logger
	seed   uint64
	hash   maphash.Seed
	errs   errorTable
	cfg    atomic.Pointer[Config]
	reg    *registry
	faults faultScript
	sched  scheduler
	hooks  *courier
	total  totals

	started int64
	ids     atomic.Int64 // object ids
	seq     atomic.Uint64
	nonce   uint32 // of wamids, so that a restart never repeats one
}

// New makes a simulator without any account in it.
func New(o Options) (*Sim, error) {
	cfg := DefaultConfig()
	if o.Config != nil {
		cfg = *o.Config
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if o.AppSecret == "" {
		return nil, fmt.Errorf("metasim: the app secret is empty")
	}
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.AppID == "" {
		o.AppID = "900000000000001"
	}
	s := &Sim{
		clock: o.Clock, log: o.Log, seed: o.Seed, hash: maphash.MakeSeed(), errs: newErrorTable(),
		reg:     newRegistry(app{id: o.AppID, secret: o.AppSecret, verifyToken: o.VerifyToken}),
		started: o.Clock.nanos(),
	}
	s.cfg.Store(&cfg)
	// Ids and wamids carry the starting time: whoever stored those of an
	// earlier run meets no second owner of them.
	s.ids.Store(s.started / second * 100_000)
	s.nonce = uint32(mix(uint64(s.started) ^ o.Seed)) //nolint:gosec // a hash, cut on purpose
	s.hooks = newCourier(s, o.Client)
	if o.WebhookURL != "" {
		s.hooks.expect(o.WebhookURL, o.VerifyToken)
	}
	return s, nil
}

// Run emits what falls due and delivers webhooks until ctx ends.
func (s *Sim) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range maxWebhookWorkers {
		wg.Go(func() { s.hooks.work(ctx) })
	}
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		s.emitDue()
		s.hooks.turn(ctx)
		select {
		case <-ctx.Done():
			s.hooks.wake()
			wg.Wait()
			return nil
		case <-tick.C:
		case <-s.clock.moved:
		}
	}
}

// newID makes an id of Meta's looks, below 2^53 because webhooks carry
// template ids as JSON numbers.
func (s *Sim) newID() string { return fmt.Sprint(s.ids.Add(1)) }

func (s *Sim) config() *Config { return s.cfg.Load() }

// ServeHTTP answers for graph.facebook.com, for the media host, and for /_sim/.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := s.clock.nanos() // the header has just been read
	path := strings.Trim(r.URL.Path, "/")
	switch head, rest, _ := strings.Cut(path, "/"); head {
	case "_sim":
		s.serveAdmin(w, r, rest)
	case "_media":
		s.serveMediaFile(w, r, rest)
	case "":
		_, _ = w.Write([]byte("metasim: a local simulator of Meta's Graph API. See /_sim/stats.\n"))
	default:
		s.serveGraph(w, r, path, arrived)
	}
}

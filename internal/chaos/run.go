package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/password"
	"github.com/kloyst/kloyst-core/store"
)

// Options say what a run does. Root and Dir are required.
type Options struct {
	Root, Dir  string // the checkout, with its built programs; the stack's folder, removed by the caller
	Seed       uint64
	Recipients int           // over all vendors; at least 100
	Harms      int           // lines of the schedule
	Span       time.Duration // within which they happen; sending lasts about as long by its rate
	Patience   time.Duration // from the last harm to quiet
	Processes  int           // of workers, and of relays
	Quiet      bool          // the simulator behaves: no lost answers, no refusals
	Out        io.Writer     // progress for people
	BaseEnv    []string      // for the children, as devstack takes it
}

// run is one run under way.
type run struct {
	Options

	stack    *devstack.Stack
	db       *pgxpool.Pool // superuser: the eye behind the product's back
	app      *store.Store
	temporal client.Client
	sim      *api
	front    *api
	hash     string // of every owner's password
	parties  []party
	began    time.Time // of the approval

	mu     sync.Mutex
	result Result
	last   time.Time // end of the last harm
}

// Run starts a stack, does the harm and judges. The result is returned with every error
// that was found.
func Run(ctx context.Context, o Options) (Result, error) {
	r := &run{Options: o, result: Result{Chaos: "failed", Seed: o.Seed, N: o.Recipients}}
	if err := r.start(ctx); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	defer r.close()
	schedule := Schedule(o.Seed, o.Harms, o.Span)
	for _, h := range schedule {
		r.say("%s", h)
	}
	if err := r.prepare(ctx); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	if err := r.approve(ctx); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	if err := r.doHarm(ctx, schedule); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	if err := r.untilQuiet(ctx); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	if err := r.look(ctx); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	if err := r.result.Check(); err != nil {
		return r.result, fmt.Errorf("chaos %d: %w", o.Seed, err)
	}
	r.result.Chaos = "ok"
	return r.result, nil
}

func (r *run) say(format string, args ...any) {
	at := 0.0
	if !r.began.IsZero() {
		at = time.Since(r.began).Seconds()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.Out, "chaos %d %5.1fs: %s\n", r.Seed, at, fmt.Sprintf(format, args...))
}

// start brings up the stack: short time-outs, so that what is lost is given up within a run.
func (r *run) start(ctx context.Context) error {
	var err error
	r.stack, err = devstack.Start(ctx, devstack.Options{
		Root: r.Root, Dir: r.Dir, Throwaway: true, BaseEnv: r.BaseEnv,
		Only:      []string{devstack.Nginx, devstack.Metasim, devstack.Gateway, devstack.Webhook, devstack.Worker, devstack.Outbox},
		Instances: map[string]int{devstack.Worker: r.Processes, devstack.Outbox: r.Processes},
		Env:       map[string][]string{devstack.Worker: {"META_TIMEOUT=2s", "UNKNOWN_GRACE=13s"}},
		Args: map[string][]string{
			devstack.Metasim: {"--seed", fmt.Sprint(r.Seed)},
			devstack.Redis:   {"--appendonly", "yes"}, // so that a restart keeps its data, unless told to lose them
		},
	})
	if err != nil {
		return err
	}
	st := r.stack.State()
	r.sim, r.front = newAPI(st.MetasimURL()), newAPI(st.FrontURL()+"/v1")
	if r.db, err = pgxpool.New(ctx, st.DatabaseURL("postgres", devstack.Database)); err != nil {
		return err
	}
	if r.app, err = store.Open(ctx, st.DatabaseURL("kloyst_app", devstack.Database), 4); err != nil {
		return err
	}
	r.temporal, err = client.NewLazyClient(client.Options{
		HostPort: st.TemporalAddress(), Namespace: "kloyst", Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	return err
}

func (r *run) close() {
	if r.temporal != nil {
		r.temporal.Close()
	}
	if r.app != nil {
		r.app.Close()
	}
	if r.db != nil {
		r.db.Close()
	}
	r.stack.Stop()
}

// prepare tells the simulator how to behave and plants the vendors. A number's rate makes
// its campaign last about as long as the schedule.
func (r *run) prepare(ctx context.Context) error {
	if err := r.sim.call(ctx, http.MethodPut, "/_sim/config", r.weather(), nil); err != nil {
		return err
	}
	if !r.Quiet {
		if err := r.sim.call(ctx, http.MethodPut, "/_sim/faults", map[string]any{"rules": steadyFaults(r.Seed)}, nil); err != nil {
			return err
		}
	}
	if err := r.loadRates(ctx); err != nil {
		return fmt.Errorf("load rate card: %w", err)
	}
	var err error
	if r.hash, err = password.New(1).Hash(ctx, secret); err != nil {
		return err
	}
	for n, people := range shareOut(r.Recipients) {
		p, err := r.plant(ctx, n, people, max(5, int(float64(people)/r.Span.Seconds())))
		if err != nil {
			return fmt.Errorf("plant vendor %d: %w", n+1, err)
		}
		r.parties = append(r.parties, p)
	}
	return r.login(ctx)
}

func (r *run) approve(ctx context.Context) error {
	r.began = time.Now()
	for _, p := range r.parties {
		if _, err := r.app.ApproveCampaign(ctx, p.vendor, store.Approval{Campaign: p.campaign, Quotation: p.quotation, At: time.Now()}, store.Once[campaign.Campaign]{}); err != nil {
			return fmt.Errorf("approve: %w", err)
		}
	}
	return nil
}

// api speaks JSON to one HTTP server.
type api struct {
	base, token string
	http        *http.Client
}

func newAPI(base string) *api { return &api{base: base, http: &http.Client{Timeout: 10 * time.Second}} }

func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

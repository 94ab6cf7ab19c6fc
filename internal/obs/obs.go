// Package obs is what every mode shows of itself: health, readiness and metrics on a
// port of its own, away from the public one.
package obs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check asks one dependency whether it answers.
type Check func(context.Context) error

// Internal is the internal port: /healthz (the process lives), /readyz (it can serve),
// /metrics; in development /debug/pprof/ too.
type Internal struct {
	Registry *prometheus.Registry
	checks   map[string]Check
	draining atomic.Bool
	profiles bool
}

// NewInternal makes the internal port's handler; checks are asked by /readyz.
func NewInternal(checks map[string]Check) *Internal {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Internal{Registry: reg, checks: checks}
}

// ServeProfiles adds /debug/pprof/ to what Server serves: in development only, since a
// profile costs time and tells much. Call it before Server.
func (i *Internal) ServeProfiles() { i.profiles = true }

// Drain makes /readyz fail from now on: the first step of a shutdown, so that no new
// work is routed here while the old is finished.
func (i *Internal) Drain() { i.draining.Store(true) }

// checkTimeout bounds one readiness answer, below the usual probe's second or two.
const checkTimeout = time.Second

// Server returns the internal server; the caller runs and stops it.
func (i *Internal) Server(addr string) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", i.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(i.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if i.profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, goroutine and the others by name
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
}

func (i *Internal) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	out, status := map[string]string{}, http.StatusOK
	if i.draining.Load() {
		out["shutdown"], status = "draining", http.StatusServiceUnavailable
	}
	for name, check := range i.checks {
		out[name] = "ok"
		if err := check(ctx); err != nil {
			// Only whether: an error's text may hold addresses.
			out[name], status = "not answering", http.StatusServiceUnavailable
		}
	}
	answer(w, status, out)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the prober is gone: nothing to do
}

// Closed turns the error of a server that was asked to stop into nil.
func Closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.temporal.io/sdk/client"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/temporalx"
	"github.com/kloyst/kloyst-core/store"
)

// world is a running stack and what the bench reaches it by.
type world struct {
	*devstack.Stack

	dir   string
	keep  bool
	graph string        // what stands in for Meta, "" for metasim
	db    *pgxpool.Pool // superuser: loads and looks
	app   *store.Store
	ring  *crypt.Ring
	http  *http.Client
}

// startWorld starts a stack in a folder of its own below .stack. Postgres is as durable as in
// production (fsync and synchronous_commit on): a bench without that says nothing.
func startWorld(ctx context.Context, name string, o devstack.Options) (*world, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	w := &world{
		dir:  filepath.Join(dir, ".stack", "bench-"+name),
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	_ = devstack.Purge(w.dir) // of a run that was interrupted; a running one refuses by its lock
	o.Root, o.Dir, o.TemporalBin, o.BaseEnv = dir, w.dir, os.Getenv("KLOYST_TEMPORAL_BIN"), os.Environ()
	if w.Stack, err = devstack.Start(ctx, o); err != nil {
		return nil, fmt.Errorf("%w (the stack's folder is %s; `make build` makes the binaries)", err, w.dir)
	}
	if err := w.open(ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) open(ctx context.Context) error {
	st := w.State()
	var err error
	if w.db, err = pgxpool.New(ctx, st.DatabaseURL("postgres", devstack.Database)); err != nil {
		return err
	}
	if w.app, err = store.Open(ctx, st.DatabaseURL("kloyst_app", devstack.Database), 8); err != nil {
		return err
	}
	master, err := base64.StdEncoding.DecodeString(st.Secrets["master_key"])
	if err != nil {
		return err
	}
	w.ring, err = crypt.NewRing(master)
	return err
}

// close stops the stack and removes its folder.
func (w *world) close() {
	if w.app != nil {
		w.app.Close()
	}
	if w.db != nil {
		w.db.Close()
	}
	w.http.CloseIdleConnections()
	w.Stop()
	if w.keep {
		progress("the stack's folder is %s", w.dir)
		return
	}
	if err := devstack.Purge(w.dir); err != nil {
		progress("cannot remove %s: %v", w.dir, err)
	}
}

// temporal dials as the worker does, so that results can be read.
func (w *world) temporal(ctx context.Context) (client.Client, error) {
	cfg, err := config.Load(w.State().Env(devstack.Worker), os.ReadFile)
	if err != nil {
		return nil, err
	}
	return temporalx.Dial(ctx, &cfg, slog.New(slog.DiscardHandler))
}

// call speaks JSON to the simulator's own API.
func (w *world) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.State().MetasimURL()+"/_sim/"+path, body)
	if err != nil {
		return err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("metasim %s %s: %s: %s", method, path, resp.Status, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// simStats is what the bench reads of GET /_sim/stats.
type simStats struct {
	Accepted   int64            `json:"accepted"`
	Unique     int64            `json:"meta_unique"`
	Duplicates int64            `json:"meta_duplicates"`
	Refused    map[string]int64 `json:"refused"`
	Scheduled  int              `json:"scheduled"`
	Webhooks   struct {
		Pending int `json:"pending"`
		Posts   int `json:"posts"`
	} `json:"webhooks"`
	Numbers []numberStats `json:"numbers"`
}

// graphStats asks another stand-in for Meta.
func (w *world) graphStats(ctx context.Context) (simStats, error) {
	var s struct {
		Accepted   int64 `json:"accepted"`
		Unique     int64 `json:"unique"`
		Duplicates int64 `json:"duplicates"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.graph+"/stats", nil)
	if err != nil {
		return simStats{}, err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return simStats{}, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&s)
	return simStats{Accepted: s.Accepted, Unique: s.Unique, Duplicates: s.Duplicates}, err
}

// numberStats is one sender number's part of it.
type numberStats struct {
	MeanRate           float64 `json:"mean_rate"`
	MaxInSlidingSecond int     `json:"max_per_sliding_second"`
}

func (w *world) simStats(ctx context.Context) (s simStats, err error) {
	if w.graph != "" {
		return w.graphStats(ctx)
	}
	return s, w.call(ctx, http.MethodGet, "stats", nil, &s)
}

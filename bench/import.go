package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/store"
)

// importCmd is `bench import`.
type importCmd struct {
	common

	Scenarios []string `arg:"" optional:"" help:"csv, merge, again, million; all without any."`
	Profile   bool     `help:"Keep a CPU profile of WORKER and the costliest statements under .stack/profiles."`
	Kill      float64  `help:"Kill the worker (SIGKILL) when this share of the rows is done; it is started again."`
	NoCopy    bool     `help:"Leave out the raw COPY of the rows that were written."`
}

// importScenario is one import to be timed.
type importScenario struct {
	Name     string
	Rows     int
	Strategy importing.Strategy
	Before   *importing.Mapping // the book is filled first, by an import of the same file with this mapping
}

func importMapping(labels bool) importing.Mapping {
	m := importing.Mapping{Phone: "phone", Name: "name", Attributes: map[string]string{"email": "email", "city": "city"}}
	if labels {
		m.Labels = "tags"
	}
	return m
}

func importScenarios() []importScenario {
	return []importScenario{
		{Name: "csv", Rows: 200_000, Strategy: importing.SkipDuplicates},
		{Name: "merge", Rows: 200_000, Strategy: importing.MergeLabels, Before: new(importMapping(false))},
		{Name: "again", Rows: 200_000, Strategy: importing.MergeLabels, Before: new(importMapping(true))},
		{Name: "million", Rows: 1_000_000, Strategy: importing.SkipDuplicates},
	}
}

func pickImports(names []string) ([]importScenario, error) {
	if len(names) == 0 {
		return importScenarios(), nil
	}
	var out []importScenario
	for _, name := range names {
		found := false
		for _, s := range importScenarios() {
			if s.Name == name {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q; there are csv, merge, again, million", name)
		}
	}
	return out, nil
}

// Run runs the scenarios one after the other, each on a stack of its own.
func (c *importCmd) Run(ctx context.Context) error {
	chosen, err := pickImports(c.Scenarios)
	if err != nil {
		return err
	}
	failed := false
	for _, s := range chosen {
		s.Rows = max(100, int(float64(s.Rows)*c.Scale))
		line, err := c.one(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		failed = failed || !line.OK
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			return err
		}
	}
	if err := printBaseline(c.Baseline); err != nil {
		return err
	}
	if failed {
		return errNotOK
	}
	return nil
}

func (c *importCmd) one(ctx context.Context, s importScenario) (*importLine, error) {
	progress("%s: starting a stack", s.Name)
	w, err := startWorld(ctx, "import-"+s.Name, devstack.Options{
		Only: []string{devstack.Postgres, devstack.Temporal, devstack.Redis, devstack.Worker, devstack.Outbox},
		Args: map[string][]string{devstack.Postgres: statementArgs(c.Profile)},
	})
	if err != nil {
		return nil, err
	}
	w.keep = c.Keep
	defer w.close()
	r := &importRun{world: w, cmd: c, scenario: s, memory: &peaks{mib: map[string]float64{}}}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if s.Before != nil {
		progress("%s: filling the book", s.Name)
		if _, err := r.importFile(ctx, importing.SkipDuplicates, *s.Before, 0); err != nil {
			return nil, err
		}
		if _, err := w.db.Exec(ctx, "VACUUM ANALYZE contacts, contact_identities, contact_labels, contact_attributes"); err != nil {
			return nil, err
		}
	}
	if _, err := w.db.Exec(ctx, "CHECKPOINT"); err != nil {
		return nil, err
	}
	return r.measured(ctx)
}

// importRun is one measured import.
type importRun struct {
	*world

	cmd      *importCmd
	scenario importScenario
	memory   *peaks
	vendor   vendor.ID
	keys     *crypt.VendorKeys
	blobs    *blob.Store
	file     contactFile
}

// prepare makes the vendor and the file.
func (r *importRun) prepare(ctx context.Context) error {
	cfg, err := config.Load(r.State().Env(devstack.Worker), os.ReadFile)
	if err != nil {
		return err
	}
	if r.blobs, err = blob.Open(ctx, cfg.BlobURL); err != nil {
		return err
	}
	r.vendor = id.New[vendor.ID]()
	wrapped, err := r.ring.NewVendorKeys(r.vendor)
	if err != nil {
		return err
	}
	if r.keys, err = r.ring.Open(r.vendor, wrapped); err != nil {
		return err
	}
	if _, err := r.db.Exec(ctx, `INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'Vendor', 'IN', 'USD')`, r.vendor); err != nil {
		return err
	}
	if _, err := r.db.Exec(ctx, `INSERT INTO vendor_keys (vendor_id, version, wrapped) VALUES ($1, 1, $2)`, r.vendor, wrapped); err != nil {
		return err
	}
	r.file, err = writeCSV(filepath.Join(r.dir, "contacts.csv"), r.scenario.Rows)
	return err
}

// importTimes are the moments of one import.
type importTimes struct {
	id                                   importing.ID
	begun, uploaded, awaiting, confirmed time.Time
	job                                  store.Import
}

// importFile takes the file in and waits until its import is over; kill is when the worker dies.
func (r *importRun) importFile(ctx context.Context, strategy importing.Strategy, m importing.Mapping, kill float64) (*importTimes, error) {
	t := &importTimes{id: id.New[importing.ID](), begun: time.Now()}
	if err := r.upload(ctx, t.id, strategy); err != nil {
		return nil, err
	}
	t.uploaded = time.Now()
	deadline := t.uploaded.Add(10 * time.Minute)
	for {
		var err error
		if t.job, err = r.app.Import(ctx, r.vendor, t.id); err != nil {
			return nil, err
		}
		switch {
		case t.job.Status == importing.AwaitingMapping && t.awaiting.IsZero():
			t.awaiting = time.Now()
			if err := r.app.ConfirmMapping(ctx, r.vendor, t.id, m); err != nil {
				return nil, err
			}
			t.confirmed = time.Now()
		case t.job.Status.Final():
			return t, nil
		case t.job.Status == importing.NeedsOperator:
			return nil, fmt.Errorf("the import is parked: %s %s", t.job.ReasonCode, t.job.Reason)
		case time.Now().After(deadline):
			return nil, fmt.Errorf("not done in time: %s", t.job.Status)
		case kill > 0 && float64(t.job.Counts.Rows()) >= kill*float64(r.file.rows):
			kill = 0
			progress("%s: killing the worker at %d rows", r.scenario.Name, t.job.Counts.Rows())
			if err := r.Kill(devstack.Worker, syscall.SIGKILL); err != nil {
				return nil, err
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *importRun) files(i importing.ID) importfile.Files {
	return importfile.Files{Blobs: r.blobs, Keys: r.keys, Import: i}
}

// upload does what the gateway does with a file, but for the scanner: hashes, seals, stores.
func (r *importRun) upload(ctx context.Context, i importing.ID, strategy importing.Strategy) error {
	in, size, err := r.file.open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := r.files(i).CreateUpload(ctx)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(sum, out), in); err != nil {
		out.Abort()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return r.app.CreateImport(ctx, r.vendor, store.NewImport{
		ID: i, FileName: filepath.Base(r.file.path), FileKey: importfile.FileKey(r.vendor, i), FileBytes: size, SHA256: sum.Sum(nil),
		MIMEType: "text/csv", Strategy: strategy, Force: true,
	})
}

func (r *importRun) measured(ctx context.Context) (*importLine, error) {
	line := &importLine{
		Bench: "import", Scenario: r.scenario.Name, Scale: r.cmd.Scale, Rows: r.file.rows, Strategy: string(r.scenario.Strategy),
		At: time.Now().UTC().Truncate(time.Second), LoadBefore: loadAverage(), Temporal: temporalKind(r.State()), Killed: r.cmd.Kill > 0,
	}
	before, err := r.counters(ctx)
	if err != nil {
		return nil, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	go r.memory.follow(following, r.State())
	profiled := &run{world: r.world, scenario: scenario{Name: "import-" + r.scenario.Name}, profile: r.cmd.Profile}
	kept := profiled.startProfiles(ctx)
	clocks := measureCPU(r.State())
	progress("%s: importing %d rows", r.scenario.Name, r.file.rows)
	t, err := r.importFile(ctx, r.scenario.Strategy, importMapping(true), r.cmd.Kill)
	if err != nil {
		return nil, err
	}
	line.CPU, line.OthersCPU = clocks.since(measureCPU(r.State()))
	stop()
	r.memory.sample(r.State())
	line.LoadAfter = loadAverage()
	line.RSS = r.memory.all()
	line.WorkerRSS = line.RSS[devstack.Worker]
	line.time(t)
	if err := kept(); err != nil {
		return nil, err
	}
	if err := r.examine(ctx, line, t, before); err != nil {
		return nil, err
	}
	if !r.cmd.NoCopy {
		if err := r.copyFloor(ctx, line); err != nil {
			return nil, err
		}
	}
	return line, nil
}

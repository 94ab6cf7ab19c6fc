package devstack

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Status is where one service of a stack stands.
type Status string

// The states of a service, in the order it normally passes through them.
const (
	Waiting    Status = "waiting"    // for the services it needs
	Starting   Status = "starting"   // running, not healthy yet
	Healthy    Status = "healthy"    // its health check passed
	Restarting Status = "restarting" // it ended by itself and will be started again
	Done       Status = "done"       // a one-off job that succeeded
	Failed     Status = "failed"     // given up
	Stopped    Status = "stopped"
)

// ServiceState is what run.json says about one service.
type ServiceState struct {
	Proc     Proc      `json:"proc"`
	Status   Status    `json:"status"`
	Restarts int       `json:"restarts"` // ends by itself since the stack started
	Since    time.Time `json:"since"`
	Error    string    `json:"error,omitempty"`
}

// State is the content of run.json: all that outlives a supervisor or is of use to other
// processes. The file is readable by its owner only, since it holds the stack's secrets.
type State struct {
	Root       string                  `json:"root"` // of the checkout
	Dir        string                  `json:"dir"`  // of the stack
	Only       []string                `json:"only"` // the services that run, in start order
	Supervisor Proc                    `json:"supervisor"`
	Binaries   string                  `json:"binaries"` // fingerprint of our binaries at the start
	Ready      bool                    `json:"ready"`
	Failure    string                  `json:"failure,omitempty"`
	Temporal   string                  `json:"temporal"` // TemporalDev or TemporalServer
	Ports      map[string]int          `json:"ports"`
	Notes      []string                `json:"notes,omitempty"` // what a person should know, e.g. a port that moved
	DataDirs   map[string]string       `json:"data_dirs"`
	Secrets    map[string]string       `json:"secrets"`
	Services   map[string]ServiceState `json:"services"`
}

// ErrNoStack means that the folder holds no run.json: no stack was ever started there.
var ErrNoStack = errors.New("no stack has been started in this folder")

func statePath(dir string) string { return filepath.Join(dir, "run.json") }

// Load reads what a stack's folder says about it. It returns ErrNoStack where there is none.
func Load(dir string) (*State, error) {
	raw, err := os.ReadFile(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoStack)
	}
	if err != nil {
		return nil, fmt.Errorf("read stack: %w", err)
	}
	st := &State{}
	if err := json.Unmarshal(raw, st); err != nil {
		return nil, fmt.Errorf("read %s: %w", statePath(dir), err)
	}
	return st, nil
}

// Running reports whether the stack's supervisor is alive.
func (st *State) Running() bool { return st.Supervisor.Alive() }

// save writes run.json so that a reader sees the old content or the new, never half of one.
func (st *State) save() error {
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("save stack: %w", err)
	}
	tmp, err := os.CreateTemp(st.Dir, ".run-*.json") // 0600
	if err != nil {
		return fmt.Errorf("save stack: %w", err)
	}
	_, werr := tmp.Write(raw)
	if err := errors.Join(werr, tmp.Close()); err != nil {
		return fmt.Errorf("save stack: %w", err)
	}
	if err := os.Rename(tmp.Name(), statePath(st.Dir)); err != nil {
		return fmt.Errorf("save stack: %w", err)
	}
	return nil
}

// secret returns the stack's secret of that name and makes it with gen at the first call, so that
// a stack keeps its secrets over restarts.
func (st *State) secret(name string, gen func() string) string {
	if v, ok := st.Secrets[name]; ok {
		return v
	}
	v := gen()
	st.Secrets[name] = v
	return v
}

// randomHex has 128 bits, the size that passwords and tokens of a local stack get.
func randomHex() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // documented never to fail
	return hex.EncodeToString(b)
}

// randomKey is a 256-bit key in base64, as the modes expect their keys.
func randomKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // documented never to fail
	return base64.StdEncoding.EncodeToString(b)
}

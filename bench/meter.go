package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// userHZ is the kernel's unit of CPU time in /proc, fixed for programs at 100 a second.
const userHZ = 100

// usage is CPU seconds by service, of all their processes, and of the whole machine.
type usage struct {
	services map[string]float64
	machine  float64
}

// procTimes is what /proc/<pid>/stat tells: the parent, own CPU seconds, those of reaped children.
type procTimes struct {
	parent      int
	own, reaped float64
}

func readTimes(pid int) (procTimes, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procTimes{}, false
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 15 { // proc(5): this list begins with field 3
		return procTimes{}, false
	}
	n := func(field int) float64 {
		f, _ := strconv.ParseFloat(fields[field-3], 64) // the kernel writes numbers
		return f
	}
	return procTimes{parent: int(n(4)), own: (n(14) + n(15)) / userHZ, reaped: (n(16) + n(17)) / userHZ}, true
}

// family lists the processes of a service: the one that was started and all below it.
func family(leader int) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	children := map[int][]int{}
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if t, ok := readTimes(pid); ok {
			children[t.parent] = append(children[t.parent], pid)
		}
	}
	out := []int{leader}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

// measureCPU reads the clocks of every service of the stack, and the bench's own.
func measureCPU(st *devstack.State) usage {
	u := usage{services: map[string]float64{}, machine: machineCPU()}
	for name, v := range st.Services {
		if v.Proc.Pid == 0 || name == devstack.Migrate {
			continue
		}
		for _, pid := range family(v.Proc.Pid) {
			if t, ok := readTimes(pid); ok {
				u.services[name] += t.own + t.reaped
			}
		}
	}
	if t, ok := readTimes(os.Getpid()); ok {
		u.services["bench"] = t.own
	}
	return u
}

// machineCPU is the CPU time all processes of the machine used since it started.
func machineCPU() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal
	sum := 0.0
	for i, f := range fields {
		if n, err := strconv.ParseFloat(f, 64); err == nil && i >= 1 && i <= 8 && i != 4 && i != 5 {
			sum += n
		}
	}
	return sum / userHZ
}

// since returns what was used between u and later, by service, and by everybody else.
func (u usage) since(later usage) (by map[string]float64, others float64) {
	by, others = map[string]float64{}, later.machine-u.machine
	for name, cpu := range later.services {
		d := cpu - u.services[name]
		by[name], others = round(d, 2), others-d
	}
	return by, round(others, 2)
}

// peaks follows the resident memory of the services.
type peaks struct {
	mu     sync.Mutex
	mib    map[string]float64
	shared float64 // the four modes together, pages they share counted once
}

// peaksEvery is how often memory is sampled; reading that of Postgres costs it milliseconds.
const peaksEvery = 3 * time.Second

// follow samples now and then until ctx ends. A single process is read by the kernel's own high
// water mark; of Postgres, whose processes share memory, the shared part is counted once.
func (p *peaks) follow(ctx context.Context, st *devstack.State) {
	tick := time.NewTicker(peaksEvery)
	defer tick.Stop()
	for {
		p.sample(st)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *peaks) sample(st *devstack.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ours := int64(0)
	for name, v := range st.Services {
		if v.Proc.Pid == 0 || name == devstack.Migrate {
			continue
		}
		if slices.Contains(modes(), name) {
			ours += procKiB(v.Proc.Pid, "smaps_rollup", "Pss:")
		}
		kib := int64(0)
		if name == devstack.Postgres || name == devstack.Nginx {
			for _, pid := range family(v.Proc.Pid) {
				kib += procKiB(pid, "smaps_rollup", "Pss:")
			}
		} else {
			kib = procKiB(v.Proc.Pid, "status", "VmHWM:")
		}
		p.mib[name] = max(p.mib[name], round(float64(kib)/1024, 1))
	}
	p.shared = max(p.shared, round(float64(ours)/1024, 1))
}

// modes are our own processes.
func modes() []string {
	return []string{devstack.Outbox, devstack.Worker, devstack.Webhook, devstack.Gateway}
}

func procKiB(pid int, file, key string) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0 // it ended
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // the kernel writes numbers
			return n
		}
	}
	return 0
}

// procRunning is how long a process' first thread has run, finer than readTimes tells.
func procRunning(pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(raw), " ")
	ns, _ := strconv.ParseInt(first, 10, 64) // the kernel writes numbers
	return time.Duration(ns)
}

// ours is the peaks of the four modes together.
func (p *peaks) ours() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0.0
	for _, mode := range modes() {
		sum += p.mib[mode]
	}
	return round(sum, 1)
}

func (p *peaks) all() map[string]float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mib)
}

// loadAverage is the machine's, over 1, 5 and 15 minutes.
func loadAverage() []float64 {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	var out []float64
	for _, f := range strings.Fields(string(raw))[:3] {
		n, _ := strconv.ParseFloat(f, 64) // the kernel writes numbers
		out = append(out, n)
	}
	return out
}

func round(f float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(f*p) / p
}

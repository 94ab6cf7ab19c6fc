package devstack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Proc names one process for good: a process id alone may be given to another process after the
// first one ended, or after the machine was started anew.
type Proc struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks from boot to its start, from /proc/<pid>/stat
	Boot  string `json:"boot"`  // id of the boot
}

// identify describes a process that runs now.
func identify(pid int) (Proc, error) {
	_, start, err := procStat(pid)
	if err != nil {
		return Proc{}, err
	}
	return Proc{Pid: pid, Start: start, Boot: bootID()}, nil
}

// Alive reports whether exactly this process still runs. A zombie does not.
func (p Proc) Alive() bool {
	if p.Pid <= 0 || p.Boot != bootID() {
		return false
	}
	state, start, err := procStat(p.Pid)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// signal sends sig to the process and, where it leads a group, to all of the group.
func (p Proc) signal(sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(-p.Pid, sig); err == nil {
		return nil
	}
	err := syscall.Kill(p.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// end asks the process to stop and kills its group when it has not within grace.
func (p Proc) end(sig syscall.Signal, grace time.Duration) {
	_ = p.signal(sig)
	for deadline := time.Now().Add(grace); p.Alive(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = p.signal(syscall.SIGKILL)
			deadline = time.Now().Add(grace)
		}
	}
}

// procStat returns the state letter and the start time of a process. The second field, the
// command in brackets, may hold anything, so the fields are counted from its last bracket.
func procStat(pid int) (state byte, start uint64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	i := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[i+1:]))
	const startField = 22 - 3 // proc(5): field 22; the list here begins with field 3
	if i < 0 || len(fields) <= startField {
		return 0, 0, fmt.Errorf("/proc/%d/stat: unexpected form", pid)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return fields[0][0], start, err
}

func bootID() string {
	raw, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw))
}

// spawner forks every child of a stack from one operating-system thread that lives as long as the
// stack: the parent-death signal follows the thread that forked, not the process.
type spawner struct{ jobs chan func() }

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	err := make(chan error, 1)
	s.jobs <- func() { err <- cmd.Start() }
	return <-err
}

func (s *spawner) close() { close(s.jobs) }

// childAttr makes a child the leader of its own process group, so that a ^C at the terminal
// reaches the supervisor only, and has the kernel send it death when the supervisor dies.
func childAttr(cred *syscall.Credential, death syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: cred}
}

package devstack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// Ports are picked from below Linux's default range for outgoing connections (32768 upwards):
// one picked inside it may be in use as the near end of some connection when a server that was
// restarted wants it back.
const (
	lowestPort  = 20000
	highestPort = 32767
)

// portFree reports whether a server could listen on 127.0.0.1:port now.
func portFree(port int) bool {
	l, err := net.Listen("tcp4", loopback(port)) //nolint:noctx // it does not wait for anything
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// pickPort returns a free port that is not in taken.
func pickPort(taken []int) (int, error) {
	for range 1000 {
		p := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if !slices.Contains(taken, p) && portFree(p) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1: stop some servers and try again",
		lowestPort, highestPort)
}

// assignPorts gives every name a port: the one asked for, else the one it had last time when that
// is still free, else another. It returns a note for each port that had to move.
func assignPorts(names []string, kept, asked map[string]int) (map[string]int, []string, error) {
	ports, notes := map[string]int{}, []string{}
	var used []int
	for name, p := range kept {
		if _, ok := asked[name]; !ok {
			used = append(used, p)
		}
	}
	for _, name := range names {
		if p, ok := asked[name]; ok {
			if !portFree(p) {
				return nil, nil, &PortTakenError{Service: name, Port: p}
			}
			ports[name] = p
			used = append(used, p)
		}
	}
	for _, name := range names {
		if ports[name] != 0 {
			continue
		}
		if p := kept[name]; p != 0 && portFree(p) {
			ports[name] = p
			continue
		}
		p, err := pickPort(used)
		if err != nil {
			return nil, nil, err
		}
		if old := kept[name]; old != 0 {
			notes = append(notes, fmt.Sprintf(
				"port %d, which %s had last time, is taken by another process; %s now listens on %d",
				old, name, name, p))
		}
		ports[name] = p
		used = append(used, p)
	}
	return ports, notes, nil
}

// PortTakenError means that a port asked for by name is in use by a process that is not ours.
type PortTakenError struct {
	Service string
	Port    int
}

// Error says which port is taken and what to do.
func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d, asked for %s, is taken by another process: stop that process, "+
		"ask for another one (--port %s=NUMBER), or ask for none and a free one is picked",
		e.Port, e.Service, e.Service)
}

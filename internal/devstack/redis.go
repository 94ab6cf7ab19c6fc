package devstack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// redis keeps its data in an append-only file, as a production server of ours does: the pace of a
// sender number must survive a restart.
func (s *Stack) redis() *service {
	return &service{
		name: Redis,
		command: func() (command, error) {
			bin, err := program(Redis, "redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server")
			if err != nil {
				return command{}, err
			}
			data, err := s.dataDir(Redis, nil)
			if err != nil {
				return command{}, err
			}
			aof := "yes"
			if s.opts.Throwaway {
				aof = "no"
			}
			return command{path: bin, dir: data, args: []string{
				"--bind", "127.0.0.1", "--port", strconv.Itoa(s.state.Ports[Redis]),
				"--dir", filepath.Clean(data), "--daemonize", "no", "--save", "", "--appendonly", aof,
				"--maxmemory-policy", "noeviction",
			}}, nil
		},
		probe: func(ctx context.Context) error {
			return dialog(ctx, loopback(s.state.Ports[Redis]), "PING\r\n", "+PONG")
		},
	}
}

// dialog sends one line to a TCP server and checks how its answer begins.
func dialog(ctx context.Context, addr, send, want string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	} else {
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	}
	if _, err := conn.Write([]byte(send)); err != nil {
		return err
	}
	got := make([]byte, len(want))
	n, err := bufio.NewReader(conn).Read(got)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(want, string(got[:n])) {
		return fmt.Errorf("answered %q, not %q", got[:n], want)
	}
	return nil
}

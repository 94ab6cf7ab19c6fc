package ratelimit

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// server is a Redis of the test's own, which it may kill.
type server struct {
	cmd    *exec.Cmd
	args   []string
	client *redis.Client
}

func startRedis(t *testing.T) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real server")
	}
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	s := &server{args: []string{"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--appendonly", "yes"}}
	s.client = redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", port)})
	t.Cleanup(func() { _ = s.client.Close() })
	s.start(t)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", s.args...)
	require.NoError(t, s.cmd.Start(), "redis-server is installed by `make setup`")
	own := s.cmd
	t.Cleanup(func() { _ = own.Process.Kill(); _ = own.Wait() })
	require.Eventually(t, func() bool { return s.client.Ping(t.Context()).Err() == nil }, 10*time.Second, 10*time.Millisecond)
}

// kill ends the server as a power failure would.
func (s *server) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Kill())
	_ = s.cmd.Wait() // its end by a signal is what was asked for
}

func TestLimiter_ARedisThatWasKilledStartsAfterOneFullWindow(t *testing.T) {
	t.Parallel()
	for name, restore := range map[string]bool{"with the data it had written": true, "with nothing": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			l := New(s.client, "")
			a := Ask{Number: "1555", Rate: 80, N: 20, Horizon: 2 * time.Second}
			first, err := l.Take(t.Context(), a)
			require.NoError(t, err)
			require.Equal(t, 20, first.Count)
			wait := time.Until(first.Due(20))
			<-time.After(wait) // the number is ready, but for the restart
			if restore {
				// What comes back is older than what was granted: as if the file were behind.
				require.NoError(t, s.client.HSet(t.Context(), l.key("1555"), "next", strconv.Itoa(1)).Err())
			} else {
				s.args = append(s.args, "--appendfilename", "another.aof")
			}
			s.kill(t)
			_, err = l.Take(t.Context(), a)
			require.ErrorContains(t, err, "ratelimit.unavailable", "no Redis, no send")
			s.start(t)
			kept, err := s.client.Exists(t.Context(), l.key("1555")).Result()
			require.NoError(t, err)
			require.Equal(t, restore, kept == 1)
			g, err := l.Take(t.Context(), a)
			require.NoError(t, err)
			require.Greater(t, time.Until(g.Start), 900*time.Millisecond)
		})
	}
}

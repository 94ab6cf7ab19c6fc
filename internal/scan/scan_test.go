package scan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/scan"
)

// clamd speaks clamd's side of INSTREAM as observed on 1.4.6: it answers once and
// closes; over its limit it answers early and closes.
func clamd(t *testing.T, limit int, answer func([]byte) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn, limit, answer)
			}()
		}
	}()
	return l.Addr().String()
}

func serve(conn net.Conn, limit int, answer func([]byte) string) {
	cmd := make([]byte, len("zINSTREAM\x00"))
	if n, err := io.ReadAtLeast(conn, cmd, len("zPING\x00")); err != nil {
		return
	} else if string(cmd[:n]) == "zPING\x00" {
		_, _ = conn.Write([]byte("PONG\x00"))
		return
	}
	var body bytes.Buffer
	for {
		var size uint32
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		if size == 0 {
			_, _ = conn.Write([]byte(answer(body.Bytes()) + "\x00"))
			return
		}
		if body.Len()+int(size) > limit {
			_, _ = conn.Write([]byte("INSTREAM size limit exceeded. ERROR\x00"))
			return
		}
		if _, err := io.CopyN(&body, conn, int64(size)); err != nil {
			return
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	eicar := []byte("EICAR")
	addr := clamd(t, 1<<20, func(b []byte) string {
		switch {
		case bytes.Contains(b, eicar):
			return "stream: Eicar-Test-Signature FOUND"
		case bytes.Contains(b, []byte("odd")):
			return "stream: maybe"
		}
		return "stream: OK"
	})
	tests := map[string]struct {
		body    []byte
		want    string
		wantErr error
	}{
		"passes a clean stream":           {body: []byte("phone,name\n")},
		"passes an empty stream":          {},
		"names what it found":             {body: eicar, want: "Eicar-Test-Signature"},
		"finds it after many frames":      {body: append(make([]byte, 300_000), eicar...), want: "Eicar-Test-Signature"},
		"refuses an unknown answer":       {body: []byte("odd"), wantErr: scan.ErrUnavailable},
		"tells clamd's size limit":        {body: make([]byte, 1<<20+1), wantErr: scan.ErrTooLarge},
		"tells it when far over the size": {body: make([]byte, 8<<20), wantErr: scan.ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := scan.Clamd{Addr: addr}
			s, err := c.Start(t.Context())
			require.NoError(t, err)
			defer s.Close()
			_, err = io.Copy(s, bytes.NewReader(tt.body))
			require.NoError(t, err)
			got, err := s.Verdict()
			if tt.wantErr != nil {
				// A reset may overtake the size answer; not scanned is honest then too.
				if !errors.Is(err, scan.ErrUnavailable) {
					require.ErrorIs(t, err, tt.wantErr)
				}
				require.Error(t, err)
				require.Empty(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestScan_NobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	c := scan.Clamd{Addr: addr}
	_, err = c.Start(t.Context())
	require.ErrorIs(t, err, scan.ErrUnavailable)
	require.ErrorIs(t, c.Ping(t.Context()), scan.ErrUnavailable)
}

func TestScan_SilenceIsNotClean(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	addr := clamd(t, 1<<20, func([]byte) string { <-over; return "stream: OK" })
	for name, start := range map[string]func() (*scan.Scan, error){
		"own time-out": func() (*scan.Scan, error) {
			return (&scan.Clamd{Addr: addr, Timeout: 50 * time.Millisecond}).Start(t.Context())
		},
		"deadline of the caller": func() (*scan.Scan, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			t.Cleanup(cancel)
			return (&scan.Clamd{Addr: addr}).Start(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := start()
			require.NoError(t, err)
			_, err = s.Write([]byte("x"))
			require.NoError(t, err)
			_, err = s.Verdict()
			require.ErrorIs(t, err, scan.ErrUnavailable)
			require.NoError(t, s.Close())
		})
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	c := scan.Clamd{Addr: clamd(t, 10, func([]byte) string { return "stream: OK" })}
	require.NoError(t, c.Ping(t.Context()))
}

// Package scan asks a clamd whether a stream is infected, while the stream is on its
// way elsewhere. Its law: only the answer "OK" means clean; silence, an error or a
// word it does not know means not scanned, and the caller must keep nothing.
package scan

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// The failures of a scan.
var (
	// ErrUnavailable is retryable: clamd is down, slow or confused. Nothing was decided.
	ErrUnavailable = errs.New(errs.Unavailable, "scan.unavailable", "the virus scanner does not answer: try again shortly")
	// ErrTooLarge is clamd's own StreamMaxLength, which must be above our upload limit.
	ErrTooLarge = errs.New(errs.TooLarge, "scan.too_large", "the file is larger than the virus scanner takes")
)

// frame is how much of the stream goes into one INSTREAM chunk, in bytes. Any size is
// allowed below StreamMaxLength; this one amortises the header and stays in cache.
const frame = 64 << 10

// maxReply bounds clamd's answer, which is one short line.
const maxReply = 4096

// Clamd is one clamd over TCP. The zero value of Timeout means a minute.
type Clamd struct {
	Addr    string        // host:port
	Timeout time.Duration // for the whole scan; a deadline of the context may be earlier
}

// Scan is one stream being scanned. Write the stream, then ask Verdict; Close in any
// case. Not safe for concurrent use.
type Scan struct {
	conn    net.Conn
	release func() bool
	buf     []byte
	broken  error
}

// Start opens an INSTREAM session.
// Source: clamd(8), COMMANDS: zINSTREAM, 4-byte big-endian lengths, zero ends.
//
// Errors: scan.unavailable.
func (c *Clamd) Start(ctx context.Context) (*Scan, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	dialer := net.Dialer{Deadline: deadline, Timeout: 5 * time.Second} // a local service answers at once or not at all
	conn, err := dialer.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, ErrUnavailable.With(err)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close()
		return nil, ErrUnavailable.With(err)
	}
	s := &Scan{conn: conn, buf: make([]byte, 4, 4+frame)}
	s.release = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if _, err := conn.Write([]byte("zINSTREAM\x00")); err != nil {
		_ = s.Close()
		return nil, ErrUnavailable.With(err)
	}
	return s, nil
}

// Write implements io.Writer. After clamd has hung up (its size limit, say) it takes
// the rest without sending it: Verdict tells why.
func (s *Scan) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && s.broken == nil {
		take := min(cap(s.buf)-len(s.buf), len(p))
		s.buf = append(s.buf, p[:take]...)
		p = p[take:]
		if len(s.buf) == cap(s.buf) {
			s.flush()
		}
	}
	return n, nil
}

func (s *Scan) flush() {
	binary.BigEndian.PutUint32(s.buf, uint32(len(s.buf)-4)) //nolint:gosec // at most frame
	if _, err := s.conn.Write(s.buf); err != nil && s.broken == nil {
		s.broken = err
	}
	s.buf = s.buf[:4]
}

// Verdict ends the stream and returns the name of the signature that matched, or ""
// for a clean stream.
//
// Errors: scan.unavailable, scan.too_large.
func (s *Scan) Verdict() (string, error) {
	if s.broken == nil && len(s.buf) > 4 {
		s.flush()
	}
	if s.broken == nil {
		_, s.broken = s.conn.Write([]byte{0, 0, 0, 0})
	}
	// clamd says why it hung up before it does: read even after a failed write.
	reply, err := io.ReadAll(io.LimitReader(s.conn, maxReply))
	text := strings.TrimSpace(string(bytes.TrimRight(reply, "\x00")))
	switch {
	case strings.HasSuffix(text, "size limit exceeded. ERROR"):
		return "", ErrTooLarge
	case s.broken != nil:
		return "", ErrUnavailable.With(s.broken)
	case err != nil && text == "":
		return "", ErrUnavailable.With(err)
	case text == "stream: OK":
		return "", nil
	}
	if name, ok := strings.CutSuffix(strings.TrimPrefix(text, "stream: "), " FOUND"); ok && name != "" {
		return name, nil
	}
	return "", ErrUnavailable.With(fmt.Errorf("clamd answered %q", text))
}

// Close ends the session; nothing needs to be kept of one whose verdict was not asked.
func (s *Scan) Close() error {
	s.release()
	return s.conn.Close()
}

// Ping asks clamd for a sign of life.
//
// Errors: scan.unavailable.
func (c *Clamd) Ping(ctx context.Context) error {
	dialer := net.Dialer{Timeout: 3 * time.Second} // a health check must not hang
	conn, err := dialer.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return ErrUnavailable.With(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return ErrUnavailable.With(err)
	}
	if _, err := conn.Write([]byte("zPING\x00")); err != nil {
		return ErrUnavailable.With(err)
	}
	reply, err := io.ReadAll(io.LimitReader(conn, maxReply))
	if strings.TrimRight(string(reply), "\x00\n") != "PONG" {
		return ErrUnavailable.With(fmt.Errorf("clamd answered %q: %w", reply, err))
	}
	return nil
}

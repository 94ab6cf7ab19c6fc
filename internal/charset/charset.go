// Package charset turns the bytes of an uploaded table into UTF-8 with line feeds, and
// watches that what claims to be UTF-8 is. Guessing which encoding it is, is a rule of
// package importing; this package only translates.
package charset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

// ErrInvalid is what a Checker returns when the stream is not UTF-8 after all.
var ErrInvalid = errors.New("charset: not UTF-8")

// NewReader decodes r, which begins after its byte order mark. UTF-8 passes as it is.
func NewReader(r io.Reader, enc importing.Encoding) (io.Reader, error) {
	var e encoding.Encoding
	switch enc {
	case importing.UTF8:
		return r, nil
	case importing.UTF16LE:
		e = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case importing.UTF16BE:
		e = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case importing.Windows1252:
		e = charmap.Windows1252
	default:
		return nil, fmt.Errorf("charset: unknown encoding %q", enc)
	}
	return e.NewDecoder().Reader(r), nil
}

// LineFeeds turns line ends of old Macs, a lone carriage return, into line feeds.
// CR LF becomes one line feed.
func LineFeeds(r io.Reader) io.Reader { return &lineFeeds{in: bufio.NewReaderSize(r, 64<<10)} }

type lineFeeds struct{ in *bufio.Reader }

func (l *lineFeeds) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c, err := l.in.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if c == '\r' {
			if next, err := l.in.Peek(1); err == nil && next[0] == '\n' {
				continue
			}
			c = '\n'
		}
		p[n] = c
		n++
	}
	return n, nil
}

// Checker passes r on and fails with ErrInvalid at the first bytes that are not UTF-8.
type Checker struct {
	in   io.Reader
	tail [utf8.UTFMax]byte // the beginning of a character that the last read cut off
	n    int
}

// NewChecker watches r.
func NewChecker(r io.Reader) *Checker { return &Checker{in: r} }

// Read implements io.Reader.
func (c *Checker) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if !c.ok(p[:n], err != nil) {
		return 0, ErrInvalid
	}
	return n, err
}

func (c *Checker) ok(b []byte, last bool) bool {
	for c.n > 0 && len(b) > 0 && !utf8.FullRune(c.tail[:c.n]) {
		c.tail[c.n] = b[0]
		c.n, b = c.n+1, b[1:]
	}
	if c.n > 0 && (utf8.FullRune(c.tail[:c.n]) || last) {
		if r, _ := utf8.DecodeRune(c.tail[:c.n]); r == utf8.RuneError && !replacement(c.tail[:c.n]) {
			return false
		}
		c.n = 0
	}
	if utf8.Valid(b) {
		return true
	}
	for cut := 1; cut < utf8.UTFMax && cut <= len(b); cut++ {
		head, rest := b[:len(b)-cut], b[len(b)-cut:]
		if utf8.RuneStart(rest[0]) && !utf8.FullRune(rest) && utf8.Valid(head) {
			c.n = copy(c.tail[:], rest)
			return !last
		}
	}
	return false
}

// replacement tells a spelt-out U+FFFD from a decoding error.
func replacement(b []byte) bool { return string(b) == string(utf8.RuneError) }

// Package smtptest is an SMTP server for tests: it takes mails, or refuses them.
package smtptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Server takes mails on a port of its own until the test ends.
type Server struct {
	Addr  string
	Mails <-chan string // each as it came after DATA
}

// New starts a server. A refusal ("550 no such user") is its answer to every recipient.
func New(tb testing.TB, refusal string) *Server {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	mails := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed: the test is over
			}
			go func() {
				serve(conn, refusal, mails)
				_ = conn.Close()
			}()
		}
	}()
	return &Server{Addr: l.Addr().String(), Mails: mails}
}

// serve speaks the smallest SMTP there is.
func serve(conn io.ReadWriter, refusal string, out chan<- string) {
	in := bufio.NewReader(conn)
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch {
		case verb == "RCPT" && refusal != "":
			say(refusal)
		case verb == "DATA":
			say("354 go on")
			var data strings.Builder
			for line, err = in.ReadString('\n'); err == nil && line != ".\r\n"; line, err = in.ReadString('\n') {
				data.WriteString(line)
			}
			out <- data.String()
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

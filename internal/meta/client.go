// Package meta is the client of Meta's Graph API (WhatsApp Cloud API and Business
// Management API) and the types of its webhooks. Its law: every failure is classified
// here, by the one table of errors.go, and a request whose outcome is not known is
// called that, never repeated. It logs nothing, and its errors hold no token, no
// recipient and no body; Meta's own words about a recipient stay in Error.Details.
package meta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// Options says where Meta is and how to reach it. The zero value is usable.
type Options struct {
	BaseURL string // META_GRAPH_URL; default https://graph.facebook.com
	Version string // META_GRAPH_VERSION; default v23.0

	// Timeout bounds one request from dialling to the last byte. Default 30 s: Meta
	// publishes no figure; its own SDKs wait 60 s, and the grace period of unknown
	// outcomes has to be longer than this.
	Timeout time.Duration

	// Conns is how many idle connections are kept to Meta's one host; more are opened when
	// more are busy, and closed again. Default KeptConns.
	Conns int

	// Transport replaces the transport; for tests of connections that break.
	Transport http.RoundTripper
}

// Client calls Meta. It is safe for concurrent use. Its requests go to the transport
// directly: Graph does not redirect (a redirect would carry the token elsewhere), and needs
// no cookies.
type Client struct {
	base      string
	transport http.RoundTripper
	timeout   time.Duration
	sends     deadlines
}

// KeptConns is how many connections to Meta are kept unless Options says otherwise: ten
// numbers at 1,000 messages a second and 100 ms an answer keep as many busy.
const KeptConns = 1024

// The limits of one exchange.
const (
	defaultTimeout = 30 * time.Second
	dialTimeout    = 5 * time.Second
	maxAnswer      = 8 << 20 // bytes; a page of a hundred templates is under 1 MB
)

// New makes a client.
//
// Errors: meta.bad_url.
func New(o Options) (*Client, error) {
	base, err := url.Parse(or(o.BaseURL, "https://graph.facebook.com"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errs.New(errs.Invalid, "meta.bad_url", "META_GRAPH_URL is not an http(s) URL")
	}
	timeout, conns := or(o.Timeout, defaultTimeout), or(o.Conns, KeptConns)
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			// One connection a request: HTTP/2 would send all of a busy worker's messages
			// through one connection, whose loss would leave them all with an unknown outcome.
			Protocols:           http1(),
			MaxIdleConns:        conns,
			MaxIdleConnsPerHost: conns,
			IdleConnTimeout:     90 * time.Second,
			// A message and its answer are below 2 KiB; hundreds of connections have both buffers.
			ReadBufferSize: 2 << 10, WriteBufferSize: 2 << 10,
		}
	}
	return &Client{
		base:      strings.TrimRight(base.String(), "/") + "/" + or(o.Version, "v23.0") + "/",
		transport: transport, timeout: timeout,
	}, nil
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Ping asks whether Graph, or what stands in for it, answers at all; what it answers to a caller
// without a token does not matter.
//
// Errors: meta.not_sent, meta.unknown_outcome.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", errNoURL)
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return transportError(err, false)
	}
	defer resp.Body.Close() // its content is of no interest
	if resp.StatusCode >= http.StatusInternalServerError {
		return ErrUnknownOutcome.With(fmt.Errorf("status %d", resp.StatusCode))
	}
	return nil
}

// call is one request; a nil body is none.
type call struct {
	method, token, path string
	body                []byte
}

// do makes one exchange within the client's timeout.
func (c *Client) do(ctx context.Context, r call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.exchange(ctx, r, out)
}

// deadlines gives requests that begin at about the same time one deadline together: a
// timer for each costs as much as its JSON.
type deadlines struct {
	mu     sync.Mutex
	shared context.Context //nolint:containedctx // that is what it is: a deadline, of many requests
	ends   time.Time
	cancel context.CancelFunc // never called: the deadline ends it
}

// after returns a context that ends in timeout or up to an eighth later.
func (d *deadlines) after(timeout time.Duration) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Add(timeout).After(d.ends) {
		d.ends = now.Add(timeout + timeout/8)
		d.shared, d.cancel = context.WithDeadline(context.Background(), d.ends) //nolint:gosec,forbidigo // see cancel; of no one caller
	}
	return d.shared
}

// exchange sends one request and reads its answer into out (nil: not wanted).
func (c *Client) exchange(ctx context.Context, r call, out any) error {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// net/http takes another connection by itself only if it wrote nothing to the one
		// before (a kept-alive one that had died): a POST begins anew there.
		GetConn: func(string) { sent.Store(false) },
		// The first byte of the request may be on its way from here on.
		WroteHeaders: func() { sent.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return fmt.Errorf("make request: %w", errNoURL) // the error would print the URL
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return transportError(err, sent.Load())
	}
	defer resp.Body.Close() // read to its end or given up
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return transportError(err, true)
	}
	if len(text) > maxAnswer {
		return ErrUnknownOutcome.With(errors.New("the answer is too long"))
	}
	return read(resp, text, out)
}

var errNoURL = errors.New("path or method is malformed")

// transportError judges a request without an answer. url.Error prints the URL, which
// holds ids but no token; only its cause is kept.
func transportError(err error, sent bool) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if sent {
		return ErrUnknownOutcome.With(err)
	}
	return ErrNotSent.With(err)
}

// read judges an answer: success, a refusal in Graph's envelope, or something that is
// not Graph at all (a proxy's 502), which leaves the outcome open.
func read(resp *http.Response, text []byte, out any) error {
	ok := resp.StatusCode >= 200 && resp.StatusCode < 300
	if !ok || bytes.Contains(text, []byte(`"error"`)) { // a success is read once
		if e := parseError(resp, text); e != nil {
			return e
		}
	}
	switch {
	case !ok && resp.StatusCode < http.StatusInternalServerError:
		// A gateway before Graph refused it (413, 414, 429 without envelope, a redirect).
		return foreignError(resp)
	case !ok:
		return ErrUnknownOutcome.With(fmt.Errorf("status %d without an error envelope", resp.StatusCode))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return ErrUnknownOutcome.With(errors.New("the answer is not the JSON expected"))
	}
	return nil
}

// get reads path with query parameters.
func (c *Client) get(ctx context.Context, token, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, call{method: http.MethodGet, token: token, path: path}, out)
}

// post sends v as JSON to path.
func (c *Client) post(ctx context.Context, token, path string, v, out any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.do(ctx, call{method: http.MethodPost, token: token, path: path, body: body}, out)
}

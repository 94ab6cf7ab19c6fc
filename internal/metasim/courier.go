package metasim

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // X-Hub-Signature is SHA-1 at Meta too
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxWebhookWorkers bounds Config.WebhookConcurrency.
const maxWebhookWorkers = 64

// handshakeInterval is how often an unanswered handshake is tried again.
const handshakeInterval = time.Second

// delivery is one POST that has to be answered with 200.
type delivery struct {
	dest     string // "": the app's callback, whatever it is by then
	body     []byte
	updates  int
	attempts int
	first    int64
	due      int64
	repeat   bool // a repetition after a 200
}

// courier posts webhooks, and again until they are answered with 200.
type courier struct {
	s      *Sim
	client *http.Client

	mu       sync.Mutex
	cond     *sync.Cond
	stopped  bool
	ready    []*delivery
	held     []*delivery // for the app's callback, before its handshake
	delayed  deliveryHeap
	inflight int
	bytes    int

	verified    bool // the app's callback has answered the handshake
	pending     callback
	nextShake   int64
	handshaking bool

	stats webhookStats
}

func newCourier(s *Sim, client *http.Client) *courier {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: maxWebhookWorkers, IdleConnTimeout: time.Minute, DisableCompression: true,
		}}
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	k := &courier{s: s, client: &own}
	k.cond = sync.NewCond(&k.mu)
	return k
}

// expect makes the courier try the handshake with a callback until it is
// answered, and hold the app's webhooks until then.
func (k *courier) expect(callbackURL, verifyToken string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending, k.verified, k.nextShake = callback{callbackURL, verifyToken}, false, 0
}

// saved takes a callback into use after its handshake and lets go what was held.
func (k *courier) saved(cb callback) {
	k.s.reg.mu.Lock()
	k.s.reg.app.callback, k.s.reg.app.verifyToken = cb.url, cb.verifyToken
	k.s.reg.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.verified, k.pending = true, callback{}
	k.ready = append(k.ready, k.held...)
	k.held = nil
	k.cond.Broadcast()
}

// enqueue takes a body for delivery; past the limit of pending bytes it is
// dropped and counted.
func (k *courier) enqueue(dest string, body []byte, updates int) {
	limit := k.s.config().WebhookMaxPendingBytes
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes+len(body) > limit {
		k.stats.Dropped++
		k.stats.DroppedUpdates += int64(updates)
		return
	}
	k.bytes += len(body)
	k.queue(&delivery{dest: dest, body: body, updates: updates, first: k.s.clock.nanos()})
}

// queue makes a delivery ready; the caller holds mu.
func (k *courier) queue(d *delivery) {
	if d.dest == "" && !k.verified {
		k.held = append(k.held, d)
		return
	}
	k.ready = append(k.ready, d)
	k.cond.Signal()
}

// turn starts what the clock allows: handshakes and retries.
func (k *courier) turn(ctx context.Context) {
	now := k.s.clock.nanos()
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.delayed) > 0 && k.delayed[0].due <= now {
		if d, ok := heap.Pop(&k.delayed).(*delivery); ok {
			k.queue(d)
		}
	}
	if k.pending.url == "" || k.handshaking || now < k.nextShake {
		return
	}
	k.handshaking, k.nextShake = true, now+int64(handshakeInterval)
	cb := k.pending
	go func() {
		err := k.handshake(ctx, cb)
		k.mu.Lock()
		k.handshaking = false
		current := k.pending == cb
		k.mu.Unlock()
		if err == nil && current {
			k.saved(cb)
		}
	}()
}

func (k *courier) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.cond.Broadcast()
}

// work delivers until ctx ends; several run at once.
func (k *courier) work(ctx context.Context) {
	for {
		d := k.next()
		if d == nil {
			return
		}
		k.finish(d, k.post(ctx, d))
	}
}

func (k *courier) next() *delivery {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.stopped && (len(k.ready) == 0 || k.inflight >= k.s.config().WebhookConcurrency) {
		k.cond.Wait()
	}
	if k.stopped {
		return nil
	}
	d := k.ready[0]
	k.ready[0] = nil
	k.ready = k.ready[1:]
	k.inflight++
	return d
}

// finish books the outcome: done, repeated on demand, or tried again later.
func (k *courier) finish(d *delivery, err error) {
	cfg, now := k.s.config(), k.s.clock.nanos()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inflight--
	k.cond.Signal()
	k.stats.Posts++
	d.attempts++
	if d.attempts > 1 && !d.repeat {
		k.stats.Retries++
	}
	if err == nil {
		k.stats.Delivered++
		k.stats.DeliveredUpdates += int64(d.updates)
		if !d.repeat && roll(k.s.seed, saltDuplicate, uint64(k.stats.Delivered)) < cfg.WebhookDupRate { //nolint:gosec // a count
			k.stats.Repeated++
			d.repeat, d.due = true, now+duplicateDelay
			heap.Push(&k.delayed, d)
			return
		}
		k.bytes = max(0, k.bytes-len(d.body)) // a reset may have come between
		return
	}
	k.stats.Failures++
	k.stats.LastError = err.Error()
	if now-d.first > int64(webhookRetryLife) {
		k.bytes = max(0, k.bytes-len(d.body)) // a reset may have come between
		k.stats.Dropped++
		k.stats.DroppedUpdates += int64(d.updates)
		return
	}
	wait := time.Duration(cfg.WebhookRetryMS) * time.Millisecond
	for range min(d.attempts-1, 16) { // an hour is passed long before
		wait *= 2
	}
	wait = min(wait, webhookRetryMax)
	spread := 0.75 + 0.5*roll(k.s.seed, saltRetry, uint64(k.stats.Failures)) //nolint:gosec // a count
	d.due = now + int64(float64(wait)*spread)
	heap.Push(&k.delayed, d)
}

// post sends one body, signed with the app secret of this moment.
func (k *courier) post(ctx context.Context, d *delivery) error {
	a := k.s.reg.application()
	target := d.dest
	if target == "" {
		target = a.callback
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(k.s.config().WebhookTimeoutMS)*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(d.body))
	if err != nil {
		return err
	}
	old := hmac.New(sha1.New, []byte(a.secret))
	old.Write(d.body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	req.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(old.Sum(nil)))
	req.Header.Set("X-Hub-Signature-256", "sha256="+hmacHex(a.secret, d.body))
	sent := time.Now()
	resp, err := k.client.Do(req)
	k.noteLatency(time.Since(sent))
	if err != nil {
		return plainError(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode != http.StatusOK {
		return errors.New("answered " + strconv.Itoa(resp.StatusCode))
	}
	return nil
}

func (k *courier) noteLatency(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Latency.add(d)
}

// plainError leaves the URL out: it may hold a secret.
func plainError(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// handshake is Meta's GET before a callback is saved: the challenge must come
// back bare.
func (k *courier) handshake(ctx context.Context, cb callback) error {
	u, err := url.Parse(cb.url)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not a URL", cb.url)
	}
	challenge := strconv.FormatUint(mix(uint64(k.s.clock.nanos()))%1e10, 10) //nolint:gosec // only hashed
	q := u.Query()
	q.Set("hub.mode", "subscribe")
	q.Set("hub.challenge", challenge)
	q.Set("hub.verify_token", cb.verifyToken)
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(k.s.config().WebhookTimeoutMS)*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "facebookplatform/1.0 (+http://developers.facebook.com)")
	resp, err := k.client.Do(req)
	k.mu.Lock()
	k.stats.Handshakes++
	k.mu.Unlock()
	if err != nil {
		return plainError(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return errors.New("the handshake was answered " + strconv.Itoa(resp.StatusCode))
	case strings.TrimSpace(string(got)) != challenge:
		return errors.New("the handshake's answer is not the challenge")
	}
	return nil
}

func hmacHex(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// snapshot is the courier's part of the stats.
func (k *courier) snapshot() webhookStats {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.stats
	out.Verified = k.verified
	out.Pending = len(k.ready) + len(k.held) + len(k.delayed) + k.inflight
	out.PendingBytes = k.bytes
	return out
}

// clear forgets every delivery and every count.
func (k *courier) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ready, k.held, k.delayed, k.stats = nil, nil, nil, webhookStats{}
	k.bytes = 0
}

type deliveryHeap []*delivery

// Len implements heap.Interface.
func (h *deliveryHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *deliveryHeap) Less(i, j int) bool { return (*h)[i].due < (*h)[j].due }

// Swap implements heap.Interface.
func (h *deliveryHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }

// Push implements heap.Interface.
func (h *deliveryHeap) Push(x any) {
	if d, ok := x.(*delivery); ok {
		*h = append(*h, d)
	}
}

// Pop implements heap.Interface.
func (h *deliveryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

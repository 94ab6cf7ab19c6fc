// Package webhook takes in Meta's callbacks: handshake, signature, durable intake,
// answer. Its law: 200 only after the commit; it talks to Postgres and nothing else, so
// that it keeps answering while Redis or Temporal is away; and it believes nothing of a
// body but what the phone number id routes.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// maxBody bounds one callback. Meta sends at most 3 MB (webhooks overview, read 2026-09);
// the proxy in front has the same limit.
const maxBody = 4 << 20

// Deps is what the callback needs.
type Deps struct {
	Secrets     []string // Meta app secrets in force: two while one is rotated out
	VerifyToken string
	Intake      *Intake
	Log         *slog.Logger
}

// New returns the handler of /webhook/meta.
func New(d Deps) http.Handler {
	r := chi.NewRouter()
	r.Use(httpx.Base(d.Log))
	r.NotFound(httpx.NotFound)
	r.MethodNotAllowed(httpx.MethodNotAllowed)
	r.Get("/webhook/meta", httpx.Handle(d.handshake))
	r.Post("/webhook/meta", httpx.Handle(d.receive))
	return r
}

var (
	errSignature = errs.New(errs.Unauthenticated, "webhook.bad_signature", "X-Hub-Signature-256 does not match the body")
	errToken     = errs.New(errs.Denied, "webhook.bad_verify_token", "hub.verify_token is not the one agreed on")
	errBody      = errs.New(errs.Invalid, "webhook.malformed", "the body is not a notification")
)

// handshake answers Meta's question whether this callback is ours.
func (d Deps) handshake(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("hub.mode") != "subscribe" || subtle.ConstantTimeCompare([]byte(q.Get("hub.verify_token")), []byte(d.VerifyToken)) != 1 {
		return errToken
	}
	// Plain text, sniffing off: the challenge is echoed and must not become a page.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err := io.WriteString(w, q.Get("hub.challenge")) //nolint:gosec // plain text, see above
	return err
}

// receive verifies, takes in durably, and answers 200. Anything else makes Meta send the
// same again, which changes nothing but our load.
func (d Deps) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errs.New(errs.TooLarge, "webhook.too_large", "a callback is at most 4 MiB")
	}
	if err != nil {
		return errBody.With(err)
	}
	if !signed(body, r.Header.Get("X-Hub-Signature-256"), d.Secrets) {
		return errSignature
	}
	says, err := read(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	if err := d.Intake.Take(ctx, body, says); err != nil {
		return errs.Wrap(errs.Unavailable, "webhook.not_kept", "the callback could not be kept; send it again", err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// signed tells whether the signature is the HMAC-SHA256 of the raw body under one of the
// secrets, compared in constant time.
func signed(body []byte, header string, secrets []string) bool {
	given, err := hex.DecodeString(strings.TrimPrefix(header, "sha256="))
	if err != nil || len(given) != sha256.Size {
		return false
	}
	ok := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		ok = hmac.Equal(mac.Sum(nil), given) || ok
	}
	return ok
}

// told is what one callback says that something is done about.
type told struct {
	statuses []store.StatusUpdate
	news     []store.AccountNews
	written  []written
}

func (t *told) add(more told) {
	t.statuses, t.news = append(t.statuses, more.statuses...), append(t.news, more.news...)
	t.written = append(t.written, more.written...)
}

// written is a message from a person to the number, as Meta prints it.
type written struct {
	phoneNumberID string
	message       []byte
}

// read reads every status and every message of every change of every entry, and what is
// told of accounts. Fields it does not know stay in the kept body.
func read(body []byte) (told, error) {
	n, err := meta.ParseNotification(body)
	if err != nil {
		return told{}, errBody.With(err)
	}
	var out told
	for _, entry := range n.Entry {
		for _, change := range entry.Changes {
			if news := change.News(); news != meta.NoNews {
				out.news = append(out.news, store.AccountNews{WABA: string(entry.ID), Standing: news == meta.AccountNews})
			}
			if change.Field != "messages" {
				continue
			}
			value, err := change.Messages()
			if err != nil {
				continue // one odd change must not cost the others; the body is kept
			}
			number := string(value.Metadata.PhoneNumberID)
			for _, s := range value.Statuses {
				if u, ok := statusUpdate(number, s); ok {
					out.statuses = append(out.statuses, u)
				}
			}
			messages, _ := change.Written() // readable: the value was read above
			for _, m := range messages {
				out.written = append(out.written, written{number, m})
			}
		}
	}
	return out, nil
}

// clockSkew is how far ahead of ours Meta's clock is believed. Beyond, a time is no time:
// it may be one that no column holds.
const clockSkew = 24 * time.Hour

func statusUpdate(phoneNumberID string, s meta.Status) (store.StatusUpdate, bool) {
	u := store.StatusUpdate{PhoneNumberID: phoneNumberID, Wamid: string(s.ID), At: s.Timestamp.Time}
	now := time.Now()
	switch s.Status {
	case "sent":
		u.Status = message.Sent
	case "delivered":
		u.Status = message.Delivered
	case "read", "played": // a voice message is played where a text is read
		u.Status = message.Read
	case "failed":
		u.Status = message.Failed
	default:
		return u, false
	}
	if u.At.IsZero() || u.At.After(now.Add(clockSkew)) {
		u.At = now
	}
	u.Ref, _ = message.ParseRef(s.Opaque) // zero: found by its wamid
	if s.Pricing != nil {
		u.Category, u.PricingType = meta.Plain(s.Pricing.Category), meta.Plain(s.Pricing.Type)
	}
	if len(s.Errors) > 0 {
		e := s.Errors[0].Error()
		u.Code, u.Title, u.Details = e.Code, e.Title, e.Details
	}
	return u, u.Wamid != ""
}

// Package signedlink lets an address be opened without signing in, for a few minutes, so that a
// document can be handed to a browser, a mail or a printer. Its law: a link opens one thing of
// one vendor until its time, and whoever cannot sign cannot change any of these. There is no
// list of links: none can be taken back, which is why their time is short.
package signedlink

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// Life is how long a link opens: long enough for a slow download to begin, too short to be
// passed on for good.
const Life = 10 * time.Minute

// The refusals of a link. A forged one learns nothing of what is there.
var (
	ErrInvalid = errs.New(errs.Denied, "link.invalid", "this link is not one of ours, or was changed")
	ErrExpired = errs.New(errs.Denied, "link.expired", "this link is too old: ask for a new one")
)

// Target is what a link opens. No part may be empty.
type Target struct {
	Kind    string // what sort of thing: a key for one opens no other
	Vendor  vendor.ID
	Subject string
}

// Signer makes and checks links. It is safe for concurrent use.
type Signer struct{ key []byte }

// New makes a signer whose key is derived from the master key. Links of another master key
// are invalid.
func New(master []byte) (*Signer, error) {
	key, err := hkdf.Key(sha256.New, master, nil, "kloyst/signed links", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of links: %w", err)
	}
	return &Signer{key: key}, nil
}

// The parameters of a link.
const (
	expires   = "expires"   // seconds since 1970
	signature = "signature" // base64url of the MAC
)

// Parameters returns the names that a link's query may have.
func Parameters() []string { return []string{expires, signature} }

// Query returns the query that opens t until the given time, which is cut to whole seconds.
func (s *Signer) Query(t Target, until time.Time) url.Values {
	at := strconv.FormatInt(until.Unix(), 10)
	return url.Values{expires: {at}, signature: {base64.RawURLEncoding.EncodeToString(s.mac(t, at))}}
}

// Check tells whether q opens t at now. The signature is compared in constant time, and
// before anything it signs is believed.
//
// Errors: link.invalid, link.expired.
func (s *Signer) Check(t Target, q url.Values, now time.Time) error {
	at := q.Get(expires)
	given, err := base64.RawURLEncoding.DecodeString(q.Get(signature))
	if err != nil || !hmac.Equal(given, s.mac(t, at)) {
		return ErrInvalid
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrInvalid
	}
	if !now.Before(time.Unix(seconds, 0)) {
		return ErrExpired
	}
	return nil
}

// mac signs every part with its length before it, so that no two targets read alike.
func (s *Signer) mac(t Target, at string) []byte {
	h := hmac.New(sha256.New, s.key)
	for _, part := range []string{t.Kind, string(t.Vendor), t.Subject, at} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h.Sum(nil)
}

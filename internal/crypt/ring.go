// Package crypt is envelope encryption: a master key wraps each vendor's own keys,
// and those encrypt the vendor's personal data and make its blind index. Its law: a
// ciphertext opens only where it was written (vendor, field and row are bound to it),
// and every ciphertext names its key, so that keys can be rotated in place. It must
// not import the store: wrapped keys come in through a function.
package crypt

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// MasterKeySize is the length of a master key, in bytes (AES-256).
const MasterKeySize = 32

// The failures of this package. None of them tells what was inside.
var (
	ErrMasterKey = errs.New(errs.Invalid, "crypt.bad_master_key", "the master key must be 32 bytes")
	ErrUnwrap    = errs.New(errs.Internal, "crypt.cannot_unwrap", "the vendor's keys were wrapped by another master key or for another vendor")
	ErrOpen      = errs.New(errs.Internal, "crypt.cannot_open", "the ciphertext is damaged, of another key, or of another place")
	ErrDestroyed = errs.New(errs.NotFound, "crypt.keys_destroyed", "the vendor's keys were destroyed")
)

// Ring holds the master keys. It is safe for concurrent use.
type Ring struct {
	primary string
	keys    map[string]masterKey
}

// masterKey is one master key's two derived uses, kept apart so that a wrapped keyset
// can never be mistaken for a platform secret.
type masterKey struct{ wrap, platform tink.AEAD }

// wrappedKeys is the stored form of a vendor's keys.
type wrappedKeys struct {
	Version int    `json:"v"`
	Master  string `json:"kid"`
	AEAD    []byte `json:"aead"`
	Index   []byte `json:"index"`
}

// NewRing makes a ring that wraps with primary and still unwraps what older wrapped.
//
// Errors: crypt.bad_master_key.
func NewRing(primary []byte, older ...[]byte) (*Ring, error) {
	r := &Ring{keys: map[string]masterKey{}}
	for _, key := range append(older, primary) {
		if len(key) != MasterKeySize {
			return nil, ErrMasterKey
		}
		m, err := deriveMaster(key)
		if err != nil {
			return nil, err
		}
		r.primary = masterKeyID(key)
		r.keys[r.primary] = m
	}
	return r, nil
}

// masterKeyID names a master key without telling anything about it.
func masterKeyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("kloyst master key id"), key...))
	return hex.EncodeToString(sum[:4])
}

func deriveMaster(key []byte) (masterKey, error) {
	var m masterKey
	for use, into := range map[string]*tink.AEAD{"wrap vendor keys": &m.wrap, "platform secrets": &m.platform} {
		derived, err := hkdf.Key(sha256.New, key, nil, "kloyst/"+use, MasterKeySize)
		if err != nil {
			return m, fmt.Errorf("derive master key: %w", err)
		}
		gcm, err := subtle.NewAESGCM(derived)
		if err != nil {
			return m, fmt.Errorf("make master cipher: %w", err)
		}
		*into = gcm
	}
	return m, nil
}

// NewVendorKeys makes fresh keys for a vendor and returns them wrapped, ready to store.
func (r *Ring) NewVendorKeys(v vendor.ID) ([]byte, error) {
	data, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make data key: %w", err)
	}
	index, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make index key: %w", err)
	}
	return r.wrap(v, data, index)
}

func (r *Ring) wrap(v vendor.ID, data, index *keyset.Handle) ([]byte, error) {
	w := wrappedKeys{Version: 1, Master: r.primary}
	for _, one := range []struct {
		handle *keyset.Handle
		use    string
		into   *[]byte
	}{{data, "aead", &w.AEAD}, {index, "index", &w.Index}} {
		var out bytes.Buffer
		err := one.handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), r.keys[r.primary].wrap, aad(v, "keys", one.use))
		if err != nil {
			return nil, fmt.Errorf("wrap keys: %w", err)
		}
		*one.into = out.Bytes()
	}
	return json.Marshal(w)
}

// Open unwraps a vendor's keys.
//
// Errors: crypt.keys_destroyed, crypt.cannot_unwrap.
func (r *Ring) Open(v vendor.ID, wrapped []byte) (*VendorKeys, error) {
	if len(wrapped) == 0 {
		return nil, ErrDestroyed
	}
	var w wrappedKeys
	if err := json.Unmarshal(wrapped, &w); err != nil {
		return nil, ErrUnwrap.With(err)
	}
	master, ok := r.keys[w.Master]
	if !ok || w.Version != 1 {
		return nil, ErrUnwrap
	}
	data, err := unwrap(master.wrap, w.AEAD, aad(v, "keys", "aead"))
	if err != nil {
		return nil, err
	}
	index, err := unwrap(master.wrap, w.Index, aad(v, "keys", "index"))
	if err != nil {
		return nil, err
	}
	k := &VendorKeys{vendor: v}
	if k.aead, err = aead.New(data); err != nil {
		return nil, ErrUnwrap.With(err)
	}
	if k.index, err = prf.NewPRFSet(index); err != nil {
		return nil, ErrUnwrap.With(err)
	}
	return k, nil
}

func unwrap(master tink.AEAD, wrapped, ad []byte) (*keyset.Handle, error) {
	h, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), master, ad)
	if err != nil {
		return nil, ErrUnwrap.With(err)
	}
	return h, nil
}

// SealPlatform encrypts a secret that belongs to no vendor. purpose and ref say where
// it lives and are needed again to open it.
func (r *Ring) SealPlatform(purpose, ref string, plaintext []byte) ([]byte, error) {
	ct, err := r.keys[r.primary].platform.Encrypt(plaintext, aad("", purpose, ref))
	if err != nil {
		return nil, fmt.Errorf("seal platform secret: %w", err)
	}
	return append([]byte(r.primary), ct...), nil
}

// OpenPlatform decrypts what SealPlatform made.
//
// Errors: crypt.cannot_open.
func (r *Ring) OpenPlatform(purpose, ref string, sealed []byte) ([]byte, error) {
	if len(sealed) < len(r.primary) {
		return nil, ErrOpen
	}
	master, ok := r.keys[string(sealed[:len(r.primary)])]
	if !ok {
		return nil, ErrOpen
	}
	plain, err := master.platform.Decrypt(sealed[len(r.primary):], aad("", purpose, ref))
	if err != nil {
		return nil, ErrOpen.With(err)
	}
	return plain, nil
}

// aad binds a ciphertext to its place. None of the parts may hold a bar: vendors are
// UUIDs, fields are constants, so two places cannot spell the same bytes.
func aad(v vendor.ID, field, ref string) []byte {
	b := make([]byte, 0, len(v)+len(field)+len(ref)+2)
	b = append(b, v...)
	b = append(b, '|')
	b = append(b, field...)
	b = append(b, '|')
	return append(b, ref...)
}

package crypt

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// KeysTTL is how long unwrapped keys are kept in memory: a destroyed or rotated key is
// out of every process after that, and one read a minute costs a vendor nothing.
const KeysTTL = time.Minute

// maxCached bounds the memory of the cache; past it, expired entries are dropped first.
const maxCached = 10_000

// Keys gives out vendors' keys, loading and unwrapping each at most once per KeysTTL.
// It is safe for concurrent use.
type Keys struct {
	ring  *Ring
	load  func(context.Context, vendor.ID) ([]byte, error)
	group singleflight.Group

	mu     sync.Mutex
	cached map[vendor.ID]cachedKeys
}

type cachedKeys struct {
	keys  *VendorKeys
	until time.Time
}

// NewKeys makes a cache over load, which returns a vendor's wrapped keys (the store's
// VendorKeys method).
func NewKeys(ring *Ring, load func(context.Context, vendor.ID) ([]byte, error)) *Keys {
	return &Keys{ring: ring, load: load, cached: map[vendor.ID]cachedKeys{}}
}

// For returns the vendor's keys.
//
// Errors: crypt.keys_destroyed, crypt.cannot_unwrap, and those of load.
func (k *Keys) For(ctx context.Context, v vendor.ID) (*VendorKeys, error) {
	k.mu.Lock()
	hit, ok := k.cached[v]
	k.mu.Unlock()
	if ok && time.Now().Before(hit.until) {
		return hit.keys, nil
	}
	// The flight must not end with whoever happened to be first in it.
	got, err, _ := k.group.Do(string(v), func() (any, error) { return k.fetch(context.WithoutCancel(ctx), v) })
	if err != nil {
		return nil, err
	}
	return got.(*VendorKeys), nil //nolint:errcheck // fetch returns nothing else
}

// Forget drops a vendor's keys from this process, after a rotation or a destruction.
func (k *Keys) Forget(v vendor.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.cached, v)
}

func (k *Keys) fetch(ctx context.Context, v vendor.ID) (*VendorKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a lock wait or a dead primary, not a slow read
	defer cancel()
	wrapped, err := k.load(ctx, v)
	if err != nil {
		return nil, err
	}
	keys, err := k.ring.Open(v, wrapped)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.cached) >= maxCached {
		for id, old := range k.cached {
			if now.After(old.until) || len(k.cached) >= maxCached {
				delete(k.cached, id)
			}
		}
	}
	k.cached[v] = cachedKeys{keys: keys, until: now.Add(KeysTTL)}
	return keys, nil
}

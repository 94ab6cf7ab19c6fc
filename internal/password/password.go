// Package password hashes passwords with Argon2id and bounds how many are hashed at
// once: each costs memory on purpose, and a crowd of logins must not take it all.
package password

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// cost of one hash: 19 MiB, two passes, one lane.
// Source: OWASP password storage cheat sheet, Argon2id minimum, read 2026-09.
var cost = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32} //nolint:gochecknoglobals // a constant in all but kind

// Hasher hashes and checks passwords. It is safe for concurrent use.
type Hasher struct {
	slots chan struct{}
	decoy string
}

// New makes a hasher that works on at most n passwords at once (19 MiB each).
func New(n int) *Hasher {
	return &Hasher{slots: make(chan struct{}, n), decoy: decoy()}
}

// decoy is a hash that looks like any other and that no password has: salt and key are random.
// Making it takes no hashing, whose memory a process would hold from its start on.
func decoy() string {
	random := make([]byte, cost.SaltLength+cost.KeyLength)
	_, _ = rand.Read(random) // never fails: it ends the program instead
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, cost.Memory, cost.Iterations, cost.Parallelism,
		text(random[:cost.SaltLength]), text(random[cost.SaltLength:]))
}

// Hash returns the PHC string of a password, waiting for a free slot until ctx ends.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(password, &cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// Check tells whether password is the one of hash. An empty hash, for a user who does
// not exist, costs the same time and is never right: who asks cannot tell the two apart.
func (h *Hasher) Check(ctx context.Context, password, hash string) (bool, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	compare := hash
	if hash == "" {
		compare = h.decoy
	}
	ok, err := argon2id.ComparePasswordAndHash(password, compare)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	return ok && hash != "", nil
}

func (h *Hasher) slot(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

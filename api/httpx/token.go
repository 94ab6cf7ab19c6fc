package httpx

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

// AccessTTL is how long an access token works. It cannot be called back, so it is
// short; the refresh token that can be is what keeps a user logged in.
const AccessTTL = 15 * time.Minute

const (
	issuer   = "kloyst"
	audience = "kloyst-api"
)

// Tokens signs and checks access tokens (JWT, EdDSA). The zero value does not work.
type Tokens struct {
	key  ed25519.PrivateKey
	kid  string
	now  func() time.Time
	read *jwt.Parser
}

// NewTokens takes the 32-byte Ed25519 seed of JWT_SIGNING_KEY.
func NewTokens(seed []byte) (*Tokens, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, errs.New(errs.Invalid, "auth.bad_signing_key", "JWT_SIGNING_KEY is not 32 bytes of base64")
	}
	t := &Tokens{key: ed25519.NewKeyFromSeed(seed), now: time.Now}
	pub, ok := t.key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errs.New(errs.Internal, "auth.bad_signing_key", "no public key")
	}
	sum := sha256.Sum256(pub)
	t.kid = hex.EncodeToString(sum[:8])
	t.read = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(10*time.Second), // clocks of two machines, NTP-kept
	)
	return t, nil
}

type claims struct {
	jwt.RegisteredClaims
	VendorID vendor.ID   `json:"vendorId"`
	Role     vendor.Role `json:"role"`
}

// Issue makes an access token for p and tells when it ends.
func (t *Tokens) Issue(p Principal) (string, time.Time, error) {
	now := t.now()
	end := now.Add(AccessTTL)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: string(p.User),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(end), ID: id.Random(),
		},
		VendorID: p.Vendor, Role: p.Role,
	})
	token.Header["kid"] = t.kid
	text, err := token.SignedString(t.key)
	return text, end, err
}

// Verify returns who a token speaks for.
//
// Errors: auth.token_invalid.
func (t *Tokens) Verify(text string) (Principal, error) {
	var c claims
	if _, err := t.read.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return t.key.Public(), nil }); err != nil {
		return Principal{}, ErrToken.With(err)
	}
	if !id.Valid(string(c.VendorID)) || c.Subject == "" || !c.Role.Valid() {
		return Principal{}, ErrToken
	}
	return Principal{Vendor: c.VendorID, User: vendor.UserID(c.Subject), Role: c.Role}, nil
}

// caller reads the Authorization header.
func (t *Tokens) caller(r *http.Request) (Principal, error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		return Principal{}, ErrNoToken
	}
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return Principal{}, ErrToken
	}
	return t.Verify(strings.TrimSpace(text))
}

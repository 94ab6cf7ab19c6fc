package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/password"
	"github.com/kloyst/kloyst-core/store"
)

// auth registers vendors and logs their users in and out.
type auth struct {
	store    *store.Store
	ring     *crypt.Ring
	tokens   *httpx.Tokens
	hasher   *password.Hasher
	throttle *throttle
}

// refreshTTL is how long a login lasts without being used: a user who comes back within a
// month stays logged in.
const refreshTTL = 30 * 24 * time.Hour

// The refusals of a login.
var (
	errCredentials = errs.New(errs.Unauthenticated, "auth.invalid_credentials", "the e-mail address or the password is wrong")
	errUnverified  = errs.New(errs.Denied, "auth.email_unverified", "confirm your e-mail address first: we sent you a mail")
	errSuspended   = errs.New(errs.Denied, "auth.vendor_suspended", "this vendor is suspended: talk to support")
)

type registerInput struct {
	Body struct {
		VendorName    string `json:"vendor_name" minLength:"1" maxLength:"100" doc:"Name of the company" example:"Acme Foods"`
		Email         string `json:"email" minLength:"3" maxLength:"254" doc:"Of the owner; logs in with it" example:"asha@acme.example"`
		Password      string `json:"password" minLength:"10" maxLength:"128"`
		Name          string `json:"name" minLength:"1" maxLength:"100" doc:"Of the owner" example:"Asha Rao"`
		DefaultRegion string `json:"default_region" doc:"Country of national phone numbers, ISO 3166-1 alpha-2" example:"IN"`
		Currency      string `json:"currency" doc:"Of the wallet, ISO 4217; cannot be changed later" example:"INR"`
		TimeZone      string `json:"time_zone,omitempty" default:"UTC" doc:"IANA time zone" example:"Asia/Kolkata"`
	}
}

type registerBody struct {
	VendorID      vendor.ID     `json:"vendor_id"`
	UserID        vendor.UserID `json:"user_id"`
	Email         string        `json:"email"`
	EmailVerified bool          `json:"email_verified"`
}

// register makes a vendor. Its owner can log in once the e-mail address is confirmed.
func (h *auth) register(ctx context.Context, in *registerInput) (*httpx.Reply[registerBody], error) {
	if err := h.throttle.take(ctx, registrations, httpx.ClientIP(ctx)); err != nil {
		return nil, err
	}
	b := in.Body
	email, err := address(b.Email)
	if err != nil {
		return nil, err
	}
	v := vendor.Vendor{ID: id.New[vendor.ID](), Name: strings.TrimSpace(b.VendorName), DefaultRegion: b.DefaultRegion, Currency: b.Currency, TimeZone: b.TimeZone}
	u := vendor.User{ID: id.New[vendor.UserID](), Email: email, Name: strings.TrimSpace(b.Name), Role: vendor.Owner}
	if err := errors.Join(pointedAt(v.Check(), "/name", "/vendor_name"), vendor.CheckPersonName(u.Name), vendor.CheckPassword(b.Password, email)); err != nil {
		return nil, err
	}
	if u.PasswordHash, err = h.hasher.Hash(ctx, b.Password); err != nil {
		return nil, err
	}
	wrapped, err := h.ring.NewVendorKeys(v.ID)
	if err != nil {
		return nil, err
	}
	if err := h.store.CreateVendor(ctx, v.ID, store.NewVendor{Vendor: v, Owner: u, WrappedKeys: wrapped}); err != nil {
		return nil, err
	}
	return httpx.OK(registerBody{VendorID: v.ID, UserID: u.ID, Email: email}), nil
}

// pointedAt moves a refusal's pointer: this request calls the field otherwise.
func pointedAt(err error, from, to string) error {
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || len(e.Fields) != 1 || e.Fields[0].Pointer != from {
		return err
	}
	return errs.InvalidField(e.Code, to, e.Msg)
}

// address normalises an e-mail address. Only the bare form is taken.
//
// Errors: auth.email_invalid.
func address(text string) (string, error) {
	text = strings.TrimSpace(text)
	a, err := netmail.ParseAddress(text)
	if err != nil || a.Address != text || !strings.Contains(text[strings.LastIndex(text, "@"):], ".") {
		return "", errs.InvalidField("auth.email_invalid", "/email", "give a bare e-mail address like asha@acme.example")
	}
	return strings.ToLower(text), nil
}

type loginInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"254"`
		Password string `json:"password" minLength:"1" maxLength:"128"`
	}
}

// tokensBody is what a client keeps. The refresh token works once: using it gives a new one.
type tokensBody struct {
	AccessToken  string `json:"access_token" doc:"Send it as Authorization: Bearer"`
	TokenType    string `json:"token_type" example:"Bearer"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds the access token works" example:"900"`
	RefreshToken string `json:"refresh_token" doc:"Gets the next pair, once; keep it secret"`
}

// login answers the same, in the same time, for a wrong password and an unknown address.
func (h *auth) login(ctx context.Context, in *loginInput) (*httpx.Reply[tokensBody], error) {
	email := strings.ToLower(strings.TrimSpace(in.Body.Email))
	pair := email + "|" + httpx.ClientIP(ctx)
	if err := errors.Join(h.throttle.check(ctx, loginsPerPair, pair), h.throttle.check(ctx, loginsPerEmail, email)); err != nil {
		return nil, err
	}
	u, err := h.store.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, store.ErrUserNotFound) {
		return nil, err
	}
	ok, err := h.hasher.Check(ctx, in.Body.Password, u.PasswordHash)
	switch {
	case err != nil:
		return nil, err
	case !ok || u.Disabled:
		h.throttle.count(ctx, loginsPerPair, pair)
		h.throttle.count(ctx, loginsPerEmail, email)
		return nil, errCredentials
	case !u.EmailVerified:
		return nil, errUnverified
	}
	text, t := newRefresh(u.Vendor)
	if err := h.store.CreateRefreshToken(ctx, u.Vendor, u.ID, t); err != nil {
		return nil, err
	}
	return h.grant(ctx, u, text)
}

// newRefresh makes a refresh token: the vendor, so that it can be looked up behind
// row-level security, and 130 random bits, of which only the hash is kept.
func newRefresh(v vendor.ID) (string, store.RefreshToken) {
	secret := rand.Text()
	hash := sha256.Sum256([]byte(secret))
	return string(v) + "." + secret, store.RefreshToken{Hash: hash[:], Family: id.Random(), Expiry: time.Now().Add(refreshTTL)}
}

// splitToken takes a token that is led by its vendor apart. Nonsense gives a vendor that
// does not exist.
func splitToken(text string) (vendor.ID, []byte) {
	v, secret, _ := strings.Cut(strings.TrimSpace(text), ".")
	hash := sha256.Sum256([]byte(secret))
	return vendor.ID(v), hash[:]
}

// grant hands out tokens, unless the whole vendor is suspended.
func (h *auth) grant(ctx context.Context, u vendor.User, refresh string) (*httpx.Reply[tokensBody], error) {
	v, err := h.store.Vendor(ctx, u.Vendor)
	if err != nil {
		return nil, err
	}
	if v.Status != vendor.Active {
		return nil, errSuspended
	}
	access, _, err := h.tokens.Issue(httpx.Principal{Vendor: u.Vendor, User: u.ID, Role: u.Role})
	if err != nil {
		return nil, err
	}
	return httpx.OK(tokensBody{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int(httpx.AccessTTL.Seconds()), RefreshToken: refresh,
	}), nil
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" minLength:"1" maxLength:"256"`
	}
}

// refresh trades a refresh token for a new pair. One that was used before ends the login
// for everyone who holds a token of it.
func (h *auth) refresh(ctx context.Context, in *refreshInput) (*httpx.Reply[tokensBody], error) {
	v, hash := splitToken(in.Body.RefreshToken)
	text, next := newRefresh(v)
	u, err := h.store.RotateRefreshToken(ctx, v, hash, next)
	if err != nil {
		return nil, err
	}
	return h.grant(ctx, u, text)
}

// logout ends a login. It answers the same for a token that ended before.
func (h *auth) logout(ctx context.Context, in *refreshInput) (*httpx.None, error) {
	v, hash := splitToken(in.Body.RefreshToken)
	err := h.store.RevokeRefreshToken(ctx, v, hash)
	if errors.Is(err, vendor.ErrNotFound) {
		err = nil
	}
	return nil, err
}

type meBody struct {
	ID         vendor.UserID `json:"id"`
	Email      string        `json:"email"`
	Name       string        `json:"name"`
	Role       vendor.Role   `json:"role" enum:"OWNER,ADMIN,MEMBER"`
	VendorID   vendor.ID     `json:"vendor_id"`
	VendorName string        `json:"vendor_name"`
}

// me tells a client whom its token speaks for.
func (h *auth) me(ctx context.Context, who httpx.Principal, _ *httpx.None) (*httpx.Reply[meBody], error) {
	u, err := h.store.User(ctx, who.Vendor, who.User)
	if err != nil {
		return nil, err
	}
	v, err := h.store.Vendor(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	return httpx.OK(meBody{ID: u.ID, Email: u.Email, Name: u.Name, Role: u.Role, VendorID: v.ID, VendorName: v.Name}), nil
}

package activities

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/store"
)

// Mail sends what the product writes to its users.
type Mail struct {
	Store     *store.Store
	Sender    *mail.Sender
	PublicURL string // PUBLIC_URL, without a slash at its end: what links begin with
	APIPrefix string // API_PREFIX
}

// verificationTTL is how long a verification link works. A day lets a mail that waits in
// a grey list or over night still be of use.
const verificationTTL = 24 * time.Hour

// UserRef names a user.
type UserRef struct {
	Vendor vendor.ID     `json:"vendor"`
	User   vendor.UserID `json:"user"`
}

// SendVerification makes a verification token, keeps its hash and mails it. The token is
// in no payload and no log. A retry mails another one; both work. A user who is verified
// or gone gets none.
func (a *Mail) SendVerification(ctx context.Context, in UserRef) error {
	u, err := a.Store.User(ctx, in.Vendor, in.User)
	if errors.Is(err, store.ErrUserNotFound) || err == nil && (u.EmailVerified || u.Disabled) {
		return nil
	}
	if err != nil {
		return toTemporal(err)
	}
	v, err := a.Store.Vendor(ctx, in.Vendor)
	if err != nil {
		return toTemporal(err)
	}
	secret := rand.Text()
	hash := sha256.Sum256([]byte(secret))
	if err := a.Store.CreateVerification(ctx, in.Vendor, in.User, hash[:], time.Now().Add(verificationTTL)); err != nil {
		return toTemporal(err)
	}
	// The vendor leads the token, so that it can be looked up behind row-level security.
	token := string(in.Vendor) + "." + secret
	return toTemporal(a.Sender.SendVerification(ctx, mail.Verification{
		To: u.Email, Name: u.Name, Vendor: v.Name, Token: token, Hours: int(verificationTTL.Hours()),
		Link: strings.TrimRight(a.PublicURL, "/") + "/" + a.APIPrefix + "/auth/verify-email?token=" + url.QueryEscape(token),
	}))
}

// ImportReminder names an import that waits for its mapping, and until when.
type ImportReminder struct {
	ImportRef

	ExpiresAt time.Time `json:"expires_at"`
}

// RemindMapping writes to whoever uploaded a file that it waits for its mapping. One that
// does not wait any more, or whose uploader is gone, needs no mail. A retry may write twice.
func (a *Mail) RemindMapping(ctx context.Context, in ImportReminder) error {
	job, err := a.Store.Import(ctx, in.Vendor, in.Import)
	if err != nil {
		return toTemporal(err)
	}
	if job.Status != importing.AwaitingMapping || job.CreatedBy == "" {
		return nil
	}
	u, err := a.Store.User(ctx, in.Vendor, job.CreatedBy)
	if errors.Is(err, store.ErrUserNotFound) || err == nil && u.Disabled {
		return nil
	}
	if err != nil {
		return toTemporal(err)
	}
	v, err := a.Store.Vendor(ctx, in.Vendor)
	if err != nil {
		return toTemporal(err)
	}
	return toTemporal(a.Sender.SendMappingReminder(ctx, mail.MappingReminder{
		To: u.Email, Name: u.Name, Vendor: v.Name, File: job.FileName, Import: string(in.Import), Expires: in.ExpiresAt.UTC(),
		Link: strings.TrimRight(a.PublicURL, "/") + "/" + a.APIPrefix + "/contact-imports/" + string(in.Import),
	}))
}

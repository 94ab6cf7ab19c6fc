package activities_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/internal/testkit/smtptest"
	"github.com/kloyst/kloyst-core/store"
)

func TestSendVerification_MailsATokenThatWorks(t *testing.T) {
	t.Parallel()
	s, err := store.New(pgtest.New(t).App())
	require.NoError(t, err)
	v, owner := id.New[vendor.ID](), vendor.User{ID: id.New[vendor.UserID](), Email: "asha@acme.example", Name: "Asha", PasswordHash: "x", Role: vendor.Owner}
	require.NoError(t, s.CreateVendor(t.Context(), v, store.NewVendor{
		Vendor: vendor.Vendor{Name: "Acme", DefaultRegion: "IN", Currency: "INR", TimeZone: "UTC"}, Owner: owner, WrappedKeys: []byte("w"),
	}))
	server := smtptest.New(t, "")
	sender, err := mail.New(mail.Options{Addr: server.Addr, TLS: mail.None, From: "no-reply@kloyst.example"})
	require.NoError(t, err)
	act := &activities.Mail{Store: s, Sender: sender, PublicURL: "https://api.example/", APIPrefix: "v1"}
	ref := activities.UserRef{Vendor: v, User: owner.ID}
	require.NoError(t, act.SendVerification(t.Context(), ref))

	text := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(<-server.Mails)
	require.Contains(t, text, "asha@acme.example")
	link := regexp.MustCompile(`https://api\.example/v1/auth/verify-email\?token=([0-9a-f-]{36})\.([A-Z2-7]{26})`).FindStringSubmatch(text)
	require.Len(t, link, 3, text)
	require.Equal(t, string(v), link[1])
	hash := sha256.Sum256([]byte(link[2]))
	require.NoError(t, s.VerifyEmail(t.Context(), v, hash[:]))

	require.NoError(t, act.SendVerification(t.Context(), ref), "a verified user needs no mail")
	require.NoError(t, act.SendVerification(t.Context(), activities.UserRef{Vendor: v, User: id.New[vendor.UserID]()}))
	require.Empty(t, server.Mails)
}

func TestRemindMapping_WritesOnlyWhileTheFileWaits(t *testing.T) {
	t.Parallel()
	s, err := store.New(pgtest.New(t).App())
	require.NoError(t, err)
	v, owner := id.New[vendor.ID](), vendor.User{ID: id.New[vendor.UserID](), Email: "asha@acme.example", Name: "Asha", PasswordHash: "x", Role: vendor.Owner}
	require.NoError(t, s.CreateVendor(t.Context(), v, store.NewVendor{
		Vendor: vendor.Vendor{Name: "Acme", DefaultRegion: "IN", Currency: "INR", TimeZone: "UTC"}, Owner: owner, WrappedKeys: []byte("w"),
	}))
	server := smtptest.New(t, "")
	sender, err := mail.New(mail.Options{Addr: server.Addr, TLS: mail.None, From: "no-reply@kloyst.example"})
	require.NoError(t, err)
	act := &activities.Mail{Store: s, Sender: sender, PublicURL: "https://api.example/", APIPrefix: "v1"}
	sum := sha256.Sum256([]byte("a"))
	job := id.New[importing.ID]()
	require.NoError(t, s.CreateImport(t.Context(), v, store.NewImport{
		ID: job, FileName: "spring list.csv", FileKey: "k", FileBytes: 1, SHA256: sum[:], MIMEType: "text/csv",
		Strategy: importing.SkipDuplicates, CreatedBy: owner.ID,
	}))
	in := activities.ImportReminder{
		ImportRef: activities.ImportRef{Vendor: v, Import: job}, ExpiresAt: time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC),
	}
	require.NoError(t, act.RemindMapping(t.Context(), in), "it is not read yet")
	require.Empty(t, server.Mails)
	require.NoError(t, s.MoveImport(t.Context(), v, job, importing.HeadersExtracted, store.Reason{}))
	require.NoError(t, s.MoveImport(t.Context(), v, job, importing.AwaitingMapping, store.Reason{}))
	require.NoError(t, act.RemindMapping(t.Context(), in))
	text := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(<-server.Mails)
	for _, want := range []string{"asha@acme.example", "spring list.csv", "1 December 2026, 09:30 UTC", "https://api.example/v1/contact-imports/" + string(job) + "/mapping"} {
		require.Contains(t, text, want)
	}
	require.NoError(t, s.CancelImport(t.Context(), v, job, store.Reason{}))
	require.NoError(t, act.RemindMapping(t.Context(), in))
	require.Empty(t, server.Mails)
}

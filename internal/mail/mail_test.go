package mail_test

import (
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/mail"
	"github.com/kloyst/kloyst-core/internal/testkit/smtptest"
)

func sender(t *testing.T, addr string) *mail.Sender {
	t.Helper()
	s, err := mail.New(mail.Options{Addr: addr, TLS: mail.None, From: "Kloyst <no-reply@kloyst.example>"})
	require.NoError(t, err)
	return s
}

func verification() mail.Verification {
	return mail.Verification{
		To: "asha@x.example", Name: "Asha <b>", Vendor: "Acme & Söhne", Token: "v.token", Hours: 24,
		Link: "https://portal.example/verify-email?token=v.token",
	}
}

func TestSendVerification_WritesBothParts(t *testing.T) {
	t.Parallel()
	server := smtptest.New(t, "")
	require.NoError(t, sender(t, server.Addr).SendVerification(t.Context(), verification()))
	msg, err := netmail.ReadMessage(strings.NewReader(<-server.Mails))
	require.NoError(t, err)
	require.Equal(t, "Confirm your e-mail address", msg.Header.Get("Subject"))
	require.NotEmpty(t, msg.Header.Get("Message-Id"))
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	parts := map[string]string{}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := r.NextPart() // decodes quoted-printable by itself
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		text, err := io.ReadAll(part)
		require.NoError(t, err)
		kind, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
		parts[kind] = string(text)
	}
	require.Contains(t, parts["text/plain"], "https://portal.example/verify-email?token=v.token")
	require.Contains(t, parts["text/plain"], "Acme & Söhne")
	require.Contains(t, parts["text/html"], `href="https://portal.example/verify-email?token=v.token"`)
	require.Contains(t, parts["text/html"], "Asha &lt;b&gt;", "names are escaped")
}

func TestSendVerification_TellsRefusedFromNotNow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer string
		want   error
	}{
		"a server that is full for now":   {"452 too many asha@x.example", mail.ErrNotSent},
		"a server that knows no such box": {"550 no such user asha@x.example", mail.ErrRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := sender(t, smtptest.New(t, tt.answer).Addr).SendVerification(t.Context(), verification())
			require.ErrorIs(t, err, tt.want)
			require.NotContains(t, err.Error(), "asha@x.example")
		})
	}
	err := sender(t, "127.0.0.1:1").SendVerification(t.Context(), verification())
	require.ErrorIs(t, err, mail.ErrNotSent)
	v := verification()
	v.To = "asha@x.example\r\nBcc: all@x.example"
	require.ErrorIs(t, sender(t, "127.0.0.1:1").SendVerification(t.Context(), v), mail.ErrRefused)
}

func TestNew_ChecksItsOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]mail.Options{
		"an address without port": {Addr: "localhost", TLS: mail.None, From: "a@x.example"},
		"a port that is none":     {Addr: "localhost:x", TLS: mail.None, From: "a@x.example"},
		"an unknown policy":       {Addr: "localhost:25", TLS: "maybe", From: "a@x.example"},
		"no sender":               {Addr: "localhost:25", TLS: mail.None, From: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mail.New(o)
			require.Error(t, err)
		})
	}
}

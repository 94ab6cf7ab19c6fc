package gateway

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/store"
)

//go:embed pages/verify.html
var pageFiles embed.FS

var verifyTemplate = template.Must(template.ParseFS(pageFiles, "pages/verify.html")) //nolint:gochecknoglobals // read once, never changed

type verifyInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"256" doc:"From the confirmation mail"`
	}
}

type verifyBody struct {
	EmailVerified bool `json:"email_verified"`
}

// verifyEmail confirms an address by the token that was mailed to it. A token works once.
func (h *auth) verifyEmail(ctx context.Context, in *verifyInput) (*httpx.Reply[verifyBody], error) {
	v, hash := splitToken(in.Body.Token)
	if err := h.store.VerifyEmail(ctx, v, hash); err != nil {
		return nil, err
	}
	return httpx.OK(verifyBody{EmailVerified: true}), nil
}

type resendInput struct {
	Body struct {
		Email string `json:"email" minLength:"1" maxLength:"254"`
	}
}

type resendBody struct {
	Accepted bool `json:"accepted"`
}

// resend asks for the mail again. The answer does not tell whether the address is known.
func (h *auth) resend(ctx context.Context, in *resendInput) (*httpx.Reply[resendBody], error) {
	email := strings.ToLower(strings.TrimSpace(in.Body.Email))
	if err := h.throttle.take(ctx, resends, email); err != nil {
		return nil, err
	}
	u, err := h.store.UserByEmail(ctx, email)
	if err == nil {
		err = h.store.AskVerification(ctx, u.Vendor, u.ID)
	}
	if err != nil && !errors.Is(err, store.ErrUserNotFound) {
		return nil, err
	}
	return httpx.OK(resendBody{Accepted: true}), nil
}

// verifyPage is where the mail's link leads. It confirms nothing by itself: mail scanners
// open links, people press buttons.
func (*auth) verifyPage(w http.ResponseWriter, r *http.Request) error {
	return page(w, http.StatusOK, map[string]string{"Token": r.URL.Query().Get("token")})
}

// maxForm bounds the page's form, in bytes: one token.
const maxForm = 4 << 10

// verifyConfirm is the page's button.
func (h *auth) verifyConfirm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return page(w, http.StatusBadRequest, map[string]string{"Outcome": "That did not work. Open the link in the mail again."})
	}
	v, hash := splitToken(r.PostForm.Get("token"))
	switch err := h.store.VerifyEmail(r.Context(), v, hash); {
	case errors.Is(err, store.ErrUserToken):
		return page(w, http.StatusUnprocessableEntity, map[string]string{"Outcome": "This link was used before or is too old. If you cannot log in, ask for a new mail."})
	case err != nil:
		return err
	}
	return page(w, http.StatusOK, map[string]string{"Outcome": "Thank you: your e-mail address is confirmed. You can log in now."})
}

// page writes the one page. It loads nothing and tells no other site the address with
// the token in it.
func page(w http.ResponseWriter, code int, data map[string]string) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(code)
	return verifyTemplate.Execute(w, data)
}

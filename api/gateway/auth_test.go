package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/id"
)

func TestAuth_FromRegistrationToLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.call("", "POST", "/v1/auth/register", registration("Asha@Acme.example")).is(http.StatusCreated)
	require.Equal(t, false, made["email_verified"])
	login := object{"email": "asha@acme.EXAMPLE", "password": passphrase}
	w.call("", "POST", "/v1/auth/login", login).refused(http.StatusForbidden, "auth.email_unverified")
	w.call("", "POST", "/v1/auth/login", object{"email": "asha@acme.example", "password": "wrong"}).
		refused(http.StatusUnauthorized, "auth.invalid_credentials")
	w.call("", "POST", "/v1/auth/login", object{"email": "nobody@acme.example", "password": passphrase}).
		refused(http.StatusUnauthorized, "auth.invalid_credentials")
	w.call("", "POST", "/v1/auth/register", registration("asha@acme.example")).refused(http.StatusConflict, "auth.email_taken")

	u := w.newUser("ravi@acme.example")
	me := u.get("/v1/me").is(http.StatusOK)
	require.Equal(t, "ravi@acme.example", me["email"])
	require.Equal(t, "OWNER", me["role"])
	require.Equal(t, string(u.vendor), me["vendor_id"])

	next := w.call("", "POST", "/v1/auth/refresh", object{"refresh_token": u.refresh}).is(http.StatusOK)
	require.NotEqual(t, u.refresh, next["refresh_token"])
	w.call("", "POST", "/v1/auth/refresh", object{"refresh_token": u.refresh}).refused(http.StatusUnauthorized, "auth.refresh_reused")
	w.call("", "POST", "/v1/auth/refresh", object{"refresh_token": next["refresh_token"]}).
		refused(http.StatusUnauthorized, "auth.refresh_invalid")

	asha := object{"email": "asha@acme.example", "password": passphrase}
	w.call("", "POST", "/v1/auth/verify-email", object{"token": w.mailed(vendorID(t, made), userID(t, made))}).is(http.StatusOK)
	_, err := w.db.Super().Exec(t.Context(), `UPDATE vendors SET status = 'SUSPENDED' WHERE vendor_id = $1`, vendorID(t, made))
	require.NoError(t, err)
	w.call("", "POST", "/v1/auth/login", asha).refused(http.StatusForbidden, "auth.vendor_suspended")

	again := w.call("", "POST", "/v1/auth/login", object{"email": "ravi@acme.example", "password": passphrase}).is(http.StatusOK)
	w.call("", "POST", "/v1/auth/logout", object{"refresh_token": again["refresh_token"]}).is(http.StatusNoContent)
	w.call("", "POST", "/v1/auth/logout", object{"refresh_token": "nonsense"}).is(http.StatusNoContent)
	w.call("", "POST", "/v1/auth/refresh", object{"refresh_token": again["refresh_token"]}).
		refused(http.StatusUnauthorized, "auth.refresh_invalid")
	w.call("", "POST", "/v1/auth/refresh", object{"refresh_token": "nonsense"}).refused(http.StatusUnauthorized, "auth.refresh_invalid")

	for _, secret := range []string{passphrase, u.refresh, u.token, "asha@acme.example"} {
		require.NotContains(t, w.log.String(), secret)
	}
}

func TestRegister_SaysWhatToChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := map[string]struct {
		field, value, pointer string
	}{
		"an address that is none":  {"email", "asha-at-acme", "/email"},
		"an address with a name":   {"email", "Asha <asha@acme.example>", "/email"},
		"a short password":         {"password", "short", "/password"},
		"the address as password":  {"password", "asha@acme.example", "/password"},
		"a country that is none":   {"default_region", "XX", "/default_region"},
		"a currency that is none":  {"currency", "rupees", "/currency"},
		"a time zone that is none": {"time_zone", "Mars/Olympus", "/time_zone"},
		"a name with a line break": {"name", "Asha\r\nBcc: x", "/name"},
		"a field nobody knows":     {"phone", "918000000001", "/phone"},
		"a company without a name": {"vendor_name", "\x01\x02", "/vendor_name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := registration("asha@acme.example")
			in[tt.field] = tt.value
			a := w.call("", "POST", "/v1/auth/register", in)
			a.t = t
			p := a.is(http.StatusUnprocessableEntity)
			require.Equal(t, tt.pointer, as[map[string]any](t, as[[]any](t, p["errors"])[0])["pointer"], string(a.body))
			if tt.value != "asha@acme.example" {
				require.NotContains(t, string(a.body), strings.TrimSpace(tt.value)+`"`)
			}
		})
	}
}

func TestVerify_PageConfirmsByItsButtonOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.call("", "POST", "/v1/auth/register", registration("asha@acme.example")).is(http.StatusCreated)
	u := user{world: w}
	token := w.mailed(vendorID(t, made), userID(t, made))
	shown := u.call("", "GET", "/v1/auth/verify-email?token="+url.QueryEscape(token), nil)
	require.Equal(t, http.StatusOK, shown.status)
	require.Contains(t, string(shown.body), `value="`+token+`"`)
	require.Equal(t, "no-referrer", shown.header.Get("Referrer-Policy"))
	w.call("", "POST", "/v1/auth/login", object{"email": "asha@acme.example", "password": passphrase}).
		refused(http.StatusForbidden, "auth.email_unverified")
	press := func() answer {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/auth/verify-email/confirm", strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return w.do(r)
	}
	require.Equal(t, http.StatusOK, press().status)
	require.Equal(t, http.StatusUnprocessableEntity, press().status, "once")
	w.call("", "POST", "/v1/auth/login", object{"email": "asha@acme.example", "password": passphrase}).is(http.StatusOK)
	w.call("", "POST", "/v1/auth/verify-email", object{"token": token}).refused(http.StatusUnprocessableEntity, "auth.token_used_or_expired")
	w.call("", "POST", "/v1/auth/verify-email/resend", object{"email": "nobody@acme.example"}).is(http.StatusAccepted)
	require.NotContains(t, w.log.String(), token)
}

func TestLogin_SlowsDownGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newUser("asha@acme.example")
	wrong := object{"email": "asha@acme.example", "password": "guess"}
	for range 10 {
		w.call("", "POST", "/v1/auth/login", wrong).refused(http.StatusUnauthorized, "auth.invalid_credentials")
	}
	a := w.call("", "POST", "/v1/auth/login", object{"email": "asha@acme.example", "password": passphrase})
	a.refused(http.StatusTooManyRequests, "auth.throttled")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	other := w.call("", "POST", "/v1/auth/login", object{"email": "asha@acme.example", "password": passphrase}, "X-Forwarded-For", "203.0.113.9")
	require.Equal(t, http.StatusTooManyRequests, other.status, "the recorder's caller is no proxy of ours, so its word does not count")
}

func TestVendor_SettingsKnowVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newUser("asha@acme.example")
	got := u.get("/v1/vendor")
	require.Equal(t, "Acme Foods", got.is(http.StatusOK)["name"])
	etag := got.header.Get("ETag")
	changed := u.call(u.token, "PATCH", "/v1/vendor", object{"name": "Acme Kitchen"}, "If-Match", etag)
	require.Equal(t, "Acme Kitchen", changed.is(http.StatusOK)["name"])
	require.NotEqual(t, etag, changed.header.Get("ETag"))
	u.call(u.token, "PATCH", "/v1/vendor", object{"name": "Late"}, "If-Match", etag).
		refused(http.StatusPreconditionFailed, "request.version_conflict")
	u.call(u.token, "PATCH", "/v1/vendor", object{"currency": "USD"}).refused(http.StatusUnprocessableEntity, "request.invalid")
	u.call(u.token, "PATCH", "/v1/vendor", object{"time_zone": "Mars/Olympus"}).refused(http.StatusUnprocessableEntity, "vendor.time_zone_unknown")
	standing := u.get("/v1/vendor").is(http.StatusOK)["unknown_outcomes"]
	require.Equal(t, object{"marketing": "UNCONFIRMED", "utility": "RETRY"}, standing)
	standing = u.call(u.token, "PATCH", "/v1/vendor", object{"unknown_outcomes": object{"marketing": "RETRY"}}).is(http.StatusOK)["unknown_outcomes"]
	require.Equal(t, object{"marketing": "RETRY", "utility": "RETRY"}, standing)
	u.call(u.token, "PATCH", "/v1/vendor", object{"unknown_outcomes": object{"utility": "UNCONFIRMED"}, "name": "Acme"}).is(http.StatusOK)
	require.Equal(t, object{"marketing": "RETRY", "utility": "UNCONFIRMED"}, u.get("/v1/vendor").is(http.StatusOK)["unknown_outcomes"])
	u.call(u.token, "PATCH", "/v1/vendor", object{"unknown_outcomes": object{"utility": "TWICE"}}).refused(http.StatusUnprocessableEntity, "request.invalid")
	w.call("", "GET", "/v1/vendor", nil).refused(http.StatusUnauthorized, "auth.token_missing")
	w.call("", "GET", "/v1/templates/"+id.Random(), nil).refused(http.StatusUnauthorized, "auth.token_missing")
}

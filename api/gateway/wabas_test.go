package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
)

func vendorID(t *testing.T, made object) vendor.ID {
	t.Helper()
	return vendor.ID(as[string](t, made["vendor_id"]))
}

func userID(t *testing.T, made object) vendor.UserID {
	t.Helper()
	return vendor.UserID(as[string](t, made["user_id"]))
}

func TestWABA_FromConnectingToItsTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, stranger := w.newUser("asha@acme.example"), w.newUser("ravi@other.example")
	b := w.newBusiness()

	u.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": "EAA-wrong"}).refused(http.StatusUnprocessableEntity, "waba.token_refused")
	u.post("/v1/wabas", object{"waba_id": "999", "access_token": b.Token}).refused(http.StatusUnprocessableEntity, "waba.token_refused")
	u.post("/v1/wabas", object{"waba_id": "../me", "access_token": b.Token}).refused(http.StatusUnprocessableEntity, "request.invalid")
	made := u.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": b.Token}).is(http.StatusCreated)
	require.Equal(t, "Acme", made["name"])
	require.Equal(t, "CONNECTED", made["status"])
	wabaID := as[string](t, made["id"])
	again := u.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": b.Token}).is(http.StatusCreated)
	require.Equal(t, wabaID, again["id"])
	stranger.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": b.Token}).refused(http.StatusConflict, "waba.connected_elsewhere")
	require.NotContains(t, w.log.String(), b.Token)
	var stored []byte
	require.NoError(t, w.db.Super().QueryRow(t.Context(), `SELECT token_ct FROM wabas WHERE id = $1`, wabaID).Scan(&stored))
	require.NotContains(t, string(stored), b.Token)

	for i, rate := range []int{80, 1000, 20} {
		n := u.post("/v1/sender-numbers", object{"waba_id": wabaID, "phone_number_id": b.Numbers[i].ID}).is(http.StatusCreated)
		require.EqualValues(t, rate, n["rate_per_second"])
	}
	u.post("/v1/sender-numbers", object{"waba_id": wabaID, "phone_number_id": "12345"}).refused(http.StatusUnprocessableEntity, "sender_number.not_in_account")
	stranger.post("/v1/sender-numbers", object{"waba_id": wabaID, "phone_number_id": b.Numbers[0].ID}).refused(http.StatusNotFound, "waba.not_found")
	require.Len(t, u.get("/v1/sender-numbers").is(http.StatusOK)["items"], 3)
	require.Empty(t, stranger.get("/v1/sender-numbers").is(http.StatusOK)["items"])

	sync := u.post("/v1/wabas/"+wabaID+"/template-sync", nil).is(http.StatusAccepted)
	require.Equal(t, wabaID, sync["waba_id"])
	// The relay would start TemplateSync; its one step is this activity.
	act := &activities.Templates{Store: w.store, Keys: w.keys, Meta: w.meta}
	done, err := act.Sync(t.Context(), activities.WABARef{Vendor: u.vendor, WABA: waba.ID(wabaID)})
	require.NoError(t, err)
	require.Equal(t, 4, done.Templates)
	listed := as[[]any](t, u.get("/v1/wabas").is(http.StatusOK)["items"])
	require.NotEmpty(t, as[map[string]any](t, listed[0])["templates_synced_at"])

	page := u.get("/v1/templates?limit=3").is(http.StatusOK)
	require.Len(t, page["items"], 3)
	rest := u.get("/v1/templates?limit=3&cursor=" + as[string](t, page["next_cursor"])).is(http.StatusOK)
	require.Len(t, rest["items"], 1)
	require.NotContains(t, rest, "next_cursor")
	one := as[map[string]any](t, as[[]any](t, u.get("/v1/templates?name=order_update").is(http.StatusOK)["items"])[0])
	require.Equal(t, []any{"body.1", "body.2"}, one["variables"])
	require.Equal(t, true, one["sendable"])
	named := as[map[string]any](t, as[[]any](t, u.get("/v1/templates?name=loyalty_offer").is(http.StatusOK)["items"])[0])
	require.Equal(t, []any{"body.first_name", "body.points"}, named["variables"])
	got := u.get("/v1/templates/" + as[string](t, one["id"])).is(http.StatusOK)
	require.Equal(t, one, got)

	absent := u.get("/v1/templates/"+id.New[string]()).refused(http.StatusNotFound, "template.not_found")
	foreign := stranger.get("/v1/templates/"+as[string](t, one["id"])).refused(http.StatusNotFound, "template.not_found")
	delete(absent, "request_id")
	delete(foreign, "request_id")
	require.Equal(t, absent, foreign, "not yours and not there are the same answer")
	stranger.post("/v1/wabas/"+wabaID+"/template-sync", nil).refused(http.StatusNotFound, "waba.not_found")
	u.get("/v1/templates?statos=APPROVED").refused(http.StatusBadRequest, "request.unknown_parameter")
	u.get("/v1/templates?cursor=abc").refused(http.StatusBadRequest, "request.bad_cursor")
}

func TestTemplateSync_MarksARefusedToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, b := w.newUser("asha@acme.example"), w.newBusiness()
	made := u.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": b.Token}).is(http.StatusCreated)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.graph+"/_sim/tokens/"+b.Token, strings.NewReader(`{"revoked":true}`))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	act := &activities.Templates{Store: w.store, Keys: w.keys, Meta: w.meta}
	_, err = act.Sync(t.Context(), activities.WABARef{Vendor: u.vendor, WABA: waba.ID(as[string](t, made["id"]))})
	require.Error(t, err)
	require.NotContains(t, err.Error(), b.Token)
	listed := as[[]any](t, u.get("/v1/wabas").is(http.StatusOK)["items"])
	require.Equal(t, "TOKEN_EXPIRED", as[map[string]any](t, listed[0])["status"])
}

func TestDocs_WorkOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	doc := w.call("", "GET", "/v1/openapi.json", nil)
	require.Equal(t, http.StatusOK, doc.status)
	var spec struct {
		OpenAPI string `json:"openapi"`
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
		Paths map[string]map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(doc.body, &spec))
	require.Equal(t, "3.1.0", spec.OpenAPI)
	require.Equal(t, "/v1", spec.Servers[0].URL)
	for _, path := range []string{"/auth/register", "/me", "/wabas/{id}/template-sync", "/templates/{id}"} {
		require.Contains(t, spec.Paths, path)
	}
	seen := map[string]bool{}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			name := as[string](t, op["operationId"])
			require.False(t, seen[name], "two operations are called %s", name)
			seen[name] = true
			require.Equal(t, []any{strings.Split(path, "/")[1]}, op["tags"], "the docs page lists it with its resource")
			// The address of a quotation's file has its own signature.
			public := strings.HasPrefix(path, "/auth/") || path == "/quotation-files/{vendor}/{id}"
			require.Equal(t, public, op["security"] == nil, "%s %s", method, path)
		}
	}
	docs := w.call("", "GET", "/v1/docs", nil)
	require.Equal(t, http.StatusOK, docs.status)
	require.NotContains(t, string(docs.body), "http", "nothing is loaded from elsewhere")
	require.Contains(t, docs.header.Get("Content-Security-Policy"), "connect-src 'self'")
	packed := w.call("", "GET", "/v1/docs/web-components.min.js", nil, "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
	plain := w.call("", "GET", "/v1/docs/web-components.min.js", nil)
	require.Greater(t, len(plain.body), 3*len(packed.body))
	etag := plain.header.Get("ETag")
	require.Equal(t, http.StatusNotModified, w.call("", "GET", "/v1/docs/web-components.min.js", nil, "If-None-Match", etag).status)
}

package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/id"
)

func TestLimits_ShowWhatMetaLetsANumberDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, stranger := w.newUser("asha@acme.example"), w.newUser("ravi@other.example")
	b := w.newBusiness()
	w.sim("PUT config", `{"portfolio_limit": 2000}`, &struct{}{})
	account := u.post("/v1/wabas", object{"waba_id": b.WABA, "access_token": b.Token}).is(http.StatusCreated)
	n := u.post("/v1/sender-numbers", object{"waba_id": account["id"], "phone_number_id": b.Numbers[2].ID}).is(http.StatusCreated)
	require.Equal(t, "COEXISTENCE", n["rate_source"])
	path := "/v1/sender-numbers/" + as[string](t, n["id"]) + "/limits"
	got := u.get(path).is(http.StatusOK)
	require.EqualValues(t, 20, got["rate_per_second"])
	require.InDelta(t, 19.7, got["pace_per_second"], 0.1)
	require.Equal(t, object{"seconds": 6.0, "burst": 45.0}, got["pair"])
	p := as[object](t, got["portfolio"])
	require.NotEmpty(t, p["id"])
	require.Equal(t, "TIER_2K", p["tier"])
	require.Equal(t, []any{2000.0, 0.0, 2000.0}, []any{p["daily_limit"], p["reached"], p["left"]})

	// Meta raises the limit; the next sync learns it.
	w.sim("PUT config", `{"portfolio_limit": 0}`, &struct{}{})
	act := &activities.Templates{Store: w.store, Keys: w.keys, Meta: w.meta}
	_, err := act.Sync(t.Context(), activities.WABARef{Vendor: u.vendor, WABA: waba.ID(as[string](t, account["id"]))})
	require.NoError(t, err)
	p = as[object](t, u.get(path).is(http.StatusOK)["portfolio"])
	require.Equal(t, "TIER_UNLIMITED", p["tier"])
	require.NotContains(t, p, "daily_limit")
	stranger.get(path).refused(http.StatusNotFound, "sender_number.not_found")
	u.get("/v1/sender-numbers/"+id.New[string]()+"/limits").refused(http.StatusNotFound, "sender_number.not_found")
}

func TestQuotation_ForetellsWhatTheLimitLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	path := "/v1/campaigns/" + as[string](t, made["id"]) + "/quotations"
	f := as[object](t, u.post(path, nil, key("q1")...).is(http.StatusCreated)["forecast"])
	require.InDelta(t, 10, f["people"], 0)
	require.NotContains(t, f, "daily_limit", "not known yet")

	w.exec(`UPDATE wabas SET portfolio_id = '900' WHERE vendor_id = $1`, u.vendor)
	w.exec(`INSERT INTO portfolios (vendor_id, portfolio_id, tier, daily_limit) VALUES ($1, '900', 'TIER_50', 50)`, u.vendor)
	w.exec(`INSERT INTO portfolio_counts (vendor_id, portfolio_id, slot, people) VALUES ($1, '900', now() - interval '1 hour', 43)`, u.vendor)
	q := u.post(path, nil, key("q2")...).is(http.StatusCreated)
	f = as[object](t, q["forecast"])
	require.Equal(t, []any{50.0, 7.0}, []any{f["daily_limit"], f["left"]})
	finish, err := time.Parse(time.RFC3339, as[string](t, f["finish_at"]))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(23*time.Hour+5*time.Minute), finish, time.Minute)
	require.Contains(t, f["summary"], "of which 7 are left")
	require.Equal(t, f["summary"], as[object](t, u.get("/v1/quotations/" + as[string](t, q["id"])).is(http.StatusOK)["forecast"])["summary"])
}

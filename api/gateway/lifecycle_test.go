package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/id"
)

func TestCampaign_ChangeCloneDelete(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	require.Equal(t, "SEND", made["misfire_policy"])
	require.InDelta(t, 900, made["misfire_tolerance_seconds"], 0)
	require.InDelta(t, 72, made["expires_after_hours"], 0)
	require.NotContains(t, made, "quiet_hours")
	path := "/v1/campaigns/" + as[string](t, made["id"])
	etag := u.get(path).header.Get("ETag")

	changed := u.call(u.token, "PATCH", path, object{
		"name": "Holi", "scheduled_local": "2036-11-25T09:30", "misfire_policy": "ASK", "misfire_tolerance_seconds": 60,
		"quiet_hours": object{"from": "21:00", "to": "08:00"}, "expires_after_hours": 168,
	}, "If-Match", etag)
	body := changed.is(http.StatusOK)
	require.Equal(t, "Holi", body["name"])
	require.Equal(t, "2036-11-25T04:00:00Z", body["scheduled_at"])
	require.Equal(t, "2036-11-25T09:30:00", body["scheduled_local"])
	require.InDelta(t, 168, body["expires_after_hours"], 0)
	u.call(u.token, "PATCH", path, object{"expires_after_hours": 721}).refused(http.StatusUnprocessableEntity, "request.invalid")
	require.Equal(t, object{"from": "21:00", "to": "08:00"}, body["quiet_hours"])
	require.NotEqual(t, etag, changed.header.Get("ETag"))
	u.call(u.token, "PATCH", path, object{"name": "Late"}, "If-Match", etag).refused(http.StatusPreconditionFailed, "request.version_conflict")
	u.call(u.token, "PATCH", path, object{"colour": "red"}).refused(http.StatusUnprocessableEntity, "request.invalid")
	u.call(u.token, "PATCH", path, object{"quiet_hours": object{"from": "9pm", "to": "08:00"}}).refused(http.StatusUnprocessableEntity, "campaign.bad_quiet_hours")

	u.post(path+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	u.call(u.token, "DELETE", path, nil).refused(http.StatusConflict, "campaign.has_quotations")
	body = u.call(u.token, "PATCH", path, object{"scheduled_at": nil, "quiet_hours": object{}}).is(http.StatusOK)
	require.Equal(t, "DRAFT", body["status"], "the quotation is void")
	require.NotContains(t, body, "quotation_id")
	require.NotContains(t, body, "scheduled_at")
	require.NotContains(t, body, "quiet_hours")

	twin := u.post(path+"/clone", nil, key("k1")...).is(http.StatusCreated)
	require.Equal(t, twin, u.post(path+"/clone", nil, key("k1")...).is(http.StatusCreated))
	require.Equal(t, "Holi", twin["name"])
	named := u.post(path+"/clone", object{"name": "Holi 2"}, key("k2")...).is(http.StatusCreated)
	require.Equal(t, "Holi 2", named["name"])
	require.Equal(t, body["audience"], named["audience"])
	require.InDelta(t, 168, named["expires_after_hours"], 0)
	other := "/v1/campaigns/" + as[string](t, twin["id"])
	require.Equal(t, http.StatusNoContent, u.call(u.token, "DELETE", other, nil).status)
	u.get(other).refused(http.StatusNotFound, "campaign.not_found")

	stranger := u.newUser("eve@elsewhere.example")
	stranger.call(stranger.token, "PATCH", path, object{"name": "Mine"}).refused(http.StatusNotFound, "campaign.not_found")
	stranger.call(stranger.token, "DELETE", path, nil).refused(http.StatusNotFound, "campaign.not_found")
	stranger.post(path+"/clone", nil, key("k1")...).refused(http.StatusNotFound, "campaign.not_found")
	stranger.post(path+"/unschedule", nil).refused(http.StatusNotFound, "campaign.not_found")

	require.Len(t, u.get("/v1/campaigns?template_id=" + u.template).is(http.StatusOK)["items"], 2)
	require.Empty(t, u.get("/v1/campaigns?sender_number_id=" + id.Random()).is(http.StatusOK)["items"])
	require.Empty(t, u.get("/v1/campaigns?created_to=2020-01-01T00:00:00Z").is(http.StatusOK)["items"])
	u.get("/v1/campaigns?template_id=x").refused(http.StatusUnprocessableEntity, "request.invalid")
}

func TestCampaign_ScheduleAndSteer(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	u.topUp(10 * money.Unit)
	c := u.campaign()
	c["scheduled_local"], c["time_zone"] = "2036-03-30T02:30", "Europe/Berlin"
	made := u.post("/v1/campaigns", c, key("c1")...).is(http.StatusCreated)
	require.Equal(t, "2036-03-30T03:30:00", made["scheduled_local"], "the clocks skip that hour")
	c["scheduled_at"] = time.Now().Add(time.Hour).Format(time.RFC3339)
	u.post("/v1/campaigns", c, key("c2")...).refused(http.StatusUnprocessableEntity, "campaign.bad_schedule")
	path := "/v1/campaigns/" + as[string](t, made["id"])
	u.post(path+"/reschedule", object{"scheduled_local": "2036-01-01T10:00"}, key("r0")...).refused(http.StatusConflict, "campaign.wrong_state")

	q := u.post(path+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	approved := u.post(path+"/approve", object{"quotation_id": q["id"]}, key("a1")...).is(http.StatusAccepted)
	require.Equal(t, "SCHEDULED", approved["status"])
	u.call(u.token, "PATCH", path, object{"name": "x"}).refused(http.StatusConflict, "campaign.wrong_state")
	moved := u.post(path+"/reschedule", object{"scheduled_local": "2036-01-01T10:00", "time_zone": "Asia/Kolkata"}, key("r1")...).is(http.StatusOK)
	require.Equal(t, "2036-01-01T04:30:00Z", moved["scheduled_at"])
	require.Equal(t, "Asia/Kolkata", moved["time_zone"])

	require.Equal(t, "DRAFT", u.post(path+"/unschedule", nil, key("u1")...).is(http.StatusOK)["status"])
	require.Equal(t, "DRAFT", u.post(path+"/unschedule", nil, key("u1")...).is(http.StatusOK)["status"])
	require.InDelta(t, 0, u.get("/v1/wallet").is(http.StatusOK)["held_micros"], 0)
	u.post(path+"/approve", object{"quotation_id": q["id"]}, key("a2")...).refused(http.StatusConflict, "campaign.wrong_state")

	// A body and a key are welcome and not needed; a repeat is answered the same.
	for _, body := range []any{nil, object{}, object{"reason": "wrong text"}} {
		require.Equal(t, "CANCELLED", u.post(path+"/cancel", body, key("x1")...).is(http.StatusOK)["status"])
	}
	require.Equal(t, "CANCELLED", u.post(path+"/cancel", nil).is(http.StatusOK)["status"])
}

// sealContacts gives the trader's ten contacts numbers that can be opened, nine in India and
// one in Austria, and returns their ids.
func (u trader) sealContacts() []string {
	u.t.Helper()
	keys, err := u.keys.For(u.t.Context(), u.vendor)
	require.NoError(u.t, err)
	rows, err := u.db.Super().Query(u.t.Context(), `SELECT id FROM contacts WHERE vendor_id = $1 ORDER BY id`, u.vendor)
	require.NoError(u.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(u.t, err)
	for i, c := range ids {
		number, country := fmt.Sprintf("+9198765432%02d", i), "IN"
		if i == 9 {
			number, country = "+436641234567", "AT"
		}
		mobile, err := keys.Encrypt(crypt.Mobile, c, []byte(number))
		require.NoError(u.t, err)
		var name []byte
		if i%2 == 0 {
			name, err = keys.Encrypt(crypt.Name, c, []byte("Asha"))
			require.NoError(u.t, err)
		}
		u.exec(`UPDATE contacts SET mobile_ct = $3, name_ct = $4, country = $5 WHERE vendor_id = $1 AND id = $2`, u.vendor, c, mobile, name, country)
	}
	return ids
}

func TestCampaign_PreviewAndDryRun(t *testing.T) {
	t.Parallel()
	u := newWorld(t).newTrader("asha@acme.example")
	people := u.sealContacts()
	u.exec(`UPDATE templates SET components = '[{"type":"BODY","text":"Hi {{1}}"},{"type":"FOOTER","text":"Reply STOP"},
		{"type":"BUTTONS","buttons":[{"type":"QUICK_REPLY","text":"Stop"}]}]' WHERE id = $1`, u.template)
	c := u.campaign()
	c["scheduled_at"], c["quiet_hours"] = "2036-11-25T20:00:00Z", object{"from": "21:00", "to": "08:00"}
	made := u.post("/v1/campaigns", c, key("c1")...).is(http.StatusCreated)
	path := "/v1/campaigns/" + as[string](t, made["id"])

	seen := u.post(path+"/preview", object{"contact_id": people[0]}).is(http.StatusOK)
	require.Equal(t, object{
		"body": "Hi Asha", "footer": "Reply STOP", "buttons": []any{object{"type": "QUICK_REPLY", "text": "Stop"}}, "parameters": object{"body.1": "Asha"},
	}, seen)
	require.Equal(t, "Hi friend", u.post(path+"/preview", nil).is(http.StatusOK)["body"])
	require.Equal(t, "Hi you", u.post(path+"/preview", object{"parameters": object{"body.1": "you"}}).is(http.StatusOK)["body"])
	u.post(path+"/preview", object{"parameters": object{"body.9": "you"}}).refused(http.StatusUnprocessableEntity, "template.value_unknown")
	u.post(path+"/preview", object{"contact_id": id.Random()}).refused(http.StatusNotFound, "contact.not_found")

	u.exec(`INSERT INTO contact_identities (vendor_id, identity_hash, kind, contact_id) SELECT vendor_id, mobile_hash, 'PHONE', id FROM contacts WHERE vendor_id = $1`, u.vendor)
	u.exec(`INSERT INTO suppressions (vendor_id, identity_hash, scope, reason, source) SELECT vendor_id, mobile_hash, 'MARKETING', 'STOP', 'test' FROM contacts WHERE id = $1`, people[1])
	dry := u.post(path+"/dry-run", nil).is(http.StatusOK)
	require.Equal(t, object{
		"audience": 10.0, "would_send": 8.0, "suppressed": 1.0, "no_country_rate": 1.0, "missing_parameter": 0.0,
		"uses_fallback": 4.0, "duplicate_person": 0.0, "quiet_at_start": 8.0,
	}, dry["counts"], "it is half past one in India then; Austria has no price here")
	require.InDelta(t, 8*863_100, as[object](t, dry["price"])["total_micros"], 0)
	require.InDelta(t, 8*863_100, as[object](t, dry["price"])["wallet_lacks_micros"], 0)
	require.Equal(t, object{"starts_at": "2036-11-25T20:00:00Z", "rate_per_second": 80.0, "sending_seconds": 1.0, "ends_at": "2036-11-25T20:00:01Z"}, dry["pace"])
	samples := as[[]any](t, dry["samples"])
	require.Len(t, samples, 9)
	require.Equal(t, "+••••••••3200", as[object](t, samples[0])["to"])
	require.Equal(t, "Hi Asha", as[object](t, samples[0])["body"])
	require.Equal(t, "DRAFT", u.get(path).is(http.StatusOK)["status"], "nothing was changed")

	stranger := u.newUser("eve@elsewhere.example")
	stranger.post(path+"/preview", nil).refused(http.StatusNotFound, "campaign.not_found")
	stranger.post(path+"/dry-run", nil).refused(http.StatusNotFound, "campaign.not_found")
}

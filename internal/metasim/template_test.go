package metasim_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTemplates_Paging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var names []string
	path := "/v23.0/" + w.waba + "/message_templates?limit=3&fields=name"
	for pages := 1; ; pages++ {
		a := w.do(http.MethodGet, path, "", w.token)
		require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
		for _, row := range at[[]any](t, a.body, "data") {
			require.Len(t, row, 2, "the name and the id")
			names = append(names, at[string](t, at[object](t, row)["name"]))
		}
		next, _ := at[object](t, a.body, "paging")["next"].(string)
		if next == "" {
			require.Equal(t, 2, pages)
			break
		}
		path = strings.TrimPrefix(next, w.url)
	}
	require.ElementsMatch(t, []string{"hello_world", "order_update", "seasonal_promotion", "loyalty_offer"}, names)
}

func TestTemplates_PageBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	first := w.graph(http.MethodGet, w.waba+"/message_templates?limit=3&fields=name", "")
	next := w.graph(http.MethodGet, w.waba+"/message_templates?limit=3&fields=name&after="+at[string](t, first.body, "paging", "cursors", "after"), "")
	back := w.do(http.MethodGet, strings.TrimPrefix(at[string](t, next.body, "paging", "previous"), w.url), "", "")
	require.Equal(t, first.body["data"], back.body["data"])
}

func TestTemplates_CursorsDie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	after := at[string](t, w.graph(http.MethodGet, w.waba+"/message_templates?limit=1", "").body, "paging", "cursors", "after")
	w.advance(2 * time.Hour)
	require.Equal(t, 131059, w.graph(http.MethodGet, w.waba+"/message_templates?limit=1&after="+after, "").code())
	require.Equal(t, 131059, w.graph(http.MethodGet, w.waba+"/message_templates?after=nonsense", "").code())
}

func TestTemplates_FiltersAndFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	count := func(query string) int {
		return len(at[[]any](t, w.graph(http.MethodGet, w.waba+"/message_templates?"+query, "").body, "data"))
	}
	require.Equal(t, 4, count(""))
	require.Equal(t, 2, count("category=marketing"))
	require.Equal(t, 1, count("name=hello"))
	require.Equal(t, 1, count("language=en"))
	require.Equal(t, 4, count("status=approved"))
	require.Zero(t, count("status=PAUSED"))
	a := w.graph(http.MethodGet, w.waba+"/message_templates?fields=name,colour", "")
	require.Equal(t, 100, a.code())
	require.Contains(t, at[string](t, a.body, "error", "message"), "nonexisting field (colour)")
	row := w.graph(http.MethodGet, w.templates["loyalty_offer"]+"?fields=name,language,status,category,parameter_format,components,quality_score", "")
	require.Equal(t, "NAMED", row.body["parameter_format"])
	require.Equal(t, "first_name", at[string](t, row.body, "components", 0, "example", "body_text_named_params", 0, "param_name"))
}

func newTemplate(changes object) string {
	t := object{
		"name": "fresh_offer", "language": "en_US", "category": "MARKETING",
		"components": []any{object{"type": "BODY", "text": "Hi {{1}}, look at our offer.", "example": object{"body_text": []any{[]any{"Ravi"}}}}},
	}
	maps.Copy(t, changes)
	b, _ := json.Marshal(t)
	return string(b)
}

func TestTemplates_CreationIsReviewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	a := w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(nil))
	require.Equal(t, "PENDING", a.body["status"], "%s", a.raw)
	id := at[string](t, a.body["id"])
	fresh := object{"template": template("fresh_offer", "en_US", body("Ravi"))}
	require.Equal(t, 132001, w.send(fresh).code())
	w.advance(3 * time.Second)
	w.eventually(func() bool { return len(w.hook.values(t, "message_template_status_update")) == 1 }, "the verdict is posted")

	raw := string(w.hook.all()[0].raw)
	require.Contains(t, raw, `"message_template_id":`+id+`,`, "a number in webhooks")
	require.InDelta(t, start().Unix()+3, at[float64](t, w.hook.all()[0].body, "entry", 0, "time"), 0)
	v := w.hook.values(t, "message_template_status_update")[0]
	require.Equal(t, []any{"APPROVED", "fresh_offer", "en-US", "NONE", "MARKETING"}, []any{
		v["event"], v["message_template_name"], v["message_template_language"], v["reason"], v["message_template_category"],
	})
	require.Equal(t, http.StatusOK, w.send(fresh).status)

	again := w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(nil))
	require.Equal(t, []int{400, 100, 2388024}, []int{again.status, again.code(), again.subcode()})
	require.Equal(t, "Content in This Language Already Exists", at[string](t, again.body, "error", "error_user_title"))
}

func TestTemplates_CreationIsValidated(t *testing.T) {
	t.Parallel()
	text := func(s string, samples ...any) []any {
		c := object{"type": "BODY", "text": s}
		if samples != nil {
			c["example"] = object{"body_text": []any{samples}}
		}
		return []any{c}
	}
	with := func(more ...any) []any { return append(text("Good morning."), more...) }
	buttons := func(list ...any) []any { return with(object{"type": "BUTTONS", "buttons": list}) }
	quick := func(s string) object { return object{"type": "QUICK_REPLY", "text": s} }
	link := func(u string, sample ...any) object {
		return object{"type": "URL", "text": "Shop", "url": u, "example": sample}
	}

	tests := map[string]struct {
		changes object
		subcode int // -1: accepted
	}{
		"a name with capitals":                {object{"name": "Offer"}, 0},
		"a name that is too long":             {object{"name": strings.Repeat("a", 513)}, 0},
		"a language that is none":             {object{"language": "english"}, 0},
		"a category that is none":             {object{"category": "SPAM"}, 0},
		"no components":                       {object{"components": []any{}}, 2388043},
		"a body that is too long":             {object{"components": text(strings.Repeat("x", 1025))}, 2388040},
		"a variable at the start":             {object{"components": text("{{1}} is here today", "x")}, 2388299},
		"a variable at the end":               {object{"components": text("Good morning {{1}}", "x")}, 2388299},
		"variables with a gap":                {object{"components": text("Hi {{1}}, your {{3}} is here.", "x", "y")}, 2388072},
		"variables side by side":              {object{"components": text("Hi {{1}}{{2}} and good morning.", "x", "y")}, 2388072},
		"too many variables":                  {object{"components": text("Hi {{1}} a {{2}} b {{3}}.", "x", "y", "z")}, 2388293},
		"no sample":                           {object{"components": text("Hi {{1}}, good morning.")}, 2388043},
		"too few samples":                     {object{"components": text("Hi {{1}}, your {{2}} is here today.", "x")}, 2388043},
		"named and positional mixed":          {object{"parameter_format": "NAMED", "components": text("Hi {{1}}, good morning.", "x")}, 2388072},
		"a header that is too long":           {object{"components": with(object{"type": "HEADER", "format": "TEXT", "text": strings.Repeat("x", 61)})}, 2388047},
		"two variables in a header":           {object{"components": with(object{"type": "HEADER", "format": "TEXT", "text": "a {{1}} b {{2}} c"})}, 2388047},
		"an image without its sample":         {object{"components": with(object{"type": "HEADER", "format": "IMAGE"})}, 2388043},
		"a footer with a variable":            {object{"components": with(object{"type": "FOOTER", "text": "a {{1}} b"})}, 2388073},
		"a footer that is too long":           {object{"components": with(object{"type": "FOOTER", "text": strings.Repeat("x", 61)})}, 2388073},
		"two bodies":                          {object{"components": with(text("Again.")...)}, 0},
		"eleven buttons":                      {object{"components": buttons(many(11, quick)...)}, 0},
		"three links":                         {object{"components": buttons(link("https://a.example"), link("https://b.example"), link("https://c.example"))}, 0},
		"quick replies apart":                 {object{"components": buttons(quick("a"), link("https://a.example"), quick("b"))}, 0},
		"a label that is too long":            {object{"components": buttons(quick(strings.Repeat("x", 26)))}, 0},
		"a variable inside a link":            {object{"components": buttons(link("https://a.example/{{1}}/b", "https://a.example/x/b"))}, 0},
		"a variable link without its sample":  {object{"components": buttons(link("https://a.example/{{1}}"))}, 2388043},
		"a time to live that is too short":    {object{"message_send_ttl_seconds": 60}, 0},
		"text in an authentication template":  {object{"category": "AUTHENTICATION"}, 2388072},
		"an authentication template as it is": {object{"category": "AUTHENTICATION", "components": []any{object{"type": "BODY"}, object{"type": "BUTTONS", "buttons": []any{object{"type": "OTP", "otp_type": "COPY_CODE"}}}}}, -1},
		"a template with everything": {object{"components": []any{
			object{"type": "HEADER", "format": "TEXT", "text": "Our {{1}} is on", "example": object{"header_text": []any{"sale"}}},
			object{"type": "BODY", "text": "Hi {{1}}, shop until {{2}} and save.", "example": object{"body_text": []any{[]any{"Ravi", "Friday"}}}},
			object{"type": "FOOTER", "text": "Reply STOP to opt out"},
			object{"type": "BUTTONS", "buttons": []any{link("https://a.example/{{1}}", "https://a.example/x"), quick("Stop"), quick("More")}},
		}}, -1},
		"a flat list of samples": {object{"components": []any{object{"type": "BODY", "text": "Hi {{1}}, good morning.", "example": object{"body_text": []any{"Ravi"}}}}}, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			a := w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(tt.changes))
			if tt.subcode < 0 {
				require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
				return
			}
			require.Equal(t, []int{400, 100, tt.subcode}, []int{a.status, a.code(), a.subcode()}, "%s", a.raw)
		})
	}
}

func many(n int, f func(string) object) []any {
	var out []any
	for i := range n {
		out = append(out, f(fmt.Sprint("b", i)))
	}
	return out
}

func TestTemplates_PauseRejectDisable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	id := w.templates["seasonal_promotion"]
	w.admin(http.MethodPost, "templates/"+id+"/status", `{"status":"PAUSED"}`)
	require.Equal(t, 132015, w.send(nil).code())
	require.Equal(t, true, w.graph(http.MethodPost, id+"/unpause", "").body["success"])
	require.Equal(t, http.StatusOK, w.send(nil).status)
	w.admin(http.MethodPost, "templates/"+id+"/status", `{"status":"PAUSED"}`)
	w.admin(http.MethodPost, "templates/"+id+"/status", `{"status":"DISABLED"}`)
	require.Equal(t, 132016, w.send(nil).code())
	w.admin(http.MethodPost, "templates/"+w.templates["hello_world"]+"/status", `{"status":"REJECTED","reason":"INVALID_FORMAT"}`)
	w.eventually(func() bool { return len(w.hook.values(t, "message_template_status_update")) == 5 }, "every change is posted")
	titles := map[string]bool{}
	for _, v := range w.hook.values(t, "message_template_status_update") {
		if info, ok := v["other_info"].(object); ok {
			titles[at[string](t, info["title"])] = true
		}
	}
	require.Equal(t, map[string]bool{"FIRST_PAUSE": true, "SECOND_PAUSE": true, "DISABLED": true}, titles)
	row := w.graph(http.MethodGet, w.templates["hello_world"]+"?fields=status,rejected_reason", "")
	require.Equal(t, object{"id": w.templates["hello_world"], "status": "REJECTED", "rejected_reason": "INVALID_FORMAT"}, row.body)
}

func TestTemplates_CategoryChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.admin(http.MethodPost, "templates/"+w.templates["hello_world"]+"/status", `{"category":"MARKETING"}`)
	w.eventually(func() bool { return len(w.hook.values(t, "template_category_update")) == 1 }, "the change is posted")
	v := w.hook.values(t, "template_category_update")[0]
	require.Equal(t, []any{"UTILITY", "MARKETING"}, []any{v["previous_category"], v["new_category"]})
}

func TestTemplates_Edit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	id := w.templates["order_update"]
	edit := `{"components":[{"type":"BODY","text":"Dear {{1}}, it is on its way.","example":{"body_text":[["Ravi"]]}}]}`
	require.Equal(t, object{"success": true}, w.graph(http.MethodPost, id, edit).body)
	require.Equal(t, "PENDING", w.graph(http.MethodGet, id, "").body["status"])
	require.Equal(t, 100, w.graph(http.MethodPost, id, edit).code(), "not while it is reviewed")
	w.advance(time.Minute)
	w.eventually(func() bool { return w.graph(http.MethodGet, id, "").body["status"] == "APPROVED" }, "approved again")
	require.Equal(t, http.StatusOK, w.send(object{"template": template("order_update", "en_US", body("Ravi"))}).status)
	require.Equal(t, 2388039, w.graph(http.MethodPost, id, edit).subcode(), "once a day")
	require.Equal(t, 100, w.graph(http.MethodPost, id, `{"category":"MARKETING"}`).code())
	w.advance(24 * time.Hour)
	require.Equal(t, http.StatusOK, w.graph(http.MethodPost, id, edit).status)
}

func TestTemplates_DeleteLocksTheName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	require.Equal(t, http.StatusOK, w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(nil)).status)
	w.advance(time.Minute)
	w.eventually(func() bool {
		return w.send(object{"template": template("fresh_offer", "en_US", body("x"))}).status == http.StatusOK
	}, "approved")
	del := func(q url.Values) answer {
		return w.graph(http.MethodDelete, w.waba+"/message_templates?"+q.Encode(), "")
	}
	require.Equal(t, object{"success": true}, del(url.Values{"name": {"fresh_offer"}}).body)
	require.Equal(t, 2593002, del(url.Values{"name": {"fresh_offer"}}).subcode())
	require.Equal(t, 100, del(nil).code())
	require.Equal(t, 2388024, w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(nil)).subcode())
	w.advance(31 * 24 * time.Hour)
	require.Equal(t, http.StatusOK, w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(nil)).status)
	require.Equal(t, object{"success": true}, del(url.Values{"hsm_ids": {"[" + w.templates["hello_world"] + "," + w.templates["order_update"] + "]"}}).body)
	require.Equal(t, object{"success": true}, del(url.Values{"name": {"loyalty_offer"}, "hsm_id": {w.templates["loyalty_offer"]}}).body)
	require.Len(t, at[[]any](t, w.graph(http.MethodGet, w.waba+"/message_templates", "").body, "data"), 2)
}

func TestTemplates_HundredAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	create := func(n int) answer {
		return w.graph(http.MethodPost, w.waba+"/message_templates", newTemplate(object{"name": fmt.Sprintf("offer_%d", n)}))
	}
	for n := range 100 {
		require.Equal(t, http.StatusOK, create(n).status)
	}
	require.Equal(t, 80007, create(100).code())
	w.advance(time.Hour)
	require.Equal(t, http.StatusOK, create(100).status)
}

func TestTemplates_PacingHoldsUntilTheVerdict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		verdict  func(w *world, id string)
		statuses []string // of the held message
		code     int      // of the next send
	}{
		"a good verdict lets go": {
			func(w *world, id string) { w.admin(http.MethodPost, "templates/"+id+"/status", `{"pacing":"good"}`) },
			[]string{"sent", "delivered", "read"},
			0,
		},
		"no word in time is a good verdict": {
			func(w *world, _ string) { w.advance(time.Minute) },
			[]string{"sent", "delivered", "read"},
			0,
		},
		"a bad verdict fails and pauses": {
			func(w *world, id string) { w.admin(http.MethodPost, "templates/"+id+"/status", `{"pacing":"bad"}`) },
			[]string{"failed"},
			132015,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, `{"pacing_first":1}`)
			first := w.sendTo("+919876543210", "")
			a := w.send(object{"to": "+919876543211"})
			require.Equal(t, "held_for_quality_assessment", at[string](t, a.body, "messages", 0, "message_status"))
			held := at[string](t, a.body, "messages", 0, "id")
			w.advance(10 * time.Second)
			w.eventually(func() bool { return len(w.hook.kinds(t, first)) == 3 }, "the first slice goes out")
			require.Empty(t, w.hook.kinds(t, held))

			tt.verdict(w, w.templates["seasonal_promotion"])
			for range 4 {
				w.advance(time.Second)
				w.eventually(func() bool { return number(w.stats(), "webhooks", "pending") == 0 }, "posted")
			}
			w.eventually(func() bool { return len(w.hook.kinds(t, held)) == len(tt.statuses) }, "the verdict is carried out")
			require.ElementsMatch(t, tt.statuses, w.hook.kinds(t, held))
			require.Equal(t, tt.code, w.send(object{"to": "+919876543212"}).code())
		})
	}
}

package metasim_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (w *world) faults(rules string) {
	w.t.Helper()
	w.admin(http.MethodPut, "faults", `{"rules":[`+rules+`]}`)
}

func TestFault_ErrorCodeByPrefixOncePerRecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.faults(`{"name":"flaky","match":{"to_prefix":"+9199"},"effect":{"error":131000},"times_per_recipient":1}`)
	first := w.send(object{"to": "+919900000001"})
	require.Equal(t, []int{500, 131000}, []int{first.status, first.code()})
	require.Equal(t, http.StatusOK, w.send(object{"to": "+919900000001"}).status, "the retry passes")
	require.Equal(t, 131000, w.send(object{"to": "+919900000002"}).code())
	require.Equal(t, http.StatusOK, w.send(object{"to": "+919800000001"}).status)
	require.InDelta(t, 2, at[float64](t, w.admin(http.MethodGet, "faults", ""), "rules", 0, "hits"), 0)
	require.Equal(t, object{"131000": 2.0}, w.stats()["refused"])
}

func TestFault_IsNotUsedUpByOtherRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.faults(`{"match":{"to_prefix":"91"},"effect":{"error":131000},"times_per_recipient":1}`)
	require.Equal(t, 132001, w.send(object{"template": template("gone", "en_US")}).code())
	require.Equal(t, 131000, w.send(nil).code())
}

func TestFault_TimesInAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.faults(`{"match":{},"effect":{"http_status":503},"times":2}`)
	for i, want := range []int{503, 503, 200} {
		a := w.send(object{"to": fmt.Sprintf("+9198000000%02d", i)})
		require.Equal(t, want, a.status)
		if want == 503 {
			require.True(t, at[bool](t, a.body, "error", "is_transient"))
		}
	}
}

func TestFault_ProbabilityPicksTheSameRecipientsAgain(t *testing.T) {
	t.Parallel()
	picked := func() []int {
		w := newWorld(t, "")
		w.faults(`{"name":"some","match":{"probability":0.3},"effect":{"error":131000}}`)
		var out []int
		for i := range 100 {
			if w.send(object{"to": fmt.Sprintf("+9198%08d", i)}).code() == 131000 {
				out = append(out, i)
			}
		}
		return out
	}
	one := picked()
	require.Equal(t, one, picked())
	require.InDelta(t, 30, len(one), 15)
}

func TestFault_AcceptedButNeverAnswered(t *testing.T) {
	t.Parallel()
	for name, effect := range map[string]string{
		"the answer takes too long": `{"hang_ms":20}`,
		"the connection is reset":   `{"reset_after":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.faults(`{"match":{},"effect":` + effect + `}`)
			_, err := w.try(http.MethodPost, "/v23.0/"+w.phone+"/messages", message(t, object{"biz_opaque_callback_data": "k1.202611.m1.1"}), w.token)
			require.Error(t, err)
			w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the message goes out all the same")
			require.Equal(t, "k1.202611.m1.1", w.hook.statuses(t)[0]["biz_opaque_callback_data"])
			require.InDelta(t, 1, w.stats()["meta_unique"], 0)
		})
	}
}

func TestFault_ResetBeforeAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.faults(`{"match":{},"effect":{"reset_before":true},"times":1}`)
	_, err := w.try(http.MethodPost, "/v23.0/"+w.phone+"/messages", message(t, nil), w.token)
	require.Error(t, err)
	require.InDelta(t, 0, w.stats()["accepted"], 0)
	require.Equal(t, object{"reset": 1.0}, w.stats()["refused"])
	require.Equal(t, http.StatusOK, w.send(nil).status)
}

func TestFault_WebhookEffects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		effect string
		want   []string
	}{
		"a failure after acceptance": {`{"failed_code":131049}`, []string{"failed"}},
		"delivered, then failed":     {`{"failed_code":131026,"fail_after_delivered":true}`, []string{"sent", "delivered", "failed"}},
		"no delivered":               {`{"skip_delivered":true}`, []string{"sent", "read"}},
		"never read":                 {`{"read_rate":0}`, []string{"sent", "delivered"}},
		"never delivered":            {`{"delivered_rate":0}`, []string{"sent"}},
		"the wrong way round":        {`{"reorder":true}`, []string{"read", "delivered", "sent"}},
		"every status three times":   {`{"duplicates":2,"read_rate":0}`, []string{"sent", "sent", "sent", "delivered", "delivered", "delivered"}},
		"other delays":               {`{"sent_delay_ms":5000,"read_rate":0,"delivered_delay_ms":0}`, []string{"sent", "delivered"}},
		"silence":                    {`{"no_webhook":true}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, `{"failed_after_sent_rate":0}`)
			w.faults(`{"match":{"to_prefix":"9198"},"effect":` + tt.effect + `}`)
			id := w.sendTo("+919876543210", "")
			control := w.sendTo("+447700900123", "")
			// Step by step, so that batches are posted in the order they fell due.
			for range 80 {
				w.advance(100 * time.Millisecond)
				w.eventually(func() bool { return number(w.stats(), "webhooks", "pending") == 0 }, "posted")
			}
			w.eventually(func() bool { return len(w.hook.kinds(t, control)) == 3 && w.stats()["scheduled"] == 0.0 }, "all is over")
			require.Equal(t, tt.want, w.hook.kinds(t, id))
		})
	}
}

func TestFault_RulesAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"failed_after_sent_rate":0}`)
	w.faults(`{"match":{"to_prefix":"9198"},"effect":{"failed_code":131049}}`)
	w.admin(http.MethodPost, "faults", `{"rules":[{"match":{},"effect":{"failed_code":131026,"no_webhook":false}},
		{"match":{"phone_number_id":"1"},"effect":{"error":131000}},{"match":{"template":"other"},"effect":{"error":131000}}]}`)
	w.sendTo("+919876543210", "")
	w.eventually(func() bool { return len(w.hook.statuses(t)) == 1 }, "the failure")
	require.InDelta(t, 131049, at[float64](t, w.hook.statuses(t)[0], "errors", 0, "code"), 0, "the first rule's word counts")
	w.admin(http.MethodDelete, "faults", "")
	require.Empty(t, w.admin(http.MethodGet, "faults", "")["rules"])
}

func TestFault_ScriptIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for name, rule := range map[string]string{
		"an unknown effect":          `{"match":{},"effect":{"explode":true}}`,
		"a probability of two":       `{"match":{"probability":2},"effect":{}}`,
		"an HTTP status that is 4xx": `{"match":{},"effect":{"http_status":404}}`,
		"a failure without a code":   `{"match":{},"effect":{"fail_after_delivered":true}}`,
	} {
		status, out := w.adminTry(http.MethodPut, "faults", `{"rules":[`+rule+`]}`)
		require.Equal(t, http.StatusBadRequest, status, name)
		require.NotEmpty(t, out["error"], name)
	}
}

func TestDuplicates_AreCountedByMessageNotByAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `{"failed_after_sent_rate":0,"pair_limit":false}`)
	counts := func() [3]float64 {
		s := w.stats()
		return [3]float64{at[float64](t, s["accepted"]), at[float64](t, s["meta_unique"]), at[float64](t, s["meta_duplicates"])}
	}
	w.sendTo("+919876543210", "k1.202611.m1.1")
	w.sendTo("+919876543210", "k1.202611.m2.1")
	require.Equal(t, [3]float64{2, 2, 0}, counts())

	w.faults(`{"match":{},"effect":{"error":131000},"times":1}`)
	require.Equal(t, 131000, w.send(object{"biz_opaque_callback_data": "k1.202611.m3.1"}).code())
	w.sendTo("+919876543210", "k1.202611.m3.2")
	require.Equal(t, [3]float64{3, 3, 0}, counts(), "a refused attempt is no acceptance")

	w.faults(`{"match":{},"effect":{"failed_code":131049},"times":1}`)
	w.sendTo("+919876543210", "k1.202611.m4.1")
	w.eventually(func() bool { return number(w.stats(), "statuses", "failed") == 1 }, "the failure falls due")
	w.sendTo("+919876543210", "k1.202611.m4.2")
	require.Equal(t, [3]float64{5, 4, 0}, counts(), "an attempt after a failed status is lawful")

	w.sendTo("+919876543210", "k1.202611.m1.2")
	require.Equal(t, [3]float64{6, 4, 1}, counts(), "an attempt without one is a duplicate")
	w.sendTo("+919876543210", "k1.202611.m4.3")
	require.Equal(t, [3]float64{7, 4, 2}, counts())
}

func TestDuplicates_OfOtherCallbackData(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		one, two  string
		duplicate float64
	}{
		"the same free text":             {"order 7", "order 7", 1},
		"free text with another ending":  {"order.7", "order.8", 0},
		"three parts are free text":      {"a.b.1", "a.b.2", 0},
		"five parts are free text":       {"a.b.c.d.1", "a.b.c.d.2", 0},
		"an attempt that is no number":   {"a.b.c.x", "a.b.c.y", 0},
		"an empty part makes free text":  {"a..c.1", "a..c.2", 0},
		"two attempts of one message":    {"a.b.c.1", "a.b.c.2", 1},
		"the same attempt a second time": {"a.b.c.1", "a.b.c.1", 1},
		"no callback data at all":        {"", "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.sendTo("+919876543210", tt.one)
			w.sendTo("+919876543210", tt.two)
			require.InDelta(t, tt.duplicate, w.stats()["meta_duplicates"], 0)
			require.InDelta(t, 2-tt.duplicate, w.stats()["meta_unique"], 0)
		})
	}
}

func TestDuplicates_ConcurrentAttemptsCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, _ = w.try(http.MethodPost, "/v23.0/"+w.phone+"/messages",
				message(t, object{"biz_opaque_callback_data": fmt.Sprintf("k1.202611.m1.%d", i)}), w.token)
		})
	}
	wg.Wait()
	s := w.stats()
	require.InDelta(t, 1, s["meta_unique"], 0)
	require.InDelta(t, 7, s["meta_duplicates"], 0)
}

func TestFates_DependOnSeedAndRecipientOnly(t *testing.T) {
	t.Parallel()
	run := func(order int) (fates map[string]string, counts object) {
		w := newWorld(t, `{"delivered_rate":0.97,"read_rate":0.6,"failed_rate":0.01}`)
		ids := map[string]string{}
		for i := range 1000 {
			to := fmt.Sprintf("+9198%08d", (i*order)%1000)
			ids[w.sendTo(to, "")] = to
			w.advance(2 * time.Millisecond)
		}
		w.advance(time.Minute)
		w.eventually(func() bool { s := w.stats(); return s["scheduled"] == 0.0 && number(s, "webhooks", "pending") == 0 }, "all is over")
		fates = map[string]string{}
		for _, s := range w.hook.statuses(t) {
			to := ids[at[string](t, s["id"])]
			fates[to] = max(fates[to], map[string]string{"sent": "1", "delivered": "2", "read": "3", "failed": "4"}[at[string](t, s["status"])])
		}
		return fates, at[object](t, w.stats()["statuses"])
	}
	one, counts := run(1)
	two, _ := run(7)
	require.Equal(t, one, two)
	require.InDelta(t, 970, counts["delivered"], 25)
	require.InDelta(t, 582, counts["read"], 50)
	require.InDelta(t, 10, counts["failed"], 10)
}

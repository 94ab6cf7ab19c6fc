package chaos

import (
	"context"
	"fmt"
	"net/http"
)

// weather is how the simulator behaves throughout: a latency that varies, failures after
// acceptance, statuses twice, out of order and mixed, webhooks posted again.
func (r *run) weather() map[string]any {
	w := map[string]any{
		"latency_ms": 40, "jitter_ms": 35, "sent_delay_ms": 200, "delivered_delay_ms": 500, "read_delay_ms": 800,
		"webhook_retry_ms": 300, "webhook_timeout_ms": 3000, "webhook_batch": 100,
	}
	if r.Quiet {
		return w
	}
	w["failed_rate"], w["failed_after_sent_rate"] = 0.02, 0.5
	w["duplicate_rate"], w["reorder_rate"], w["webhook_dup_rate"], w["webhook_shuffle"] = 0.1, 0.1, 0.05, true
	if r.Seed%2 == 0 {
		// Every other run Meta leaves our reference out of failed statuses, which it may. What
		// fails says sent before, else nobody could tell which message it was.
		w["omit_callback_data_on_failed"], w["failed_after_sent_rate"] = true, 1.0
	}
	return w
}

// The rules of the fault script whose hits may leave a message unconfirmed for ever: Meta
// took nothing, or says nothing, and the answer is lost.
const (
	ruleReset  = "lost: reset before acceptance"
	ruleSilent = "lost: accepted, no answer, no webhook"
)

// steadyFaults hit a share of the recipients each, once or twice.
func steadyFaults(seed uint64) []map[string]any {
	rule := func(name string, share float64, times int, effect map[string]any) map[string]any {
		return map[string]any{
			"name": name, "match": map[string]any{"probability": share}, "times_per_recipient": times, "effect": effect,
		}
	}
	rules := []map[string]any{
		rule(ruleReset, 0.005, 1, map[string]any{"reset_before": true}),
		rule("something went wrong", 0.03, 2, map[string]any{"error": 131000}), // HTTP 500
		rule(ruleSilent, 0.003, 1, map[string]any{"hang_ms": 4000, "no_webhook": true, "delivered_rate": 0}),
		rule("time-out", 0.02, 1, map[string]any{"hang_ms": 4000}),
		rule("reset after", 0.02, 1, map[string]any{"reset_after": true}),
		rule("throttle", 0.005, 2, map[string]any{"error": 130429}), // few: each slows its number down for a while
		rule("pair", 0.03, 1, map[string]any{"error": 131056}),
		rule("slow", 0.1, 1, map[string]any{"latency_ms": 900}),
	}
	if seed%3 == 0 { // code 2 is tried again after a minute, as Meta asks: such a run takes that much longer
		rules = append(rules, rule("503", 0.005, 1, map[string]any{"http_status": 503}))
	}
	return rules
}

// burst adds a rule that meets the next h.Times requests of one vendor's number.
func (r *run) burst(ctx context.Context, h Harm) error {
	effect, name := map[string]any{}, fmt.Sprintf("%s at %s", h.Kind, h.At)
	switch h.Kind {
	case BurstThrottle:
		effect["error"] = 130429
	case BurstPair:
		effect["error"] = 131056
	case BurstErrors:
		effect["error"] = 131000 // HTTP 500
	case BurstReset:
		effect["reset_before"], name = true, ruleReset
	case BurstResetAfter:
		effect["reset_after"] = true
	case BurstHang:
		effect["hang_ms"] = 5000
	default:
		return fmt.Errorf("%s is no burst", h.Kind)
	}
	return r.sim.call(ctx, http.MethodPost, "/_sim/faults", map[string]any{"rules": []map[string]any{{
		"name": name, "match": map[string]any{"phone_number_id": r.parties[h.Which].number}, "times": h.Times, "effect": effect,
	}}}, nil)
}

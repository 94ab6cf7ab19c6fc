package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// Who writes in, and what is written both ways: nobody may find it outside.
const (
	writerNumber = "+919812300456"
	writtenIn    = "is the saffron sweet box still there"
	writtenBack  = "yes, two boxes are kept for you"
)

// requireAnswered has somebody write to the vendor's number and answers: nothing free-form
// before they wrote, a text within their window after, and a template at any time.
func requireAnswered(t *testing.T, st *devstack.State, me caller) {
	t.Helper()
	var numbers struct {
		Items []struct {
			ID            string `json:"id"`
			PhoneNumberID string `json:"phone_number_id"`
		} `json:"items"`
	}
	me.ask(t, http.MethodGet, "/sender-numbers", nil).into(t, &numbers)
	number := numbers.Items[0]
	text := map[string]any{
		"to": writerNumber, "sender_number_id": number.ID, "type": "text", "text": map[string]any{"body": writtenBack},
	}
	me.ask(t, http.MethodPost, "/messages", text).refused(t, http.StatusConflict, "message.window_closed", "")

	caller{door: st.MetasimURL()}.ask(t, http.MethodPost, "/_sim/inbound", map[string]any{
		"phone_number_id": number.PhoneNumberID, "from": writerNumber, "text": writtenIn,
	})
	var answered reply
	until(t, "the window is open", 20*time.Second, func() bool {
		answered = me.ask(t, http.MethodPost, "/messages", text)
		return answered.status != http.StatusConflict
	})
	requireArrives(t, me, answered)
	requireArrives(t, me, me.ask(t, http.MethodPost, "/messages", map[string]any{
		"to": writerNumber, "sender_number_id": number.ID, "type": "interactive", "interactive": map[string]any{
			"type": "button", "body": map[string]any{"text": writtenBack},
			"action": map[string]any{"buttons": []any{map[string]any{"type": "reply", "reply": map[string]any{"id": "y", "title": "Fine"}}}},
		},
	}))
}

// requireArrives waits until a message that was taken in is delivered, and is paid for.
func requireArrives(t *testing.T, me caller, taken reply) {
	t.Helper()
	require.Equal(t, http.StatusAccepted, taken.status, string(taken.body))
	var m struct {
		ID       json.Number `json:"id"`
		Status   string      `json:"status"`
		Price    int64       `json:"price_micros"`
		Captured int64       `json:"captured_micros"`
	}
	taken.into(t, &m)
	until(t, "the message is delivered", 20*time.Second, func() bool {
		me.ask(t, http.MethodGet, "/messages/"+m.ID.String(), nil).into(t, &m)
		return m.Status == "DELIVERED" || m.Status == "READ"
	})
	require.Positive(t, m.Price)
	require.Equal(t, m.Price, m.Captured)
}

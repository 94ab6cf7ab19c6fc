package meta_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/meta"
)

func TestParseNotification_TakesEveryFormMetaSends(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("testdata/statuses.json")
	require.NoError(t, err)
	n, err := meta.ParseNotification(body)
	require.NoError(t, err)
	require.Len(t, n.Entry, 2)
	require.Equal(t, time.Unix(1739321024, 0).UTC(), n.Entry[1].Time.Time)

	v, err := n.Entry[0].Changes[0].Messages()
	require.NoError(t, err)
	require.Equal(t, meta.Text("106540352242922"), v.Metadata.PhoneNumberID)
	require.Len(t, v.Statuses, 3)
	sent, failed, delivered := v.Statuses[0], v.Statuses[1], v.Statuses[2]
	require.Equal(t, "1.202611.42.1", sent.Opaque)
	require.Equal(t, time.Unix(1750030073, 0).UTC(), sent.Timestamp.Time)
	require.Equal(t, "marketing", sent.Pricing.Category)
	require.Equal(t, meta.Text("919800000002"), failed.RecipientID, "a number where text is usual")
	require.Equal(t, time.Unix(1750030074, 0).UTC(), failed.Timestamp.Time)
	e := failed.Errors[0].Error()
	require.Equal(t, meta.Later, e.Class)
	require.Equal(t, 24*time.Hour, e.RetryAfter)
	require.Equal(t, "healthy ecosystem", e.Details)
	require.NotContains(t, e.Error(), e.Details)
	require.True(t, delivered.Timestamp.IsZero())

	in, err := n.Entry[0].Changes[1].Messages()
	require.NoError(t, err)
	require.Equal(t, meta.Text("106540352242922"), in.Metadata.PhoneNumberID, "an id that came as a number")
	require.Equal(t, "STOP", in.Messages[0].Text.Body)
	require.Equal(t, meta.Text(""), in.Messages[1].From)

	var ts meta.TemplateStatus
	require.NoError(t, json.Unmarshal(n.Entry[1].Changes[0].Value, &ts))
	require.Equal(t, meta.Text("90071992547409931"), ts.ID, "an id past 2^53 keeps its digits")
	pref, err := n.Entry[1].Changes[1].Messages()
	require.NoError(t, err)
	require.Equal(t, "stop", pref.Preferences[0].Value)
	_, err = meta.ParseNotification([]byte(`{"entry":`))
	require.Error(t, err)
}

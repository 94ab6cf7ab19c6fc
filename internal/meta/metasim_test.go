package meta_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/metasim"
)

// account is a business at the simulator, and a client that talks to it.
type account struct {
	*meta.Client

	url     string
	WABA    string `json:"waba_id"`
	Token   string `json:"access_token"`
	Numbers []struct {
		ID string `json:"id"`
	} `json:"phone_numbers"`
}

func newAccount(t *testing.T) *account {
	t.Helper()
	sim, err := metasim.New(metasim.Options{AppSecret: "s", VerifyToken: "v"})
	require.NoError(t, err)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	a := &account{url: server.URL}
	a.Client, err = meta.New(meta.Options{BaseURL: server.URL, Timeout: 2 * time.Second})
	require.NoError(t, err)
	text := a.sim(t, http.MethodPost, "wabas", `{"name":"Acme","currency":"USD","numbers":[{"display_phone_number":"+1 555-078-3881","throughput_level":"HIGH","coexistence":true}]}`)
	require.NoError(t, json.Unmarshal(text, a))
	return a
}

func (a *account) sim(t *testing.T, method, path, body string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+"/_sim/"+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close() // read to its end
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, string(text))
	return text
}

func (a *account) send(ctx context.Context, to, opaque string, values ...string) (meta.SendResult, error) {
	var params []template.SendParameter
	for _, v := range values {
		params = append(params, template.SendParameter{Type: "text", Text: v})
	}
	body, err := meta.SendRequest{
		To: to, Template: "order_update", Language: "en_US", Opaque: opaque,
		Components: []template.SendComponent{{Type: "body", Parameters: params}},
	}.Encode()
	if err != nil {
		return meta.SendResult{}, err
	}
	return a.Send(a.Token, a.Numbers[0].ID, body)
}

func TestClient_AgainstTheSimulator(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ctx := t.Context()
	w, err := a.Client.WABA(ctx, a.Token, a.WABA)
	require.NoError(t, err)
	require.Equal(t, "Acme", w.Name)
	require.NoError(t, a.SubscribeApp(ctx, a.Token, a.WABA))
	require.NoError(t, a.RegisterNumber(ctx, a.Token, a.Numbers[0].ID, "123456"))
	numbers, err := a.PhoneNumbers(ctx, a.Token, a.WABA)
	require.NoError(t, err)
	require.Len(t, numbers, 1)
	require.Equal(t, "HIGH", numbers[0].Throughput.Level)
	require.True(t, numbers[0].OnBizApp)
	one, err := a.PhoneNumber(ctx, a.Token, a.Numbers[0].ID)
	require.NoError(t, err)
	require.Equal(t, numbers[0], one)
	templates, err := a.Templates(ctx, a.Token, a.WABA)
	require.NoError(t, err)
	require.Len(t, templates, 4)
	for _, tmpl := range templates {
		var parts []template.Component
		require.NoError(t, json.Unmarshal(tmpl.Components, &parts))
		require.NotEmpty(t, parts)
		require.Equal(t, template.Approved, tmpl.Status)
	}
	_, err = a.Client.WABA(ctx, "EAA-wrong", a.WABA)
	e, ok := errors.AsType[*meta.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, meta.Token, e.Class)
	_, err = a.Client.WABA(ctx, a.Token, "999")
	e, ok = errors.AsType[*meta.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, meta.Token, e.Class, "an object that the token may not see")
}

func TestSend_AgainstTheSimulator(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	ctx := t.Context()
	r, err := a.send(ctx, "+919800000001", "1.1.1.1", "Asha", "A-17")
	require.NoError(t, err)
	require.NotEmpty(t, r.Wamid)
	require.Equal(t, "919800000001", r.WaID)

	a.sim(t, http.MethodPut, "faults", `{"rules":[
		{"match":{"to_prefix":"9199"},"effect":{"error":131000}},
		{"match":{"to_prefix":"9198111"},"effect":{"hang_ms":60000}},
		{"match":{"to_prefix":"9198222"},"effect":{"reset_after":true}},
		{"match":{"to_prefix":"9198333"},"effect":{"http_status":502}}]}`)
	tests := map[string]struct {
		to      string
		values  []string
		class   meta.Class
		unknown bool
	}{
		"an error of Meta's own":      {"+919900000001", []string{"a", "b"}, meta.Retry, false},
		"a parameter too few":         {"+919800000002", []string{"a"}, meta.Campaign, false},
		"a time-out after acceptance": {"+919811100001", []string{"a", "b"}, "", true},
		"a reset after acceptance":    {"+919822200001", []string{"a", "b"}, "", true},
		"a 502 in Graph's envelope":   {"+919833300001", []string{"a", "b"}, meta.Retry, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := a.send(ctx, tt.to, "1.1."+tt.to[1:]+".1", tt.values...)
			require.Error(t, err)
			require.NotContains(t, err.Error(), tt.to[1:])
			if tt.unknown {
				require.ErrorIs(t, err, meta.ErrUnknownOutcome)
				return
			}
			e, ok := errors.AsType[*meta.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.class, e.Class, "%v", err)
		})
	}
}

func TestPricingAnalytics(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	none, err := a.PricingAnalytics(t.Context(), a.Token, a.WABA, day, day.AddDate(0, 0, 5))
	require.NoError(t, err, "the simulator takes the question as it is asked")
	require.Empty(t, none)
	_, err = a.PricingAnalytics(t.Context(), a.Token, a.WABA, day, day)
	require.Error(t, err)

	canned := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"pricing_analytics":{"data":[{"data_points":[
			{"start":1763596800,"end":1763683200,"country":"IN","phone_number":"15550783881","tier":"0:25000000",
			 "pricing_type":"REGULAR","pricing_category":"MARKETING","volume":3,"cost":0.30000000000000004},
			{"start":1763596800,"end":1763683200,"pricing_type":"FREE_CUSTOMER_SERVICE","pricing_category":"SERVICE","volume":2}]}]},"id":"1"}`)
	}))
	t.Cleanup(canned.Close)
	c, err := meta.New(meta.Options{BaseURL: canned.URL, Timeout: time.Second})
	require.NoError(t, err)
	got, err := c.PricingAnalytics(t.Context(), "token", "1", day, day.AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "0:25000000", got[0].Tier)
	require.Equal(t, int64(300_000), int64(*got[0].Cost))
	require.Nil(t, got[1].Cost, "Meta may not tell")
}

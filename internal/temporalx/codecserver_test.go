package temporalx_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kloyst/kloyst-core/internal/config"
	"github.com/kloyst/kloyst-core/internal/temporalx"
)

func codec(t *testing.T, id string, fill byte) *temporalx.Codec {
	t.Helper()
	c, err := temporalx.NewCodec([]config.CodecKey{{ID: id, Key: bytes.Repeat([]byte{fill}, 32)}})
	require.NoError(t, err)
	return c
}

func sealed(t *testing.T, c *temporalx.Codec, v any) []byte {
	t.Helper()
	p, err := c.DataConverter().ToPayload(v)
	require.NoError(t, err)
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{p}})
	require.NoError(t, err)
	return body
}

func TestDecodeHandler_OpensWhatItsKeySealed(t *testing.T) {
	t.Parallel()
	c := codec(t, "k1", 1)
	handler := c.DecodeHandler("https://temporal.example")
	ask := func(method, path string, body []byte) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Namespace", "kloyst")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	body := sealed(t, c, "Contact import")
	require.NotContains(t, string(body), "Contact import")
	got := ask("POST", "/decode", body)
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	require.Equal(t, "https://temporal.example", got.Header().Get("Access-Control-Allow-Origin"))
	var opened commonpb.Payloads
	require.NoError(t, protojson.Unmarshal(got.Body.Bytes(), &opened))
	require.Len(t, opened.GetPayloads(), 1)
	require.JSONEq(t, `"Contact import"`, string(opened.GetPayloads()[0].GetData()))

	asked := ask("OPTIONS", "/decode", nil)
	require.Equal(t, http.StatusNoContent, asked.Code)
	require.Contains(t, asked.Header().Get("Access-Control-Allow-Headers"), "X-Namespace")
	for name, tt := range map[string]struct {
		method, path string
		body         []byte
		want         int
	}{
		"another key's":   {"POST", "/decode", sealed(t, codec(t, "k2", 2), 1), http.StatusBadRequest},
		"a forged key id": {"POST", "/decode", sealed(t, codec(t, "k1", 2), 1), http.StatusBadRequest},
		"no payloads":     {"POST", "/decode", []byte("{"), http.StatusBadRequest},
		"sealing":         {"POST", "/encode", body, http.StatusNotFound},
		"reading":         {"GET", "/decode", nil, http.StatusMethodNotAllowed},
	} {
		require.Equal(t, tt.want, ask(tt.method, tt.path, tt.body).Code, name)
	}
	require.Equal(t, http.StatusOK, ask("GET", "/healthz", nil).Code)
}

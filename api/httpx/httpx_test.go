package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
)

type widgetInput struct {
	httpx.ByID
	Body struct {
		Name  string   `json:"name" minLength:"1" maxLength:"8"`
		Phone string   `json:"phone,omitempty" pattern:"^\\+[0-9]+$"`
		Tags  []string `json:"tags,omitempty" nullable:"false"`
	}
}

type widgetBody struct {
	ID     string    `json:"id"`
	Vendor vendor.ID `json:"vendor_id"`
}

type server struct {
	handler http.Handler
	tokens  *httpx.Tokens
	api     *httpx.API
	log     *bytes.Buffer
}

func newServer(t *testing.T) *server {
	t.Helper()
	tokens, err := httpx.NewTokens(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	s := &server{tokens: tokens, log: &bytes.Buffer{}}
	root, v1 := chi.NewRouter(), chi.NewRouter()
	root.Use(httpx.Base(slog.New(slog.NewJSONHandler(s.log, nil))), httpx.CORS([]string{"https://portal.example"}), httpx.Authenticate(tokens))
	root.NotFound(httpx.NotFound)
	root.MethodNotAllowed(httpx.MethodNotAllowed)
	s.api = httpx.NewAPI(v1, "/v1")
	root.Mount("/v1", v1)
	s.handler = root

	httpx.Route(s.api, "POST /widgets/{id}", http.StatusCreated, vendor.Member, "Make a widget",
		func(_ context.Context, who httpx.Principal, in *widgetInput) (*httpx.Reply[widgetBody], error) {
			if in.Body.Name == "boom" {
				return nil, errors.New("secret inside")
			}
			if in.Body.Name == "panic" {
				panic("at the disco")
			}
			name, err := httpx.ID[string](in.ID)
			if err != nil {
				return nil, err
			}
			return httpx.OK(widgetBody{ID: name, Vendor: who.Vendor}), nil
		})
	httpx.Route(s.api, "GET /owners", http.StatusOK, vendor.Owner, "Owners only",
		func(context.Context, httpx.Principal, *httpx.None) (*httpx.Reply[string], error) {
			return httpx.OK("yes"), nil
		})
	httpx.Raw(s.api, "GET /files/{id}", http.StatusOK, vendor.Member, "A file", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := httpx.Query(r, "label"); err != nil {
			return err
		}
		name, err := httpx.PathID[string](r, "id")
		if err != nil {
			return err
		}
		return httpx.Write(w, http.StatusOK, map[string]string{"id": name, "vendor": string(httpx.Vendor(r))})
	}, nil)
	return s
}

func (s *server) do(t *testing.T, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *server) token(t *testing.T, role vendor.Role) (string, vendor.ID) {
	t.Helper()
	v := id.New[vendor.ID]()
	text, _, err := s.tokens.Issue(httpx.Principal{Vendor: v, User: id.New[vendor.UserID](), Role: role})
	require.NoError(t, err)
	return text, v
}

func problem(t *testing.T, w *httptest.ResponseRecorder) httpx.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), w.Body.String())
	var p httpx.Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, w.Code, p.Status)
	require.Equal(t, w.Header().Get("X-Request-Id"), p.RequestID)
	require.Equal(t, "urn:kloyst:problem:"+p.Code, p.Type)
	require.NotEmpty(t, p.Title)
	return p
}

func TestRoute(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	member, v := s.token(t, vendor.Member)
	one := "/v1/widgets/" + id.New[string]()
	w := s.do(t, "POST", one, member, `{"name":"bolt"}`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	require.JSONEq(t, `{"id":"`+strings.TrimPrefix(one, "/v1/widgets/")+`","vendor_id":"`+string(v)+`"}`, w.Body.String())

	tests := map[string]struct {
		method, path, token, body string
		status                    int
		code                      string
		pointer                   string
	}{
		"refuses a caller without a token":        {"POST", one, "", `{"name":"bolt"}`, 401, "auth.token_missing", ""},
		"refuses a token that is none":            {"POST", one, "x.y.z", `{"name":"bolt"}`, 401, "auth.token_invalid", ""},
		"checks the caller before the body":       {"POST", one, "", `{`, 401, "auth.token_missing", ""},
		"refuses a role too low":                  {"GET", "/v1/owners", member, "", 403, "auth.role_insufficient", ""},
		"refuses an unknown body field":           {"POST", one, member, `{"name":"bolt","nut":1}`, 422, "request.invalid", "/nut"},
		"refuses a missing field":                 {"POST", one, member, `{}`, 422, "request.invalid", "/name"},
		"refuses a field of the wrong form":       {"POST", one, member, `{"name":"bolt","phone":"918000000001"}`, 422, "request.invalid", "/phone"},
		"points into arrays":                      {"POST", one, member, `{"name":"bolt","tags":["a",918000000001]}`, 422, "request.invalid", "/tags/1"},
		"refuses what is not JSON":                {"POST", one, member, `{"name":918000000001`, 400, "request.malformed", ""},
		"refuses a second value":                  {"POST", one, member, `{"name":"bolt"} {"name":"918000000001"}`, 400, "request.malformed", ""},
		"refuses an unknown query parameter":      {"POST", one + "?lable=918000000001", member, `{"name":"bolt"}`, 400, "request.unknown_parameter", "lable"},
		"refuses an unknown query parameter raw":  {"GET", "/v1/files/x?lable=918000000001", member, "", 400, "request.unknown_parameter", "lable"},
		"gives no id the answer of an absent one": {"POST", "/v1/widgets/918000000001", member, `{"name":"bolt"}`, 404, "resource.not_found", ""},
		"gives a raw path without an id the same": {"GET", "/v1/files/918000000001", member, "", 404, "resource.not_found", ""},
		"hides what went wrong inside":            {"POST", one, member, `{"name":"boom"}`, 500, "internal", ""},
		"survives a panic":                        {"POST", one, member, `{"name":"panic"}`, 500, "internal", ""},
		"answers an unknown path":                 {"GET", "/v1/nowhere", member, "", 404, "route.not_found", ""},
		"answers an unknown path above":           {"GET", "/nowhere", "", "", 404, "route.not_found", ""},
		"answers an unknown method":               {"DELETE", one, member, "", 405, "route.method_not_allowed", ""},
		"refuses a raw caller without a token":    {"GET", "/v1/files/x", "", "", 401, "auth.token_missing", ""},
		"refuses a body over its limit":           {"POST", one, member, `{"name":"` + strings.Repeat("9", httpx.MaxJSONBody) + `"}`, 413, "request.too_large", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			w := s.do(t, tt.method, tt.path, tt.token, tt.body)
			require.Equal(t, tt.status, w.Code, w.Body.String())
			p := problem(t, w)
			require.Equal(t, tt.code, p.Code)
			if tt.pointer != "" {
				require.NotEmpty(t, p.Errors)
				require.Equal(t, tt.pointer, p.Errors[0].Pointer)
			}
			require.NotContains(t, w.Body.String(), "918000000001", "no answer repeats an input")
			require.NotContains(t, w.Body.String(), "secret inside")
			require.NotContains(t, s.log.String(), "918000000001", "no log repeats an input")
		})
	}
}

func TestErrors_EveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[errs.Kind]int{
		errs.Internal: 500, errs.Invalid: 422, errs.Denied: 403, errs.NotFound: 404, errs.Conflict: 409, errs.Unfunded: 402,
		errs.Throttled: 429, errs.Unavailable: 503, errs.Unauthenticated: 401, errs.TooLarge: 413,
	}
	for kind, code := range want {
		h := httpx.Handle(func(http.ResponseWriter, *http.Request) error {
			e := errs.New(kind, "thing.reason", "what to do")
			e.RetryAfter = 1500 * time.Millisecond
			return e
		})
		w := httptest.NewRecorder()
		h(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody))
		require.Equal(t, code, w.Code)
		retry := ""
		if kind == errs.Throttled || kind == errs.Unavailable {
			retry = "2"
		}
		require.Equal(t, retry, w.Header().Get("Retry-After"))
	}
}

func TestTokens_RefuseWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	ours, err := httpx.NewTokens(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	theirs, err := httpx.NewTokens(bytes.Repeat([]byte{2}, 32))
	require.NoError(t, err)
	who := httpx.Principal{Vendor: id.New[vendor.ID](), User: id.New[vendor.UserID](), Role: vendor.Admin}
	text, end, err := ours.Issue(who)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(httpx.AccessTTL), end, time.Minute)
	got, err := ours.Verify(text)
	require.NoError(t, err)
	require.Equal(t, who, got)
	_, err = theirs.Verify(text)
	require.ErrorIs(t, err, httpx.ErrToken)
	// The header {"alg":"none"} with the same claims and no signature.
	parts := strings.Split(text, ".")
	_, err = ours.Verify("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + ".")
	require.ErrorIs(t, err, httpx.ErrToken)
	_, err = httpx.NewTokens([]byte("short"))
	require.Error(t, err)
}

func TestList_PagesByCursor(t *testing.T) {
	t.Parallel()
	page := httpx.NewList([]string{"a", "b", "c"}, 2, func(s string) string { return s })
	require.Equal(t, []string{"a", "b"}, page.Items)
	after, err := httpx.DecodeCursor[string](page.NextCursor)
	require.NoError(t, err)
	require.Equal(t, "b", after)
	last := httpx.NewList([]string{"c"}, 2, func(s string) string { return s })
	require.Empty(t, last.NextCursor)
	_, err = httpx.DecodeCursor[string]("%%%")
	require.Error(t, err)
	require.NotNil(t, httpx.NewList[string](nil, 2, func(s string) string { return s }).Items)
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, code string }{
		"takes one value":          {`{"name":"bolt"}`, ""},
		"refuses an unknown field": {`{"name":"bolt","nut":1}`, "request.invalid"},
		"refuses the wrong type":   {`{"name":1}`, "request.invalid"},
		"refuses trailing data":    {`{"name":"bolt"}x`, "request.malformed"},
		"refuses an empty body":    {``, "request.malformed"},
		"refuses a body over 1 MB": {`{"name":"` + strings.Repeat("x", httpx.MaxJSONBody) + `"}`, "request.too_large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v struct {
				Name string `json:"name"`
			}
			err := httpx.DecodeJSON(httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(tt.body)), &v)
			if tt.code == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.code)
		})
	}
}

func TestCORS_AnswersPreflightOfKnownOriginsOnly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for origin, allowed := range map[string]string{"https://portal.example": "https://portal.example", "https://evil.example": ""} {
		r := httptest.NewRequestWithContext(t.Context(), "OPTIONS", "/v1/owners", http.NoBody)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "GET")
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		require.Equal(t, allowed, w.Header().Get("Access-Control-Allow-Origin"))
	}
}

func TestDocument_NamesEveryRoute(t *testing.T) {
	t.Parallel()
	doc, err := newServer(t).api.Document()
	require.NoError(t, err)
	var spec struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(doc, &spec))
	require.Equal(t, "3.1.0", spec.OpenAPI)
	require.Contains(t, spec.Paths, "/widgets/{id}")
	require.Contains(t, spec.Paths, "/files/{id}")
	require.Contains(t, string(doc), "request_id", "the problem is documented")
}

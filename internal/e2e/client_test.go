package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/id"
)

// caller speaks HTTP to one door, as a vendor's user once it has a token.
type caller struct {
	door  string
	token string
}

// logIn returns a caller with the owner's token.
func logIn(t *testing.T, door string, owner demo.Login) caller {
	t.Helper()
	c := caller{door: door}
	c.token = c.ask(t, http.MethodPost, "/auth/login", owner).field(t, "access_token")
	return c
}

// reply is what a door answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends in as JSON; nil sends no body.
func (c caller) ask(t *testing.T, method, path string, in any) reply {
	t.Helper()
	if in == nil {
		return c.send(t, method, path, nil, nil)
	}
	body, err := json.Marshal(in)
	require.NoError(t, err)
	return c.send(t, method, path, http.Header{"Content-Type": {"application/json"}}, body)
}

// upload sends content as a contact file of that name.
func (c caller) upload(t *testing.T, name, content string) reply {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	require.NoError(t, err)
	_, err = io.WriteString(part, content)
	require.NoError(t, err)
	require.NoError(t, form.Close())
	return c.send(t, http.MethodPost, "/contact-imports", http.Header{"Content-Type": {form.FormDataContentType()}}, body.Bytes())
}

func (c caller) send(t *testing.T, method, path string, header http.Header, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.door+path, bytes.NewReader(body))
	require.NoError(t, err)
	maps.Copy(req.Header, header)
	if method == http.MethodPost {
		req.Header.Set("Idempotency-Key", id.Random())
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{status: resp.StatusCode, header: resp.Header, body: text}
}

// into reads a good answer.
func (r reply) into(t *testing.T, out any) {
	t.Helper()
	require.Less(t, r.status, 300, string(r.body))
	require.NoError(t, json.Unmarshal(r.body, out), string(r.body))
}

// field is one text of a good answer.
func (r reply) field(t *testing.T, name string) string {
	t.Helper()
	var all map[string]any
	r.into(t, &all)
	text, ok := all[name].(string)
	require.True(t, ok, "%s in %s", name, r.body)
	return text
}

// first is the id of a list's first item.
func (r reply) first(t *testing.T) string {
	t.Helper()
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	r.into(t, &list)
	require.NotEmpty(t, list.Items)
	return list.Items[0].ID
}

// problem is an RFC 9457 document.
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
	} `json:"errors"`
}

// refused checks that the answer is a problem of that status and code, about the field
// that pointer names, or about none.
func (r reply) refused(t *testing.T, status int, code, pointer string) problem {
	t.Helper()
	require.Equal(t, status, r.status, string(r.body))
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(r.body, &p), string(r.body))
	require.Equal(t, code, p.Code, string(r.body))
	require.Equal(t, status, p.Status)
	require.Equal(t, "urn:kloyst:problem:"+code, p.Type)
	if pointer == "" {
		require.Empty(t, p.Errors)
		return p
	}
	require.Len(t, p.Errors, 1, string(r.body))
	require.Equal(t, pointer, p.Errors[0].Pointer)
	return p
}

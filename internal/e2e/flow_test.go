package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/devstack"
)

// TestFlow_AContactFileBecomesACampaignAndTheBooksAddUp drives the whole main job over
// public interfaces, twice on one stack, and then knocks at closed doors.
func TestFlow_AContactFileBecomesACampaignAndTheBooksAddUp(t *testing.T) {
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	stack, err := devstack.Start(t.Context(), devstack.Options{Root: root, Dir: t.TempDir(), Throwaway: true, BaseEnv: os.Environ()})
	require.NoError(t, err, "run `make setup build` first")
	t.Cleanup(stack.Stop)
	for range 2 {
		result, err := demo.Run(t.Context(), demo.Options{
			Stack: stack.State(), Contacts: 600, Self: filepath.Join(root, ".stack", "bin", "kloyst"), Out: t.Output(),
		})
		require.NoError(t, err)
		require.Equal(t, "ok", result.Demo)
		require.Positive(t, result.Sent)
	}
	front := stack.State().FrontURL()
	for name, knock := range map[string]struct {
		path, body string
		want       int
	}{
		"a wrong password":                 {"/v1/auth/login", `{"email":"nobody@acme.example","password":"wrong horse battery"}`, http.StatusUnauthorized},
		"no token":                         {"/v1/campaigns", `{}`, http.StatusUnauthorized},
		"a webhook that nobody signed":     {"/webhook/meta", `{"object":"whatsapp_business_account","entry":[]}`, http.StatusUnauthorized},
		"a path that is not there":         {"/v1/nowhere", `{}`, http.StatusNotFound},
		"a registration without a country": {"/v1/auth/register", `{"vendor_name":"A","email":"a@a.example","password":"correct horse battery","name":"A","currency":"USD"}`, http.StatusUnprocessableEntity},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front+knock.path, bytes.NewReader([]byte(knock.body)))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, knock.want, resp.StatusCode, name)
	}
}

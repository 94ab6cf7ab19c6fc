package e2e_test

import (
	"archive/zip"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/id"
)

// requireStrangersKept knocks without the right to come in.
func requireStrangersKept(t *testing.T, front string, owner demo.Login) {
	t.Helper()
	nobody := caller{door: front}
	wrong := demo.Login{Email: owner.Email, Password: "wrong horse battery"}
	nobody.ask(t, http.MethodPost, "/auth/login", wrong).refused(t, 401, "auth.invalid_credentials", "")
	wrong.Email = "nobody@acme.example"
	nobody.ask(t, http.MethodPost, "/auth/login", wrong).refused(t, 401, "auth.invalid_credentials", "")
	nobody.ask(t, http.MethodGet, "/campaigns", nil).refused(t, 401, "auth.token_missing", "")
	nobody.ask(t, http.MethodPost, "/campaigns", map[string]any{}).refused(t, 401, "auth.token_missing", "")
	nobody.upload(t, "contacts.csv", "Mobile\n+919812345678\n").refused(t, 401, "auth.token_missing", "")
	forged := caller{door: front, token: "eyJhbGciOiJub25lIn0.e30."}
	forged.ask(t, http.MethodGet, "/me", nil).refused(t, 401, "auth.token_invalid", "")
	nobody.ask(t, http.MethodPost, "/nowhere", map[string]any{}).refused(t, 404, "route.not_found", "")
	nobody.ask(t, http.MethodPost, "/auth/register", map[string]any{
		"vendor_name": "A", "email": "a@a.example", "password": "correct horse battery", "name": "A", "currency": "USD",
	}).refused(t, 422, "request.invalid", "/default_region")
}

// requireVendorsApart asks as one vendor for everything another one has. What is not
// yours is not there: the answers are those for an id that nobody has.
func requireVendorsApart(t *testing.T, me, other caller) {
	t.Helper()
	theirs := map[string]string{}
	for _, list := range []string{"campaigns", "contact-imports", "contacts", "templates", "sender-numbers", "wabas"} {
		theirs[list] = other.ask(t, http.MethodGet, "/"+list, nil).first(t)
	}
	theirs["quotations"] = other.ask(t, http.MethodGet, "/campaigns/"+theirs["campaigns"], nil).field(t, "quotation_id")
	type knock struct {
		method, path, code string
		body               any
	}
	none := map[string]any{}
	campaign := func(template, sender string) map[string]any {
		return map[string]any{"name": "Theirs", "template_id": template, "sender_number_id": sender, "audience": map[string]any{"any_labels": []string{"customers"}}}
	}
	myTemplate := me.ask(t, http.MethodGet, "/templates", nil).first(t)
	knocks := func(of map[string]string) []knock {
		c, i, q := "/campaigns/"+of["campaigns"], "/contact-imports/"+of["contact-imports"], "/quotations/"+of["quotations"]
		return []knock{
			{"GET", c, "campaign.not_found", nil},
			{"GET", c + "/messages", "campaign.not_found", nil},
			{"POST", c + "/quotations", "campaign.not_found", nil},
			{"POST", c + "/approve", "campaign.not_found", map[string]any{"quotation_id": of["quotations"]}},
			{"POST", c + "/pause", "campaign.not_found", nil},
			{"POST", c + "/resume", "campaign.not_found", nil},
			{"POST", c + "/cancel", "campaign.not_found", nil},
			{"GET", q, "quotation.not_found", nil},
			{"GET", q + "/explain", "quotation.not_found", nil},
			{"GET", q + "/pdf", "quotation.not_found", nil},
			{"POST", q + "/pdf/retry", "quotation.not_found", nil},
			{"POST", q + "/pdf/link", "quotation.not_found", nil},
			{"GET", i, "import.not_found", nil},
			{"GET", i + "/errors", "import.not_found", nil},
			{"POST", i + "/mapping", "import.not_found", map[string]any{"phone": "Mobile"}},
			{"POST", i + "/cancel", "import.not_found", nil},
			{"GET", "/contacts/" + of["contacts"], "contact.not_found", nil},
			{"GET", "/templates/" + of["templates"], "template.not_found", nil},
			{"POST", "/campaigns", "template.not_found", campaign(of["templates"], of["sender-numbers"])},
			{"POST", "/campaigns", "sender_number.not_found", campaign(myTemplate, of["sender-numbers"])},
			{"POST", "/wabas/" + of["wabas"] + "/template-sync", "waba.not_found", none},
			{"POST", "/sender-numbers", "waba.not_found", map[string]any{"waba_id": of["wabas"], "phone_number_id": "1"}},
		}
	}
	nobodys := map[string]string{}
	for list := range theirs {
		nobodys[list] = id.Random()
	}
	unknown := knocks(nobodys)
	for n, k := range knocks(theirs) {
		foreign := me.ask(t, k.method, k.path, k.body).refused(t, 404, k.code, "")
		require.Equal(t, me.ask(t, unknown[n].method, unknown[n].path, unknown[n].body).refused(t, 404, k.code, ""), foreign, k.path)
	}
	require.Equal(t, "COMPLETED", other.ask(t, http.MethodGet, "/campaigns/"+theirs["campaigns"], nil).field(t, "status"), "nothing happened to it")
}

// requireUploadsChecked sends files that are no contact lists, or worse.
func requireUploadsChecked(t *testing.T, me caller, st *devstack.State) {
	t.Helper()
	db, err := pgxpool.New(t.Context(), st.DatabaseURL("postgres", devstack.Database))
	require.NoError(t, err)
	defer db.Close()
	kept := func() (n int) {
		require.NoError(t, filepath.WalkDir(filepath.Join(st.Dir, "data", "blobs"), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return err
		}))
		return n
	}
	imports := func() (n int) {
		require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM contact_import_jobs`).Scan(&n))
		return n
	}
	files, jobs := kept(), imports()
	require.Positive(t, files)

	p := me.upload(t, "contacts.csv", "Mobile,Name\n+919812345678,"+eicar()+"\n").refused(t, 422, "import.infected", "")
	require.Contains(t, p.Detail, "Kloyst.Test.EICAR", "it names the signature")
	var audited int
	require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM contact_audit_logs WHERE action = 'UPLOAD_REFUSED' AND fields::text LIKE '%Kloyst.Test.EICAR%'`).Scan(&audited))
	require.Equal(t, 1, audited)
	me.upload(t, "contacts.csv", "").refused(t, 422, "import.empty_file", "")
	for name, content := range map[string]string{
		"a spreadsheet":     spreadsheet(t),
		"a PDF":             "%PDF-1.7\n1 0 obj\n<</Type /Catalog>>\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n",
		"a page":            "<!DOCTYPE html>\n<html><body><table><tr><td>Mobile</td></tr></table></body></html>\n",
		"a picture":         "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
		"a program's bytes": "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 64),
	} {
		p := me.upload(t, "contacts.csv", content).refused(t, 415, "import.unsupported_type", "")
		require.NotEmpty(t, p.Detail, name)
	}
	require.Equal(t, files, kept(), "nothing of them was kept")
	require.Equal(t, jobs, imports())

	// A list without numbers is a list: it waits for a mapping, which cannot be given.
	job := me.upload(t, "names.csv", "Name,City\nAsha Rao,Pune\nRavi Kumar,Delhi\n").field(t, "id")
	until(t, "its headers are read", time.Minute, func() bool {
		return me.ask(t, http.MethodGet, "/contact-imports/"+job, nil).field(t, "status") == "AWAITING_MAPPING"
	})
	var read struct {
		Suggested map[string]any `json:"suggested_mapping"`
	}
	me.ask(t, http.MethodGet, "/contact-imports/"+job, nil).into(t, &read)
	require.Empty(t, read.Suggested["phone"])
	confirm := func(mapping map[string]any) reply {
		return me.ask(t, http.MethodPost, "/contact-imports/"+job+"/mapping", mapping)
	}
	confirm(map[string]any{"name": "Name"}).refused(t, 422, "import.phone_column_required", "/phone")
	confirm(map[string]any{"phone": "Mobile", "name": "Name"}).refused(t, 422, "import.invalid_mapping", "/phone")
	me.ask(t, http.MethodPost, "/contact-imports/"+job+"/cancel", nil).into(t, &read)
}

// eicar is the anti-virus test file, put together here so that this source is not taken
// for a virus itself. Source: EICAR, "Anti-malware test file", read 2026-09.
func eicar() string {
	return strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR`, "STANDARD", "ANTIVIRUS", "TEST", "FILE!$H+H*"}, "-")
}

// spreadsheet is the outside of an XLSX.
func spreadsheet(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range []string{"[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"} {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(`<?xml version="1.0"?><x/>`))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.String()
}

// requireWebhooksSigned sends callbacks that Meta did not sign, to the front door and to
// the process behind it: each checks by itself.
func requireWebhooksSigned(t *testing.T, st *devstack.State) {
	t.Helper()
	body := []byte(`{"object":"whatsapp_business_account","entry":[]}`)
	sign := func(secret string, of []byte) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(of)
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	right := sign(st.MetaAppSecret(), body)
	behind := fmt.Sprintf("http://127.0.0.1:%d", st.Ports[devstack.Webhook])
	for _, door := range []string{st.FrontURL(), behind} {
		c := caller{door: door}
		for name, signature := range map[string]string{
			"none":                "",
			"too short":           "sha256=00",
			"another secret's":    sign("not the secret", body),
			"of another body":     sign(st.MetaAppSecret(), append([]byte(" "), body...)),
			"SHA-1's name":        strings.Replace(right, "sha256=", "sha1=", 1),
			"the right one, then": right + "00",
		} {
			header := http.Header{"Content-Type": {"application/json"}}
			if signature != "" {
				header.Set("X-Hub-Signature-256", signature)
			}
			got := c.send(t, http.MethodPost, "/webhook/meta", header, body)
			require.Equal(t, 401, got.status, "%s at %s: %s", name, door, got.body)
			got.refused(t, 401, "webhook.bad_signature", "")
		}
		signed := http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {right}}
		require.Equal(t, 200, c.send(t, http.MethodPost, "/webhook/meta", signed, body).status, door)
	}
}

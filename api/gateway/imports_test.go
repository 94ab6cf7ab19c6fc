package gateway_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/kloyst/kloyst-core/activities"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

// startClamd answers every scan with answer, as clamd's INSTREAM does; "EICAR" in the
// stream is found. An empty answer hangs up without a word.
func (w *world) startClamd(answer string) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = l.Close() })
	w.clamd.Addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go scanOne(conn, answer)
		}
	}()
}

func scanOne(conn net.Conn, answer string) {
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len("zINSTREAM\x00"))); err != nil {
		return
	}
	var body bytes.Buffer
	for {
		var size uint32
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		if size == 0 {
			break
		}
		if _, err := io.CopyN(&body, conn, int64(size)); err != nil {
			return
		}
	}
	if bytes.Contains(body.Bytes(), []byte("EICAR")) {
		answer = "stream: Eicar-Test-Signature FOUND"
	}
	if answer != "" {
		_, _ = conn.Write([]byte(answer + "\x00"))
	}
}

// field is one part of an upload's form; a part named file is a file.
type field struct{ name, value string }

func (u user) upload(parts ...field) answer {
	u.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, p := range parts {
		var w io.Writer
		var err error
		if p.name == "file" {
			w, err = form.CreateFormFile("file", `C:\Users\Asha\my list.csv`)
		} else {
			w, err = form.CreateFormField(p.name)
		}
		require.NoError(u.t, err)
		_, err = io.WriteString(w, p.value)
		require.NoError(u.t, err)
	}
	require.NoError(u.t, form.Close())
	return u.uploadRaw(form.FormDataContentType(), body.Bytes())
}

func (u user) uploadRaw(contentType string, body []byte) answer {
	u.t.Helper()
	r := httptest.NewRequestWithContext(u.t.Context(), "POST", "/v1/contact-imports", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", "Bearer "+u.token)
	return u.do(r)
}

// objects counts what lies in the object store.
func (w *world) objects() int {
	w.t.Helper()
	n := 0
	require.NoError(w.t, filepath.WalkDir(w.files, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

const contactsCSV = "Mobile,Name,Tags,City\n+919876543210,Asha Rao,vip;gold,Pune\n9876543211,\"=1+1\",vip,\nnonsense,-x,,\n098765 43210,Asha,,\n"

func TestUpload_TakesAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	a := u.upload(field{"strategy", "MERGE_LABELS"}, field{"file", contactsCSV}, field{"default_region", "ae"})
	made := a.is(http.StatusAccepted)
	require.Equal(t, "/v1/contact-imports/"+as[string](t, made["id"]), a.header.Get("Location"))
	require.Equal(t, "UPLOADED", made["status"])
	require.Equal(t, "MERGE_LABELS", made["strategy"])
	require.Equal(t, "AE", made["default_region"])
	require.Equal(t, "my list.csv", made["file_name"])
	require.InDelta(t, len(contactsCSV), made["file_bytes"], 0)
	require.Equal(t, 1, w.objects())

	p := u.upload(field{"file", contactsCSV}).refused(http.StatusConflict, "import.duplicate_file")
	require.Contains(t, p["detail"], made["id"])
	require.Equal(t, 1, w.objects(), "the second copy is gone")
	u.upload(field{"file", contactsCSV}, field{"force", "true"}).is(http.StatusAccepted)
	require.Equal(t, 2, w.objects())

	other := w.newUser("ravi@beta.example")
	other.upload(field{"file", contactsCSV}).is(http.StatusAccepted)
	other.get("/v1/contact-imports/"+as[string](t, made["id"])).refused(http.StatusNotFound, "import.not_found")
	other.get("/v1/contact-imports/"+as[string](t, made["id"])+"/errors").refused(http.StatusNotFound, "import.not_found")
	other.post("/v1/contact-imports/"+as[string](t, made["id"])+"/cancel", nil).refused(http.StatusNotFound, "import.not_found")
	other.post("/v1/contact-imports/"+as[string](t, made["id"])+"/mapping", object{"phone": "Mobile"}).refused(http.StatusNotFound, "import.not_found")
	require.NotContains(t, w.log.String(), "98765")
	require.NotContains(t, w.log.String(), "my list")
}

func TestUpload_KeepsNothingOfWhatItRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	zip := "PK\x03\x04" + strings.Repeat("\x00\x01", 500)
	tests := map[string]struct {
		parts  []field
		status int
		code   string
	}{
		"no file":                {[]field{{"strategy", "FULL_REPLACE"}}, 422, "import.file_required"},
		"two files":              {[]field{{"file", contactsCSV}, {"file", contactsCSV}}, 422, "import.file_required"},
		"an empty file":          {[]field{{"file", ""}}, 422, "import.empty_file"},
		"an unknown strategy":    {[]field{{"file", contactsCSV}, {"strategy", "REPLACE"}}, 422, "import.unknown_strategy"},
		"an unknown country":     {[]field{{"file", contactsCSV}, {"default_region", "XX"}}, 422, "import.unknown_region"},
		"an odd force":           {[]field{{"file", contactsCSV}, {"force", "perhaps"}}, 422, "import.bad_force"},
		"an unknown field":       {[]field{{"file", contactsCSV}, {"plan", "x"}}, 422, "import.unknown_field"},
		"an infected file":       {[]field{{"file", contactsCSV + "EICAR"}}, 422, "import.infected"},
		"a zip":                  {[]field{{"file", zip}}, 415, "import.unsupported_type"},
		"a PDF":                  {[]field{{"file", "%PDF-1.7\n1 0 obj"}}, 415, "import.unsupported_type"},
		"a page":                 {[]field{{"file", "<!DOCTYPE html><html><body><table>"}}, 415, "import.unsupported_type"},
		"a file over the limit":  {[]field{{"file", strings.Repeat("9876543210\n", 99_000)}}, 413, "import.too_large"},
		"a file far over limits": {[]field{{"file", strings.Repeat("9876543210\n", 300_000)}}, 413, "import.too_large"},
	}
	for name, tt := range tests {
		a := u.upload(tt.parts...)
		a.refused(tt.status, tt.code)
		require.Equal(t, 0, w.objects(), name)
	}
	p := u.upload(field{"file", "EICAR"}).refused(422, "import.infected")
	require.Contains(t, p["detail"], "Eicar-Test-Signature")
	var logged int
	require.NoError(t, w.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM contact_audit_logs
		WHERE vendor_id = $1 AND action = 'UPLOAD_REFUSED' AND fields = '{signature:Eicar-Test-Signature}' AND actor = $2`, u.vendor, u.id).Scan(&logged))
	require.Equal(t, 2, logged)

	u.uploadRaw("text/csv", []byte(contactsCSV)).refused(http.StatusBadRequest, "request.malformed")
	cut := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nMobile\n9876"
	u.uploadRaw("multipart/form-data; boundary=x", []byte(cut)).refused(http.StatusBadRequest, "request.malformed")
	w.call("", "POST", "/v1/contact-imports", nil).refused(http.StatusUnauthorized, "auth.token_missing")
	require.Equal(t, 0, w.objects())
	list := u.get("/v1/contact-imports").is(http.StatusOK)
	require.Empty(t, list["items"])
}

func TestUpload_WithoutAScannerNothingIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.newUser("asha@acme.example")
	a := u.upload(field{"file", contactsCSV})
	p := a.refused(http.StatusServiceUnavailable, "scan.unavailable")
	require.Equal(t, true, p["retryable"])
	require.NotEmpty(t, a.header.Get("Retry-After"))
	for _, answer := range []string{"", "stream: what", "INSTREAM size limit exceeded. ERROR"} {
		w.startClamd(answer)
		require.GreaterOrEqual(t, u.upload(field{"file", contactsCSV}).status, 413, answer)
	}
	require.Equal(t, 0, w.objects())
}

// The whole way of a file over the API; the test does the workflow's steps.
func TestImports_FromUploadToErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	made := u.upload(field{"file", contactsCSV}).is(http.StatusAccepted)
	path := "/v1/contact-imports/" + as[string](t, made["id"])
	u.post(path+"/mapping", object{"phone": "Mobile"}).refused(http.StatusConflict, "import.not_awaiting_mapping")

	acts := &activities.Importing{Store: w.store, Keys: w.keys, Blobs: w.blob}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(acts)
	ref := activities.ImportRef{Vendor: u.vendor, Import: importing.ID(as[string](t, made["id"]))}
	step := func(act, in any) {
		_, err := env.ExecuteActivity(act, in)
		require.NoError(t, err)
	}
	step(acts.ExtractHeaders, ref)
	step(acts.MoveImport, activities.ImportMove{ImportRef: ref, To: importing.AwaitingMapping})
	job := u.get(path).is(http.StatusOK)
	require.Equal(t, "AWAITING_MAPPING", job["status"])
	require.Equal(t, []any{"Mobile", "Name", "Tags", "City"}, job["headers"])
	require.Equal(t, []any{"+919876543210", "Asha Rao", "vip;gold", "Pune"}, as[[]any](t, job["sample_rows"])[0])
	require.Equal(t, object{"phone": "Mobile", "name": "Name", "labels": "Tags", "attributes": object{"city": "City"}}, job["suggested_mapping"])
	require.InDelta(t, 4, job["rows_total"], 0)

	u.post(path+"/mapping", object{"name": "Name"}).refused(422, "import.phone_column_required")
	u.post(path+"/mapping", object{"phone": "Telephone"}).refused(422, "import.invalid_mapping")
	u.post(path+"/mapping", job["suggested_mapping"]).is(http.StatusAccepted)
	step(acts.ResolveRows, ref)
	step(acts.MoveImport, activities.ImportMove{ImportRef: ref, To: importing.Queued})
	step(acts.MoveImport, activities.ImportMove{ImportRef: ref, To: importing.Processing})
	step(acts.ImportChunk, activities.ImportChunkRef{ImportRef: ref, Chunk: 1})
	step(acts.FinishImport, ref)

	job = u.get(path).is(http.StatusOK)
	require.Equal(t, "PARTIAL_SUCCESS", job["status"])
	require.Equal(t, object{"created": 2.0, "updated": 0.0, "unchanged": 0.0, "duplicate": 1.0, "invalid": 1.0, "suppressed": 0.0}, job["counts"])
	require.InDelta(t, 4, job["rows_done"], 0)
	u.post(path+"/cancel", nil).refused(http.StatusConflict, "import.wrong_state")

	bad := u.get(path + "/errors")
	require.Equal(t, http.StatusOK, bad.status)
	require.Equal(t, "text/csv; charset=utf-8", bad.header.Get("Content-Type"))
	require.Equal(t, "row,column,value,code,reason\n"+
		"4,Mobile,nonsense,phone.not_a_number,the cell holds something else than a telephone number\n"+
		"5,Mobile,098765 43210,row.duplicate,the same number is in row 2\n", string(bad.body))

	list := u.get("/v1/contacts?label=VIP&limit=1").is(http.StatusOK)
	first := as[object](t, as[[]any](t, list["items"])[0])
	rest := u.get("/v1/contacts?label=vip&limit=1&cursor=" + as[string](t, list["next_cursor"])).is(http.StatusOK)
	second := as[object](t, as[[]any](t, rest["items"])[0])
	require.NotContains(t, rest, "next_cursor")
	require.ElementsMatch(t, []any{"+919876543210", "+919876543211"}, []any{first["phone"], second["phone"]})
	if first["phone"] != "+919876543210" {
		first = second
	}
	require.Equal(t, "Asha Rao", first["name"])
	require.Equal(t, []any{"gold", "vip"}, first["labels"])
	require.Equal(t, object{"city": "Pune"}, first["attributes"])
	require.Equal(t, first, u.get("/v1/contacts/"+as[string](t, first["id"])).is(http.StatusOK))
	require.Empty(t, u.get("/v1/contacts?label=none").is(http.StatusOK)["items"])
	labels := as[[]any](t, u.get("/v1/labels").is(http.StatusOK)["items"])
	require.Len(t, labels, 2)
	require.Equal(t, "gold", as[object](t, labels[0])["name"])
	require.InDelta(t, 2, as[object](t, labels[1])["contacts"], 0)
	u.get("/v1/contacts?lable=vip").refused(http.StatusBadRequest, "request.unknown_parameter")
	u.get("/v1/contacts/none").refused(http.StatusNotFound, "resource.not_found")

	other := w.newUser("ravi@beta.example")
	other.get("/v1/contacts/"+as[string](t, first["id"])).refused(http.StatusNotFound, "contact.not_found")
	require.Empty(t, other.get("/v1/contacts").is(http.StatusOK)["items"])
	require.Empty(t, other.get("/v1/labels").is(http.StatusOK)["items"])
	require.NotContains(t, w.log.String(), "98765")
}

func TestImports_ListAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	var ids []any
	for _, name := range []string{"a", "b", "c"} {
		ids = append([]any{u.upload(field{"file", contactsCSV + name}).is(http.StatusAccepted)["id"]}, ids...)
	}
	u.post("/v1/contact-imports/"+as[string](t, ids[1])+"/cancel", nil).is(http.StatusOK)
	cancelled := u.post("/v1/contact-imports/"+as[string](t, ids[1])+"/cancel", nil).is(http.StatusOK)
	require.Equal(t, "CANCELLED", cancelled["status"])
	require.Equal(t, "import.cancelled", cancelled["reason_code"])
	page := u.get("/v1/contact-imports?limit=2").is(http.StatusOK)
	require.Equal(t, ids[0], as[object](t, as[[]any](t, page["items"])[0])["id"])
	page = u.get("/v1/contact-imports?limit=2&cursor=" + as[string](t, page["next_cursor"])).is(http.StatusOK)
	require.Equal(t, ids[2], as[object](t, as[[]any](t, page["items"])[0])["id"])
	only := as[[]any](t, u.get("/v1/contact-imports?status=CANCELLED").is(http.StatusOK)["items"])
	require.Len(t, only, 1)
	require.Equal(t, ids[1], as[object](t, only[0])["id"])
}

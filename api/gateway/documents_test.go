package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/id"
)

// offered is a trader with a quotation.
func offered(t *testing.T) (u trader, q quotation.ID, path string) {
	t.Helper()
	u = newWorld(t).newTrader("asha@acme.example")
	made := u.post("/v1/campaigns", u.campaign(), key("c1")...).is(http.StatusCreated)
	issued := u.post("/v1/campaigns/"+as[string](t, made["id"])+"/quotations", nil, key("q1")...).is(http.StatusCreated)
	q = quotation.ID(as[string](t, issued["id"]))
	return u, q, "/v1/quotations/" + string(q)
}

func TestDocument_ThatFailedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	u, q, path := offered(t)
	events := func() int {
		var n int
		require.NoError(t, u.db.Super().QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE kind = 'quotation.issued'`).Scan(&n))
		return n
	}
	before := events()
	require.Equal(t, "PENDING", u.post(path+"/pdf/retry", nil).is(http.StatusAccepted)["pdf_status"])
	require.Equal(t, before, events(), "what is on its way is asked for once")

	u.exec(`DELETE FROM outbox_events`) // the relay has brought it
	require.NoError(t, u.store.MoveQuotationPDF(t.Context(), u.vendor, q, quotation.PDFFailed, "blob.unavailable"))
	failed := u.get(path).is(http.StatusOK)
	require.Equal(t, "blob.unavailable", failed["pdf_error"])
	require.Contains(t, failed["pdf_reason"], "have it made again")

	again := u.post(path+"/pdf/retry", nil).is(http.StatusAccepted)
	require.Equal(t, "PENDING", again["pdf_status"])
	require.NotContains(t, again, "pdf_error")
	require.NotContains(t, again, "pdf_reason")
	require.Equal(t, 1, events())
}

func TestDocument_LinkOpensOneDocumentWithoutSigningIn(t *testing.T) {
	t.Parallel()
	u, q, path := offered(t)
	u.post(path+"/pdf/link", nil).refused(http.StatusConflict, "quotation.pdf_not_ready")
	require.NoError(t, u.blob.Put(t.Context(), "quotations/x.pdf", "application/pdf", []byte("%PDF-1.7")))
	require.NoError(t, u.store.MoveQuotationPDF(t.Context(), u.vendor, q, quotation.PDFReady, "quotations/x.pdf"))

	link := u.post(path+"/pdf/link", nil).is(http.StatusOK)
	until, err := time.Parse(time.RFC3339, as[string](t, link["expires_at"]))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(10*time.Minute), until, 5*time.Second)
	at, ours := strings.CutPrefix(as[string](t, link["url"]), "https://kloyst.example")
	require.True(t, ours, link["url"])

	got := u.call("", "GET", at, nil)
	require.Equal(t, http.StatusOK, got.status, string(got.body))
	require.Equal(t, "%PDF-1.7", string(got.body))
	require.Equal(t, "application/pdf", got.header.Get("Content-Type"))
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", got.header.Get("Referrer-Policy"))
	parsed, err := url.Parse(at)
	require.NoError(t, err)
	require.NotContains(t, u.log.String(), parsed.Query().Get("signature"), "the log has no key to the document")

	file := "/v1/quotation-files/" + string(u.vendor) + "/"
	for name, other := range map[string]string{
		"no signature":     file + string(q),
		"another document": file + id.Random() + "?" + parsed.RawQuery,
		"another vendor":   "/v1/quotation-files/" + id.Random() + "/" + string(q) + "?" + parsed.RawQuery,
		"a longer time":    file + string(q) + "?expires=9999999999&signature=" + parsed.Query().Get("signature"),
	} {
		t.Log(name)
		u.call("", "GET", other, nil).refused(http.StatusForbidden, "link.invalid")
	}
	u.call("", "GET", at+"&colour=red", nil).refused(http.StatusBadRequest, "request.unknown_parameter")
}

package gateway_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/store"
)

func TestImports_OperatorsWordsOverTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startClamd("stream: OK")
	u := w.newUser("asha@acme.example")
	made := u.upload(field{"file", contactsCSV}).is(http.StatusAccepted)
	job := importing.ID(as[string](t, made["id"]))
	path := "/v1/contact-imports/" + string(job)
	u.post(path+"/retry", object{"mode": "resume"}).refused(http.StatusConflict, "import.not_parked")
	u.post(path+"/abort", nil).refused(http.StatusConflict, "import.not_parked")

	park := store.Reason{Code: "blob.unavailable", Text: "the object store does not answer"}
	require.NoError(t, w.store.MoveImport(t.Context(), u.vendor, job, importing.NeedsOperator, park))
	u.post(path+"/retry", object{"mode": "all"}).refused(422, "request.invalid")
	u.post(path+"/retry", nil).refused(400, "request.malformed")
	u.post(path+"/retry", object{"mode": "skip_chunk"}).refused(http.StatusConflict, "import.nothing_to_skip")
	parked := u.post(path+"/retry", object{"mode": "resume"}).is(http.StatusAccepted)
	require.Equal(t, "NEEDS_OPERATOR", parked["status"], "until its workflow has heard")
	require.Equal(t, park.Code, parked["reason_code"])

	other := w.newUser("ravi@beta.example")
	other.post(path+"/retry", object{"mode": "resume"}).refused(http.StatusNotFound, "import.not_found")
	other.post(path+"/abort", nil).refused(http.StatusNotFound, "import.not_found")

	ended := u.post(path+"/abort", nil).is(http.StatusOK)
	require.Equal(t, "FAILED", ended["status"])
	require.Equal(t, "import.aborted", ended["reason_code"])
	u.post(path+"/abort", nil).refused(http.StatusConflict, "import.not_parked")
	u.post(path+"/cancel", nil).refused(http.StatusConflict, "import.wrong_state")
}

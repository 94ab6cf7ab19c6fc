package webhook

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
	"github.com/kloyst/kloyst-core/store"
)

// desk is an intake over a database that knows one number, 1555.
func desk(t *testing.T) (*Intake, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	v, waba := id.New[vendor.ID](), id.Random()
	for sql, args := range map[string][]any{
		`WITH v AS (INSERT INTO vendors (vendor_id, name, default_region, currency) VALUES ($1, 'A', 'IN', 'USD')),
		      w AS (INSERT INTO wabas (vendor_id, id, waba_id, token_ct) VALUES ($1, $2, '77', 'x'))
		 INSERT INTO sender_numbers (vendor_id, id, waba_ref, phone_number_id, rate_per_second) VALUES ($1, $3, $2, '1555', 80)`: {v, waba, id.Random()},
	} {
		_, err := db.Super().Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	s, err := store.New(db.Webhook())
	require.NoError(t, err)
	ring, err := crypt.NewRing(bytes.Repeat([]byte{1}, crypt.MasterKeySize))
	require.NoError(t, err)
	return NewIntake(s, ring, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), db
}

func callback(wamid, more string) []byte {
	return fmt.Appendf(nil, `{"entry":[{"id":"77","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"1555"},
		"statuses":[{"id":"%s","status":"failed"%s}]}}]}]}`, wamid, more)
}

// post takes the bodies in as one batch, and returns what each was answered.
func post(t *testing.T, in *Intake, bodies ...[]byte) []error {
	t.Helper()
	batch := make([]*taking, len(bodies))
	for i, body := range bodies {
		says, err := read(body)
		require.NoError(t, err)
		batch[i] = &taking{told: says, body: body, done: make(chan error, 1)}
	}
	in.commit(t.Context(), batch)
	out := make([]error, len(bodies))
	for i, one := range batch {
		out[i] = <-one.done
	}
	return out
}

func kept(t *testing.T, db *pgtest.DB) (wamids string) {
	t.Helper()
	require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT COALESCE(string_agg(wamid, ' ' ORDER BY wamid), '') FROM orphan_statuses`).Scan(&wamids))
	return wamids
}

// Meta repeats for days what is not answered with 200.
func TestIntake_OneCallbackThatCannotBeKeptCostsNoOther(t *testing.T) {
	t.Parallel()
	in, db := desk(t)
	_, err := db.Super().Exec(t.Context(), `ALTER TABLE orphan_statuses ADD CHECK (wamid <> 'bad')`)
	require.NoError(t, err)
	got := post(t, in, callback("a", ""), callback("b", ""), callback("bad", ""), callback("c", ""), callback("d", ""))
	for i, err := range got {
		require.Equal(t, i == 2, err != nil, i)
	}
	require.Equal(t, "a b c d", kept(t, db))
	var intakes int
	require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT sum(requests) FROM webhook_intakes`).Scan(&intakes))
	require.Equal(t, 4, intakes)
}

func TestIntake_KeepsWhatPostgresCannotHoldAsItIs(t *testing.T) {
	t.Parallel()
	in, db := desk(t)
	for _, err := range post(t, in,
		callback(`a\u0000`, `,"timestamp":"9999999999999999"`),
		callback("b", `,"errors":[{"code":131026,"title":"x\u0000y","error_data":{"details":"\u0000"}}]`),
		callback("c", `,"errors":[{"code":99999999999999}],"pricing":{"category":"mark\u0000eting"}`),
	) {
		require.NoError(t, err)
	}
	require.Equal(t, "a b c", kept(t, db))
	var latest time.Time
	require.NoError(t, db.Super().QueryRow(t.Context(), `SELECT max(happened_at) FROM orphan_statuses`).Scan(&latest))
	require.WithinDuration(t, time.Now(), latest, time.Minute)
}

// A database that is away is not asked once for each callback.
func TestIntake_AsksADatabaseThatIsAwayOnce(t *testing.T) {
	t.Parallel()
	in, db := desk(t)
	db.Webhook().Close()
	log := &bytes.Buffer{}
	in.log = slog.New(slog.NewJSONHandler(log, nil))
	for _, err := range post(t, in, callback("a", ""), callback("b", "")) {
		require.Equal(t, errs.Unavailable, errs.KindOf(err))
	}
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("callbacks not kept")))
}

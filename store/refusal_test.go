package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestErrors_QuoteNoRow plants a refusal that names a person, as a careless trigger or a
// cast would.
func TestErrors_QuoteNoRow(t *testing.T) {
	t.Parallel()
	p := newCampaign(t, 3).running(t)
	for _, sql := range []string{
		`CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no +919800000001 Ravi' USING ERRCODE = 'P0001'; END $$`,
		`CREATE TRIGGER planted BEFORE INSERT ON outbox_events FOR EACH ROW EXECUTE FUNCTION planted()`,
	} {
		_, err := p.db.Super().Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	err := p.HaltCampaign(t.Context(), p.v, p.campaign, "TEST")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "Ravi")
	require.NotContains(t, err.Error(), "+91")
	require.Contains(t, err.Error(), "P0001")
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg, "what was refused can still be asked")
}

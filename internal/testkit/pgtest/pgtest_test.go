package pgtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/testkit/pgtest"
)

func TestNew_EveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t), pgtest.New(t)
	_, err := a.Owner().Exec(t.Context(), "CREATE TABLE only_here (n int)")
	require.NoError(t, err)
	var exists bool
	err = b.Owner().QueryRow(t.Context(), "SELECT to_regclass('only_here') IS NOT NULL").Scan(&exists)
	require.NoError(t, err)
	require.False(t, exists)
}

func TestNew_RolesCannotBypassRowLevelSecurity(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var n int
	err := db.App().QueryRow(t.Context(),
		"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'kloyst\\_%' AND (rolsuper OR rolbypassrls OR rolcreaterole)").Scan(&n)
	require.NoError(t, err)
	require.Zero(t, n)
	var user string
	require.NoError(t, db.Webhook().QueryRow(t.Context(), "SELECT current_user").Scan(&user))
	require.Equal(t, "kloyst_webhook", user)
}

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/demo"
	"github.com/kloyst/kloyst-core/internal/devstack"
)

// TestFlow_AContactFileBecomesACampaignAndTheBooksAddUp drives the whole main job over
// public interfaces, twice on one stack, the second time with a database that refuses two
// statements, in words that name a person, and with a login that has to be renewed all the
// time. Then it knocks at closed doors, and looks at what Temporal learned.
func TestFlow_AContactFileBecomesACampaignAndTheBooksAddUp(t *testing.T) {
	const contacts = 600
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	stack, err := devstack.Start(t.Context(), devstack.Options{Root: root, Dir: t.TempDir(), Throwaway: true, BaseEnv: os.Environ()})
	require.NoError(t, err, "run `make setup build` first")
	t.Cleanup(stack.Stop)
	st := stack.State()
	file, _ := demo.Contacts(contacts, demo.Seed)

	options := demo.Options{Stack: st, Contacts: contacts, Self: filepath.Join(root, ".stack", "bin", "kloyst"), Out: t.Output()}
	first, err := demo.Run(t.Context(), options)
	require.NoError(t, err)
	requireQuietLogs(t, st, peopleOf(t, file, first))
	tables := []string{"contacts", "message_logs"}
	refuseOnce(t, st, tables...)
	options.RenewAfter = time.Second
	second, err := demo.Run(t.Context(), options)
	require.NoError(t, err)
	for _, result := range []demo.Result{first, second} {
		require.Equal(t, "ok", result.Demo)
		require.Positive(t, result.Sent)
		require.Positive(t, result.Rejected)
		require.Positive(t, result.Duplicate)
	}

	front := st.FrontURL() + "/v1"
	one, two := logIn(t, front, first.Owner), logIn(t, front, second.Owner)
	t.Run("strangers stay outside", func(t *testing.T) { requireStrangersKept(t, front, first.Owner) })
	t.Run("vendors do not see each other", func(t *testing.T) {
		requireVendorsApart(t, one, two)
		requireVendorsApart(t, two, one)
	})
	t.Run("uploads are checked", func(t *testing.T) { requireUploadsChecked(t, one, st) })
	t.Run("webhooks are signed", func(t *testing.T) { requireWebhooksSigned(t, st) })

	t.Run("who writes in is answered", func(t *testing.T) { requireAnswered(t, st, one) })

	untilIdle(t, st)
	runs := historiesOf(t, st)
	requireReadable(t, runs)
	requireOpened(t, st)
	requireNoPersonalData(t, runs, peopleOf(t, file, first, second).with(plantedNumber[1:], plantedName, writerNumber[1:], writtenIn, writtenBack))
	requireFailed(t, runs, len(tables))
	keepGolden(t, runs)
}

// What the refusing database says.
const (
	plantedNumber = "+919876501234"
	plantedName   = "Meera Iyer"
)

// refuseOnce makes the first insert into each table fail with a text about a person, as a
// constraint's detail or a driver's error might.
func refuseOnce(t *testing.T, st *devstack.State, tables ...string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), st.DatabaseURL("postgres", devstack.Database))
	require.NoError(t, err)
	defer db.Close(t.Context())
	for _, table := range tables {
		// A sequence does not roll back: the next try passes.
		_, err := db.Exec(t.Context(), strings.NewReplacer("TABLE", table, "NUMBER", plantedNumber, "NAME", plantedName).Replace(`
			CREATE SEQUENCE refuse_TABLE;
			CREATE FUNCTION refuse_TABLE() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
			BEGIN
				IF nextval('public.refuse_TABLE') = 1 THEN
					RAISE EXCEPTION 'cannot keep NUMBER of NAME' USING DETAIL = 'mobile NUMBER', HINT = 'NAME';
				END IF;
				RETURN NEW;
			END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON TABLE FOR EACH ROW EXECUTE FUNCTION refuse_TABLE()`))
		require.NoError(t, err)
	}
}

// requireFailed checks that activities did fail, and said so in words of ours.
func requireFailed(t *testing.T, runs []recorded, least int) {
	t.Helper()
	var all []string
	for _, r := range runs {
		all = append(all, failures(t, r.history)...)
	}
	internal := 0
	for _, text := range all {
		if strings.Contains(text, "internal error") {
			internal++
		}
	}
	require.GreaterOrEqual(t, internal, least, "the planted failures are in the histories: %q", slices.Compact(all))
}

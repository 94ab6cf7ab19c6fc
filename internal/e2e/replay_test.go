package e2e_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/devstack"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/store"
)

// TestReplay_WhatFailedArrivesOnceItCan fails some people's messages for good, lets their
// numbers come onto WhatsApp, and replays the dead letters as an operator does.
func TestReplay_WhatFailedArrivesOnceItCan(t *testing.T) {
	const n, out = 200, 10
	w := start(t)
	call(t, http.MethodPut, w.State().MetasimURL()+"/_sim/config", map[string]any{"failed_rate": 0, "delivered_rate": 1}, nil)
	faults := w.State().MetasimURL() + "/_sim/faults"
	call(t, http.MethodPut, faults, map[string]any{"rules": []map[string]any{
		{"match": map[string]any{"to_prefix": "91980000002"}, "effect": map[string]any{"error": 131026}}, // numbers 20 to 29
	}}, nil)
	c, number, _ := w.approve(t, n)
	until(t, "the campaign completes", time.Minute, func() bool { return w.status(t, c) == "COMPLETED" })
	require.Equal(t, out, w.counts(t, c)["FAILED"])
	require.Equal(t, n-out, w.stats(t, number).Unique)

	call(t, http.MethodPut, faults, map[string]any{"rules": []map[string]any{}}, nil)
	w.operator(t, "dlq", "ls", "--vendor", string(w.vendor), "--code", "131026")
	w.operator(t, "dlq", "replay", "--vendor", string(w.vendor), "--code", "131026", "--dry-run")
	w.operator(t, "dlq", "replay", "--vendor", string(w.vendor), "--code", "131026", "--rate", "20", "--json")
	letters, err := w.app.ListDeadLetters(t.Context(), w.vendor, store.LetterQuery{Filter: letter.Filter{Campaign: c}}, store.LetterCursor{}, 100)
	require.NoError(t, err)
	require.Len(t, letters, out)
	again := letters[0].Replay
	require.NotEmpty(t, again)
	w.operator(t, "campaign", "explain", "--vendor", string(w.vendor), string(again))
	until(t, "the replay completes", time.Minute, func() bool { return w.status(t, again) == "COMPLETED" })
	until(t, "everybody is reached", time.Minute, func() bool { k := w.counts(t, again); return k["DELIVERED"]+k["READ"] == out })
	s := w.stats(t, number)
	require.Equal(t, n, s.Unique)
	require.Zero(t, s.Duplicates)
	until(t, "the books add up", time.Minute, func() bool {
		d, err := w.app.ReconcileWallet(t.Context(), w.vendor)
		require.NoError(t, err)
		return d.OK()
	})
}

// operator runs one of the operator's verbs, as its database role.
func (w *world) operator(t *testing.T, args ...string) {
	t.Helper()
	root, err := devstack.FindRoot(".")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, ".stack", "bin", "kloyst"), args...)
	cmd.Env = append(cmd.Environ(), "DATABASE_URL="+w.State().DatabaseURL("kloyst_operator", devstack.Database))
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	t.Logf("kloyst %v\n%s", args, text)
}

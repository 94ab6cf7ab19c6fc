package devstack

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// foreign listens as some other process would.
func foreign(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port //nolint:errcheck // a TCP listener has no other
}

func TestAssignPorts(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c"}
	first, notes, err := assignPorts(names, nil, nil)
	require.NoError(t, err)
	require.Empty(t, notes)
	require.Len(t, first, 3)
	require.NotEqual(t, first["a"], first["b"])

	t.Run("keeps the ports of the last run", func(t *testing.T) {
		t.Parallel()
		again, notes, err := assignPorts(names, first, nil)
		require.NoError(t, err)
		require.Empty(t, notes)
		require.Equal(t, first, again)
	})
	t.Run("moves from a kept port that is taken and says so", func(t *testing.T) {
		t.Parallel()
		taken := foreign(t)
		moved, notes, err := assignPorts(names, map[string]int{"a": taken, "b": first["b"]}, nil)
		require.NoError(t, err)
		require.NotEqual(t, taken, moved["a"])
		require.Len(t, notes, 1)
		require.Contains(t, notes[0], "taken by another process")
		require.Contains(t, notes[0], "a now listens on")
	})
	t.Run("refuses a taken port that was asked for and says what to do", func(t *testing.T) {
		t.Parallel()
		taken := foreign(t)
		_, _, err := assignPorts(names, nil, map[string]int{"b": taken})
		require.ErrorContains(t, err, "taken by another process: stop that process")
		require.ErrorContains(t, err, "--port b=NUMBER")
	})
}

func TestProc_NamesOneProcessForGood(t *testing.T) {
	t.Parallel()
	self, err := identify(1)
	require.NoError(t, err)
	require.True(t, self.Alive())
	other := self
	other.Start++ // the number was given to a later process
	require.False(t, other.Alive())
	other = self
	other.Boot = "another" // the machine was started anew
	require.False(t, other.Alive())
	require.False(t, Proc{}.Alive())
}

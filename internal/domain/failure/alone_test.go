package failure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/failure"
)

func TestAlone(t *testing.T) {
	t.Parallel()
	again := func(halt failure.Scope) failure.Verdict {
		return failure.Verdict{Action: failure.Again, Halt: halt, Suppress: true}
	}
	final := failure.Verdict{Action: failure.Final, Suppress: true}
	for scope, want := range map[failure.Scope]failure.Verdict{
		failure.OwnMessage: again(failure.OwnMessage), failure.OwnCampaign: final, failure.OwnTemplate: final,
		failure.OwnNumber: again(failure.OwnNumber), failure.WholeAccount: again(failure.WholeAccount),
	} {
		require.Equal(t, want, again(scope).Alone(), scope)
	}
}

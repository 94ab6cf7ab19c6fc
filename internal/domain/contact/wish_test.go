package contact_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
)

func TestWishOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]contact.Wish{
		"STOP": contact.Stop, " stop. ": contact.Stop, "*Stop!*": contact.Stop, "opt-out": contact.Stop, "Unsubscribe": contact.Stop,
		"stop  all": contact.Stop, "start": contact.Start, "UNSTOP": contact.Start, "Opt In": contact.Start,
		"": "", "please stop": "", "stop sending by post": "", "cancel": "", "yes": "", "stopp": "",
	} {
		require.Equal(t, want, contact.WishOf(text), "%q", text)
	}
}

package contact_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
)

func TestSpellings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		waID string
		want []string
	}{
		"most are what they are":             {"919876543210", []string{"919876543210"}},
		"a plus sign is not theirs":          {"+919876543210", []string{"919876543210"}},
		"Brazil without the ninth digit":     {"555181234567", []string{"555181234567", "5551981234567"}},
		"Brazil with it":                     {"5511981234567", []string{"5511981234567"}},
		"a Brazilian landline never has one": {"551133334444", []string{"551133334444"}},
		"Mexico with a 1":                    {"5215512345678", []string{"5215512345678", "525512345678"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, contact.Spellings(tt.waID))
		})
	}
}

package contact_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/contact"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	require.Equal(t, contact.Identity(contact.PhoneIdentity, "+919876543210"), contact.Identity(contact.WAID, "919876543210"))
	require.NotEqual(t, contact.Identity(contact.BSUID, "919876543210"), contact.Identity(contact.WAID, "919876543210"))
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string][2]string{
		"keeps plain text":            {"Asha Rao", "Asha Rao"},
		"trims":                       {"  Asha ", "Asha"},
		"joins doubled spaces":        {"Asha  Rao", "Asha Rao"},
		"knows exotic spaces":         {"\u00a0Asha\u00a0\u2003Rao", "Asha Rao"},
		"drops control characters":    {"As\x00ha\x07", "Asha"},
		"drops a byte order mark":     {"\ufeffAsha", "Asha"},
		"keeps joiners of Devanagari": {"क्\u200dष", "क्\u200dष"},
		"keeps emoji":                 {"Asha 👩‍👩‍👧", "Asha 👩‍👩‍👧"},
		"drops broken UTF-8":          {"Ash\xffa", "Asha"},
		"turns line feeds to spaces":  {"Asha\r\nRao", "Asha Rao"},
		"leaves nothing of nothing":   {" \u200b ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt[1], contact.CleanText(tt[0]))
		})
	}
}

func TestSplitLabels(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"VIP", "Diwali 2026", "gold"}, contact.SplitLabels(" VIP; Diwali  2026 |vip,, gold "))
	require.Nil(t, contact.SplitLabels(" ;| "))
}

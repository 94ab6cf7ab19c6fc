package importing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/errs"
)

func TestParseMapping(t *testing.T) {
	t.Parallel()
	m, err := importing.ParseMapping([]byte(` {"phone": "Mobile", "attributes": {"city": "Ort"}} `))
	require.NoError(t, err)
	require.Equal(t, importing.Mapping{Phone: "Mobile", Attributes: map[string]string{"city": "Ort"}}, m)
	for name, text := range map[string]string{
		"nothing": "", "a word": `"Mobile"`, "a list": `[]`, "a field spelt wrong": `{"telephone": "Mobile"}`,
		"two at once": `{"phone": "a"} {"phone": "b"}`, "half of one": `{"phone": `,
	} {
		_, err := importing.ParseMapping([]byte(text))
		require.Equal(t, "import.invalid_mapping", errs.CodeOf(err), name)
	}
}

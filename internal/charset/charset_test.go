package charset_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/charset"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

func TestNewReader(t *testing.T) {
	t.Parallel()
	text := "phone,name\n+91,José नाम 👋\n"
	le, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(text)
	require.NoError(t, err)
	be, err := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(text)
	require.NoError(t, err)
	tests := map[string]struct {
		raw  string
		enc  importing.Encoding
		want string
	}{
		"UTF-8 as it is":    {text, importing.UTF8, text},
		"UTF-16 little end": {le, importing.UTF16LE, text},
		"UTF-16 big end":    {be, importing.UTF16BE, text},
		"Windows-1252":      {"Jos\xe9 \x80 \x93x\x94", importing.Windows1252, "José € “x”"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := charset.NewReader(strings.NewReader(tt.raw), tt.enc)
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
	_, err = charset.NewReader(nil, "EBCDIC")
	require.Error(t, err)
}

func TestLineFeeds(t *testing.T) {
	t.Parallel()
	got, err := io.ReadAll(charset.LineFeeds(strings.NewReader("a\rb\r\nc\nd\r")))
	require.NoError(t, err)
	require.Equal(t, "a\nb\nc\nd\n", string(got))
}

func TestChecker(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		for _, r := range []io.Reader{
			strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text)),
			iotest.HalfReader(strings.NewReader(text)),
		} {
			got, err := io.ReadAll(charset.NewChecker(r))
			if strings.ToValidUTF8(text, "?") == text {
				require.NoError(t, err)
				require.Equal(t, text, string(got))
			} else {
				require.ErrorIs(t, err, charset.ErrInvalid)
			}
		}
	})
}

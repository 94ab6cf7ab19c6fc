package metasim

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// hexDigits are lower case: Meta signs the escaped form with lower-case digits.
const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string the way Meta's webhooks carry it:
// ASCII only, \uXXXX in lower case (surrogate pairs beyond the BMP), and
// slashes escaped. The signature is over exactly these bytes.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	if plain(s) { // nearly every string there is
		return append(append(b, s...), '"')
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			b = appendUnit(appendUnit(b, r1), r2)
			continue
		}
		b = appendUnit(b, r)
	}
	return append(b, '"')
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '/' {
			return false
		}
	}
	return true
}

func appendASCII(b []byte, c byte) []byte {
	switch c {
	case '"', '\\', '/':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	if c < 0x20 {
		return appendUnit(b, rune(c))
	}
	return append(b, c)
}

func appendUnit(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// asciiJSON marshals v in the same form. It panics on a value that has no
// JSON form, which only a mistake in this package can bring about.
func asciiJSON(v any) []byte {
	var utf bytes.Buffer
	enc := json.NewEncoder(&utf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("metasim: " + err.Error())
	}
	return escapeJSON(bytes.TrimSuffix(utf.Bytes(), []byte("\n")))
}

// escapeJSON rewrites valid JSON so that it is ASCII with escaped slashes.
// Escapes that are there already stay as they are.
func escapeJSON(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(in)/8)
	for i := 0; i < len(in); {
		switch c := in[i]; {
		case c == '\\':
			out = append(out, c, in[i+1])
			i += 2
		case c == '/':
			out = append(out, '\\', '/')
			i++
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(in[i:])
			i += n
			if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
				out = appendUnit(appendUnit(out, r1), r2)
			} else {
				out = appendUnit(out, r)
			}
		}
	}
	return out
}

package importing_test

import (
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

func utf16Bytes(s string, big bool) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

func TestDetectEncoding(t *testing.T) {
	t.Parallel()
	text := "phone,name\n+919876543210,Asha\n"
	tests := map[string]struct {
		sample []byte
		want   importing.Encoding
		bom    int
	}{
		"plain ASCII is UTF-8":               {[]byte(text), importing.UTF8, 0},
		"a mark says UTF-8":                  {[]byte("\xef\xbb\xbf" + text), importing.UTF8, 3},
		"Devanagari in UTF-8":                {[]byte("फ़ोन,नाम\n"), importing.UTF8, 0},
		"UTF-8 cut inside a character":       {[]byte("name,नाम")[:len("name,नाम")-1], importing.UTF8, 0},
		"a mark says UTF-16, little end":     {append([]byte{0xff, 0xfe}, utf16Bytes(text, false)...), importing.UTF16LE, 2},
		"a mark says UTF-16, big end":        {append([]byte{0xfe, 0xff}, utf16Bytes(text, true)...), importing.UTF16BE, 2},
		"UTF-16 without a mark, little end":  {utf16Bytes(text, false), importing.UTF16LE, 0},
		"UTF-16 without a mark, big end":     {utf16Bytes(text, true), importing.UTF16BE, 0},
		"Windows-1252 when nothing else fit": {[]byte("name\nJos\xe9\n"), importing.Windows1252, 0},
		"nothing is UTF-8":                   {nil, importing.UTF8, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enc, bom := importing.DetectEncoding(tt.sample)
			require.Equal(t, tt.want, enc)
			require.Equal(t, tt.bom, bom)
		})
	}
}

func TestDetectShape(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want importing.Shape
	}{
		"a comma file": {
			"phone,name\n1234567890,Asha\n",
			importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"phone", "name"}},
		},
		"a semicolon file with commas in its cells": {
			"phone;name\n1234567890;Rao, Asha\n1234567891;Iyer, Ravi\n",
			importing.Shape{Delimiter: ';', HasHeader: true, Headers: []string{"phone", "name"}},
		},
		"a tab file": {
			"phone\tname\tcity\n1\t2\t3\n",
			importing.Shape{Delimiter: '\t', HasHeader: true, Headers: []string{"phone", "name", "city"}},
		},
		"a bar file": {"phone|name\n1|2\n", importing.Shape{Delimiter: '|', HasHeader: true, Headers: []string{"phone", "name"}}},
		"one column": {"mobile\n9876543210\n", importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"mobile"}}},
		"no header": {
			"9876543210,Asha\n9876543211,Ravi\n",
			importing.Shape{Delimiter: ',', Headers: []string{"Column 1", "Column 2"}},
		},
		"blank and repeated headers": {
			"phone,,Tag,Tag\n1,2,3,4\n",
			importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"phone", "Column 2", "Tag", "Tag (2)"}},
		},
		"Excel's separator line": {
			"sep=;\r\nphone;name\r\n1;2\r\n",
			importing.Shape{Delimiter: ';', Skip: 7, HasHeader: true, Headers: []string{"phone", "name"}},
		},
		"blank lines before the header": {
			"\n,,\nphone,name,x\n1,2,3\n",
			importing.Shape{Delimiter: ',', HasHeader: true, Headers: []string{"phone", "name", "x"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := importing.DetectShape([]byte(tt.text), true)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, err := importing.DetectShape([]byte("\n\n"), true)
	require.ErrorIs(t, err, importing.ErrNoRows)
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	m := importing.Suggest([]string{"Full Name", "Mobile No.", "Tags", "City", "Order Value"}, nil, "IN")
	require.Equal(t, importing.Mapping{
		Phone: "Mobile No.", Name: "Full Name", Labels: "Tags",
		Attributes: map[string]string{"city": "City", "order_value": "Order Value"},
	}, m)

	m = importing.Suggest([]string{"Column 1", "Column 2"}, [][]string{{"Asha", "098765 43210"}, {"Ravi", "+14165550123"}, {"X", "n/a"}}, "IN")
	require.Equal(t, "Column 2", m.Phone, "found by content")

	m = importing.Suggest([]string{"name", "city"}, [][]string{{"Asha", "Pune"}}, "IN")
	require.Empty(t, m.Phone, "nothing is made up")
}

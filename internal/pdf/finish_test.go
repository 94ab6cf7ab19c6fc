package pdf_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/pdf"
)

// sum32 adds up a font's words.
func sum32(b []byte) uint32 {
	b = append(append([]byte{}, b...), make([]byte, (4-len(b)%4)%4)...)
	var sum uint32
	for i := 0; i < len(b); i += 4 {
		sum += binary.BigEndian.Uint32(b[i:])
	}
	return sum
}

func TestQuotation_EmbeddedFontsAreWhole(t *testing.T) {
	t.Parallel()
	r, err := pdf.New(noto)
	require.NoError(t, err)
	file, err := r.Quotation(offer(t, "श्री லக்ஷ்மி", 3))
	require.NoError(t, err)
	streams := regexp.MustCompile(`/Length (\d+)/Length1 (\d+)>>stream\n`).FindAllSubmatchIndex(file, -1)
	require.GreaterOrEqual(t, len(streams), 2)
	for _, s := range streams {
		packed, err := strconv.Atoi(string(file[s[2]:s[3]]))
		require.NoError(t, err)
		z, err := zlib.NewReader(bytes.NewReader(file[s[1] : s[1]+packed]))
		require.NoError(t, err)
		font, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(len(font)), string(file[s[4]:s[5]]))
		require.Equal(t, uint32(0xB1B0AFBA), sum32(font), "the whole font adds up to the format's magic number")
		for i := range int(binary.BigEndian.Uint16(font[4:])) {
			record := font[12+16*i:]
			from, size := binary.BigEndian.Uint32(record[8:]), binary.BigEndian.Uint32(record[12:])
			table := append([]byte{}, font[from:from+size]...)
			if string(record[:4]) == "head" {
				clear(table[8:12])
			}
			require.Equal(t, binary.BigEndian.Uint32(record[4:]), sum32(table), string(record[:4]))
		}
	}
	require.Equal(t, bytes.Count(file, []byte("/Subtype/CIDFontType2")), bytes.Count(file, []byte("/CIDToGIDMap/Identity")))
}

// The cross-reference table leads to every object: readers that find it broken rebuild it,
// and say that the file is damaged.
func TestQuotation_TableOfObjectsIsRight(t *testing.T) {
	t.Parallel()
	r, err := pdf.New(noto)
	require.NoError(t, err)
	file, err := r.Quotation(offer(t, "Acme Foods", 30))
	require.NoError(t, err)
	start, err := strconv.Atoi(string(regexp.MustCompile(`startxref\n(\d+)\n`).FindSubmatch(file)[1]))
	require.NoError(t, err)
	lines := bytes.Split(file[start:], []byte("\n"))
	require.Equal(t, "xref", string(lines[0]))
	count, err := strconv.Atoi(string(bytes.TrimPrefix(lines[1], []byte("0 "))))
	require.NoError(t, err)
	for n := 1; n < count; n++ {
		offset, err := strconv.Atoi(string(lines[2+n][:10]))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(file[offset:], []byte(strconv.Itoa(n)+" 0 obj\n")), n)
	}
	require.Regexp(t, `/ID\[<[0-9a-f]{32}><[0-9a-f]{32}>\]`, string(file[start:]))
}

package importing_test

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/importing"
)

// records reads all records and where each begins.
func records(t require.TestingT, text string, delim byte) (recs []string, starts []int) {
	split := importing.Records(delim)
	pos := 0
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(make([]byte, 0, 64), importing.MaxRecord+4096)
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, rec, err := split(data, atEOF)
		if n > 0 {
			recs, starts = append(recs, string(rec)), append(starts, pos)
			pos += n
		}
		return n, rec, err
	})
	for sc.Scan() {
	}
	require.NoError(t, sc.Err())
	require.Equal(t, len(text), pos)
	return recs, starts
}

func TestRecords(t *testing.T) {
	t.Parallel()
	many := `"` + strings.Repeat("x\n", 300)
	tests := map[string]struct {
		text string
		want []string
	}{
		"splits lines":                         {"a,b\nc,d\n", []string{"a,b", "c,d"}},
		"knows a last line without end":        {"a,b\nc,d", []string{"a,b", "c,d"}},
		"knows CRLF":                           {"a,b\r\nc,d\r\n", []string{"a,b", "c,d"}},
		"keeps a line feed in quotes":          {"\"a\nb\",c\nd\n", []string{"\"a\nb\",c", "d"}},
		"keeps doubled quotes":                 {"\"a\"\"\nb\",c\nd\n", []string{"\"a\"\"\nb\",c", "d"}},
		"lets a quote in a bare cell be":       {"5\" pipe,x\ny\n", []string{"5\" pipe,x", "y"}},
		"takes a quote that never closes back": {"\"a,b\nc,d\n", []string{"\"a,b", "c,d"}},
		"gives up on a quote after many lines": {many, append([]string{"\"x"}, strings.Split(strings.TrimSuffix(strings.Repeat("x\n", 299), "\n"), "\n")...)},
		"forgives a quote inside quotes":       {"\"say \"hi\" now\",x\ny", []string{"\"say \"hi\" now\",x", "y"}},
		"yields empty lines":                   {"a\n\nb", []string{"a", "", "b"}},
		"reads nothing from nothing":           {"", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := records(t, tt.text, ',')
			require.Equal(t, tt.want, got)
		})
	}
}

func TestRecords_RefusesAnEndlessLine(t *testing.T) {
	t.Parallel()
	for _, tail := range []string{"", "\n"} {
		sc := bufio.NewScanner(strings.NewReader(strings.Repeat("x", importing.MaxRecord+1) + tail))
		sc.Buffer(nil, importing.MaxRecord+4096)
		sc.Split(importing.Records(','))
		require.False(t, sc.Scan())
		require.ErrorIs(t, sc.Err(), importing.ErrLineTooLong)
	}
	got, _ := records(t, strings.Repeat("x", importing.MaxRecord)+"\ny", ',')
	require.Len(t, got, 2)
}

// A chunk is a byte range cut between records: it must give the same records.
func TestRecords_APartReadsAsTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab\",; \r\n\n")), 0, 400, -1).Draw(t, "text")
		recs, starts := records(t, text, ',')
		if len(recs) == 0 {
			return
		}
		i := rapid.IntRange(0, len(recs)-1).Draw(t, "from")
		j := rapid.IntRange(i, len(recs)-1).Draw(t, "to")
		end := len(text)
		if j+1 < len(starts) {
			end = starts[j+1]
		}
		part, _ := records(t, text[starts[i]:end], ',')
		require.Equal(t, recs[i:j+1], part)
	})
}

func TestFields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rec   string
		delim byte
		want  []string
	}{
		"cuts at the delimiter":             {"a;b;c", ';', []string{"a", "b", "c"}},
		"keeps empty cells":                 {",a,,", ',', []string{"", "a", "", ""}},
		"takes quotes off":                  {`"a,b",c`, ',', []string{"a,b", "c"}},
		"halves doubled quotes":             {`"say ""hi""",c`, ',', []string{`say "hi"`, "c"}},
		"knows spaces around quotes":        {`a, "b,c" ,d`, ',', []string{"a", "b,c", "d"}},
		"lets a quote in a bare cell be":    {`5" pipe,b`, ',', []string{`5" pipe`, "b"}},
		"takes an open quote as character":  {`"a,b`, ',', []string{`"a`, "b"}},
		"keeps a tab file's spaces":         {"a b\t\"c\td\"", '\t', []string{"a b", "c\td"}},
		"reads one cell":                    {"abc", ',', []string{"abc"}},
		"reads an empty record as one cell": {"", ',', []string{""}},
		"reads empty quotes":                {`"",x`, ',', []string{"", "x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, importing.Fields([]byte(tt.rec), tt.delim, nil))
		})
	}
}

// What a proper writer quotes is read back as it was.
func TestFields_ReadsBackWhatIsQuoted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.SliceOfN(rapid.StringOf(rapid.SampledFrom([]rune("ab\",;\n é"))), 1, 5).Draw(t, "cells")
		var quoted []string
		for _, c := range cells {
			quoted = append(quoted, `"`+strings.ReplaceAll(c, `"`, `""`)+`"`)
		}
		recs, _ := records(t, strings.Join(quoted, ",")+"\r\nnext", ',')
		require.Len(t, recs, 2)
		require.Equal(t, cells, importing.Fields([]byte(recs[0]), ',', nil))
	})
}

func TestBlank(t *testing.T) {
	t.Parallel()
	for rec, want := range map[string]bool{"": true, ",,,": true, ` , "",`: true, "\t": true, "0": false, ",x,": false, "é": false} {
		require.Equal(t, want, importing.Blank([]byte(rec), ','), "%q", rec)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("a,\"b\nc\",d\r\n\"x"), byte(','))
	f.Add([]byte("\"\"\"\"\n;;\n"), byte(';'))
	f.Fuzz(func(t *testing.T, data []byte, delim byte) {
		if delim == '"' || delim == '\n' || delim == '\r' || len(data) > importing.MaxRecord {
			return
		}
		recs, _ := records(t, string(data), delim)
		for _, r := range recs {
			cells := importing.Fields([]byte(r), delim, nil)
			require.NotEmpty(t, cells)
			require.LessOrEqual(t, len(cells), bytes.Count([]byte(r), []byte{delim})+1)
		}
	})
}

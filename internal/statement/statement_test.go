package statement_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/statement"
)

// written is a statement of n holds of 1.000001 and a correction, in the format.
func written(t *testing.T, f statement.Format, n int) []byte {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	fonts, err := pdf.New("/usr/share/fonts/truetype/noto")
	require.NoError(t, err)
	var out bytes.Buffer
	w := statement.New(f, fonts, &out)
	at := wallet.Balances{Available: 10_000_000_000}
	s := wallet.Statement{
		Vendor: "श्री लक्ष्मी ट्रेडर्स", Currency: "INR", Zone: zone, Opening: at, Entries: n + 1,
		Period: wallet.Period{From: time.Date(2026, 9, 30, 18, 30, 0, 0, time.UTC), Until: time.Date(2026, 10, 31, 18, 30, 0, 0, time.UTC)},
	}
	const hold = money.Micros(1_000_001)
	s.Closing = wallet.Balances{Available: at.Available - money.Micros(n)*hold - 5, Held: money.Micros(n) * hold}
	require.NoError(t, w.Begin(s))
	entry := func(m wallet.Movement) {
		m.At = s.From.Add(time.Hour)
		at, err = at.After(m)
		require.NoError(t, err)
		require.NoError(t, w.Entry(m, at))
	}
	entry(wallet.Movement{
		ID: "0", Kind: wallet.KindAdjust, Reference: "adjust/T-1", Actor: "=cmd()", Reason: "@wrong", Change: wallet.Balances{Available: -5},
	})
	for i := range n {
		entry(wallet.Movement{
			ID: fmt.Sprint(i + 1), Kind: wallet.KindHold, Reference: fmt.Sprintf("hold/%d", i), Campaign: "c", Name: "Diwali दिवाली", Actor: "system",
			Change: wallet.Balances{Available: -hold, Held: hold},
		})
	}
	require.Equal(t, s.Closing, at)
	require.NoError(t, w.End())
	return out.Bytes()
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var b statement.Body
	require.NoError(t, json.Unmarshal(written(t, statement.JSON, 2), &b))
	require.Equal(t, statement.BalanceBody{BalanceMicros: 10_000_000_000}, b.Opening)
	require.Equal(t, statement.BalanceBody{BalanceMicros: 9_997_999_993, HeldMicros: 2_000_002}, b.Closing)
	require.Len(t, b.Entries, 3)
	require.Equal(t, b.Closing, b.Entries[2].After)
	require.Equal(t, "@wrong", b.Entries[0].Reason)
	require.Equal(t, "Asia/Kolkata", b.TimeZone)
}

func TestCSV(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(bytes.NewReader(written(t, statement.CSV, 2))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 6)
	require.Equal(t, []string{"2026-10-01T00:00:00+05:30", "OPENING", "", "", "", "", "", "", "10000.00", "0.00", "INR"}, rows[1])
	require.Equal(t, []string{"2026-10-01T01:00:00+05:30", "ADJUST", "adjust/T-1", "", "'=cmd()", "'@wrong", "-0.000005", "0.00", "9999.999995", "0.00", "INR"}, rows[2])
	require.Equal(t, []string{"2026-11-01T00:00:00+05:30", "CLOSING", "", "", "", "", "", "", "9997.999993", "2.000002", "INR"}, rows[5])
}

func TestXLSX(t *testing.T) {
	t.Parallel()
	file, err := excelize.OpenReader(bytes.NewReader(written(t, statement.XLSX, 2)))
	require.NoError(t, err)
	defer file.Close()
	rows, err := file.GetRows("Statement", excelize.Options{RawCellValue: true})
	require.NoError(t, err)
	require.Len(t, rows, 6)
	require.Equal(t, "'=cmd()", rows[2][4])
	require.Equal(t, []string{"-1.000001", "1.000001", "9998.999994", "1.000001", "INR"}, rows[3][6:])
	kind, err := file.GetCellType("Statement", "G4")
	require.NoError(t, err)
	require.NotEqual(t, excelize.CellTypeInlineString, kind, "amounts are numbers")
	require.Equal(t, []string{"9997.999993", "2.000002", "INR"}, rows[5][8:])
}

func TestPDF(t *testing.T) {
	t.Parallel()
	for n, pages := range map[int]int{1: 1, 60: 3} {
		file := written(t, statement.PDF, n)
		require.Equal(t, "%PDF-", string(file[:5]))
		require.Equal(t, pages, bytes.Count(file, []byte("/Type/Page/")), n)
	}
	w := statement.New(statement.PDF, nil, nil)
	require.ErrorIs(t, w.Begin(wallet.Statement{Entries: 5_001}), wallet.ErrTooLong)
}

func TestParseFormat(t *testing.T) {
	t.Parallel()
	f, err := statement.ParseFormat("")
	require.NoError(t, err)
	require.Equal(t, statement.JSON, f)
	_, err = statement.ParseFormat("doc")
	require.ErrorIs(t, err, statement.ErrFormat)
}

package money_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		want    money.Micros
		wantErr error
	}{
		"reads whole units":                  {text: "100", want: 100_000_000},
		"reads six decimals":                 {text: "0.000001", want: 1},
		"reads a rate as Meta prints it":     {text: "0.0118", want: 11_800},
		"reads a minus":                      {text: "-1.5", want: -1_500_000},
		"reads the largest amount":           {text: "9223372036854.775807", want: math.MaxInt64},
		"refuses one more":                   {text: "9223372036854.775808", wantErr: money.ErrOverflow},
		"refuses a seventh decimal":          {text: "0.0000001", wantErr: money.ErrSyntax},
		"refuses an exponent":                {text: "1e6", wantErr: money.ErrSyntax},
		"refuses grouping":                   {text: "1,000", wantErr: money.ErrSyntax},
		"refuses a point without decimals":   {text: "1.", wantErr: money.ErrSyntax},
		"refuses a point without whole part": {text: ".5", wantErr: money.ErrSyntax},
		"refuses nothing":                    {text: "", wantErr: money.ErrSyntax},
		"refuses a plus":                     {text: "+1", wantErr: money.ErrSyntax},
		"refuses other digits":               {text: "१२", wantErr: money.ErrSyntax},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := money.Parse(tt.text)
			require.ErrorIs(t, err, tt.wantErr)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestString_IsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := money.Micros(rapid.Int64Range(-math.MaxInt64, math.MaxInt64).Draw(t, "micros"))
		back, err := money.Parse(m.String())
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}

func TestFormat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		currency money.Currency
		micros   money.Micros
		want     string
	}{
		"groups dollars by threes":      {"USD", 1_234_567_500_000, "$1,234,567.50"},
		"groups rupees the Indian way":  {"INR", 1_234_567_500_000, "₹12,34,567.50"},
		"groups a lakh":                 {"INR", 100_000_000_000, "₹1,00,000.00"},
		"leaves hundreds alone":         {"INR", 999_000_000, "₹999.00"},
		"shows small rates whole":       {"USD", 11_800, "$0.0118"},
		"puts the minus first":          {"EUR", -3_000_000, "-€3.00"},
		"names a currency it lacks":     {"XXX", 1_000_000, "XXX 1.00"},
		"shows the smallest amount":     {"USD", -1, "-$0.000001"},
		"shows the lowest possible one": {"USD", math.MinInt64, "-$9,223,372,036,854.775808"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.currency.Format(tt.micros))
		})
	}
	require.Equal(t, "$0.01", money.Currency("USD").FormatRounded(5_000))
	require.Equal(t, "$0.00", money.Currency("USD").FormatRounded(4_999))
	require.Equal(t, "-$0.01", money.Currency("USD").FormatRounded(-5_000))
	require.Equal(t, "$0.0250", money.Currency("USD").FormatRate(25_000))
	require.Equal(t, "₹1.234567", money.Currency("INR").FormatRate(1_234_567))
	require.Equal(t, "12,34,567", money.Currency("INR").FormatCount(1_234_567))
}

func TestWords(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		currency money.Currency
		micros   money.Micros
		want     string
	}{
		"says cents":             {"USD", 1_205_500_000, "US dollars one thousand two hundred five and fifty cents only"},
		"says lakh and crore":    {"INR", 123_456_789_000_000, "Rupees twelve crore thirty-four lakh fifty-six thousand seven hundred eighty-nine only"},
		"counts crores":          {"INR", 1_000_000_000_000_000_000, "Rupees one lakh crore only"},
		"says millions":          {"EUR", 2_000_017_000_000, "Euros two million seventeen only"},
		"uses one of one":        {"GBP", 1_000_000, "Pound sterling one only"},
		"says zero":              {"INR", 0, "Rupees zero only"},
		"rounds to hundredths":   {"INR", 1_996_000, "Rupees two only"},
		"keeps the minus":        {"USD", -2_250_000, "Minus US dollars two and twenty-five cents only"},
		"says hundreds and tens": {"INR", 999_000_000, "Rupees nine hundred ninety-nine only"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.currency.Words(tt.micros))
		})
	}
}

func TestParseCurrency(t *testing.T) {
	t.Parallel()
	got, err := money.ParseCurrency(" inr ")
	require.NoError(t, err)
	require.Equal(t, money.Currency("INR"), got)
	_, err = money.ParseCurrency("XXX")
	require.ErrorIs(t, err, money.ErrCurrency)
}

func TestArithmetic_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	_, err := money.Add(math.MaxInt64, 1)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Add(math.MinInt64, -1)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Micros(math.MaxInt64).Times(2)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Micros(1).Times(-1)
	require.ErrorIs(t, err, money.ErrOverflow)
	_, err = money.Micros(math.MaxInt64).BasisPoints(10_001)
	require.ErrorIs(t, err, money.ErrOverflow)
	all, err := money.Micros(math.MaxInt64).BasisPoints(10_000)
	require.NoError(t, err)
	require.Equal(t, money.Micros(math.MaxInt64), all)
	half, err := money.Micros(25).BasisPoints(200) // 0.5 of a micro
	require.NoError(t, err)
	require.Equal(t, money.Micros(1), half)
}

func TestShares_AddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := money.Micros(rapid.Int64Range(0, 1<<50).Draw(t, "total"))
		n := rapid.Int64Range(1, 1_000_000).Draw(t, "n")
		floor, extra, err := money.Shares(total, n)
		require.NoError(t, err)
		require.Less(t, extra, n)
		require.Equal(t, total, floor*money.Micros(n-extra)+(floor+1)*money.Micros(extra))
	})
	_, _, err := money.Shares(1, 0)
	require.ErrorIs(t, err, money.ErrShare)
}

func TestAllocate_AddsUpAndKeepsProportion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := money.Micros(rapid.Int64Range(0, math.MaxInt64).Draw(t, "total"))
		raw := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64/64), 1, 60).Draw(t, "weights")
		weights := make([]money.Micros, len(raw))
		for i, w := range raw {
			weights[i] = money.Micros(w)
		}
		parts, err := money.Allocate(total, weights)
		require.NoError(t, err)
		sum, err := money.Sum(parts...)
		require.NoError(t, err)
		require.Equal(t, total, sum)
		for i, p := range parts {
			require.GreaterOrEqual(t, p, money.Micros(0))
			for j := range i {
				if weights[i] >= weights[j] && weights[i] > 0 {
					require.GreaterOrEqual(t, p, parts[j]-1, "a heavier part is at most a micro behind")
				}
			}
		}
	})
	parts, err := money.Allocate(10, []money.Micros{1, 1, 1})
	require.NoError(t, err)
	require.Equal(t, []money.Micros{4, 3, 3}, parts)
	parts, err = money.Allocate(7, []money.Micros{0, 0})
	require.NoError(t, err)
	require.Equal(t, []money.Micros{7, 0}, parts)
	_, err = money.Allocate(1, nil)
	require.ErrorIs(t, err, money.ErrShare)
}

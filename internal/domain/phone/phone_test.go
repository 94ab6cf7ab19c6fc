package phone_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw, region, want, wantRegion string
		wantErr                       error
	}{
		"reads an international number":                    {raw: "+91 98765 43210", region: "US", want: "+919876543210", wantRegion: "IN"},
		"reads a national number of the default country":   {raw: "98765-43210", region: "IN", want: "+919876543210", wantRegion: "IN"},
		"drops the trunk zero":                             {raw: "09876543210", region: "IN", want: "+919876543210", wantRegion: "IN"},
		"knows its own calling code without the plus":      {raw: "919876543210", region: "IN", want: "+919876543210", wantRegion: "IN"},
		"takes 00 for the plus anywhere":                   {raw: "0044 7400 123456", region: "US", want: "+447400123456", wantRegion: "GB"},
		"reads a trunk zero written in brackets":           {raw: "+44 (0)7400 123456", region: "IN", want: "+447400123456", wantRegion: "GB"},
		"keeps Italy's leading zero":                       {raw: "+39 06 1234 5678", region: "", want: "+390612345678", wantRegion: "IT"},
		"tells Canada from the United States":              {raw: "(416) 555-0123", region: "CA", want: "+14165550123", wantRegion: "CA"},
		"reads Arabic-Indic digits":                        {raw: "+٩٧١ ٥٠ ١٢٣ ٤٥٦٧", region: "", want: "+971501234567", wantRegion: "AE"},
		"reads Devanagari digits":                          {raw: "९८७६५४३२१०", region: "IN", want: "+919876543210", wantRegion: "IN"},
		"reads full-width digits":                          {raw: "＋９１９８７６５４３２１０", region: "", want: "+919876543210", wantRegion: "IN"},
		"ignores non-breaking spaces":                      {raw: "\u00a0+91\u00a098765\u202f43210\u00a0", region: "", want: "+919876543210", wantRegion: "IN"},
		"ignores invisible marks":                          {raw: "\u202a+919876543210\u202c\ufeff", region: "", want: "+919876543210", wantRegion: "IN"},
		"ignores the apostrophe of a text cell":            {raw: "'+919876543210", region: "", want: "+919876543210", wantRegion: "IN"},
		"ignores the formula of a text cell":               {raw: `="919876543210"`, region: "IN", want: "+919876543210", wantRegion: "IN"},
		"ignores a fraction of nothing":                    {raw: "919876543210.0", region: "IN", want: "+919876543210", wantRegion: "IN"},
		"ignores tel:":                                     {raw: "tel:+91-98765-43210", region: "", want: "+919876543210", wantRegion: "IN"},
		"takes bare digits as international, no default":   {raw: "919876543210", region: "", want: "+919876543210", wantRegion: "IN"},
		"reads dots and slashes":                           {raw: "030/901820", region: "DE", want: "+4930901820", wantRegion: "DE"},
		"reads unusual dashes":                             {raw: "+1 212–736−5000", region: "", want: "+12127365000", wantRegion: "US"},
		"refuses an empty cell":                            {raw: " \u00a0 ", region: "IN", wantErr: phone.ErrEmpty},
		"refuses what the spreadsheet rounded":             {raw: "9.19E+11", region: "IN", wantErr: phone.ErrScientific},
		"refuses a rounded number with a comma":            {raw: "9,19877E+11", region: "IN", wantErr: phone.ErrScientific},
		"refuses letters":                                  {raw: "1-800-FLOWERS", region: "US", wantErr: phone.ErrNotANumber},
		"refuses a name":                                   {raw: "Asha Rao", region: "IN", wantErr: phone.ErrNotANumber},
		"refuses an extension":                             {raw: "+1 212 736 5000 x12", region: "US", wantErr: phone.ErrNotANumber},
		"refuses two numbers":                              {raw: "9876543210 / 9876543211", region: "IN", wantErr: phone.ErrSeveral},
		"refuses a plus in the middle":                     {raw: "0+919876543210", region: "IN", wantErr: phone.ErrNotANumber},
		"refuses too few digits":                           {raw: "98765", region: "IN", wantErr: phone.ErrTooShort},
		"refuses one digit":                                {raw: "7", region: "IN", wantErr: phone.ErrTooShort},
		"refuses too many digits":                          {raw: "+1 212 736 50001", region: "IN", wantErr: phone.ErrTooLong},
		"refuses a page of digits":                         {raw: "98765432109876543210", region: "IN", wantErr: phone.ErrTooLong},
		"refuses a calling code nobody has":                {raw: "+999 1234 5678", region: "IN", wantErr: phone.ErrCountry},
		"refuses an unassigned range":                      {raw: "+1 111 111 1111", region: "IN", wantErr: phone.ErrInvalid},
		"refuses networks of no country":                   {raw: "+800 1234 5678", region: "", wantErr: phone.ErrCountry},
		"refuses a national number when no country is set": {raw: "09876543210", region: "", wantErr: phone.ErrCountry},
		"refuses signs only":                               {raw: "+-()", region: "IN", wantErr: phone.ErrNotANumber},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := phone.Parse(tt.raw, tt.region)
			if tt.wantErr != nil {
				require.ErrorIs(t, err, tt.wantErr)
				require.True(t, got.IsZero())
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got.String())
			require.Equal(t, tt.wantRegion, got.Region())
			require.Equal(t, got, phone.Restore(tt.want, tt.wantRegion))
		})
	}
}

func TestParse_OwnTextIsTheSameNumber(t *testing.T) {
	t.Parallel()
	var regions []string
	for r := range phonenumbers.GetSupportedRegions() {
		regions = append(regions, r)
	}
	rapid.Check(t, func(t *rapid.T) {
		region := rapid.SampledFrom(regions).Draw(t, "region")
		example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if example == nil {
			example = phonenumbers.GetExampleNumber(region)
		}
		digits := []byte(phonenumbers.GetNationalSignificantNumber(example))
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			digits[rapid.IntRange(1, len(digits)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("0123456789")).Draw(t, "digit")
		}
		n, err := phone.Parse(string(digits), region)
		if err != nil {
			return
		}
		requireFixed(t, n)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("+91 98765 43210", "IN")
	f.Add("0044(0)7911123456", "US")
	f.Add("9.19E+11", "")
	f.Add("٠٠٩٧١٥٠١٢٣٤٥٦٧", "AE")
	f.Add("+5215512345678", "MX")
	f.Add("+54 9 11 2345-6789", "AR")
	f.Fuzz(func(t *testing.T, raw, region string) {
		n, err := phone.Parse(raw, region)
		if err != nil {
			require.True(t, n.IsZero())
			return
		}
		requireFixed(t, n)
	})
}

func requireFixed(t require.TestingT, n phone.Number) {
	require.Regexp(t, `^\+[1-9][0-9]{3,16}$`, n.String())
	require.Regexp(t, `^[A-Z]{2}$`, n.Region())
	for _, region := range []string{"", n.Region(), "US", "IN"} {
		again, err := phone.Parse(n.String(), region)
		require.NoError(t, err)
		require.Equal(t, n, again)
	}
}

func TestNumber_StaysOutOfLogs(t *testing.T) {
	t.Parallel()
	n, err := phone.Parse("+919876543210", "")
	require.NoError(t, err)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "number", n)
	require.NotContains(t, out.String(), "98765")
	require.Contains(t, out.String(), "IN")
	require.NotContains(t, fmt.Sprintf("%#v", n), "98765")
	require.Equal(t, "919876543210", n.Digits())
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := phone.Parse("098765 43210", "IN"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"+919876543210": "+••••••••3210", "+123456789": "+•••••6789", "+12345678": "+••••••••", "+1": "+•", "": "+",
	} {
		require.Equal(t, want, phone.Mask(number), number)
	}
}

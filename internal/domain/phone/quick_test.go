package phone_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

// perRegion is how many numbers of each region are compared; a longer run says -phone.per-region=100000.
var perRegion = flag.Int("phone.per-region", 400, "generated numbers of each region that are compared with the library")

// TestQuick_ReportsWhatTheLibraryReports compares both ways over numbers of every region: its
// examples of every kind with digits changed, added and taken away, and random ones, in every
// spelling and under several default regions.
func TestQuick_ReportsWhatTheLibraryReports(t *testing.T) {
	t.Parallel()
	regions := slices.Sorted(func(yield func(string) bool) {
		for r := range phonenumbers.GetSupportedRegions() {
			if !yield(r) {
				return
			}
		}
	})
	for i, region := range regions {
		t.Run(region, func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			g := generator{rnd: rnd, region: region, code: strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region)), regions: regions}
			quick, valid := 0, 0
			for range *perRegion {
				raw, home := g.cell()
				want, err := phone.ByLibrary(raw, home)
				got, ok := phone.Quick(raw, home)
				if ok {
					quick++
					require.NoError(t, err, "%q in %q", raw, home)
					require.Equal(t, want, got, "%q in %q: %s %s, the library says %s %s", raw, home, got.String(), got.Region(), want.String(), want.Region())
				}
				if err == nil {
					valid++
				}
			}
			t.Logf("%s: %d cells, %d numbers, %d of them quick", region, *perRegion, valid, quick)
		})
	}
}

// generator makes cells that are, nearly are, or once were numbers of a region.
type generator struct {
	rnd          *rand.Rand
	region, code string
	regions      []string
}

func (g generator) cell() (raw, home string) {
	digits := g.national()
	switch g.rnd.IntN(8) {
	case 0:
		digits = "0" + digits
	case 1:
		digits = strconv.Itoa(g.rnd.IntN(100)) + digits
	}
	home = g.home()
	switch g.rnd.IntN(9) {
	case 0:
		return digits, home
	case 1:
		return g.code + digits, home
	case 2:
		return "00" + g.code + digits, home
	case 3:
		return fmt.Sprintf("+%s (0)%s", g.code, g.spaced(digits)), home
	case 4:
		return fmt.Sprintf("+%s-%s", g.code, g.spaced(digits)), home
	case 5:
		return g.spaced(digits), g.region
	case 6:
		return digits, g.region
	case 7:
		return g.code + digits, g.region
	}
	return "+" + g.code + digits, home
}

// home is the default region: the number's own, one of the same calling code, any, or none.
func (g generator) home() string {
	switch g.rnd.IntN(4) {
	case 0:
		return g.region
	case 1:
		code := phonenumbers.GetCountryCodeForRegion(g.region)
		same := phonenumbers.GetRegionCodesForCountryCode(code)
		return same[g.rnd.IntN(len(same))]
	case 2:
		return g.regions[g.rnd.IntN(len(g.regions))]
	}
	return ""
}

func (g generator) national() string {
	kinds := []phonenumbers.PhoneNumberType{
		phonenumbers.MOBILE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE, phonenumbers.TOLL_FREE, phonenumbers.PREMIUM_RATE,
		phonenumbers.SHARED_COST, phonenumbers.VOIP, phonenumbers.PERSONAL_NUMBER, phonenumbers.PAGER, phonenumbers.UAN,
		phonenumbers.VOICEMAIL,
	}
	digits := []byte(strconv.FormatUint(g.rnd.Uint64N(1e12), 10))
	if n := phonenumbers.GetExampleNumberForType(g.region, kinds[g.rnd.IntN(len(kinds))]); n != nil && g.rnd.IntN(10) > 0 {
		digits = []byte(phonenumbers.GetNationalSignificantNumber(n))
	}
	for range g.rnd.IntN(6) {
		// Mostly behind the first digits, which say what kind of number it is.
		at := g.rnd.IntN(len(digits))
		if g.rnd.IntN(3) > 0 {
			at = max(at, len(digits)/2)
		}
		digits[at] = byte('0' + g.rnd.IntN(10))
	}
	switch g.rnd.IntN(12) {
	case 0:
		digits = append(digits, byte('0'+g.rnd.IntN(10)))
	case 1:
		digits = digits[:len(digits)-1]
	}
	return string(digits)
}

func (g generator) spaced(digits string) string {
	out := []byte{}
	for i := range len(digits) {
		if i > 0 && g.rnd.IntN(3) == 0 {
			out = append(out, " -.() "[g.rnd.IntN(6)])
		}
		out = append(out, digits[i])
	}
	return string(out)
}

// FuzzQuick looks for a cell about which the two ways differ.
func FuzzQuick(f *testing.F) {
	f.Add("+91 98765 43210", "IN")
	f.Add("0044(0)7911123456", "US")
	f.Add("919876543210.0", "IN")
	f.Add("011 44 7911 123456", "US")
	f.Add("+5215512345678", "MX")
	f.Add("09 11 2345-6789", "AR")
	f.Fuzz(func(t *testing.T, raw, region string) {
		got, ok := phone.Quick(raw, region)
		if !ok {
			return
		}
		want, err := phone.ByLibrary(raw, region)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// TestQuick_KnowsTheSpellingsOfMostFiles keeps the common shapes from falling back unnoticed.
func TestQuick_KnowsTheSpellingsOfMostFiles(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"+919876543210", "9876543210", "09876543210", "+91 98765 43210", "91-9876543210", " 98765-43211", "00919876543210",
		"+1 (212) 736-5000", "001 212 7365000", "+1.212.736.5001", "+55 11 98765-4321", "+55 (11) 987654321",
		"+44 7400 123456", "+44 (0)7400123456", "00447400123456", "+62 811-2345-6789", "+971501234567", "+4915123456789",
		"+33 6 12 34 56 78", "+39 06 1234 5678", "+234 802 123 4567", "+14165550123", "+77012345678", "+6591234567",
	} {
		got, ok := phone.Quick(raw, "IN")
		require.True(t, ok, raw)
		want, err := phone.ByLibrary(raw, "IN")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func BenchmarkQuick(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := phone.Quick("098765 43210", "IN"); !ok {
			b.Fatal("slow")
		}
	}
}

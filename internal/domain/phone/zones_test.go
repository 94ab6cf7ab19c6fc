package phone_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

func TestTimeZones(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"Asia/Calcutta"}, phone.TimeZones("+919876543210"))
	require.Equal(t, []string{"America/New_York"}, phone.TimeZones("+12125550123"))
	require.Equal(t, []string{"America/Los_Angeles"}, phone.TimeZones("+13105550123"))
	require.Equal(t, []string{"Asia/Almaty", "Asia/Aqtobe"}, phone.TimeZones("+77011234567"), "a Kazakh mobile may be in either")
	require.Empty(t, phone.TimeZones("+"))
	require.Empty(t, phone.TimeZones(""))

	require.Equal(t, phone.TimeZones("+919876543210"), phone.CountryTimeZones("IN"))
	us := phone.CountryTimeZones("US")
	require.Contains(t, us, "America/New_York")
	require.Contains(t, us, "Pacific/Honolulu")
	require.Empty(t, phone.CountryTimeZones("ZZ"))
	for _, country := range []string{"IN", "US", "BR", "RU", "AU", "ID", "MX", "CA", "KZ", "CD", "DE", "AE"} {
		zones := phone.CountryTimeZones(country)
		require.NotEmpty(t, zones, country)
		require.True(t, slices.IsSorted(zones), country)
		for _, z := range zones {
			_, err := time.LoadLocation(z)
			require.NoError(t, err, z)
		}
	}
}

func BenchmarkTimeZones(b *testing.B) {
	for b.Loop() {
		phone.TimeZones("+13105550123")
	}
}

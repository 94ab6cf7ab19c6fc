package phone

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// TimeZones returns the IANA time zones in which the subscriber of an E.164 number may
// be, sorted: one for most countries, several where the numbering plan does not tell
// them apart. Empty: not known.
//
// Source: libphonenumber's map of prefixes to time zones, as the library carries it.
func TimeZones(e164 string) []string { return zonesOf(strings.TrimPrefix(e164, "+")) }

// CountryTimeZones returns the zones of a whole country (ISO 3166-1 alpha-2), for when the
// number itself cannot be looked at: those of its calling code, so that a country which
// shares its code (+1) gets the zones of all that share it. Empty: not known.
func CountryTimeZones(country string) []string {
	code := phonenumbers.GetCountryCodeForRegion(country)
	if code == 0 {
		return nil
	}
	return zonesOf(strconv.Itoa(code))
}

func zonesOf(digits string) []string {
	zones, err := phonenumbers.GetTimezonesForPrefix(digits)
	if err != nil || len(zones) == 1 && zones[0] == phonenumbers.UNKNOWN_TIMEZONE {
		return nil
	}
	return zones
}

// OneZoneCountries returns the countries whose calling code has one time zone: their
// numbers tell nothing more. Sorted.
func OneZoneCountries() []string {
	var out []string
	for country := range phonenumbers.GetSupportedRegions() {
		if len(CountryTimeZones(country)) == 1 {
			out = append(out, country)
		}
	}
	slices.Sort(out)
	return out
}

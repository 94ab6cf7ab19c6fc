package contact

import "strings"

// Spellings are the digits by which one number may be known, its WhatsApp id among them:
// some Brazilian ids lack the ninth digit of the number, Mexican ones have a 1 after the
// country code that numbers lost. waID comes first.
// Source: Meta, phone number formats; ANATEL and IFT numbering changes, read 2026-09.
func Spellings(waID string) []string {
	waID = strings.TrimPrefix(waID, "+")
	switch {
	case strings.HasPrefix(waID, "55") && len(waID) == 12 && waID[4] >= '6': // a mobile number
		return []string{waID, waID[:4] + "9" + waID[4:]}
	case strings.HasPrefix(waID, "521") && len(waID) == 13:
		return []string{waID, "52" + waID[3:]}
	}
	return []string{waID}
}

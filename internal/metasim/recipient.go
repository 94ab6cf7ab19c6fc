package metasim

import (
	"strconv"
	"strings"
)

// recipient is whom a message goes to: a phone by its digits, or a person the
// business only knows by a business-scoped user id.
type recipient struct {
	input string // as the client wrote it
	waID  string // digits as WhatsApp knows them; "" for a user id
	bsuid string
	key   uint64
}

// parseRecipient reads to and recipient; to wins.
func parseRecipient(m *sendRequest, from *number, cfg *Config) (recipient, *graphError) {
	if m.To == "" {
		if cc, rest, ok := strings.Cut(m.Recipient, "."); !ok || len(cc) != 2 || rest == "" {
			return recipient{}, refusef(131009, "recipient is not a business-scoped user id")
		}
		return recipient{input: m.Recipient, bsuid: m.Recipient, key: hashString(m.Recipient) | 1<<63}, nil
	}
	input := string(m.To)
	digits := make([]byte, 0, len(input))
	for i := range len(input) {
		switch c := input[i]; {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
		case c == '+' && i == 0, c == '-', c == '(', c == ')', c == ' ':
		default:
			return recipient{}, refusef(131009, "Recipient phone number is not valid")
		}
	}
	number := string(digits)
	if cfg.PrependCountryCode && input[0] != '+' {
		number = from.digits[:len(callingCode(from.digits))] + number
	}
	// E.164 has at most 15 digits; the shortest numbers with country code 7.
	if len(number) < 7 || len(number) > 15 || number[0] == '0' {
		return recipient{}, refusef(131009, "Recipient phone number is not valid")
	}
	waID := rewrite(number)
	key, _ := strconv.ParseUint(waID, 10, 64) // at most 16 digits
	return recipient{input: input, waID: waID, key: key}, nil
}

// rewrite turns E.164 digits into WhatsApp's id where the two differ: Brazilian
// mobiles outside the area codes 11 to 28 lose the ninth digit, Mexican ones
// gain a 1 after the country code.
func rewrite(digits string) string {
	switch {
	case strings.HasPrefix(digits, "55") && len(digits) == 13 && digits[4] == '9' && digits[2:4] > "28":
		return digits[:4] + digits[5:]
	case strings.HasPrefix(digits, "52") && len(digits) == 12:
		return "521" + digits[2:]
	}
	return digits
}

// callingCode is the country code at the head of international digits, as
// far as this package needs to tell countries apart.
func callingCode(digits string) string {
	for _, n := range []int{1, 2, 3} {
		if len(digits) < n {
			break
		}
		switch head := digits[:n]; head {
		case "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
			"48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
			"81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98":
			return head
		}
	}
	return digits[:min(3, len(digits))]
}

// country is the ISO code that starts a person's user id; "ZZ" stands for
// those this simulator does not know.
func country(digits string) string {
	codes := [...]struct{ calling, iso string }{
		{"1", "US"},
		{"7", "RU"},
		{"20", "EG"},
		{"27", "ZA"},
		{"31", "NL"},
		{"33", "FR"},
		{"34", "ES"},
		{"39", "IT"},
		{"44", "GB"},
		{"49", "DE"},
		{"52", "MX"},
		{"54", "AR"},
		{"55", "BR"},
		{"57", "CO"},
		{"60", "MY"},
		{"62", "ID"},
		{"65", "SG"},
		{"90", "TR"},
		{"91", "IN"},
		{"92", "PK"},
		{"234", "NG"},
		{"880", "BD"},
		{"966", "SA"},
		{"971", "AE"},
	}
	calling := callingCode(digits)
	for i := range codes {
		if codes[i].calling == calling {
			return codes[i].iso
		}
	}
	return "ZZ"
}

// isUS tells a US number from the rest of +1 well enough for the marketing
// block: Canadian and Caribbean area codes are not in it.
func isUS(waID string) bool {
	if len(waID) != 11 || waID[0] != '1' {
		return false
	}
	switch waID[1:4] {
	case "204", "226", "236", "249", "250", "289", "306", "343", "365", "403", "416", "418", "431", "437", "438", "450",
		"506", "514", "519", "548", "579", "581", "587", "604", "613", "639", "647", "705", "709", "778", "780", "782",
		"807", "819", "825", "867", "873", "902", "905", // Canada
		"242", "246", "264", "268", "284", "340", "345", "441", "473", "649", "658", "664", "721", "758", "767", "784",
		"787", "809", "829", "849", "868", "869", "876", "939": // Caribbean
		return false
	}
	return true
}

// userID is the person's business-scoped id: one per portfolio.
func (s *Sim) userID(b *business, to *recipient) string {
	if to.bsuid != "" {
		return to.bsuid
	}
	n := mix(s.seed ^ mix(hashString(b.id)^saltUser) ^ to.key)
	return country(to.waID) + "." + strconv.FormatUint(n, 10)
}

// profileName is what the person calls themselves; some names need escapes.
func (s *Sim) profileName(key uint64) string {
	names := [...]string{"Sam", "Zoë", "José", "Łukasz", "Priya", "Анна", "王伟", "Ana 🌻", "A/B Test", "Fatima"}
	return names[mix(s.seed^key^mix(saltUser))%uint64(len(names))]
}

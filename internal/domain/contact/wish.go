package contact

import "strings"

// Wish is what a person says about being written to; "" says nothing of it.
type Wish string

// The wishes.
const (
	Stop  Wish = "STOP"
	Start Wish = "START"
)

// WishOf reads a message that consists of one keyword and nothing else, in any case, with or
// without punctuation around it: a longer text is for people to read. Words that also mean
// something else in a conversation (cancel, end, yes) are none.
func WishOf(text string) Wish {
	switch strings.ToUpper(strings.Trim(CleanText(text), " .,;:!?*\"'")) {
	case "STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "OPTOUT", "OPT OUT", "OPT-OUT":
		return Stop
	case "START", "UNSTOP", "SUBSCRIBE", "OPTIN", "OPT IN", "OPT-IN":
		return Start
	}
	return ""
}

package campaign

// Kind says what a campaign's messages are.
type Kind string

// The kinds. Only those of KindCampaign are written by a vendor and shown in lists
// unless asked for.
const (
	KindCampaign Kind = "CAMPAIGN" // one message to an audience
	KindReplay   Kind = "REPLAY"   // what failed of another campaign, once more
	KindSingle   Kind = "SINGLE"   // messages sent one by one
)

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{KindCampaign, KindReplay, KindSingle} }

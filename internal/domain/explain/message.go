package explain

import (
	"fmt"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
)

// Attempt is one try at Meta.
type Attempt struct {
	Number                                                 int
	Status                                                 message.Status
	SendingAt, SentAt, DeliveredAt, ReadAt, FailedAt, Next time.Time // Next: it is made again then
	Code                                                   int       // Meta's; 0: none
	Title                                                  string
}

// Claim is the batch that holds a message. The zero value is none.
type Claim struct {
	ID                   string
	ClaimedAt, KeptUntil time.Time
	Begun                bool // a worker has
}

// Row is a message's place in the outbox. The zero value is none.
type Row struct {
	DueAt  time.Time
	Reason string // why not before, as its writer noted it
	Before int64  // rows of its lane that are due before it, up to a bound
	More   bool   // Before is at its bound
}

// MessageFacts are what is known of a message at Now.
type MessageFacts struct {
	Now      time.Time
	Status   message.Status
	Outcome  message.Status // how it ended without an attempt; "": it did not
	EndedAt  time.Time      // with Outcome
	Created  time.Time
	Attempts []Attempt // by number

	Campaign   campaign.State
	Kind       campaign.Kind
	HaltReason string
	MovedAt    time.Time // when the campaign last changed
	HaltUntil  time.Time
	Scheduled  time.Time

	RatePerSecond int
	ReplayRate    int
	QuietHours    bool

	Row      Row
	Claim    Claim
	SettleAt time.Time // when the unknown outcome is decided without Meta's word

	Letter string // of the dead letter; "": none
	Replay string // the campaign that sends it again; "": none
}

// Message explains a message.
func Message(f MessageFacts, remedies Remedies) Report {
	if lines := f.over(remedies); lines != nil {
		return Report{Lines: lines}
	}
	lines := f.withCampaign()
	if len(f.Attempts) > 0 {
		lines = append(lines, f.lastAttempt(remedies)...)
	}
	if f.Claim.ID != "" {
		lines = append(lines, f.claimed())
	}
	if f.Row.DueAt.IsZero() {
		return Report{Lines: lines}
	}
	row, finish := f.queued()
	lines = append(lines, row)
	if f.Campaign != campaign.Running {
		finish = time.Time{} // somebody has to act first
	}
	return Report{Lines: lines, FinishAt: finish}
}

// over explains a message that waits for nothing.
func (f *MessageFacts) over(remedies Remedies) []Line {
	if f.Outcome != "" && !message.Chargeable(f.Status) {
		return []Line{{Code: Ended, Text: endedText(f.Outcome), Since: f.EndedAt}}
	}
	if len(f.Attempts) == 0 {
		return nil
	}
	last := f.Attempts[len(f.Attempts)-1]
	for _, a := range f.Attempts {
		if a.Status == message.Delivered || a.Status == message.Read {
			last = a // what arrived tells, whichever attempt it was
		}
	}
	switch f.Status {
	case message.Sent, message.Delivered, message.Read:
		since, text := last.SentAt, "Meta accepted the message."
		switch {
		case !last.ReadAt.IsZero():
			since, text = last.ReadAt, "The person has read the message."
		case !last.DeliveredAt.IsZero():
			since, text = last.DeliveredAt, "The message has arrived."
		}
		return []Line{{Code: Sent, Text: text, Since: since, Numbers: n{"attempts": int64(len(f.Attempts))}}}
	case message.Failed, message.Unconfirmed:
		return f.failed(last, remedies)
	case message.Queued, message.Sending, message.Unknown, message.Suppressed, message.Cancelled, message.Expired:
	}
	return nil
}

func endedText(outcome message.Status) string {
	switch outcome {
	case message.Suppressed:
		return "The person does not want such messages: nothing was sent."
	case message.Expired:
		return "The campaign's end came before the message left."
	default:
		return "The campaign was cancelled before the message left."
	}
}

func (f *MessageFacts) failed(last Attempt, remedies Remedies) []Line {
	line := Line{Code: Failed, Since: last.FailedAt, Numbers: n{"attempts": int64(len(f.Attempts))}}
	switch {
	case f.Status == message.Unconfirmed:
		line.Since = last.SendingAt
		line.Text = "The message may have left, and Meta never told; it is not sent again by itself."
	case last.Code != 0:
		line.Numbers["code"] = int64(last.Code)
		line.Text = sentence(fmt.Sprintf("The message failed for good with Meta's error %d.", last.Code), remedies(last.Code))
	default:
		line.Text = "The message failed for good."
	}
	lines := []Line{line}
	switch {
	case f.Replay != "":
		lines = append(lines, Line{Code: DeadLetter, Text: "It is sent again by the campaign " + f.Replay + "."})
	case f.Letter != "":
		lines = append(lines, Line{Code: DeadLetter, Text: "It is among the dead letters and can be replayed from there."})
	}
	return lines
}

// withCampaign explains what keeps the message's whole campaign.
func (f *MessageFacts) withCampaign() []Line {
	text := ""
	switch f.Campaign {
	case campaign.Paused:
		text = "Its campaign is paused."
	case campaign.Halted:
		text = "Its campaign is halted: " + f.HaltReason + "."
	case campaign.Preparing:
		text = "Its campaign's audience is being fixed."
	case campaign.Cancelled:
		text = "Its campaign was cancelled."
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Scheduled, campaign.Running, campaign.Completed:
		return nil
	}
	return []Line{{Code: CampaignIs, Text: text, Since: f.MovedAt, Until: f.HaltUntil}}
}

// lastAttempt explains an attempt that is not the last word.
func (f *MessageFacts) lastAttempt(remedies Remedies) []Line {
	a := f.Attempts[len(f.Attempts)-1]
	numbers := n{"attempts": int64(a.Number)}
	switch a.Status {
	case message.Sending:
		return []Line{{Code: InFlight, Text: "The message is on the wire.", Since: a.SendingAt, Numbers: numbers}}
	case message.Unknown:
		return []Line{{
			Code: UnknownOutcome, Text: "The message may have left and Meta has not told; that is waited for before it is decided.",
			Since: a.SendingAt, Until: f.SettleAt, Numbers: numbers,
		}}
	case message.Failed, message.Unconfirmed:
		text := "The last attempt is made again."
		if a.Code != 0 {
			numbers["code"] = int64(a.Code)
			text = sentence(fmt.Sprintf("The last attempt failed with Meta's error %d and is made again.", a.Code), remedies(a.Code))
		}
		return []Line{{Code: RetryWait, Text: text, Since: a.FailedAt, Until: a.Next, Numbers: numbers}}
	default:
		return nil
	}
}

func (f *MessageFacts) claimed() Line {
	l := Line{Code: InFlight, Text: "A worker has it in a batch.", Since: f.Claim.ClaimedAt, Until: f.Claim.KeptUntil}
	switch {
	case f.Now.After(f.Claim.KeptUntil):
		l.Code, l.Text = WorkerAbsent, "Its batch has had no sign of life; a relay gives it to another worker."
	case !f.Claim.Begun && f.Now.Sub(f.Claim.ClaimedAt) > workerPatience:
		l.Code, l.Text = WorkerAbsent, "Its batch was taken for sending and no worker has begun with it."
	case !f.Claim.Begun:
		l.Text = "Its batch was taken for sending and is on the way to a worker."
	}
	return l
}

// queued explains the message's place in the outbox, and tells when it should leave.
func (f *MessageFacts) queued() (Line, time.Time) {
	if f.Row.DueAt.After(f.Now) {
		of := Facts{ReplayRate: f.ReplayRate, QuietHours: f.QuietHours}
		retry := len(f.Attempts) > 0 && !f.Attempts[len(f.Attempts)-1].Next.IsZero()
		code := of.likely(Group{Reason: f.Row.Reason, Retry: retry})
		return Line{
			Code: code, Text: "The message is put off until its time comes.", Since: f.Created, Until: f.Row.DueAt,
			Numbers: n{"seconds": int64(f.Row.DueAt.Sub(f.Now) / time.Second)},
		}, f.Row.DueAt
	}
	eta := lasting(f.Row.Before+1, float64(f.RatePerSecond))
	l := Line{
		Code: Queued, Text: fmt.Sprintf("%s of its campaign before it.", count(f.Row.Before)), Since: f.Row.DueAt,
		Numbers: n{"before": f.Row.Before, "rate_per_second": int64(f.RatePerSecond), "eta_seconds": int64(eta / time.Second)},
	}
	if f.Row.More {
		l.Text = fmt.Sprintf("More than %s of its campaign before it.", count(f.Row.Before))
		l.Numbers["estimated"] = 1
		return l, time.Time{}
	}
	return l, f.Now.Add(eta)
}

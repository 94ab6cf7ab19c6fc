package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/reach"
)

// Quotation is what is known of the standing or accepted offer. The zero value is none.
type Quotation struct {
	ID        string
	Standing  bool // it can be accepted, if it has not expired
	ExpiresAt time.Time
	PDF       string // PENDING, GENERATING, READY, FAILED
	CreatedAt time.Time
	Total     money.Micros
	Quantity  int64
}

// Group are rows of the outbox that are put off for one reason.
type Group struct {
	Reason      string // as its writer noted it; "": it did not
	Retry       bool   // the last attempt failed and is made again
	ErrorCode   int    // of that attempt, Meta's; 0: none
	Messages    int64
	First, Last time.Time // when they are due
}

// Claims are the batches that relays took and workers have not finished.
type Claims struct {
	Count    int64
	Messages int64
	Oldest   time.Time // when it was claimed

	Untouched      int64 // no worker has begun
	UntouchedSince time.Time
	Expired        int64 // nobody gave a sign of life within its time
	ExpiredSince   time.Time
}

// Open is what waits for a word or a booking.
type Open struct {
	Count       int64
	First, Last time.Time
}

// Facts are what is known of a campaign at Now.
type Facts struct {
	Now   time.Time
	State campaign.State
	Kind  campaign.Kind

	CreatedAt, ApprovedAt, ScheduledAt, FrozenAt, StartedAt, FinishedAt time.Time
	MovedAt                                                             time.Time // when its row last changed
	ExpiresAt                                                           time.Time // zero: it has no end

	HaltReason, HaltRemedy string
	HaltWakes              string // the event that lets it go on; "": a person
	HaltedAt, HaltUntil    time.Time

	Quotation Quotation
	Balance   money.Micros
	Currency  money.Currency

	Frozen     int64     // messages made so far
	Pending    time.Time // since when its own work waits in the outbox; zero: none does
	ReplayRate int       // a replay's own, messages a second; 0: none

	Due          int64 // rows that may go out now
	DueSince     time.Time
	DeferredMore int64 // rows put off beyond those grouped
	Deferred     []Group
	DeferredLast time.Time // when the last one is due
	Estimated    bool      // Due and DeferredMore are from a sample: within a few per cent

	QuietHours bool

	MetaNumber    string  // Meta's id of the sender number
	RatePerSecond int     // of the number
	PacePerSecond float64 // as it is sent now; 0: not known
	Window        int64   // rows of the number that may be in flight
	NumberOpen    int64   // that are
	Claims        Claims  // of the campaign

	Budget reach.Budget // of the number's portfolio

	TurnAt time.Time // when a relay looks at the vendor again; zero: when something comes
	Rivals int64     // other vendors whose turn is before

	Unknown  Open
	Settling Open
}

// Remedies tells what to do about a code of Meta's; "" where nothing is known.
type Remedies func(code int) string

// Report is why a campaign waits, and when it should be done.
type Report struct {
	Lines []Line

	// FinishAt is when the last message should have left: now, or the moment at which the
	// campaign goes on by itself, plus what waits and is in flight divided by the number's
	// rate in messages a second; never before the last row that is put off is due, nor
	// before the portfolio's limit lets everybody through who waits. Other
	// campaigns of the number are not counted. Zero where nobody can tell: a person has to
	// act, or nothing is left.
	FinishAt time.Time
}

// Campaign explains a campaign.
func Campaign(f Facts, remedies Remedies) Report {
	switch f.State {
	case campaign.Draft, campaign.Quoted:
		return Report{Lines: f.offer()}
	case campaign.Approved, campaign.Scheduled:
		return Report{Lines: f.start(), FinishAt: f.scheduledFinish()}
	case campaign.Preparing:
		return Report{Lines: []Line{f.preparing()}}
	case campaign.Running, campaign.Paused, campaign.Halted, campaign.Completed, campaign.Cancelled:
	}
	if !f.FinishedAt.IsZero() {
		return Report{Lines: []Line{{
			Code: Finished, Text: fmt.Sprintf("The campaign is %s and its books are closed.", f.State), Since: f.FinishedAt, Numbers: n{"messages": f.Frozen},
		}}}
	}
	lines := f.stopped()
	if f.State != campaign.Cancelled {
		lines = append(lines, f.moving()...)
		lines = append(lines, f.putOff(remedies)...)
	}
	lines = append(lines, f.open()...)
	if f.drained() {
		lines = append(lines, Line{Code: Closing, Text: "Nothing is left to send; the books are being closed.", Since: f.Pending})
	}
	if f.State != campaign.Cancelled && !f.ExpiresAt.IsZero() && f.waiting() > 0 {
		lines = append(lines, Line{Code: Ending, Text: "What has not left by the campaign's end is not sent.", Until: f.ExpiresAt, Numbers: n{"messages": f.waiting()}})
	}
	return Report{Lines: lines, FinishAt: f.finish()}
}

// offer explains what is not approved yet.
func (f *Facts) offer() []Line {
	q := f.Quotation
	if q.ID == "" {
		return []Line{{Code: NotQuoted, Text: "The campaign is a draft: have it priced.", Since: f.CreatedAt}}
	}
	var lines []Line
	if q.Standing && f.Now.Before(q.ExpiresAt) {
		lines = append(lines, Line{Code: AwaitingApproval, Text: "The quotation can be accepted.", Since: q.CreatedAt, Until: q.ExpiresAt, Numbers: n{"total_micros": int64(q.Total)}})
	} else {
		lines = append(lines, Line{Code: QuotationExpired, Text: "The quotation does not stand any more: have the campaign priced again.", Since: q.ExpiresAt})
	}
	switch q.PDF {
	case "PENDING", "GENERATING":
		lines = append(lines, Line{Code: QuotationPDF, Text: "The quotation's document is being made; it need not be waited for.", Since: q.CreatedAt})
	case "FAILED":
		lines = append(lines, Line{Code: QuotationPDF, Text: "The quotation's document could not be made; the quotation itself stands.", Since: q.CreatedAt})
	}
	if missing := q.Total - f.Balance; missing > 0 {
		lines = append(lines, Line{
			Code: WalletShort, Text: fmt.Sprintf("The wallet lacks %s of the quoted %s.", f.Currency.Format(missing), f.Currency.Format(q.Total)),
			Numbers: n{"balance_micros": int64(f.Balance), "total_micros": int64(q.Total), "missing_micros": int64(missing)},
		})
	}
	return lines
}

// start explains what is approved and has not begun.
func (f *Facts) start() []Line {
	if f.ScheduledAt.After(f.Now) {
		return []Line{{
			Code: Scheduled, Text: "The campaign waits for its time.", Since: f.ApprovedAt, Until: f.ScheduledAt,
			Numbers: n{"seconds": int64(f.ScheduledAt.Sub(f.Now) / time.Second)},
		}}
	}
	since := f.ApprovedAt
	if f.ScheduledAt.After(since) {
		since = f.ScheduledAt
	}
	lines := []Line{{Code: Starting, Text: "The campaign is approved and about to begin.", Since: since}}
	if !f.Pending.IsZero() && f.Now.Sub(f.Pending) > relayPatience {
		lines = append(lines, Line{Code: RelayBehind, Text: "No relay has taken the campaign's start out of the outbox yet.", Since: f.Pending})
	}
	return lines
}

// scheduledFinish adds the time that what was quoted takes.
func (f *Facts) scheduledFinish() time.Time {
	begin := f.Now
	if f.ScheduledAt.After(begin) {
		begin = f.ScheduledAt
	}
	if f.Quotation.Quantity == 0 || f.RatePerSecond <= 0 {
		return time.Time{}
	}
	return begin.Add(lasting(f.Quotation.Quantity, f.speed()))
}

func (f *Facts) preparing() Line {
	return Line{
		Code: Preparing, Text: fmt.Sprintf("The audience is being fixed: %s so far.", count(f.Frozen)), Since: f.MovedAt,
		Numbers: n{"frozen": f.Frozen, "quoted": f.Quotation.Quantity},
	}
}

// stopped explains what keeps the whole campaign.
func (f *Facts) stopped() []Line {
	switch f.State {
	case campaign.Paused:
		return []Line{{Code: Paused, Text: "The campaign was paused by a person: resume it to go on.", Since: f.MovedAt, Numbers: n{"messages": f.waiting()}}}
	case campaign.Halted:
		since := f.HaltedAt
		if since.IsZero() {
			since = f.MovedAt
		}
		next := "A person has to resume it."
		switch {
		case !f.HaltUntil.IsZero():
			next = "It goes on by itself."
		case f.HaltWakes != "":
			next = "It goes on when that has changed."
		}
		text := sentence("The campaign is halted: "+f.HaltReason+".", f.HaltRemedy, next)
		return []Line{{Code: Halted, Text: text, Since: since, Until: f.HaltUntil, Numbers: n{"messages": f.waiting()}}}
	case campaign.Cancelled:
		return []Line{{Code: Closing, Text: "The campaign was cancelled; what had left is settled, then the rest of the money is given back.", Since: f.MovedAt}}
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Scheduled, campaign.Preparing, campaign.Running, campaign.Completed:
	}
	return nil
}

// moving explains what may go out now, and what keeps it.
func (f *Facts) moving() []Line {
	var lines []Line
	c := f.Claims
	if c.Expired > 0 || c.Untouched > 0 && f.Now.Sub(c.UntouchedSince) > workerPatience {
		since, number := c.UntouchedSince, c.Untouched
		if c.Expired > 0 {
			since, number = c.ExpiredSince, c.Expired
		}
		lines = append(lines, Line{
			Code: WorkerAbsent, Text: "Batches were taken for sending and no worker works on them: workers are absent or behind.",
			Since: since, Numbers: n{"batches": number, "messages": c.Messages},
		})
	}
	if f.State == campaign.Running && f.Due > 0 {
		lines = append(lines, f.due()...)
	}
	if c.Messages > 0 {
		lines = append(lines, Line{
			Code: InFlight, Text: fmt.Sprintf("%s with workers now.", count(c.Messages)), Since: c.Oldest,
			Numbers: n{"messages": c.Messages, "batches": c.Count},
		})
	}
	return lines
}

// due explains rows that could go out at once.
func (f *Facts) due() []Line {
	var lines []Line
	rate := Line{
		Code: Rate, Since: f.DueSince, Until: f.Now.Add(lasting(f.Due, f.speed())),
		Text:    fmt.Sprintf("%s queued for a number that takes %d a second.", count(f.Due), f.RatePerSecond),
		Numbers: n{"queued": f.Due, "in_flight": f.Claims.Messages, "rate_per_second": int64(f.RatePerSecond), "eta_seconds": int64(lasting(f.Due, f.speed()) / time.Second)},
	}
	if f.PacePerSecond > 0 {
		rate.Numbers["pace_per_thousand_seconds"] = int64(f.PacePerSecond * 1000)
		if f.PacePerSecond < float64(f.RatePerSecond)/2 {
			rate.Text += " It is slowed down after a refusal of Meta's, and recovers by itself."
		}
	}
	if f.Estimated {
		rate.Numbers["estimated"] = 1
	}
	lines = append(lines, rate)
	free := f.Window - f.NumberOpen
	switch {
	case f.Window > 0 && free < max(f.Window/2, 1):
		lines = append(lines, Line{
			Code: WindowFull, Text: "As much of the number is in flight as may be; the next batch is taken when half of that has left.",
			Numbers: n{"window": f.Window, "in_flight": f.NumberOpen},
		})
	case f.Rivals > 0:
		lines = append(lines, Line{
			Code: FairnessTurn, Text: fmt.Sprintf("%s before yours.", turns(f.Rivals)), Since: f.TurnAt, Numbers: n{"vendors_before": f.Rivals},
		})
	case f.Claims.Count == 0 && f.Now.Sub(f.DueSince) > relayPatience && (f.TurnAt.IsZero() || f.Now.Sub(f.TurnAt) > relayPatience):
		lines = append(lines, Line{Code: RelayBehind, Text: "Messages are due and no relay has come for them: relays are absent or behind.", Since: f.DueSince})
	}
	return lines
}

func turns(rivals int64) string {
	if rivals == 1 {
		return "The turn of 1 other vendor is"
	}
	return fmt.Sprintf("The turns of %d other vendors are", rivals)
}

// putOff explains rows whose time is to come.
func (f *Facts) putOff(remedies Remedies) []Line {
	lines := make([]Line, 0, len(f.Deferred)+1)
	for _, g := range f.Deferred {
		lines = append(lines, g.line(f, remedies))
	}
	if f.DeferredMore > 0 {
		lines = append(lines, Line{
			Code: f.likely(Group{}), Text: fmt.Sprintf("About %s more are put off.", count(f.DeferredMore)), Until: f.DeferredLast,
			Numbers: n{"messages": f.DeferredMore, "estimated": 1},
		})
	}
	return lines
}

// likely is a group's reason, where its writer noted none by what the campaign is.
func (f *Facts) likely(g Group) Code {
	noted := Code(g.Reason)
	switch {
	case slices.Contains([]Code{Rate, PairLimit, PortfolioLimit, QuietHours, RetryWait}, noted):
		return noted
	case g.Retry:
		return RetryWait
	case f.ReplayRate > 0:
		return ReplayRate
	case f.QuietHours:
		return QuietHours
	}
	return Deferred
}

func (g Group) line(f *Facts, remedies Remedies) Line {
	l := Line{Code: f.likely(g), Until: g.Last, Numbers: n{"messages": g.Messages, "first_in_seconds": int64(g.First.Sub(f.Now) / time.Second)}}
	many := count(g.Messages)
	switch l.Code {
	case RetryWait:
		l.Text = fmt.Sprintf("%s to be tried again.", many)
		if g.ErrorCode != 0 {
			l.Numbers["code"] = int64(g.ErrorCode)
			l.Text = sentence(fmt.Sprintf("%s to be tried again after Meta's error %d.", many, g.ErrorCode), remedies(g.ErrorCode))
		}
	case QuietHours:
		l.Text = fmt.Sprintf("%s for people whose quiet hours it is.", many)
	case PortfolioLimit:
		l.Text = fmt.Sprintf("%s beyond the people whom Meta lets the portfolio write to in 24 hours.", many)
		if f.Budget.Limited() {
			l.Numbers["daily_limit"], l.Numbers["left"] = int64(f.Budget.Limit), int64(f.Budget.Left(f.Now))
		}
	case PairLimit:
		l.Text = fmt.Sprintf("%s to people who got another one a moment ago.", many)
	case ReplayRate:
		l.Text = fmt.Sprintf("%s spread over the replay's own rate of %d a second.", many, f.ReplayRate)
		l.Numbers["rate_per_second"] = int64(f.ReplayRate)
	case Rate:
		l.Text = fmt.Sprintf("%s put off by the number's pace.", many)
		l.Numbers["rate_per_second"] = int64(f.RatePerSecond)
	default:
		l.Text = fmt.Sprintf("%s put off.", many)
	}
	return l
}

// open explains what has left and is not settled.
func (f *Facts) open() []Line {
	var lines []Line
	if u := f.Unknown; u.Count > 0 {
		lines = append(lines, Line{
			Code: UnknownOutcome, Text: fmt.Sprintf("%s may have left and Meta has not told; that is waited for before it is decided.", count(u.Count)),
			Until: u.Last, Numbers: n{"messages": u.Count},
		})
	}
	if s := f.Settling; s.Count > 0 {
		lines = append(lines, Line{
			Code: Settling, Text: fmt.Sprintf("%s being booked as Meta told.", count(s.Count)), Since: s.First, Numbers: n{"messages": s.Count},
		})
	}
	return lines
}

// speed is at what rate the number sends: as it is paced now, where that is known.
func (f *Facts) speed() float64 {
	if f.PacePerSecond > 0 {
		return f.PacePerSecond
	}
	return float64(f.RatePerSecond)
}

// waiting is how many messages have not left.
func (f *Facts) waiting() int64 {
	total := f.Due + f.DeferredMore
	for _, g := range f.Deferred {
		total += g.Messages
	}
	return total
}

func (f *Facts) drained() bool {
	return f.State != campaign.Cancelled && f.waiting() == 0 && f.Claims.Count == 0 && f.Unknown.Count == 0 && f.Settling.Count == 0
}

func (f *Facts) finish() time.Time {
	if f.waiting()+f.Claims.Messages == 0 || f.RatePerSecond <= 0 {
		return time.Time{}
	}
	begin := f.Now
	switch f.State {
	case campaign.Running:
	case campaign.Halted:
		if f.HaltUntil.IsZero() {
			return time.Time{}
		}
		begin = f.HaltUntil
	case campaign.Draft, campaign.Quoted, campaign.Approved, campaign.Scheduled, campaign.Preparing, campaign.Paused, campaign.Completed, campaign.Cancelled:
		return time.Time{}
	}
	at := begin.Add(lasting(f.waiting()+f.Claims.Messages, f.speed()))
	if f.Budget.Limited() {
		// Everybody may be new to the portfolio: at worst it lasts so long.
		if limited := f.Budget.Finish(begin, int(f.waiting()), max(int(f.speed()), 1)); limited.After(at) {
			at = limited
		}
	}
	if f.DeferredLast.After(at) {
		at = f.DeferredLast
	}
	return at
}

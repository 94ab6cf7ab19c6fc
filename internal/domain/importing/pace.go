package importing

import "time"

// PaceWindow is how far back the pace of a running import looks: long enough for some
// chunks at any speed, short enough that a pause does not weigh for minutes.
const PaceWindow = 30 * time.Second

// Pace is what is known about how fast an import goes.
type Pace struct {
	Status  Status
	Total   int           // rows of the file; 0: not known yet
	Done    int           // rows counted
	Recent  int           // of those, within the last PaceWindow
	Elapsed time.Duration // from the first chunk's start until now, or the end; 0: not begun
}

// RowsPerSecond is the pace now, or over the whole time for one that is over; 0 when
// nothing moves.
func (p Pace) RowsPerSecond() float64 {
	rows, in := p.Recent, min(p.Elapsed, PaceWindow)
	switch {
	case p.Status.Final():
		rows, in = p.Done, p.Elapsed
	case p.Status != Processing:
		return 0
	}
	if in <= 0 {
		return 0
	}
	return float64(rows) / in.Seconds()
}

// Left is how long the rest takes at the pace of now; unknown while nothing moves.
func (p Pace) Left() (left time.Duration, known bool) {
	if p.Status.Final() {
		return 0, false
	}
	rate := p.RowsPerSecond()
	if rate <= 0 || p.Total < p.Done {
		return 0, false
	}
	return time.Duration(float64(p.Total-p.Done) / rate * float64(time.Second)), true
}

package demo

import (
	"context"
	"fmt"
	"time"
)

// progress is what one look at a step found.
type progress struct {
	over        bool
	text        string // the step's state, in words
	done, total int    // of what takes long; zero where nothing is counted
}

// How often a step is looked at, and people hear of it. Counting a million messages costs
// the database as much as sending some of them: where an answer takes long, the next
// question waits several times as long.
const (
	askEvery    = 250 * time.Millisecond
	askRest     = 5                // times what the answer took
	askSurely   = 30 * time.Second // however long it took
	sayChange   = time.Second      // at most, while things change
	sayAnything = 3 * time.Second  // at least, so that a quiet step does not look dead
)

// patience is how long a step of the run may take: some of it whatever the size, and 5 ms
// a contact, which is 200 a second.
func (r *run) patience(least time.Duration) time.Duration {
	return least + time.Duration(r.Contacts)*5*time.Millisecond
}

// until asks until done, showing how it goes.
func (r *run) until(ctx context.Context, within time.Duration, what string, ask func() (progress, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	pace := pace{at: began}
	last, said := "", time.Time{}
	for {
		var p progress
		asked := time.Now()
		if err := r.during(what+": counting", func() (err error) { p, err = ask(); return err }); err != nil {
			return err
		}
		now := time.Now()
		line, quiet := p.text+pace.look(now, p.done, p.total), now.Sub(said)
		if p.over && p.text != last || !p.over && (quiet > sayAnything || p.text != last && quiet > sayChange) {
			if line == last {
				line += fmt.Sprintf(", after %.0f s", now.Sub(began).Seconds())
			}
			r.say("%s: %s", what, line)
			last, said = p.text, now
		}
		if p.over {
			return nil
		}
		rest := min(max(askEvery, askRest*now.Sub(asked)), askSurely)
		if err := r.during(what+": "+p.text, func() error { return sleep(ctx, rest) }); err != nil {
			return fmt.Errorf("%s did not happen within %s; last: %s", what, within, p.text)
		}
	}
}

// sleep returns early, with an error, when ctx is over.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace is how fast something goes, over the last seconds. The zero value knows nothing.
type pace struct {
	at   time.Time // of the last measurement
	done int
	rate float64 // per second
}

// paceWindow is how long one measurement of a rate takes.
const paceWindow = 2 * time.Second

// look takes one more count in and says rate and time left, or nothing as long as nothing
// moves.
func (p *pace) look(now time.Time, done, total int) string {
	if past := now.Sub(p.at); past >= paceWindow {
		fresh := float64(done-p.done) / past.Seconds()
		if p.rate > 0 {
			fresh = (fresh + p.rate) / 2 // bursts even out
		}
		p.at, p.done, p.rate = now, done, fresh
	}
	if p.rate < 1 || done >= total {
		return ""
	}
	left := time.Duration(float64(total-done) / p.rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf(" (%.0f/s, about %s left)", p.rate, left)
}

// during runs something that may take long, and says that it still does.
func (r *run) during(what string, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	tick := time.NewTicker(sayAnything)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			r.say("%s, for %.0f s now", what, time.Since(began).Seconds())
		}
	}
}

// Package demo runs the product's whole main job against a running local stack, over
// public interfaces only: the vendors' REST API through the front door, Meta's side
// through the simulator, money through the operator's commands. What does not add up is
// an error.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/kloyst/kloyst-core/internal/devstack"
)

// Options say how large the demo is and where its stack runs.
type Options struct {
	Stack    *devstack.State
	Contacts int
	Self     string    // this program, for the operator's commands
	Out      io.Writer // progress for people

	// MidDispatch is called once, when a third of the messages is accepted: tests use it.
	MidDispatch func() error

	// RenewAfter is how long an access token is used; tests make it short. Zero: until a
	// minute before its end.
	RenewAfter time.Duration
}

// run is one demo under way.
type run struct {
	Options

	front, sim, mail *api
	began            time.Time
	result           Result

	vendor, waba, number, template string
	simNumber                      string
	campaign, quotation            string
}

// Run runs the demo. The result is returned with every error that it found.
func Run(ctx context.Context, o Options) (Result, error) {
	r := &run{
		Options: o, front: newAPI(o.Stack.FrontURL() + "/v1"), sim: newAPI(o.Stack.MetasimURL()), mail: newAPI(o.Stack.MailURL()),
		result: Result{Demo: "failed", Seconds: map[string]float64{}, Owner: Login{
			Email: fmt.Sprintf("owner-%d@acme.example", time.Now().UnixNano()), Password: "correct horse battery",
		}},
	}
	r.front.renew = o.RenewAfter
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"register", r.register},
		{"connect", r.connect},
		{"fund", r.fund},
		{"import", r.importContacts},
		{"quote", r.quote},
		{"dispatch", r.dispatch},
		{"statuses", r.statuses},
		{"reconcile", r.reconcile},
	} {
		r.began = time.Now()
		if err := step.do(ctx); err != nil {
			return r.result, fmt.Errorf("demo: %s: %w", step.name, err)
		}
		r.result.Seconds[step.name] = float64(time.Since(r.began).Milliseconds()) / 1000
	}
	if err := r.result.check(); err != nil {
		return r.result, err
	}
	r.result.Demo = "ok"
	r.say("demo vendor's login: %s / %s", r.result.Owner.Email, r.result.Owner.Password)
	return r.result, nil
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, "demo: "+format+"\n", args...) }

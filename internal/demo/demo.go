// Package demo runs the product's whole main job against a running local stack, over
// public interfaces only: the vendors' REST API through the front door, Meta's side
// through the simulator, money through the operator's commands. What does not add up is
// an error.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
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
}

// Result is the demo's last line.
type Result struct {
	Demo           string             `json:"demo"`
	Contacts       int                `json:"contacts"`
	Created        int                `json:"created"`
	Updated        int                `json:"updated"`
	Unchanged      int                `json:"unchanged"`
	Duplicate      int                `json:"duplicate"`
	Invalid        int                `json:"invalid"`
	SkippedImport  int                `json:"suppressed_contacts"`
	Messages       int                `json:"messages"`
	Sent           int                `json:"sent"`
	Delivered      int                `json:"delivered"`
	Read           int                `json:"read"`
	Failed         int                `json:"failed"`
	Rejected       int                `json:"rejected"`
	Suppressed     int                `json:"suppressed"`
	Cancelled      int                `json:"cancelled"`
	Expired        int                `json:"expired"`
	Unconfirmed    int                `json:"unconfirmed"`
	Unknown        int                `json:"unknown"`
	MetaUnique     int                `json:"meta_unique"`
	MetaDuplicates int                `json:"meta_duplicates"`
	Quoted         int64              `json:"quoted_micros"`
	Captured       int64              `json:"captured_micros"`
	Released       int64              `json:"released_micros"`
	Refunded       int64              `json:"refunded_micros"`
	Drift          int64              `json:"ledger_drift_micros"`
	PDFBytes       int                `json:"pdf_bytes"`
	Seconds        map[string]float64 `json:"seconds"`
}

// run is one demo under way.
type run struct {
	Options

	front, sim, mail *api
	began            time.Time
	result           Result

	email, password                string
	vendor, waba, number, template string
	simNumber                      string
	campaign, quotation            string
}

// Run runs the demo. The result is returned with every error that it found.
func Run(ctx context.Context, o Options) (Result, error) {
	r := &run{
		Options: o, front: newAPI(o.Stack.FrontURL() + "/v1"), sim: newAPI(o.Stack.MetasimURL()), mail: newAPI(o.Stack.MailURL()),
		result: Result{Demo: "failed", Seconds: map[string]float64{}},
		email:  fmt.Sprintf("owner-%d@acme.example", time.Now().UnixNano()), password: "correct horse battery",
	}
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
	r.say("demo vendor's login: %s / %s", r.email, r.password)
	return r.result, nil
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, "demo: "+format+"\n", args...) }

// until asks four times a second until done, showing what changed.
func (r *run) until(ctx context.Context, within time.Duration, what string, ask func() (done bool, now string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	last, said := "", time.Time{}
	for {
		done, now, err := ask()
		if err != nil {
			return err
		}
		if now != last && (done || time.Since(said) > time.Second) {
			r.say("%s: %s", what, now)
			last, said = now, time.Now()
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s did not happen within %s; last: %s", what, within, now)
		}
	}
}

// register makes the vendor and its owner, and confirms the e-mail from the caught mail.
func (r *run) register(ctx context.Context) error {
	var made struct {
		Vendor string `json:"vendor_id"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/auth/register", map[string]any{
		"vendor_name": "Acme Foods", "email": r.email, "password": r.password, "name": "Asha Rao",
		"default_region": "IN", "currency": "USD", "time_zone": "Asia/Kolkata",
	}, &made); err != nil {
		return err
	}
	r.vendor = made.Vendor
	r.say("vendor %s registered, waiting for the confirmation mail", r.vendor)
	token := ""
	err := r.until(ctx, time.Minute, "mail", func() (bool, string, error) {
		var err error
		token, err = r.caughtToken(ctx)
		return token != "", "caught", err
	})
	if err != nil {
		return err
	}
	if err := r.front.call(ctx, http.MethodPost, "/auth/verify-email", map[string]any{"token": token}, nil); err != nil {
		return err
	}
	var login struct {
		Token string `json:"access_token"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/auth/login", map[string]any{"email": r.email, "password": r.password}, &login); err != nil {
		return err
	}
	r.front.token = login.Token
	return nil
}

func (r *run) caughtToken(ctx context.Context) (string, error) {
	var found struct {
		Messages []struct {
			ID string `json:"ID"`
		} `json:"messages"`
	}
	if err := r.mail.call(ctx, http.MethodGet, "/api/v1/search?query="+url.QueryEscape("to:"+r.email), nil, &found); err != nil || len(found.Messages) == 0 {
		return "", err
	}
	var mail struct {
		Text string `json:"Text"`
	}
	if err := r.mail.call(ctx, http.MethodGet, "/api/v1/message/"+found.Messages[0].ID, nil, &mail); err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?s)token \(POST /auth/verify-email\):\s+(\S+)`).FindStringSubmatch(mail.Text)
	if m == nil {
		return "", errors.New("the confirmation mail holds no token")
	}
	return m[1], nil
}

// connect makes a business at Meta, connects it and its number, and reads its templates.
func (r *run) connect(ctx context.Context) error {
	var biz struct {
		WABA    string `json:"waba_id"`
		Token   string `json:"access_token"`
		Numbers []struct {
			ID string `json:"id"`
		} `json:"phone_numbers"`
	}
	if err := r.sim.call(ctx, http.MethodPost, "/_sim/wabas", map[string]any{
		"name": "Acme Foods", "currency": "USD",
		"numbers": []map[string]any{{"display_phone_number": fmt.Sprintf("+1 555 %07d", time.Now().UnixNano()%10_000_000), "verified_name": "Acme Foods", "throughput_level": "HIGH"}},
	}, &biz); err != nil {
		return err
	}
	r.simNumber = biz.Numbers[0].ID
	var waba, number struct {
		ID   string `json:"id"`
		Rate int    `json:"rate_per_second"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/wabas", map[string]any{"waba_id": biz.WABA, "access_token": biz.Token}, &waba); err != nil {
		return err
	}
	if err := r.front.call(ctx, http.MethodPost, "/sender-numbers", map[string]any{"waba_id": waba.ID, "phone_number_id": r.simNumber}, &number); err != nil {
		return err
	}
	r.waba, r.number = waba.ID, number.ID
	if err := r.front.call(ctx, http.MethodPost, "/wabas/"+r.waba+"/template-sync", nil, nil); err != nil {
		return err
	}
	return r.until(ctx, time.Minute, "template sync", func() (bool, string, error) {
		var list struct {
			Items []struct {
				ID       string `json:"id"`
				Name     string `json:"name"`
				Sendable bool   `json:"sendable"`
			} `json:"items"`
		}
		err := r.front.call(ctx, http.MethodGet, "/templates", nil, &list)
		for _, t := range list.Items {
			if t.Name == "seasonal_promotion" && t.Sendable {
				r.template = t.ID
			}
		}
		return r.template != "", fmt.Sprintf("%d templates, number at %d/s", len(list.Items), number.Rate), err
	})
}

// fund loads the rate card and a top-up with the operator's commands.
func (r *run) fund(ctx context.Context) error {
	card := r.Stack.Root + "/deploy/rate-cards/usd-2026-10-01.csv"
	if err := r.operator(ctx, nil, "rate-card", "load", card); err != nil {
		return err
	}
	amount := fmt.Sprintf("%d.00", r.Contacts/4+100)
	r.say("rate card loaded, topping up %s USD", amount)
	return r.operator(ctx, nil, "wallet", "top-up", "--vendor", r.vendor, "--amount", amount, "--currency", "USD", "--reference", "demo-"+r.vendor)
}

// operator runs one of this program's verbs with the operator's environment.
func (r *run) operator(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, r.Self, args...)                            //nolint:gosec // this program itself
	cmd.Env = append(r.Stack.Env(devstack.Operator), "PATH="+os.Getenv("PATH")) //nolint:forbidigo // a child's environment
	text, err := cmd.Output()
	if out != nil && len(text) > 0 {
		if jerr := json.Unmarshal([]byte(strings.TrimSpace(string(text))), out); jerr != nil && err == nil {
			err = jerr
		}
	}
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("kloyst %s: %w: %s", strings.Join(args[:2], " "), err, e.Stderr)
		}
		return fmt.Errorf("kloyst %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

type importState struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Reason string `json:"reason"`
	Done   int    `json:"rows_done"`
	Total  int    `json:"rows_total"`
	Counts struct {
		Created, Updated, Unchanged, Duplicate, Invalid, Suppressed int
	} `json:"counts"`
	Suggested json.RawMessage `json:"suggested_mapping"`
}

// importContacts uploads the file, confirms the mapping, and waits for the counts.
func (r *run) importContacts(ctx context.Context) error {
	file, want := Contacts(r.Contacts, 7)
	var job importState
	if err := r.front.upload(ctx, "/contact-imports", file, map[string]string{
		"strategy": "SKIP_DUPLICATES", "default_region": "IN",
	}, &job); err != nil {
		return err
	}
	path := "/contact-imports/" + job.ID
	wait := func(what string, states ...string) error {
		return r.until(ctx, 15*time.Minute, what, func() (bool, string, error) {
			if err := r.front.call(ctx, http.MethodGet, path, nil, &job); err != nil {
				return false, "", err
			}
			if job.Status == "FAILED" || job.Status == "CANCELLED" || job.Status == "NEEDS_OPERATOR" {
				return false, job.Status, fmt.Errorf("the import is %s: %s", job.Status, job.Reason)
			}
			return slices.Contains(states, job.Status), fmt.Sprintf("%s, %d of %d rows", job.Status, job.Done, job.Total), nil
		})
	}
	if err := wait("headers", "AWAITING_MAPPING"); err != nil {
		return err
	}
	if err := r.front.call(ctx, http.MethodPost, path+"/mapping", map[string]any{
		"phone": "Mobile", "name": "Full name", "labels": "Labels", "attributes": map[string]string{"city": "City"},
	}, nil); err != nil {
		return err
	}
	if err := wait("import", "COMPLETED", "PARTIAL_SUCCESS"); err != nil {
		return err
	}
	c := job.Counts
	r.result.Contacts, r.result.Created, r.result.Updated, r.result.Unchanged = job.Total, c.Created, c.Updated, c.Unchanged
	r.result.Duplicate, r.result.Invalid, r.result.SkippedImport = c.Duplicate, c.Invalid, c.Suppressed
	if job.Total != want.Rows || c.Created != want.Valid || c.Duplicate != want.Duplicate || c.Invalid != want.Invalid {
		return fmt.Errorf("the file holds %+v, the import counted %+v of %d", want, c, job.Total)
	}
	return nil
}

// quote composes the campaign and gets it priced.
func (r *run) quote(ctx context.Context) error {
	var made, quoted struct {
		ID         string `json:"id"`
		Quantity   int    `json:"quantity"`
		Total      int64  `json:"total_micros"`
		Sufficient bool   `json:"wallet_sufficient"`
		PDFStatus  string `json:"pdf_status"`
		PDFError   string `json:"pdf_error"`
	}
	if err := r.front.call(ctx, http.MethodPost, "/campaigns", map[string]any{
		"name": "Autumn sale", "template_id": r.template, "sender_number_id": r.number,
		"audience":   map[string]any{"any_labels": []string{"customers"}},
		"parameters": map[string]any{"body.1": map[string]any{"source": "FIELD", "name": "name", "fallback": "friend"}},
	}, &made); err != nil {
		return err
	}
	r.campaign = made.ID
	if err := r.front.call(ctx, http.MethodPost, "/campaigns/"+r.campaign+"/quotations", nil, &quoted); err != nil {
		return err
	}
	r.quotation, r.result.Quoted = quoted.ID, quoted.Total
	r.say("quoted %d messages for %d micros, wallet sufficient: %t", quoted.Quantity, quoted.Total, quoted.Sufficient)
	if err := r.until(ctx, 2*time.Minute, "quotation PDF", func() (bool, string, error) {
		err := r.front.call(ctx, http.MethodGet, "/quotations/"+r.quotation, nil, &quoted)
		if err == nil && quoted.PDFStatus == "FAILED" {
			err = errors.New("the PDF failed: " + quoted.PDFError)
		}
		return quoted.PDFStatus == "READY", quoted.PDFStatus, err
	}); err != nil {
		return err
	}
	var pdf []byte
	if err := r.front.call(ctx, http.MethodGet, "/quotations/"+r.quotation+"/pdf", nil, &pdf); err != nil {
		return err
	}
	if r.result.PDFBytes = len(pdf); !strings.HasPrefix(string(pdf), "%PDF-") {
		return errors.New("the quotation's document is no PDF")
	}
	return nil
}

type overview struct {
	Status   string `json:"status"`
	Halt     string `json:"halt_reason"`
	Messages struct {
		Total, Queued, Sending, Unknown, Unconfirmed, Sent, Delivered, Read, Failed, Rejected, Suppressed, Cancelled, Expired int
	} `json:"messages"`
	Money struct {
		Quoted   int64 `json:"quoted_micros"`
		Held     int64 `json:"held_micros"`
		Captured int64 `json:"captured_micros"`
		Released int64 `json:"released_micros"`
		Refunded int64 `json:"refunded_micros"`
	} `json:"money"`
}

func (r *run) overview(ctx context.Context) (overview, error) {
	var o overview
	err := r.front.call(ctx, http.MethodGet, "/campaigns/"+r.campaign, nil, &o)
	return o, err
}

// dispatch approves the quotation and waits until every message is final.
func (r *run) dispatch(ctx context.Context) error {
	if err := r.front.call(ctx, http.MethodPost, "/campaigns/"+r.campaign+"/approve", map[string]any{"quotation_id": r.quotation}, nil); err != nil {
		return err
	}
	return r.until(ctx, 30*time.Minute, "campaign", func() (bool, string, error) {
		o, err := r.overview(ctx)
		if err == nil && (o.Status == "HALTED" || o.Status == "CANCELLED") {
			err = fmt.Errorf("the campaign is %s: %s", o.Status, o.Halt)
		}
		if err == nil && r.MidDispatch != nil && o.Messages.Total > 0 && o.Messages.Sent > o.Messages.Total/3 {
			err = r.MidDispatch()
			r.MidDispatch = nil
		}
		m := o.Messages
		return o.Status == "COMPLETED", fmt.Sprintf("%s, %d of %d sent, %d delivered, %d read, %d failed", o.Status, m.Sent, m.Total, m.Delivered, m.Read, m.Failed), err
	})
}

type simStats struct {
	Unique     int `json:"meta_unique"`
	Duplicates int `json:"meta_duplicates"`
	Scheduled  int `json:"scheduled"`
	Webhooks   struct {
		Pending int `json:"pending"`
	} `json:"webhooks"`
}

// statuses waits until Meta has told all, and what it told is settled.
func (r *run) statuses(ctx context.Context) error {
	var s simStats
	last, since := "", time.Now()
	err := r.until(ctx, 5*time.Minute, "statuses", func() (bool, string, error) {
		if err := r.sim.call(ctx, http.MethodGet, "/_sim/stats?phone_number_id="+r.simNumber, nil, &s); err != nil {
			return false, "", err
		}
		o, err := r.overview(ctx)
		now := fmt.Sprintf("%d delivered, %d read, %d failed, refunded %d micros", o.Messages.Delivered, o.Messages.Read, o.Messages.Failed, o.Money.Refunded)
		if now != last {
			last, since = now, time.Now()
		}
		// Quiet at Meta, and nothing has changed here for three seconds: settled.
		return s.Scheduled == 0 && s.Webhooks.Pending == 0 && time.Since(since) > 3*time.Second, now, err
	})
	if err != nil {
		return err
	}
	o, err := r.overview(ctx)
	m, res := o.Messages, &r.result
	res.Messages, res.Sent, res.Delivered, res.Read, res.Failed, res.Rejected = m.Total, m.Sent, m.Delivered, m.Read, m.Failed, m.Rejected
	res.Suppressed, res.Cancelled, res.Expired, res.Unconfirmed, res.Unknown = m.Suppressed, m.Cancelled, m.Expired, m.Unconfirmed, m.Unknown+m.Queued+m.Sending
	res.MetaUnique, res.MetaDuplicates = s.Unique, s.Duplicates
	res.Captured, res.Released, res.Refunded = o.Money.Captured, o.Money.Released, o.Money.Refunded
	return err
}

// reconcile holds the wallet against its ledger with the operator's command.
func (r *run) reconcile(ctx context.Context) error {
	var out struct {
		Drift int64 `json:"drift_micros"`
	}
	err := r.operator(ctx, &out, "wallet", "reconcile", "--vendor", r.vendor, "--json")
	r.result.Drift = out.Drift
	return err
}

// check holds the result against what must be true of every run.
func (res *Result) check() error {
	var bad []error
	must := func(ok bool, what string) {
		if !ok {
			bad = append(bad, errors.New("does not hold: "+what))
		}
	}
	must(res.Contacts > 0 && res.Messages > 0 && res.Sent > 0, "something was imported and sent")
	must(res.Contacts == res.Created+res.Updated+res.Unchanged+res.Duplicate+res.Invalid+res.SkippedImport, "contacts = created + updated + unchanged + duplicate + invalid + suppressed")
	must(res.Messages == res.Sent+res.Rejected+res.Suppressed+res.Cancelled+res.Expired+res.Unconfirmed, "messages = sent + rejected + suppressed + cancelled + expired + unconfirmed")
	must(res.Sent >= res.Delivered && res.Delivered >= res.Read, "sent >= delivered >= read")
	must(res.Failed >= res.Rejected && res.Failed-res.Rejected <= res.Sent, "failed = rejected + failed after acceptance")
	must(res.Unknown == 0, "unknown = 0")
	must(res.MetaDuplicates == 0, "meta_duplicates = 0")
	must(res.MetaUnique == res.Sent, "meta_unique = sent")
	must(res.Quoted == res.Captured+res.Released, "quoted = captured + released")
	must(res.Drift == 0, "ledger drift = 0")
	return errors.Join(bad...)
}

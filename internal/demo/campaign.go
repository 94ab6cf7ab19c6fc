package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

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
	r.say("uploading %d contacts", r.Contacts)
	var job importState
	want, err := r.uploadContacts(ctx, &job)
	if err != nil {
		return err
	}
	r.result.refusable = want.Refused
	path := "/contact-imports/" + job.ID
	wait := func(what string, states ...string) error {
		return r.until(ctx, r.patience(15*time.Minute), what, func() (progress, error) {
			if err := r.front.call(ctx, http.MethodGet, path, nil, &job); err != nil {
				return progress{}, err
			}
			if job.Status == "FAILED" || job.Status == "CANCELLED" || job.Status == "NEEDS_OPERATOR" {
				return progress{}, fmt.Errorf("the import is %s: %s", job.Status, job.Reason)
			}
			return progress{
				over: slices.Contains(states, job.Status), done: job.Done, total: job.Total,
				text: fmt.Sprintf("%s, %d of %d rows", job.Status, job.Done, job.Total),
			}, nil
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

// uploadContacts sends the demo's file and tells what it holds.
func (r *run) uploadContacts(ctx context.Context, job *importState) (want Expected, err error) {
	fields := map[string]string{"strategy": "SKIP_DUPLICATES", "default_region": "IN"}
	err = r.during("upload", func() error {
		return r.front.upload(ctx, "/contact-imports", fields, func(to io.Writer) (err error) {
			want, err = WriteContacts(to, r.Contacts, Seed)
			return err
		}, job)
	})
	return want, err
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
	if err := r.during("pricing", func() error {
		return r.front.call(ctx, http.MethodPost, "/campaigns/"+r.campaign+"/quotations", nil, &quoted)
	}); err != nil {
		return err
	}
	r.quotation, r.result.Quoted = quoted.ID, quoted.Total
	r.say("quoted %d messages for %d micros, wallet sufficient: %t", quoted.Quantity, quoted.Total, quoted.Sufficient)
	if err := r.until(ctx, 2*time.Minute, "quotation PDF", func() (progress, error) {
		err := r.front.call(ctx, http.MethodGet, "/quotations/"+r.quotation, nil, &quoted)
		if err == nil && quoted.PDFStatus == "FAILED" {
			err = errors.New("the PDF failed: " + quoted.PDFError)
		}
		return progress{over: quoted.PDFStatus == "READY", text: quoted.PDFStatus}, err
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
	var err error
	r.result.QuotationFile, err = r.keep("quotation-"+r.quotation+".pdf", pdf)
	return err
}

// keep writes a document that a person may want to look at, and returns its name.
func (r *run) keep(name string, file []byte) (string, error) {
	dir := filepath.Join(r.Stack.Dir, "demo")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	r.say("kept %s", path)
	return path, os.WriteFile(path, file, 0o600)
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
	return r.until(ctx, r.patience(30*time.Minute), "campaign", func() (progress, error) {
		o, err := r.overview(ctx)
		if err == nil && (o.Status == "HALTED" || o.Status == "CANCELLED") {
			err = fmt.Errorf("the campaign is %s: %s", o.Status, o.Halt)
		}
		if err == nil && r.MidDispatch != nil && o.Messages.Total > 0 && o.Messages.Sent > o.Messages.Total/3 {
			err = r.MidDispatch()
			r.MidDispatch = nil
		}
		m := o.Messages
		return progress{
			over: o.Status == "COMPLETED", done: m.Total - m.Queued, total: m.Total,
			text: fmt.Sprintf("%s, %d of %d sent, %d delivered, %d read, %d failed", o.Status, m.Sent, m.Total, m.Delivered, m.Read, m.Failed),
		}, err
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
	err := r.until(ctx, r.patience(5*time.Minute), "statuses", func() (progress, error) {
		if err := r.sim.call(ctx, http.MethodGet, "/_sim/stats?phone_number_id="+r.simNumber, nil, &s); err != nil {
			return progress{}, err
		}
		o, err := r.overview(ctx)
		now := fmt.Sprintf("%d delivered, %d read, %d failed, refunded %d micros", o.Messages.Delivered, o.Messages.Read, o.Messages.Failed, o.Money.Refunded)
		if now != last {
			last, since = now, time.Now()
		}
		// Quiet at Meta, and nothing has changed here for three seconds: settled.
		return progress{over: s.Scheduled == 0 && s.Webhooks.Pending == 0 && time.Since(since) > 3*time.Second, text: now}, err
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
	if err != nil {
		return err
	}
	return r.statement(ctx)
}

// statement downloads the wallet's statement in every format, and holds its closing balance
// against the wallet.
func (r *run) statement(ctx context.Context) error {
	var account struct {
		Closing struct {
			Balance int64 `json:"balance_micros"`
			Held    int64 `json:"held_micros"`
		}
		Entries []struct {
			Reference string
		}
	}
	if err := r.front.call(ctx, http.MethodGet, "/wallet/statement", nil, &account); err != nil {
		return err
	}
	var purse struct {
		Balance int64 `json:"balance_micros"`
		Held    int64 `json:"held_micros"`
	}
	if err := r.front.call(ctx, http.MethodGet, "/wallet", nil, &purse); err != nil {
		return err
	}
	if account.Closing != purse || len(account.Entries) == 0 {
		return fmt.Errorf("the statement closes with %+v, the wallet holds %+v", account.Closing, purse)
	}
	for _, format := range []string{"csv", "xlsx", "pdf"} {
		var file []byte
		err := r.front.call(ctx, http.MethodGet, "/wallet/statement?format="+format, nil, &file)
		if format == "pdf" && err != nil && strings.Contains(err.Error(), "wallet.statement_too_long") {
			r.say("statement: too many entries for a PDF, as those of a million messages are")
			continue
		}
		if err != nil {
			return err
		}
		if r.result.StatementFile, err = r.keep("statement-"+r.vendor+"."+format, file); err != nil {
			return err
		}
	}
	return nil
}

package demo

import "errors"

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
	QuotationFile  string             `json:"quotation_file"`
	StatementFile  string             `json:"statement_file"` // a CSV and an XLSX are beside it
	Seconds        map[string]float64 `json:"seconds"`

	// Owner is the login that the demo made, Secrets the tokens it came across, so that a
	// test can look for what must be nowhere.
	Owner   Login    `json:"-"`
	Secrets []string `json:"-"`

	refusable int // people in the file whom Meta refuses
}

// Login is what a user logs in with.
type Login struct {
	Email    string `json:"email"`
	Password string `json:"password"`
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
	must(res.Rejected > 0 || res.refusable == 0, "whom Meta refuses at once is rejected")
	must(res.Unknown == 0, "unknown = 0")
	must(res.MetaDuplicates == 0, "meta_duplicates = 0")
	must(res.MetaUnique == res.Sent, "meta_unique = sent")
	must(res.Quoted == res.Captured+res.Released, "quoted = captured + released")
	must(res.Drift == 0, "ledger drift = 0")
	return errors.Join(bad...)
}

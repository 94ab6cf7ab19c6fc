package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// dlqCmd is what an operator does with dead letters.
type dlqCmd struct {
	Ls     dlqLsCmd     `cmd:"" help:"List what failed for good, newest first."`
	Show   dlqShowCmd   `cmd:"" help:"Show one letter, with its remedy and its message now."`
	Replay dlqReplayCmd `cmd:"" help:"Send letters again, or with --dry-run count and price them."`
}

// letterFlags choose letters.
type letterFlags struct {
	Campaign   string    `help:"Only of this campaign."`
	CauseClass string    `help:"Only of this class: RECIPIENT, REQUEST, UNCONFIRMED …"`
	Code       int       `help:"Only with this code of Meta's."`
	Source     string    `enum:"MESSAGE,EVENT," default:"" help:"MESSAGE or EVENT."`
	From       time.Time `help:"Made then or later, RFC 3339."`
	To         time.Time `help:"Made before then, RFC 3339."`
}

func (f letterFlags) filter() letter.Filter {
	return letter.Filter{
		Campaign: campaign.ID(f.Campaign), CauseClass: f.CauseClass, Code: f.Code, Source: letter.Source(f.Source), From: f.From, To: f.To,
	}
}

type dlqLsCmd struct {
	letterFlags

	Vendor   string `required:"" help:"Vendor's id."`
	Replayed string `enum:"true,false," default:"" help:"Only those that were (true), or were not (false), sent again."`
	Limit    int    `default:"50" help:"At most so many."`
	Summary  bool   `help:"Count by cause instead."`
	JSON     bool   `help:"Print JSON, one line a letter."`
}

// Run prints a table, or one JSON line a letter.
func (c *dlqLsCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	q := store.LetterQuery{Filter: c.filter()}
	if c.Replayed != "" {
		q.Replayed = new(c.Replayed == "true")
	}
	if c.Summary {
		counts, err := s.SummarizeDeadLetters(ctx, vendor.ID(c.Vendor), q)
		if err != nil {
			return err
		}
		return c.printCounts(os.Stdout, counts)
	}
	letters, err := s.ListDeadLetters(ctx, vendor.ID(c.Vendor), q, store.LetterCursor{}, c.Limit)
	if err != nil {
		return err
	}
	return c.printLetters(os.Stdout, letters)
}

func (c *dlqLsCmd) printCounts(w io.Writer, counts []store.LetterCount) error {
	out, t := json.NewEncoder(w), tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "SOURCE\tCLASS\tCODE\tLETTERS\tREPLAYED\tFROM REPLAY\tLATEST") // Flush tells
	}
	for _, n := range counts {
		if !c.JSON {
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", n.Source, n.CauseClass, n.Code, n.Letters, n.Replayed, n.FromReplay, stamp(n.Latest)) // Flush tells
			continue
		}
		if err := out.Encode(map[string]any{
			"source": n.Source, "cause_class": n.CauseClass, "code": n.Code, "letters": n.Letters, "replayed": n.Replayed,
			"from_replay": n.FromReplay, "first_at": n.First, "latest_at": n.Latest,
		}); err != nil {
			return err
		}
	}
	return t.Flush()
}

func (c *dlqLsCmd) printLetters(w io.Writer, letters []store.DeadLetter) error {
	out, t := json.NewEncoder(w), tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(t, "ID\tSOURCE\tOF\tCLASS\tCODE\tREASON\tMADE\tREPLAYED") // Flush tells
	}
	for _, l := range letters {
		if c.JSON {
			if err := out.Encode(letterFields(l)); err != nil {
				return err
			}
			continue
		}
		of := string(l.Campaign)
		if l.Source == letter.Event {
			of = l.EventKind + " " + l.Subject
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.ID, l.Source, of, l.CauseClass, l.Code, l.Reason, stamp(l.CreatedAt), stamp(l.ReplayedAt)) // Flush tells
	}
	return t.Flush()
}

// stamp is a time for a table; a zero one is a dash.
func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

// letterFields are a letter's, as programs read them.
func letterFields(l store.DeadLetter) map[string]any {
	out := map[string]any{
		"id": l.ID, "source": l.Source, "cause_class": l.CauseClass, "code": l.Code, "reason": l.Reason, "created_at": l.CreatedAt,
		"from_replay": l.FromReplay,
	}
	if l.Source == letter.Event {
		out["event_kind"], out["subject_id"] = l.EventKind, l.Subject
	} else {
		out["campaign_id"], out["message_id"], out["attempt"] = l.Campaign, l.Message, l.Attempt
	}
	if !l.ReplayedAt.IsZero() {
		out["replayed_at"], out["replay_campaign_id"] = l.ReplayedAt, l.Replay
	}
	return out
}

type dlqShowCmd struct {
	Vendor string `required:"" help:"Vendor's id."`
	Letter string `arg:"" help:"Letter's id."`
}

// Run prints one JSON document. It tells nobody's number: operators have no keys.
func (c dlqShowCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := s.DeadLetter(ctx, vendor.ID(c.Vendor), letter.ID(c.Letter))
	if err != nil {
		return err
	}
	out := letterFields(l.DeadLetter)
	if known, ok := meta.Lookup(l.Code, 0); ok && l.Code != 0 {
		out["code_name"], out["remedy"] = known.Name, known.Remedy
	}
	if l.Found {
		out["message"] = map[string]any{
			"status": l.Status, "country": l.Country, "contact_id": l.Contact, "price_micros": l.Price, "meta_title": l.ErrorTitle,
			"sending_at": stamp(l.SendingAt), "sent_at": stamp(l.SentAt), "failed_at": stamp(l.FailedAt),
		}
	}
	if l.ReplayMessage != 0 {
		out["replay"] = map[string]any{"message_id": l.ReplayMessage, "status": l.ReplayStatus}
	}
	return printJSON(os.Stdout, out)
}

func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

type dlqReplayCmd struct {
	letterFlags

	Vendor             string   `required:"" help:"Vendor's id."`
	IDs                []string `arg:"" optional:"" name:"letter" help:"Letters by their ids; without any, all that the flags let through."`
	Rate               int      `help:"Messages a second; default: as fast as the sender number may."`
	IncludeUnconfirmed bool     `help:"Also what may have arrived: a person may get it twice."`
	IncludeReplayed    bool     `help:"Also what failed in a replay before."`
	DryRun             bool     `help:"Count and price, and change nothing."`
	JSON               bool     `help:"Print one JSON document."`
}

// Run replays, and prints what that took. A repeat takes nothing twice.
func (c *dlqReplayCmd) Run(ctx context.Context, env *cliEnv) error {
	s, err := env.Store(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ask := letter.Replay{
		Filter: c.filter(), RatePerSecond: c.Rate, IncludeUnconfirmed: c.IncludeUnconfirmed, IncludeReplayed: c.IncludeReplayed, DryRun: c.DryRun,
	}
	for _, l := range c.IDs {
		ask.IDs = append(ask.IDs, letter.ID(l))
	}
	r, err := s.ReplayDeadLetters(ctx, vendor.ID(c.Vendor), ask, store.Once[store.Replayed]{})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, replayFields(r))
	}
	verb := "replayed"
	if r.DryRun {
		verb = "would replay"
	}
	fmt.Fprintf(os.Stdout, "%s %d messages for %s and %d events; skipped %d\n", verb, r.Messages, r.Currency.Format(r.Price), r.Events, r.Skipped)
	for _, k := range r.Campaigns {
		fmt.Fprintf(os.Stdout, "  %d messages of %s for %s", k.Messages, k.Parent, r.Currency.Format(k.Price))
		if k.ID != "" {
			fmt.Fprintf(os.Stdout, ", by %s", k.ID)
		}
		fmt.Fprintln(os.Stdout)
	}
	if !r.Sufficient() {
		fmt.Fprintf(os.Stdout, "the wallet holds %s: too little\n", r.Currency.Format(r.Balance))
	}
	if r.More {
		fmt.Fprintln(os.Stdout, "more letters are left: run it again")
	}
	return nil
}

func replayFields(r store.Replayed) map[string]any {
	campaigns, causes := []map[string]any{}, []map[string]any{}
	for _, k := range r.Campaigns {
		campaigns = append(campaigns, map[string]any{"campaign_id": k.ID, "parent_id": k.Parent, "messages": k.Messages, "price_micros": k.Price})
	}
	for _, k := range r.Causes {
		causes = append(causes, map[string]any{
			"source": k.Source, "cause_class": k.CauseClass, "code": k.Code, "letters": k.Letters, "price_micros": k.Price,
		})
	}
	return map[string]any{
		"dry_run": r.DryRun, "messages": r.Messages, "events": r.Events, "skipped": r.Skipped, "more": r.More, "currency": r.Currency,
		"price_micros": r.Price, "balance_micros": r.Balance, "wallet_sufficient": r.Sufficient(), "campaigns": campaigns, "causes": causes,
	}
}

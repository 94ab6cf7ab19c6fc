package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/letter"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// ReplayCampaign is the campaign that sends the failed messages of another one again.
type ReplayCampaign struct {
	ID       campaign.ID // "": a dry run
	Parent   campaign.ID
	Messages int
	Price    money.Micros // held for it
}

// ReplayCause is how many of a replay's letters have one cause.
type ReplayCause struct {
	Source     letter.Source
	CauseClass string
	Code       int // Meta's; 0: none
	Letters    int
	Price      money.Micros
}

// Replayed is what a replay took, or would take.
type Replayed struct {
	DryRun    bool
	Campaigns []ReplayCampaign
	Causes    []ReplayCause
	Messages  int
	Events    int
	Price     money.Micros // of all messages
	Skipped   int          // of the letters that were named, those that may not go out again
	More      bool         // the filter lets more through than one replay takes: ask again

	Currency money.Currency
	Balance  money.Micros // of the wallet, before
}

// Sufficient tells whether the wallet covers the replay.
func (r Replayed) Sufficient() bool { return r.Balance >= r.Price }

// chosenLetters are those of one campaign (none for events) with one cause.
type chosenLetters struct {
	Source     letter.Source
	Campaign   *campaign.ID
	CauseClass string
	Code       int
	Letters    int
	Price      money.Micros
	IDs        []string
}

// replayPlan is what was asked for and which letters that takes.
type replayPlan struct {
	ask    letter.Replay
	chosen []chosenLetters
}

// ReplayDeadLetters sends letters out again. In one transaction it chooses those that may
// (see letter.Replay), marks them, makes one REPLAY campaign for each campaign whose
// messages failed, holds their messages' own prices for it, and asks for its workflow;
// events go back to the outbox. Letters that may not are passed over, so a repeat finds
// nothing left; a dry run changes nothing.
//
// Errors: dead_letter.bad_selection, dead_letter.not_found (an id is unknown),
// wallet.not_found, wallet.insufficient_funds (nothing was changed).
func (s *Store) ReplayDeadLetters(ctx context.Context, v vendor.ID, r letter.Replay, once Once[Replayed]) (Replayed, error) {
	if err := r.Validate(); err != nil {
		return Replayed{}, err
	}
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (Replayed, error) {
		chosen, err := s.chooseLetters(ctx, tx, v, r)
		if err != nil {
			return Replayed{}, err
		}
		out := summarize(r, chosen)
		plan := replayPlan{r, chosen}
		purse, err := s.walletTx(ctx, tx, v)
		if err != nil {
			return out, err
		}
		out.Currency, out.Balance = purse.Currency, purse.Balance
		if r.DryRun {
			return out, nil
		}
		if !out.Sufficient() {
			return out, wallet.ErrInsufficientFunds.Detail("the wallet lacks %s %s of %s", purse.Currency, out.Price-out.Balance, out.Price)
		}
		if err := s.makeReplays(ctx, tx, v, plan, &out); err != nil {
			return out, err
		}
		return out, s.enqueueReplays(ctx, tx, v, plan, out)
	})
}

func (s *Store) chooseLetters(ctx context.Context, tx pgx.Tx, v vendor.ID, r letter.Replay) ([]chosenLetters, error) {
	args := filterArgs(v, r.Filter)
	args["include_unconfirmed"], args["include_replayed"], args["max_rows"] = r.IncludeUnconfirmed, r.IncludeReplayed, letter.MaxReplay
	args["ids"] = nil
	if len(r.IDs) > 0 {
		ids := slices.Compact(slices.Sorted(slices.Values(r.IDs)))
		if slices.ContainsFunc(ids, func(l letter.ID) bool { return !id.Valid(string(l)) }) {
			return nil, letter.ErrNotFound
		}
		args["ids"] = texts(ids)
		var known int
		if err := tx.QueryRow(ctx, s.sql("ReplayKnown"), pgx.StrictNamedArgs{"vendor_id": v, "ids": texts(ids)}).Scan(&known); err != nil {
			return nil, err
		}
		if known < len(ids) {
			return nil, letter.ErrNotFound
		}
	}
	if _, err := tx.Exec(ctx, s.sql("PlanByIndex")); err != nil {
		return nil, err
	}
	return collect(ctx, tx, s.sql("ReplayChoose"), args, pgx.RowToStructByPos[chosenLetters])
}

// summarize adds up what was chosen: by cause, and by the campaign whose messages failed.
func summarize(r letter.Replay, chosen []chosenLetters) Replayed {
	out := Replayed{DryRun: r.DryRun, Campaigns: []ReplayCampaign{}, Causes: []ReplayCause{}}
	for _, c := range chosen {
		cause := ReplayCause{Source: c.Source, CauseClass: c.CauseClass, Code: c.Code}
		at := slices.IndexFunc(out.Causes, func(k ReplayCause) bool {
			return k.Source == cause.Source && k.CauseClass == cause.CauseClass && k.Code == cause.Code
		})
		if at < 0 {
			at, out.Causes = len(out.Causes), append(out.Causes, cause)
		}
		out.Causes[at].Letters += c.Letters
		out.Causes[at].Price += c.Price
		if c.Source == letter.Event {
			out.Events += c.Letters
			continue
		}
		out.Messages += c.Letters
		out.Price += c.Price
		parent := orZero(c.Campaign)
		at = slices.IndexFunc(out.Campaigns, func(k ReplayCampaign) bool { return k.Parent == parent })
		if at < 0 {
			at, out.Campaigns = len(out.Campaigns), append(out.Campaigns, ReplayCampaign{Parent: parent})
		}
		out.Campaigns[at].Messages += c.Letters
		out.Campaigns[at].Price += c.Price
	}
	taken := out.Messages + out.Events
	out.More = len(r.IDs) == 0 && taken == letter.MaxReplay
	if len(r.IDs) > 0 {
		out.Skipped = len(slices.Compact(slices.Sorted(slices.Values(r.IDs)))) - taken
	}
	return out
}

// makeReplays makes the campaigns, marks the letters, and holds the money.
func (s *Store) makeReplays(ctx context.Context, tx pgx.Tx, v vendor.ID, plan replayPlan, out *Replayed) error {
	if len(out.Campaigns) == 0 {
		return nil
	}
	n := len(out.Campaigns)
	parents, replays, holds := make([]campaign.ID, n), make([]campaign.ID, n), make([]wallet.Posting, n)
	for i := range out.Campaigns {
		c := &out.Campaigns[i]
		c.ID = id.New[campaign.ID]()
		parents[i], replays[i] = c.Parent, c.ID
		holds[i] = wallet.Hold(string(c.ID), "hold/"+string(c.ID), c.Price)
	}
	var rate *int
	if plan.ask.RatePerSecond > 0 {
		rate = &plan.ask.RatePerSecond
	}
	if _, err := tx.Exec(ctx, s.sql("ReplayInsert"), pgx.StrictNamedArgs{
		"vendor_id": v, "parents": texts(parents), "replays": texts(replays), "rate": rate, "created_by": nullID(plan.ask.By),
	}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql("ReplayMark"), pgx.StrictNamedArgs{
		"vendor_id": v, "parents": texts(parents), "replays": texts(replays), "ids": plan.ids(letter.Message),
	}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql("ReplayShares"), pgx.StrictNamedArgs{"vendor_id": v, "replays": texts(replays)}); err != nil {
		return err
	}
	_, err := s.postAllTx(ctx, tx, v, holds)
	return err
}

// enqueueReplays asks for the campaigns' workflows and puts events back. It comes last: it
// locks the vendor's turn.
func (s *Store) enqueueReplays(ctx context.Context, tx pgx.Tx, v vendor.ID, plan replayPlan, out Replayed) error {
	for _, c := range out.Campaigns {
		if err := s.enqueue(ctx, tx, v, "campaign.approved", string(c.ID)); err != nil {
			return err
		}
	}
	if out.Events == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql("ReplayEvents"), pgx.StrictNamedArgs{"vendor_id": v, "ids": plan.ids(letter.Event)})
	return err
}

func (p replayPlan) ids(source letter.Source) []string {
	out := []string{}
	for _, c := range p.chosen {
		if c.Source == source {
			out = append(out, c.IDs...)
		}
	}
	return out
}

// frozenPage is how far a freeze has come.
type frozenPage struct {
	frozen int
	done   bool
}

// freezeReplay freezes the next page of a campaign that is a replay; any other is not its
// business. The campaign's row is locked.
func (s *Store) freezeReplay(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, rows int) (page frozenPage, is bool, err error) {
	var (
		kind   campaign.Kind
		month  *int32
		cursor *string
	)
	key := pgx.StrictNamedArgs{"vendor_id": v, "campaign_id": c}
	if err := tx.QueryRow(ctx, s.sql("ReplayOf"), key).Scan(&kind, &month, &cursor); err != nil || kind != campaign.KindReplay {
		return page, false, err
	}
	var taken int
	err = tx.QueryRow(ctx, s.sql("ReplayFreezePage"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": c, "month": month, "cursor": cursor, "page_rows": rows,
	}).Scan(&page.frozen, &taken)
	page.done = taken < rows
	return page, true, err
}

// endRaised takes out of a replay's claim the messages whose first one was raised since the
// freeze, and ends them: one statement a claim. Other campaigns cost nothing.
func (s *Store) endRaised(ctx context.Context, tx pgx.Tx, v vendor.ID, job *SendJob, keep time.Duration) error {
	if !job.Replay {
		return nil
	}
	raised, err := collect(ctx, tx, s.sql("ReplayRaised"), pgx.StrictNamedArgs{
		"vendor_id": v, "campaign_id": job.Campaign, "month": job.Month, "message_ids": job.Messages,
	}, pgx.RowTo[int64])
	if err != nil || len(raised) == 0 {
		return err
	}
	job.Messages = slices.DeleteFunc(job.Messages, func(m message.ID) bool { return slices.Contains(raised, int64(m)) })
	_, _, err = s.progress(ctx, tx, v, *job, doneRows{raised, keep})
	return err
}

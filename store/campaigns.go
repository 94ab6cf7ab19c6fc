package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/quotation"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/domain/wallet"
	"github.com/kloyst/kloyst-core/internal/id"
)

// CreateCampaign stores a draft, after checking it against its template, number and
// labels.
//
// Errors: template.not_found, template.not_approved, template.unsupported,
// sender_number.not_found, and those of campaign.NewCampaign.Validate.
func (s *Store) CreateCampaign(ctx context.Context, v vendor.ID, n campaign.NewCampaign, now time.Time, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (campaign.Campaign, error) {
		args, err := s.campaignArgs(ctx, tx, v, n, now)
		if err != nil {
			return campaign.Campaign{}, err
		}
		c := id.New[campaign.ID]()
		args["id"], args["created_by"] = c, nullID(n.By)
		if _, err := tx.Exec(ctx, s.sql("CampaignInsert"), args); err != nil {
			return campaign.Campaign{}, err
		}
		return s.campaignTx(ctx, tx, v, c, "CampaignByID")
	})
}

// campaignArgs checks a campaign as its vendor wrote it and returns its columns.
func (s *Store) campaignArgs(ctx context.Context, tx pgx.Tx, v vendor.ID, n campaign.NewCampaign, now time.Time) (pgx.StrictNamedArgs, error) {
	t, zone, err := s.campaignTemplate(ctx, tx, v, n)
	if err != nil {
		return nil, err
	}
	spec, err := template.Parse(t)
	if err != nil {
		return nil, err
	}
	if n.TimeZone == "" {
		n.TimeZone = zone
	}
	if n, err = n.Validate(spec.Variables(), now); err != nil {
		return nil, err
	}
	audience, err := s.resolveLabels(ctx, tx, v, n.Audience)
	if err != nil {
		return nil, err
	}
	if n.Parameters == nil {
		n.Parameters = campaign.Parameters{}
	}
	args := pgx.StrictNamedArgs{
		"vendor_id": v, "name": n.Name, "template_id": n.Template, "sender_number_id": n.SenderNumber,
		"category": t.Category, "audience": audience, "parameters": n.Parameters,
		"scheduled_at": nullTime(n.ScheduledAt), "time_zone": n.TimeZone, "misfire_policy": n.Misfire,
		"misfire_tolerance": int64(n.Tolerance / time.Second), "quiet_from": nil, "quiet_to": nil,
		"lifetime": int64(n.Lifetime / time.Second),
	}
	if !n.Quiet.IsZero() {
		args["quiet_from"], args["quiet_to"] = n.Quiet.From, n.Quiet.To
	}
	return args, nil
}

// campaignTemplate loads what a new campaign must fit, and the vendor's time zone.
func (s *Store) campaignTemplate(ctx context.Context, tx pgx.Tx, v vendor.ID, n campaign.NewCampaign) (template.Template, string, error) {
	t := template.Template{ID: n.Template}
	var zone string
	var sameAccount bool
	err := tx.QueryRow(ctx, s.sql("CampaignTemplate"), pgx.StrictNamedArgs{
		"vendor_id": v, "template_id": n.Template, "sender_number_id": n.SenderNumber,
	}).Scan(&t.Name, &t.Language, &t.Category, &t.Status, &t.Format, &t.Components, &zone, &sameAccount)
	switch {
	case err != nil:
		return t, "", orNotFound(err, template.ErrNotFound)
	case t.Status != template.Approved:
		return t, "", template.ErrNotApproved
	case !sameAccount:
		return t, "", waba.ErrNumberNotFound
	}
	return t, zone, nil
}

func (s *Store) resolveLabels(ctx context.Context, tx pgx.Tx, v vendor.ID, a campaign.NamedAudience) (campaign.Audience, error) {
	names := append(append(append([]string{}, a.AnyLabels...), a.AllLabels...), a.ExcludedLabels...)
	rows, err := tx.Query(ctx, s.sql("CampaignLabels"), pgx.StrictNamedArgs{"vendor_id": v, "names": names})
	if err != nil {
		return campaign.Audience{}, err
	}
	ids := map[string]campaign.LabelID{}
	var name string
	var label campaign.LabelID
	if _, err := pgx.ForEachRow(rows, []any{&name, &label}, func() error {
		ids[name] = label
		return nil
	}); err != nil {
		return campaign.Audience{}, err
	}
	return a.Resolve(ids)
}

// Campaign returns one campaign.
//
// Errors: campaign.not_found.
func (s *Store) Campaign(ctx context.Context, v vendor.ID, c campaign.ID) (campaign.Campaign, error) {
	var out campaign.Campaign
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = s.campaignTx(ctx, tx, v, c, "CampaignByID")
		return err
	})
	return out, err
}

// campaignTx reads one campaign by the statement given: CampaignByID or CampaignLock.
func (s *Store) campaignTx(ctx context.Context, tx pgx.Tx, v vendor.ID, c campaign.ID, statement string) (campaign.Campaign, error) {
	out, err := scanCampaign(tx.QueryRow(ctx, s.sql(statement), pgx.StrictNamedArgs{"vendor_id": v, "id": c}))
	return out, orNotFound(err, campaign.ErrNotFound)
}

func scanCampaign(row pgx.Row) (campaign.Campaign, error) {
	var (
		c                                              campaign.Campaign
		q                                              *string
		month                                          *int32
		by                                             *vendor.UserID
		parent                                         *campaign.ID
		scheduled, approved, frozen, started, finished *time.Time
		until, expires                                 *time.Time
		tolerance, lifetime                            int64
		quietFrom, quietTo                             *int
		further                                        *string
	)
	err := row.Scan(&c.ID, &c.Kind, &parent, &c.Name, &c.State, &c.HaltReason, &c.Template, &c.SenderNumber, &c.Category, &c.Audience, &c.Parameters,
		&scheduled, &c.TimeZone, &q, &month, &c.Frozen, &c.Version, &by, &c.CreatedAt, &approved, &frozen, &started, &finished,
		&c.HaltRemedy, &until, &expires, &c.Misfire, &tolerance, &quietFrom, &quietTo, &further, &lifetime)
	c.Lifetime = time.Duration(lifetime) * time.Second
	c.Tolerance, c.Quiet, c.Further = time.Duration(tolerance)*time.Second, campaign.QuietHours{From: orZero(quietFrom), To: orZero(quietTo)}, orZero(further)
	c.Quotation, c.Month, c.CreatedBy, c.Parent = orZero(q), orZero(month), orZero(by), orZero(parent)
	c.ScheduledAt, c.ApprovedAt, c.FrozenAt = utc(scheduled), utc(approved), utc(frozen)
	c.StartedAt, c.FinishedAt, c.CreatedAt = utc(started), utc(finished), c.CreatedAt.UTC()
	c.HaltUntil, c.ExpiresAt = utc(until), utc(expires)
	return c, err
}

// CampaignFilter narrows a list of campaigns; what is empty does not, but for Kind.
type CampaignFilter struct {
	State        campaign.State
	Kind         campaign.Kind // "": KindCampaign
	Template     template.ID
	SenderNumber waba.NumberID
	CreatedFrom  time.Time // inclusive
	CreatedTo    time.Time // exclusive
}

// ListCampaigns returns up to limit campaigns that f lets through, newest first, from
// before the given id on ("" is from the newest).
func (s *Store) ListCampaigns(ctx context.Context, v vendor.ID, f CampaignFilter, before campaign.ID, limit int) ([]campaign.Campaign, error) {
	var out []campaign.Campaign
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		out, err = collect(ctx, tx, s.sql("CampaignList"), pgx.StrictNamedArgs{
			"vendor_id": v, "before": nullID(before), "status": nullID(f.State), "kind": nullID(f.Kind), "template_id": nullID(f.Template),
			"sender_number_id": nullID(f.SenderNumber), "created_from": nullTime(f.CreatedFrom), "created_to": nullTime(f.CreatedTo),
			"max_rows": limit,
		}, func(row pgx.CollectableRow) (campaign.Campaign, error) { return scanCampaign(row) })
		return err
	})
	return out, err
}

// CampaignOverview is a campaign with where its messages and its money stand.
type CampaignOverview struct {
	Campaign campaign.Campaign
	Counts   CampaignCounts
	Counted  time.Time      // when; zero before there are messages
	Currency money.Currency // of Quoted and Money
	Quoted   money.Micros   // of the standing or accepted quotation and the further one, 0 without
	Money    CampaignMoney
}

// CampaignOverview reads a campaign with its messages' and money's state.
//
// Errors: campaign.not_found.
func (s *Store) CampaignOverview(ctx context.Context, v vendor.ID, c campaign.ID) (CampaignOverview, error) {
	var o CampaignOverview
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		var err error
		if o.Campaign, err = s.campaignTx(ctx, tx, v, c, "CampaignByID"); err != nil {
			return err
		}
		if o.Campaign.Quotation != "" {
			q, err := s.quotationTx(ctx, tx, v, quotation.ID(o.Campaign.Quotation))
			if err != nil {
				return err
			}
			o.Quoted, o.Currency = q.Quote.Total, q.Quote.Currency
		}
		if o.Campaign.Further != "" {
			q, err := s.quotationTx(ctx, tx, v, quotation.ID(o.Campaign.Further))
			if err != nil {
				return err
			}
			o.Quoted += q.Quote.Total // both were held: the sum fits
		}
		if o.Money, err = s.campaignMoneyTx(ctx, tx, v, c); err != nil || o.Campaign.Month == 0 {
			return err
		}
		o.Counts, o.Counted, err = s.countsTx(ctx, tx, v, o.Campaign)
		return err
	})
	return o, err
}

// CampaignMessage is one recipient's message, without anything that tells who it is.
type CampaignMessage struct {
	ID         message.ID
	Contact    string
	Country    string
	Status     message.Status
	Attempts   int
	Wamid      string
	Price      money.Micros
	Captured   money.Micros
	Refunded   money.Micros
	ErrorCode  int // Meta's; 0: none
	ErrorTitle string
	CreatedAt  time.Time
	Sent       *time.Time
	Delivered  *time.Time
	Read       *time.Time
	Failed     *time.Time
	RetryAt    *time.Time
}

// MessagePage is the part of a campaign's messages that ListMessages returns.
type MessagePage struct {
	Status message.Status // "": in any
	After  message.ID     // ids above it
	Limit  int            // at most so many
}

// ListMessages returns a page of a campaign's messages, by id.
//
// Errors: campaign.not_found.
func (s *Store) ListMessages(ctx context.Context, v vendor.ID, c campaign.ID, page MessagePage) ([]CampaignMessage, error) {
	var out []CampaignMessage
	err := s.inTx(ctx, v, func(tx pgx.Tx) error {
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignByID")
		if err != nil || row.Month == 0 {
			return err
		}
		out, err = collect(ctx, tx, s.sql("CampaignMessages"), pgx.StrictNamedArgs{
			"vendor_id": v, "campaign_id": c, "month": row.Month, "after": page.After, "status": nullID(page.Status), "max_rows": page.Limit,
		}, pgx.RowToStructByPos[CampaignMessage])
		return err
	})
	return out, err
}

// Approval is the acceptance of a quotation of a campaign.
type Approval struct {
	Campaign  campaign.ID
	Quotation quotation.ID
	At        time.Time
}

// ApproveCampaign accepts a quotation: in one transaction the quoted total moves from the
// wallet to the campaign's hold, the campaign is APPROVED, and one event asks for its
// workflow, however large the audience. One with a time to come is SCHEDULED at once. One
// that is halted because its audience grew goes on with the further hold. An approved
// campaign is returned as it is.
//
// Errors: campaign.not_found, campaign.wrong_state, quotation.not_found,
// quotation.other_campaign, quotation.not_standing, quotation.expired,
// wallet.insufficient_funds, template.not_approved, template.unsupported,
// campaign.bad_parameters.
func (s *Store) ApproveCampaign(ctx context.Context, v vendor.ID, a Approval, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (campaign.Campaign, error) {
		row, err := s.campaignTx(ctx, tx, v, a.Campaign, "CampaignLock")
		if err != nil {
			return row, err
		}
		if (row.Quotation == string(a.Quotation) || row.Further == string(a.Quotation)) && !row.ApprovedAt.IsZero() {
			return row, nil
		}
		if row.Grew() {
			return s.approveFurther(ctx, tx, v, row, a)
		}
		next, err := campaign.Next(row.State, campaign.Approve)
		if err != nil {
			return row, err
		}
		if err := s.acceptTx(ctx, tx, v, a); err != nil {
			return row, err
		}
		if row.ScheduledAt.After(a.At) {
			if next, err = campaign.Next(next, campaign.Schedule); err != nil {
				return row, err
			}
		}
		row.Quotation = string(a.Quotation)
		if row, err = s.moveCampaign(ctx, tx, v, row, next); err != nil {
			return row, err
		}
		if err := s.freezeTemplate(ctx, tx, v, row); err != nil {
			return row, err
		}
		return row, s.enqueue(ctx, tx, v, "campaign.approved", string(a.Campaign))
	})
}

// freezeTemplate copies the template onto the campaign, if it can still be sent with the
// campaign's parameters: a sync may have changed it since the campaign was written.
func (s *Store) freezeTemplate(ctx context.Context, tx pgx.Tx, v vendor.ID, row campaign.Campaign) error {
	t := template.Template{ID: row.Template}
	err := tx.QueryRow(ctx, s.sql("CampaignFreezeTemplate"), pgx.StrictNamedArgs{"vendor_id": v, "id": row.ID}).Scan(
		&t.Name, &t.Language, &t.Category, &t.Status, &t.Format, &t.Components)
	switch {
	case err != nil:
		return orNotFound(err, template.ErrNotFound)
	case t.Status != template.Approved:
		return template.ErrNotApproved
	}
	spec, err := template.Parse(t)
	if err != nil {
		return err
	}
	return row.Parameters.Cover(spec.Variables())
}

// acceptTx accepts a quotation and holds what it comes to.
func (s *Store) acceptTx(ctx context.Context, tx pgx.Tx, v vendor.ID, a Approval) error {
	offer, err := s.quotationTx(ctx, tx, v, a.Quotation)
	if err != nil {
		return err
	}
	if err := offer.CheckAccept(a.Campaign, a.At); err != nil {
		return err
	}
	purse, err := s.walletTx(ctx, tx, v)
	if err != nil {
		return err
	}
	if missing := offer.Missing(purse.Balance); missing > 0 {
		return wallet.ErrInsufficientFunds.Detail("the wallet lacks %s %s of the quoted %s", purse.Currency, missing, offer.Quote.Total)
	}
	// The quotation is in the reference: an approval taken back and given again holds anew,
	// and so does a further one.
	reference := "hold/" + string(a.Campaign) + "/" + string(a.Quotation)
	if _, err := s.postTx(ctx, tx, v, wallet.Hold(string(a.Campaign), reference, offer.Quote.Total)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, s.sql("QuotationAccept"), pgx.StrictNamedArgs{"vendor_id": v, "id": a.Quotation})
	return err
}

// PauseCampaign stops a running campaign: no message is marked after it returns, and its
// lanes are closed, whatever their length. A repeat changes nothing.
//
// Errors: campaign.not_found, campaign.wrong_state.
func (s *Store) PauseCampaign(ctx context.Context, v vendor.ID, c campaign.ID) (campaign.Campaign, error) {
	return s.SteerCampaign(ctx, v, c, campaign.Pause, Once[campaign.Campaign]{})
}

// ResumeCampaign lets a paused or halted campaign run again. A repeat changes nothing.
//
// Errors: campaign.not_found, campaign.wrong_state, campaign.audience_grew.
func (s *Store) ResumeCampaign(ctx context.Context, v vendor.ID, c campaign.ID) (campaign.Campaign, error) {
	return s.SteerCampaign(ctx, v, c, campaign.Resume, Once[campaign.Campaign]{})
}

// CancelCampaign ends a campaign: what is on the wire is settled, the rest is not sent,
// and the rest of the hold is released by its workflow. A repeat changes nothing.
//
// Errors: campaign.not_found, campaign.wrong_state.
func (s *Store) CancelCampaign(ctx context.Context, v vendor.ID, c campaign.ID) (campaign.Campaign, error) {
	return s.SteerCampaign(ctx, v, c, campaign.Cancel, Once[campaign.Campaign]{})
}

// SteerCampaign is PauseCampaign, ResumeCampaign or CancelCampaign by its event, run one
// time per key of once.
//
// Errors: campaign.not_found, campaign.wrong_state, campaign.audience_grew, and
// wallet.insufficient_funds where the hold was used up.
func (s *Store) SteerCampaign(ctx context.Context, v vendor.ID, c campaign.ID, e campaign.Event, once Once[campaign.Campaign]) (campaign.Campaign, error) {
	return inTxOnce(ctx, s, v, once, func(tx pgx.Tx) (campaign.Campaign, error) {
		row, err := s.campaignTx(ctx, tx, v, c, "CampaignLock")
		if err != nil {
			return row, err
		}
		if e == campaign.Resume && row.HaltReason == campaign.HaltStartMissed {
			e = campaign.Restart
		}
		next, err := campaign.Next(row.State, e)
		if err != nil || next == row.State {
			return row, err
		}
		switch e {
		case campaign.Resume:
			if row.HaltReason == campaign.HaltAudienceGrew {
				return row, campaign.ErrAudienceGrew
			}
			if err := s.coverTx(ctx, tx, v, row); err != nil {
				return row, err
			}
			row.HaltReason = ""
		case campaign.Restart:
			row.HaltReason = ""
			if _, err := tx.Exec(ctx, s.sql("CampaignRestart"), pgx.StrictNamedArgs{"vendor_id": v, "id": c}); err != nil {
				return row, err
			}
		default:
		}
		if row, err = s.moveCampaign(ctx, tx, v, row, next); err != nil || row.ApprovedAt.IsZero() {
			return row, err // a draft has neither lanes nor a workflow
		}
		if err := s.pauseLanes(ctx, tx, v, c, e != campaign.Resume); err != nil {
			return row, err
		}
		return row, s.enqueue(ctx, tx, v, "campaign.changed", string(c))
	})
}

// moveCampaign writes the campaign's new state with what row says beside it. A draft
// that is cancelled is over at once: no workflow will close it.
func (s *Store) moveCampaign(ctx context.Context, tx pgx.Tx, v vendor.ID, row campaign.Campaign, next campaign.State) (campaign.Campaign, error) {
	row.State = next
	var approved, finished *time.Time
	err := tx.QueryRow(ctx, s.sql("CampaignMove"), pgx.StrictNamedArgs{
		"vendor_id": v, "id": row.ID, "status": next, "halt_reason": nullID(row.HaltReason), "quotation_id": nullID(row.Quotation),
		"finished": next == campaign.Cancelled && row.ApprovedAt.IsZero(),
	}).Scan(&row.Version, &approved, &finished)
	row.ApprovedAt, row.FinishedAt = utc(approved), utc(finished)
	return row, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

package gateway

import (
	"context"
	"maps"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/money"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/domain/pricing"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

type renderedBody struct {
	Header  string          `json:"header,omitempty"`
	Body    string          `json:"body"`
	Footer  string          `json:"footer,omitempty"`
	Buttons []buttonPreview `json:"buttons" nullable:"false"`
}

type buttonPreview struct {
	Type string `json:"type" example:"URL"`
	Text string `json:"text,omitempty"`
	URL  string `json:"url,omitempty"`
}

func newRenderedBody(r template.Rendered) renderedBody {
	return renderedBody{
		Header: r.Header, Body: r.Body, Footer: r.Footer,
		Buttons: mapped(r.Buttons, func(b template.Button) buttonPreview { return buttonPreview{Type: b.Type, Text: b.Text, URL: b.URL} }),
	}
}

type previewInput struct {
	httpx.ByID
	Body *struct {
		ContactID  contact.ID        `json:"contact_id,omitempty" format:"uuid" doc:"Whose data fill the variables; without it the fallbacks do"`
		Parameters map[string]string `json:"parameters,omitempty" doc:"Texts that stand in for what the campaign would fill in, by variable key" example:"{\"body.1\": \"Asha\"}"`
	} `required:"false"`
}

type previewBody struct {
	renderedBody

	Parameters map[string]string `json:"parameters" doc:"What each variable is filled with"`
}

// preview renders a campaign's message for one contact; it sends nothing and costs nothing.
func (h *campaigns) preview(ctx context.Context, who httpx.Principal, in *previewInput) (*httpx.Reply[previewBody], error) {
	key, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	c, err := h.store.Campaign(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	t, err := h.store.Template(ctx, who.Vendor, c.Template)
	if err != nil {
		return nil, err
	}
	spec, err := template.Parse(t)
	if err != nil {
		return nil, err
	}
	var r campaign.Recipient
	if in.Body != nil && in.Body.ContactID != "" {
		if r, err = h.recipient(ctx, who, in.Body.ContactID); err != nil {
			return nil, err
		}
	}
	values := c.Parameters.Values(r)
	if in.Body != nil {
		maps.Copy(values, in.Body.Parameters)
	}
	if _, err := spec.Fill(values); err != nil { // what Meta would refuse
		return nil, err
	}
	return httpx.OK(previewBody{renderedBody: newRenderedBody(spec.Render(values)), Parameters: values}), nil
}

func (h *campaigns) recipient(ctx context.Context, who httpx.Principal, text contact.ID) (campaign.Recipient, error) {
	key, err := httpx.ID[contact.ID](string(text))
	if err != nil {
		return campaign.Recipient{}, contact.ErrNotFound
	}
	record, err := h.store.Contact(ctx, who.Vendor, key)
	if err != nil {
		return campaign.Recipient{}, err
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return campaign.Recipient{}, err
	}
	return openRecipient(keys, record)
}

// openRecipient decrypts what of a contact can fill variables.
func openRecipient(keys *crypt.VendorKeys, c store.ContactRecord) (campaign.Recipient, error) {
	r := campaign.Recipient{Attributes: c.Attributes}
	mobile, err := keys.Decrypt(crypt.Mobile, string(c.ID), c.MobileCT)
	if err != nil {
		return r, err
	}
	r.Mobile = string(mobile)
	if c.NameCT == nil {
		return r, nil
	}
	name, err := keys.Decrypt(crypt.Name, string(c.ID), c.NameCT)
	r.Name = string(name)
	return r, err
}

type dryRunBody struct {
	Counts  dryRunCounts `json:"counts"`
	Price   *dryRunPrice `json:"price,omitempty" doc:"Absent when it cannot be priced: see price_error"`
	Error   string       `json:"price_error,omitempty" doc:"Code of why it cannot be priced"`
	Pace    dryRunPace   `json:"pace"`
	Samples []sampleBody `json:"samples" nullable:"false" doc:"The first messages as their recipients would read them, at most 20"`
}

// dryRunCounts says of how many people what would become.
type dryRunCounts struct {
	Audience   int64 `json:"audience" doc:"People its labels name: would_send, suppressed and no_country_rate together"`
	WouldSend  int64 `json:"would_send"`
	Suppressed int64 `json:"suppressed" doc:"Opted out"`
	NoRate     int64 `json:"no_country_rate" doc:"In countries without a price: the campaign cannot be quoted with them"`
	Missing    int64 `json:"missing_parameter" doc:"Have nothing for a variable, and there is no fallback: never, since every variable needs one"`
	Fallback   int64 `json:"uses_fallback" doc:"Of those it would go to: at least one variable is filled by its fallback"`
	Duplicate  int64 `json:"duplicate_person" doc:"Contacts with the same number as another: never, since a number is one contact"`
	QuietNow   int64 `json:"quiet_at_start" doc:"Of those it would go to: have quiet hours when it starts, by the zones of their country; they get it later"`
}

type dryRunPrice struct {
	Currency    money.Currency `json:"currency"`
	Messages    money.Micros   `json:"messages_micros"`
	Fees        money.Micros   `json:"fees_micros"`
	Tax         money.Micros   `json:"tax_micros"`
	Total       money.Micros   `json:"total_micros"`
	Items       []pricing.Item `json:"items" nullable:"false" doc:"One per country"`
	WalletLacks money.Micros   `json:"wallet_lacks_micros" doc:"0: the wallet suffices now"`
}

type dryRunPace struct {
	StartsAt      time.Time `json:"starts_at"`
	RatePerSecond int       `json:"rate_per_second" doc:"Of the sender number"`
	Seconds       int64     `json:"sending_seconds" doc:"At that rate with nothing else on the number, quiet hours left out"`
	EndsAt        time.Time `json:"ends_at"`
}

type sampleBody struct {
	renderedBody

	To      string `json:"to" doc:"Hidden but for its beginning and end" example:"+91********10"`
	Country string `json:"country"`
	Error   string `json:"error,omitempty" doc:"Code of why this message could not be filled in"`
}

// dryRun tells what the campaign would do, and changes nothing.
func (h *campaigns) dryRun(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[dryRunBody], error) {
	key, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	d, err := h.store.DryRunCampaign(ctx, who.Vendor, key, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return nil, err
	}
	b := dryRunBody{
		Counts: dryRunCounts{
			Audience: d.Audience, WouldSend: d.WouldSend, Suppressed: d.Suppressed, NoRate: d.NoRate, Fallback: d.Fallback, QuietNow: d.QuietAt,
		},
		Error: d.PriceError, Pace: dryRunPace{StartsAt: d.Start, RatePerSecond: d.RatePerSecond},
	}
	b.Pace.Seconds = (d.WouldSend + int64(d.RatePerSecond) - 1) / int64(d.RatePerSecond)
	b.Pace.EndsAt = d.Start.Add(time.Duration(b.Pace.Seconds) * time.Second)
	if q := d.Quote; q != nil {
		purse, err := h.store.Wallet(ctx, who.Vendor)
		if err != nil {
			return nil, err
		}
		b.Price = &dryRunPrice{
			Currency: q.Currency, Messages: q.Messages, Fees: q.Fees, Tax: q.Tax, Total: q.Total, Items: q.Items,
			WalletLacks: max(q.Total-purse.Balance, 0),
		}
	}
	b.Samples, err = h.samples(ctx, who, d)
	return httpx.OK(b), err
}

func (h *campaigns) samples(ctx context.Context, who httpx.Principal, d store.DryRun) ([]sampleBody, error) {
	spec, err := template.Parse(d.Template)
	if err != nil {
		return nil, err
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	out := make([]sampleBody, len(d.Sample))
	for i, c := range d.Sample {
		r, err := openRecipient(keys, c)
		if err != nil {
			return nil, err
		}
		values := d.Campaign.Parameters.Values(r)
		out[i] = sampleBody{renderedBody: newRenderedBody(spec.Render(values)), To: phone.Mask(r.Mobile), Country: c.Country}
		if _, err := spec.Fill(values); err != nil {
			out[i].Error = errs.CodeOf(err)
		}
	}
	return out, nil
}

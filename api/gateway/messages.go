package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/campaign"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/message"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/domain/single"
	"github.com/kloyst/kloyst-core/internal/domain/template"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/store"
)

// messages are single messages: sent one by one, and read.
type messages struct {
	store *store.Store
	keys  *crypt.Keys
}

type templateRef struct {
	ID         template.ID       `json:"id,omitempty" format:"uuid" doc:"Ours; or give name and language"`
	Name       string            `json:"name,omitempty" maxLength:"512"`
	Language   string            `json:"language,omitempty" maxLength:"32" example:"en_US"`
	Parameters map[string]string `json:"parameters,omitempty" doc:"The text of each variable of the template, by its key: body.1, header.1, body.first_name, button.0"`
}

type textBody struct {
	Body       string `json:"body" minLength:"1" maxLength:"4096"`
	PreviewURL bool   `json:"preview_url,omitempty" doc:"Show a preview of the first link"`
}

type mediaBody struct {
	ID       string `json:"id,omitempty" maxLength:"128" doc:"Of a file uploaded to Meta by this number"`
	Link     string `json:"link,omitempty" maxLength:"2048" doc:"Or where Meta fetches it"`
	Caption  string `json:"caption,omitempty" maxLength:"1024" doc:"Of images, videos and documents"`
	Filename string `json:"filename,omitempty" maxLength:"240" doc:"Of documents"`
	Voice    bool   `json:"voice,omitempty" doc:"Of audio: shown as a voice message"`
}

type locationBody struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180"`
	Name      string  `json:"name,omitempty" maxLength:"1000"`
	Address   string  `json:"address,omitempty" maxLength:"1000"`
}

type reactionBody struct {
	MessageID string `json:"message_id" maxLength:"512" doc:"wamid of the message reacted to"`
	Emoji     string `json:"emoji" maxLength:"32" doc:"Empty takes the reaction back"`
}

type replyContext struct {
	MessageID string `json:"message_id" maxLength:"512" doc:"wamid of the message that is answered"`
}

type sendMessageBody struct {
	To             string        `json:"to" minLength:"5" maxLength:"32" doc:"The recipient's number; without a country code it is read in the vendor's region" example:"+919876543210"`
	SenderNumberID waba.NumberID `json:"sender_number_id" format:"uuid"`
	Type           single.Type   `json:"type" enum:"template,text,image,video,audio,document,sticker,location,contacts,reaction,interactive" doc:"All but template need that the person has written to the number in the last 24 hours"`

	Template    *templateRef     `json:"template,omitempty"`
	Text        *textBody        `json:"text,omitempty"`
	Image       *mediaBody       `json:"image,omitempty"`
	Video       *mediaBody       `json:"video,omitempty"`
	Audio       *mediaBody       `json:"audio,omitempty"`
	Document    *mediaBody       `json:"document,omitempty"`
	Sticker     *mediaBody       `json:"sticker,omitempty"`
	Location    *locationBody    `json:"location,omitempty"`
	Contacts    []map[string]any `json:"contacts,omitempty" nullable:"false" maxItems:"20" doc:"Cards, as in Meta's reference"`
	Reaction    *reactionBody    `json:"reaction,omitempty"`
	Interactive map[string]any   `json:"interactive,omitempty" doc:"As in Meta's reference: type, header, body, footer, action"`
	Context     *replyContext    `json:"context,omitempty"`
}

// content is the body as the rules know it.
func (b sendMessageBody) content() single.Content {
	c := single.Content{
		Type: b.Type, Text: (*single.TextBody)(b.Text), Location: (*single.Place)(b.Location), Contacts: b.Contacts,
		Reaction: (*single.Emoji)(b.Reaction), Interactive: b.Interactive,
	}
	if file := map[single.Type]*mediaBody{
		single.Image: b.Image, single.Video: b.Video, single.Audio: b.Audio, single.Document: b.Document, single.Sticker: b.Sticker,
	}[b.Type]; file != nil {
		c.Media = (*single.Media)(file)
	}
	if b.Context != nil {
		c.ReplyTo = b.Context.MessageID
	}
	return c
}

type sendMessageInput struct {
	httpx.Once
	Body sendMessageBody
}

// send takes a message in: 202, and it leaves ahead of the vendor's campaigns.
func (h *messages) send(ctx context.Context, who httpx.Principal, in *sendMessageInput) (*httpx.Reply[messageBody], error) {
	number, err := httpx.ID[waba.NumberID](string(in.Body.SenderNumberID))
	if err != nil {
		return nil, waba.ErrNumberNotFound
	}
	to, err := h.numbers(ctx, who.Vendor, in.Body.To)
	if err != nil {
		return nil, err
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	spec := store.NewSingle{SenderNumber: number, Content: in.Body.content()}
	if t := in.Body.Template; t != nil {
		spec.Template = &store.SingleTemplate{ID: t.ID, Name: t.Name, Language: t.Language, Values: t.Parameters}
	}
	if err := addressTo(keys, &spec, to[0]); err != nil {
		return nil, err
	}
	index, err := blind(keys, in.Body)
	if err != nil {
		return nil, err
	}
	return once(ctx, in.Once, index, newMessageBody, func(o store.Once[store.CampaignMessage]) (store.CampaignMessage, error) {
		return h.store.AcceptSingle(ctx, who.Vendor, spec, time.Now(), o)
	})
}

// numbers reads recipients' numbers in the vendor's region.
func (h *messages) numbers(ctx context.Context, v vendor.ID, raw ...string) ([]phone.Number, error) {
	profile, err := h.store.Vendor(ctx, v)
	if err != nil {
		return nil, err
	}
	out := make([]phone.Number, len(raw))
	for i, text := range raw {
		if out[i], err = phone.Parse(text, profile.DefaultRegion); err != nil {
			return nil, errs.InvalidField(errs.CodeOf(err), "/to", "not a number that can be written to")
		}
	}
	return out, nil
}

type testSendsInput struct {
	httpx.ByID
	httpx.Once
	Body struct {
		To         []string          `json:"to" minItems:"1" maxItems:"5" nullable:"false" doc:"Numbers to send the campaign's message to, as it is now"`
		Parameters map[string]string `json:"parameters,omitempty" doc:"Texts for variables of the template, in place of what the campaign would fill in"`
	}
}

type testSendsBody struct {
	Messages []messageBody `json:"messages"`
}

// testSends sends a campaign's message to a few numbers, before anybody else gets it. They
// are one-off messages, paid for as such; where the campaign would read a contact, its
// fallback stands.
func (h *messages) testSends(ctx context.Context, who httpx.Principal, in *testSendsInput) (*httpx.Reply[testSendsBody], error) {
	key, err := httpx.ID[campaign.ID](in.ID)
	if err != nil {
		return nil, err
	}
	c, err := h.store.Campaign(ctx, who.Vendor, key)
	if err != nil {
		return nil, err
	}
	to, err := h.numbers(ctx, who.Vendor, in.Body.To...)
	if err != nil {
		return nil, err
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	specs := make([]store.NewSingle, len(to))
	for i, n := range to {
		values := c.Parameters.Values(campaign.Recipient{Mobile: n.String()})
		maps.Copy(values, in.Body.Parameters)
		specs[i] = store.NewSingle{
			SenderNumber: c.SenderNumber, Content: single.Content{Type: single.Template},
			Template: &store.SingleTemplate{ID: c.Template, Values: values},
		}
		if err := addressTo(keys, &specs[i], n); err != nil {
			return nil, err
		}
	}
	index, err := blind(keys, []any{key, in.Body})
	if err != nil {
		return nil, err
	}
	body := func(all []store.CampaignMessage) testSendsBody { return testSendsBody{mapped(all, newMessageBody)} }
	return once(ctx, in.Once, index, body, func(o store.Once[[]store.CampaignMessage]) ([]store.CampaignMessage, error) {
		return h.store.AcceptSingles(ctx, who.Vendor, specs, time.Now(), o)
	})
}

// addressTo says whom a message goes to, and seals it for them.
func addressTo(keys *crypt.VendorKeys, spec *store.NewSingle, to phone.Number) error {
	var err error
	spec.Recipient, err = keys.Index(contact.Identity(contact.PhoneIdentity, to.String()))
	spec.Country, spec.Seal = to.Region(), sealer(keys, to)
	return err
}

// blind is what is kept of a request to know its repeats by: it tells nothing of it, not
// even to who can guess it.
func blind(keys *crypt.VendorKeys, request any) ([]byte, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return keys.Index("request:" + string(text))
}

// sealer encrypts a number and what is sent to it.
func sealer(keys *crypt.VendorKeys, to phone.Number) func(contact.ID, message.ID, []byte) (mobile, sealed []byte, err error) {
	return func(c contact.ID, m message.ID, content []byte) (mobile, sealed []byte, err error) {
		if mobile, err = keys.Encrypt(crypt.Mobile, string(c), []byte(to.String())); err != nil {
			return nil, nil, err
		}
		sealed, err = keys.Encrypt(crypt.Message, strconv.FormatInt(int64(m), 10), content)
		return mobile, sealed, err
	}
}

package gateway

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
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
	v, err := h.store.Vendor(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	to, err := phone.Parse(in.Body.To, v.DefaultRegion)
	if err != nil {
		return nil, errs.InvalidField(errs.CodeOf(err), "/to", "not a number that can be written to")
	}
	spec := store.NewSingle{SenderNumber: number, Content: in.Body.content()}
	if t := in.Body.Template; t != nil {
		spec.Template = &store.SingleTemplate{ID: t.ID, Name: t.Name, Language: t.Language, Values: t.Parameters}
	}
	return h.accept(ctx, who.Vendor, in.Once, spec, accepted{to: to, request: in.Body})
}

// accepted is who a message goes to, and what its request was.
type accepted struct {
	to      phone.Number
	request any
}

// accept seals what is to be sent and has the store take it in, once per key. What is
// kept of the request, to know a repeat by, is a blind index: it tells nothing of it.
func (h *messages) accept(ctx context.Context, v vendor.ID, key httpx.Once, spec store.NewSingle, a accepted) (*httpx.Reply[messageBody], error) {
	keys, err := h.keys.For(ctx, v)
	if err != nil {
		return nil, err
	}
	if spec.Recipient, err = keys.Index(contact.Identity(contact.PhoneIdentity, a.to.String())); err != nil {
		return nil, err
	}
	spec.Country = a.to.Region()
	spec.Seal = sealer(keys, a.to)
	text, err := json.Marshal(a.request)
	if err != nil {
		return nil, err
	}
	index, err := keys.Index("request:" + string(text))
	if err != nil {
		return nil, err
	}
	return once(ctx, key, index, newMessageBody, func(o store.Once[store.CampaignMessage]) (store.CampaignMessage, error) {
		return h.store.AcceptSingle(ctx, v, spec, time.Now(), o)
	})
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

package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"

	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// WABA is what Meta says about a WhatsApp Business Account.
type WABA struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Currency     string `json:"currency"`
	TimezoneID   string `json:"timezone_id"`
	Country      string `json:"country"`
	ReviewStatus string `json:"account_review_status"`
	Owner        struct {
		ID string `json:"id"`
	} `json:"owner_business_info"` // the business portfolio; may be missing
}

// PhoneNumber is what Meta says about a sender number.
type PhoneNumber struct {
	ID           string `json:"id"`
	Display      string `json:"display_phone_number"`
	VerifiedName string `json:"verified_name"`
	Quality      string `json:"quality_rating"`
	Status       string `json:"status"`
	Platform     string `json:"platform_type"`
	OnBizApp     bool   `json:"is_on_biz_app"` // used in the WhatsApp Business app too: coexistence
	Throughput   struct {
		Level string `json:"level"`
	} `json:"throughput"`
	MessagingLimit string `json:"whatsapp_business_manager_messaging_limit"` // TIER_250 …: of the whole portfolio
}

// Sender is the number as a sender of one of our accounts, with the rate Meta gives it.
// It has no id of ours.
func (n PhoneNumber) Sender(of waba.ID) waba.Number {
	return waba.Number{
		WABA: of, MetaID: n.ID, Display: n.Display, VerifiedName: n.VerifiedName,
		Quality: cmp.Or(n.Quality, "UNKNOWN"), Throughput: cmp.Or(n.Throughput.Level, "STANDARD"), Status: cmp.Or(n.Status, "CONNECTED"),
		RatePerSecond: waba.RateFor(n.Throughput.Level, n.OnBizApp), RateSource: waba.RateSourceFor(n.Throughput.Level, n.OnBizApp),
		Tier: n.MessagingLimit,
	}
}

// Portfolio is Meta's id of the business whose messaging limit the account shares.
func (w WABA) Portfolio() string { return cmp.Or(w.Owner.ID, waba.ForAccount(w.ID)) }

// Template is one template as Meta prints it. Components stay as they come.
type Template struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Language        string          `json:"language"`
	Category        string          `json:"category"`
	Status          string          `json:"status"`
	ParameterFormat string          `json:"parameter_format"`
	Components      json.RawMessage `json:"components"`
}

// pageSize of lists. Graph's own bound is not published for these; 100 is what its
// samples use.
const pageSize = "100"

// maxPages ends a list whose cursor goes round in a circle: 6,000 templates are the most
// an account may have.
const maxPages = 200

// WABA reads an account. It is also the test that a token may see it.
func (c *Client) WABA(ctx context.Context, token, account string) (WABA, error) {
	path, err := segment(account)
	if err != nil {
		return WABA{}, err
	}
	var out WABA
	err = c.get(ctx, token, path, url.Values{"fields": {"id,name,currency,timezone_id,country,account_review_status,owner_business_info"}}, &out)
	return out, err
}

const numberFields = "id,display_phone_number,verified_name,quality_rating,status,platform_type,throughput,is_on_biz_app,whatsapp_business_manager_messaging_limit"

// PhoneNumbers reads every number of an account.
func (c *Client) PhoneNumbers(ctx context.Context, token, account string) ([]PhoneNumber, error) {
	path, err := segment(account)
	if err != nil {
		return nil, err
	}
	return list[PhoneNumber](ctx, c, token, path+"/phone_numbers", url.Values{"fields": {numberFields}})
}

// PhoneNumber reads one number.
func (c *Client) PhoneNumber(ctx context.Context, token, phoneNumberID string) (PhoneNumber, error) {
	path, err := segment(phoneNumberID)
	if err != nil {
		return PhoneNumber{}, err
	}
	var out PhoneNumber
	err = c.get(ctx, token, path, url.Values{"fields": {numberFields}}, &out)
	return out, err
}

// Templates reads every template of an account, in every language and status.
func (c *Client) Templates(ctx context.Context, token, account string) ([]Template, error) {
	path, err := segment(account)
	if err != nil {
		return nil, err
	}
	return list[Template](ctx, c, token, path+"/message_templates",
		url.Values{"fields": {"id,name,language,category,status,parameter_format,components"}})
}

// SubscribeApp asks Meta to send the account's webhooks to our app. Idempotent.
func (c *Client) SubscribeApp(ctx context.Context, token, account string) error {
	path, err := segment(account)
	if err != nil {
		return err
	}
	return c.post(ctx, token, path+"/subscribed_apps", struct{}{}, nil)
}

// RegisterNumber makes a number ready for the Cloud API, with its six-digit two-step PIN.
// Meta allows ten calls in 72 hours for a number.
func (c *Client) RegisterNumber(ctx context.Context, token, phoneNumberID, pin string) error {
	path, err := segment(phoneNumberID)
	if err != nil {
		return err
	}
	return c.post(ctx, token, path+"/register", map[string]string{"messaging_product": "whatsapp", "pin": pin}, nil)
}

// list follows an edge of an object to its last page, by cursor: the "next" address
// would carry the token in its query.
func list[T any](ctx context.Context, c *Client, token, path string, query url.Values) ([]T, error) {
	query.Set("limit", pageSize)
	var all []T
	for range maxPages {
		var page struct {
			Data   []T `json:"data"`
			Paging struct {
				Next    string `json:"next"`
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if err := c.get(ctx, token, path, query, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.Paging.Next == "" || page.Paging.Cursors.After == "" || page.Paging.Cursors.After == query.Get("after") {
			return all, nil
		}
		query.Set("after", page.Paging.Cursors.After)
	}
	return nil, errs.New(errs.Unavailable, "meta.endless_list", "Meta's list does not end")
}

// segment checks an id of Meta's before it becomes part of a path: digits only.
//
// Errors: meta.bad_id.
func segment(id string) (string, error) {
	if id == "" || len(id) > 32 {
		return "", errBadID
	}
	for _, c := range []byte(id) {
		if c < '0' || c > '9' {
			return "", errBadID
		}
	}
	return id, nil
}

var errBadID = errs.New(errs.Invalid, "meta.bad_id", "an id of Meta's is a number")

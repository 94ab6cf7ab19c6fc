package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/waba"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/store"
)

// wabas connects WhatsApp Business Accounts and their sender numbers.
type wabas struct {
	store *store.Store
	keys  *crypt.Keys
	meta  *meta.Client
}

type wabaBody struct {
	ID                waba.ID     `json:"id"`
	WABAID            string      `json:"waba_id" doc:"Meta's id"`
	Name              string      `json:"name"`
	Currency          string      `json:"currency" doc:"In which Meta bills it"`
	Status            waba.Status `json:"status" enum:"CONNECTED,TOKEN_EXPIRED,LOCKED,DISCONNECTED"`
	TemplatesSyncedAt *time.Time  `json:"templates_synced_at,omitempty" doc:"Absent until the first sync is done"`
	CreatedAt         time.Time   `json:"created_at"`
}

func newWABABody(a waba.Account) wabaBody {
	b := wabaBody{ID: a.ID, WABAID: a.MetaID, Name: a.Name, Currency: a.Currency, Status: a.Status, CreatedAt: a.CreatedAt}
	if !a.SyncedAt.IsZero() {
		b.TemplatesSyncedAt = &a.SyncedAt
	}
	return b
}

type connectWABAInput struct {
	Body struct {
		WABAID      string `json:"waba_id" pattern:"^[0-9]{1,32}$" patternDescription:"Meta's id, digits only" doc:"WhatsApp Business Account id at Meta"`
		AccessToken string `json:"access_token" minLength:"1" maxLength:"1024" doc:"System-user token that may manage and send for the account. It is kept encrypted and never shown again"`
	}
}

// connect proves that the token may see the account, has its webhooks sent to us, and
// keeps the token encrypted. Connecting again replaces the token.
func (h *wabas) connect(ctx context.Context, who httpx.Principal, in *connectWABAInput) (*httpx.Reply[wabaBody], error) {
	token := strings.TrimSpace(in.Body.AccessToken)
	at, err := h.meta.WABA(ctx, token, in.Body.WABAID)
	if err == nil {
		err = h.meta.SubscribeApp(ctx, token, in.Body.WABAID)
	}
	if err != nil {
		return nil, metaRefusal(err)
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	account := waba.Account{ID: id.New[waba.ID](), MetaID: in.Body.WABAID, Name: at.Name, Currency: at.Currency, Portfolio: at.Portfolio()}
	account, err = h.store.ConnectWABA(ctx, who.Vendor, account, func(w waba.ID) ([]byte, error) {
		return keys.Encrypt(crypt.WABAToken, string(w), []byte(token))
	})
	if err != nil {
		return nil, err
	}
	return httpx.OK(newWABABody(account)), nil
}

// metaRefusal says which input a refusal of Meta's is about. Meta answers alike for a
// token that is wrong and for an account that the token may not see.
func metaRefusal(err error) error {
	e, ok := errors.AsType[*meta.Error](err)
	if ok && (e.Class == meta.Token || e.Class == meta.Request) {
		return errs.InvalidField("waba.token_refused", "/access_token", e.Remedy)
	}
	return meta.Classify(err)
}

func (h *wabas) list(ctx context.Context, who httpx.Principal, _ *httpx.None) (*httpx.Reply[httpx.List[wabaBody]], error) {
	all, err := h.store.ListWABAs(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(all, newWABABody), 0, noKey[wabaBody])), nil
}

// mapped gives the body of each.
func mapped[T, B any](all []T, body func(T) B) []B {
	out := make([]B, len(all))
	for i, one := range all {
		out[i] = body(one)
	}
	return out
}

// noKey is the cursor of a list that has one page: a vendor has a handful of accounts.
func noKey[B any](B) string { return "" }

type syncBody struct {
	WABAID    waba.ID   `json:"waba_id" doc:"Our id of the account; its templates_synced_at tells when the sync is done"`
	Requested time.Time `json:"requested_at"`
}

// syncTemplates asks for the templates to be read; GET /wabas tells when that is done.
func (h *wabas) syncTemplates(ctx context.Context, who httpx.Principal, in *httpx.ByID) (*httpx.Reply[syncBody], error) {
	w, err := httpx.ID[waba.ID](in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.store.RequestTemplateSync(ctx, who.Vendor, w); err != nil {
		return nil, err
	}
	return httpx.OK(syncBody{WABAID: w, Requested: time.Now().UTC()}), nil
}

type numberBody struct {
	ID            waba.NumberID   `json:"id"`
	WABAID        waba.ID         `json:"waba_id" doc:"Our id of its account"`
	PhoneNumberID string          `json:"phone_number_id" doc:"Meta's id"`
	Display       string          `json:"display_phone_number"`
	VerifiedName  string          `json:"verified_name"`
	Quality       string          `json:"quality_rating"`
	Throughput    string          `json:"throughput_level"`
	RatePerSecond int             `json:"rate_per_second" doc:"Messages a second that Meta takes from it"`
	RateSource    waba.RateSource `json:"rate_source" enum:"ASSUMED,THROUGHPUT_LEVEL,COEXISTENCE" doc:"From what the rate was concluded"`
	Status        string          `json:"status"`
	CreatedAt     time.Time       `json:"created_at"`
}

func newNumberBody(n waba.Number) numberBody {
	return numberBody{
		ID: n.ID, WABAID: n.WABA, PhoneNumberID: n.MetaID, Display: n.Display, VerifiedName: n.VerifiedName,
		Quality: n.Quality, Throughput: n.Throughput, RatePerSecond: n.RatePerSecond, RateSource: n.RateSource, Status: n.Status, CreatedAt: n.CreatedAt,
	}
}

type connectNumberInput struct {
	Body struct {
		WABAID        string `json:"waba_id" doc:"Our id of the account, from POST /wabas"`
		PhoneNumberID string `json:"phone_number_id" pattern:"^[0-9]{1,32}$" patternDescription:"Meta's id, digits only" doc:"Meta's id of the number"`
	}
}

// connectNumber takes a number that Meta lists for the account, with the rate Meta gives
// it. Connecting again brings it up to date.
func (h *wabas) connectNumber(ctx context.Context, who httpx.Principal, in *connectNumberInput) (*httpx.Reply[numberBody], error) {
	w, err := httpx.ID[waba.ID](in.Body.WABAID)
	if err != nil {
		return nil, waba.ErrNotFound
	}
	metaID, sealed, err := h.store.WABAToken(ctx, who.Vendor, w)
	if err != nil {
		return nil, err
	}
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	token, err := keys.Decrypt(crypt.WABAToken, string(w), sealed)
	if err != nil {
		return nil, err
	}
	all, err := h.meta.PhoneNumbers(ctx, string(token), metaID)
	if err != nil {
		return nil, meta.Classify(err)
	}
	i := slices.IndexFunc(all, func(n meta.PhoneNumber) bool { return n.ID == in.Body.PhoneNumberID })
	if i < 0 {
		return nil, errs.InvalidField("sender_number.not_in_account", "/phone_number_id", "Meta does not list this number for the account")
	}
	n := all[i].Sender(w)
	n.ID = id.New[waba.NumberID]()
	n, err = h.store.ConnectSenderNumber(ctx, who.Vendor, n)
	if err != nil {
		return nil, err
	}
	return httpx.OK(newNumberBody(n)), nil
}

func (h *wabas) listNumbers(ctx context.Context, who httpx.Principal, _ *httpx.None) (*httpx.Reply[httpx.List[numberBody]], error) {
	all, err := h.store.ListSenderNumbers(ctx, who.Vendor)
	if err != nil {
		return nil, err
	}
	return httpx.OK(httpx.NewList(mapped(all, newNumberBody), 0, noKey[numberBody])), nil
}

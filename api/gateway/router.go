// Package gateway is the vendors' REST API. This file is its route table: one line
// per endpoint, with who may call it. What an endpoint does is in the file of its
// resource; how errors, callers and bodies work is in api/httpx.
package gateway

import (
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/redis/go-redis/v9"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/meta"
	"github.com/kloyst/kloyst-core/internal/password"
	"github.com/kloyst/kloyst-core/internal/pdf"
	"github.com/kloyst/kloyst-core/internal/ratelimit"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/internal/signedlink"
	"github.com/kloyst/kloyst-core/store"
)

// Deps is what the API needs. Every field is required unless it says otherwise.
type Deps struct {
	Store  *store.Store
	Tokens *httpx.Tokens
	Ring   *crypt.Ring // wraps the keys of new vendors
	Keys   *crypt.Keys
	Meta   *meta.Client
	Blob   *blob.Store   // quotations' documents, uploaded files
	Clamd  *scan.Clamd   // every upload is scanned
	Redis  *redis.Client // counts failed logins; without an answer nobody is slowed down
	Links  *signedlink.Signer
	// Payments takes payments for wallets; nil: nobody does.
	Payments PaymentProvider
	PDF      func() (*pdf.Renderer, error) // draws statements; its fonts need not be read before the first
	Log      *slog.Logger
	Prefix   string   // API_PREFIX without slashes, "v1"
	Origins  []string // CORS_ALLOWED_ORIGINS; may be empty

	PublicURL string // PUBLIC_URL: what links begin with

	UploadMaxBytes int64 // of one uploaded file

	Closing <-chan struct{} // closed when the server stops: event streams end; nil: never

	RedisPrefix string // of every Redis key, so that tests can share a server; may be empty
}

// New returns the API.
func New(d Deps) (http.Handler, error) {
	root := chi.NewRouter()
	root.Use(httpx.Base(d.Log), httpx.CORS(d.Origins), httpx.Authenticate(d.Tokens))
	root.NotFound(httpx.NotFound)
	root.MethodNotAllowed(httpx.MethodNotAllowed)

	v1 := chi.NewRouter()
	api := httpx.NewAPI(v1, "/"+d.Prefix)
	routes(api, d)
	if err := serveDocs(v1, api); err != nil {
		return nil, err
	}
	root.Mount("/"+d.Prefix, v1)
	return root, nil
}

// routes is the table, contactRoutes and campaignRoutes its other parts.
func routes(api *httpx.API, d Deps) {
	// Hashing is bound by processors and memory: two at once on each core keep both in use.
	hasher := password.New(2 * runtime.GOMAXPROCS(0))
	a := &auth{store: d.Store, ring: d.Ring, tokens: d.Tokens, hasher: hasher, throttle: newThrottle(d.Redis, d.RedisPrefix)}
	httpx.Public(api, "POST /auth/register", 201, "Register a vendor and its owner", a.register)
	httpx.Public(api, "POST /auth/verify-email", 200, "Confirm an e-mail address", a.verifyEmail)
	httpx.Public(api, "POST /auth/verify-email/resend", 202, "Ask for the confirmation mail again", a.resend)
	httpx.HTML(api, "GET /auth/verify-email", a.verifyPage)
	httpx.HTML(api, "POST /auth/verify-email/confirm", a.verifyConfirm)
	httpx.Public(api, "POST /auth/login", 200, "Log in", a.login)
	httpx.Public(api, "POST /auth/refresh", 200, "Get new tokens", a.refresh)
	httpx.Public(api, "POST /auth/logout", 204, "Log out", a.logout)
	httpx.Route(api, "GET /me", 200, vendor.Member, "Who is calling", a.me)

	v := &vendors{store: d.Store}
	httpx.Route(api, "GET /vendor", 200, vendor.Member, "Read the vendor's settings", v.get)
	httpx.Route(api, "PATCH /vendor", 200, vendor.Admin, "Change the vendor's settings", v.change)

	w := &wabas{store: d.Store, keys: d.Keys, meta: d.Meta}
	httpx.Route(api, "POST /wabas", 201, vendor.Admin, "Connect a WhatsApp Business Account", w.connect)
	httpx.Route(api, "GET /wabas", 200, vendor.Member, "List WhatsApp Business Accounts", w.list)
	httpx.Route(api, "POST /wabas/{id}/template-sync", 202, vendor.Member, "Read the templates from Meta", w.syncTemplates)
	httpx.Route(api, "POST /sender-numbers", 201, vendor.Admin, "Connect a sender number", w.connectNumber)
	httpx.Route(api, "GET /sender-numbers", 200, vendor.Member, "List sender numbers", w.listNumbers)
	l := &limits{store: d.Store, pace: ratelimit.New(d.Redis, limiterPrefix(d.RedisPrefix))}
	httpx.Route(api, "GET /sender-numbers/{id}/limits", 200, vendor.Member, "Read what Meta lets a sender number do", l.get)

	t := &templates{store: d.Store}
	httpx.Route(api, "GET /templates", 200, vendor.Member, "List templates", t.list)
	httpx.Route(api, "GET /templates/{id}", 200, vendor.Member, "Read a template", t.get)

	contactRoutes(api, d)
	campaignRoutes(api, d)
}

func contactRoutes(api *httpx.API, d Deps) {
	i := &imports{store: d.Store, keys: d.Keys, blob: d.Blob, clamd: d.Clamd, maxBytes: d.UploadMaxBytes, streams: newStreams(d.Closing)}
	httpx.Raw(api, "POST /contact-imports", 202, vendor.Member, "Upload a file of contacts", i.upload, documentUpload)
	httpx.Route(api, "GET /contact-imports", 200, vendor.Member, "List imports, newest first", i.list)
	httpx.Route(api, "GET /contact-imports/{id}", 200, vendor.Member, "Read an import: its headers, sample rows, progress and counts", i.get)
	httpx.Route(api, "POST /contact-imports/{id}/mapping", 202, vendor.Member, "Say what the columns mean, and start", i.confirm)
	httpx.Route(api, "POST /contact-imports/{id}/cancel", 200, vendor.Member, "Stop an import", i.cancel)
	httpx.Route(api, "POST /contact-imports/{id}/retry", 202, vendor.Member, "Try a parked import again, or go on without what failed", i.retry)
	httpx.Route(api, "POST /contact-imports/{id}/abort", 200, vendor.Member, "Give a parked import up", i.abort)
	httpx.Raw(api, "GET /contact-imports/{id}/events", 200, vendor.Member, "Follow an import's progress as server-sent events", i.events, documentEvents)
	httpx.Raw(api, "GET /contact-imports/{id}/errors", 200, vendor.Member, "Download the rows that were not imported", i.errorsCSV, documentErrors)

	b := &contacts{store: d.Store, keys: d.Keys}
	httpx.Route(api, "GET /contacts", 200, vendor.Member, "List contacts", b.list)
	httpx.Route(api, "GET /contacts/{id}", 200, vendor.Member, "Read a contact", b.get)
	httpx.Route(api, "GET /labels", 200, vendor.Member, "List labels", b.labels)
}

func campaignRoutes(api *httpx.API, d Deps) {
	c := &campaigns{store: d.Store, keys: d.Keys}
	httpx.Route(api, "POST /campaigns", 201, vendor.Member, "Write a campaign", c.create)
	httpx.Route(api, "GET /campaigns", 200, vendor.Member, "List campaigns, newest first", c.list)
	httpx.Route(api, "GET /campaigns/{id}", 200, vendor.Member, "Read a campaign with its messages' and money's state", c.get)
	httpx.Route(api, "PATCH /campaigns/{id}", 200, vendor.Member, "Change a draft; a quotation for it is void then", c.change)
	httpx.Route(api, "DELETE /campaigns/{id}", 204, vendor.Member, "Delete a draft that was never quoted", c.remove)
	httpx.Route(api, "POST /campaigns/{id}/clone", 201, vendor.Member, "Write another draft like it", c.clone)
	httpx.Route(api, "POST /campaigns/{id}/preview", 200, vendor.Member, "Render its message for a contact", c.preview)
	httpx.Route(api, "POST /campaigns/{id}/dry-run", 200, vendor.Member, "Tell what it would do: counts by reason, price, time, first messages", c.dryRun)
	httpx.Route(api, "POST /campaigns/{id}/reschedule", 200, vendor.Member, "Move the time of an approved campaign", c.reschedule)
	httpx.Route(api, "POST /campaigns/{id}/unschedule", 200, vendor.Admin, "Take an approval back before it begins: a draft again, the hold released", c.unschedule)
	httpx.Route(api, "POST /campaigns/{id}/approve", 202, vendor.Admin, "Accept a quotation and start the campaign", c.approve)
	httpx.Route(api, "POST /campaigns/{id}/pause", 200, vendor.Member, "Stop sending", c.pause)
	httpx.Route(api, "POST /campaigns/{id}/resume", 200, vendor.Member, "Go on sending", c.resume)
	httpx.Route(api, "POST /campaigns/{id}/cancel", 200, vendor.Member, "End a campaign and give back what is not spent", c.cancel)
	httpx.Route(api, "GET /campaigns/{id}/messages", 200, vendor.Member, "List a campaign's messages", c.messages)

	x := &explains{store: d.Store, pace: ratelimit.New(d.Redis, limiterPrefix(d.RedisPrefix))}
	httpx.Route(api, "GET /campaigns/{id}/explain", 200, vendor.Member, "Say what a campaign waits for, since when and until when", x.campaign)
	httpx.Route(api, "GET /messages/{id}", 200, vendor.Member, "Read a message", x.get)
	httpx.Route(api, "GET /messages/{id}/explain", 200, vendor.Member, "Say what a message waits for, or how it ended", x.message)

	l := &deadLetters{store: d.Store, keys: d.Keys}
	httpx.Route(api, "GET /dead-letters", 200, vendor.Member, "List what failed for good, newest first", l.list)
	httpx.Route(api, "GET /dead-letters/summary", 200, vendor.Member, "Count what failed for good by its cause", l.summary)
	httpx.Route(api, "GET /dead-letters/{id}", 200, vendor.Member, "Read a dead letter: cause, remedy, and its message now", l.get)
	httpx.Route(api, "POST /dead-letters/replays", 202, vendor.Admin, "Send dead letters again, or count what that would be", l.replay)

	s := &messages{store: d.Store, keys: d.Keys}
	httpx.Route(api, "POST /messages", 202, vendor.Member, "Send one message: a template, or inside the 24-hour window anything", s.send)
	httpx.Route(api, "POST /campaigns/{id}/test-sends", 202, vendor.Member, "Send a campaign's message to up to five numbers", s.testSends)

	q := &quotations{store: d.Store}
	httpx.Route(api, "POST /campaigns/{id}/quotations", 201, vendor.Member, "Price a campaign", q.issue)
	httpx.Route(api, "GET /quotations/{id}", 200, vendor.Member, "Read a quotation", q.get)
	httpx.Route(api, "GET /quotations/{id}/explain", 200, vendor.Member, "Compute a quotation again, step by step", q.explain)
	f := &documents{store: d.Store, blob: d.Blob, links: d.Links, base: strings.TrimRight(d.PublicURL, "/") + "/" + d.Prefix}
	httpx.Raw(api, "GET /quotations/{id}/pdf", 200, vendor.Member, "Download a quotation as a PDF", f.pdf, documentPDF)
	httpx.Route(api, "POST /quotations/{id}/pdf/retry", 202, vendor.Member, "Make a quotation's PDF again that could not be made", f.retry)
	httpx.Route(api, "POST /quotations/{id}/pdf/link", 200, vendor.Member, "Get a link to a quotation's PDF that opens for ten minutes without signing in", f.link)
	httpx.PublicRaw(api, "GET /quotation-files/{vendor}/{id}", 200, "Download a quotation by a link", f.open, documentLink)

	walletRoutes(api, d)
}

func walletRoutes(api *httpx.API, d Deps) {
	w := &wallets{store: d.Store, fonts: d.PDF}
	httpx.Route(api, "GET /wallet", 200, vendor.Member, "Read the wallet", w.get)
	httpx.Route(api, "PATCH /wallet", 200, vendor.Admin, "Say at which balance the vendor's people are told", w.change)
	httpx.Route(api, "GET /wallet/transactions", 200, vendor.Member, "List the wallet's transactions, newest first", w.transactions)
	b := &billing{store: d.Store}
	httpx.Route(api, "GET /campaigns/{id}/billing", 200, vendor.Member, "Compare what a campaign was charged with what Meta says it bills", b.campaign)
	httpx.Route(api, "GET /wallet/billing", 200, vendor.Member, "Compare what a month was charged with what Meta says it bills", b.month)
	p := &payments{store: d.Store, provider: d.Payments, log: d.Log}
	httpx.Route(api, "POST /wallet/payment-orders", 201, vendor.Admin, "Ask for a payment that tops the wallet up", p.create)
	httpx.Route(api, "GET /wallet/payment-orders/{id}", 200, vendor.Member, "Read a payment order: whether it is paid", p.get)
	httpx.Callback(api, "POST /payments/razorpay", p.notice)
	httpx.Raw(api, "GET /wallet/statement", 200, vendor.Member, "Download the wallet's statement of a period", w.statement, documentStatement(api))
}

package httpx

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/go-chi/chi/v5"

	"github.com/kloyst/kloyst-core/internal/domain/vendor"
	"github.com/kloyst/kloyst-core/internal/errs"
)

// API is the JSON side of a router: endpoints added to it decode, validate and
// document themselves from their Go types.
type API struct {
	huma   huma.API
	router chi.Router
}

// NewAPI makes the API served by router, whose paths all begin with prefix ("/v1").
func NewAPI(router chi.Router, prefix string) *API {
	ownErrors()
	cfg := huma.DefaultConfig("Kloyst API", "1.0")
	cfg.Info.Description = "Contacts, templates, campaigns, quotations and the wallet of a vendor. " +
		"Errors are application/problem+json with a permanent `code`."
	cfg.Servers = []*huma.Server{{URL: prefix}}
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // served by the gateway itself, offline
	cfg.CreateHooks = nil                                       // no $schema links in bodies
	cfg.RejectUnknownQueryParameters = true
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	router.NotFound(NotFound)
	router.MethodNotAllowed(MethodNotAllowed)
	return &API{huma: humachi.New(router, cfg), router: router}
}

// Document returns the OpenAPI 3.1 document of everything added so far.
func (a *API) Document() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) }

// SchemaOf is the document's schema of T, for the answers of raw handlers.
func SchemaOf[T any](a *API) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// Endpoint is the body of a JSON endpoint for known callers. who is always set.
type Endpoint[I, O any] func(ctx context.Context, who Principal, in *I) (*O, error)

// Route adds an endpoint for callers whose role is at least least. methodPath is
// "POST /campaigns/{id}/approve"; code is the status of success. I and O are huma
// input and output structs (see Reply for the plain case).
//
//nolint:revive // a row of the route table: its columns read best on one line
func Route[I, O any](a *API, methodPath string, code int, least vendor.Role, summary string, h Endpoint[I, O]) {
	op := operation(methodPath, code, summary)
	op.Security = []map[string][]string{{"bearer": {}}}
	// The caller is checked before the input is even read.
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		if _, err := Caller(ctx.Context(), least); err != nil {
			writeHuma(a.huma, ctx, err)
			return
		}
		next(ctx)
	}}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		who, err := Caller(ctx, least)
		if err != nil {
			return nil, answer(ctx, err)
		}
		out, err := h(ctx, who, in)
		return out, answer(ctx, err)
	})
}

// Public adds an endpoint for anybody.
func Public[I, O any](a *API, methodPath string, code int, summary string, h func(context.Context, *I) (*O, error)) {
	op := operation(methodPath, code, summary)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		return out, answer(ctx, err)
	})
}

// Raw adds an endpoint that reads or writes its bytes itself (upload, download,
// event stream). doc fills in what the types cannot say; nil leaves the bare entry.
//
//nolint:revive // a row of the route table, see Route
func Raw(a *API, methodPath string, code int, least vendor.Role, summary string, h HandlerFunc, doc func(*huma.Operation)) {
	op := rawOperation(methodPath, code, summary, doc)
	op.Security = []map[string][]string{{"bearer": {}}}
	a.huma.OpenAPI().AddOperation(&op)
	a.router.MethodFunc(op.Method, op.Path, Authed(least, h))
}

// PublicRaw is Raw for anybody: h finds out itself whether the caller may.
//
//nolint:revive // a row of the route table, see Route
func PublicRaw(a *API, methodPath string, code int, summary string, h HandlerFunc, doc func(*huma.Operation)) {
	op := rawOperation(methodPath, code, summary, doc)
	a.huma.OpenAPI().AddOperation(&op)
	a.router.MethodFunc(op.Method, op.Path, Handle(h))
}

func rawOperation(methodPath string, code int, summary string, doc func(*huma.Operation)) huma.Operation {
	op := operation(methodPath, code, summary)
	op.Responses = map[string]*huma.Response{strconv.Itoa(code): {Description: http.StatusText(code)}}
	for _, name := range pathParams(op.Path) {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
		})
	}
	if doc != nil {
		doc(&op)
	}
	return op
}

// HTML adds a page for people's browsers. It is in no document: programs use the JSON
// endpoint beside it.
func HTML(a *API, methodPath string, h HandlerFunc) {
	method, path, _ := strings.Cut(methodPath, " ")
	a.router.MethodFunc(method, path, Handle(h))
}

// Callback adds what another system calls. It proves itself in its own way, and its caller
// has documents of their own: it is in none of ours.
func Callback(a *API, methodPath string, h HandlerFunc) {
	method, path, _ := strings.Cut(methodPath, " ")
	a.router.MethodFunc(method, path, Handle(h))
}

// Reply is the output of an endpoint that answers a body and nothing else.
type Reply[T any] struct{ Body T }

// OK wraps a body.
func OK[T any](body T) *Reply[T] { return &Reply[T]{Body: body} }

// Versioned is the output of an endpoint whose body has a version for If-Match.
type Versioned[T any] struct {
	ETag string `header:"ETag" doc:"Version of the resource, for If-Match"`
	Body T
}

// WithVersion wraps a body and its row version.
func WithVersion[T any](body T, version int64) *Versioned[T] {
	return &Versioned[T]{ETag: ETag(version), Body: body}
}

// None is the input of an endpoint that takes nothing, or the output of one that answers 204.
type None struct{}

// ByID is the input of an endpoint on one resource.
type ByID struct {
	ID string `path:"id" doc:"Id of the resource"`
}

// Once is embedded in the input of a POST that creates or moves money.
type Once struct {
	IdempotencyKey string `header:"Idempotency-Key" required:"true" minLength:"1" maxLength:"255" doc:"Any text of yours that is new for every new request: a repeat with the same key does nothing twice and gets the same answer"`
}

// ETag formats a row version.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// IfMatch reads the version an update is based on. "" and "*" give 0: any version.
//
// Errors: request.bad_if_match (400).
func IfMatch(header string) (int64, error) {
	if header == "" || header == "*" {
		return 0, nil
	}
	text := strings.Trim(strings.TrimPrefix(header, "W/"), `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, NewProblem(http.StatusBadRequest, "request.bad_if_match", "If-Match is not an ETag of ours")
	}
	return n, nil
}

// ErrVersion answers an update based on an older version.
func ErrVersion() error {
	return NewProblem(http.StatusPreconditionFailed, "request.version_conflict",
		"the resource has changed since: read it again")
}

// operation makes the OpenAPI entry. Its id is made of method and path, so it is stable
// as long as they are; its tag is the path's first segment.
func operation(methodPath string, code int, summary string) huma.Operation {
	method, path, _ := strings.Cut(methodPath, " ")
	words := strings.FieldsFunc(path, func(r rune) bool { return !unicode.IsLetter(r) })
	resource, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return huma.Operation{
		OperationID:   strings.ToLower(method) + "-" + strings.Join(words, "-"),
		Method:        method,
		Path:          path,
		Summary:       summary,
		DefaultStatus: code,
		MaxBodyBytes:  MaxJSONBody,
		Tags:          []string{resource},
	}
}

func pathParams(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// answer turns a handler's error into the problem that huma writes.
func answer(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	p := problemOf(ctx, err)
	report(ctx, err, p)
	return p
}

// writeHuma answers err from a middleware.
func writeHuma(api huma.API, ctx huma.Context, err error) {
	p := problemOf(ctx.Context(), err)
	report(ctx.Context(), err, p)
	for k, v := range p.GetHeaders() {
		ctx.SetHeader(k, v[0])
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = api.Marshal(ctx.BodyWriter(), "application/json", p) // the client went away: nobody is left to tell
}

// ownErrors makes Problem huma's error type. The hooks are huma's package variables:
// set once, before any API exists.
var ownErrors = sync.OnceFunc(func() { //nolint:gochecknoglobals // guards huma's own globals
	huma.NewError = func(code int, detail string, causes ...error) huma.StatusError {
		return inputProblem("", code, detail, causes)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, code int, detail string, causes ...error) huma.StatusError {
		return inputProblem(RequestID(ctx.Context()), code, detail, causes)
	}
})

// inputProblem translates huma's own refusals of an input. What huma found at a place
// (ErrorDetail.Value) is never repeated: it may be a phone number, or the whole body.
func inputProblem(requestID string, code int, detail string, causes []error) *Problem {
	p := NewProblem(code, "request.invalid", detail)
	p.RequestID = requestID
	for _, cause := range causes {
		if d, ok := cause.(huma.ErrorDetailer); ok { // huma hands them over unwrapped
			p.Errors = append(p.Errors, field(d.ErrorDetail()))
		}
	}
	switch {
	case code == http.StatusUnprocessableEntity && len(p.Errors) > 0 && p.Errors[0].Msg == "unknown query parameter":
		p.setStatus(http.StatusBadRequest, "request.unknown_parameter", "a query parameter is not known here")
		for i := range p.Errors {
			p.Errors[i].Code = p.Code
		}
	case code == http.StatusBadRequest:
		p.setStatus(code, "request.malformed", "the body is not valid JSON")
		p.Errors = nil
	case code == http.StatusRequestEntityTooLarge:
		p.setStatus(code, errBodyTooLarge.Code, errBodyTooLarge.Msg)
	case code == http.StatusUnsupportedMediaType:
		p.setStatus(code, "request.media_type", "send application/json")
	case code == http.StatusRequestTimeout:
		p.setStatus(code, "request.timeout", "the request body did not arrive in time")
	case code >= http.StatusInternalServerError:
		p.setStatus(code, "internal", "something went wrong on our side; quote the request id")
		p.Errors = nil
	}
	return p
}

func (p *Problem) setStatus(code int, name, detail string) {
	c := NewProblem(code, name, detail)
	p.Type, p.Title, p.Status, p.Code, p.Detail = c.Type, c.Title, c.Status, c.Code, c.Detail
}

// field turns huma's location ("body.items[0].name") into a JSON pointer
// ("/items/0/name"), or a parameter's name. Messages that end in a parser's own words
// are cut before them: those repeat the input.
func field(d *huma.ErrorDetail) errs.Field {
	place, rest, _ := strings.Cut(d.Location, ".")
	pointer := rest
	if place == "body" {
		pointer = "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(rest)
	}
	// What is missing is pointed at, not the object that lacks it.
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(d.Message, before); ok && strings.HasSuffix(name, after) {
		pointer = strings.TrimSuffix(pointer, "/") + "/" + strings.TrimSuffix(name, after)
	}
	msg, _, _ := strings.Cut(d.Message, ": ")
	return errs.Field{Pointer: pointer, Code: "request.invalid", Msg: msg}
}

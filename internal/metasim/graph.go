package metasim

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Versions that are alive. Source: Meta, Graph API changelog, read 2026-09.
const (
	oldestVersion = 21
	newestVersion = 26
	// maxBody is more than any JSON body Meta accepts.
	maxBody = 1 << 20
)

// call is one Graph request.
type call struct {
	s       *Sim
	w       http.ResponseWriter
	r       *http.Request
	arrived int64
	version int // the major number the call is served with
	path    []string
	token   *token
	isApp   bool // the token is the app's own
	body    []byte
	query   url.Values
}

func (s *Sim) serveGraph(w http.ResponseWriter, r *http.Request, path string, arrived int64) {
	s.total.requests.Add(1)
	c := &call{s: s, w: w, r: r, arrived: arrived, version: newestVersion, path: strings.Split(path, "/")}
	if v, ok := parseVersion(c.path[0]); ok {
		if v > newestVersion {
			c.fail(&graphError{code: 2500, message: "Unknown path components: /" + path, details: "-"})
			return
		}
		// A dead version is served by the oldest one alive.
		c.version, c.path = max(v, oldestVersion), c.path[1:]
	}
	h := w.Header()
	h["Facebook-Api-Version"] = []string{"v" + strconv.Itoa(c.version) + ".0"}
	h["X-Fb-Request-Id"] = []string{c.trace()}
	if err := c.readInput(); err != nil {
		c.fail(err)
		return
	}
	if len(c.path) == 0 {
		c.fail(&graphError{code: 2500, message: "Unsupported request", details: "-"})
		return
	}
	c.route()
}

func parseVersion(seg string) (int, bool) {
	digits, ok := strings.CutPrefix(seg, "v")
	if !ok {
		return 0, false
	}
	major, minor, ok := strings.Cut(digits, ".")
	v, err := strconv.Atoi(major)
	if _, err2 := strconv.Atoi(minor); !ok || err != nil || err2 != nil {
		return 0, false
	}
	return v, true
}

// readInput takes the body and the parameters: JSON, or a form whose values
// may be JSON themselves. Uploads are left to their handlers.
func (c *call) readInput() *graphError {
	if c.r.URL.RawQuery != "" {
		c.query = c.r.URL.Query()
	}
	kind := c.r.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "multipart/") || strings.HasPrefix(c.path0(), "upload:") {
		return nil
	}
	if c.r.ContentLength == 0 {
		return nil
	}
	body, err := readBody(c.r)
	if err != nil || len(body) > maxBody {
		return &graphError{code: 1, message: "The request body could not be read.", details: "-"}
	}
	c.body = body
	if kind == "application/json" {
		return nil
	}
	if mt, _, _ := mime.ParseMediaType(kind); mt != "application/x-www-form-urlencoded" || len(body) > 0 && body[0] == '{' {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return &graphError{code: 100, details: "-", message: "(#100) The form could not be read."}
	}
	c.body = formToJSON(form)
	if t := form.Get("access_token"); t != "" {
		if c.query == nil {
			c.query = url.Values{}
		}
		c.query.Set("access_token", t)
	}
	return nil
}

// readBody reads what was announced in one piece, and anything else as it comes.
func readBody(r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= maxBody {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(r.Body, maxBody+1))
}

func formToJSON(form url.Values) []byte {
	out := map[string]any{}
	for key, values := range form {
		v := values[0]
		if raw := json.RawMessage(v); len(v) > 0 && (v[0] == '{' || v[0] == '[') && json.Valid(raw) {
			out[key] = raw
			continue
		}
		out[key] = v
	}
	b, _ := json.Marshal(out) // strings and valid JSON only
	return b
}

func (c *call) path0() string {
	if len(c.path) == 0 {
		return ""
	}
	return c.path[0]
}

// param is a query parameter, or the same key of a JSON or form body.
func (c *call) param(name string) string {
	if v := c.query.Get(name); v != "" {
		return v
	}
	if len(c.body) > 0 {
		var in map[string]json.RawMessage
		if json.Unmarshal(c.body, &in) == nil && in[name] != nil {
			var text string
			if json.Unmarshal(in[name], &text) == nil {
				return text
			}
			return string(in[name])
		}
	}
	return ""
}

// decode reads the body into v; a wrong type is Graph's code 100.
func (c *call) decode(v any) *graphError {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return decodeError(err)
	}
	return nil
}

func decodeError(err error) *graphError {
	if te, ok := err.(*json.UnmarshalTypeError); ok { //nolint:errorlint // encoding/json returns it unwrapped
		return &graphError{code: 100, details: "-", message: fmt.Sprintf("(#100) Param %s must be of another type than %s.", te.Field, te.Value)}
	}
	// What is not JSON is no parameter at all to Graph.
	return missingParameter("messaging_product")
}

// answer writes v as Graph does.
func (c *call) answer(status int, v any) { c.write(status, asciiJSON(v)) }

func (c *call) write(status int, body []byte) {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/json; charset=UTF-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that is gone misses its answer
}

func (c *call) success() { c.write(http.StatusOK, []byte(`{"success":true}`)) }

// fail answers with the error envelope.
func (c *call) fail(e *graphError) {
	spec := c.s.errs.spec(e.code)
	status := e.http
	if status == 0 {
		status = spec.http
	}
	if status == 0 {
		status = c.s.config().ThrottleStatus
	}
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_token" "`+spec.title+`"`)
	}
	c.s.total.refuse(e.code)
	c.answer(status, e.body(spec, c.trace()))
}

// trace is an id of fbtrace_id's looks.
func (c *call) trace() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := []byte("A0000000000000000000000")
	x := mix(c.s.seed ^ uint64(c.arrived)) //nolint:gosec // only hashed
	for i := 1; i < len(b); i++ {
		if i%10 == 0 {
			x = mix(x)
		}
		b[i] = alphabet[x&63]
		x >>= 6
	}
	return string(b)
}

// authenticate finds the token: 104 without one, 190 for a bad one.
func (c *call) authenticate() *graphError {
	text := c.query.Get("access_token")
	if h := c.r.Header.Get("Authorization"); h != "" {
		scheme, rest, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "OAuth") {
			rest = ""
		}
		text = strings.TrimSpace(rest)
	}
	if text == "" {
		return &graphError{code: 104, details: "-", message: "An access token is required to request this resource."}
	}
	a := c.s.reg.application()
	if id, secret, ok := strings.Cut(text, "|"); ok {
		if id != a.id || secret != a.secret {
			return &graphError{code: 190, details: "-", message: "Invalid OAuth access token signature."}
		}
		c.isApp, c.token = true, &token{text: text}
		return nil
	}
	t := c.s.reg.token(text)
	switch {
	case t == nil && strings.HasPrefix(text, "EAA"):
		return &graphError{code: 190, details: "-", message: "The access token could not be decrypted"}
	case t == nil:
		return &graphError{code: 190, details: "-", message: "Invalid OAuth access token - Cannot parse access token"}
	case t.expiresAt != 0 && c.arrived >= t.expiresAt:
		const layout = "Monday, 02-Jan-06 15:04:05 MST"
		return &graphError{code: 190, subcode: 463, details: "-", message: fmt.Sprintf(
			"Error validating access token: Session has expired on %s. The current time is %s.",
			time.Unix(0, t.expiresAt).UTC().Format(layout), time.Unix(0, c.arrived).UTC().Format(layout),
		)}
	}
	if proof := c.query.Get("appsecret_proof"); proof != "" && proof != hmacHex(a.secret, []byte(text)) {
		return &graphError{code: 100, details: "-", message: "Invalid appsecret_proof provided in the API argument"}
	}
	c.token = t
	return nil
}

// number is the phone number of the path, if the token may touch it.
func (c *call) number(id string) (*number, *graphError) {
	n := c.s.reg.number(id)
	if n == nil || !c.token.wabas[n.waba.id] {
		return nil, unknownObject(c.r.Method, id)
	}
	return n, nil
}

// manage counts a management call and says so in the headers: code 80007 past
// the hourly allowance of the account.
func (c *call) manage(w *waba) *graphError {
	limit := c.s.config().ManagementLimit
	w.mu.Lock()
	n := w.calls.add(c.arrived)
	w.mu.Unlock()
	share := min(100, n*100/limit)
	regain := 0
	if n > limit {
		regain = int(60 - c.arrived/(60*second)%60)
	}
	c.w.Header().Set("X-Business-Use-Case-Usage", fmt.Sprintf(
		`{"%s":[{"type":"whatsapp_business_management","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":%d}]}`,
		w.id, share, regain,
	))
	c.w.Header().Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_time":1,"total_cputime":1}`, share))
	if n > limit {
		return refuse(80007)
	}
	return nil
}

package metasim

import (
	_ "embed" // the error table
	"fmt"
	"strconv"
	"strings"
)

//go:embed errors.tsv
var errorsTSV string

// errorSpec is what Meta says about one error code.
type errorSpec struct {
	code, http     int // http 0: the configured status of throttling
	title, details string
}

// errorTable holds Meta's published codes.
type errorTable map[int]errorSpec

// newErrorTable reads the embedded table; a malformed line is a programmer's
// mistake and panics.
func newErrorTable() errorTable {
	t := errorTable{}
	for line := range strings.Lines(errorsTSV) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		code, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 4 {
			panic("metasim: errors.tsv: " + line)
		}
		status, _ := strconv.Atoi(f[1]) // "T" is 0
		t[code] = errorSpec{code: code, http: status, title: f[2], details: f[3]}
	}
	return t
}

// spec gives an unlisted code a plain face, so that a fault script may use any.
func (t errorTable) spec(code int) errorSpec {
	if e, ok := t[code]; ok {
		return e
	}
	return errorSpec{code: code, http: 400, title: "Error " + strconv.Itoa(code)}
}

// graphError is a refusal on its way to the client.
type graphError struct {
	code, subcode      int
	http               int    // 0: the table's
	kind               string // "": OAuthException
	message            string // "": "(#code) title"
	details            string // "": the table's; "-": none
	userTitle, userMsg string
	transient          bool
}

func refuse(code int) *graphError { return &graphError{code: code} }

func refusef(code int, format string, args ...any) *graphError {
	return &graphError{code: code, details: fmt.Sprintf(format, args...)}
}

// body is the error envelope of synchronous answers.
func (e *graphError) body(spec errorSpec, trace string) map[string]any {
	message := e.message
	if message == "" {
		message = fmt.Sprintf("(#%d) %s", e.code, spec.title)
	}
	kind := e.kind
	if kind == "" {
		kind = "OAuthException"
	}
	out := map[string]any{"message": message, "type": kind, "code": e.code, "fbtrace_id": trace}
	details := e.details
	if details == "" {
		details = spec.details
	}
	if details != "" && details != "-" {
		out["error_data"] = map[string]any{"messaging_product": "whatsapp", "details": details}
	}
	if e.subcode != 0 {
		out["error_subcode"] = e.subcode
	}
	if e.transient || e.userTitle != "" {
		out["is_transient"] = e.transient
	}
	if e.userTitle != "" {
		out["error_user_title"], out["error_user_msg"] = e.userTitle, e.userMsg
	}
	return map[string]any{"error": out}
}

// unknownObject is Graph's answer for "not there" and "not yours" alike.
func unknownObject(method, id string) *graphError {
	return &graphError{
		code: 100, subcode: 33, http: 400, kind: "GraphMethodException", details: "-",
		message: fmt.Sprintf("Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, "+
			"or does not support this operation. Please read the Graph API documentation at "+
			"https://developers.facebook.com/docs/graph-api", strings.ToLower(method), id),
	}
}

// missingParameter is the short form Graph uses for a required field.
func missingParameter(name string) *graphError {
	return &graphError{code: 100, details: "-", message: fmt.Sprintf("(#100) The parameter %s is required.", name)}
}

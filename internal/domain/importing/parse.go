package importing

import (
	"bytes"
	"encoding/json"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// errNoMapping refuses a text that is no mapping; it repeats nothing of it.
var errNoMapping = errs.New(errs.Invalid, "import.invalid_mapping", "this is no mapping: a JSON object with phone, and no field that is not known")

// ParseMapping reads a mapping written in JSON, as operators send it. A field spelt wrong
// is refused: it must not silently import less.
//
// Errors: import.invalid_mapping.
func ParseMapping(text []byte) (Mapping, error) {
	var m Mapping
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Mapping{}, errNoMapping
	}
	if len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return Mapping{}, errNoMapping
	}
	return m, nil
}

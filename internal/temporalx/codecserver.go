package temporalx

import (
	"net/http"

	"go.temporal.io/sdk/converter"
)

// maxDecode bounds one question of Temporal Web UI, in bytes: it asks for a page of events
// at a time, and Temporal takes at most 2 MiB a payload and 4 MiB a message.
const maxDecode = 16 << 20

// DecodeHandler answers POST /decode as Temporal Web UI and the temporal CLI ask a remote
// codec, so that operators read summaries, inputs and results. Browsers may call it from
// origin, the address of Web UI, alone. It asks for no password: whoever reaches it
// reads what Temporal keeps, which is ids and states, so it belongs behind the door that
// Web UI is behind. GET /healthz answers 200.
// Source: Temporal, "Codec Server", read 2026-09.
func (c *Codec) DecodeHandler(origin string) http.Handler {
	decode := http.MaxBytesHandler(converter.NewPayloadCodecHTTPHandler(c), maxDecode)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("OPTIONS /decode", func(w http.ResponseWriter, _ *http.Request) {
		allow(w, origin)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /decode", func(w http.ResponseWriter, r *http.Request) {
		allow(w, origin)
		decode.ServeHTTP(w, r)
	})
	return mux
}

func allow(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type, X-Namespace, Authorization")
	h.Set("Vary", "Origin")
	h.Set("Cache-Control", "no-store")
}

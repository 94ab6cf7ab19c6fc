package metasim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Media. Source: Meta, media reference, read 2026-09.
const (
	mediaLife    = 30 * 24 * 3600 * second // of an uploaded id
	mediaURLLife = 5 * 60 * second
	maxMedia     = 100 << 20 // of one document, the largest kind
	// maxMediaTotal bounds what this simulator keeps; the oldest uploads are
	// not evicted, the newest is refused.
	maxMediaTotal = 256 << 20
)

type media struct {
	id, mime, sha string
	n             *number
	data          []byte
	made          int64
}

// upload is a resumable upload of a template's sample.
type upload struct {
	length int64
	offset int64
}

// mediaLimit is the largest size by kind of content, 0 for what Meta refuses.
func mediaLimit(contentType string) int {
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind {
	case "audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "video/mp4", "video/3gp", "video/3gpp":
		return 16 << 20
	case "image/jpeg", "image/png":
		return 5 << 20
	case "image/webp":
		return 500 << 10
	case "text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
		"application/vnd.openxmlformats-officedocument.presentationml.presentation":
		return maxMedia
	}
	return 0
}

// uploadMedia is POST /{phone-number-id}/media, multipart.
func (c *call) uploadMedia(n *number) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxMedia+maxBody)
	file, head, err := c.r.FormFile("file")
	if err != nil {
		c.fail(missingParameter("file"))
		return
	}
	defer file.Close()
	if c.r.FormValue("messaging_product") != "whatsapp" {
		c.fail(missingParameter("messaging_product"))
		return
	}
	data, err := io.ReadAll(file)
	if err != nil {
		c.fail(refuse(131053))
		return
	}
	kind := first(head.Header.Get("Content-Type"), c.r.FormValue("type"))
	if kind == "application/octet-stream" && c.r.FormValue("type") != "" {
		kind = c.r.FormValue("type")
	}
	switch limit := mediaLimit(kind); {
	case limit == 0:
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Param file must be a file with one of the supported types. Received file of type '" + kind + "'."})
		return
	case len(data) > limit:
		c.fail(&graphError{code: 100, details: "-", message: fmt.Sprintf("(#100) Param file is too large: at most %d bytes for %s.", limit, kind)})
		return
	}
	sum := sha256.Sum256(data)
	m := &media{id: c.s.newID(), mime: kind, sha: hex.EncodeToString(sum[:]), n: n, data: data, made: c.arrived}
	reg := c.s.reg
	reg.mu.Lock()
	room := reg.mediaBytes+len(data) <= maxMediaTotal
	if room {
		reg.media[m.id] = m
		reg.mediaBytes += len(data)
	}
	reg.mu.Unlock()
	if !room {
		c.fail(refuse(131016))
		return
	}
	c.answer(http.StatusOK, map[string]any{"id": m.id})
}

// mediaNode is GET or DELETE /{media-id}.
func (c *call) mediaNode(m *media) {
	if of := c.query.Get("phone_number_id"); of != "" && of != m.n.id || c.arrived-m.made > mediaLife {
		c.fail(unknownObject(c.r.Method, m.id))
		return
	}
	switch c.r.Method {
	case http.MethodGet:
		c.answer(http.StatusOK, map[string]any{
			"messaging_product": "whatsapp", "mime_type": m.mime, "sha256": m.sha,
			"file_size": strconv.Itoa(len(m.data)), "id": m.id,
			"url": fmt.Sprintf("%s/_media/%s?ext=%d", c.baseURL(), m.id, (c.arrived+mediaURLLife)/second),
		})
	case http.MethodDelete:
		c.s.reg.mu.Lock()
		delete(c.s.reg.media, m.id)
		c.s.reg.mediaBytes -= len(m.data)
		c.s.reg.mu.Unlock()
		c.success()
	default:
		c.fail(unknownObject(c.r.Method, m.id))
	}
}

// serveMediaFile is the download host: bytes for a bearer of the account's
// token, 404 once the address has expired.
func (s *Sim) serveMediaFile(w http.ResponseWriter, r *http.Request, id string) {
	s.reg.mu.RLock()
	m := s.reg.media[id]
	t := s.reg.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	s.reg.mu.RUnlock()
	until, err := strconv.ParseInt(r.URL.Query().Get("ext"), 10, 64)
	if m == nil || err != nil || s.clock.nanos()/second > until {
		http.NotFound(w, r)
		return
	}
	if t == nil || !t.wabas[m.n.waba.id] {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if mt, _, err := mime.ParseMediaType(m.mime); err == nil {
		w.Header().Set("Content-Type", mt)
	}
	_, _ = w.Write(m.data) // a client that is gone misses its bytes
}

// startUpload is POST /{app-id}/uploads: the start of a resumable upload.
func (c *call) startUpload() {
	length, err := strconv.ParseInt(c.param("file_length"), 10, 64)
	kind := c.param("file_type")
	switch {
	case err != nil || length <= 0 || length > maxMedia:
		c.fail(&graphError{code: 100, details: "-", message: "(#100) The parameter file_length is required."})
		return
	case kind != "image/jpg" && mediaLimit(kind) == 0:
		c.fail(&graphError{code: 100, details: "-", message: "(#100) Param file_type is not supported."})
		return
	}
	id := "upload:MTph" + c.s.newID()
	c.s.reg.mu.Lock()
	c.s.reg.uploads[id] = &upload{length: length}
	c.s.reg.mu.Unlock()
	c.answer(http.StatusOK, map[string]any{"id": id + "?sig=ARZ"})
}

// resumeUpload is POST (bytes from file_offset on) or GET (how far it got)
// /upload:…; the bytes are counted, not kept.
func (c *call) resumeUpload(id string) {
	reg := c.s.reg
	reg.mu.RLock()
	u := reg.uploads[id]
	reg.mu.RUnlock()
	if u == nil {
		c.fail(unknownObject(c.r.Method, id))
		return
	}
	if c.r.Method == http.MethodGet {
		reg.mu.RLock()
		offset := u.offset
		reg.mu.RUnlock()
		c.answer(http.StatusOK, map[string]any{"id": id, "file_offset": offset})
		return
	}
	from, _ := strconv.ParseInt(c.r.Header.Get("file_offset"), 10, 64) // absent: 0
	n, _ := io.Copy(io.Discard, io.LimitReader(c.r.Body, maxMedia))    // cut short: resumed later
	reg.mu.Lock()
	if from == u.offset {
		u.offset += n
	}
	done := u.offset >= u.length
	reg.mu.Unlock()
	if !done {
		c.answer(http.StatusOK, map[string]any{"id": id, "file_offset": from + n})
		return
	}
	c.answer(http.StatusOK, map[string]any{"h": "4::aW" + strings.TrimPrefix(id, "upload:")})
}

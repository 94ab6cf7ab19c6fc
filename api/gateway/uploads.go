package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gabriel-vasile/mimetype"

	"github.com/kloyst/kloyst-core/api/httpx"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/contact"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/phone"
	"github.com/kloyst/kloyst-core/internal/errs"
	"github.com/kloyst/kloyst-core/internal/id"
	"github.com/kloyst/kloyst-core/internal/importfile"
	"github.com/kloyst/kloyst-core/internal/scan"
	"github.com/kloyst/kloyst-core/store"
)

const (
	// sniffBytes is what mimetype reads at most, by its own documentation (v1.4).
	sniffBytes = 3072
	// formOverhead is room for the form's other fields and its boundaries, in bytes.
	formOverhead = 64 << 10
	// maxFormField bounds each of the other fields, in bytes.
	maxFormField = 256
	// maxFileName is the longest file name kept, in bytes.
	maxFileName = 255
	// uploadTimeout is how long one upload may take: 100 MB at half a megabit a second.
	uploadTimeout = 30 * time.Minute
)

// The refusals of an upload.
var (
	errUploadForm    = errs.InvalidField("import.file_required", "file", "send multipart/form-data with one part named file")
	errUploadField   = errs.New(errs.Invalid, "import.unknown_field", "the form may have the fields file, strategy, default_region and force")
	errUploadForce   = errs.InvalidField("import.bad_force", "force", "force must be true or false")
	errUploadCut     = httpx.NewProblem(http.StatusBadRequest, "request.malformed", "the upload broke off, or is not multipart/form-data")
	errUploadTooBig  = errs.New(errs.TooLarge, "import.too_large", "the file is too large")
	errUploadVirus   = errs.New(errs.Invalid, "import.infected", "the virus scanner refuses this file; it was not kept")
	errUploadForeign = httpx.NewProblem(http.StatusUnsupportedMediaType, "import.unsupported_type",
		"the file is no text table: send CSV or TSV (comma, semicolon, tab or bar; UTF-8, UTF-16 or Windows-1252). "+
			"Spreadsheets (XLSX, XLS, ODS): save as CSV first")
)

// upload takes a file in: in one pass and constant memory it is measured, recognised by
// its content, hashed, scanned for viruses, sealed and stored. What is refused for any
// reason is kept nowhere.
func (h *imports) upload(w http.ResponseWriter, r *http.Request) error {
	if _, err := httpx.Query(r); err != nil {
		return err
	}
	if r.ContentLength > h.maxBytes+formOverhead {
		return h.tooBig()
	}
	deadline := time.Now().Add(uploadTimeout)
	// Not every writer below has deadlines; the context's is enough then.
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, h.maxBytes+formOverhead)
	form, err := r.MultipartReader()
	if err != nil {
		return errUploadCut
	}
	who := httpx.CallerOf(r)
	keys, err := h.keys.For(ctx, who.Vendor)
	if err != nil {
		return err
	}
	u := &uploading{imports: h, who: who, strategy: importing.SkipDuplicates}
	u.files = importfile.Files{Blobs: h.blob, Keys: keys, Import: id.New[importing.ID]()}
	defer u.abort()
	if err := u.read(ctx, form); err != nil {
		return err
	}
	if err := u.keep(ctx); err != nil {
		return err
	}
	job, err := h.store.Import(ctx, who.Vendor, u.files.Import)
	if err != nil {
		return err
	}
	w.Header().Set("Location", strings.TrimSuffix(r.URL.Path, "/")+"/"+string(job.ID))
	return httpx.Write(w, http.StatusAccepted, newImportBody(job))
}

func (h *imports) tooBig() error {
	return errUploadTooBig.Detail("the file is over %d bytes", h.maxBytes)
}

// uploading is one upload under way.
type uploading struct {
	*imports

	who   httpx.Principal
	files importfile.Files

	strategy importing.Strategy
	region   string
	force    bool

	out       *importfile.Writer // nil until the file's part
	name      string
	mime      string
	bytes     int64
	sum       hash.Hash
	signature string // what the scanner found
}

// abort drops what was written; after keep there is nothing left to drop.
func (u *uploading) abort() {
	if u.out != nil {
		u.out.Abort()
	}
}

func (u *uploading) read(ctx context.Context, form *multipart.Reader) error {
	for {
		part, err := form.NextPart()
		switch {
		case errors.Is(err, io.EOF) && u.out == nil:
			return errUploadForm
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return u.readError(err)
		}
		if part.FormName() == "file" {
			err = u.receive(ctx, part)
		} else {
			err = u.field(part)
		}
		if err != nil {
			return err
		}
	}
}

// readError tells a body over the limit from one that broke off.
func (u *uploading) readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return u.tooBig()
	}
	return errUploadCut
}

func (u *uploading) field(part *multipart.Part) error {
	raw, err := io.ReadAll(io.LimitReader(part, maxFormField))
	if err != nil {
		return u.readError(err)
	}
	value := strings.TrimSpace(string(raw))
	switch part.FormName() {
	case "strategy":
		u.strategy, err = importing.ParseStrategy(value)
	case "default_region":
		u.region = strings.ToUpper(value)
		if u.region != "" && !phone.KnownRegion(u.region) {
			err = importing.ErrRegion
		}
	case "force":
		if value == "" {
			return nil
		}
		if u.force, err = strconv.ParseBool(value); err != nil {
			err = errUploadForce
		}
	default:
		err = errUploadField
	}
	return err
}

// receive streams the file's part through hash, scanner and cipher to the store.
func (u *uploading) receive(ctx context.Context, part *multipart.Part) error {
	if u.out != nil {
		return errUploadForm
	}
	in := bufio.NewReaderSize(part, 64<<10)
	head, err := in.Peek(sniffBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return u.readError(err)
	}
	if len(head) == 0 {
		return importing.ErrEmptyFile
	}
	if u.mime = recognise(head); u.mime == "" {
		return errUploadForeign
	}
	u.name = fileName(part.FileName())
	session, err := u.clamd.Start(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if u.out, err = u.files.CreateUpload(ctx); err != nil {
		return err
	}
	u.sum = sha256.New()
	if err := u.stream(in, session); err != nil {
		return err
	}
	u.signature, err = session.Verdict()
	return err
}

// stream copies the file, telling a client that breaks off from a store that does.
func (u *uploading) stream(in io.Reader, session *scan.Scan) error {
	buf := make([]byte, 64<<10)
	for {
		n, readErr := in.Read(buf)
		if u.bytes += int64(n); u.bytes > u.maxBytes {
			return u.tooBig()
		}
		for _, w := range []io.Writer{u.sum, session, u.out} {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if readErr != nil {
			return u.readError(readErr)
		}
	}
}

// keep makes the upload an import, unless it is infected or was here before.
func (u *uploading) keep(ctx context.Context) error {
	if u.signature != "" {
		return u.refuse(ctx)
	}
	out := u.out
	u.out = nil
	if err := out.Close(); err != nil {
		return err
	}
	err := u.store.CreateImport(ctx, u.who.Vendor, store.NewImport{
		ID: u.files.Import, FileName: u.name, FileKey: u.files.UploadKey(), FileBytes: u.bytes, SHA256: u.sum.Sum(nil),
		MIMEType: u.mime, Strategy: u.strategy, DefaultRegion: u.region, CreatedBy: u.who.User, Force: u.force,
	})
	if err == nil {
		return nil
	}
	// The request may be over; the object must go all the same.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, u.files.DropUpload(cleanup))
}

// refuse logs an infected upload for the audit and drops it.
func (u *uploading) refuse(ctx context.Context) error {
	sealed, err := json.Marshal(map[string]any{"file_name": u.name, "sha256": fmt.Sprintf("%x", u.sum.Sum(nil)), "bytes": u.bytes})
	if err != nil {
		return err
	}
	if sealed, err = u.files.Keys.Encrypt(crypt.Audit, string(u.files.Import), sealed); err != nil {
		return err
	}
	err = u.store.LogRefusedUpload(ctx, u.who.Vendor, store.RefusedUpload{ID: u.files.Import, Signature: u.signature, By: u.who.User, Sealed: sealed})
	if err != nil {
		return err
	}
	return errUploadVirus.Detail("the virus scanner found %s; the file was not kept", u.signature)
}

// recognise returns the media type of a text table, or "" for anything else. The name
// of the file says nothing.
func recognise(head []byte) string {
	m := mimetype.Detect(head)
	for _, known := range []string{"text/csv", "text/tab-separated-values", "text/plain"} {
		if m.Is(known) {
			return known
		}
	}
	// UTF-16 without a byte order mark looks binary: every other byte is zero.
	if enc, _ := importing.DetectEncoding(head); m.Is("application/octet-stream") && enc != importing.UTF8 && enc != importing.Windows1252 {
		return "text/plain"
	}
	return ""
}

// fileName keeps the last element of a client's path, cleaned, for people to see.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = contact.CleanText(name)
	if name == "." || name == "/" || name == "" {
		return "upload"
	}
	if len(name) > maxFileName {
		name = strings.ToValidUTF8(name[:maxFileName], "")
	}
	return name
}

// documentUpload says in the API's document what upload takes.
func documentUpload(op *huma.Operation) {
	text := func(doc string, enum ...any) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: doc, Enum: enum}
	}
	op.Description = "Answers 202 with the import; its header row is then read. Poll it until it is AWAITING_MAPPING. " +
		"Refused and kept nowhere: other files than text tables (415), infected ones (422), a file that was uploaded before (409, unless forced). " +
		"While the virus scanner is away nothing is taken (503)."
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"file"},
		Properties: map[string]*huma.Schema{
			"file":           {Type: huma.TypeString, Format: "binary", Description: "CSV or TSV"},
			"strategy":       text("What a row does to a contact that is there; default SKIP_DUPLICATES", "SKIP_DUPLICATES", "MERGE_LABELS", "UPDATE_METADATA", "FULL_REPLACE"),
			"default_region": text("Country of numbers without calling code; default the vendor's"),
			"force":          text("Import a file that was imported before", "true", "false"),
		},
	}}}}
	op.Responses["202"].Headers = map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}}
}

// errorsCSV streams the rows that were not imported, as CSV that no spreadsheet takes
// for formulas.
func (h *imports) errorsCSV(w http.ResponseWriter, r *http.Request) error {
	key, err := httpx.PathID[importing.ID](r, "id")
	if err != nil {
		return err
	}
	if _, err := httpx.Query(r); err != nil {
		return err
	}
	v := httpx.Vendor(r)
	if _, err := h.store.Import(r.Context(), v, key); err != nil {
		return err
	}
	chunks, err := h.store.ImportChunks(r.Context(), v, key)
	if err != nil {
		return err
	}
	keys, err := h.keys.For(r.Context(), v)
	if err != nil {
		return err
	}
	files := importfile.Files{Blobs: h.blob, Keys: keys, Import: key}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "import-"+string(key)+"-errors.csv"))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var buf bytes.Buffer
	out := newErrorsWriter(&buf)
	out.header()
	for _, c := range chunks {
		if c.ErrorsKey != "" {
			rows, err := files.ReadErrors(r.Context(), c.No, c.ErrorsKey)
			if err != nil {
				return err
			}
			out.rows(rows)
		}
		if _, err := io.Copy(w, &buf); err != nil {
			return err
		}
	}
	_, err = io.Copy(w, &buf)
	return err
}

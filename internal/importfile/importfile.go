// Package importfile is where the objects of a contact import lie and how they are
// sealed: the upload, its copy in UTF-8, what the first pass kept of each row, and the
// error rows of each chunk. Its law: nothing of a file rests in clear anywhere.
package importfile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/kloyst/kloyst-core/internal/blob"
	"github.com/kloyst/kloyst-core/internal/crypt"
	"github.com/kloyst/kloyst-core/internal/domain/importing"
	"github.com/kloyst/kloyst-core/internal/domain/vendor"
)

// contentType of every object: they are ciphertexts.
const contentType = "application/octet-stream"

// Files are the objects of one import.
type Files struct {
	Blobs  *blob.Store
	Keys   *crypt.VendorKeys
	Import importing.ID
}

// FileKey is where an import's upload lies.
func FileKey(v vendor.ID, i importing.ID) string {
	return "imports/" + string(v) + "/" + string(i) + "/file"
}

func (f Files) key(name string) string {
	return "imports/" + string(f.Keys.Vendor()) + "/" + string(f.Import) + "/" + name
}

// UploadKey is where the upload lies; DataKey where its copy in UTF-8 does.
func (f Files) UploadKey() string { return FileKey(f.Keys.Vendor(), f.Import) }

// DataKey is where the upload's copy in UTF-8 lies, when it needs one.
func (f Files) DataKey() string { return f.key("data") }

// Writer seals an object while it is written. Close makes it exist, Abort drops it.
type Writer struct {
	*crypt.SealWriter
	out *blob.Writer
}

// Close implements io.Closer.
func (w *Writer) Close() error {
	if err := w.SealWriter.Close(); err != nil {
		w.out.Abort()
		return err
	}
	return w.out.Close()
}

// Abort leaves nothing of the object.
func (w *Writer) Abort() { w.out.Abort() }

// CreateUpload begins the upload's object.
//
// Errors: blob.unavailable.
func (f Files) CreateUpload(ctx context.Context) (*Writer, error) {
	return f.create(ctx, f.UploadKey(), crypt.ImportFile, string(f.Import))
}

// CreateData begins the copy in UTF-8.
//
// Errors: blob.unavailable.
func (f Files) CreateData(ctx context.Context) (*Writer, error) {
	return f.create(ctx, f.DataKey(), crypt.ImportFile, string(f.Import)+"/data")
}

func (f Files) create(ctx context.Context, key string, field crypt.Field, ref string) (*Writer, error) {
	out, err := f.Blobs.NewWriter(ctx, key, contentType)
	if err != nil {
		return nil, err
	}
	return &Writer{SealWriter: f.Keys.NewSealWriter(field, ref, out), out: out}, nil
}

// Open opens the object key, which is UploadKey or DataKey.
//
// Errors: blob.not_found, blob.unavailable.
func (f Files) Open(ctx context.Context, key string) (*crypt.SealedFile, error) {
	ref := string(f.Import)
	if key == f.DataKey() {
		ref += "/data"
	}
	return f.open(ctx, key, crypt.ImportFile, ref)
}

func (f Files) open(ctx context.Context, key string, field crypt.Field, ref string) (*crypt.SealedFile, error) {
	size, err := f.Blobs.Size(ctx, key)
	if err != nil {
		return nil, err
	}
	return f.Keys.OpenSealed(field, ref, size, func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		return f.Blobs.Range(ctx, key, off, n)
	}), nil
}

// WriteEntries keeps the first pass's entries, replacing earlier ones.
//
// Errors: blob.unavailable.
func (f Files) WriteEntries(ctx context.Context, entries []importing.Entry) error {
	w, err := f.create(ctx, f.key("rows"), crypt.ImportRows, string(f.Import))
	if err != nil {
		return err
	}
	buf := make([]byte, 0, 1024*importing.EntrySize)
	for _, e := range entries {
		buf = e.AppendBinary(buf)
		if len(buf) == cap(buf) {
			if _, err := w.Write(buf); err != nil {
				w.Abort()
				return err
			}
			buf = buf[:0]
		}
	}
	if _, err := w.Write(buf); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// ReadEntries returns n entries from the one numbered first, counted from zero.
//
// Errors: blob.not_found, blob.unavailable, crypt.cannot_open.
func (f Files) ReadEntries(ctx context.Context, first, n int) ([]importing.Entry, error) {
	file, err := f.open(ctx, f.key("rows"), crypt.ImportRows, string(f.Import))
	if err != nil {
		return nil, err
	}
	r, err := file.Range(ctx, int64(first)*importing.EntrySize, int64(first+n)*importing.EntrySize)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw := make([]byte, n*importing.EntrySize)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	entries := make([]importing.Entry, n)
	for i := range entries {
		entries[i] = importing.DecodeEntry(raw[i*importing.EntrySize:])
	}
	return entries, nil
}

// WriteErrors keeps the error rows of a chunk and returns their key; none gives "".
//
// Errors: blob.unavailable.
func (f Files) WriteErrors(ctx context.Context, chunk int, rows []importing.RowError) (string, error) {
	if len(rows) == 0 {
		return "", nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return "", fmt.Errorf("encode error rows: %w", err)
		}
	}
	sealed, err := f.Keys.Encrypt(crypt.ImportErrors, f.errorsRef(chunk), out.Bytes())
	if err != nil {
		return "", err
	}
	key := f.key("errors/" + strconv.Itoa(chunk))
	return key, f.Blobs.Put(ctx, key, contentType, sealed)
}

// ReadErrors returns the error rows of a chunk in the order of the file.
//
// Errors: blob.not_found, blob.unavailable, crypt.cannot_open.
func (f Files) ReadErrors(ctx context.Context, chunk int, key string) ([]importing.RowError, error) {
	sealed, err := f.Blobs.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	text, err := f.Keys.Decrypt(crypt.ImportErrors, f.errorsRef(chunk), sealed)
	if err != nil {
		return nil, err
	}
	var rows []importing.RowError
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var r importing.RowError
		if err := dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("decode error rows: %w", err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (f Files) errorsRef(chunk int) string { return string(f.Import) + "/" + strconv.Itoa(chunk) }

// DropWork removes what only the passes over the file need.
//
// Errors: blob.unavailable.
func (f Files) DropWork(ctx context.Context) error {
	if err := f.Blobs.Delete(ctx, f.key("rows")); err != nil {
		return err
	}
	return f.Blobs.Delete(ctx, f.DataKey())
}

// DropUpload removes the upload.
//
// Errors: blob.unavailable.
func (f Files) DropUpload(ctx context.Context) error { return f.Blobs.Delete(ctx, f.UploadKey()) }

// SealSample keeps the first rows of a file for the mapping screen.
func (f Files) SealSample(rows [][]string) ([]byte, error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("encode sample: %w", err)
	}
	return f.Keys.Encrypt(crypt.ImportSample, string(f.Import), text)
}

// OpenSample reads what SealSample made.
//
// Errors: crypt.cannot_open.
func (f Files) OpenSample(sealed []byte) ([][]string, error) {
	text, err := f.Keys.Decrypt(crypt.ImportSample, string(f.Import), sealed)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("decode sample: %w", err)
	}
	return rows, nil
}

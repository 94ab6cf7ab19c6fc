// Package blob is the object store: a folder or S3, named by a URL. Its law: an object
// is there whole or not at all. It stores what it is given; personal data is sealed
// by the caller (package crypt).
package blob

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file:///var/lib/kloyst/objects
	_ "gocloud.dev/blob/s3blob"   // s3://bucket?region=…
	"gocloud.dev/gcerrors"

	"github.com/kloyst/kloyst-core/internal/errs"
)

// The failures of the object store.
var (
	ErrNotFound    = errs.New(errs.NotFound, "blob.not_found", "the stored file is gone")
	ErrUnavailable = errs.New(errs.Unavailable, "blob.unavailable", "the object store does not answer")
	ErrURL         = errs.New(errs.Invalid, "blob.bad_url", "BLOB_URL must be file:///folder or s3://bucket")
)

// Store is a bucket. Safe for concurrent use.
type Store struct{ bucket *blob.Bucket }

// Open opens the store named by rawURL, making the folder of a file URL.
//
// Errors: blob.bad_url, blob.unavailable.
func Open(ctx context.Context, rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, ErrURL // the URL may carry keys: not in the error
	}
	q := u.Query()
	switch u.Scheme {
	case "file":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return nil, ErrURL
		}
		if err := os.MkdirAll(u.Path, 0o700); err != nil {
			return nil, ErrUnavailable.With(err)
		}
		// Temporary files beside the objects: os.Rename cannot cross devices. No
		// sidecar files: the attributes live in Postgres.
		q.Set("no_tmp_dir", "true")
		q.Set("metadata", "skip")
		q.Set("dir_file_mode", "0700")
	case "s3":
		// Stores that speak S3 without being Amazon's know no checksum trailers.
		if !q.Has("request_checksum_calculation") {
			q.Set("request_checksum_calculation", "when_required")
		}
	default:
		return nil, ErrURL
	}
	u.RawQuery = q.Encode()
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, ErrUnavailable.With(err)
	}
	return &Store{bucket: bucket}, nil
}

// Close releases the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// Ping asks the store for an answer.
//
// Errors: blob.unavailable.
func (s *Store) Ping(ctx context.Context) error {
	ok, err := s.bucket.IsAccessible(ctx)
	if err != nil {
		return ErrUnavailable.With(err)
	}
	if !ok {
		return ErrUnavailable.With(fmt.Errorf("bucket is not accessible"))
	}
	return nil
}

// Writer writes one object. Close makes it exist; Abort, or a Close never called with
// the context ended, leaves nothing.
type Writer struct {
	w      *blob.Writer
	cancel context.CancelFunc
}

// NewWriter begins the object key, replacing one that exists when closed.
//
// Errors: blob.unavailable.
func (s *Store) NewWriter(ctx context.Context, key, contentType string) (*Writer, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true})
	if err != nil {
		cancel()
		return nil, ErrUnavailable.With(err)
	}
	return &Writer{w: w, cancel: cancel}, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		return n, ErrUnavailable.With(err)
	}
	return n, nil
}

// Close makes the object exist.
//
// Errors: blob.unavailable.
func (w *Writer) Close() error {
	defer w.cancel()
	if err := w.w.Close(); err != nil {
		return ErrUnavailable.With(err)
	}
	return nil
}

// Abort drops what was written. After Close it does nothing.
func (w *Writer) Abort() {
	w.cancel()
	_ = w.w.Close() // a writer whose context ended removes its work
}

// Put writes a whole small object.
//
// Errors: blob.unavailable.
func (s *Store) Put(ctx context.Context, key, contentType string, data []byte) error {
	w, err := s.NewWriter(ctx, key, contentType)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// Get reads a whole small object.
//
// Errors: blob.not_found, blob.unavailable.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.bucket.ReadAll(ctx, key)
	return data, classify(err)
}

// Reader reads an object from its beginning.
//
// Errors: blob.not_found, blob.unavailable.
func (s *Store) Reader(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.Range(ctx, key, 0, -1)
}

// Range reads length bytes from offset; a negative length reads to the end.
//
// Errors: blob.not_found, blob.unavailable.
func (s *Store) Range(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, classify(err)
	}
	return r, nil
}

// Size returns an object's length, in bytes.
//
// Errors: blob.not_found, blob.unavailable.
func (s *Store) Size(ctx context.Context, key string) (int64, error) {
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, classify(err)
	}
	return a.Size, nil
}

// Delete removes an object; one that is gone already is no error.
//
// Errors: blob.unavailable.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := s.bucket.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return classify(err)
}

func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return ErrNotFound.With(err)
	}
	return ErrUnavailable.With(err)
}

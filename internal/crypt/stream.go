package crypt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// SegmentSize is how much plaintext one sealed segment of a file holds, in bytes. A
// reader of a range decrypts whole segments: small enough to waste little, large
// enough that the 33 bytes a segment costs do not matter.
const SegmentSize = 64 << 10

// segmentOverhead is what AES-GCM and Tink's key prefix add: 5 + 12 + 16 bytes.
const segmentOverhead = 33

// SealWriter encrypts a stream into segments, each bound to its place in the file, so
// that ranges can be read later and segments cannot be moved, dropped or appended.
// Close writes the last segment and does not close the writer below.
type SealWriter struct {
	keys  *VendorKeys
	field Field
	ref   string
	out   io.Writer
	buf   []byte
	n     int64
	done  bool
}

// NewSealWriter seals to out for the field of ref.
func (k *VendorKeys) NewSealWriter(field Field, ref string, out io.Writer) *SealWriter {
	return &SealWriter{keys: k, field: field, ref: ref, out: out, buf: make([]byte, 0, SegmentSize)}
}

// Write implements io.Writer.
func (w *SealWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		// A full segment waits for the next byte: only then is it not the last.
		if len(w.buf) == SegmentSize {
			if err := w.flush(false); err != nil {
				return written, err
			}
		}
		take := min(SegmentSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:take]...)
		p = p[take:]
		written += take
	}
	return written, nil
}

// Close seals what is left as the last segment.
func (w *SealWriter) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	return w.flush(true)
}

func (w *SealWriter) flush(last bool) error {
	sealed, err := w.keys.Encrypt(w.field, segmentRef(w.ref, w.n, last), w.buf)
	if err != nil {
		return err
	}
	w.n++
	w.buf = w.buf[:0]
	if _, err := w.out.Write(sealed); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

func segmentRef(ref string, n int64, last bool) string {
	s := ref + "/" + strconv.FormatInt(n, 10)
	if last {
		s += "/end"
	}
	return s
}

// ReadRange reads length bytes of an object from offset.
type ReadRange func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// SealedFile reads what a SealWriter wrote.
type SealedFile struct {
	keys   *VendorKeys
	field  Field
	ref    string
	sealed int64
	read   ReadRange
}

// OpenSealed makes a reader of a sealed object of sealedSize bytes.
func (k *VendorKeys) OpenSealed(field Field, ref string, sealedSize int64, read ReadRange) *SealedFile {
	return &SealedFile{keys: k, field: field, ref: ref, sealed: sealedSize, read: read}
}

// Size is the plaintext's length, in bytes.
func (f *SealedFile) Size() int64 { return f.sealed - f.segments()*segmentOverhead }

func (f *SealedFile) segments() int64 {
	const whole = SegmentSize + segmentOverhead
	return (f.sealed + whole - 1) / whole
}

// plausible refuses a size that no SealWriter leaves: a last segment without content,
// but for the empty file's only one.
func (f *SealedFile) plausible() bool {
	tail := f.sealed % (SegmentSize + segmentOverhead)
	return f.sealed == segmentOverhead || f.sealed > 0 && (tail == 0 || tail > segmentOverhead)
}

// Range reads the plaintext bytes from from up to, not including, to; a to past the
// end means the end.
func (f *SealedFile) Range(ctx context.Context, from, to int64) (io.ReadCloser, error) {
	if !f.plausible() {
		return nil, ErrOpen
	}
	to = min(to, f.Size())
	if from < 0 || from > to {
		return nil, fmt.Errorf("range of sealed file: %w", io.ErrUnexpectedEOF)
	}
	first := from / SegmentSize
	lastSegment := max(first, (to-1)/SegmentSize)
	begin := first * (SegmentSize + segmentOverhead)
	end := min(f.sealed, (lastSegment+1)*(SegmentSize+segmentOverhead))
	in, err := f.read(ctx, begin, end-begin)
	if err != nil {
		return nil, err
	}
	return &rangeReader{file: f, in: in, next: first, skip: int(from - first*SegmentSize), left: to - from}, nil
}

type rangeReader struct {
	file  *SealedFile
	in    io.ReadCloser
	buf   [SegmentSize + segmentOverhead]byte
	plain []byte
	next  int64
	skip  int
	left  int64
}

// Read implements io.Reader.
func (r *rangeReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(r.plain) == 0 {
		if err := r.segment(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain[:min(int64(len(r.plain)), r.left)])
	r.plain = r.plain[n:]
	r.left -= int64(n)
	return n, nil
}

func (r *rangeReader) segment() error {
	n, err := io.ReadFull(r.in, r.buf[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read segment: %w", err)
	}
	last := r.next == r.file.segments()-1
	plain, err := r.file.keys.Decrypt(r.file.field, segmentRef(r.file.ref, r.next, last), r.buf[:n])
	if err != nil {
		return err
	}
	if len(plain) <= r.skip {
		return fmt.Errorf("read segment: %w", io.ErrUnexpectedEOF)
	}
	r.plain, r.skip, r.next = plain[r.skip:], 0, r.next+1
	return nil
}

// Close closes the reader below.
func (r *rangeReader) Close() error { return r.in.Close() }

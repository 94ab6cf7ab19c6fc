package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
)

// errFile says that the library wrote a file unlike those that finish knows: it was updated.
var errFile = errors.New("the written file is not laid out as expected")

// finish rewrites what the library wrote. It takes out the time of making, which the library
// puts into the document and into every embedded font, so that an offer drawn again is the
// same file; and it adds what the library cannot say: the language, the document's id, and
// which glyph each character of an embedded font is.
func finish(file []byte, at time.Time, lang string) ([]byte, error) {
	objects, err := split(file)
	if err != nil {
		return nil, err
	}
	for i, body := range objects {
		for _, ref := range fontFile.FindAllSubmatch(body, -1) {
			n, err := strconv.Atoi(string(ref[1]))
			if err != nil || n < 1 || n > len(objects) {
				return nil, errFile
			}
			if objects[n-1], err = undatedFont(objects[n-1]); err != nil {
				return nil, err
			}
		}
		body = bytes.ReplaceAll(body, []byte("/Subtype/CIDFontType2"), []byte("/Subtype/CIDFontType2/CIDToGIDMap/Identity"))
		objects[i] = body
	}
	date := at.UTC().Format("D:20060102150405Z")
	objects[infoObject] = clock.ReplaceAll(objects[infoObject], []byte("/CreationDate("+date+")/ModDate("+date+")"))
	objects[catalogObject] = bytes.Replace(objects[catalogObject], []byte("/Type/Catalog"),
		[]byte("/Type/Catalog/Lang("+lang+")/ViewerPreferences<</DisplayDocTitle true>>"), 1)
	return join(objects), nil
}

// The objects that the library always writes under these numbers, counted from 0.
const (
	catalogObject = 0
	infoObject    = 1
)

var (
	fontFile = regexp.MustCompile(`/FontFile[23] (\d+) 0 R`)
	clock    = regexp.MustCompile(`/CreationDate ?\(D:[^)]*\)`)
	xrefAt   = regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`)
	xrefHead = regexp.MustCompile(`^xref\n0 (\d+)\n`)
	length   = regexp.MustCompile(`/Length (\d+)>>stream\n`)
)

// xrefLine is the length of one line of a cross-reference table, in bytes. The file's header
// and the table's own first line stand before what counts.
const xrefLine = 20

// split returns the bodies of a file's objects, by number from 1.
func split(file []byte) ([][]byte, error) {
	found := xrefAt.FindSubmatch(file)
	if found == nil {
		return nil, errFile
	}
	start, err := strconv.Atoi(string(found[1]))
	if err != nil || start > len(file) {
		return nil, errFile
	}
	head := xrefHead.FindSubmatch(file[start:])
	if head == nil {
		return nil, errFile
	}
	count, err := strconv.Atoi(string(head[1]))
	table := file[start+len(head[0]):]
	if err != nil || count < 3 || len(table) < count*xrefLine {
		return nil, errFile
	}
	objects := make([][]byte, count-1)
	for n := 1; n < count; n++ {
		offset, err := strconv.Atoi(string(table[n*xrefLine : n*xrefLine+10]))
		if err != nil || offset > start {
			return nil, errFile
		}
		body, ok := bytes.CutPrefix(file[offset:start], fmt.Appendf(nil, "%d 0 obj\n", n))
		if !ok {
			return nil, errFile
		}
		if objects[n-1], err = cutObject(body); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// cutObject ends an object's body; a stream may hold the word that ends objects.
func cutObject(body []byte) ([]byte, error) {
	from := 0
	end := bytes.Index(body, []byte("\nendobj\n"))
	if s := length.FindSubmatchIndex(body); s != nil && s[0] < end {
		n, err := strconv.Atoi(string(body[s[2]:s[3]]))
		if err != nil || s[1]+n > len(body) {
			return nil, errFile
		}
		from = s[1] + n
		end = bytes.Index(body[from:], []byte("\nendobj\n"))
	}
	if end < 0 {
		return nil, errFile
	}
	return body[: from+end : from+end], nil
}

// join writes objects as a file. Its id is the hash of what is in it.
func join(objects [][]byte) []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(objects))
	for i, body := range objects {
		offsets[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n", i+1)
		out.Write(body)
		out.WriteString("\nendobj\n")
	}
	id := sha256.Sum256(out.Bytes())
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<</Root 1 0 R/Info 2 0 R/Size %d/ID[<%x><%x>]>>\nstartxref\n%d\n%%%%EOF\n",
		len(objects)+1, id[:16], id[:16], start)
	return out.Bytes()
}

// undatedFont takes the time of making out of an embedded font.
func undatedFont(object []byte) ([]byte, error) {
	s := length.FindSubmatchIndex(object)
	if s == nil || !bytes.Contains(object[:s[0]], []byte("/FlateDecode")) {
		return nil, errFile
	}
	r, err := zlib.NewReader(bytes.NewReader(object[s[1]:]))
	if err != nil {
		return nil, errFile
	}
	font, err := io.ReadAll(r)
	if err != nil || !undate(font) {
		return nil, errFile
	}
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(font); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out := append([]byte{}, object[:s[0]]...)
	out = fmt.Appendf(out, "/Length %d/Length1 %d>>stream\n", packed.Len(), len(font))
	out = append(out, packed.Bytes()...)
	return append(out, "\nendstream"...), nil
}

// undate makes a font's time of change its time of making, and its sums right again.
// Source: OpenType 1.9.1, "Font header table" and "Calculating checksums", read 2026-11.
func undate(font []byte) bool {
	const directory, record, created, modified, adjustment, magic = 12, 16, 20, 28, 8, 0xB1B0AFBA
	if len(font) < directory {
		return false
	}
	for i := range int(binary.BigEndian.Uint16(font[4:])) {
		at := directory + i*record
		if at+record > len(font) {
			return false
		}
		if string(font[at:at+4]) != "head" {
			continue
		}
		from, size := int(binary.BigEndian.Uint32(font[at+8:])), int(binary.BigEndian.Uint32(font[at+12:]))
		if size < modified+8 || from+size > len(font) {
			return false
		}
		head := font[from : from+size]
		copy(head[modified:modified+8], head[created:created+8])
		clear(head[adjustment : adjustment+4])
		binary.BigEndian.PutUint32(font[at+4:], sum32(head))
		binary.BigEndian.PutUint32(head[adjustment:], magic-sum32(font))
		return true
	}
	return false
}

// sum32 adds up big-endian words; what lacks of the last one is zero.
func sum32(table []byte) uint32 {
	var sum uint32
	for len(table) >= 4 {
		sum += binary.BigEndian.Uint32(table)
		table = table[4:]
	}
	var last [4]byte
	copy(last[:], table)
	return sum + binary.BigEndian.Uint32(last[:])
}

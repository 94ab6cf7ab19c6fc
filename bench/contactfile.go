package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/kloyst/kloyst-core/internal/domain/phone"
)

// contactFile is a generated file and what an import of it must count.
type contactFile struct {
	path string

	rows, invalid, duplicates, unique int
}

// The generator's numbers: calling code and first digits that are in use, and how many random
// digits follow. Of ten numbers four are Indian, two American, two Brazilian.
type numberKind struct {
	region string
	heads  []string
	tail   int
}

func numberKinds() []numberKind {
	in := numberKind{"IN", []string{"+916", "+917", "+918", "+919", "+919"}, 9}
	us := numberKind{"US", []string{"+12122", "+14153", "+13104", "+13056", "+17027", "+12063", "+15124", "+16174", "+14046", "+13032"}, 6}
	br := numberKind{"BR", []string{"+551196", "+552197", "+553198", "+554199", "+555196", "+556198", "+557199", "+558197"}, 7}
	gb := numberKind{"GB", []string{"+4474", "+4475", "+4477", "+4478", "+4479"}, 8}
	id := numberKind{"ID", []string{"+62811", "+62812", "+62813", "+62821", "+62822", "+62852", "+62857", "+62877"}, 8}
	return []numberKind{in, in, in, in, us, us, br, br, gb, id}
}

// badCells are what people leave where a number should be.
func badCells() []string {
	return []string{"", "n/a", "12345", "+91 12345", "000000000000", "call me", "+1 555 01", "+44 123", "98765", "+999 12345678"}
}

// spelt writes a number in one of the ways of its country; the default country is India.
func spelt(rnd *rand.Rand, region, n string) string {
	var ways []string
	switch region {
	case "IN":
		ways = []string{n, n[3:], "0" + n[3:], "+91 " + n[3:8] + " " + n[8:], "91-" + n[3:], " " + n[3:8] + "-" + n[8:]}
	case "US":
		ways = []string{
			n, "+1 (" + n[2:5] + ") " + n[5:8] + "-" + n[8:], "001 " + n[2:5] + " " + n[5:],
			"+1." + n[2:5] + "." + n[5:8] + "." + n[8:],
		}
	case "BR":
		ways = []string{n, "+55 " + n[3:5] + " " + n[5:10] + "-" + n[10:], "+55 (" + n[3:5] + ") " + n[5:]}
	case "GB":
		ways = []string{n, "+44 " + n[3:7] + " " + n[7:], "+44 (0)" + n[3:], "0044" + n[3:]}
	default:
		ways = []string{n, "+62 " + n[3:6] + "-" + n[6:10] + "-" + n[10:], "+62" + n[3:]}
	}
	return ways[rnd.IntN(len(ways))]
}

// fileMaker draws rows as the original's generator does: 2 % invalid, 5 % duplicates, quoted
// commas, quotes and line feeds. The same number of rows is always the same file.
type fileMaker struct {
	rnd   *rand.Rand
	kinds []numberKind
	seen  map[string]bool
	list  [][2]string // region, number
	file  contactFile
}

func newFileMaker(rows int) *fileMaker {
	return &fileMaker{
		rnd: rand.New(rand.NewPCG(20240607, 0)), kinds: numberKinds(),
		seen: make(map[string]bool, rows), file: contactFile{rows: rows},
	}
}

func (m *fileMaker) phone() string {
	x := m.rnd.Float64()
	if x < 0.02 {
		m.file.invalid++
		bad := badCells()
		return bad[m.rnd.IntN(len(bad))]
	}
	if x < 0.07 && len(m.list) > 100 {
		m.file.duplicates++
		one := m.list[m.rnd.IntN(len(m.list))]
		return m.spell(one[0], one[1])
	}
	for {
		k := m.kinds[m.rnd.IntN(len(m.kinds))]
		digits := []byte(k.heads[m.rnd.IntN(len(k.heads))])
		for range k.tail {
			digits = append(digits, byte('0'+m.rnd.IntN(10))) //nolint:gosec // a digit
		}
		n := string(digits)
		if _, err := phone.Parse(n, ""); err != nil || m.seen[n] {
			continue
		}
		m.seen[n] = true
		m.list = append(m.list, [2]string{k.region, n})
		m.file.unique++
		return m.spell(k.region, n)
	}
}

// spell takes only what means the same number where India is the default.
func (m *fileMaker) spell(region, n string) string {
	for {
		cell := spelt(m.rnd, region, n)
		if got, err := phone.Parse(cell, "IN"); err == nil && got.String() == n {
			return cell
		}
	}
}

func (m *fileMaker) row(i int) []string {
	first := one(m.rnd, "Aarav", "Priya", "José", "Maria", "Oliver", "Siti", "Budi", "João", "O'Neil", "Müller", "Ananya", "Wei", "Zoë", "Ravi", "Emily", "Lucas")
	last := one(m.rnd, "Sharma", "Silva", "Smith", "Wijaya", "Patel", "Souza", "Brown", "Santoso", "García", "Nguyen", "Khan", "Iyer")
	name := first + " " + last
	if m.rnd.Float64() < 0.02 {
		name = fmt.Sprintf("%s, %s %q", last, first, first[:1])
	}
	city := one(m.rnd, "Mumbai", "Bengaluru", "São Paulo", "New York, NY", "London", "Jakarta", "Rio de Janeiro", "Pune", "Leeds", "Surabaya", "Austin, TX", "Delhi")
	if m.rnd.Float64() < 0.001 {
		city = "Line one\nLine two"
	}
	var tags []string
	for range m.rnd.IntN(4) {
		if tag := one(m.rnd, "vip", "new", "lead", "festive-2024", "newsletter", "churned", "gold", "silver", "trial"); !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return []string{m.phone(), name, fmt.Sprintf("user%d@example.com", i), city, strings.Join(tags, ";")}
}

func one(rnd *rand.Rand, of ...string) string { return of[rnd.IntN(len(of))] }

// columns are the headers of the generated files.
func columns() []string { return []string{"phone", "name", "email", "city", "tags"} }

// writeCSV makes a file of so many rows at path.
func writeCSV(path string, rows int) (contactFile, error) {
	out, err := os.Create(path)
	if err != nil {
		return contactFile{}, err
	}
	buf := bufio.NewWriterSize(out, 1<<20)
	m := newFileMaker(rows)
	if err := m.csv(buf); err != nil {
		_ = out.Close()
		return contactFile{}, err
	}
	m.file.path = path
	return m.file, out.Close()
}

func (m *fileMaker) csv(buf *bufio.Writer) error {
	w := csv.NewWriter(buf)
	if err := w.Write(columns()); err != nil {
		return err
	}
	for i := range m.file.rows {
		if err := w.Write(m.row(i)); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return buf.Flush()
}

// open opens the file for reading it once.
func (f contactFile) open() (io.ReadCloser, int64, error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, 0, err
	}
	info, err := in.Stat()
	if err != nil {
		_ = in.Close()
		return nil, 0, err
	}
	return in, info.Size(), nil
}

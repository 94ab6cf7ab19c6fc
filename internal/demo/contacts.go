package demo

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Expected is what the file holds, so that the import's counts can be held against it.
type Expected struct {
	Rows, Valid, Duplicate, Invalid int

	Refused int // of the valid: people whom the demo's Meta does not know
}

// Seed is that of the demo's own file.
const Seed = 7

// refusedPrefix is the range of numbers that are not on WhatsApp, by the demo's Meta.
const refusedPrefix = "4915120"

// person is the i-th valid number: a calling code, and what is dialled within the country.
type person struct{ calling, national string }

// Contacts is the file that WriteContacts writes.
func Contacts(n int, seed uint64) ([]byte, Expected) {
	var out bytes.Buffer
	out.Grow(n * rowBytes)
	want, _ := WriteContacts(&out, n, seed) // a buffer takes all
	return out.Bytes(), want
}

// WriteContacts writes a contact file of n rows: Indian numbers in national form among
// international ones of other countries, two in a hundred wrong, three in a hundred
// written a second time in another spelling. The same seed makes the same file.
func WriteContacts(to io.Writer, n int, seed uint64) (Expected, error) {
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a reproducible file, no secret
	var (
		want = Expected{Rows: n}
		seen = make([]int32, 0, n) // the valid rows
	)
	w := csv.NewWriter(to)
	w.Write([]string{"Mobile", "Full name", "Labels", "City"}) //nolint:errcheck,gosec // it keeps the error
	names, cities := []string{"Asha Rao", "Ravi Kumar", "प्रिया शर्मा", "Omar \"Oz\" Haddad", "Lena, Weiß"}, []string{"Pune", "Delhi", "Berlin", "Dubai"}
	for i := range n {
		var mobile string
		switch {
		case i%50 == 49:
			mobile = fmt.Sprintf("12%d", i%90)
			want.Invalid++
		case i%33 == 32:
			first := int(seen[rng.IntN(len(seen))])
			mobile = number(first, int(seed%1000)).spelled(first + 1 + rng.IntN(spellings-1))
			want.Duplicate++
		default:
			who := number(i, int(seed%1000))
			mobile = who.spelled(i)
			seen = append(seen, int32(i))
			want.Valid++
			if strings.HasPrefix(who.calling+who.national, refusedPrefix) {
				want.Refused++
			}
		}
		label := "customers;vip"
		if i%5 == 4 {
			label = "customers"
		}
		w.Write([]string{mobile, names[i%len(names)], label, cities[i%len(cities)]}) //nolint:errcheck,gosec // it keeps the error
	}
	w.Flush()
	return want, w.Error()
}

// rowBytes is about what a row takes: 52 on average, so that a million contacts are 52 MB,
// half of what the API takes.
const rowBytes = 56

// number is another number for every i below ten million: 7919 shares no factor with the
// powers of ten that the ranges cut it down to.
func number(i, run int) person {
	local := (i*7919 + run) % 100_000_000
	switch i % 6 {
	case 0:
		return person{"91", fmt.Sprintf("98%08d", local)}
	case 1:
		return person{"91", fmt.Sprintf("97%08d", local)}
	case 2:
		return person{"91", fmt.Sprintf("96%08d", local)}
	case 3:
		return person{"49", fmt.Sprintf("1512%07d", local%10_000_000)}
	case 4:
		return person{"971", fmt.Sprintf("50%07d", local%10_000_000)}
	default:
		return person{"91", fmt.Sprintf("99%08d", local)}
	}
}

// spellings is how many forms spelled knows.
const spellings = 4

// spelled writes the number in one of the forms people write. Numbers of the vendor's own
// country may come without its calling code.
func (p person) spelled(form int) string {
	home := p.calling == "91"
	switch form % spellings {
	case 0:
		if home {
			return p.national
		}
		return "+" + p.calling + p.national
	case 1:
		return "+" + p.calling + " " + p.national[:5] + " " + p.national[5:]
	case 2:
		return "00" + p.calling + "-" + p.national
	default:
		if home {
			return "0" + p.national
		}
		return "+" + p.calling + " (" + p.national[:2] + ") " + p.national[2:]
	}
}

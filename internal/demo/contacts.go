package demo

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
)

// Expected is what the file holds, so that the import's counts can be held against it.
type Expected struct {
	Rows, Valid, Duplicate, Invalid int
}

// Contacts makes a contact file of n rows: Indian numbers in national form among
// international ones of other countries, two in a hundred wrong, three in a hundred
// written twice. The same seed makes the same file.
func Contacts(n int, seed uint64) ([]byte, Expected) {
	rng := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // a reproducible file, no secret
	var (
		out  bytes.Buffer
		want = Expected{Rows: n}
		seen []string
	)
	w := csv.NewWriter(&out)
	_ = w.Write([]string{"Mobile", "Full name", "Labels", "City"}) // a buffer takes everything
	names, cities := []string{"Asha Rao", "Ravi Kumar", "प्रिया शर्मा", "Omar \"Oz\" Haddad", "Lena, Weiß"}, []string{"Pune", "Delhi", "Berlin", "Dubai"}
	for i := range n {
		var mobile string
		switch {
		case i%50 == 49:
			mobile = fmt.Sprintf("12%d", i%90)
			want.Invalid++
		case i%33 == 32:
			mobile = seen[rng.IntN(len(seen))]
			want.Duplicate++
		default:
			mobile = number(i, int(seed%1000))
			seen = append(seen, mobile)
			want.Valid++
		}
		label := "customers;vip"
		if i%5 == 4 {
			label = "customers"
		}
		_ = w.Write([]string{mobile, names[i%len(names)], label, cities[i%len(cities)]})
	}
	w.Flush()
	return out.Bytes(), want
}

// number writes the i-th valid number, in one of the forms people write. It is another
// number for every i below ten million: 7919 shares no factor with the powers of ten that
// the forms cut it down to.
func number(i, run int) string {
	local := (i*7919 + run) % 100_000_000
	switch i % 6 {
	case 0:
		return fmt.Sprintf("98%08d", local) // national, the vendor's region
	case 1:
		return fmt.Sprintf("+91 97%03d %05d", local/100_000, local%100_000)
	case 2:
		return fmt.Sprintf("0091-96%08d", local)
	case 3:
		return fmt.Sprintf("+49 1512 %07d", local%10_000_000)
	case 4:
		return fmt.Sprintf("+971 50 %07d", local%10_000_000)
	default:
		return fmt.Sprintf("099%08d", local)
	}
}

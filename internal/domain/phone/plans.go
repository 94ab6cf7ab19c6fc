package phone

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// plan is one region's part of the library's metadata, compiled.
type plan struct {
	region string
	code   string // calling code, in digits

	// numbers accepts by bit: 0 the region's general pattern, the others its kinds of numbers.
	numbers *automaton
	// lengths holds, by a number's length, the same bits: which patterns may have it at all.
	lengths [maxDigits + 3]uint32

	trunk    *automaton // what may come before a national number: nationalPrefixForParsing, or more
	trunkIs  []string   // that pattern's alternatives, when they are plain digits with nothing put in their place
	exit     *automaton // how one dials abroad
	leading  *automaton // by which digits the region is known among those of its calling code
	hasHeads bool       // leading is of a pattern
}

// country is a calling code. Its plans are in the library's order, the main region first;
// none when this package leaves its numbers to the library.
type country struct {
	once  sync.Once
	plans []*plan
}

// atlas knows which regions there are and compiles their plans when they are first met: most
// files have numbers of a few countries, and one takes some milliseconds and 100 kB.
type atlas struct {
	metadata  map[string]*phonenumbers.PhoneMetadata
	codes     map[string]int // region to calling code
	countries [1000]country  // by calling code
	known     [1000]bool
}

//nolint:gochecknoglobals // tables of the library's, compiled once and never changed
var world = sync.OnceValue(newAtlas)

func newAtlas() *atlas {
	a := &atlas{metadata: map[string]*phonenumbers.PhoneMetadata{}, codes: map[string]int{}}
	for code := range phonenumbers.GetSupportedCallingCodes() {
		a.known[code] = true
	}
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return a // never: the library loaded the same data when it started
	}
	for _, m := range all.GetMetadata() {
		if len(m.GetId()) == 2 {
			a.metadata[m.GetId()] = m
			a.codes[m.GetId()] = int(m.GetCountryCode())
		}
	}
	return a
}

// country returns the plans of a calling code; nil for what the library decides alone.
func (a *atlas) country(code int) []*plan {
	c := &a.countries[code]
	c.once.Do(func() {
		for _, region := range phonenumbers.GetRegionCodesForCountryCode(code) {
			p := newPlan(a.metadata[region])
			if p == nil {
				c.plans = nil
				return
			}
			c.plans = append(c.plans, p)
		}
	})
	return c.plans
}

// home returns the plan of a default region and those that share its calling code.
func (a *atlas) home(region string) (*plan, []*plan) {
	code, is := a.codes[region]
	if !is {
		return nil, nil
	}
	plans := a.country(code)
	for _, p := range plans {
		if p.region == region {
			return p, plans
		}
	}
	return nil, nil
}

// newPlan compiles a region's metadata; nil for one that the automata cannot express, and for
// networks of no country.
func newPlan(m *phonenumbers.PhoneMetadata) *plan {
	if m == nil {
		return nil
	}
	kinds := []*phonenumbers.PhoneNumberDesc{
		m.GetGeneralDesc(), m.GetPremiumRate(), m.GetTollFree(), m.GetSharedCost(), m.GetVoip(), m.GetPersonalNumber(),
		m.GetPager(), m.GetUan(), m.GetVoicemail(), m.GetFixedLine(),
	}
	if !m.GetSameMobileAndFixedLinePattern() {
		kinds = append(kinds, m.GetMobile())
	}
	p := &plan{region: m.GetId(), code: strconv.Itoa(int(m.GetCountryCode()))}
	patterns := make([]string, len(kinds))
	for i, k := range kinds {
		patterns[i] = k.GetNationalNumberPattern()
		for n := range p.lengths {
			if possible(k, n) {
				p.lengths[n] |= 1 << i
			}
		}
	}
	trunk := m.GetNationalPrefixForParsing()
	if m.GetNationalPrefixTransformRule() == "" && trunk != "" && strings.Trim(trunk, "0123456789|") == "" {
		p.trunkIs = strings.Split(trunk, "|")
	}
	p.hasHeads = m.GetLeadingDigits() != ""
	for _, one := range []struct {
		into     **automaton
		patterns []string
		loose    bool // it only says where quick must not decide
	}{
		{&p.numbers, patterns, false},
		{&p.trunk, []string{trunk}, true},
		{&p.exit, []string{m.GetInternationalPrefix()}, true},
		{&p.leading, []string{m.GetLeadingDigits()}, false},
	} {
		made, ok := compile(one.patterns, one.loose)
		if !ok {
			return nil
		}
		*one.into = made
	}
	return p
}

// possible tells whether the metadata admit numbers of a kind with n digits. A kind without
// lengths leaves that to its pattern.
func possible(k *phonenumbers.PhoneNumberDesc, n int) bool {
	lengths := k.GetPossibleLength()
	for _, l := range lengths {
		if int(l) == n {
			return true
		}
	}
	return len(lengths) == 0
}

// general tells whether digits match the region's general pattern.
func (p *plan) general(digits []byte) bool { return p.numbers.walk(digits)&1 != 0 }

// generalLength tells whether national numbers of the region may have n digits.
func (p *plan) generalLength(n int) bool { return n < len(p.lengths) && p.lengths[n]&1 != 0 }

// valid tells whether a national number is one of the region's: of the general pattern and of
// some kind.
func (p *plan) valid(digits []byte) bool {
	if len(digits) >= len(p.lengths) {
		return false
	}
	m := p.numbers.walk(digits) & p.lengths[len(digits)]
	return m&1 != 0 && m != 1
}

// national takes a trunk prefix off as the library does. It reports false where the library's
// rule is more than that.
func (p *plan) national(digits []byte) ([]byte, bool) {
	if !p.trunk.begins(digits) {
		return digits, true
	}
	for _, trunk := range p.trunkIs { // as the expression does: the first alternative that fits
		rest, has := cutPrefix(digits, trunk)
		if !has {
			continue
		}
		if p.general(digits) && !p.general(rest) {
			return digits, true
		}
		return rest, p.generalLength(len(rest))
	}
	return nil, false
}

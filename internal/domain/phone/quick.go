package phone

// quick decides the common shapes of a cell without the library: digits with a plus sign, 00
// or nothing before them, a trunk prefix, and spaces, hyphens, brackets and dots between. It
// knows valid numbers only. What it reports is what parse reports (a test compares them over
// generated numbers of every region); where it is not sure, it reports false.
func quick(raw, region string) (Number, bool) {
	if len(raw) > MaxRaw {
		return Number{}, false
	}
	var buf [maxDigits + 3]byte
	digits, plus, ok := plainDigits(raw, buf[:0])
	if !ok {
		return Number{}, false
	}
	w := world()
	if plus || region == "" {
		code, n := w.callingCode(digits)
		plans := w.country(code)
		if n == 0 || len(plans) == 0 {
			return Number{}, false
		}
		return settle(plans[0], plans, digits[n:])
	}
	home, plans := w.home(region)
	if home == nil || home.exit.begins(digits) {
		return Number{}, false
	}
	if rest, has := cutPrefix(digits, home.code); has {
		// The calling code without a plus, or a national number that begins like it.
		switch {
		case home.trunk.begins(rest):
			return Number{}, false
		case !home.general(digits) && home.general(rest):
			return settle(plans[0], plans, rest)
		case !home.general(digits) || !home.generalLength(len(digits)):
			return Number{}, false
		}
	}
	return settle(home, plans, digits)
}

// settle reads a national number by the plan of at, and finds whose of the regions that share
// the calling code it is.
func settle(at *plan, plans []*plan, digits []byte) (Number, bool) {
	nsn, ok := at.national(digits)
	if !ok {
		return Number{}, false
	}
	for _, p := range plans {
		if len(plans) > 1 {
			switch {
			case p.hasHeads && !p.leading.begins(nsn):
				continue
			case !p.hasHeads && !p.valid(nsn):
				continue
			}
		}
		if !p.valid(nsn) {
			return Number{}, false
		}
		var text [1 + 3 + maxDigits + 3]byte
		out := append(append(append(text[:0], '+'), p.code...), nsn...)
		return Number{e164: string(out), region: p.region}, true
	}
	return Number{}, false
}

// callingCode reads the calling code that digits begin with and how many digits it has.
func (a *atlas) callingCode(digits []byte) (code, n int) {
	for n = 1; n <= 3 && n <= len(digits); n++ {
		if code = code*10 + int(digits[n-1]-'0'); a.known[code] {
			return code, n
		}
		if code == 0 {
			break // none begins with a zero
		}
	}
	return 0, 0
}

// plainDigits is clean for the common shapes.
func plainDigits(raw string, into []byte) (digits []byte, plus, ok bool) {
	dotted, last := false, byte(0)
	for i := range len(raw) {
		switch c := raw[i]; {
		case c >= '0' && c <= '9':
			if len(into) == cap(into) {
				return nil, false, false
			}
			into = append(into, c)
			last = c
		case c == '+':
			if plus || len(into) > 0 {
				return nil, false, false
			}
			plus = true
		case c == '.':
			dotted = true
		case c == ' ' || c == '-' || c == '(' || c == ')':
		default:
			return nil, false, false
		}
	}
	if dotted && last == '0' {
		return nil, false, false // it may be a fraction of nothing
	}
	if !plus && len(into) > 2 && into[0] == '0' && into[1] == '0' {
		plus = true
		for len(into) > 0 && into[0] == '0' {
			into = into[1:]
		}
	}
	return into, plus, len(into) >= minDigits && len(into) <= maxDigits+2
}

func cutPrefix(digits []byte, prefix string) ([]byte, bool) {
	if len(digits) < len(prefix) || string(digits[:len(prefix)]) != prefix {
		return nil, false
	}
	return digits[len(prefix):], true
}

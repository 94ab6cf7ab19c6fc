package phone

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
)

// automaton decides several patterns over ASCII digits in one walk, a table look-up a digit.
// It is compiled from the patterns' own syntax trees by the subset construction, so that it
// accepts exactly what they match in full. State 0 is dead, state 1 the start.
type automaton struct {
	next    [][10]uint16
	accepts []uint32 // bit i: pattern i matches what was read
}

// maxStates bounds one automaton, at 24 bytes a state. A pattern that needs more is left to
// the regular expressions; none of the plans in use comes near.
const maxStates = 20_000

// walk reads digits and returns which patterns match all of them.
func (a *automaton) walk(digits []byte) uint32 {
	state := uint16(1)
	for _, d := range digits {
		if state = a.next[state][d-'0']; state == 0 {
			return 0
		}
	}
	return a.accepts[state]
}

// begins tells whether any pattern matches a beginning of digits, the empty one included.
func (a *automaton) begins(digits []byte) bool {
	state := uint16(1)
	for _, d := range digits {
		if a.accepts[state] != 0 {
			return true
		}
		if state = a.next[state][d-'0']; state == 0 {
			return false
		}
	}
	return a.accepts[state] != 0
}

// place is a point in one of the patterns' programs.
type place struct {
	pattern uint16
	pc      uint32
}

// compile makes the automaton of patterns, at most 32. An empty pattern matches nothing.
// It reports false for what it does not understand: anchors, or too many states. A loose one
// passes over anchors, so that it accepts all that the patterns match and more.
func compile(patterns []string, loose bool) (*automaton, bool) {
	c := compiler{
		made: map[string]uint16{}, loose: loose,
		out: &automaton{next: make([][10]uint16, 1), accepts: make([]uint32, 1)},
	}
	var start []place
	for i, p := range patterns {
		prog, ok := program(p)
		if !ok {
			return nil, false
		}
		c.progs = append(c.progs, prog)
		if p != "" {
			start = append(start, place{uint16(i), uint32(prog.Start)}) //nolint:gosec // 32 patterns of some thousand instructions
		}
	}
	if c.state(start) == 0 {
		c.named(nil, 0) // of no pattern: a start that leads nowhere
	}
	for done := 0; done < len(c.todo) && !c.failed; done++ {
		for d := range 10 {
			c.out.next[done+1][d] = c.state(c.after(c.todo[done], rune('0'+d)))
		}
	}
	return c.out, !c.failed
}

func program(pattern string) (*syntax.Prog, bool) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, false
	}
	prog, err := syntax.Compile(tree.Simplify())
	return prog, err == nil
}

// compiler is one compile under way.
type compiler struct {
	progs  []*syntax.Prog
	made   map[string]uint16
	todo   [][]place // of state i+1: the places that read a digit
	out    *automaton
	loose  bool
	failed bool
}

// state returns the state of a set of places, making it if it is new.
func (c *compiler) state(from []place) uint16 {
	var accepts uint32
	seen := map[place]bool{}
	var readers []place
	for len(from) > 0 {
		p := from[len(from)-1]
		from = from[:len(from)-1]
		if seen[p] {
			continue
		}
		seen[p] = true
		in := &c.progs[p.pattern].Inst[p.pc]
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			from = append(from, place{p.pattern, in.Out}, place{p.pattern, in.Arg})
		case syntax.InstCapture, syntax.InstNop:
			from = append(from, place{p.pattern, in.Out})
		case syntax.InstMatch:
			accepts |= 1 << p.pattern
		case syntax.InstEmptyWidth:
			c.failed = c.failed || !c.loose
			from = append(from, place{p.pattern, in.Out})
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			readers = append(readers, p)
		case syntax.InstFail:
		}
	}
	if len(readers) == 0 && accepts == 0 {
		return 0
	}
	return c.named(readers, accepts)
}

func (c *compiler) named(readers []place, accepts uint32) uint16 {
	slices.SortFunc(readers, func(a, b place) int {
		return int(a.pattern)<<24 + int(a.pc) - int(b.pattern)<<24 - int(b.pc)
	})
	key := binary.LittleEndian.AppendUint32(nil, accepts)
	for _, p := range readers {
		key = binary.LittleEndian.AppendUint16(key, p.pattern)
		key = binary.LittleEndian.AppendUint32(key, p.pc)
	}
	if n, is := c.made[string(key)]; is {
		return n
	}
	if len(c.out.next) >= maxStates {
		c.failed = true
		return 0
	}
	n := uint16(len(c.out.next)) //nolint:gosec // bounded by maxStates
	c.made[string(key)] = n
	c.todo = append(c.todo, readers)
	c.out.next, c.out.accepts = append(c.out.next, [10]uint16{}), append(c.out.accepts, accepts)
	return n
}

// after returns where the places lead when they read r.
func (c *compiler) after(from []place, r rune) []place {
	var out []place
	for _, p := range from {
		if in := &c.progs[p.pattern].Inst[p.pc]; in.MatchRune(r) {
			out = append(out, place{p.pattern, in.Out})
		}
	}
	return out
}

package bidi

import (
	"slices"

	"golang.org/x/text/unicode/bidi"
)

// sequence is an isolating run sequence: characters of one level, without what is isolated among them. The rules' names
// are those of UAX 9.
type sequence struct {
	level uint8
	at    []int // indices in the text
	class []bidi.Class
	first []bidi.Class // as they were
	runes []rune
}

func (s *sequence) add(at int, c bidi.Class, r rune) {
	s.at, s.class, s.first, s.runes = append(s.at, at), append(s.class, c), append(s.first, c), append(s.runes, r)
}

// embedding is the direction of the sequence's level, and of what is before and after it.
func (s *sequence) embedding() bidi.Class {
	if s.level%2 == 1 {
		return bidi.R
	}
	return bidi.L
}

// weak resolves marks and numbers: W1 to W7.
func (s *sequence) weak() {
	c := s.class
	for i := range c { // W1
		if c[i] != bidi.NSM {
			continue
		}
		switch {
		case i == 0:
			c[i] = s.embedding()
		case isolates(s.runes[i-1]) || s.runes[i-1] == End:
			c[i] = bidi.ON
		default:
			c[i] = c[i-1]
		}
	}
	strong := s.embedding()
	for i := range c { // W2
		switch c[i] {
		case bidi.L, bidi.R, bidi.AL:
			strong = c[i]
		case bidi.EN:
			if strong == bidi.AL {
				c[i] = bidi.AN
			}
		}
	}
	for i := range c { // W3
		if c[i] == bidi.AL {
			c[i] = bidi.R
		}
	}
	for i := 1; i < len(c)-1; i++ { // W4
		switch {
		case c[i] == bidi.ES && c[i-1] == bidi.EN && c[i+1] == bidi.EN,
			c[i] == bidi.CS && c[i-1] == bidi.EN && c[i+1] == bidi.EN:
			c[i] = bidi.EN
		case c[i] == bidi.CS && c[i-1] == bidi.AN && c[i+1] == bidi.AN:
			c[i] = bidi.AN
		}
	}
	s.terminators()
	strong = s.embedding()
	for i := range c {
		switch c[i] {
		case bidi.ES, bidi.CS, bidi.ET: // W6
			c[i] = bidi.ON
		case bidi.L, bidi.R:
			strong = c[i]
		case bidi.EN: // W7
			if strong == bidi.L {
				c[i] = bidi.L
			}
		}
	}
}

// terminators makes signs beside numbers part of them: W5.
func (s *sequence) terminators() {
	c := s.class
	for i := 0; i < len(c); i++ {
		if c[i] != bidi.ET {
			continue
		}
		end := i
		for end < len(c) && c[end] == bidi.ET {
			end++
		}
		if i > 0 && c[i-1] == bidi.EN || end < len(c) && c[end] == bidi.EN {
			for k := i; k < end; k++ {
				c[k] = bidi.EN
			}
		}
		i = end
	}
}

// side is the direction that a character lends to neutral ones beside it; neutral itself if it has none.
func side(c bidi.Class) bidi.Class {
	switch c {
	case bidi.L:
		return bidi.L
	case bidi.R, bidi.EN, bidi.AN:
		return bidi.R
	}
	return bidi.ON
}

const maxOpen = 63 // brackets open at once, by BD16

// brackets gives both brackets of a pair one direction: N0.
func (s *sequence) brackets() {
	type opened struct {
		mate rune
		at   int
	}
	var open []opened
	var pairs [][2]int
scan:
	for i, r := range s.runes {
		if s.class[i] != bidi.ON {
			continue
		}
		p, _ := bidi.LookupRune(r)
		switch {
		case !p.IsBracket():
		case p.IsOpeningBracket():
			if len(open) == maxOpen {
				pairs = nil
				break scan
			}
			open = append(open, opened{mate(r), i})
		default:
			for k, o := range slices.Backward(open) {
				if o.mate == canonical(r) {
					pairs = append(pairs, [2]int{o.at, i})
					open = open[:k]
					break
				}
			}
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int) int { return a[0] - b[0] })
	for _, pair := range pairs {
		s.pair(pair[0], pair[1])
	}
}

func (s *sequence) pair(from, to int) {
	embedding := s.embedding()
	opposite := false
	for _, c := range s.class[from+1 : to] {
		switch side(c) {
		case embedding: // b
			s.setPair(from, to, embedding)
			return
		case bidi.ON:
		default:
			opposite = true
		}
	}
	if !opposite { // d
		return
	}
	before := embedding
	for _, c := range slices.Backward(s.class[:from]) {
		if side(c) != bidi.ON {
			before = side(c)
			break
		}
	}
	s.setPair(from, to, before) // c: the opposite if it is established before, else the embedding
}

// setPair sets the direction of two brackets and of the marks on them.
func (s *sequence) setPair(from, to int, c bidi.Class) {
	for _, i := range []int{from, to} {
		s.class[i] = c
		for k := i + 1; k < len(s.first) && s.first[k] == bidi.NSM; k++ {
			s.class[k] = c
		}
	}
}

// mate is the bracket that closes an opening one.
func mate(r rune) rune { return canonical([]rune(bidi.ReverseString(string(r)))[0]) }

// canonical is one of characters that are the same.
func canonical(r rune) rune {
	switch r {
	case '\u2329':
		return '\u3008'
	case '\u232a':
		return '\u3009'
	}
	return r
}

// neutral gives what has no direction that of both its sides, or else of the sequence: N1 and N2.
func (s *sequence) neutral() {
	for i := 0; i < len(s.class); i++ {
		if side(s.class[i]) != bidi.ON {
			continue
		}
		end := i
		for end < len(s.class) && side(s.class[end]) == bidi.ON {
			end++
		}
		before, after := s.embedding(), s.embedding()
		if i > 0 {
			before = side(s.class[i-1])
		}
		if end < len(s.class) {
			after = side(s.class[end])
		}
		if before != after {
			before = s.embedding()
		}
		for k := i; k < end; k++ {
			s.class[k] = before
		}
		i = end
	}
}

// implicit is the level of a character: I1 and I2.
func (s *sequence) implicit(c bidi.Class) uint8 {
	switch {
	case s.level%2 == 0 && c == bidi.R:
		return s.level + 1
	case s.level%2 == 0 && (c == bidi.AN || c == bidi.EN):
		return s.level + 2
	case s.level%2 == 1 && c != bidi.R:
		return s.level + 1
	}
	return s.level
}

// Package bidi tells in which order the characters of a line are seen, by the Unicode Bidirectional Algorithm (UAX 9)
// for text without embeddings and overrides, which marks do not let in.
//
// Isolates are what this package is for: a field's value goes into a line as one, so that a name, a number or an
// address stays together and reads in its own direction whatever stands beside it.
package bidi

import "golang.org/x/text/unicode/bidi"

// The characters that isolate what lies between: one of the first two, and End.
const (
	LeftToRight = '\u2066' // LRI
	Auto        = '\u2068' // FSI: the direction of the first letter within
	End         = '\u2069' // PDI
)

// Needed reports whether the order of text is not simply the order of its characters.
func Needed(text []rune) bool {
	for _, r := range text {
		if r >= 0x590 && rightward(class(r)) {
			return true
		}
	}
	return false
}

// rightward reports whether a class makes anything of a line run from right to left.
func rightward(c bidi.Class) bool { return c == bidi.R || c == bidi.AL || c == bidi.AN }

// Levels returns the level of each character of a line: from left to right where it is even, else from right to left.
// The line's own level is that of its first letter, and of those within isolates if there is no other.
func Levels(text []rune) (levels []uint8, base uint8) {
	p := paragraph{text: text, classes: make([]bidi.Class, len(text)), levels: make([]uint8, len(text)), ends: make([]int, len(text))}
	var open []int
	for i, r := range text {
		p.classes[i] = class(r)
		p.ends[i] = len(text)
		switch {
		case r == Auto || r == LeftToRight:
			open = append(open, i)
		case r == End && len(open) > 0:
			p.ends[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
	}
	base, found := p.direction(0, len(text), false)
	if !found {
		base, _ = p.direction(0, len(text), true)
	}
	p.resolve(0, len(text), base)
	for i := len(text) - 1; i >= 0 && p.trailing(i); i-- {
		p.levels[i] = base
	}
	return p.levels, base
}

// class is a character's; those that only isolate count as neutral.
func class(r rune) bidi.Class {
	if r == Auto || r == LeftToRight || r == End {
		return bidi.ON
	}
	p, _ := bidi.LookupRune(r)
	switch c := p.Class(); c {
	case bidi.B, bidi.S, bidi.WS, bidi.LRO, bidi.RLO, bidi.LRE, bidi.RLE, bidi.PDF, bidi.RLI:
		return bidi.WS // there is one line, and no such character in it
	default:
		return c
	}
}

type paragraph struct {
	text    []rune
	classes []bidi.Class
	levels  []uint8
	ends    []int // of each isolate that begins at an index: the index of its End, or the text's length
}

// direction is the level that the first letter between two indices asks for.
func (p *paragraph) direction(from, to int, within bool) (level uint8, found bool) {
	for i := from; i < to; i++ {
		if isolates(p.text[i]) && !within {
			i = p.ends[i]
			continue
		}
		switch p.classes[i] {
		case bidi.L:
			return 0, true
		case bidi.R, bidi.AL:
			return 1, true
		}
	}
	return 0, false
}

// trailing reports whether a character at the end of a line is on the line's own level: L1.
func (p *paragraph) trailing(i int) bool {
	return p.classes[i] == bidi.WS || p.classes[i] == bidi.BN || isolates(p.text[i]) || p.text[i] == End
}

func isolates(r rune) bool { return r == Auto || r == LeftToRight }

// resolve sets the levels between two indices, isolates' contents by themselves.
func (p *paragraph) resolve(from, to int, level uint8) {
	var s sequence
	s.level = level
	for i := from; i < to; i++ {
		if p.classes[i] == bidi.BN { // as if it were not there; see below
			continue
		}
		s.add(i, p.classes[i], p.text[i])
		if !isolates(p.text[i]) {
			continue
		}
		end := min(p.ends[i], to)
		inner := uint8(0)
		if p.text[i] == Auto {
			inner, _ = p.direction(i+1, end, false)
		}
		p.resolve(i+1, end, level+1+(level+1+inner)%2)
		i = end - 1
	}
	s.weak()
	s.brackets()
	s.neutral()
	for k, i := range s.at {
		p.levels[i] = s.implicit(s.class[k])
	}
	// What steers the joining of letters is on the level of the letter before it.
	for i := from; i < to; i++ {
		switch {
		case isolates(p.text[i]):
			i = min(p.ends[i], to) - 1
		case p.classes[i] == bidi.BN && i > from:
			p.levels[i] = p.levels[i-1]
		case p.classes[i] == bidi.BN:
			p.levels[i] = level
		}
	}
}

// Order returns the order in which runs of characters of the given levels are seen from left to right, as indices.
func Order(levels []uint8) []int {
	order := make([]int, len(levels))
	highest, lowestOdd := uint8(0), uint8(255)
	for i, l := range levels {
		order[i] = i
		highest = max(highest, l)
		if l%2 == 1 {
			lowestOdd = min(lowestOdd, l)
		}
	}
	for level := highest; level >= lowestOdd && level > 0; level-- {
		for i := 0; i < len(order); i++ {
			from := i
			for i < len(order) && levels[order[i]] >= level {
				i++
			}
			for a, b := from, i-1; a < b; a, b = a+1, b-1 {
				order[a], order[b] = order[b], order[a]
			}
		}
	}
	return order
}

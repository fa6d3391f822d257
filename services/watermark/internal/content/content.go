// Package content reads the content of pages and forms, operator by operator (ISO 32000-2, 7.8.2): it repairs what was
// left open or broken, so that something can safely be drawn behind it, and finds the places in between at which
// something can be drawn without a trace in what follows. It is pure, and knows nothing of objects and files.
package content

import "bytes"

const (
	regular = iota
	space
	delimiter
)

var kinds = func() (k [256]byte) {
	for _, c := range []byte{0, '\t', '\n', '\f', '\r', ' '} {
		k[c] = space
	}
	for _, c := range []byte("()<>[]{}/%") {
		k[c] = delimiter
	}
	return k
}()

// Enclosed is content that can be followed by more.
type Enclosed struct {
	// Content sits in q … Q: what it left open is closed, what it closed without opening is taken out, a broken end is cut
	// off. What it paints stays the same.
	Content []byte
	// Places are where something can be drawn in between, in the order of their offsets, at most maxPlaces, none too close
	// to the one before it; none in content that paints nothing. What is painted after the first of them covers nothing to speak of, see View.
	Places []Place
	// Covers tells that it may paint over a part of the view that is not small.
	Covers bool
}

// Place is a position between two operators at which no path is under construction, no text object, marked content or
// compatibility section is open, and nothing clips. White space is on both sides of it.
type Place struct {
	// At is an offset in the enclosed content.
	At int
	// CTM takes user space there to user space at the content's beginning. It is invertible.
	CTM Matrix
}

// View is what Enclose should know of the page.
type View struct {
	// Area of what is visible of the page, in square units of its default user space. 0 asks for no places.
	Area float64
	// Small is what covers none of what is drawn, in the same units; what covers more leaves no places before it. 0 is some
	// share of Area.
	Small float64
	// Image reports whether the XObject of that name is an image, which fills a unit square at most.
	Image func(name string) bool
}

// Enclose encloses content, which is changed in place where something is taken out.
func Enclose(content []byte, v View) Enclosed {
	s := scanner{in: content, view: v, state: state{ctm: identity, known: true}, bounds: nowhere}
	s.run()
	out := make([]byte, 0, s.good+64)
	out = append(out, opening...)
	out = append(out, content[:s.good]...)
	out = append(out, '\n')
	if s.path {
		out = append(out, "n\n"...)
	}
	if s.text {
		out = append(out, "ET\n"...)
	}
	for range s.marked {
		out = append(out, "EMC\n"...)
	}
	for range s.compatible {
		out = append(out, "EX\n"...)
	}
	for range len(s.saved) + 1 {
		out = append(out, "Q\n"...)
	}
	if !s.painted { // what is drawn in between would be all there is of this part
		s.places = nil
	}
	return Enclosed{Content: out, Places: s.places, Covers: s.covers}
}

const opening = "q\n"

// scanner follows a content stream operator by operator.
type scanner struct {
	in  []byte
	pos int
	// good is the end of the last complete operator.
	good int

	// operands that came since, and the last of them that were numbers.
	operands int
	numbers  window
	// name is the last operand that was one, with its slash.
	name []byte

	marked, compatible int
	text, path         bool

	view  View
	state state
	saved []state
	// bounds are those of the path under construction, in the terms of the beginning; clip says that it will clip.
	bounds box
	clip   bool

	painted bool // anything
	covers  bool
	places  []Place
	gap     int // least distance of two places
}

func (s *scanner) run() {
	var open []byte // what closes the arrays and dictionaries that are open
	for {
		s.skipSpace()
		if s.pos >= len(s.in) {
			return
		}
		start, before := s.pos, len(open)
		c := s.in[s.pos]
		switch c {
		case '(':
			s.skipString()
		case '<':
			if s.at(1) == '<' {
				s.pos += 2
				open = append(open, '>')
				break
			}
			s.skipHex()
		case '>':
			s.pos++
			if s.at(0) == '>' && before > 0 && open[before-1] == '>' {
				s.pos++
				open = open[:before-1]
				continue
			}
			s.blank(start, s.pos) // it stands alone
			continue
		case '[':
			s.pos++
			open = append(open, ']')
		case ']':
			s.pos++
			if before == 0 || open[before-1] != ']' { // readers disagree about what it closes
				s.blank(start, s.pos)
				continue
			}
			open = open[:before-1]
			continue
		case '/':
			s.pos++
			s.word()
			s.name = s.in[start:s.pos]
		case '{', '}', ')':
			s.pos++
			s.blank(start, s.pos)
			continue
		default:
			word := s.word()
			if operand(word) {
				s.numbers.push(word)
				break
			}
			if before > 0 { // no operator: nothing is carried out inside an array
				s.blank(start, s.pos)
				continue
			}
			s.operator(start, word)
			s.operands = 0
			s.numbers.reset()
			continue
		}
		if before == 0 { // what is inside an array counts as one
			s.operands++
		}
		if len(open) > maxNested { // more than readers follow
			return
		}
	}
}

// maxNested is how deep arrays and dictionaries nest in content that is taken.
const maxNested = 100

// skipHex goes behind a hexadecimal string, and takes out of it what is no digit: readers disagree about that.
func (s *scanner) skipHex() {
	start := s.pos
	s.skipTo('>')
	for i := start + 1; i < s.pos-1; i++ {
		c := s.in[i]
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
		if !digit && kinds[c] != space {
			s.in[i] = ' '
		}
	}
}

// at returns the byte n further on, 0 behind the end.
func (s *scanner) at(n int) byte {
	if s.pos+n < len(s.in) {
		return s.in[s.pos+n]
	}
	return 0
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		if c == '%' {
			end := bytes.IndexAny(s.in[s.pos:], "\r\n")
			if end < 0 {
				s.pos = len(s.in)
				return
			}
			s.pos += end
			continue
		}
		if kinds[c] != space {
			return
		}
		s.pos++
	}
}

func (s *scanner) word() []byte {
	start := s.pos
	for s.pos < len(s.in) && kinds[s.in[s.pos]] == regular {
		s.pos++
	}
	return s.in[start:s.pos]
}

func (s *scanner) skipTo(end byte) {
	n := bytes.IndexByte(s.in[s.pos:], end)
	if n < 0 {
		s.pos = len(s.in)
		return
	}
	s.pos += n + 1
}

func (s *scanner) skipString() {
	depth := 0
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		s.pos++
		switch c {
		case '\\':
			s.pos++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return
			}
		}
	}
	s.pos = len(s.in)
}

func operand(word []byte) bool {
	switch string(word) {
	case "true", "false", "null":
		return true
	}
	for _, c := range word {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' {
			return false
		}
	}
	return true
}

// operands are the operators a page's content may have, with how many operands each needs at least.
var operands = map[string]int{
	"b": 0, "B": 0, "b*": 0, "B*": 0, "BDC": 2, "BI": 0, "BMC": 1, "BT": 0, "BX": 0, "c": 6, "cm": 6, "CS": 1, "cs": 1,
	"d": 2, "Do": 1, "DP": 2, "EMC": 0, "ET": 0, "EX": 0, "f": 0, "F": 0, "f*": 0, "G": 1, "g": 1, "gs": 1, "h": 0, "i": 1,
	"J": 1, "j": 1, "K": 4, "k": 4, "l": 2, "M": 1, "m": 2, "MP": 1, "n": 0, "q": 0, "Q": 0, "re": 4, "RG": 3, "rg": 3,
	"ri": 1, "s": 0, "S": 0, "SC": 1, "sc": 1, "SCN": 1, "scn": 1, "sh": 1, "T*": 0, "Tc": 1, "Td": 2, "TD": 2, "Tf": 2,
	"TJ": 1, "Tj": 1, "TL": 1, "Tm": 6, "Tr": 1, "Ts": 1, "Tw": 1, "Tz": 1, "v": 4, "w": 1, "W": 0, "W*": 0, "y": 4,
	"'": 1, "\"": 3,
}

// operator notes what word, which began at start, opens or closes.
//
// An operator that is none, or lacks operands, is taken out together with what operands it has: some readers ignore it,
// as they should, but some give up on the rest of the page there, and with it on the mark.
func (s *scanner) operator(start int, word []byte) {
	needs, known := operands[string(word)]
	if !known || s.operands < needs {
		s.blank(s.good, s.pos)
		s.good = s.pos
		return
	}
	switch string(word) {
	case "q":
		s.saved = append(s.saved, s.state)
	case "Q":
		if len(s.saved) == 0 { // readers ignore it where it stands; behind our q it would close that
			s.blank(start, s.pos)
			break
		}
		s.state = s.saved[len(s.saved)-1]
		s.saved = s.saved[:len(s.saved)-1]
	case "BT":
		s.text = true
	case "ET":
		s.text = false
		s.state.clipped = s.state.clipped || s.state.textClips
	case "BMC", "BDC":
		s.marked++
	case "EMC":
		if s.marked == 0 {
			s.blank(start, s.pos)
			break
		}
		s.marked--
	case "BX":
		s.compatible++
	case "EX":
		s.compatible = max(s.compatible-1, 0)
	case "BI":
		if !s.skipImage() {
			s.pos = len(s.in)
			return
		}
		s.painted = true
		s.covered(s.state.square())
	default:
		s.paint(string(word))
	}
	s.good = s.pos
	s.place()
}

func (s *scanner) blank(from, to int) {
	for i := from; i < to; i++ {
		s.in[i] = ' '
	}
}

// skipImage goes behind the EI of an inline image whose BI was read, and reports whether there is one.
func (s *scanner) skipImage() bool {
	for {
		s.skipSpace()
		if s.pos >= len(s.in) {
			return false
		}
		switch c := s.in[s.pos]; {
		case c == '(':
			s.skipString()
		case kinds[c] == delimiter:
			s.pos++
		default:
			if string(s.word()) == "ID" {
				s.pos++
				return s.skipImageData()
			}
		}
	}
}

// skipImageData looks for an EI that stands alone and is followed by what looks like content, as data could contain
// the two letters by chance.
func (s *scanner) skipImageData() bool {
	for {
		if s.pos >= len(s.in) {
			return false
		}
		n := bytes.Index(s.in[s.pos:], []byte("EI"))
		if n < 0 {
			return false
		}
		at := s.pos + n
		s.pos = at + 2
		alone := at > 0 && kinds[s.in[at-1]] == space && (s.pos >= len(s.in) || kinds[s.in[s.pos]] == space)
		if alone && readable(s.in[s.pos:min(s.pos+12, len(s.in))]) {
			return true
		}
	}
}

func readable(text []byte) bool {
	for _, c := range text {
		if c > '~' || c < ' ' && kinds[c] != space {
			return false
		}
	}
	return true
}

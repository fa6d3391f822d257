package trace

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

// lexer reads the content of a page or a form, operator by operator. What makes no sense it goes over, as viewers do.
type lexer struct {
	in  []byte
	pos int

	// numbers are the last six numbers before the operator, in their order; name is the last name, without its slash.
	numbers []float64
	name    []byte
}

// maxNumbers is how many operands the operators have that matter here.
const maxNumbers = 6

// next goes to the next operator and returns it, nil at the end. The operator is valid until the lexer's input is not.
func (l *lexer) next() []byte {
	l.numbers = l.numbers[:0]
	l.name = nil
	nested := 0 // arrays and dictionaries open
	for {
		l.skipSpace()
		if l.pos >= len(l.in) {
			return nil
		}
		switch c := l.in[l.pos]; c {
		case '(':
			l.skipString()
		case '<':
			l.pos++
			if l.pos < len(l.in) && l.in[l.pos] == '<' {
				l.pos++
				nested++
				continue
			}
			l.skipTo('>')
		case '>':
			l.pos++
			if l.pos < len(l.in) && l.in[l.pos] == '>' {
				l.pos++
				nested = max(nested-1, 0)
			}
		case '[':
			l.pos++
			nested++
		case ']':
			l.pos++
			nested = max(nested-1, 0)
		case '/':
			l.pos++
			l.name = l.word()
		case '{', '}', ')':
			l.pos++
		default:
			word := l.word()
			v, ok := number(word)
			switch {
			case ok && nested == 0:
				l.push(v)
			case ok || nested > 0 || constant(word):
			default:
				return word
			}
		}
	}
}

func (l *lexer) push(v float64) {
	if len(l.numbers) == maxNumbers {
		copy(l.numbers, l.numbers[1:])
		l.numbers[maxNumbers-1] = v
		return
	}
	l.numbers = append(l.numbers, v)
}

// operands returns the last n numbers before the operator, and whether there are as many.
func (l *lexer) operands(n int) ([]float64, bool) {
	if len(l.numbers) < n {
		return nil, false
	}
	return l.numbers[len(l.numbers)-n:], true
}

func constant(word []byte) bool {
	switch string(word) {
	case "true", "false", "null":
		return true
	}
	return false
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.in) {
		c := l.in[l.pos]
		switch {
		case c == '%':
			n := bytes.IndexAny(l.in[l.pos:], "\r\n")
			if n < 0 {
				l.pos = len(l.in)
				return
			}
			l.pos += n
		case kinds[c] != space:
			return
		default:
			l.pos++
		}
	}
}

func (l *lexer) word() []byte {
	start := l.pos
	for l.pos < len(l.in) && kinds[l.in[l.pos]] == regular {
		l.pos++
	}
	return l.in[start:l.pos]
}

func (l *lexer) skipTo(end byte) {
	n := bytes.IndexByte(l.in[l.pos:], end)
	if n < 0 {
		l.pos = len(l.in)
		return
	}
	l.pos += n + 1
}

func (l *lexer) skipString() {
	depth := 0
	for l.pos < len(l.in) {
		c := l.in[l.pos]
		l.pos++
		switch c {
		case '\\':
			l.pos++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return
			}
		}
	}
	l.pos = len(l.in)
}

// skipImage goes behind the EI of an inline image whose BI was read.
func (l *lexer) skipImage() {
	for {
		l.skipSpace()
		if l.pos >= len(l.in) {
			return
		}
		switch c := l.in[l.pos]; {
		case c == '(':
			l.skipString()
		case kinds[c] == delimiter:
			l.pos++
		default:
			if string(l.word()) == "ID" {
				l.pos++
				l.skipImageData()
				return
			}
		}
	}
}

// skipImageData looks for an EI that stands alone and is followed by what looks like content, as data could contain the
// two letters by chance. Without one it stays: what comes is read as content, of which nothing bad can come.
func (l *lexer) skipImageData() {
	start := l.pos
	for l.pos < len(l.in) {
		n := bytes.Index(l.in[l.pos:], []byte("EI"))
		if n < 0 {
			break
		}
		at := l.pos + n
		l.pos = at + 2
		// Some writers leave out the white space before EI.
		alone := l.pos >= len(l.in) || kinds[l.in[l.pos]] == space
		if alone && readable(l.in[l.pos:min(l.pos+12, len(l.in))]) {
			return
		}
	}
	l.pos = start
}

func readable(text []byte) bool {
	for _, c := range text {
		if c > '~' || c < ' ' && kinds[c] != space {
			return false
		}
	}
	return true
}

// number reads what PDF calls a number, leniently: signs may repeat, and what follows a second point is ignored.
func number(word []byte) (float64, bool) {
	i, negative := 0, false
	for i < len(word) && (word[i] == '-' || word[i] == '+') {
		negative = negative || word[i] == '-'
		i++
	}
	var whole, scale float64 = 0, 1
	digits, point := 0, false
	for ; i < len(word); i++ {
		c := word[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
			whole = whole*10 + float64(c-'0')
			if point {
				scale *= 10
			}
		case c == '.' && !point:
			point = true
		case c == '.' || c == '-':
			i = len(word)
		default:
			return 0, false
		}
		if digits > 40 { // more are of no use, and would leave the range of numbers
			break
		}
	}
	if digits == 0 && !point {
		return 0, false
	}
	v := whole / scale
	if negative {
		v = -v
	}
	return v, true
}

// plain undoes the #xx escapes of a name.
func plain(name []byte) string {
	if bytes.IndexByte(name, '#') < 0 {
		return string(name)
	}
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if name[i] == '#' && i+2 < len(name) {
			hi, ok1 := hexDigit(name[i+1])
			lo, ok2 := hexDigit(name[i+2])
			if ok1 && ok2 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, name[i])
	}
	return string(out)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

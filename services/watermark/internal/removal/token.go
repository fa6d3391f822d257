package removal

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// op is an operator with its operands: one instruction of a content stream. An inline image is one, named BI.
type op struct {
	name string
	args []string
	// raw is the instruction as it stood there, with the white space and comments before it. Since an operator ends in
	// a regular character, and white space or a delimiter comes next, the raw texts of any instructions in a row are
	// content again.
	raw []byte
	// part is the number of the content stream of the page in which it begins.
	part int
	// data is what an inline image consists of.
	data []byte
}

// text is the instruction in a form that is the same however its operands were written.
func (o op) text() string {
	var b strings.Builder
	for _, a := range o.args {
		b.WriteString(plain(a))
		b.WriteByte(' ')
	}
	b.WriteString(o.name)
	if o.name == "BI" {
		b.WriteByte(' ')
		b.Write(o.data)
	}
	return b.String()
}

// number returns operand i, counted from the last if negative, or 0.
func (o op) number(i int) float64 {
	if i < 0 {
		i += len(o.args)
	}
	if i < 0 || i >= len(o.args) {
		return 0
	}
	f, err := strconv.ParseFloat(o.args[i], 64)
	if err != nil {
		return 0 // as readers do with what is no number
	}
	return f
}

// last returns the last operand, or nothing.
func (o op) last() string {
	if len(o.args) == 0 {
		return ""
	}
	return o.args[len(o.args)-1]
}

func join(ops []op) []byte {
	var b bytes.Buffer
	for _, o := range ops {
		b.Write(o.raw)
	}
	return b.Bytes()
}

// scanner reads content: any bytes have a reading, since attackers meet any bytes.
type scanner struct {
	data []byte
	at   int
}

const (
	spaces     = "\x00\t\n\f\r "
	delimiters = "()<>[]{}/%"
	digits     = "0123456789+-."
)

func isSpace(c byte) bool   { return strings.IndexByte(spaces, c) >= 0 }
func isRegular(c byte) bool { return !isSpace(c) && strings.IndexByte(delimiters, c) < 0 }

// parse splits content into instructions. Operands without an operator at the end are left out, as readers do.
func parse(data []byte) []op {
	s := scanner{data: data}
	var ops []op
	var args []string
	start := 0
	for {
		t, ok := s.next()
		if !ok {
			return ops
		}
		if !isOperator(t) {
			args = append(args, t)
			continue
		}
		o := op{name: t, args: args}
		if t == "BI" {
			o.args, o.data = s.image()
		}
		o.raw = data[start:s.at]
		ops = append(ops, o)
		args, start = nil, s.at
	}
}

func isOperator(t string) bool {
	c := t[0]
	if !isRegular(c) || strings.IndexByte(digits, c) >= 0 {
		return false
	}
	return t != "true" && t != "false" && t != "null"
}

func (s *scanner) skip() {
	for s.at < len(s.data) {
		c := s.data[s.at]
		if c == '%' {
			for s.at < len(s.data) && s.data[s.at] != '\n' && s.data[s.at] != '\r' {
				s.at++
			}
		} else if isSpace(c) {
			s.at++
		} else {
			return
		}
	}
}

// next returns the next operand, an array or a dictionary as a whole, or operator.
func (s *scanner) next() (string, bool) {
	s.skip()
	if s.at >= len(s.data) {
		return "", false
	}
	start := s.at
	switch c := s.data[s.at]; {
	case c == '[' || bytes.HasPrefix(s.data[s.at:], []byte("<<")):
		s.nested()
	default:
		s.simple()
	}
	return string(s.data[start:s.at]), true
}

// nested skips an array or dictionary. One that is not closed is its opening bracket alone.
func (s *scanner) nested() {
	start, depth := s.at, 0
	for s.at < len(s.data) {
		rest := s.data[s.at:]
		switch {
		case rest[0] == '[':
			depth++
			s.at++
		case bytes.HasPrefix(rest, []byte("<<")):
			depth++
			s.at += 2
		case rest[0] == ']':
			depth--
			s.at++
		case bytes.HasPrefix(rest, []byte(">>")):
			depth--
			s.at += 2
		default:
			s.simple()
		}
		if depth == 0 {
			return
		}
		s.skip()
	}
	s.at = start + 1
}

// simple skips a string, name, number, word, or one byte that makes no sense.
func (s *scanner) simple() {
	switch c := s.data[s.at]; {
	case c == '(':
		s.literal()
	case c == '<':
		end := bytes.IndexByte(s.data[s.at:], '>')
		if end < 0 {
			s.at = len(s.data)
		} else {
			s.at += end + 1
		}
	case strings.IndexByte(digits, c) >= 0: // it ends before a letter, as readers have it
		for s.at < len(s.data) && strings.IndexByte(digits, s.data[s.at]) >= 0 {
			s.at++
		}
	case c == '/' || isRegular(c):
		s.at++
		for s.at < len(s.data) && isRegular(s.data[s.at]) {
			s.at++
		}
	default:
		s.at++
	}
}

func (s *scanner) literal() {
	depth := 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '(':
			depth++
		case ')':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
	s.at = len(s.data)
}

// image reads an inline image from behind BI to behind EI.
func (s *scanner) image() (args []string, data []byte) {
	for {
		t, ok := s.next()
		if !ok {
			return args, nil
		}
		if t == "ID" {
			break
		}
		args = append(args, t)
	}
	s.at = min(s.at+1, len(s.data)) // one white space
	start := s.at
	for at := s.at; ; at++ {
		end := bytes.Index(s.data[min(at, len(s.data)):], []byte("EI"))
		if end < 0 {
			s.at = len(s.data)
			return args, s.data[start:]
		}
		at += end
		if s.endsImage(start, at) {
			s.at = at + 2
			return args, s.data[start:at]
		}
	}
}

// endsImage reports whether the EI at the place is none of the image's bytes: a word by itself, with text behind it.
func (s *scanner) endsImage(start, at int) bool {
	if at > start && !isSpace(s.data[at-1]) {
		return false
	}
	rest := s.data[at+2:]
	if len(rest) > 0 && !isSpace(rest[0]) {
		return false
	}
	for _, c := range rest[:min(len(rest), 12)] {
		if c > 126 || c < ' ' && !isSpace(c) || c == 0 {
			return false
		}
	}
	return true
}

// plain returns an operand written in one way: strings as hex digits, single spaces, names without escapes.
func plain(arg string) string {
	s := scanner{data: []byte(arg)}
	var b strings.Builder
	for {
		s.skip()
		if s.at >= len(s.data) {
			return b.String()
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		start := s.at
		if bytes.HasPrefix(s.data[s.at:], []byte("<<")) || bytes.HasPrefix(s.data[s.at:], []byte(">>")) {
			s.at += 2
		} else {
			s.simple()
		}
		t := s.data[start:s.at]
		switch {
		case t[0] == '(':
			b.WriteString("<" + hex.EncodeToString(unescape(t)) + ">")
		case t[0] == '<' && len(t) > 1 && t[1] != '<':
			b.WriteString("<" + hex.EncodeToString(unhex(t)) + ">")
		case t[0] == '/':
			b.WriteString(name(string(t)))
		default:
			b.Write(t)
		}
	}
}

// name resolves the escapes of a name.
func name(t string) string {
	if !strings.Contains(t, "#") {
		return t
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] == '#' && i+2 < len(t) {
			c, err := strconv.ParseUint(t[i+1:i+3], 16, 8)
			if err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(t[i])
	}
	return b.String()
}

func unhex(t []byte) []byte {
	var text []byte
	for _, c := range t {
		if strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 {
			text = append(text, c)
		}
	}
	if len(text)%2 == 1 {
		text = append(text, '0')
	}
	out := make([]byte, len(text)/2)
	_, _ = hex.Decode(out, text) // only digits are there, in pairs
	return out
}

func unescape(t []byte) []byte {
	t = bytes.TrimSuffix(t[1:], []byte(")"))
	var out []byte
	for i := 0; i < len(t); i++ {
		c := t[i]
		switch {
		case c == '\r':
			if i+1 < len(t) && t[i+1] == '\n' {
				i++
			}
			out = append(out, '\n')
		case c != '\\' || i+1 == len(t):
			out = append(out, c)
		default:
			i++
			i = escaped(t, i, &out)
		}
	}
	return out
}

// escaped appends what the escape whose letter is t[i] stands for and returns where it ends.
func escaped(t []byte, i int, out *[]byte) int {
	letter := strings.IndexByte("nrtbf", t[i])
	switch {
	case letter >= 0:
		*out = append(*out, "\n\r\t\b\f"[letter])
	case t[i] >= '0' && t[i] <= '7':
		v, end := 0, i
		for end < len(t) && end < i+3 && t[end] >= '0' && t[end] <= '7' {
			v = v*8 + int(t[end]-'0')
			end++
		}
		*out = append(*out, byte(v))
		return end - 1
	case t[i] == '\r':
		if i+1 < len(t) && t[i+1] == '\n' {
			return i + 1
		}
	case t[i] == '\n':
	default:
		*out = append(*out, t[i])
	}
	return i
}

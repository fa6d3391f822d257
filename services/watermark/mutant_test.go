package watermark_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// mutate returns mutant number k of seed of a file: the file after one to four accidents, and what they were. The same
// seed, name, number and bytes give the same mutant. other is what a file is confused with.
func mutate(seed uint64, name string, k int, data, other []byte) ([]byte, string) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", name, k) // a hash takes everything
	s := &subject{data: bytes.Clone(data), other: other, r: rand.New(rand.NewPCG(seed, h.Sum64()))}
	var story []string
	from := mutators
	if s.r.IntN(4) == 0 { // changes after which nobody has anything to complain of
		from, s.tidy = mild, true
	}
	for range 1 + s.r.IntN(4)*s.r.IntN(2) {
		m := from[s.r.IntN(len(from))]
		s.scan()
		m.do(s)
		story = append(story, m.name)
		if len(s.data) > maxMutant {
			s.data = s.data[:maxMutant]
		}
	}
	return s.data, strings.Join(story, ", ")
}

// maxMutant is where mutants end.
const maxMutant = 16 << 20

// subject is a file that is being damaged.
type subject struct {
	data  []byte
	other []byte
	r     *rand.Rand
	tidy  bool // objects are changed by later revisions only

	streams []span // the bytes between stream and endstream
	plain   []span // everything else
	objects []span // from "N G obj" up to the next one
}

type span struct{ from, to int }

func (p span) len() int { return p.to - p.from }

var (
	objRE    = regexp.MustCompile(`\b\d{1,10}\s+\d{1,5}\s+obj\b`)
	streamRE = regexp.MustCompile(`stream\r?\n`)
	numberRE = regexp.MustCompile(`[-+]?\d+(\.\d*)?`)
	nameRE   = regexp.MustCompile(`/[A-Za-z0-9#_+.:-]+`)
	refRE    = regexp.MustCompile(`\b\d{1,10}\s+\d{1,5}\s+R\b`)
	filterRE = regexp.MustCompile(`/Filter\s*(/[A-Za-z0-9]+|\[[^\]]*\])`)
	lengthRE = regexp.MustCompile(`/Length\s+\d+(\s+\d+\s+R)?`)
	rootRE   = regexp.MustCompile(`/Root\s+\d+\s+\d+\s+R`)
	infoRE   = regexp.MustCompile(`/Info\s+\d+\s+\d+\s+R`)
	boxRE    = regexp.MustCompile(`/(MediaBox|CropBox)\s*\[[^\]]*\]`)
	kidsRE   = regexp.MustCompile(`/(Kids|Contents|Parent|Annots|Resources|First|Next|Prev|Fields|D|Dests|Names)\s*\[?\s*\d+\s+\d+\s+R`)
	startRE  = regexp.MustCompile(`startxref\s+\d+`)
	sizeRE   = regexp.MustCompile(`/Size\s+(\d+)`)
)

// scan finds where what is. It must be called again after each change.
func (s *subject) scan() {
	s.streams, s.plain, s.objects = nil, nil, nil
	at := 0
	for at < len(s.data) {
		m := streamRE.FindIndex(s.data[at:])
		if m == nil {
			break
		}
		from := at + m[1]
		if bytes.HasSuffix(s.data[:at+m[0]], []byte("end")) {
			s.plain = append(s.plain, span{at, from})
			at = from
			continue
		}
		n := bytes.Index(s.data[from:], []byte("endstream"))
		if n < 0 {
			break
		}
		s.plain = append(s.plain, span{at, from})
		s.streams = append(s.streams, span{from, from + n})
		at = from + n
	}
	if at < len(s.data) {
		s.plain = append(s.plain, span{at, len(s.data)})
	}
	for _, p := range s.plain {
		for _, m := range objRE.FindAllIndex(s.data[p.from:p.to], -1) {
			if n := len(s.objects); n > 0 {
				s.objects[n-1].to = p.from + m[0]
			}
			s.objects = append(s.objects, span{p.from + m[0], len(s.data)})
		}
	}
}

// splice puts b where p was.
func (s *subject) splice(p span, b []byte) {
	out := make([]byte, 0, len(s.data)-p.len()+len(b))
	out = append(out, s.data[:p.from]...)
	out = append(out, b...)
	s.data = append(out, s.data[p.to:]...)
}

// swapIn puts b where p was, half of the times so that nothing behind it moves.
func (s *subject) swapIn(p span, b []byte) {
	if s.r.IntN(2) == 0 {
		for len(b) < p.len() {
			b = append(b[:len(b):len(b)], ' ')
		}
		b = b[:p.len()]
	}
	s.splice(p, b)
}

// block picks a piece of the file.
func (s *subject) block() span {
	if len(s.data) == 0 {
		return span{}
	}
	from := s.r.IntN(len(s.data))
	most := []int{16, 256, 4096, len(s.data)/4 + 1}[s.r.IntN(4)]
	return span{from, min(len(s.data), from+1+s.r.IntN(most))}
}

// token picks a place outside of streams that looks like re.
func (s *subject) token(re *regexp.Regexp) (span, bool) {
	for range 20 {
		if len(s.plain) == 0 {
			break
		}
		p := s.plain[s.r.IntN(len(s.plain))]
		if p.len() == 0 {
			continue
		}
		from := p.from + s.r.IntN(p.len())
		m := re.FindIndex(s.data[from:p.to])
		if m == nil {
			from = p.from
			m = re.FindIndex(s.data[from:p.to])
		}
		if m != nil {
			return span{from + m[0], from + m[1]}, true
		}
	}
	return span{}, false
}

func (s *subject) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return b
}

// numbers are those on which arithmetic and allocation go wrong.
var numbers = []string{
	"0", "-1", "1", "2", "255", "65535", "65536", "-65536", "2147483647", "-2147483648", "2147483648", "4294967295", "8388607",
	"9223372036854775807", "-9223372036854775808", "18446744073709551616", "99999999999999999999999999999999999999", "1000000000",
	"0.000000000001", "-.5", "1e99", "1.2.3", "--5", "+", "00000000000000000001", "340282346638528859811704183484516925440", ".", "-",
}

func (s *subject) number() []byte { return []byte(numbers[s.r.IntN(len(numbers))]) }

// anything is a value of any type, and of no type.
func (s *subject) anything() []byte {
	ref := fmt.Sprintf("%d 0 R", s.r.IntN(len(s.objects)+2))
	if len(s.objects) > 0 && s.r.IntN(2) == 0 {
		ref = strings.Replace(s.header(s.objects[s.r.IntN(len(s.objects))]), "obj", "R", 1)
	}
	switch s.r.IntN(16) {
	case 0, 1:
		return s.number()
	case 2, 3, 4:
		return []byte(ref)
	case 5:
		return []byte("[" + strings.Repeat(ref+" ", 1+s.r.IntN(3000)) + "]")
	case 6:
		return []byte("<</Type/Page/Kids[" + ref + "]/Parent " + ref + "/Next " + ref + "/First " + ref + ">>")
	case 7:
		return []byte("null")
	case 8:
		return []byte("(\\" + string(s.noise(s.r.IntN(40))) + ")")
	case 9:
		return []byte("<" + hex.EncodeToString(s.noise(s.r.IntN(40))) + "f>")
	case 10:
		return []byte("[]")
	case 11:
		return []byte("<<>>")
	case 12:
		return []byte("/" + strings.Repeat("N#00", s.r.IntN(200)))
	case 13:
		n := []int{3, 90, 510, 20_000, 120_000}[s.r.IntN(5)]
		return []byte(strings.Repeat("[", n) + strings.Repeat("]", n-s.r.IntN(2)))
	case 14:
		n := []int{3, 90, 510, 20_000}[s.r.IntN(4)]
		return []byte(strings.Repeat("<</A", n) + " 1" + strings.Repeat(">>", n))
	}
	return []byte("true")
}

func (s *subject) header(p span) string {
	return string(objRE.Find(s.data[p.from:min(p.to, p.from+40)]))
}

// loose is an object on its own, taken out of the file or out of one of its object streams.
type loose struct {
	number int
	body   []byte // without obj and endobj
	place  span   // zero when it came out of an object stream
}

// pick takes an object.
func (s *subject) pick() (loose, bool) {
	if len(s.objects) == 0 {
		return loose{}, false
	}
	p := s.objects[s.r.IntN(len(s.objects))]
	body := s.data[p.from:p.to]
	head := objRE.FindIndex(body)
	if head == nil {
		return loose{}, false
	}
	number, err := strconv.Atoi(string(numberRE.Find(body)))
	if err != nil {
		return loose{}, false
	}
	if end := bytes.LastIndex(body, []byte("endobj")); end > head[1] {
		p.to = p.from + end
	}
	o := loose{number, bytes.Clone(s.data[p.from+head[1] : p.to]), span{p.from + head[1], p.to}}
	if bytes.Contains(o.body[:min(len(o.body), 400)], []byte("/ObjStm")) && s.r.IntN(8) != 0 {
		inner, ok := s.fromStream(o.body)
		if ok {
			return inner, true
		}
	}
	return o, true
}

// fromStream takes an object out of an object stream.
func (s *subject) fromStream(body []byte) (loose, bool) {
	data, ok := inflate(body)
	if !ok {
		return loose{}, false
	}
	first := regexp.MustCompile(`/First\s+(\d+)`).FindSubmatch(body)
	if first == nil {
		return loose{}, false
	}
	at, err := strconv.Atoi(string(first[1]))
	if err != nil || at > len(data) {
		return loose{}, false
	}
	index := strings.Fields(string(data[:at]))
	if len(index) < 2 {
		return loose{}, false
	}
	i := s.r.IntN(len(index)/2) * 2
	number, err1 := strconv.Atoi(index[i])
	from, err2 := strconv.Atoi(index[i+1])
	to := len(data) - at
	if i+3 < len(index) {
		to, err = strconv.Atoi(index[i+3])
	}
	if err != nil || err1 != nil || err2 != nil || from < 0 || to < from || at+to > len(data) {
		return loose{}, false
	}
	return loose{number: number, body: bytes.Clone(data[at+from : at+to])}, true
}

// put writes an object back: where it was, so that what lies behind it moves, or as a later revision, so that only it
// is damaged.
func (s *subject) put(o loose) {
	if o.place.to > 0 && !s.tidy && s.r.IntN(3) == 0 {
		s.splice(o.place, o.body)
		return
	}
	s.revise(o.number, o.body, -1)
}

// revise appends a revision in which one object is another. A prev below 0 is the right one.
func (s *subject) revise(number int, body []byte, prev int) {
	if prev < 0 {
		all := startRE.FindAll(s.data, -1)
		if len(all) > 0 {
			prev, _ = strconv.Atoi(string(numberRE.Find(all[len(all)-1][9:]))) // 0 is as good as a wrong one
		}
	}
	root := rootRE.FindAll(s.data, -1)
	last := []byte("/Root 1 0 R")
	if len(root) > 0 {
		last = root[len(root)-1]
	}
	if info := infoRE.FindAll(s.data, -1); len(info) > 0 {
		last = append(append(last[:len(last):len(last)], ' '), info[len(info)-1]...)
	}
	var b bytes.Buffer
	at := len(s.data) + 1
	fmt.Fprintf(&b, "\n%d 0 obj\n%s\nendobj\n", number, body)
	xref := len(s.data) + b.Len()
	size := number + 1
	for _, m := range sizeRE.FindAllSubmatch(s.data, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err == nil && n < 1<<20 {
			size = max(size, n)
		}
	}
	fmt.Fprintf(&b, "xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size %d %s /Prev %d>>\nstartxref\n%d\n%%%%EOF\n", number, at, size, last, prev, xref)
	s.data = append(s.data, b.Bytes()...)
}

// inflate decodes the stream in an object's body, if it is a plain one.
func inflate(body []byte) ([]byte, bool) {
	m := streamRE.FindIndex(body)
	if m == nil || bytes.Contains(body[:m[0]], []byte("/Predictor")) {
		return nil, false
	}
	end := bytes.LastIndex(body, []byte("endstream"))
	if end < m[1] {
		return nil, false
	}
	if !bytes.Contains(body[:m[0]], []byte("/Filter")) {
		return body[m[1]:end], true
	}
	if f := filterRE.Find(body[:m[0]]); !bytes.Contains(f, []byte("/FlateDecode")) || bytes.Count(f, []byte("Decode")) != 1 {
		return nil, false
	}
	z, err := zlib.NewReader(bytes.NewReader(body[m[1]:end]))
	if err != nil {
		return nil, false
	}
	data, err := io.ReadAll(io.LimitReader(z, 4<<20))
	return data, len(data) > 0 && (err == nil || len(data) > 64)
}

// restream is body with its stream's data replaced, in stored blocks, since those do not depend on Go's version.
func restream(body, data []byte) []byte {
	m := streamRE.FindIndex(body)
	dict := filterRE.ReplaceAll(body[:m[0]], nil)
	stored := store(data)
	fresh := fmt.Appendf(nil, "/Filter/FlateDecode/Length %d", len(stored))
	if lengthRE.Match(dict) {
		dict = lengthRE.ReplaceAll(dict, fresh)
	} else {
		dict = bytes.Replace(dict, []byte("<<"), append([]byte("<<"), fresh...), 1)
	}
	return fmt.Appendf(nil, "%sstream\n%s\nendstream\n", dict, stored)
}

// store wraps data up as zlib without compressing it.
func store(data []byte) []byte {
	out := []byte{0x78, 0x01}
	a, b := uint32(1), uint32(0)
	for _, c := range data {
		a = (a + uint32(c)) % 65521
		b = (b + a) % 65521
	}
	for rest := data; ; {
		n := min(len(rest), 65535)
		final := byte(0)
		if n == len(rest) {
			final = 1
		}
		out = append(out, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		out = append(out, rest[:n]...)
		rest = rest[n:]
		if final == 1 {
			return binary.BigEndian.AppendUint32(out, b<<16|a)
		}
	}
}

type mutator struct {
	name string
	do   func(*subject)
}

var mutators = append([]mutator{
	{"bytes flipped", func(s *subject) {
		for range 1 + s.r.IntN(64) {
			if len(s.data) > 0 {
				s.data[s.r.IntN(len(s.data))] ^= 1 << s.r.IntN(8)
			}
		}
	}},
	{"bytes of the structure flipped", func(s *subject) {
		for range 1 + s.r.IntN(8) {
			if len(s.plain) > 0 {
				if p := s.plain[s.r.IntN(len(s.plain))]; p.len() > 0 {
					s.data[p.from+s.r.IntN(p.len())] = byte(s.r.Uint32())
				}
			}
		}
	}},
	{"block removed", func(s *subject) { s.splice(s.block(), nil) }},
	{"block twice", func(s *subject) {
		p := s.block()
		s.splice(span{p.to, p.to}, bytes.Clone(s.data[p.from:p.to]))
	}},
	{"blocks swapped", func(s *subject) {
		a, b := s.block(), s.block()
		if a.to > b.from {
			a, b = b, a
		}
		if a.to <= b.from {
			x, y := bytes.Clone(s.data[a.from:a.to]), bytes.Clone(s.data[b.from:b.to])
			s.splice(b, x)
			s.splice(a, y)
		}
	}},
	{"block of noise", func(s *subject) {
		p := s.block()
		fill := s.noise(p.len())
		if s.r.IntN(2) == 0 {
			fill = bytes.Repeat([]byte{[]byte{0, 0xff, ' ', '('}[s.r.IntN(4)]}, p.len())
		}
		s.splice(p, fill)
	}},
	{"cut short", func(s *subject) {
		if len(s.data) > 0 {
			tail := []int{64, 1024, len(s.data)}[s.r.IntN(3)]
			s.data = s.data[:len(s.data)-min(len(s.data), s.r.IntN(tail)+1)]
		}
	}},
	{"header moved", func(s *subject) {
		junk := s.noise(s.r.IntN(2000))
		switch s.r.IntN(4) {
		case 0:
			s.data = append(junk, s.data...)
		case 1:
			s.data = append(bytes.Repeat([]byte("<html>\n"), s.r.IntN(200)), s.data...)
		case 2:
			s.data = bytes.Replace(s.data, []byte("%PDF-"), []byte("%!PS-"), 1)
		case 3:
			s.data = bytes.Replace(s.data, []byte("%PDF-1."), []byte("%PDF-9."), 1)
		}
	}},
	{"line ends changed", func(s *subject) {
		pair := [][2]string{{"\n", "\r\n"}, {"\r\n", "\n"}, {"\n", "\r"}, {"\r", ""}}[s.r.IntN(4)]
		s.data = bytes.ReplaceAll(s.data, []byte(pair[0]), []byte(pair[1]))
	}},
	{"numbers changed", func(s *subject) {
		for range 1 + s.r.IntN(8) {
			p, ok := s.token(numberRE)
			if ok {
				s.swapIn(p, s.number())
				s.scan()
			}
		}
	}},
	{"names swapped", func(s *subject) {
		a, ok1 := s.token(nameRE)
		b, ok2 := s.token(nameRE)
		if ok1 && ok2 && a.to <= b.from {
			x, y := bytes.Clone(s.data[a.from:a.to]), bytes.Clone(s.data[b.from:b.to])
			s.splice(b, x)
			s.splice(a, y)
		} else if ok1 {
			s.swapIn(a, []byte("/Unheard#20of"))
		}
	}},
	{"keys removed", func(s *subject) {
		for range 1 + s.r.IntN(6) {
			p, ok := s.token(nameRE)
			if ok {
				s.swapIn(p, nil)
				s.scan()
			}
		}
	}},
	{"references changed", func(s *subject) {
		for range 1 + s.r.IntN(6) {
			p, ok := s.token(refRE)
			if ok {
				s.swapIn(p, s.anything())
				s.scan()
			}
		}
	}},
	{"object numbers changed", func(s *subject) {
		for range 1 + s.r.IntN(4) {
			p, ok := s.token(objRE)
			if ok {
				s.swapIn(p, fmt.Appendf(nil, "%s %d obj", s.number(), s.r.IntN(2)))
				s.scan()
			}
		}
	}},
	{"lengths wrong", func(s *subject) {
		for range 1 + s.r.IntN(4) {
			p, ok := s.token(lengthRE)
			if ok {
				s.swapIn(p, append([]byte("/Length "), s.anything()...))
				s.scan()
			}
		}
	}},
	{"endobj or endstream missing", func(s *subject) {
		word := []string{"endobj", "endstream", "endobj", "stream\n", "obj", ">>", "<<", "trailer", "xref", "startxref", "%%EOF"}[s.r.IntN(11)]
		with := []string{"", strings.Repeat(" ", len(word)), word + " " + word, strings.ToUpper(word)}[s.r.IntN(4)]
		s.data = bytes.Replace(s.data, []byte(word), []byte(with), []int{1, 5, -1}[s.r.IntN(3)])
	}},
	{"cross-references damaged", func(s *subject) {
		for range 1 + s.r.IntN(20) {
			p, ok := s.token(regexp.MustCompile(`\d{10} \d{5} [nf]`))
			if ok {
				copy(s.data[p.from:], fmt.Sprintf("%010d %05d %c", s.r.IntN(2*len(s.data)), s.r.IntN(3), "nnf"[s.r.IntN(3)]))
			}
		}
		if p, ok := s.token(startRE); ok && s.r.IntN(2) == 0 {
			s.splice(p, append([]byte("startxref\n"), s.number()...))
		}
	}},
	{"earlier revision in a loop", func(s *subject) {
		o, ok := s.pick()
		if ok {
			s.revise(o.number, o.body, len(s.data)+len(o.body)+s.r.IntN(80))
		}
	}},
	{"cross-reference stream damaged", func(s *subject) {
		p, ok := s.token(regexp.MustCompile(`/(W|Index)\s*\[[^\]]*\]`))
		if ok {
			s.swapIn(p, [][]byte{[]byte("/W[0 0 0]"), []byte("/W[1 8 8]"), []byte("/Index[0 9223372036854775807]"), []byte("/W[-1 2 3]"), []byte("/Index[0 1 0 1 0 1]"), []byte("/W[1 99999999 1]")}[s.r.IntN(6)])
		}
	}},
	{"filters renamed", func(s *subject) {
		p, ok := s.token(filterRE)
		if !ok {
			return
		}
		all := []string{"FlateDecode", "LZWDecode", "ASCIIHexDecode", "ASCII85Decode", "RunLengthDecode", "DCTDecode", "JPXDecode", "JBIG2Decode", "CCITTFaxDecode", "Crypt", "Fl", "Unheard"}
		var list []string
		for range []int{1, 2, 9, 500}[s.r.IntN(4)] {
			list = append(list, "/"+all[s.r.IntN(len(all))])
		}
		s.swapIn(p, []byte("/Filter["+strings.Join(list, "")+"]"))
	}},
	{"predictor added", func(s *subject) {
		p, ok := s.token(filterRE)
		if ok {
			s.splice(span{p.to, p.to}, fmt.Appendf(nil, "/DecodeParms<</Predictor %d/Columns %s/Colors %s/BitsPerComponent %d>>", []int{2, 12, 15, 99}[s.r.IntN(4)], s.number(), s.number(), 1<<s.r.IntN(5)))
		}
	}},
	{"stream of noise", func(s *subject) {
		if len(s.streams) > 0 {
			p := s.streams[s.r.IntN(len(s.streams))]
			s.splice(p, s.noise(p.len()))
		}
	}},
	{"decompression bomb", func(s *subject) {
		o, ok := s.pick()
		if !ok {
			return
		}
		bomb := bombs()[s.r.IntN(len(bombs()))]
		dict := []byte("<<")
		if m := streamRE.FindIndex(o.body); m != nil {
			dict = filterRE.ReplaceAll(lengthRE.ReplaceAll(o.body[:m[0]], nil), nil)
		} else if i := bytes.LastIndex(o.body, []byte(">>")); i > 0 {
			dict = o.body[:i+2]
		}
		if i := bytes.LastIndex(dict, []byte(">>")); i >= 0 {
			dict = dict[:i]
		}
		o.body = fmt.Appendf(nil, "%s/Filter%s/Length %d>>\nstream\n%s\nendstream\n", dict, bomb.filter, len(bomb.data), bomb.data)
		s.put(o)
	}},
	{"object of another kind", func(s *subject) {
		o, ok := s.pick()
		if ok {
			o.body = s.anything()
			s.put(o)
		}
	}},
	{"object replaced by another", func(s *subject) {
		a, ok1 := s.pick()
		b, ok2 := s.pick()
		if ok1 && ok2 {
			a.body = b.body
			s.put(a)
		}
	}},
	{"entries of an object changed", func(s *subject) {
		o, ok := s.pick()
		if !ok {
			return
		}
		for range 1 + s.r.IntN(4) {
			re := []*regexp.Regexp{numberRE, nameRE, refRE, refRE, kidsRE}[s.r.IntN(5)]
			end := len(o.body)
			if m := streamRE.FindIndex(o.body); m != nil {
				end = m[0]
			}
			all := re.FindAllIndex(o.body[:end], 5000)
			if len(all) > 0 {
				m := all[s.r.IntN(len(all))]
				o.body = append(append(bytes.Clone(o.body[:m[0]]), append([]byte(" "), s.anything()...)...), o.body[m[1]:]...)
			}
		}
		s.put(o)
	}},
	{"tree in a loop", func(s *subject) {
		for range 40 {
			o, ok := s.pick()
			if !ok {
				return
			}
			m := kidsRE.FindIndex(o.body)
			if m == nil {
				continue
			}
			at := refRE.FindIndex(o.body[m[0]:m[1]])
			to := o.number // itself
			if up := regexp.MustCompile(`/(Parent|Prev)\s+(\d+)`).FindSubmatch(o.body); up != nil && s.r.IntN(2) == 0 {
				to, _ = strconv.Atoi(string(up[2])) // digits
			}
			o.body = append(append(bytes.Clone(o.body[:m[0]+at[0]]), fmt.Sprintf("%d 0 R", to)...), o.body[m[1]:]...)
			s.put(o)
			return
		}
	}},
	{"page turned inside out", func(s *subject) {
		s.page(func(body []byte) []byte {
			body = boxRE.ReplaceAll(body, nil)
			box := []string{
				"0 0 0 0", "0 0 1 1", "612 792 0 0", "-1e9 -1e9 1e9 1e9", "0 0 612", "1e30 1e30 2e30 2e30", "0 0 99999999 2", "10000 10000 10200 10300", "(a)(b)(c)(d)",
			}
			extra := fmt.Sprintf("/MediaBox[%s]", box[s.r.IntN(len(box))])
			if s.r.IntN(2) == 0 {
				extra += fmt.Sprintf("/CropBox[%s]", box[s.r.IntN(len(box))])
			}
			if s.r.IntN(2) == 0 {
				extra += fmt.Sprintf("/Rotate %d", []int{-90, 45, 90, 180, 270, 450, 1 << 30, -1}[s.r.IntN(8)])
			}
			if s.r.IntN(3) == 0 {
				extra += fmt.Sprintf("/UserUnit %s", s.number())
			}
			return insert(body, extra)
		})
	}},
	{"content damaged", func(s *subject) { s.content(damage) }},
	{"content damaged twice", func(s *subject) { s.content(damage) }},
	{"inline images", func(s *subject) { s.content(inline) }},
	{"another file appended", func(s *subject) {
		if s.r.IntN(2) == 0 {
			s.data = append(s.data, s.other...)
		} else {
			s.data = append(bytes.Clone(s.other), s.data...)
		}
	}},
	{"part of another file inside", func(s *subject) {
		if len(s.other) > 0 {
			from := s.r.IntN(len(s.other))
			to := min(len(s.other), from+1+s.r.IntN(5000))
			s.splice(s.block(), s.other[from:to])
		}
	}},
	{"said to be encrypted", func(s *subject) {
		p, ok := s.token(rootRE)
		if ok {
			s.splice(span{p.to, p.to}, []byte("/Encrypt<</Filter/Standard/V 1/R 2/P -1/O(01234567890123456789012345678901)/U(01234567890123456789012345678901)>>/ID[(a)(b)]"))
		}
	}},
	{"crowd of objects", func(s *subject) {
		var b bytes.Buffer
		for i := range []int{50, 5000, 100_000}[s.r.IntN(3)] {
			fmt.Fprintf(&b, "%d 0 obj\n%d\nendobj\n", i+1+s.r.IntN(100_000), i)
		}
		if i := bytes.LastIndex(s.data, []byte("xref")); i > 0 {
			s.splice(span{i, i}, b.Bytes())
		}
	}},
	{"comments and white space", func(s *subject) {
		p, ok := s.token(nameRE)
		if ok {
			s.splice(span{p.to, p.to}, bytes.Repeat([]byte{"%\n\x00\t( "[s.r.IntN(6)]}, []int{10, 1000, 1_000_000}[s.r.IntN(3)]))
		}
	}},
}, mild...)

// mild are changes that leave a file as sound as it was.
var mild = []mutator{
	{"page shaped otherwise", func(s *subject) {
		s.page(func(body []byte) []byte {
			shapes := []string{
				"/MediaBox[0 0 612 792]/Rotate 90", "/MediaBox[-300 -200 312 592]", "/MediaBox[0 0 842 595]/CropBox[100 100 500 400]/Rotate 270",
				"/MediaBox[0 0 612 792]/UserUnit 2.5", "/MediaBox[0 0 2000 300]", "/MediaBox[0 0 90 120]/Rotate 180", "/MediaBox[0 0 612 792]/CropBox[-50 -50 300 900]",
			}
			return insert(boxRE.ReplaceAll(body, nil), shapes[s.r.IntN(len(shapes))])
		})
	}},
	{"states left open", func(s *subject) {
		s.content(func(_ *rand.Rand, c []byte) []byte { return append([]byte("q .5 0 0 .5 20 20 cm q q\n"), c...) })
	}},
	{"more content", func(s *subject) {
		s.content(func(r *rand.Rand, c []byte) []byte {
			more := []string{
				"q 1 0 0 rg 100 100 200 200 re f Q", "q 0 1 1 0 k 50 500 m 300 700 l 10 w S Q", "q 0.5 g 0 0 9999 9999 re f Q", "q 3 Tr BT ET Q",
				"q BI /W 8 /H 2 /IM true /D[1 0] ID \xaa\x55\nEI Q", "q 0 0 300 300 re W n /Span BMC EMC Q", "% q Q ( [ <<\n", "q 100 0 0 100 200 200 cm 0 0 1 1 re f* Q",
			}
			more = more[r.IntN(len(more)):]
			if r.IntN(2) == 0 {
				return append([]byte(more[0]+"\n"), c...)
			}
			return append(c, "\n"+more[0]+"\n"...)
		})
	}},
	{"revision appended", func(s *subject) {
		o, ok := s.pick()
		if ok {
			s.revise(o.number, o.body, -1)
		}
	}},
}

var pageRE = regexp.MustCompile(`/Type\s*/Page\b`)

// page applies change to a page's dictionary.
func (s *subject) page(change func(body []byte) []byte) {
	for range 60 {
		o, ok := s.pick()
		if !ok {
			return
		}
		if pageRE.Match(o.body) {
			o.body = change(o.body)
			s.put(o)
			return
		}
	}
}

// insert puts entries into a page's dictionary.
func insert(body []byte, entries string) []byte {
	m := pageRE.FindIndex(body)
	return append(append(bytes.Clone(body[:m[1]]), entries...), body[m[1]:]...)
}

// content applies change to the decoded content of a page or form.
func (s *subject) content(change func(*rand.Rand, []byte) []byte) {
	for range 60 {
		o, ok := s.pick()
		if !ok {
			return
		}
		data, ok := inflate(o.body)
		if !ok || !contentRE.Match(data[:min(len(data), 20_000)]) {
			continue
		}
		o.body = restream(o.body, change(s.r, bytes.Clone(data)))
		s.put(o)
		return
	}
}

var (
	contentRE  = regexp.MustCompile(`\s(cm|Tf|re|Do|Tj|TJ|BT|Td|gs|rg|Tm)\s`)
	operatorRE = regexp.MustCompile(`\b(q|Q|BT|ET|cm|W n|n|f|re|Do|BDC|BMC|EMC|Tf|Tm|Td|TJ|Tj|gs|W|S|ID|EI|BI)\b`)
)

// damage is what happens to content.
func damage(r *rand.Rand, c []byte) []byte {
	operators := []string{
		"q", "Q", "BT", "ET", "W n", "0 0 0 0 0 0 cm", "0 0 1 1 re W n", "/OC /None BDC", "/Span BMC", "EMC", "1e38 0 0 1e38 0 0 cm", "7 Tr", "BX", "EX",
		"0 0 m", "/Nothing Do", "/Nothing gs", "/Nothing sh", "(", ")", "<", ">>", "[", "]", "<<", "{", "}", "%", "0 g -9999 -9999 99999 99999 re f",
		"1 g -9999 -9999 99999 99999 re f", "/Nothing 1e9 Tf", "d0", "1 0 0 0 0 0 d1", "\x00", "/DeviceCMYK cs 1 1 1 1 sc", "[1e-9] 0 d", "1e9 w", "5000000 Tz",
	}
	for range 1 + r.IntN(5) {
		at := r.IntN(len(c) + 1)
		ops := operatorRE.FindAllIndex(c[:min(len(c), 200_000)], -1)
		switch r.IntN(8) {
		case 0:
			for range 1 + r.IntN(20) {
				if len(c) > 0 {
					c[r.IntN(len(c))] = byte(r.Uint32())
				}
			}
		case 1:
			c = c[:at]
		case 2:
			c = c[at:]
		case 3, 4: // an operator less
			if len(ops) > 0 {
				m := ops[r.IntN(len(ops))]
				c = append(bytes.Clone(c[:m[0]]), c[m[1]:]...)
			}
		case 5, 6: // an operator more, where one stands
			if len(ops) > 0 {
				at = ops[r.IntN(len(ops))][1]
			}
			c = append(append(bytes.Clone(c[:at]), " "+operators[r.IntN(len(operators))]+" "...), c[at:]...)
		case 7: // the same many times
			many := strings.Repeat(operators[r.IntN(len(operators))]+"\n", []int{2, 40, 3000, 100_000}[r.IntN(4)])
			c = append(append(bytes.Clone(c[:at]), " "+many...), c[at:]...)
		}
	}
	return c
}

// inline puts inline images into content, well and badly made ones.
func inline(r *rand.Rand, c []byte) []byte {
	images := []string{
		"BI /W 2 /H 2 /BPC 8 /CS /G ID \x00EI\xff EI", "BI /W 4 /H 1 /IM true /D[1 0] ID \xa0\nEI", "BI /W 100000 /H 100000 /BPC 8 /CS /RGB ID x EI",
		"BI /W 1 /H 1 /BPC 8 /CS /G /F /AHx ID 80> EI", "BI /W 1 /H 1 /BPC 8 /CS /G /F [/A85 /Fl] ID zzz~> EI", "BI ID EI", "BI /W 1 /H 1 /IM true ID", "BI /W 1 ID EI EI EI Q Q",
		"BI /W 3 /H 1 /BPC 8 /CS /G /L 3 ID EI  EI", "BI /W 5 /H 1 /BPC 8 /CS /G ID Q EI q\nEI", "BI BI ID EI", "BI /W -1 /H -1 /BPC 8 /CS /G ID EI", "ID", "EI",
	}
	for range 1 + r.IntN(4) {
		at := r.IntN(len(c) + 1)
		if ops := operatorRE.FindAllIndex(c[:min(len(c), 200_000)], -1); len(ops) > 0 && r.IntN(4) > 0 {
			at = ops[r.IntN(len(ops))][1]
		}
		c = append(append(bytes.Clone(c[:at]), "\n"+images[r.IntN(len(images))]+"\n"...), c[at:]...)
	}
	return c
}

type bomb struct {
	filter string
	data   []byte
}

// bombs inflate to 600 MB, to 90 MB of operators, and to 300 MB in two and three steps.
var bombs = sync.OnceValue(func() []bomb {
	big := deflateMany(make([]byte, 1<<20), 600)
	text := deflateMany(bytes.Repeat([]byte("q 1 0 0 1 0 0 cm Q\n"), 1<<16), 72)
	twice := deflate(deflateMany(make([]byte, 1<<20), 300))
	return []bomb{
		{"/FlateDecode", big}, {"/FlateDecode", text}, {"[/FlateDecode/FlateDecode]", twice}, {"[/FlateDecode/FlateDecode/FlateDecode]", deflate(twice)},
		{"/RunLengthDecode", bytes.Repeat([]byte{129, 'q'}, 1<<19)},
	}
})

func deflateMany(piece []byte, times int) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	for range times {
		_, err := z.Write(piece)
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	err := z.Close()
	if err != nil {
		panic(err)
	}
	return b.Bytes()
}

// The gauntlet's report names a mutant by seed, file and number; that is of use only if they lead to it again.
func TestMutantsAreReproducible(t *testing.T) {
	file, other := pages(3, "", "").bytes(), pages(1, "", "").bytes()
	same := 0
	for k := range 100 {
		a, story := mutate(1, "some.pdf", k, file, other)
		b, _ := mutate(1, "some.pdf", k, file, other)
		if !bytes.Equal(a, b) {
			t.Fatalf("mutant %d (%s) comes out differently", k, story)
		}
		if bytes.Equal(a, file) {
			same++
		}
	}
	if same > 6 {
		t.Errorf("%d of 100 mutants are the file itself", same)
	}
	another, _ := mutate(2, "some.pdf", 0, file, other)
	first, _ := mutate(1, "some.pdf", 0, file, other)
	if bytes.Equal(another, first) {
		t.Error("the seed makes no difference")
	}
}

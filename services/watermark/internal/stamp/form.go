package stamp

import (
	"strconv"
	"sync"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
	"github.com/filigreehq/filigree/services/watermark/internal/template"
)

// form is an outline of the mark as a form XObject's stream: pieces of text, stored, and the glyphs' outlines, which are
// deflated already and shared by all copies.
type form struct {
	dict []byte
	// text is all of the text; parts say where each piece of it ends, and what outline follows it.
	text  []byte
	parts []part
	size  int // of the data
	sum   adler
}

type part struct {
	end     int
	outline []byte
}

// coded is which shape carries the hidden id in the places of its glyphs: the large one. Small text would be torn.
const coded = 0

// newForm makes the form of shape i. It paints in whatever colour is set where it is drawn.
func newForm(i int, s *mark.Shape, code [hidden.Symbols]byte) form {
	const aside = mark.PerEm // letters may reach out of the line's box, but not by an em
	f := form{dict: make([]byte, 0, 160), text: make([]byte, 0, 512+32*len(s.Glyphs)), parts: make([]part, 0, len(s.Glyphs)), sum: none}
	f.dict = append(f.dict, "/Type/XObject/Subtype/Form/Matrix[.001 0 0 .001 0 0]/Resources<<>>/BBox["...)
	for _, v := range [4]int{-aside, -aside, max(int(s.Width), int(hidden.RibbonWidth(s.Width))) + aside, int(s.Height) + aside} {
		f.dict = strconv.AppendInt(f.dict, int64(v), 10)
		f.dict = append(f.dict, ' ')
	}
	f.dict = append(f.dict, "]/Filter/FlateDecode"...)
	if s.Overlaps { // else what is covered twice would be darker
		f.dict = append(f.dict, "/Group<</S/Transparency/I true>>"...)
	}
	if s.Rule != nil {
		f.text = appendRibbon(f.text, code, s.Width)
	}
	f.size = len(zlibHeader) + 4
	begin := 0
	var x, y int32
	for n, g := range s.Glyphs {
		gx, gy := g.X, g.Y
		if i == coded {
			dx, dy := hidden.Nudge(code, n, [2]int32{gx + g.Outline.First[0], gy + g.Outline.First[1]})
			gx, gy = gx+dx, gy+dy
		}
		if n > 0 {
			f.text = append(f.text, "f "...)
		}
		f.text = append(f.text, "1 0 0 1 "...)
		f.text = strconv.AppendInt(f.text, int64(gx-x), 10)
		f.text = append(f.text, ' ')
		f.text = strconv.AppendInt(f.text, int64(gy-y), 10)
		f.text = append(f.text, " cm\n"...)
		x, y = gx, gy
		o := outlines.deflated(g.Outline)
		f.parts = append(f.parts, part{len(f.text), o.Bytes})
		f.size += storedLen(len(f.text)-begin) + len(o.Bytes)
		f.sum = f.sum.then(adlerOf(f.text[begin:])).then(adler{o.Adler, o.Length})
		begin = len(f.text)
	}
	f.text = append(f.text, "f\n"...)
	f.size += storedLen(len(f.text) - begin)
	f.sum = f.sum.then(adlerOf(f.text[begin:]))
	return f
}

// form writes a form's stream.
func (p *press) form(number int, f *form) {
	p.head(number, f.dict, int64(f.size))
	p.text(zlibHeader)
	begin := 0
	for _, part := range f.parts {
		p.stored(f.text[begin:part.end], false)
		p.add(part.outline)
		begin = part.end
	}
	p.stored(f.text[begin:], true)
	p.reserve(4)
	p.buf = appendSum(p.buf, f.sum)
	p.tail()
}

// stored writes b as stored blocks.
func (p *press) stored(b []byte, final bool) {
	for {
		n := min(len(b), maxBlock)
		last := n == len(b)
		p.reserve(blockHead)
		p.buf = appendBlockHead(p.buf, n, last && final)
		p.add(b[:n])
		b = b[n:]
		if last {
			return
		}
	}
}

func appendSum(dst []byte, s adler) []byte {
	return append(dst, byte(s.sum>>24), byte(s.sum>>16), byte(s.sum>>8), byte(s.sum))
}

func appendRibbon(dst []byte, code [hidden.Symbols]byte, width int32) []byte {
	for i, p := range hidden.Ribbon(code, width) {
		dst = strconv.AppendInt(dst, int64(p[0]), 10)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(p[1]), 10)
		if i == 0 {
			dst = append(dst, " m "...)
		} else {
			dst = append(dst, " l "...)
		}
	}
	return append(dst, "h f\n"...)
}

// outlines are the glyphs' outlines, deflated once each.
var outlines = cache{known: map[*mark.Outline]template.Piece{}}

type cache struct {
	mu    sync.RWMutex
	known map[*mark.Outline]template.Piece

	making   sync.Mutex
	deflater template.Deflater
}

// maxOutlines bounds the cache, at some hundred bytes each.
const maxOutlines = 1 << 14

func (c *cache) deflated(o *mark.Outline) template.Piece {
	c.mu.RLock()
	piece, ok := c.known[o]
	c.mu.RUnlock()
	if ok {
		return piece
	}
	c.making.Lock()
	piece = c.deflater.Piece(o.Path)
	c.making.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxOutlines {
		clear(c.known)
	}
	c.known[o] = piece
	return piece
}

package mark

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"

	"github.com/filigreehq/filigree/pkg/mark/typeface"
)

// Outline is the form of a glyph. It does not depend on where it stands. It is immutable, and one glyph in one size has
// one Outline as long as the process remembers it, so that what is made of it can be kept by its address.
type Outline struct {
	// Path is the outline in PDF path construction operators, to be filled by the non-zero winding rule: m, l, c and h,
	// one a line, all numbers whole. The glyph's origin is (0, 0), units are those of Shape.
	Path []byte
	// First is the point of the first m.
	First [2]int32

	ink   box // what its points span
	tiles tiles
	small atomic.Pointer[Outline]
}

type outlineKey struct {
	face  *typeface.Typeface
	glyph font.GID
}

// outlines are those that the process remembers: the letters of some languages and a few thousand Han characters.
var outlines = newCache[outlineKey, *Outline](4096)

// outline returns the outline of a glyph. Its path is empty if there is nothing to see.
func outline(key outlineKey, face *font.Face) (*Outline, error) {
	known, ok := outlines.get(key)
	if ok {
		return known, nil
	}
	data, ok := face.GlyphDataOutline(key.glyph)
	if !ok {
		return nil, fmt.Errorf("embedded font %s: glyph %d has no outline", key.face.Name, key.glyph)
	}
	var p path
	for i := range data.Segments {
		p.segment(&data.Segments[i])
	}
	p.close()
	return outlines.put(key, &Outline{Path: bytes.Clone(p.out), First: p.first, ink: p.ink}), nil
}

// shrunk returns the outline in the smaller size.
func (o *Outline) shrunk() *Outline {
	known := o.small.Load()
	if known != nil {
		return known
	}
	small := &Outline{First: [2]int32{shrunk(o.First[0]), shrunk(o.First[1])}}
	small.ink = box{shrunk(o.ink.left), shrunk(o.ink.low), shrunk(o.ink.right), shrunk(o.ink.high)}
	path := make([]byte, 0, len(o.Path))
	for line := range bytes.Lines(o.Path) {
		for _, v := range numbers(line) {
			path = strconv.AppendInt(path, int64(shrunk(int32(v))), 10)
			path = append(path, ' ')
		}
		path = append(path, line[len(line)-2:]...)
	}
	small.Path = path
	o.small.CompareAndSwap(nil, small)
	return o.small.Load()
}

func shrunk(v int32) int32 { return int32(divide(int64(v)*smaller, larger)) }

// box is a rectangle in a shape's units.
type box struct{ left, low, right, high int32 }

// add makes the box large enough for another one moved by (x, y). A box without height is none.
func (b *box) add(o box, x, y int32) {
	if o.high == o.low {
		return
	}
	o = box{o.left + x, o.low + y, o.right + x, o.high + y}
	if b.high == b.low {
		*b = o
		return
	}
	*b = box{min(b.left, o.left), min(b.low, o.low), max(b.right, o.right), max(b.high, o.high)}
}

// path writes PDF path operators.
type path struct {
	out    []byte
	cx, cy int64 // current point, in halves of a unit
	first  [2]int32
	ink    box
	open   bool
}

func (p *path) segment(s *opentype.Segment) {
	var q [3][2]int64
	for i, a := range s.Args {
		q[i] = [2]int64{halves(a.X), halves(a.Y)}
	}
	last := q[0]
	switch s.Op {
	case opentype.SegmentOpMoveTo:
		p.close()
		if len(p.out) == 0 {
			p.first = [2]int32{int32(units(q[0][0] * 3)), int32(units(q[0][1] * 3))}
			p.ink = box{p.first[0], p.first[1], p.first[0], p.first[1]}
		}
		p.point(q[0][0]*3, q[0][1]*3)
		p.operator('m')
		p.open = true
	case opentype.SegmentOpLineTo:
		p.point(q[0][0]*3, q[0][1]*3)
		p.operator('l')
	case opentype.SegmentOpQuadTo: // raised to a cubic: control points two thirds of the way
		p.point(p.cx+2*q[0][0], p.cy+2*q[0][1])
		p.point(q[1][0]+2*q[0][0], q[1][1]+2*q[0][1])
		p.point(q[1][0]*3, q[1][1]*3)
		p.operator('c')
		last = q[1]
	case opentype.SegmentOpCubeTo:
		for _, c := range q {
			p.point(c[0]*3, c[1]*3)
		}
		p.operator('c')
		last = q[2]
	}
	p.cx, p.cy = last[0], last[1]
}

func (p *path) close() {
	if p.open {
		p.out = append(p.out, "h\n"...)
		p.open = false
	}
}

// halves turns a coordinate of the font into halves of a unit: all but those of glyphs that are made of others, drawn
// larger or smaller, are whole.
func halves(v float32) int64 { return int64(math.Floor(float64(v)*2 + 0.5)) }

// point writes a point given in sixths of a font unit.
func (p *path) point(x, y int64) {
	x, y = units(x), units(y)
	p.ink.left, p.ink.right = min(p.ink.left, int32(x)), max(p.ink.right, int32(x))
	p.ink.low, p.ink.high = min(p.ink.low, int32(y)), max(p.ink.high, int32(y))
	p.out = strconv.AppendInt(p.out, x, 10)
	p.out = append(p.out, ' ')
	p.out = strconv.AppendInt(p.out, y, 10)
	p.out = append(p.out, ' ')
}

// units turns sixths of a font's unit into a shape's units.
func units(sixths int64) int64 { return divide(sixths*em, 6*typeface.PerEm) }

func (p *path) operator(op byte) { p.out = append(p.out, op, '\n') }

// divide rounds to nearest, halves up.
func divide(a, b int64) int64 {
	q := a*2 + b
	d := q / (2 * b)
	if q < 0 && q%(2*b) != 0 {
		d--
	}
	return d
}

package mark

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/math/fixed"
)

// em is the number of a Shape's units to the em: half units of the font, so that points between two of its points are
// whole numbers, too.
const em = 4096

const (
	leading = em * 5 / 4 // from baseline to baseline
	ascent  = em * 3 / 4 // of capitals and most letters
	descent = em / 4
)

// Shape is the outline of some text. It does not depend on a page.
type Shape struct {
	// Width and Height of its box, whose lower left corner is the origin, in units: em/4096.
	Width, Height int64
	// Path is the outline in PDF path construction operators, to be filled by the non-zero winding rule.
	Path []byte
}

// PerEm is the number of a Shape's units to the em.
const PerEm = em

// parsed is the embedded font. It is read on first use, since most processes never draw.
var parsed = sync.OnceValues(func() (*font.Font, error) {
	face, err := font.ParseTTF(bytes.NewReader(gomedium.TTF))
	if err != nil {
		return nil, fmt.Errorf("embedded font: %w", err)
	}
	return face.Font, nil
})

// setter sets lines of text in the embedded font. It is not safe for concurrent use; each mark has its own.
type setter struct {
	face   *font.Face
	shaper shaping.HarfbuzzShaper
	scale  int64 // units to a unit of the font
}

func newSetter() (*setter, error) {
	f, err := parsed()
	if err != nil {
		return nil, err
	}
	upem := int64(f.Upem())
	if em%upem != 0 {
		return nil, fmt.Errorf("embedded font has %d units to the em, which do not divide %d", upem, em)
	}
	return &setter{face: font.NewFace(f), scale: em / upem}, nil
}

// line is a line of text, shaped.
type line struct {
	glyphs []shaping.Glyph
	width  int64
}

func (s *setter) line(text string) (line, error) {
	runes := []rune(text)
	for _, r := range runes {
		_, ok := s.face.NominalGlyph(r)
		if !ok || r == unicode.ReplacementChar { // which stands for what was not text

			return line{}, refuse("MARK_GLYPH_MISSING", "the mark has the character %q (%U) in %q, which our font cannot draw: spell it in another way", r, r, text)
		}
	}
	out := s.shaper.Shape(shaping.Input{
		Text: runes, RunEnd: len(runes), Direction: di.DirectionLTR, Face: s.face,
		Size: fixed.I(int(s.face.Upem())), Script: language.Latin, Language: language.NewLanguage("en"),
	})
	l := line{glyphs: out.Glyphs}
	for _, g := range out.Glyphs {
		if g.GlyphID == 0 {
			return line{}, refuse("MARK_GLYPH_MISSING", "the mark has a character in %q that our font cannot draw: spell it in another way", text)
		}
		l.width += s.units(g.Advance)
	}
	return l, nil
}

// units rounds a length of the shaper's to units.
func (s *setter) units(v fixed.Int26_6) int64 { return (int64(v)*s.scale + 32) >> 6 }

// draw appends the line's outline with the left end of its baseline at (x, y), shrunk to num/den.
func (s *setter) draw(p *path, l line, x, y, num, den int64) error {
	var advance int64
	for _, g := range l.glyphs {
		outline, ok := s.face.GlyphDataOutline(g.GlyphID)
		if !ok {
			return fmt.Errorf("embedded font: glyph %d has no outline", g.GlyphID)
		}
		p.origin(x+(advance+s.units(g.XOffset))*num/den, y+s.units(g.YOffset)*num/den, s.scale*num, den)
		for i := range outline.Segments {
			p.segment(&outline.Segments[i])
		}
		p.close()
		advance += s.units(g.Advance)
	}
	return nil
}

// block is the shape of lines one below the other, centred, the ones after the first a little smaller.
func (s *setter) block(lines []line) (Shape, error) {
	var width int64
	height := int64(ascent + descent)
	for i, l := range lines {
		num, den := size(i)
		width = max(width, l.width*num/den)
		if i > 0 {
			height += leading * num / den
		}
	}
	p := &path{}
	y := height - ascent
	for i, l := range lines {
		num, den := size(i)
		if i > 0 {
			y -= leading * num / den
		}
		err := s.draw(p, l, (width-l.width*num/den)/2, y, num, den)
		if err != nil {
			return Shape{}, err
		}
	}
	return Shape{Width: width, Height: height, Path: p.out}, nil
}

func size(line int) (num, den int64) {
	if line == 0 {
		return 1, 1
	}
	return 3, 4
}

// path writes PDF path operators.
type path struct {
	out      []byte
	x, y     int64 // origin
	num, den int64 // units to a unit of the font
	cx, cy   int64 // current point, in halves of a font unit
	open     bool
}

func (p *path) origin(x, y, num, den int64) { p.x, p.y, p.num, p.den = x, y, num, den }

func (p *path) segment(s *opentype.Segment) {
	var q [3][2]int64
	for i, a := range s.Args {
		q[i] = [2]int64{halves(a.X), halves(a.Y)}
	}
	last := q[0]
	switch s.Op {
	case opentype.SegmentOpMoveTo:
		p.close()
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

// halves turns a coordinate of the font, a whole number or half of one, into halves.
func halves(v float32) int64 { return int64(v * 2) }

// point writes a point given in sixths of a font unit.
func (p *path) point(x, y int64) {
	p.out = strconv.AppendInt(p.out, p.x+divide(x*p.num, 6*p.den), 10)
	p.out = append(p.out, ' ')
	p.out = strconv.AppendInt(p.out, p.y+divide(y*p.num, 6*p.den), 10)
	p.out = append(p.out, ' ')
}

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

// joined is the text of all lines as one.
func joined(lines []string) string { return strings.Join(lines, " \u00b7 ") }

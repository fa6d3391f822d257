// Package ink draws a mark over pictures of any size, a strip of rows at a time, so that neither the picture nor the
// mark is ever held as a whole. What is drawn, and where, comes from package mark, as in all copies.
//
// All arithmetic is on whole numbers: the same mark gives the same pixels on every machine and with every release of Go,
// which is what makes copies reproducible. (Package paint, whose pictures nobody compares by their bytes, is quicker
// with floating point.)
package ink

import (
	"fmt"

	"github.com/filigreehq/filigree/pkg/mark"
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Layer is a mark as it lies over one picture. It is immutable and safe for concurrent use.
type Layer struct {
	width, height int
	parts         []part
}

// part is what is painted at once.
type part struct {
	color [3]uint8
	alpha int // of whole
	rows  [][]span
}

// whole is the opacity of 100 % where a pixel is covered as a whole: a share of 255 times percent.
const whole = 255 * 100

// New lays m over a picture of width by height stored pixels that is looked at as o says. level is how strong the mark
// is drawn, see mark.Page.
func New(m *mark.Mark, width, height int, o source.Orientation, level int) (*Layer, error) {
	l := &Layer{width: width, height: height}
	page := source.Page(width, height)
	if o.Turned() {
		page = source.Page(height, width)
	}
	page.Level = level
	w, h := int64(page.Box[2])*sub, int64(page.Box[3])*sub
	tones, shapes := m.Tones(level), m.Shapes()
	for _, use := range m.On(page, 1) {
		shape, tone := &shapes[use.Shape], tones[use.Tone]
		p := &placing{matrix: use.Matrix, to: func(x, y int64) (int64, int64) { return o.Stored(x, h-y, w, h) }}
		if shape.Rule != nil { // it is painted for itself: letters may reach into it
			err := l.paint([]mark.Glyph{*shape.Rule}, p, tone)
			if err != nil {
				return nil, err
			}
		}
		err := l.paint(shape.Glyphs, p, tone)
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// paint adds a part of glyphs that are covered once where they touch.
func (l *Layer) paint(glyphs []mark.Glyph, p *placing, tone mark.Tone) error {
	c := newCells(l.width, l.height)
	for i := range glyphs {
		err := c.glyph(&glyphs[i], p)
		if err != nil {
			return fmt.Errorf("draw the mark: %w", err)
		}
	}
	l.parts = append(l.parts, part{color: tone.Color, alpha: tone.Opacity, rows: c.spans()})
	return nil
}

// Strip is some rows of a layer. It is used again and again, by one goroutine at a time.
type Strip struct {
	layer *Layer
	// Pix is four bytes a pixel, row by row: red, green and blue, each already multiplied by the fourth, the opacity.
	Pix   []byte
	rows  int
	dirty bool
}

// NewStrip returns a strip of at most rows rows.
func (l *Layer) NewStrip(rows int) *Strip {
	return &Strip{layer: l, Pix: make([]byte, 4*l.width*rows), rows: rows}
}

// Row is row y of the strip, counted from its first.
func (s *Strip) Row(y int) []byte { return s.Pix[4*s.layer.width*y:][:4*s.layer.width] }

// Draw makes s show the rows from first on, as many as it has; beyond the picture there is nothing. It calls touched for
// every run of pixels with ink, in row y of the strip from x0 to before x1, some more than once, and reports whether
// there is any.
func (s *Strip) Draw(first int, touched func(y, x0, x1 int)) bool {
	if s.dirty {
		clear(s.Pix)
		s.dirty = false
	}
	for i := range s.layer.parts {
		p := &s.layer.parts[i]
		for y := first; y < min(first+s.rows, s.layer.height); y++ {
			row := s.Row(y - first)
			for _, run := range p.rows[y] {
				s.dirty = true
				cover(row[4*run.x0:4*run.x1], p.color, int(run.share)*p.alpha)
				touched(y-first, int(run.x0), int(run.x1))
			}
		}
	}
	return s.dirty
}

// cover puts a colour over pixels.
func cover(pixels []byte, color [3]uint8, alpha int) {
	rest := whole - alpha
	r, g, b, a := int(color[0])*alpha+whole/2, int(color[1])*alpha+whole/2, int(color[2])*alpha+whole/2, 255*alpha+whole/2
	for len(pixels) >= 4 {
		p := pixels[:4:4]
		p[0] = byte((int(p[0])*rest + r) / whole)
		p[1] = byte((int(p[1])*rest + g) / whole)
		p[2] = byte((int(p[2])*rest + b) / whole)
		p[3] = byte((int(p[3])*rest + a) / whole)
		pixels = pixels[4:]
	}
}

// Over blends ink of a colour, multiplied by its opacity, over a sample of which 255 is the most.
func Over(sample, ink, opacity byte) byte {
	v := int(sample)*(255-int(opacity)) + 127
	return byte(min(255, v/255+int(ink)))
}

// Pixels counts, for each cell of a Texture, those that the mark covers.
func (l *Layer) Pixels() [source.Cells * source.Cells]int {
	var out [source.Cells * source.Cells]int
	for y := range l.height {
		for i := range l.parts {
			for _, run := range l.parts[i].rows[y] {
				out[source.Cell(int(run.x0), y, l.width, l.height)] += int(run.x1 - run.x0)
			}
		}
	}
	return out
}

package raster

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"strconv"

	"golang.org/x/image/vector"

	"github.com/filigreehq/filigree/pkg/mark"
)

// Base is a rendered page without a mark. It is immutable and safe for concurrent use.
type Base struct {
	size Size
	// depth is the number of bytes a pixel: 1 is grey, 4 red, green, blue and nothing.
	depth  int
	pixels []byte
	format format
	// scratch is the renderer's, for all its bases.
	scratch *scratch
}

// newBase keeps rgb, in grey if that is all it is.
func newBase(rgb []byte, size Size, s *scratch) *Base {
	n := size.Width * size.Height
	b := &Base{size: size, depth: 1, scratch: s}
	for i := 0; i < len(rgb); i += 3 {
		if rgb[i] != rgb[i+1] || rgb[i] != rgb[i+2] {
			b.depth = 4
			break
		}
	}
	b.pixels = make([]byte, n*b.depth)
	for i := range n {
		if b.depth == 1 {
			b.pixels[i] = rgb[3*i]
			continue
		}
		copy(b.pixels[4*i:], rgb[3*i:3*i+3])
		b.pixels[4*i+3] = 255
	}
	b.format = b.choose()
	return b
}

// Bytes is what the base takes in memory.
func (b *Base) Bytes() int64 { return int64(len(b.pixels)) }

// Size is the picture's.
func (b *Base) Size() Size { return b.size }

// Mark draws m on a copy of the base, which shows page, and returns it encoded.
func (b *Base) Mark(m *mark.Mark, page mark.Page) (Picture, error) {
	pixels := bytes.Clone(b.pixels)
	shapes := make([][]segment, len(m.Shapes()))
	for i, s := range m.Shapes() {
		var err error
		shapes[i], err = parse(s.Path)
		if err != nil {
			return Picture{}, err
		}
	}
	p := &painter{size: b.size, depth: b.depth, pixels: pixels, view: newView(page, b.size)}
	for _, use := range m.On(page) {
		p.paint(shapes[use.Shape], use)
	}
	return b.encode(pixels)
}

// painter draws on pixels.
type painter struct {
	size   Size
	depth  int
	pixels []byte
	view   view
	mask   []byte
	raster vector.Rasterizer
}

// paint fills a shape where use puts it.
func (p *painter) paint(shape []segment, use mark.Use) {
	to := p.view.after(use.Matrix)
	bounds := to.bounds(shape).Intersect(image.Rect(0, 0, p.size.Width, p.size.Height))
	if bounds.Empty() {
		return
	}
	w, h := bounds.Dx(), bounds.Dy()
	p.raster.Reset(w, h)
	p.raster.DrawOp = draw.Src
	to.e -= float64(bounds.Min.X)
	to.f -= float64(bounds.Min.Y)
	for _, s := range shape {
		switch s.op {
		case 'm':
			p.raster.MoveTo(to.point(s.at[0]))
		case 'l':
			p.raster.LineTo(to.point(s.at[0]))
		case 'c':
			ax, ay := to.point(s.at[0])
			bx, by := to.point(s.at[1])
			cx, cy := to.point(s.at[2])
			p.raster.CubeTo(ax, ay, bx, by, cx, cy)
		case 'h':
			p.raster.ClosePath()
		}
	}
	if len(p.mask) < w*h {
		p.mask = make([]byte, w*h)
	}
	mask := &image.Alpha{Pix: p.mask[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
	p.raster.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	p.blend(mask, bounds.Min, use.Tone)
}

// blend covers pixels with the tone as far as mask says.
func (p *painter) blend(mask *image.Alpha, at image.Point, tone mark.Tone) {
	const whole = 255 * 100
	gray := (tone.Gray*255 + 50) / 100
	channels := min(p.depth, 3)
	for y := range mask.Rect.Dy() {
		row := mask.Pix[y*mask.Stride : y*mask.Stride+mask.Rect.Dx()]
		start := ((at.Y+y)*p.size.Width + at.X) * p.depth
		for x, covered := range row {
			if covered == 0 {
				continue
			}
			alpha := int(covered) * tone.Opacity
			pixel := p.pixels[start+x*p.depth:]
			for c := range channels {
				pixel[c] = byte((int(pixel[c])*(whole-alpha) + gray*alpha + whole/2) / whole)
			}
		}
	}
}

// segment is one operator of a path.
type segment struct {
	op byte // m, l, c or h
	at [3]point
}

type point struct{ x, y float64 }

// parse reads a shape's outline.
func parse(path []byte) ([]segment, error) {
	var out []segment
	for line := range bytes.Lines(path) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		operator, operands := fields[len(fields)-1], fields[:len(fields)-1]
		s := segment{op: operator[0]}
		want, ok := map[byte]int{'m': 2, 'l': 2, 'c': 6, 'h': 0}[s.op]
		if !ok || len(operator) != 1 || len(operands) != want {
			return nil, fmt.Errorf("outline: %q is no line of one", line)
		}
		for i, operand := range operands {
			v, err := strconv.ParseInt(string(operand), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("outline: %w", err)
			}
			if i%2 == 0 {
				s.at[i/2].x = float64(v) / mark.PerEm
			} else {
				s.at[i/2].y = float64(v) / mark.PerEm
			}
		}
		out = append(out, s)
	}
	return out, nil
}

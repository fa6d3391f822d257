package paint

import (
	"image"
	"image/draw"
	"math"

	"golang.org/x/image/vector"

	"github.com/filigreehq/filigree/pkg/mark"
)

// pen makes masks of shapes, one after the other, in buffers of its own.
type pen struct {
	frame  image.Rectangle // what can be seen
	raster vector.Rasterizer
	single image.Alpha
	union  image.Alpha
}

// glyph returns what g covers, or nil if nothing of it can be seen.
func (t *pen) glyph(g *mark.Glyph, to View) *image.Alpha {
	o := outlineOf(g.Outline)
	to = to.moved(float64(g.X)/mark.PerEm, float64(g.Y)/mark.PerEm)
	r := to.bounds(o.min, o.max).Intersect(t.frame)
	if r.Empty() || len(o.segments) == 0 {
		return nil
	}
	t.raster.Reset(r.Dx(), r.Dy())
	t.raster.DrawOp = draw.Src
	to.e -= float64(r.Min.X)
	to.f -= float64(r.Min.Y)
	for i := range o.segments {
		s := &o.segments[i]
		switch s.op {
		case 'm':
			t.raster.MoveTo(to.pixel(s.at[0]))
		case 'l':
			t.raster.LineTo(to.pixel(s.at[0]))
		case 'c':
			ax, ay := to.pixel(s.at[0])
			bx, by := to.pixel(s.at[1])
			cx, cy := to.pixel(s.at[2])
			t.raster.CubeTo(ax, ay, bx, by, cx, cy)
		case 'h':
			t.raster.ClosePath()
		}
	}
	resize(&t.single, image.Rect(0, 0, r.Dx(), r.Dy()))
	t.raster.Draw(&t.single, t.single.Rect, image.Opaque, image.Point{})
	t.single.Rect = r
	return &t.single
}

// group returns what all glyphs of s cover together, or nil.
func (t *pen) group(s *mark.Shape, to View) *image.Alpha {
	var r image.Rectangle
	for i := range s.Glyphs {
		g := &s.Glyphs[i]
		o := outlineOf(g.Outline)
		r = r.Union(to.moved(float64(g.X)/mark.PerEm, float64(g.Y)/mark.PerEm).bounds(o.min, o.max))
	}
	r = r.Intersect(t.frame)
	if r.Empty() {
		return nil
	}
	resize(&t.union, r)
	clear(t.union.Pix)
	for i := range s.Glyphs {
		mask := t.glyph(&s.Glyphs[i], to)
		if mask != nil {
			unite(&t.union, mask)
		}
	}
	return &t.union
}

// resize makes a the size of r, with pixels that are anything.
func resize(a *image.Alpha, r image.Rectangle) {
	n := r.Dx() * r.Dy()
	if cap(a.Pix) < n {
		a.Pix = make([]byte, n)
	}
	a.Pix, a.Stride, a.Rect = a.Pix[:n], r.Dx(), r
}

func (v View) pixel(p point) (x, y float32) {
	px, py := v.Point(p.x, p.y)
	return float32(px), float32(py)
}

// bounds is a rectangle of whole pixels around the box from lower to upper.
func (v View) bounds(lower, upper point) image.Rectangle {
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	for _, p := range [4]point{lower, upper, {lower.x, upper.y}, {upper.x, lower.y}} {
		x, y := v.Point(p.x, p.y)
		minX, maxX = min(minX, x), max(maxX, x)
		minY, maxY = min(minY, y), max(maxY, y)
	}
	const far = 1 << 20 // beyond any picture, and within what an int holds
	whole := func(v float64) int { return int(max(-far, min(far, v))) }
	return image.Rect(whole(math.Floor(minX)), whole(math.Floor(minY)), whole(math.Ceil(maxX)), whole(math.Ceil(maxY)))
}

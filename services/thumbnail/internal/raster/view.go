package raster

import (
	"image"
	"math"

	"github.com/filigreehq/filigree/pkg/mark"
)

// affine takes (x, y) to (ax + cy + e, bx + dy + f), as in PDF.
type affine struct{ a, b, c, d, e, f float64 }

// then returns the map that does m first and n afterwards.
func (m affine) then(n affine) affine {
	return affine{
		a: m.a*n.a + m.b*n.c, b: m.a*n.b + m.b*n.d,
		c: m.c*n.a + m.d*n.c, d: m.c*n.b + m.d*n.d,
		e: m.e*n.a + m.f*n.c + n.e, f: m.e*n.b + m.f*n.d + n.f,
	}
}

func (m affine) point(p point) (x, y float32) {
	return float32(m.a*p.x + m.c*p.y + m.e), float32(m.b*p.x + m.d*p.y + m.f)
}

// bounds is a rectangle of whole pixels around shape; control points lie on the outline or outside of it.
func (m affine) bounds(shape []segment) image.Rectangle {
	minX, minY := math.Inf(1), math.Inf(1)
	maxX, maxY := math.Inf(-1), math.Inf(-1)
	count := map[byte]int{'m': 1, 'l': 1, 'c': 3}
	for _, s := range shape {
		for _, p := range s.at[:count[s.op]] {
			x, y := m.point(p)
			minX, maxX = min(minX, float64(x)), max(maxX, float64(x))
			minY, maxY = min(minY, float64(y)), max(maxY, float64(y))
		}
	}
	if maxX < minX {
		return image.Rectangle{}
	}
	const far = 1 << 20 // beyond any picture, and within what an int holds
	whole := func(v float64) int { return int(max(-far, min(far, v))) }
	return image.Rect(whole(math.Floor(minX)), whole(math.Floor(minY)), whole(math.Ceil(maxX)), whole(math.Ceil(maxY)))
}

// view takes a page's default user space to the pixels of its picture, y downwards.
type view struct{ affine }

func newView(p mark.Page, size Size) view {
	x0, y0, x1, y1 := p.Box[0], p.Box[1], p.Box[2], p.Box[3]
	w, h := seen(p)
	s := float64(max(size.Width, size.Height)) / max(w, h)
	switch ((p.Rotate % 360) + 360) % 360 {
	case 90:
		return view{affine{b: s, c: s, e: -y0 * s, f: -x0 * s}}
	case 180:
		return view{affine{a: -s, d: s, e: x1 * s, f: -y0 * s}}
	case 270:
		return view{affine{b: -s, c: -s, e: y1 * s, f: x1 * s}}
	}
	return view{affine{a: s, d: -s, e: -x0 * s, f: y1 * s}}
}

// after is the map of what matrix, in millionths, puts on the page.
func (v view) after(matrix [6]int64) affine {
	const micro = 1e6
	return affine{
		a: float64(matrix[0]) / micro, b: float64(matrix[1]) / micro, c: float64(matrix[2]) / micro,
		d: float64(matrix[3]) / micro, e: float64(matrix[4]) / micro, f: float64(matrix[5]) / micro,
	}.then(v.affine)
}

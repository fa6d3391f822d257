package paint

import (
	"math"

	"github.com/filigreehq/filigree/pkg/mark"
)

// View takes a page's default user space to the pixels of its picture, whose origin is the upper left corner: (x, y) to
// (ax + cy + e, bx + dy + f), as in PDF.
type View struct{ a, b, c, d, e, f float64 }

// NewView is the view of a picture that is width by height pixels and shows the page's box as it is looked at, turned
// and not stretched, from the upper left corner. Its longer side sets the scale, as pdftoppm's -scale-to does.
func NewView(p mark.Page, width, height int) View {
	x0, y0, x1, y1 := p.Box[0], p.Box[1], p.Box[2], p.Box[3]
	s := float64(max(width, height)) / longer(p)
	switch ((p.Rotate % 360) + 360) % 360 {
	case 90:
		return View{b: s, c: s, e: -y0 * s, f: -x0 * s}
	case 180:
		return View{a: -s, d: s, e: x1 * s, f: -y0 * s}
	case 270:
		return View{b: -s, c: -s, e: y1 * s, f: x1 * s}
	}
	return View{a: s, d: -s, e: -x0 * s, f: y1 * s}
}

// longer is the longer side of the page's box; that of a box that is none counts as 1.
func longer(p mark.Page) float64 {
	w, h := p.Box[2]-p.Box[0], p.Box[3]-p.Box[1]
	if !(w > 0 && h > 0) || math.IsInf(w/h, 0) || w/h == 0 {
		return 1
	}
	return max(w, h)
}

// Point returns where a point of the page lies in the picture.
func (v View) Point(x, y float64) (px, py float64) {
	return v.a*x + v.c*y + v.e, v.b*x + v.d*y + v.f
}

// after is the view of what matrix, in millionths, puts on the page.
func (v View) after(matrix [6]int64) View {
	var m [6]float64
	for i, n := range matrix {
		m[i] = float64(n) / 1e6
	}
	return View{
		a: m[0]*v.a + m[1]*v.c, b: m[0]*v.b + m[1]*v.d,
		c: m[2]*v.a + m[3]*v.c, d: m[2]*v.b + m[3]*v.d,
		e: m[4]*v.a + m[5]*v.c + v.e, f: m[4]*v.b + m[5]*v.d + v.f,
	}
}

// moved is the view with its origin at (x, y) of what v views.
func (v View) moved(x, y float64) View {
	v.e, v.f = v.Point(x, y)
	return v
}

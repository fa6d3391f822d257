package hidden

import "math"

// Frame maps the units of a strip or a ribbon to a suspect's page: x' = a·x + c·y + e, y' = b·x + d·y + f, in the order
// a b c d e f, as PDF writes matrices.
type Frame [6]float64

// Apply maps a point.
func (f Frame) Apply(x, y float64) (float64, float64) {
	return f[0]*x + f[2]*y + f[4], f[1]*x + f[3]*y + f[5]
}

// moved is f with its origin dx and dy units further on.
func (f Frame) moved(dx, dy float64) Frame {
	f[4], f[5] = f.Apply(dx, dy)
	return f
}

// Invert returns the frame that maps back, and whether there is one.
func (f Frame) Invert() (Frame, bool) {
	det := f[0]*f[3] - f[1]*f[2]
	if det == 0 || math.IsNaN(det) || math.IsInf(det, 0) {
		return Frame{}, false
	}
	inv := Frame{f[3] / det, -f[1] / det, -f[2] / det, f[0] / det, 0, 0}
	inv[4] = -(inv[0]*f[4] + inv[2]*f[5])
	inv[5] = -(inv[1]*f[4] + inv[3]*f[5])
	for _, v := range inv {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Frame{}, false
		}
	}
	return inv, true
}

// Scale is how long a unit is on the page, on average over directions.
func (f Frame) Scale() float64 { return math.Sqrt(math.Abs(f[0]*f[3] - f[1]*f[2])) }

// A pair is a point in units and where it was found.
type pair struct{ x, y, u, v float64 }

// similarity fits scale, rotation and translation to pairs by least squares, with a reflection or without, and returns
// the sum of the squared distances left, on the page.
func similarity(pairs []pair, mirrored bool) (Frame, float64) {
	sign := 1.0
	if mirrored {
		sign = -1
	}
	var mx, my, mu, mv float64
	for _, p := range pairs {
		mx, my, mu, mv = mx+p.x, my+p.y, mu+p.u, mv+p.v
	}
	n := float64(len(pairs))
	mx, my, mu, mv = mx/n, my/n, mu/n, mv/n
	// (u, sign·v) = (re + i·im) · (x + i·y)
	var re, im, norm, total float64
	for _, p := range pairs {
		x, y, u, v := p.x-mx, p.y-my, p.u-mu, sign*(p.v-mv)
		re += x*u + y*v
		im += x*v - y*u
		norm += x*x + y*y
		total += u*u + v*v
	}
	if norm == 0 {
		return Frame{}, math.Inf(1)
	}
	left := total - (re*re+im*im)/norm
	re, im = re/norm, im/norm
	f := Frame{re, sign * im, -im, sign * re, 0, 0}
	f[4] = mu - f[0]*mx - f[2]*my
	f[5] = mv - f[1]*mx - f[3]*my
	return f, math.Max(left, 0)
}

// A fit finds the frame that maps pairs best, if there is one.
type fit func(pairs []pair) (Frame, bool)

// alike is the better of the two similarities.
func alike(pairs []pair) (Frame, bool) {
	f, left := similarity(pairs, false)
	m, mirrored := similarity(pairs, true)
	if mirrored < left {
		f, left = m, mirrored
	}
	return f, !math.IsInf(left, 0) && !math.IsNaN(left)
}

// within reports whether f maps pairs to where they are, up to near units in root mean square.
func (f Frame) within(pairs []pair, near float64) bool {
	inv, ok := f.Invert()
	if !ok {
		return false
	}
	sum := 0.0
	for _, p := range pairs {
		x, y := inv.Apply(p.u, p.v)
		sum += (x-p.x)*(x-p.x) + (y-p.y)*(y-p.y)
	}
	return sum <= near*near*float64(len(pairs))
}

// maxStretch is by how much more one direction may be scaled than another.
const maxStretch = 4

// affine fits any linear map and translation to pairs by least squares. It refuses maps that all but flatten.
func affine(pairs []pair) (Frame, bool) {
	var mx, my, mu, mv float64
	for _, p := range pairs {
		mx, my, mu, mv = mx+p.x, my+p.y, mu+p.u, mv+p.v
	}
	n := float64(len(pairs))
	mx, my, mu, mv = mx/n, my/n, mu/n, mv/n
	var xx, xy, yy, xu, yu, xv, yv float64
	for _, p := range pairs {
		x, y, u, v := p.x-mx, p.y-my, p.u-mu, p.v-mv
		xx, xy, yy = xx+x*x, xy+x*y, yy+y*y
		xu, yu, xv, yv = xu+x*u, yu+y*u, xv+x*v, yv+y*v
	}
	det := xx*yy - xy*xy
	if !(det > 0) {
		return Frame{}, false
	}
	f := Frame{(xu*yy - yu*xy) / det, (xv*yy - yv*xy) / det, (yu*xx - xu*xy) / det, (yv*xx - xv*xy) / det, 0, 0}
	f[4] = mu - f[0]*mx - f[2]*my
	f[5] = mv - f[1]*mx - f[3]*my
	long := math.Max(math.Hypot(f[0], f[1]), math.Hypot(f[2], f[3]))
	area := math.Abs(f[0]*f[3] - f[1]*f[2])
	return f, area > 0 && long*long <= maxStretch*area
}

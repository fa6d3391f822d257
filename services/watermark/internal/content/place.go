package content

import (
	"math"
	"strconv"
)

// Matrix takes (x, y) to (ax + cy + e, bx + dy + f), as in PDF. Its operations give the same on every architecture: each
// product is rounded before it is added.
type Matrix [6]float64

var identity = Matrix{1, 0, 0, 1, 0, 0}

// Times returns the matrix that does m first and n afterwards.
func (m Matrix) Times(n Matrix) Matrix {
	return Matrix{
		float64(m[0]*n[0]) + float64(m[1]*n[2]), float64(m[0]*n[1]) + float64(m[1]*n[3]),
		float64(m[2]*n[0]) + float64(m[3]*n[2]), float64(m[2]*n[1]) + float64(m[3]*n[3]),
		float64(m[4]*n[0]) + float64(m[5]*n[2]) + n[4], float64(m[4]*n[1]) + float64(m[5]*n[3]) + n[5],
	}
}

// Point takes (x, y) where m does.
func (m Matrix) Point(x, y float64) (float64, float64) {
	return float64(m[0]*x) + float64(m[2]*y) + m[4], float64(m[1]*x) + float64(m[3]*y) + m[5]
}

func (m Matrix) determinant() float64 { return float64(m[0]*m[3]) - float64(m[1]*m[2]) }

// Invert returns the matrix that undoes m, and whether there is one that a reader's arithmetic would survive.
func (m Matrix) Invert() (Matrix, bool) {
	det := m.determinant()
	largest := 0.0
	for _, v := range m {
		if math.IsNaN(v) {
			return identity, false
		}
		largest = max(largest, math.Abs(v))
	}
	size := max(math.Abs(m[0]), math.Abs(m[1]), math.Abs(m[2]), math.Abs(m[3]))
	if !(size > 1e-4 && largest < 1e6 && math.Abs(det) > 1e-3*size*size) {
		return identity, false
	}
	return Matrix{
		m[3] / det, -m[1] / det, -m[2] / det, m[0] / det,
		(float64(m[2]*m[5]) - float64(m[3]*m[4])) / det, (float64(m[1]*m[4]) - float64(m[0]*m[5])) / det,
	}, true
}

// Append writes m as six PDF numbers, exact enough for any page.
func (m Matrix) Append(dst []byte) []byte {
	for i, v := range m {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendNumber(dst, v)
	}
	return dst
}

// appendNumber writes v to ten digits after the point, without those that say nothing.
func appendNumber(dst []byte, v float64) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', 10, 64)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[start:]) == "-0" {
		return append(dst[:start], '0')
	}
	return dst
}

// state is what q saves.
type state struct {
	ctm Matrix
	// known says that ctm is what the content made of it.
	known bool
	// clipped says that something outside of which nothing is painted was set; textClips that the next text will.
	clipped, textClips bool
}

// square is what an image covers.
func (s state) square() float64 { return math.Abs(s.ctm.determinant()) }

type box struct{ x0, y0, x1, y1 float64 }

var (
	nowhere    = box{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	everywhere = box{math.Inf(-1), math.Inf(-1), math.Inf(1), math.Inf(1)}
)

func (b *box) add(x, y float64) {
	b.x0, b.y0, b.x1, b.y1 = min(b.x0, x), min(b.y0, y), max(b.x1, x), max(b.y1, y)
}

func (b *box) area() float64 {
	if b.x1 <= b.x0 || b.y1 <= b.y0 {
		return 0
	}
	return (b.x1 - b.x0) * (b.y1 - b.y0)
}

// window is the last six operands that are numbers.
type window struct {
	words [6][]byte
	n     int
}

func (w *window) push(word []byte) {
	w.words[w.n%len(w.words)] = word
	w.n++
}

func (w *window) reset() { w.n = 0 }

// last returns the last n numbers, in their order, and whether there are as many and each is one.
func (w *window) last(n int) (v [6]float64, ok bool) {
	if w.n < n {
		return v, false
	}
	for i := range n {
		var err error
		v[i], err = strconv.ParseFloat(string(w.words[(w.n-n+i)%len(w.words)]), 64)
		if err != nil || math.IsNaN(v[i]) || math.IsInf(v[i], 0) {
			return v, false
		}
	}
	return v, true
}

// much is the share of a page that is too much to be painted over a mark.
const much = 1.0 / 50

// covered notes that area was painted over: what is drawn earlier may not be seen.
func (s *scanner) covered(area float64) {
	tooMuch := !s.state.known || area > much*s.view.Area
	s.covers = s.covers || tooMuch
	if tooMuch || s.view.Small > 0 && area > s.view.Small {
		s.places, s.gap = s.places[:0], 0
	}
}

// shows reports whether an operator shows text.
func shows(op string) bool { return op == "Tj" || op == "TJ" || op == "'" || op == "\"" }

// paint follows an operator that builds or paints a path, paints something else, or changes the state.
func (s *scanner) paint(op string) {
	s.painted = s.painted || shows(op)
	switch op {
	case "cm":
		m, ok := s.numbers.last(6)
		s.state.known = s.state.known && ok
		s.state.ctm = Matrix(m).Times(s.state.ctm)
	case "Tr":
		mode, ok := s.numbers.last(1)
		s.state.textClips = !ok || mode[0] >= 4
	case "m", "l":
		s.points(2)
	case "c":
		s.points(6)
	case "v", "y":
		s.points(4)
	case "h":
		s.path = true
	case "re":
		s.path = true
		r, ok := s.numbers.last(4)
		if !ok {
			s.bounds = everywhere
			return
		}
		for _, corner := range [4][2]float64{{r[0], r[1]}, {r[0] + r[2], r[1]}, {r[0], r[1] + r[3]}, {r[0] + r[2], r[1] + r[3]}} {
			s.bounds.add(s.state.ctm.Point(corner[0], corner[1]))
		}
	case "W", "W*":
		s.clip = true
	case "S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n":
		s.painted = s.painted || op != "n"
		if op != "n" && op != "S" && op != "s" {
			s.covered(s.bounds.area())
		}
		s.state.clipped = s.state.clipped || s.clip
		s.path, s.clip, s.bounds = false, false, nowhere
	case "sh":
		s.painted = true
		s.covered(math.Inf(1))
	case "Do":
		s.painted = true
		area := math.Inf(1)
		if s.view.Image != nil && len(s.name) > 0 && s.view.Image(string(s.name[1:])) {
			area = s.state.square()
		}
		s.covered(area)
	}
}

func (s *scanner) points(n int) {
	s.path = true
	p, ok := s.numbers.last(n)
	if !ok {
		s.bounds = everywhere
		return
	}
	for i := 0; i < n; i += 2 {
		s.bounds.add(s.state.ctm.Point(p[i], p[i+1]))
	}
}

const (
	// maxPlaces bounds what is kept of a long content; beyond it every other one goes.
	maxPlaces = 1 << 10
	firstGap  = 64
)

// place notes that something could be drawn here, if that is so.
func (s *scanner) place() {
	if s.view.Area <= 0 || s.path || s.text || s.marked > 0 || s.compatible > 0 || s.state.clipped || !s.state.known {
		return
	}
	if s.pos < len(s.in) && kinds[s.in[s.pos]] != space {
		return
	}
	at := len(opening) + s.pos
	if n := len(s.places); n > 0 && at-s.places[n-1].At < s.gap {
		return
	}
	_, ok := s.state.ctm.Invert()
	if !ok {
		return
	}
	if len(s.places) == maxPlaces {
		for i := range maxPlaces / 2 {
			s.places[i] = s.places[2*i]
		}
		s.places = s.places[:maxPlaces/2]
		s.gap *= 2
	}
	s.gap = max(s.gap, firstGap)
	s.places = append(s.places, Place{At: at, CTM: s.state.ctm})
}

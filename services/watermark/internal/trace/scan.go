package trace

import (
	"math"
	"slices"

	"github.com/filigreehq/filigree/services/watermark/internal/hidden"
)

// Limits bounds what is looked at. What is beyond them is left out, and the findings say so.
type Limits struct {
	// Pages of the document.
	Pages int
	// Content is how many bytes of content are gone through, forms counted each time they are used.
	Content int64
	// Points that are kept.
	Points int
}

// DefaultLimits are those of a tracer that was given none.
func DefaultLimits() Limits { return Limits{Pages: 20_000, Content: 512 << 20, Points: 600_000} }

const (
	// maxDepth is how deep forms nest.
	maxDepth = 24
	// maxSaved is how many graphics states are kept.
	maxSaved = 10_000
	// maxLine is how many points of one polyline are kept. A strip behind so many others is not found.
	maxLine = 20_000
	// maxGlyphs is how many painted paths are kept behind a ribbon.
	maxGlyphs = 300
)

// Shape is something found on a page that may carry an id: a strip if it has no Glyphs and stands open, or a ribbon.
type Shape struct {
	// Page counts from 1.
	Page   int
	Ribbon bool
	// Points are its vertices on the page. Glyphs are the first points of the paths filled after a ribbon.
	Points, Glyphs Points
}

// Findings are what a document has that may carry an id. Nothing in it is verified yet.
type Findings struct {
	Pages  int
	Shapes []Shape
	// Sealed are the sealed entries.
	Sealed [][]byte
	// Cut says that limits were met, and not everything was looked at.
	Cut bool
}

type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times is m, then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// form is what a name in the resources leads to.
type form interface {
	// content returns the decoded content of the form.
	content() []byte
	matrix() matrix
	// form looks up a form in its resources; nil if there is none of that name.
	form(name string) form
}

// scanner goes through the content of pages.
type scanner struct {
	limits   Limits
	left     int64 // bytes of content
	points   int   // that may still be kept
	findings *Findings

	page   int
	ribbon int // index of the shape whose glyphs come, -1 if none

	// The path under construction, in page space: those of its subpaths so far that can be of ours, and the last one.
	lines   [][][2]float64
	line    [][2]float64
	current [2]float64
	start   [2]float64
	first   [2]float64 // of the whole path
	begun   bool
	curved  bool
}

func newScanner(limits Limits, findings *Findings) *scanner {
	return &scanner{limits: limits, left: limits.Content, points: limits.Points, findings: findings}
}

// scan goes through a page, or what else is painted on it.
func (s *scanner) scan(page int, f form) {
	s.page, s.ribbon = page, -1
	s.run(f, identity, 0)
}

func (s *scanner) run(f form, base matrix, depth int) {
	in := f.content()
	s.left -= int64(len(in))
	if s.left < 0 {
		s.findings.Cut = true
		return
	}
	ctm := base
	var saved []matrix
	l := lexer{in: in}
	for {
		op := l.next()
		if op == nil {
			break
		}
		switch string(op) {
		case "q":
			if len(saved) < maxSaved {
				saved = append(saved, ctm)
			}
		case "Q":
			if n := len(saved); n > 0 {
				ctm, saved = saved[n-1], saved[:n-1]
			}
		case "cm":
			if v, ok := l.operands(6); ok {
				ctm = matrix(v).times(ctm)
			}
		case "Do":
			s.do(f, plain(l.name), ctm, depth)
		case "BI":
			l.skipImage()
		default:
			s.operator(string(op), &l, ctm)
		}
	}
	s.forget() // a path ends with its stream
}

func (s *scanner) do(in form, name string, ctm matrix, depth int) {
	f := in.form(name)
	if f == nil {
		return
	}
	if depth >= maxDepth {
		s.findings.Cut = true
		return
	}
	s.forget()
	s.run(f, f.matrix().times(ctm), depth+1)
}

func (s *scanner) operator(op string, l *lexer, ctm matrix) {
	switch op {
	case "m":
		if v, ok := l.operands(2); ok {
			s.move(at(ctm, v))
		}
	case "l":
		if v, ok := l.operands(2); ok {
			s.lineTo(at(ctm, v))
		}
	case "c":
		if v, ok := l.operands(6); ok {
			s.curveTo(at(ctm, v[4:]))
		}
	case "v", "y":
		if v, ok := l.operands(4); ok {
			s.curveTo(at(ctm, v[2:]))
		}
	case "re":
		if v, ok := l.operands(4); ok {
			s.move(at(ctm, v))
			s.curved = true
		}
	case "h":
		s.close()
	case "S", "s":
		s.paint(false)
	case "f", "F", "f*", "B", "B*", "b", "b*":
		s.paint(true)
	case "n":
		s.forget()
	}
}

func at(m matrix, v []float64) [2]float64 {
	return [2]float64{m[0]*v[0] + m[2]*v[1] + m[4], m[1]*v[0] + m[3]*v[1] + m[5]}
}

func (s *scanner) move(p [2]float64) {
	s.end()
	if !s.begun {
		s.begun, s.first = true, p
	}
	s.start, s.current = p, p
	s.line = append(s.line[:0], p)
}

func (s *scanner) lineTo(p [2]float64) {
	if !s.begun {
		return
	}
	if len(s.line) == 0 { // behind an h, a new subpath begins where the last one did
		s.line = append(s.line, s.current)
	}
	if len(s.line) < maxLine && !s.curved {
		s.line = append(s.line, p)
	}
	s.current = p
}

func (s *scanner) curveTo(p [2]float64) {
	if !s.begun {
		return
	}
	s.curved, s.current = true, p
}

func (s *scanner) close() {
	if !s.begun {
		return
	}
	s.end()
	s.current = s.start
}

// end ends a subpath. It is kept if it can be of ours.
func (s *scanner) end() {
	if len(s.line) >= hidden.Vertices && !s.curved && finite(s.line) {
		s.lines = append(s.lines, slices.Clone(s.line))
	}
	s.line, s.curved = s.line[:0], false
}

func finite(points [][2]float64) bool {
	for _, p := range points {
		if !(math.Abs(p[0]) < maxCoordinate && math.Abs(p[1]) < maxCoordinate) {
			return false
		}
	}
	return true
}

// maxCoordinate is beyond where anything of a page is seen.
const maxCoordinate = 1e6

func (s *scanner) forget() {
	s.lines, s.line, s.begun, s.curved = s.lines[:0], s.line[:0], false, false
}

// paint is told that the path is painted, filled or not.
func (s *scanner) paint(filled bool) {
	s.end()
	ours := false
	for _, line := range s.lines {
		ours = s.look(line, filled) || ours
	}
	if filled && !ours && s.begun && s.ribbon >= 0 {
		s.glyph(s.first)
	}
	s.forget()
}

// look keeps a polyline that has the shape of one of ours, and reports whether it is a ribbon.
func (s *scanner) look(line [][2]float64, filled bool) bool {
	if filled {
		_, ok := hidden.MatchRibbon(line)
		if ok && s.room(len(line)) {
			s.findings.Shapes = append(s.findings.Shapes, Shape{Page: s.page, Ribbon: true, Points: pack(line)})
			s.ribbon = len(s.findings.Shapes) - 1
		}
		if ok {
			return true
		}
	}
	window, ok := hidden.FindStrip(line)
	if ok && s.room(hidden.Vertices) {
		s.findings.Shapes = append(s.findings.Shapes, Shape{Page: s.page, Points: pack(window)})
	}
	return false
}

func (s *scanner) glyph(first [2]float64) {
	g := &s.findings.Shapes[s.ribbon].Glyphs
	if g.Len() >= maxGlyphs || !finite([][2]float64{first}) || !s.room(1) {
		s.ribbon = -1
		return
	}
	g.add(first)
}

// room takes n points from what may be kept.
func (s *scanner) room(n int) bool {
	if s.points < n {
		s.findings.Cut = true
		return false
	}
	s.points -= n
	return true
}

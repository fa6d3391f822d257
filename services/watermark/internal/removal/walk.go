package removal

import (
	"encoding/json"
	"math"
)

// matrix is a, b, c, d, e, f of PDF.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times returns the matrix that does m and then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

func (o op) matrix() matrix {
	var m matrix
	for i := range m {
		m[i] = o.number(i - 6)
	}
	return m
}

// state is what the graphics state says of how an instruction paints.
type state struct {
	ctm, text matrix
	// sheer is whether what is filled, or stroked, lets through what is below, or blends with it.
	sheer bool
}

// place is an instruction of a unit.
type place struct {
	unit string
	i    int
}

// walker follows a page's instructions as a viewer does.
type walker struct {
	d     *document
	visit func(place, op, state)
	// steps is what is left before a page that draws forms of forms of forms is left alone.
	steps int
}

const (
	maxSteps = 3_000_000
	maxDepth = 12
)

// walk calls visit for all instructions that a page executes, those of forms as often as they are drawn.
func (d *document) walk(page string, visit func(place, op, state)) {
	w := walker{d: d, visit: visit, steps: maxSteps}
	w.unit(page, state{ctm: identity, text: identity}, 0)
}

func (w *walker) unit(id string, s state, depth int) {
	u := w.d.units[id]
	var stack []state
	for i, o := range u.ops {
		w.steps--
		if w.steps < 0 {
			return
		}
		switch o.name {
		case "q":
			stack = append(stack, s)
		case "Q":
			if len(stack) > 0 {
				s, stack = stack[len(stack)-1], stack[:len(stack)-1]
			}
		case "cm":
			s.ctm = o.matrix().times(s.ctm)
		case "BT":
			s.text = identity
		case "Tm":
			s.text = o.matrix()
		case "gs":
			w.parameters(&s, w.d.dict(w.d.dict(u.res["/ExtGState"])[name(o.last())]))
		}
		w.visit(place{id, i}, o, s)
		form, x := w.d.target(u, o)
		_, known := w.d.units[form]
		if known && depth < maxDepth {
			in := s
			in.ctm = array(w.d.value(x["/Matrix"])).times(s.ctm)
			w.unit(form, in, depth+1)
		}
	}
}

// parameters applies a dictionary of graphics state parameters.
func (w *walker) parameters(s *state, gs dict) {
	opaque := func(key string) bool { return gs[key] == nil || number(w.d.value(gs[key])) >= 1 }
	said := gs["/ca"] != nil || gs["/CA"] != nil || gs["/SMask"] != nil || gs["/BM"] != nil
	if !said {
		return
	}
	mask, blend := w.d.value(gs["/SMask"]), w.d.value(gs["/BM"])
	s.sheer = !opaque("/ca") || !opaque("/CA") || mask != nil && mask != "/None" ||
		blend != nil && blend != "/Normal" && blend != "/Compatible"
}

func array(v any) matrix {
	list, ok := v.([]any)
	if !ok || len(list) != 6 {
		return identity
	}
	var m matrix
	for i, item := range list {
		m[i] = number(item)
	}
	return m
}

func number(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	f, err := n.Float64()
	if err != nil {
		return 0 // out of range
	}
	return f
}

// upright reports whether text runs from left to right on the page as it is shown, within a degree.
func (s state) upright(rotate float64) bool {
	m := s.text.times(s.ctm)
	angle := math.Atan2(m[1], m[0])*180/math.Pi - rotate
	off := math.Abs(math.Remainder(angle, 360))
	return off <= 1
}

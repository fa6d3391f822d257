package hidden

import "math"

const (
	// MaxNudge is how far a glyph's origin is moved at most, in each direction, in thousandths of an em.
	MaxNudge = latticePeriod / 2

	latticeStep   = 2
	latticePeriod = 16 * latticeStep
)

// Nudge returns by how much to move the origin of a form's glyph, so that the first point of its outline carries symbol
// glyph modulo Symbols of code. glyph counts the glyphs of one shape from 0 in painting order; first is where that
// point would be without, in the form's units. At most MaxNudge in each direction.
func Nudge(code [Symbols]byte, glyph int, first [2]int32) (dx, dy int32) {
	s := code[glyph%Symbols]
	return nudge(first[0], s>>4), nudge(first[1], s&15)
}

// nudge is the shortest way from v to a place that is latticeStep times value modulo the period.
func nudge(v int32, value byte) int32 {
	d := (int32(value)*latticeStep - v) % latticePeriod
	switch {
	case d > MaxNudge:
		d -= latticePeriod
	case d < -MaxNudge:
		d += latticePeriod
	}
	return d
}

// ReadGlyphs reads the first points of consecutive glyphs, found on the page, in the frame of the form's ribbon. Where
// glyphs disagree about a symbol, most of them decide.
func ReadGlyphs(frame Frame, firsts [][2]float64) Reading {
	r := Reading{Frame: frame}
	inv, ok := frame.Invert()
	var votes [Symbols]map[byte]float64
	sum := 0.0
	for g, p := range firsts {
		if !ok {
			break
		}
		x, y := inv.Apply(p[0], p[1])
		hi, offX := toLattice(x)
		lo, offY := toLattice(y)
		off := math.Max(math.Abs(offX), math.Abs(offY)) / latticeStep
		sum += off * off
		i := g % Symbols
		if votes[i] == nil {
			votes[i] = map[byte]float64{}
		}
		votes[i][byte(hi<<4|lo)] += 1 - off
	}
	for i := range votes {
		most := 0.0
		r.Erased[i] = true
		for s, weight := range votes[i] {
			if weight > most || weight == most && s < r.Symbols[i] {
				r.Symbols[i], r.Erased[i], most = s, false, weight
			}
		}
	}
	if len(firsts) > 0 {
		r.Spread = math.Sqrt(sum / float64(len(firsts)))
	}
	return r
}

// toLattice returns which of the 16 values v stands for, and how far it is from its place.
func toLattice(v float64) (value int, off float64) {
	n := math.Round(v / latticeStep)
	off = v - n*latticeStep
	n = math.Mod(n, 16)
	if n < 0 {
		n += 16
	}
	if math.IsNaN(n) {
		return 0, latticeStep / 2
	}
	return int(n) & 15, off
}

// Agree counts the symbols of r that are known, and those of them that are as in code.
func (r *Reading) Agree(code [Symbols]byte) (agree, known int) {
	for i := range code {
		if r.Erased[i] {
			continue
		}
		known++
		if r.Symbols[i] == code[i] {
			agree++
		}
	}
	return agree, known
}

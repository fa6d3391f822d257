package hidden

import (
	"cmp"
	"math"
	"slices"
)

const (
	// Vertices is how many a strip and a ribbon have.
	Vertices = 30

	// StripWidth and StripHeight are what a strip's coordinates stay below. One unit is meant to be 0.01 pt.
	StripWidth, StripHeight = 5000, 1000

	stripStep  = 20  // units that a symbol's half moves a vertex by, for each one more
	stripPitch = 171 // between vertices in x
	stripRise  = 980 // between vertices in y
)

// masks hide from a glance, and from programs that look for what repeats, that the strips of all pages carry the same:
// a strip of variant v carries the codeword xor masks[v].
var masks = func() (m [256][Symbols]byte) {
	state := uint64(0x66696c6967726565) // "filigree"; the generator is SplitMix64
	for v := range m {
		for i := range m[v] {
			state += 0x9e3779b97f4a7c15
			z := state
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			m[v][i] = byte((z ^ z>>31) >> 56)
		}
	}
	return m
}()

// Strip returns the vertices of the polyline that carries code: 0 <= x < StripWidth, 0 <= y < StripHeight. Strips of
// different variants share no vertex, so that a document whose pages take turns has no line that repeats. A strip is read back without knowing its variant.
func Strip(code [Symbols]byte, variant uint8) [Vertices][2]int32 {
	mask := &masks[variant]
	dx, dy := int32(variant%16), int32(variant/16) // both less than a step
	var out [Vertices][2]int32
	for k := range out {
		hi, lo := int32(0), int32(0)
		x, y := stripBase[k][0], stripBase[k][1]
		if i, ok := stripSymbol(k); ok {
			s := code[i] ^ mask[i]
			hi, lo = int32(s>>4), int32(s&15)
		}
		if k%2 == 1 {
			lo = -lo
		}
		out[k] = [2]int32{x + stripStep*hi + dx, y + stripStep*lo + dy}
	}
	return out
}

// stripBase is where each vertex is when it carries 0. The references at both ends are far apart, for a good fit, and not
// where a regular zigzag would have them, so that no such drawing is taken for a strip.
var stripBase = func() (base [Vertices][2]int32) {
	for k := range base {
		base[k] = [2]int32{int32(stripPitch*k) - 15*stripStep/2, int32(k % 2 * stripRise)}
	}
	base[0], base[1] = [2]int32{0, 0}, [2]int32{20, stripRise}
	base[Vertices-2], base[Vertices-1] = [2]int32{4740, 200}, [2]int32{4959, stripRise}
	return base
}()

var references = [...]int{0, 1, Vertices - 2, Vertices - 1}

// stripSymbol says which symbol vertex k carries, if any.
func stripSymbol(k int) (int, bool) { return k - 2, k >= 2 && k < Vertices-2 }

// Reading is what a strip, a ribbon or a row of glyphs was read as.
type Reading struct {
	// Symbols are a codeword's, as far as known; Erased says which are of no worth.
	Symbols [Symbols]byte
	Erased  [Symbols]bool
	// Frame is where it was found.
	Frame Frame
	// Spread is how far vertices are from where a symbol would put them: the square root of the mean square, in units
	// of the distance from one value to the next. Chance gives 0.4, a faithful copy less than 0.1.
	Spread float64

	doubt  [Symbols]float64 // distance of each symbol's vertex, in the same units
	masked bool             // it may be of any variant
	others []Reading        // what else it could have been read as, best first
}

// doubtful is the distance at which a symbol is rather not relied on.
const doubtful = 0.38

// Clear reports whether all that was read is close to where a symbol would put it, as in a faithful copy.
func (r *Reading) Clear() bool { return r.Spread < faithful }

// ID decodes what was read. verify says whether an id is ours; of several that could have been meant, the one that is
// ours is returned. An id that is not is returned only if it stands there beyond chance (see Sure). corrected is how
// many symbols had to be found or put right.
func (r *Reading) ID(verify func(ID) bool) (id ID, corrected int, ok bool) {
	id, corrected, ok = r.decode(verify)
	for i := range r.others {
		if ok && verify != nil && verify(id) {
			break
		}
		other, n, fits := r.others[i].decode(verify)
		if fits && (!ok || n < corrected || verify != nil && verify(other)) {
			id, corrected, ok = other, n, true
		}
	}
	return id, corrected, ok
}

// decode is ID for this one way of reading.
func (r *Reading) decode(verify func(ID) bool) (id ID, corrected int, ok bool) {
	doubted := r.Erased
	for i := range doubted {
		doubted[i] = doubted[i] || r.doubt[i] > doubtful
	}
	tries := [][Symbols]bool{doubted, r.Erased}
	if doubted == r.Erased {
		tries = tries[1:]
	}
	variants := masks[:]
	if !r.masked {
		variants = make([][Symbols]byte, 1)
	}
	for _, erased := range tries {
		for v := range variants {
			word := r.Symbols
			for i := range word {
				word[i] ^= variants[v][i]
			}
			found, n, fits := Decode(word, erased)
			if fits && verify != nil && verify(found) {
				return found, n, true
			}
			if fits && n <= Sure && (!ok || n < corrected) {
				id, corrected, ok = found, n, true
			}
		}
	}
	return id, corrected, ok
}

const (
	// stripNear is how far, in units and root mean square, the references of a strip may be from where they should be.
	stripNear = 30
	// stripSlack is how far beyond the room for its values a vertex may be. Half of them must be, to be seen as damaged.
	stripSlack = 60
)

// MatchStrip looks for a strip among consecutive points of a polyline, under any similarity or affine map. More points
// before and behind it do no harm. It reports whether something is there that has a strip's shape; whether it carries
// anything is for Reading.ID to say.
func MatchStrip(points [][2]float64) (Reading, bool) {
	_, r, ok := findStrip(points)
	return r, ok
}

// FindStrip returns the Vertices points that MatchStrip reads, and whether there are any.
func FindStrip(points [][2]float64) ([][2]float64, bool) {
	window, _, ok := findStrip(points)
	return window, ok
}

func findStrip(points [][2]float64) (window [][2]float64, best Reading, found bool) {
	points = distinct(points)
	best.Spread = math.Inf(1)
	for i := 0; i+Vertices <= len(points); i++ {
		r, ok := matchStrip(points[i : i+Vertices])
		if ok && r.Spread < best.Spread {
			window, best, found = points[i:i+Vertices], r, true
		}
	}
	return window, best, found
}

// distinct leaves out points that repeat the one before. points is not changed.
func distinct(points [][2]float64) [][2]float64 {
	for i := 1; i < len(points); i++ {
		if points[i] != points[i-1] {
			continue
		}
		out := append([][2]float64(nil), points[:i]...)
		for _, p := range points[i+1:] {
			if p != out[len(out)-1] {
				out = append(out, p)
			}
		}
		return out
	}
	return points
}

func matchStrip(points [][2]float64) (Reading, bool) {
	var refs [4]pair
	for i, k := range references {
		x, y := stripBase[k][0], stripBase[k][1]
		refs[i] = pair{float64(x), float64(y), points[k][0], points[k][1]}
	}
	var all []Reading
	for _, fit := range [...]fit{alike, affine} {
		frame, ok := fit(refs[:])
		if !ok || !frame.within(refs[:], stripNear) {
			continue
		}
		for _, by := range starts {
			r := Reading{Frame: frame.moved(by[0]*stripStep, by[1]*stripStep), masked: true}
			if !r.readStrip(points, refs[:], fit) {
				continue
			}
			if r.Spread < faithful {
				return r, true // what is scaled alike in all directions reads best as that
			}
			if !slices.ContainsFunc(all, func(o Reading) bool { return o.Symbols == r.Symbols }) {
				all = append(all, r)
			}
		}
	}
	if len(all) == 0 {
		return Reading{}, false
	}
	slices.SortStableFunc(all, func(a, b Reading) int { return cmp.Compare(a.Spread, b.Spread) })
	best := all[0]
	best.others = all[1:]
	return best, true
}

// starts are where the first fit may be relative to the truth, in steps: where coordinates were rounded coarsely, the
// references alone can mislead by half a step.
var starts = [...][2]float64{{0, 0}, {0.4, 0}, {-0.4, 0}, {0, 0.4}, {0, -0.4}}

// faithful is the spread of a reading that no other will improve on.
const faithful = 0.15

// readStrip reads the symbols, fits the frame anew to all vertices where those symbols put them, and reads again.
func (r *Reading) readStrip(points [][2]float64, refs []pair, fit fit) bool {
	for round := 0; ; round++ {
		inv, ok := r.Frame.Invert()
		if !ok {
			return false
		}
		pairs := append(make([]pair, 0, Vertices), refs...)
		sum, outside := 0.0, 0
		for k := range points {
			i, carries := stripSymbol(k)
			if !carries {
				continue
			}
			x, y := inv.Apply(points[k][0], points[k][1])
			bx, by := stripBase[k][0], stripBase[k][1]
			dx, dy := x-float64(bx), y-float64(by)
			if k%2 == 1 {
				dy = -dy
			}
			hi, offX := toStep(dx, stripStep, 15)
			lo, offY := toStep(dy, stripStep, 15)
			if math.Abs(offX) > stripSlack || math.Abs(offY) > stripSlack {
				outside++
			}
			off := math.Max(math.Abs(offX), math.Abs(offY)) / stripStep
			r.Symbols[i], r.Erased[i], r.doubt[i] = byte(hi<<4|lo), off > 0.5, off
			sum += math.Min(offX*offX+offY*offY, stripStep*stripStep)
			if off < 0.5 {
				y := float64(stripStep * lo)
				if k%2 == 1 {
					y = -y
				}
				pairs = append(pairs, pair{float64(bx) + float64(stripStep*hi), float64(by) + y, points[k][0], points[k][1]})
			}
		}
		if outside > Symbols/2 {
			return false
		}
		r.Spread = math.Sqrt(sum/Symbols) / stripStep
		if round == 2 {
			return true
		}
		frame, ok := fit(pairs)
		if !ok {
			return true // the first fit was good enough to come here
		}
		r.Frame = frame
	}
}

// toStep returns the value from 0 to top that is nearest to d when one more is step further, and the distance left.
func toStep(d, step float64, top int) (value int, off float64) {
	v := math.Round(d / step)
	v = math.Min(math.Max(v, 0), float64(top)) // of no number, none: the caller's inverse is finite, and so are points
	return int(v), d - v*step
}

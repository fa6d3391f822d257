package hidden

import "math"

// Where a ribbon is, in a form's units, thousandths of an em, measured from the lower edge of the text's box.
const (
	RibbonBottom, RibbonTop = -90, -30

	ribbonHeight = RibbonTop - RibbonBottom
	ribbonStep   = 4    // units that one more moves a vertex by
	ribbonLong   = 31   // greatest value along
	ribbonAcross = 7    // greatest value across
	ribbonGrain  = 1000 // widths are multiples of it
	ribbonMin    = 2 * ribbonGrain
	ribbonMax    = 128 * ribbonGrain
	perEdge      = Symbols / 2
)

// RibbonWidth is the width of the ribbon under a text box of the width given, from x = 0: about as wide, and never less
// than two ems.
func RibbonWidth(width int32) int32 {
	return min(max(width/ribbonGrain*ribbonGrain, ribbonMin), ribbonMax)
}

// Ribbon returns the vertices of the closed polygon that carries code under a text box of the width given, in the
// form's units: 0 <= x <= RibbonWidth(width), RibbonBottom <= y <= RibbonTop. It is to be filled, as one path of its
// own, before the glyphs.
func Ribbon(code [Symbols]byte, width int32) [Vertices][2]int32 {
	width = RibbonWidth(width)
	var out [Vertices][2]int32
	for k := range out {
		x, y, sign := ribbonBase(k, width)
		if i, ok := ribbonSymbol(k); ok {
			x += ribbonStep * int32(code[i]>>3)
			y += sign * ribbonStep * int32(code[i]&7)
		}
		out[k] = [2]int32{x, y}
	}
	return out
}

// ribbonSymbol says which symbol vertex k carries, if any; the four corners carry none.
func ribbonSymbol(k int) (int, bool) {
	switch {
	case k >= 1 && k <= perEdge:
		return k - 1, true
	case k >= perEdge+3 && k <= 2*perEdge+2:
		return k - 3, true
	}
	return 0, false
}

// ribbonBase is where vertex k is when it carries 0: along the lower edge and back along the upper one. sign is the
// direction across in which values grow: towards the other edge.
func ribbonBase(k int, width int32) (x, y, sign int32) {
	column := int32(k)
	y, sign = RibbonBottom, 1
	if k >= Vertices/2 {
		column = int32(Vertices - 1 - k)
		y, sign = RibbonTop, -1
	}
	x = width * column / (perEdge + 1)
	if _, ok := ribbonSymbol(k); ok {
		x -= ribbonStep * ribbonLong / 2
	}
	return x, y, sign
}

// The corners, in the order in which they are drawn: lower left, lower right, upper right, upper left.
var corners = [4]int{0, perEdge + 1, perEdge + 2, Vertices - 1}

const (
	ribbonNear  = 12   // units; as stripNear
	ribbonSlack = 30   // units; as stripSlack
	ribbonDoubt = 0.06 // how far a width estimated from the corners may be off, of the whole
)

// MatchRibbon reads the vertices of a filled polygon as a ribbon, under any similarity. A last point that repeats the
// first does no harm. It reports whether the polygon has a ribbon's shape.
func MatchRibbon(points [][2]float64) (Reading, bool) {
	points = distinct(points)
	if len(points) == Vertices+1 && points[Vertices] == points[0] {
		points = points[:Vertices]
	}
	if len(points) != Vertices {
		return Reading{}, false
	}
	ll, lr, ur, ul := points[corners[0]], points[corners[1]], points[corners[2]], points[corners[3]]
	along := (distance(ll, lr) + distance(ul, ur)) / 2
	across := (distance(ll, ul) + distance(lr, ur)) / 2
	guess := along / across * ribbonHeight
	if !(guess > ribbonMin/2 && guess < ribbonMax*2) {
		return Reading{}, false
	}
	best, found, decodes := Reading{Spread: math.Inf(1)}, false, false
	from := int32(math.Ceil(guess*(1-ribbonDoubt)/ribbonGrain)) * ribbonGrain
	to := int32(math.Floor(guess*(1+ribbonDoubt)/ribbonGrain)) * ribbonGrain
	for width := max(from, ribbonMin); width <= min(to, ribbonMax); width += ribbonGrain {
		r, ok := matchRibbon(points, width)
		if !ok {
			continue
		}
		_, _, fits := r.ID(nil)
		if fits && !decodes || fits == decodes && r.Spread < best.Spread {
			best, found, decodes = r, true, fits
		}
	}
	return best, found
}

func distance(a, b [2]float64) float64 { return math.Hypot(a[0]-b[0], a[1]-b[1]) }

func matchRibbon(points [][2]float64, width int32) (Reading, bool) {
	var refs [4]pair
	for i, k := range corners {
		x, y, _ := ribbonBase(k, width)
		refs[i] = pair{float64(x), float64(y), points[k][0], points[k][1]}
	}
	frame, ok := alike(refs[:])
	if !ok || !frame.within(refs[:], ribbonNear) {
		return Reading{}, false
	}
	r := Reading{Frame: frame}
	return r, r.readRibbon(points, refs[:], width)
}

// readRibbon is to a ribbon what readStrip is to a strip. The frame stays a similarity: a ribbon is too thin to tell how
// far up the glyphs are.
func (r *Reading) readRibbon(points [][2]float64, refs []pair, width int32) bool {
	for round := 0; ; round++ {
		inv, ok := r.Frame.Invert()
		if !ok {
			return false
		}
		pairs := append(make([]pair, 0, Vertices), refs...)
		sum, outside := 0.0, 0
		for k := range points {
			i, carries := ribbonSymbol(k)
			if !carries {
				continue
			}
			x, y := inv.Apply(points[k][0], points[k][1])
			bx, by, sign := ribbonBase(k, width)
			long, offX := toStep(x-float64(bx), ribbonStep, ribbonLong)
			across, offY := toStep((y-float64(by))*float64(sign), ribbonStep, ribbonAcross)
			if math.Abs(offX) > ribbonSlack || math.Abs(offY) > ribbonSlack {
				outside++
			}
			off := math.Max(math.Abs(offX), math.Abs(offY)) / ribbonStep
			r.Symbols[i], r.Erased[i], r.doubt[i] = byte(long<<3|across), off > 0.5, off
			sum += math.Min(offX*offX+offY*offY, ribbonStep*ribbonStep)
			if off < 0.5 {
				pairs = append(pairs, pair{
					float64(bx) + float64(ribbonStep*long), float64(by) + float64(int(sign)*ribbonStep*across),
					points[k][0], points[k][1],
				})
			}
		}
		if outside > Symbols/2 {
			return false
		}
		r.Spread = math.Sqrt(sum/Symbols) / ribbonStep
		if round == 2 {
			return true
		}
		frame, ok := alike(pairs)
		if !ok {
			return true // the first fit was good enough to come here
		}
		r.Frame = frame
	}
}

package mark

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync/atomic"
)

// Bitmap is a line of the mark as a small picture of one bit a pixel.
type Bitmap struct {
	Width, Height int
	// Rows run from the top down, each (Width+7)/8 bytes with the leftmost pixel in the highest bit; 1 is ink.
	Rows []byte
}

const (
	maxBitmapWidth  = 112
	minBitmapHeight = 10
	maxBitmapHeight = 13

	// The sizes that text is drawn in, in pixels to the em: the largest that fits.
	largestTile, smallestTile = 11, 8
	tileSizes                 = largestTile - smallestTile + 1
)

// Bitmap is the mark's first line, 10 to 13 pixels high and at most 112 wide. A longer line is cut at its end, between
// two glyphs.
func (m *Mark) Bitmap() Bitmap { return m.first.bitmap() }

// draw draws a line.
func draw(l *line) Bitmap {
	size := largestTile
	for size > smallestTile && (int(l.ink.right-l.ink.left)*size > maxBitmapWidth*em || int(l.ink.high-l.ink.low)*size > maxBitmapHeight*em) {
		size--
	}
	glyphs := l.glyphs
	left, right := extent(glyphs, size)
	for right-left > maxBitmapWidth && len(glyphs) > 1 {
		if l.leftward {
			glyphs = glyphs[1:]
		} else {
			glyphs = glyphs[:len(glyphs)-1]
		}
		left, right = extent(glyphs, size)
	}
	top, bottom := 0, 0
	for _, g := range glyphs {
		t, y := g.Outline.tile(size), pixels(g.Y, size)
		top, bottom = max(top, y+t.top), min(bottom, y+t.top-len(t.rows))
	}
	b := Bitmap{Width: max(1, min(maxBitmapWidth, right-left)), Height: max(minBitmapHeight, min(maxBitmapHeight, top-bottom))}
	b.Rows = make([]byte, 0, b.Height*((b.Width+7)/8))
	top = min(top, b.Height) // where there is too much of it, the upper part tells more
	var rows [maxBitmapHeight]scanLine
	for _, g := range glyphs {
		t := g.Outline.tile(size)
		x, y := pixels(g.X, size)+t.left-left, top-pixels(g.Y, size)-t.top
		for i, bits := range t.rows {
			if y+i >= 0 && y+i < b.Height {
				rows[y+i].add(x, bits)
			}
		}
	}
	for _, r := range rows[:b.Height] {
		b.Rows = r.append(b.Rows, b.Width)
	}
	return b
}

// scanLine is a row of a bitmap; the leftmost pixel is the highest bit of its first word.
type scanLine [2]uint64

// add inks pixels from column x on, which is not negative.
func (r *scanLine) add(x int, bits uint64) {
	r[0] |= bits >> x
	if x <= 64 {
		r[1] |= bits << (64 - x)
	} else {
		r[1] |= bits >> (x - 64)
	}
}

// append writes the first columns of a row.
func (r scanLine) append(to []byte, width int) []byte {
	if width <= 64 {
		r[0], r[1] = r[0]&^(1<<(64-width)-1), 0
	} else {
		r[1] &^= 1<<(128-width) - 1
	}
	var out [16]byte
	binary.BigEndian.PutUint64(out[:], r[0])
	binary.BigEndian.PutUint64(out[8:], r[1])
	return append(to, out[:(width+7)/8]...)
}

// extent is the first column that glyphs ink and the one after the last.
func extent(glyphs []Glyph, size int) (left, right int) {
	for i, g := range glyphs {
		t := g.Outline.tile(size)
		x := pixels(g.X, size) + t.left
		if i == 0 {
			left, right = x, x
		}
		left, right = min(left, x), max(right, x+t.width)
	}
	return left, right
}

func pixels(v int32, size int) int { return int(divide(int64(v)*int64(size), em)) }

// tile is a glyph in pixels.
type tile struct {
	left, top int // of its first pixel, right of the origin and above the baseline
	width     int
	rows      []uint64 // from the top; the leftmost pixel is the highest bit
}

// tiles are an outline's, by size.
type tiles [tileSizes]atomic.Pointer[tile]

func (o *Outline) tile(size int) *tile {
	at := &o.tiles[size-smallestTile]
	t := at.Load()
	if t == nil {
		t = o.scan(size)
		at.Store(t) // the same whoever makes it
	}
	return t
}

const (
	sub     = 64 // parts of a pixel
	samples = 8  // lines across a pixel's height
	steps   = 8  // lines to a curve
	enough  = sub * samples * 2 / 5
)

// edge is a side of an outline, in parts of a pixel.
type edge struct{ x0, y0, x1, y1 int64 }

// scan converts the outline to pixels: one is ink if two fifths of it are covered, by the non-zero winding rule.
func (o *Outline) scan(size int) *tile {
	edges := o.flatten(int64(size))
	if len(edges) == 0 {
		return &tile{}
	}
	left, right, low, high := edges[0].x0, edges[0].x0, edges[0].y0, edges[0].y0
	for _, e := range edges {
		left, right, low, high = min(left, e.x0), max(right, e.x0), min(low, e.y0), max(high, e.y0)
	}
	t := &tile{left: int(floor(left, sub)), top: int(floor(high+sub-1, sub))}
	t.width = min(64, int(floor(right+sub-1, sub))-t.left)
	bottom := int(floor(low, sub))
	var crossings []crossing
	for y := t.top - 1; y >= bottom; y-- {
		var covered [64]int64
		for s := range int64(samples) {
			crossings = cross(crossings[:0], edges, int64(y)*sub+s*sub/samples+sub/samples/2)
			cover(&covered, crossings, int64(t.left)*sub)
		}
		var bits uint64
		for x, c := range covered {
			if c >= enough {
				bits |= 1 << (63 - x)
			}
		}
		t.rows = append(t.rows, bits)
	}
	return t
}

// crossing is where a line across meets an edge that goes up (1) or down (-1).
type crossing struct {
	x  int64
	up int
}

func cross(to []crossing, edges []edge, y int64) []crossing {
	for _, e := range edges {
		up := 1
		if e.y0 > e.y1 {
			e, up = edge{e.x1, e.y1, e.x0, e.y0}, -1
		}
		if y >= e.y0 && y < e.y1 {
			to = append(to, crossing{e.x0 + divide((e.x1-e.x0)*(y-e.y0), e.y1-e.y0), up})
		}
	}
	slices.SortFunc(to, func(a, b crossing) int { return int(a.x - b.x) })
	return to
}

// cover adds what lies between crossings to the pixels from left.
func cover(covered *[64]int64, crossings []crossing, left int64) {
	wound := 0
	for i, c := range crossings {
		if wound != 0 {
			from, to := crossings[i-1].x-left, c.x-left
			for x := max(0, from/sub); x < int64(len(covered)) && x*sub < to; x++ {
				covered[x] += min(to, x*sub+sub) - max(from, x*sub)
			}
		}
		wound += c.up
	}
}

// flatten turns the outline into straight edges.
func (o *Outline) flatten(size int64) []edge {
	var edges []edge
	var start, at [2]int64
	line := func(to [2]int64) {
		edges = append(edges, edge{at[0], at[1], to[0], to[1]})
		at = to
	}
	for op := range bytes.Lines(o.Path) {
		var q [3][2]int64
		for i, v := range numbers(op) {
			q[i/2][i%2] = divide(v*size*sub, em)
		}
		switch op[len(op)-2] {
		case 'm':
			start, at = q[0], q[0]
		case 'l':
			line(q[0])
		case 'c':
			from := at
			for k := range int64(steps) {
				a, b := steps-k-1, k+1
				var to [2]int64
				for i := range to {
					to[i] = divide(a*a*a*from[i]+3*a*a*b*q[0][i]+3*a*b*b*q[1][i]+b*b*b*q[2][i], steps*steps*steps)
				}
				line(to)
			}
		case 'h':
			line(start)
		}
	}
	return edges
}

// numbers reads the whole numbers before an operator of ours.
func numbers(op []byte) []int64 {
	out := make([]int64, 0, 6)
	var v, sign int64 = 0, 1
	for _, c := range op {
		switch {
		case c == '-':
			sign = -1
		case c >= '0' && c <= '9':
			v = v*10 + int64(c-'0')
		case c == ' ':
			out = append(out, v*sign)
			v, sign = 0, 1
		}
	}
	return out
}

func floor(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}

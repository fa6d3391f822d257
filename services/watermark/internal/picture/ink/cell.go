package ink

import (
	"cmp"
	"slices"
)

// Coordinates are fixed-point with this many bits below a pixel.
const (
	subBits = 8
	sub     = 1 << subBits
)

// cell is what an outline leaves in one pixel that it passes through: how far it goes down in it (cover), and twice the
// area between it and the pixel's left side (area), both signed by its direction. What lies to the right of a pixel is
// covered by the sum of all covers to its left, and so every pixel's share is exact without looking at the others.
type cell struct {
	x, cover, area int32
}

// cells collects outlines over a picture. Pixels left of it are kept as one column, since what they cover reaches in.
type cells struct {
	width, height int64
	rows          [][]cell
}

func newCells(width, height int) *cells {
	return &cells{width: int64(width), height: int64(height), rows: make([][]cell, height)}
}

// add puts something in the pixel (x, y), which is in a row of the picture.
func (c *cells) add(x, y, cover, area int64) {
	switch {
	case cover == 0 && area == 0 || x >= c.width:
		return
	case x < 0:
		x, area = -1, 0
	}
	row := c.rows[y]
	n := len(row)
	if n > 0 && row[n-1].x == int32(x) {
		row[n-1].cover += int32(cover)
		row[n-1].area += int32(area)
		return
	}
	c.rows[y] = append(row, cell{int32(x), int32(cover), int32(area)})
}

// line adds the line from (x0, y0) to (x1, y1).
func (c *cells) line(x0, y0, x1, y1 int64) {
	if y0 == y1 {
		return
	}
	// The same line in either direction passes through the same points, so that outlines that touch leave no seam.
	sign := int64(1)
	if y0 > y1 {
		x0, y0, x1, y1, sign = x1, y1, x0, y0, -1
	}
	first, last := max(y0>>subBits, 0), min((y1-1)>>subBits, c.height-1)
	for y := first; y <= last; y++ {
		top, bottom := max(y0, y<<subBits), min(y1, (y+1)<<subBits)
		from := x0 + floor((x1-x0)*(top-y0), y1-y0)
		to := x0 + floor((x1-x0)*(bottom-y0), y1-y0)
		c.across(y, from, to, bottom-top, sign)
	}
}

// across adds the part of a line within row y: from one x to another while it goes down by depth.
func (c *cells) across(y, from, to, depth, sign int64) {
	left, right := min(from, to), max(from, to)
	first, last := left>>subBits, right>>subBits
	if first == last || right < 0 {
		c.add(first, y, sign*depth, sign*depth*(left+right-2*(first<<subBits)))
		return
	}
	if first < 0 { // what is out on the left counts as one
		out := floor(depth*-left, right-left)
		c.add(-1, y, sign*out, 0)
		c.part(y, 0, min(last, c.width), left, right, out, depth, sign)
		return
	}
	c.part(y, first, min(last, c.width), left, right, 0, depth, sign)
}

// part adds pixels first to last of a line that goes from left to right while it goes down by depth, done of which is
// added already.
func (c *cells) part(y, first, last, left, right, done, depth, sign int64) {
	for x := first; x <= last; x++ {
		begin, end := max(left, x<<subBits), min(right, (x+1)<<subBits)
		now := floor(depth*(end-left), right-left)
		step := now - done
		done = now
		c.add(x, y, sign*step, sign*step*(begin+end-2*(x<<subBits)))
	}
}

// span is a run of pixels covered alike: x0 is in it, x1 is not.
type span struct {
	x0, x1 int32
	share  uint8 // 255 is all
}

// spans returns what is covered, row by row. Where outlines cover a pixel more than once it counts once.
func (c *cells) spans() [][]span {
	out := make([][]span, len(c.rows))
	for y, row := range c.rows {
		if len(row) > 0 {
			out[y] = sweep(row, int32(c.width))
		}
	}
	return out
}

func sweep(row []cell, width int32) []span {
	slices.SortFunc(row, func(a, b cell) int { return cmp.Compare(a.x, b.x) })
	var out []span
	var cover int32
	for i := 0; i < len(row); {
		x, area := row[i].x, int32(0)
		for ; i < len(row) && row[i].x == x; i++ {
			cover += row[i].cover
			area += row[i].area
		}
		if x >= 0 {
			out = extend(out, span{x, x + 1, share(cover*2*sub - area)})
		}
		next := width
		if i < len(row) {
			next = row[i].x
		}
		if next > x+1 {
			out = extend(out, span{x + 1, next, share(cover * 2 * sub)})
		}
	}
	return out
}

// share turns twice an area, of which a pixel has 2*sub*sub, into parts of 255.
func share(area int32) uint8 {
	if area < 0 {
		area = -area
	}
	return uint8(min(255, area>>(subBits+1)))
}

func extend(out []span, s span) []span {
	if s.share == 0 {
		return out
	}
	n := len(out)
	if n > 0 && out[n-1].x1 == s.x0 && out[n-1].share == s.share {
		out[n-1].x1 = s.x1
		return out
	}
	return append(out, s)
}

// floor divides a by b, which is positive, downwards.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

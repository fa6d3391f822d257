package mark

import "math"

// frame is a page as it is looked at: upright, its lower left corner the origin, lengths in millionths of 1/72 inch.
type frame struct {
	w, h   int64
	box    [4]int64 // millionths of a user space unit
	unit   int64    // millionths
	rotate int
}

func newFrame(p Page) frame {
	f := frame{rotate: ((p.Rotate % 360) + 360) % 360, unit: micro}
	if p.Unit > 0 {
		f.unit = max(fixedPoint(p.Unit), micro/1000) // a smaller one says nothing
	}
	for i, v := range p.Box {
		f.box[i] = fixedPoint(v)
	}
	// A unit that makes the page larger than anything is made smaller: the mark grows with the page all the same.
	side := max(f.box[2]-f.box[0], f.box[3]-f.box[1])/micro + 1
	f.unit = min(f.unit, maxLength/side)
	f.w = scale(f.box[2]-f.box[0], f.unit)
	f.h = scale(f.box[3]-f.box[1], f.unit)
	if f.rotate == 90 || f.rotate == 270 {
		f.w, f.h = f.h, f.w
	}
	return f
}

// maxLength is far beyond any page, and small enough for the products above.
const maxLength = 200_000 * micro

func fixedPoint(v float64) int64 {
	return int64(math.Round(max(-maxLength, min(maxLength, v*micro))))
}

// scale multiplies a length by a unit without overflow, within what a page may measure and at least a hair.
func scale(length, unit int64) int64 {
	whole := length/micro*unit + length%micro*(unit/1000)/1000
	return max(micro/100, min(maxLength, whole))
}

// matrix is the one that turns a shape's x axis to (a, b) and moves its origin to (x, y), both of the upright page, in
// the terms of the page's own coordinates.
func (f frame) matrix(a, b, x, y int64) [6]int64 {
	a, b, x, y = f.user(a), f.user(b), f.user(x), f.user(y)
	switch f.rotate {
	case 90:
		return [6]int64{-b, a, -a, -b, f.box[2] - y, f.box[1] + x}
	case 180:
		return [6]int64{-a, -b, b, -a, f.box[2] - x, f.box[3] - y}
	case 270:
		return [6]int64{b, -a, a, b, f.box[0] + y, f.box[3] - x}
	}
	return [6]int64{a, b, -b, a, f.box[0] + x, f.box[1] + y}
}

// user converts a length to user space units.
func (f frame) user(v int64) int64 {
	return v/f.unit*micro + v%f.unit*micro/f.unit
}

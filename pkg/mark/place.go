package mark

import (
	"math"
	"strconv"
)

// Mark is a mark ready to be put on pages. It is immutable and safe for concurrent use.
type Mark struct {
	lines  []string
	shapes []Shape
}

// Compose fills template with fields and outlines the text. Errors are *Error, except for a defect of ours.
func Compose(template string, fields map[string]string) (*Mark, error) {
	lines, err := Fill(template, fields)
	if err != nil {
		return nil, err
	}
	s, err := newSetter()
	if err != nil {
		return nil, err
	}
	set := make([]line, len(lines))
	for i, text := range lines {
		set[i], err = s.line(text)
		if err != nil {
			return nil, err
		}
	}
	large, err := s.block(set)
	if err != nil {
		return nil, err
	}
	one, err := s.line(joined(lines))
	if err != nil {
		return nil, err
	}
	small, err := s.block([]line{one})
	if err != nil {
		return nil, err
	}
	return &Mark{lines: lines, shapes: []Shape{large, small}}, nil
}

// Lines is the text of the mark.
func (m *Mark) Lines() []string { return m.lines }

// Shapes are the outlines that the mark's uses refer to, by index.
func (m *Mark) Shapes() []Shape { return m.shapes }

// Page is where a mark goes.
type Page struct {
	// Box is what is visible, in default user space units: x0 < x1, y0 < y1, none beyond 200,000.
	Box [4]float64
	// Rotate is how far the page is turned clockwise for display: 0, 90, 180 or 270.
	Rotate int
	// Unit is the size of a user space unit in 1/72 inch; 0 counts as 1.
	Unit float64
}

// Tone is how a shape is filled, in percent.
type Tone struct {
	Gray    int // 0 is black
	Opacity int
}

// Use is one shape on one page.
type Use struct {
	Shape int
	Tone  Tone
	// Matrix takes ems of the shape to the page's default user space, in millionths: a b c d e f.
	Matrix [6]int64
}

var (
	// Grey that shows on light grounds and lets text through, and beneath it, a little aside, white that shows on dark
	// and on middling ones. Neither alone is seen everywhere.
	veil  = Tone{Gray: 40, Opacity: 24}
	light = Tone{Gray: 100, Opacity: 18}
	// Small text needs more.
	plain = Tone{Gray: 40, Opacity: 75}
)

const (
	micro = 1_000_000

	fill       = 88 // percent of the page that the large mark may take in each direction
	largest    = 9  // its em is at most 1/9 of the page's shorter side
	footerSize = 7 * micro
	footerRise = 10 * micro // from the lower edge to the footer's box
	aside      = 50         // the light is moved by 1/50 of an em
)

// On places the mark on a page: once large along the diagonal, once small at the foot.
func (m *Mark) On(p Page) []Use {
	f := newFrame(p)
	return append(m.diagonal(f), m.footer(f))
}

func (m *Mark) diagonal(f frame) []Use {
	s := m.shapes[0]
	d := int64(math.Sqrt(float64(f.w/1000*(f.w/1000) + f.h/1000*(f.h/1000)))) // whole thousandths: exact everywhere
	cos, sin := f.w/1000*micro/d, f.h/1000*micro/d
	across := (s.Width*cos+s.Height*sin)/micro + 1
	up := (s.Width*sin+s.Height*cos)/micro + 1
	size := min(f.w/100*fill*em/across, f.h/100*fill*em/up, min(f.w, f.h)/largest)
	a, b := size*cos/micro, size*sin/micro
	// The middle of the shape comes to the middle of the page.
	x := f.w/2 - (s.Width*a-s.Height*b)/(2*em)
	y := f.h/2 - (s.Width*b+s.Height*a)/(2*em)
	return []Use{
		{Shape: 0, Tone: light, Matrix: f.matrix(a, b, x+size/aside, y-size/aside)},
		{Shape: 0, Tone: veil, Matrix: f.matrix(a, b, x, y)},
	}
}

func (m *Mark) footer(f frame) Use {
	s := m.shapes[1]
	size := min(footerSize, f.w/100*fill*em/(s.Width+1), f.h/20)
	x := (f.w - s.Width*size/em) / 2
	return Use{Shape: 1, Tone: plain, Matrix: f.matrix(size, 0, x, min(footerRise, f.h/30))}
}

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
		f.unit = fixedPoint(p.Unit)
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

// AppendMatrix writes m as six PDF numbers.
func AppendMatrix(dst []byte, m [6]int64) []byte {
	for i, v := range m {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendNumber(dst, v)
	}
	return dst
}

// appendNumber writes v millionths without trailing zeros.
func appendNumber(dst []byte, v int64) []byte {
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	dst = strconv.AppendInt(dst, v/micro, 10)
	rest := v % micro
	if rest == 0 {
		return dst
	}
	digits := strconv.AppendInt(nil, micro+rest, 10)[1:]
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	dst = append(dst, '.')
	return append(dst, digits...)
}

package mark

import "math"

// MaxUses is the largest number of a mark's uses on a page.
const MaxUses = 2*maxTiles + 2

const (
	fill = 88 // percent of the page that any part of the mark may take in each direction

	largest = 9 // the em of the large mark is at most 1/9 of the page's shorter side, if it is fitted to the page

	tileEm   = 24 // the em of a tile is 1/24 of the page's shorter side, if it is fitted
	tileFill = 36 // percent of the page that a tile may take in each direction, so that there are some
	maxTiles = 24
	// Tiles rise by 30 degrees.
	tileCos, tileSin = 866_025, 500_000

	bandSize   = 12 * micro // of a header or a footer, if fitted
	bandFill   = 20         // percent of the page's height that they may take
	cornerSize = 9 * micro
	cornerFill = 42 // percent of the page that a corner may take in each direction
	rowSize    = 7 * micro
	rowFill    = 5          // percent of the page's height that the small line may take
	inset      = 10 * micro // from the page's edge to what stands at it
	aside      = 50         // the light is moved by 1/50 of an em
)

// layer gathers the mark's uses on a page.
type layer struct {
	frame
	mark  *Mark
	level int
	uses  []Use
}

// size is the em of text that fits into w by h and is no larger than asked for, or than fitted if nothing was.
func (l *layer) size(shape int, w, h, fitted int64) int64 {
	if l.mark.look.size > 0 {
		fitted = l.mark.look.size * micro
	}
	return fit(&l.mark.shapes[shape], w, h, fitted)
}

func fit(s *Shape, w, h, size int64) int64 {
	return max(1, min(size, w*em/(int64(s.Width)+1), h*em/(int64(s.Height)+1)))
}

// upright places a shape with its origin at (x, y), and a little aside and beneath it its halo.
func (l *layer) upright(shape int, size, x, y int64) {
	l.uses = append(l.uses,
		Use{Shape: shape, Tone: toneHalo, Matrix: l.matrix(size, 0, x+size/aside, y-size/aside)},
		Use{Shape: shape, Tone: toneInk, Matrix: l.matrix(size, 0, x, y)})
}

// turned places the block with its middle at (x, y), turned by an angle, and a little aside and beneath it its light.
func (l *layer) turned(size, cos, sin, x, y int64) {
	s := &l.mark.shapes[blockShape]
	width, height := int64(s.Width), int64(s.Height)
	a, b := size*cos/micro, size*sin/micro
	x, y = x-(width*a-height*b)/(2*em), y-(width*b+height*a)/(2*em)
	l.uses = append(l.uses,
		Use{Shape: blockShape, Tone: toneLight, Matrix: l.matrix(a, b, x+size/aside, y-size/aside)},
		Use{Shape: blockShape, Tone: toneVeil, Matrix: l.matrix(a, b, x, y)})
}

// spans is what the block takes when it is turned, in units, across and up.
func (l *layer) spans(cos, sin int64) (across, up int64) {
	s := &l.mark.shapes[blockShape]
	width, height := int64(s.Width), int64(s.Height)
	return (width*cos+height*sin)/micro + 1, (width*sin+height*cos)/micro + 1
}

// diagonal is the block once along the page's diagonal.
func (l *layer) diagonal() {
	w, h := l.w/1000, l.h/1000
	d := int64(math.Sqrt(float64(w*w + h*h))) // of a whole number and back to one: the same everywhere
	cos, sin := w*micro/d, h*micro/d
	across, up := l.spans(cos, sin)
	size := min(l.w, l.h) / largest
	if l.mark.look.size > 0 {
		size = l.mark.look.size * micro
	}
	size = max(1, min(size, l.w/100*fill*em/across, l.h/100*fill*em/up))
	l.turned(size, cos, sin, l.w/2, l.h/2)
}

// tiles is the block many times, in rows of which every other is shifted by half a tile.
func (l *layer) tiles() {
	across, up := l.spans(tileCos, tileSin)
	size := min(l.w, l.h) / tileEm
	if l.mark.look.size > 0 {
		size = l.mark.look.size * micro
	}
	size = max(1, min(size, l.w/100*tileFill*em/across, l.h/100*tileFill*em/up))
	// Each tile has a quarter of an em about it.
	w, h := across*size/em+size/2, up*size/em+size/2
	columns, rows := max(1, min(maxTiles, l.w/100*fill/w)), max(1, min(maxTiles, l.h/100*fill/h))
	for columns*rows > maxTiles { // fewer in the direction in which they stand closer
		if columns > 1 && l.w/columns/1000*(h/1000) < l.h/rows/1000*(w/1000) || rows == 1 {
			columns--
		} else {
			rows--
		}
	}
	stepX, stepY := l.w/columns, l.h/rows
	for row := range rows {
		// Where there is room for half a tile, rows are shifted by it in turns to the left and to the right.
		shift := max(0, min(stepX/4, (stepX-w)/2))
		if row%2 == 0 {
			shift = -shift
		}
		for column := range columns {
			l.turned(size, tileCos, tileSin, stepX*column+stepX/2+shift, stepY*row+stepY/2)
		}
	}
}

// header is the block at the top of the page.
func (l *layer) header() {
	size := l.size(blockShape, l.w/100*fill, l.h/100*bandFill, bandSize)
	width, height := l.extent(blockShape, size)
	l.upright(blockShape, size, (l.w-width)/2, l.h-l.edge()-height)
}

// footer is the block at the foot of the page.
func (l *layer) footer() {
	size := l.size(blockShape, l.w/100*fill, l.h/100*bandFill, bandSize)
	width, _ := l.extent(blockShape, size)
	l.upright(blockShape, size, (l.w-width)/2, l.edge())
}

// corners is the block in each of the page's corners.
func (l *layer) corners() {
	size := l.size(blockShape, l.w/100*cornerFill, l.h/100*cornerFill, cornerSize)
	width, height := l.extent(blockShape, size)
	edge := l.edge()
	for _, y := range []int64{l.h - edge - height, edge} {
		for _, x := range []int64{edge, l.w - edge - width} {
			l.upright(blockShape, size, x, y)
		}
	}
}

// row is the small line at the foot of the page. It has a halo, too, where the mark must be strong or is pale itself.
func (l *layer) row() {
	size := fit(&l.mark.shapes[rowShape], l.w/100*fill, l.h/100*rowFill, rowSize)
	width, _ := l.extent(rowShape, size)
	l.upright(rowShape, size, (l.w-width)/2, l.edge())
	if l.level <= 0 && !pale(l.mark.look.color) {
		l.uses = append(l.uses[:len(l.uses)-2], l.uses[len(l.uses)-1])
	}
}

// edge is how far from the page's edges anything stays.
func (l *layer) edge() int64 { return min(inset, l.h/30, l.w/30) }

// extent is the size of a shape's box.
func (l *layer) extent(shape int, size int64) (width, height int64) {
	s := &l.mark.shapes[shape]
	return int64(s.Width) * size / em, int64(s.Height) * size / em
}

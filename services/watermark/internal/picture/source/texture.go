package source

import "math"

// Cells is how many cells a Texture has from side to side, and from top to bottom.
const Cells = 32

// Texture tells how restless a picture is, as it is stored: for each cell of a grid over it, row by row, the standard
// deviation of brightness that a quarter of the cell's blocks of 8 by 8 pixels have at most.
type Texture [Cells * Cells]uint8

// Cell is the number of the cell that pixel (x, y) of a picture of width by height is in.
func Cell(x, y, width, height int) int {
	return min(Cells-1, y*Cells/height)*Cells + min(Cells-1, x*Cells/width)
}

// Meter finds a Texture.
type Meter struct {
	width, height int
	cells         [Cells * Cells]struct {
		blocks int
		by     [128]int32 // by deviation, which is 127.5 at most
	}
}

// NewMeter returns a meter of a picture of width by height stored pixels.
func NewMeter(width, height int) *Meter { return &Meter{width: width, height: height} }

// Block adds a block whose first pixel is (x, y), in the picture.
func (m *Meter) Block(x, y int, variance float64) {
	c := &m.cells[Cell(x, y, m.width, m.height)]
	c.blocks++
	c.by[min(127, int(math.Sqrt(max(0, variance))))]++
}

// Texture is what was found.
func (m *Meter) Texture() Texture {
	var t Texture
	for i := range m.cells {
		below := 0
		for deviation, n := range m.cells[i].by {
			below += int(n)
			if 4*below >= m.cells[i].blocks {
				t[i] = uint8(deviation)
				break
			}
		}
	}
	return t
}

// Level tells how strong a mark must be, as mark.Page has it, that puts ink over a picture: as many pixels of it over each
// cell as ink says. A mark is seen where what lies under it is calm; if a quarter of it lies so, the rest can be guessed.
func (t *Texture) Level(ink *[Cells * Cells]int) int {
	// Deviations up to which the mark of a level is read, found by looking.
	const calm, restless = 16, 36
	var over [256]int
	all := 0
	for i, n := range ink {
		over[t[i]] += n
		all += n
	}
	below := 0
	for deviation, n := range over {
		below += n
		switch {
		case 4*below < all:
		case deviation <= calm:
			return 0
		case deviation <= restless:
			return 1
		default:
			return 2
		}
	}
	return 0
}

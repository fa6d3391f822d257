package jpeg

import (
	"github.com/filigreehq/filigree/services/watermark/internal/picture/source"
)

// Markers, without their 0xFF (ITU-T T.81, table B.1).
const (
	markSOF0 = 0xC0 // baseline
	markSOF1 = 0xC1 // extended sequential
	markSOF2 = 0xC2 // progressive
	markDHT  = 0xC4
	markJPG  = 0xC8
	markDAC  = 0xCC
	markRST0 = 0xD0
	markRST7 = 0xD7
	markSOI  = 0xD8
	markEOI  = 0xD9
	markSOS  = 0xDA
	markDQT  = 0xDB
	markDNL  = 0xDC
	markDRI  = 0xDD
	markAPP0 = 0xE0
	markAPPF = 0xEF
	markCOM  = 0xFE
	markTEM  = 0x01
)

// blockSize is the number of a block's coefficients.
const blockSize = 64

// zigzag is where the coefficients of a scan lie in a block, row by row (T.81, figure 5).
var zigzag = [blockSize]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// maxComponents is what a picture of photographs has: cyan, magenta, yellow, black.
const maxComponents = 4

// component is one of a picture's colours.
type component struct {
	id     uint8
	h, v   int // sampling factors, 1 to 4
	table  int // of quantisation
	wide   int // blocks from left to right, and from top to bottom, of whole MCUs
	high   int
	within struct{ wide, high int } // those with something of the picture in them
}

// frame is the header of a picture.
type frame struct {
	width, height int
	components    []component
	h, v          int // largest sampling factors
	across, down  int // MCUs
}

// layOut computes what follows from sizes and sampling factors.
func (f *frame) layOut() {
	f.h, f.v = 1, 1
	for _, c := range f.components {
		f.h, f.v = max(f.h, c.h), max(f.v, c.v)
	}
	f.across, f.down = ceil(f.width, 8*f.h), ceil(f.height, 8*f.v)
	for i := range f.components {
		c := &f.components[i]
		c.wide, c.high = f.across*c.h, f.down*c.v
		c.within.wide = ceil(ceil(f.width*c.h, f.h), 8)
		c.within.high = ceil(ceil(f.height*c.v, f.v), 8)
	}
}

func ceil(a, b int) int { return (a + b - 1) / b }

// blocks is the number of blocks in an MCU.
func (f *frame) blocks() int {
	n := 0
	for _, c := range f.components {
		n += c.h * c.v
	}
	return n
}

// parseFrame reads a SOF segment.
func parseFrame(data []byte, limits source.Limits) (frame, error) {
	if len(data) < 6 {
		return frame{}, source.Broken("its header is cut off")
	}
	if data[0] != 8 {
		return frame{}, source.Unsupported("the JPEG has %d bits a colour, which few programs can show: save it with 8", data[0])
	}
	f := frame{height: int(data[1])<<8 | int(data[2]), width: int(data[3])<<8 | int(data[4])}
	err := limits.Check(f.width, f.height)
	if err != nil {
		return frame{}, err
	}
	n := int(data[5])
	data = data[6:]
	if n == 2 || n > maxComponents {
		return frame{}, source.Unsupported("the JPEG has %d colours, want 1, 3 or 4: save it in RGB", n)
	}
	if n == 0 || len(data) != 3*n {
		return frame{}, source.Broken("its header has a wrong length")
	}
	blocks := 0
	for i := range n {
		c := component{id: data[0], h: int(data[1] >> 4), v: int(data[1] & 15), table: int(data[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return frame{}, source.Broken("colour %d of its header is not possible", i+1)
		}
		for _, other := range f.components {
			if other.id == c.id {
				return frame{}, source.Broken("it has one colour twice")
			}
		}
		if n == 1 { // there is nothing that it could be sampled against
			c.h, c.v = 1, 1
		}
		blocks += c.h * c.v
		f.components = append(f.components, c)
		data = data[3:]
	}
	if blocks > 10 {
		return frame{}, source.Broken("its colours are sampled more finely than the format allows")
	}
	f.layOut()
	return f, nil
}

// Package jpeg writes many pictures that are one picture but for some parts of it, as a page is that has a thousand
// recipients' marks: what the picture without a mark is coded as is worked out once, block by block, and of each further
// picture only the blocks that changed are worked out again; the others' codes are copied, bit by bit.
//
// The format is baseline JPEG (ITU-T T.81) in a JFIF file: grey, or in colour with chroma of half the resolution. The
// Huffman tables are made for the picture, so files are a little smaller than with the usual ones. The same pictures
// give the same bytes everywhere: all arithmetic is in integers.
package jpeg

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"slices"
	"sync"
)

// side of a block, in samples.
const side = 8

// Base is a picture that others differ from in parts. It is immutable and safe for concurrent use.
type Base struct {
	img        *image.YCbCr
	components []component
	header     []byte // all that comes before the coded blocks
	codes      []code // in the order of the scan
	words      []uint32
}

// component is one plane of samples.
type component struct {
	// across and down are how many of its blocks a unit of the scan has.
	across, down int
	quant        *quantizer
	dc, ac       *table
}

// code is a block as it is coded.
type code struct {
	dc    int32  // before the difference to the block before is taken
	at    uint32 // first of its words
	count uint32 // bits of its other coefficients
}

// Grey reports whether the picture has no colour planes.
func (b *Base) Grey() bool { return len(b.components) == 1 }

// Bytes is what the base takes in memory.
func (b *Base) Bytes() int64 {
	const perCode = 12
	return int64(len(b.img.Y)+len(b.img.Cb)+len(b.img.Cr)+len(b.header)) + int64(len(b.codes))*perCode + int64(len(b.words))*4
}

// Clone returns the base's picture, to be changed and encoded. It belongs to the caller. Its planes go on to the end of
// the last blocks, beyond its rectangle: what is drawn over the edge may be drawn there, too.
func (b *Base) Clone() *image.YCbCr {
	c := *b.img
	n := len(c.Y) + len(c.Cb) + len(c.Cr)
	all := make([]byte, 0, n)
	all = append(append(append(all, c.Y...), c.Cb...), c.Cr...)
	y, cb := len(c.Y), len(c.Y)+len(c.Cb)
	c.Y, c.Cb, c.Cr = all[:y:y], all[y:cb:cb], all[cb:]
	return &c
}

// NewGrey returns the base of a picture of width by height grey pixels.
func NewGrey(pixels []byte, width, height, quality int) (*Base, error) {
	img, err := planes(width, height, side)
	if err != nil {
		return nil, err
	}
	for y := range height {
		copy(img.Y[y*img.YStride:], pixels[y*width:(y+1)*width])
	}
	extend(img.Y, img.YStride, width, height)
	return newBase(img, quality), nil
}

// NewColour returns the base of a picture of width by height pixels of four bytes: red, green, blue, and one that is not
// looked at.
func NewColour(pixels []byte, width, height, quality int) (*Base, error) {
	img, err := planes(width, height, 2*side)
	if err != nil {
		return nil, err
	}
	rows := len(img.Y) / img.YStride
	img.CStride = img.YStride / 2
	n := img.CStride * rows / 2
	img.Cb, img.Cr = make([]byte, n), make([]byte, n)
	// Chroma in full, two rows at a time, to be averaged by four.
	cb, cr := make([]byte, 2*img.YStride), make([]byte, 2*img.YStride)
	for y := range rows {
		line := pixels[4*width*min(y, height-1):][:4*width]
		half := y % 2 * img.YStride
		for x := range img.YStride {
			p := line[4*min(x, width-1):]
			img.Y[y*img.YStride+x], cb[half+x], cr[half+x] = color.RGBToYCbCr(p[0], p[1], p[2])
		}
		if y%2 == 0 {
			continue
		}
		row := y / 2 * img.CStride
		for x := range img.CStride {
			img.Cb[row+x] = average(cb, 2*x, img.YStride)
			img.Cr[row+x] = average(cr, 2*x, img.YStride)
		}
	}
	return newBase(img, quality), nil
}

func average(p []byte, x, stride int) byte {
	return byte((int(p[x]) + int(p[x+1]) + int(p[stride+x]) + int(p[stride+x+1]) + 2) / 4)
}

// largest is what the format has room for, in each direction.
const largest = 65535

// planes makes a picture whose brightness fills whole units of the scan.
func planes(width, height, unit int) (*image.YCbCr, error) {
	if width < 1 || height < 1 || width > largest || height > largest {
		return nil, fmt.Errorf("a JPEG cannot be %d by %d pixels", width, height)
	}
	stride := (width + unit - 1) / unit * unit
	rows := (height + unit - 1) / unit * unit
	return &image.YCbCr{
		Y: make([]byte, stride*rows), YStride: stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, width, height),
	}, nil
}

// extend fills what is beyond the picture with its edge, which costs fewest bits.
func extend(p []byte, stride, width, height int) {
	rows := len(p) / stride
	for y := range rows {
		row := p[y*stride:][:stride]
		if y >= height {
			copy(row, p[(height-1)*stride:])
			continue
		}
		for x := width; x < stride; x++ {
			row[x] = row[width-1]
		}
	}
}

// newBase codes all blocks of img, in two passes: the first counts what the tables are made for.
func newBase(img *image.YCbCr, quality int) *Base {
	b := &Base{img: img}
	luma, chroma := newQuantizer(lumaSteps, quality), newQuantizer(chromaSteps, quality)
	dcLuma, acLuma, dcChroma, acChroma := &table{}, &table{}, &table{}, &table{}
	b.components = []component{{1, 1, luma, dcLuma, acLuma}}
	if len(img.Cb) > 0 {
		b.components[0].across, b.components[0].down = 2, 2
		c := component{1, 1, chroma, dcChroma, acChroma}
		b.components = append(b.components, c, c)
	}
	levels := make([]block, 0, (len(img.Y)+len(img.Cb)+len(img.Cr))/(side*side))
	var last [3]int32
	b.scan(img, func(component, at, stride int, samples []byte) {
		c := &b.components[component]
		levels = append(levels, block{})
		l := &levels[len(levels)-1]
		c.quant.levels(l, samples[at:], stride)
		c.dc.counts[magnitude(l[0]-last[component])]++
		last[component] = l[0]
		l.count(c.ac)
	})
	dcLuma.build(dcSymbols)
	dcChroma.build(dcSymbols)
	acLuma.build(acSymbols)
	acChroma.build(acSymbols)
	b.codes = make([]code, 0, len(levels))
	var s stream
	b.scan(img, func(component, _, _ int, _ []byte) {
		l := &levels[len(b.codes)]
		s.reset()
		s.block(b.components[component].ac, l)
		b.codes = append(b.codes, code{dc: l[0], at: uint32(len(b.words)), count: s.count()})
		b.words = s.appendTo(b.words)
	})
	b.words = slices.Clip(b.words)
	b.header = b.headers(luma, chroma)
	return b
}

// scan calls each for every block in the order in which they are coded: its component, the plane of that, and where the
// block begins there.
func (b *Base) scan(img *image.YCbCr, each func(component, at, stride int, samples []byte)) {
	unit := side * b.components[0].across
	for y := 0; y < len(img.Y)/img.YStride; y += unit {
		for x := 0; x < img.YStride; x += unit {
			for v := 0; v < unit; v += side {
				for h := 0; h < unit; h += side {
					each(0, (y+v)*img.YStride+x+h, img.YStride, img.Y)
				}
			}
			if len(b.components) > 1 {
				at := y/2*img.CStride + x/2
				each(1, at, img.CStride, img.Cb)
				each(2, at, img.CStride, img.Cr)
			}
		}
	}
}

// Append appends the file of img, which is a changed Clone of the base, to dst.
func (b *Base) Append(dst []byte, img *image.YCbCr) []byte {
	s := streams.Get().(*stream)
	defer streams.Put(s)
	s.reset()
	were := [3][]byte{b.img.Y, b.img.Cb, b.img.Cr}
	var last [3]int32
	var changed block
	i := 0
	b.scan(img, func(component, at, stride int, samples []byte) {
		c, known := &b.components[component], &b.codes[i]
		i++
		if same(were[component][at:], samples[at:], stride) {
			s.difference(c.dc, known.dc-last[component])
			s.copy(b.words[known.at:], known.count)
			last[component] = known.dc
			return
		}
		c.quant.levels(&changed, samples[at:], stride)
		s.difference(c.dc, changed[0]-last[component])
		s.block(c.ac, &changed)
		last[component] = changed[0]
	})
	dst = slices.Grow(dst, len(b.header)+4*len(s.words)+len(s.words)/8)
	return append(s.end(append(dst, b.header...)), 0xff, markerEOI)
}

// streams are kept for their words.
var streams = sync.Pool{New: func() any { return &stream{} }}

// same reports whether two blocks have the same samples.
func same(a, b []byte, stride int) bool {
	for range side {
		if binary.LittleEndian.Uint64(a) != binary.LittleEndian.Uint64(b) {
			return false
		}
		if len(a) < stride {
			break // the last row
		}
		a, b = a[stride:], b[stride:]
	}
	return true
}
